// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "runtime/base/clock.hpp"
#include "runtime/smtp/server_session.hpp"

namespace hedwig::smtp {

/// How long a client may take.
struct session_times {
  std::chrono::nanoseconds greeting{}; ///< to say EHLO
  std::chrono::nanoseconds command{};  ///< a line
  std::chrono::nanoseconds data{};     ///< a message after DATA, or a chunk
  std::chrono::nanoseconds session{};  ///< all; twice that where a transaction is open
  std::uint64_t min_data_rate = 0;     ///< octets a second, after the grace; 0: none
};

/// How long a message may trickle before min_data_rate is asked for.
inline constexpr std::chrono::minutes data_rate_grace{1};

/// What a client is late with.
enum class overdue : std::uint8_t { nothing, greeting, command, data, data_rate, session };
/// The name of the limit in the configuration.
[[nodiscard]] std::string_view limit_name(overdue what) noexcept;

/// Until when a session waits for its client. A deadline begins with what is waited for, so that octets that trickle in
/// do not move it. A plain value without a clock of its own: the session's owner shows it where the session stands,
/// after each step and when the time has come.
class session_clock {
public:
  /// The connection is there.
  void begin(const session_times& times, steady_time now) noexcept;
  /// EHLO is waited for from now on: after the greeting, and after STARTTLS.
  void greeted(steady_time now) noexcept { greeted_ = now; }
  /// The client waits for us; what it is in the middle of begins anew.
  void rest() noexcept { state_ = session_state::waiting; }

  /// Where the session stands. False: it waits for nothing of the client's.
  [[nodiscard]] bool look(const server_session& at, steady_time now) noexcept;
  /// After look() said true: when to look again, with judge().
  [[nodiscard]] steady_time deadline(const server_session& at, steady_time now) const noexcept;
  /// What is overdue by now.
  [[nodiscard]] overdue judge(const server_session& at, steady_time now) const noexcept;

private:
  [[nodiscard]] steady_time rate_deadline(const server_session& at) const noexcept;

  session_times times_;
  steady_time began_{};
  steady_time greeted_{};
  steady_time since_{}; // what is waited for
  std::uint64_t lines_ = 0;
  std::uint64_t octets_ = 0;
  session_state state_ = session_state::waiting;
};

} // namespace hedwig::smtp
