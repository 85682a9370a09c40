// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.hpp>

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::auth_oauth {

/// Good tokens that were seen lately, as HMAC-SHA-256 under a key that lives in memory only. The one used longest ago
/// goes when there is no room. Thread-safe.
class token_cache {
public:
  explicit token_cache(std::size_t entries_max);

  /// `login` belongs to it: a token is good for whom the client named.
  [[nodiscard]] std::string digest_of(std::string_view login, std::string_view token) const;
  /// Null: not known, or not for the keys of this generation.
  [[nodiscard]] std::shared_ptr<const sdk::identity> find(const std::string& digest, std::uint64_t generation,
                                                          hedwig_time_ns now);
  void remember(const std::string& digest, std::uint64_t generation, std::shared_ptr<const sdk::identity> who,
                hedwig_time_ns until);

private:
  struct entry {
    std::string digest;
    std::uint64_t generation;
    std::shared_ptr<const sdk::identity> who;
    hedwig_time_ns until;
  };

  const std::size_t entries_max_;
  std::vector<std::uint8_t> key_;
  std::mutex mutex_;
  std::list<entry> entries_; // the one used last stands first
  std::unordered_map<std::string_view, std::list<entry>::iterator> by_digest_;
};

} // namespace hedwig::auth_oauth
