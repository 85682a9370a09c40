// SPDX-License-Identifier: Apache-2.0
#include "login_cache.hpp"

#include <botan/mac.h>
#include <botan/mem_ops.h>
#include <botan/system_rng.h>

#include <algorithm>

namespace hedwig::logins {

login_cache::login_cache(std::size_t entries_max, times keep) : entries_max_{entries_max}, keep_{keep}, key_(32) {
  Botan::system_rng().randomize(key_.data(), key_.size());
}

login_cache::digest login_cache::digest_of(std::string_view user, std::string_view password) const {
  auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-256)");
  mac->set_key(key_);
  mac->update(reinterpret_cast<const std::uint8_t*>(user.data()), user.size());
  mac->update(std::uint8_t{0}); // no name holds one
  mac->update(reinterpret_cast<const std::uint8_t*>(password.data()), password.size());
  digest made{};
  mac->final(made.data());
  return made;
}

namespace {

bool same_digest(const login_cache::digest& a, const login_cache::digest& b) {
  return Botan::constant_time_compare(a.data(), b.data(), a.size());
}

} // namespace

login_cache::known login_cache::entry_of_user::refusal_of(const digest& password_given, hedwig_time_ns now) const {
  auto found = std::ranges::find_if(
      wrong, [&](const wrong_one& one) { return one.until > now && same_digest(one.password, password_given); });
  return found == wrong.end() ? known::nothing : found->as;
}

login_cache::answer login_cache::ask(const std::string& user, const digest& password, hedwig_time_ns now) {
  std::lock_guard lock{mutex_};
  auto* found = users_.find(user);
  if (found == nullptr) {
    found = nobodies_.find(user);
    if (found != nullptr && found->until > now)
      return {known::nobody, nullptr};
  } else if (found->who && found->until > now && same_digest(found->password, password)) {
    return {known::right, found->who};
  }
  return {found != nullptr ? found->refusal_of(password, now) : known::nothing, nullptr};
}

void login_cache::remember_right(const std::string& user, const digest& password,
                                 std::shared_ptr<const sdk::identity> who, hedwig_time_ns now) {
  if (keep_.right.count() == 0)
    return;
  std::lock_guard lock{mutex_};
  nobodies_.erase(user);
  auto& entry = users_.at(user, entries_max_);
  entry.password = password;
  entry.until = now + keep_.right.count();
  entry.who = std::move(who);
  std::erase_if(entry.wrong, [&](const wrong_one& one) { return same_digest(one.password, password); });
}

void login_cache::remember_wrong(const std::string& user, const digest& password, hedwig_time_ns now, known as) {
  std::lock_guard lock{mutex_};
  auto* found = users_.find(user);
  if (found != nullptr && same_digest(found->password, password))
    found->who.reset();
  if (keep_.wrong.count() == 0)
    return;
  // Who never logged in may be nobody: guessing names drives no user out.
  auto& wrong = (found != nullptr ? *found : nobodies_.at(user, entries_max_)).wrong;
  std::erase_if(wrong, [&](const wrong_one& one) { return one.until <= now || same_digest(one.password, password); });
  if (wrong.size() == wrong_passwords_max)
    wrong.erase(wrong.begin());
  wrong.push_back({password, now + keep_.wrong.count(), as});
}

void login_cache::remember_nobody(const std::string& user, hedwig_time_ns now) {
  std::lock_guard lock{mutex_};
  users_.erase(user);
  if (keep_.wrong.count() > 0)
    nobodies_.at(user, entries_max_).until = now + keep_.wrong.count();
}

login_cache::entry_of_user* login_cache::table::find(const std::string& user) {
  auto found = by_user_.find(user);
  if (found == by_user_.end())
    return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &entries_.front();
}

login_cache::entry_of_user& login_cache::table::at(const std::string& user, std::size_t entries_max) {
  if (auto* found = find(user))
    return *found;
  if (entries_.size() == entries_max) {
    by_user_.erase(entries_.back().user);
    entries_.pop_back();
  }
  entries_.emplace_front();
  entries_.front().user = user;
  by_user_.emplace(entries_.front().user, entries_.begin());
  return entries_.front();
}

void login_cache::table::erase(const std::string& user) {
  auto found = by_user_.find(user);
  if (found == by_user_.end())
    return;
  auto entry = found->second;
  by_user_.erase(found);
  entries_.erase(entry);
}

} // namespace hedwig::logins
