// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace hedwig::admin {

/// Where the admin API is: a Unix socket, or a host and port where `host` is set.
struct api_place {
  std::string socket;
  std::string host;
  std::uint16_t port = 0;
};

struct api_reply {
  int status = 0;
  std::string body;
};

/// Most bytes of an answer that are read; a message with 10,000 recipients takes a few MiB.
inline constexpr std::size_t reply_size_max = std::size_t{64} << 20U;

/// Asks the API once, over a connection of its own, and waits for at most 20 seconds. The error is a sentence for the
/// operator, printable as it is: what failed and what to look at.
[[nodiscard]] std::expected<api_reply, std::string> ask(const api_place& place, const std::string& method,
                                                        const std::string& target);

} // namespace hedwig::admin
