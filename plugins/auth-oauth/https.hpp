// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "settings.hpp"

namespace hedwig::auth_oauth {

inline constexpr std::size_t response_octets_max = jwks_octets_max;

/// Requests over HTTPS 1.1 with a certificate of a trusted authority for the name in the URL; no redirects, no proxy.
/// Connections are used again. Blocks; thread-safe.
class https_client {
public:
  explicit https_client(const settings& from);
  https_client(const https_client&) = delete;
  https_client& operator=(const https_client&) = delete;
  ~https_client();

  /// The body of the 200 that came. Throws failure(UNAVAILABLE) that says what came instead. `patience`: beside the
  /// timeout of the settings.
  [[nodiscard]] std::string get(const std::string& url, std::chrono::nanoseconds patience);
  /// With a form, and the name and secret of the settings (RFC 6749 section 2.3.1).
  [[nodiscard]] std::string post(const std::string& url, const std::string& form, std::chrono::nanoseconds patience);

private:
  class lease;
  [[nodiscard]] std::string run(lease& on, const std::string& url, std::chrono::nanoseconds patience);

  const std::string ca_file_;
  const std::chrono::nanoseconds connect_timeout_;
  const std::chrono::nanoseconds timeout_;
  const std::string credentials_;
  std::mutex mutex_;
  std::vector<void*> idle_;
};

} // namespace hedwig::auth_oauth
