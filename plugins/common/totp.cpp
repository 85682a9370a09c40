// SPDX-License-Identifier: Apache-2.0
#include "totp.hpp"

#include <botan/mac.h>
#include <botan/mem_ops.h>

#include <algorithm>

namespace hedwig::logins {

namespace {

constexpr std::size_t totp_key_octets_min = 10; // what most services hand out; RFC 4226 wants 16
constexpr std::size_t totp_key_octets_max = 128;
constexpr std::size_t totp_text_octets_max = 512;

int base32_digit(char c) noexcept {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a';
  return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

} // namespace

std::optional<totp_secret> totp_secret::read(std::string_view base32) {
  if (base32.size() > totp_text_octets_max)
    return std::nullopt;
  while (base32.ends_with('='))
    base32.remove_suffix(1);
  std::string key;
  key.reserve(base32.size());
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : base32) {
    if (c == ' ' || c == '-')
      continue;
    auto digit = base32_digit(c);
    if (digit < 0)
      return std::nullopt;
    bits = (bits << 5 | static_cast<std::uint32_t>(digit)) & 0xFFF;
    count += 5;
    if (count >= 8) {
      count -= 8;
      key += static_cast<char>(bits >> count & 0xFF);
    }
  }
  if (key.size() < totp_key_octets_min || key.size() > totp_key_octets_max)
    return std::nullopt;
  return totp_secret{std::move(key)};
}

totp_secret::~totp_secret() { Botan::secure_scrub_memory(key_.data(), key_.size()); }

std::string totp_secret::code_of(std::int64_t step) const {
  auto mac = Botan::MessageAuthenticationCode::create_or_throw("HMAC(SHA-1)");
  mac->set_key(reinterpret_cast<const std::uint8_t*>(key_.data()), key_.size());
  std::array<std::uint8_t, 8> moment{};
  for (std::size_t i = 0; i < moment.size(); ++i)
    moment[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(step) >> (56 - 8 * i));
  mac->update(moment.data(), moment.size());
  auto digest = mac->final();
  // RFC 4226, section 5.3.
  auto at = digest.back() & 0xFu;
  auto number = (digest[at] & 0x7Fu) << 24 | digest[at + 1] << 16 | digest[at + 2] << 8 | digest[at + 3];
  std::string code(totp_digits, '0');
  for (std::size_t i = totp_digits; i-- > 0; number /= 10)
    code[i] = static_cast<char>('0' + number % 10);
  return code;
}

std::optional<std::int64_t> totp_secret::step_of(std::string_view code, std::int64_t now) const {
  auto current = now / totp_step_seconds;
  std::optional<std::int64_t> found;
  for (auto step : {current - 1, current, current + 1}) {
    auto right = code_of(step);
    unsigned differs = code.size() == right.size() ? 0 : 1;
    for (std::size_t i = 0; i < std::min(code.size(), right.size()); ++i)
      differs |= static_cast<unsigned char>(code[i] ^ right[i]);
    if (differs == 0)
      found = step;
  }
  return found;
}

std::pair<std::string_view, std::string_view> split_code(std::string_view sent) noexcept {
  auto code = std::min(sent.size(), totp_digits);
  return {sent.substr(0, sent.size() - code), sent.substr(sent.size() - code)};
}

bool used_codes::use(const std::string& user, std::int64_t step, std::int64_t now) {
  std::lock_guard guard{mutex_};
  // No code of these is good any more.
  auto oldest = now / totp_step_seconds - 1;
  while (!by_step_.empty() && by_step_.begin()->first < oldest) {
    last_.erase(by_step_.begin()->second);
    by_step_.erase(by_step_.begin());
  }
  auto [known, fresh] = last_.try_emplace(user, step);
  if (!fresh && known->second >= step)
    return false;
  if (fresh && last_.size() > entries_max_) {
    last_.erase(known);
    return false;
  }
  if (!fresh)
    by_step_.erase({known->second, user});
  known->second = step;
  by_step_.emplace(step, user);
  return true;
}

std::size_t used_codes::size() const {
  std::lock_guard guard{mutex_};
  return last_.size();
}

} // namespace hedwig::logins
