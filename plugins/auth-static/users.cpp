// SPDX-License-Identifier: Apache-2.0
#include "users.hpp"

#include <botan/mac.h>
#include <botan/system_rng.h>

#include <cstring>

namespace hedwig::auth_static {

namespace {

/// Of stand-ins and salts; made anew with each process.
const std::vector<std::uint8_t>& key_of_process() {
  static const auto made = [] {
    std::vector<std::uint8_t> key(32);
    Botan::system_rng().randomize(key.data(), key.size());
    return key;
  }();
  return made;
}

constexpr std::size_t salt_octets = 16;

} // namespace

bool users::add(user_entry entry) {
  stored_password password{std::move(entry.password)};
  auto is_plain = password.is_plain();
  auto [at, added] =
      all_.try_emplace(std::move(entry.name), user{std::move(password), std::move(entry.groups),
                                                   std::move(entry.senders), logins::totp_secret::read(entry.totp)});
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

std::string users::digest_of(std::string_view name) const {
  auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
  mac->set_key(key_of_process());
  mac->update(reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
  auto digest = mac->final();
  return {digest.begin(), digest.end()};
}

const user* users::stand_in_for(std::string_view name) const {
  if (by_number_.empty())
    return nullptr;
  std::uint64_t number = 0;
  auto digest = digest_of(name);
  std::memcpy(&number, digest.data() + salt_octets, sizeof number);
  return by_number_[number % by_number_.size()];
}

void users::waste_time(std::string_view name, std::string_view password) const {
  if (auto* someone = stand_in_for(name))
    static_cast<void>(someone->password.matches(password));
}

std::optional<sdk::scram_secret> users::scram(std::string_view name, const user& of) const {
  return of.password.scram(digest_of(name).substr(0, salt_octets));
}

void users::waste_scram_time(std::string_view name) const {
  if (auto* someone = stand_in_for(name))
    static_cast<void>(scram(name, *someone));
}

} // namespace hedwig::auth_static
