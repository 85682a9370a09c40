// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/smtp/trace_board.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hedwig {

class relay_context;

/// What the console shows of one session, taken at one moment on its loop's thread.
struct session_row {
  std::uint64_t id = 0; ///< its actor's, in the order of birth
  std::string client;   ///< "192.0.2.1"
  std::uint16_t port = 0;
  std::string listener;
  std::string tls; ///< "TLSv1.3", or empty
  std::string user;
  std::string helo;
  const char* state = ""; ///< see docs/admin-api.md
  std::uint64_t messages = 0;
  std::uint64_t refused = 0; ///< commands and messages
  std::uint64_t octets = 0;  ///< that the client sent
  std::chrono::nanoseconds age{};
  std::chrono::nanoseconds idle{}; ///< since it sent anything
};

struct session_page {
  std::vector<session_row> rows; ///< by id
  bool more = false;
};

enum class kill_outcome : std::uint8_t {
  ended,        ///< it heard 421, or its handshake was cut off
  after_commit, ///< it ends once its client has heard of the message that is being committed
  none          ///< it had ended
};

struct kill_count {
  std::uint64_t ended = 0;
  std::uint64_t after_commit = 0;
};

/// Sessions live on the threads of their loops, and so they are looked at there: each loop looks at its own between two
/// events, and gives no more than a page. These wait for all loops; for threads of the console only. Nothing where a
/// loop did not answer in `patience`.
[[nodiscard]] std::optional<session_page> list_sessions(relay_context& relay, const smtp::session_filter& whose,
                                                        std::uint64_t after, std::size_t limit,
                                                        std::chrono::nanoseconds patience);
/// Ends those that fit; `id` 0: whatever it is.
[[nodiscard]] std::optional<kill_count> kill_sessions(relay_context& relay, const smtp::session_filter& whose,
                                                      std::uint64_t id, std::chrono::nanoseconds patience);

} // namespace hedwig
