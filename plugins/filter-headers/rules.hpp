// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "value_template.hpp"

namespace re2 {
class RE2;
}

namespace hedwig::filter_headers {

[[nodiscard]] std::string lower(std::string_view text);

/// A field's name without regard to ASCII case; "X-Spam-*" is every name that begins so.
class name_pattern {
public:
  name_pattern() = default;
  /// Throws std::invalid_argument when it is none.
  name_pattern(std::string_view pattern, bool star_allowed);
  [[nodiscard]] bool matches(const std::string& key) const { return prefix_ ? key.starts_with(key_) : key == key_; }
  [[nodiscard]] bool is_prefix() const noexcept { return prefix_; }
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
  std::string text_;
  std::string key_; ///< in lower case, without the star
  bool prefix_ = false;
};

enum class rule_action : std::uint8_t { add, insert, replace, remove };

/// A field the rules look at, as it stands after the rules so far.
struct field {
  std::string name;
  std::string key; ///< the name in lower case
  std::string value;
};

/// In lower case.
using group_names = std::unordered_set<std::string>;

/// One table of the config. Lists that are empty hold for everybody.
struct rule {
  rule_action action{};
  name_pattern target;
  std::shared_ptr<const re2::RE2> target_value;
  value_template value;
  std::optional<name_pattern> if_field;
  std::shared_ptr<const re2::RE2> if_value;
  std::optional<name_pattern> unless_field;
  std::vector<std::string> listeners;
  std::vector<std::string> identities;
  std::vector<std::string> groups; ///< in lower case
  std::vector<std::string> sender_domains;

  /// Speaks of this message at all, by its listener, identity, groups (in lower case) and sender.
  [[nodiscard]] bool concerns(const template_values& facts, const group_names& of_user) const;
  /// The conditions on fields hold; keeps what the expression matched in `values`.
  [[nodiscard]] bool holds(const std::vector<field>& fields, template_values& values) const;
};

struct rule_set {
  std::vector<rule> rules;
  std::unordered_set<std::string> keys; ///< of the fields that rules look at
  std::vector<name_pattern> prefixes;

  [[nodiscard]] bool looks_at(const std::string& key) const;
  void watch(const name_pattern& pattern);
};

/// Applies the rules to the fields of one message, and gives the edits that do the same to the message.
/// Throws failure(UNAVAILABLE) when they come to more than edits_max.
class rule_run {
public:
  static constexpr std::size_t edits_max = 900;

  rule_run(std::vector<field> fields, template_values facts, const group_names& groups)
    : fields_{std::move(fields)}, facts_{std::move(facts)}, groups_{groups} {}
  [[nodiscard]] std::vector<sdk::edit> apply(const rule_set& rules);

private:
  void apply(const rule& one);
  void change(const rule& one);
  void remove(const rule& one);
  [[nodiscard]] std::vector<std::size_t> targets(const rule& one) const;
  [[nodiscard]] std::uint32_t rank(std::size_t place) const;
  void emit(sdk::edit edit);

  std::vector<field> fields_;
  template_values facts_;
  const group_names& groups_; // the caller's
  std::vector<sdk::edit> edits_;
};

/// Reads and checks the rules of a config; throws failure(CONFIG).
[[nodiscard]] std::shared_ptr<const rule_set> read_rules(const sdk::config& config);

} // namespace hedwig::filter_headers
