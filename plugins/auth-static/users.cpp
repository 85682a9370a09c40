// SPDX-License-Identifier: Apache-2.0
#include "users.hpp"

#include <botan/hash.h>
#include <botan/system_rng.h>

#include <cstring>

namespace hedwig::auth_static {

users::users() : key_(32) { Botan::system_rng().randomize(key_.data(), key_.size()); }

bool users::add(user_entry entry) {
  stored_password password{std::move(entry.password)};
  auto is_plain = password.is_plain();
  auto [at, added] = all_.try_emplace(std::move(entry.name),
                                      user{std::move(password), std::move(entry.groups), std::move(entry.senders)});
  if (!added)
    return false;
  by_number_.push_back(&at->second); // nodes of the map stay where they are
  plain_ += is_plain ? 1 : 0;
  return true;
}

const user* users::find(const std::string& name) const {
  auto found = all_.find(name);
  return found == all_.end() ? nullptr : &found->second;
}

void users::waste_time(std::string_view name, std::string_view password) const {
  if (by_number_.empty())
    return;
  auto hash = Botan::HashFunction::create_or_throw("SHA-256");
  hash->update(key_.data(), key_.size());
  hash->update(reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
  auto digest = hash->final();
  std::uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  static_cast<void>(by_number_[number % by_number_.size()]->password.matches(password));
}

} // namespace hedwig::auth_static
