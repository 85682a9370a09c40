// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"

namespace hedwig::sink {

/// One message as it was taken. Addresses are without <>, as given.
struct received_message {
  wall_time when{};
  std::string peer;
  std::string helo;
  std::string sender;
  std::string sender_parameters;
  std::vector<std::string> recipients;
  std::string text;       ///< dots undone; only as much as was asked to be kept
  std::uint64_t size = 0; ///< of all of it
  bool tls = false;
  bool authenticated = false;
  std::uint64_t bare_line_ends = 0;
  int reply_code = 0; ///< 0: the connection was dropped instead
};

/// Writes messages into a folder: <n>.json first, then <n>.eml under another name that is changed last, so that a
/// reader who sees the .eml has both. Goes on after the highest number that is there. Thread: one.
class message_store {
public:
  [[nodiscard]] static result<message_store> open(std::string directory);
  [[nodiscard]] result<void> write(const received_message& message);

private:
  explicit message_store(std::string directory, std::uint64_t last) : directory_{std::move(directory)}, last_{last} {}

  std::string directory_;
  std::uint64_t last_;
};

/// The envelope as one line of JSON.
[[nodiscard]] std::string envelope_json(const received_message& message, std::uint64_t number);
/// The line of --print, without its end; safe for a terminal.
[[nodiscard]] std::string print_line(const received_message& message, std::uint64_t number);
/// Of the first Subject field, unfolded and made safe; empty without one.
[[nodiscard]] std::string subject_of(std::string_view message);

} // namespace hedwig::sink
