// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hedwig::filter_headers {

/// What a template may name: "{sender}" and so on.
enum class variable : std::uint8_t {
  sender,
  sender_domain,
  identity,
  listener,
  peer,
  peer_name,
  helo,
  tls,
  recipients,
  value,
};
inline constexpr std::size_t variable_count = 10;

/// The values of one message, and what the rule's expression matched.
struct template_values {
  std::array<std::string, variable_count> of;
  std::array<std::string, 10> groups; ///< "{0}" the match as a whole, "{1}" to "{9}" the groups

  std::string& operator[](variable which) { return of[static_cast<std::size_t>(which)]; }
};

/// A header value with variables in braces; "{{" and "}}" are braces.
class value_template {
public:
  /// Octets of one value as the template gives it; a longer one is cut.
  static constexpr std::size_t value_max = 4096;
  /// Octets that one variable may contribute.
  static constexpr std::size_t variable_max = 1000;

  value_template() = default;
  /// Throws std::invalid_argument with what is wrong.
  explicit value_template(std::string_view text);

  /// One line without control characters, whatever peers have put into the variables.
  [[nodiscard]] std::string expand(const template_values& values) const;

private:
  struct group {
    std::size_t number;
  };
  using part = std::variant<std::string, variable, group>;
  [[nodiscard]] static part named(std::string_view name);

  std::vector<part> parts_;
};

/// Control characters become spaces, white space at the ends goes; cut behind a whole character at `octets_max`.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t octets_max);

} // namespace hedwig::filter_headers
