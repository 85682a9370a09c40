// SPDX-License-Identifier: Apache-2.0
#include "token_cache.hpp"

#include <botan/mac.h>
#include <botan/system_rng.h>

namespace hedwig::auth_oauth {

token_cache::token_cache(std::size_t entries_max) : entries_max_{entries_max}, key_(32) {
  Botan::system_rng().randomize(key_.data(), key_.size());
}

std::string token_cache::digest_of(std::string_view login, std::string_view token) const {
  auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
  mac->set_key(key_);
  mac->update(reinterpret_cast<const std::uint8_t*>(login.data()), login.size());
  mac->update(std::uint8_t{0}); // no name holds one
  mac->update(reinterpret_cast<const std::uint8_t*>(token.data()), token.size());
  auto made = mac->final();
  return {made.begin(), made.end()};
}

std::shared_ptr<const sdk::identity> token_cache::find(const std::string& digest, std::uint64_t generation,
                                                       hedwig_time_ns now) {
  std::lock_guard lock{mutex_};
  auto found = by_digest_.find(digest);
  if (found == by_digest_.end())
    return nullptr;
  auto at = found->second;
  if (at->until <= now || at->generation != generation) {
    by_digest_.erase(found);
    entries_.erase(at);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, at);
  return at->who;
}

void token_cache::remember(const std::string& digest, std::uint64_t generation,
                           std::shared_ptr<const sdk::identity> who, hedwig_time_ns until) {
  std::lock_guard lock{mutex_};
  if (auto found = by_digest_.find(digest); found != by_digest_.end()) {
    auto at = found->second;
    by_digest_.erase(found);
    entries_.erase(at);
  } else if (entries_.size() == entries_max_) {
    by_digest_.erase(entries_.back().digest);
    entries_.pop_back();
  }
  entries_.push_front({digest, generation, std::move(who), until});
  by_digest_.emplace(entries_.front().digest, entries_.begin());
}

} // namespace hedwig::auth_oauth
