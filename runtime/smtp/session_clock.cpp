// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/session_clock.hpp"

#include <algorithm>

namespace hedwig::smtp {

namespace {

/// One octet a second and a message of many must not overflow the clock.
constexpr std::uint64_t rate_seconds_max = std::uint64_t{365} * 86400;

} // namespace

std::string_view limit_name(overdue what) noexcept {
  constexpr std::string_view names[] = {"",
                                        "server.greeting_timeout",
                                        "server.cmd_timeout",
                                        "server.data_timeout",
                                        "server.min_data_rate",
                                        "server.session_timeout"};
  return names[static_cast<std::size_t>(what)];
}

void session_clock::begin(const session_times& times, steady_time now) noexcept {
  times_ = times;
  began_ = now;
  greeted_ = now;
}

bool session_clock::look(const server_session& at, steady_time now) noexcept {
  auto state = at.state();
  if (state == session_state::waiting || state == session_state::greeting || state == session_state::ended) {
    rest();
    return false;
  }
  auto lines = at.counters().lines;
  if (state != state_ || lines != lines_) {
    state_ = state;
    lines_ = lines;
    octets_ = at.octets_read();
    since_ = now;
  }
  return true;
}

steady_time session_clock::rate_deadline(const server_session& at) const noexcept {
  if (times_.min_data_rate == 0)
    return steady_time::max();
  auto octets = at.octets_read() - std::min(octets_, at.octets_read());
  auto seconds = std::min(octets / times_.min_data_rate, rate_seconds_max);
  return since_ + data_rate_grace + std::chrono::seconds{seconds};
}

steady_time session_clock::deadline(const server_session& at, steady_time now) const noexcept {
  auto whole = began_ + times_.session;
  if (now >= whole && !at.idle())
    whole += times_.session;
  if (state_ == session_state::data)
    return std::min({whole, since_ + times_.data, rate_deadline(at)});
  auto hello = at.helo().empty() ? greeted_ + times_.greeting : steady_time::max();
  return std::min({whole, since_ + times_.command, hello});
}

overdue session_clock::judge(const server_session& at, steady_time now) const noexcept {
  auto whole = began_ + times_.session;
  if (now >= whole + times_.session || (now >= whole && at.idle()))
    return overdue::session;
  if (state_ == session_state::waiting)
    return overdue::nothing;
  if (state_ == session_state::data)
    return now >= since_ + times_.data ? overdue::data
           : now >= rate_deadline(at)  ? overdue::data_rate
                                       : overdue::nothing;
  if (now >= since_ + times_.command)
    return overdue::command;
  return at.helo().empty() && now >= greeted_ + times_.greeting ? overdue::greeting : overdue::nothing;
}

} // namespace hedwig::smtp
