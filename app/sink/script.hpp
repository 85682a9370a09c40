// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.hpp"

namespace hedwig::sink {

/// Where in a conversation a rule can act.
enum class stage : std::uint8_t { connect, ehlo, starttls, handshake, auth, mail, rcpt, data, body, dot, rset, quit };

[[nodiscard]] std::string_view to_string_view(stage value) noexcept;

struct scripted_reply {
  int code = 250;
  std::string text;
};

/// What the script wants at one point.
struct decision {
  std::optional<scripted_reply> reply;
  std::chrono::milliseconds delay{0};
  bool drop = false;
};

/// The misbehaviour that was asked for: rules for replies, delays and drops, each for a stage and, where given, only
/// for a share of the cases or for addresses that match a pattern. The first rule of a kind that matches counts.
/// Chances are drawn from a seed, so that a run can be repeated. Thread: one.
class script {
public:
  explicit script(std::uint64_t seed = 1) : random_{seed} {}

  /// "STAGE[:FILTER]=CODE[ TEXT]"; errors say what to write.
  [[nodiscard]] result<void> add_reply(std::string_view text);
  /// "STAGE[:FILTER]=DURATION", such as "dot=1500ms", "rcpt:*@slow.test=2s".
  [[nodiscard]] result<void> add_delay(std::string_view text);
  /// "STAGE[:FILTER]"
  [[nodiscard]] result<void> add_drop(std::string_view text);

  /// `subject` is what patterns are matched with: the address at mail and rcpt, the sender at data, body and dot.
  [[nodiscard]] decision decide(stage where, std::string_view subject);
  void seed(std::uint64_t value) { random_.seed(value); }

private:
  struct condition {
    stage where = stage::connect;
    std::uint32_t share = 1'000'000; ///< of a million
    std::string pattern;             ///< empty: every address
  };
  template <class Action>
  struct rule {
    condition when;
    Action action;
  };

  [[nodiscard]] static result<condition> parse_condition(std::string_view text, std::string_view option);
  [[nodiscard]] bool matches(const condition& when, stage where, std::string_view subject);

  std::vector<rule<scripted_reply>> replies_;
  std::vector<rule<std::chrono::milliseconds>> delays_;
  std::vector<condition> drops_;
  std::mt19937_64 random_;
};

/// "250ms", "2s", "1m"; a number alone is seconds.
[[nodiscard]] result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// Whole `text` against a pattern with '*' and '?', letters of either case alike.
[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view text) noexcept;

} // namespace hedwig::sink
