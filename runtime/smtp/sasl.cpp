// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/sasl.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/address.hpp"

namespace hedwig::smtp {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto digits = [] {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}();

using detail::is_sasl_name;

bool is_password(std::string_view text) noexcept {
  return text.size() <= credential_octets_max && text.find('\0') == std::string_view::npos;
}

class plain_exchange final : public sasl_exchange {
public:
  sasl_step step(std::optional<std::string_view> response) override {
    if (!response)
      return sasl_challenge{};
    // RFC 4616 section 2: [authzid] NUL authcid NUL passwd; a third NUL is refused with the password.
    auto first = response->find('\0');
    auto second = first == std::string_view::npos ? first : response->find('\0', first + 1);
    if (second == std::string_view::npos)
      return sasl_malformed{};
    auto authorize_as = response->substr(0, first);
    auto username = response->substr(first + 1, second - first - 1);
    auto password = response->substr(second + 1);
    if (username.empty() || password.empty() || !is_sasl_name(username) || !is_sasl_name(authorize_as) ||
        !is_password(password))
      return sasl_malformed{};
    return credentials{std::string{username}, std::string{authorize_as}, secret{std::string{password}}};
  }
};

class login_exchange final : public sasl_exchange {
public:
  sasl_step step(std::optional<std::string_view> response) override {
    if (!response)
      return sasl_challenge{"Username:"};
    if (username_.empty()) {
      if (response->empty() || !is_sasl_name(*response))
        return sasl_malformed{};
      username_ = *response;
      return sasl_challenge{"Password:"};
    }
    if (response->empty() || !is_password(*response))
      return sasl_malformed{};
    return credentials{std::move(username_), {}, secret{std::string{*response}}};
  }

private:
  std::string username_;
};

/// RFC 4422, appendix A: the client names whom it wants to be, or nobody; who it is, the channel says.
class external_exchange final : public sasl_exchange {
public:
  sasl_step step(std::optional<std::string_view> response) override {
    if (!response)
      return sasl_challenge{};
    if (!is_sasl_name(*response))
      return sasl_malformed{};
    return credentials{
        .username = {}, .authorize_as = std::string{*response}, .password = {}, .question = sasl_question::external};
  }
};

struct known_mechanism {
  std::string_view name;
  sasl_question question;
  std::unique_ptr<sasl_exchange> (*make)(const sasl_scene&);
};

constexpr known_mechanism known_mechanisms[] = {
    {"PLAIN", sasl_question::password,
     [](const sasl_scene&) -> std::unique_ptr<sasl_exchange> { return std::make_unique<plain_exchange>(); }},
    {"LOGIN", sasl_question::password,
     [](const sasl_scene&) -> std::unique_ptr<sasl_exchange> { return std::make_unique<login_exchange>(); }},
    {"OAUTHBEARER", sasl_question::token, [](const sasl_scene&) { return detail::make_oauthbearer_exchange(); }},
    {"XOAUTH2", sasl_question::token, [](const sasl_scene&) { return detail::make_xoauth2_exchange(); }},
    {"SCRAM-SHA-256", sasl_question::scram,
     [](const sasl_scene& scene) { return detail::make_scram_exchange(false, scene); }},
    {"SCRAM-SHA-256-PLUS", sasl_question::scram,
     [](const sasl_scene& scene) { return detail::make_scram_exchange(true, scene); }},
    {"EXTERNAL", sasl_question::external,
     [](const sasl_scene&) -> std::unique_ptr<sasl_exchange> { return std::make_unique<external_exchange>(); }},
};

const known_mechanism* find_mechanism(std::string_view name) noexcept {
  auto* found =
      std::ranges::find_if(known_mechanisms, [&](auto& one) { return ascii::equal_ignoring_case(one.name, name); });
  return found == std::end(known_mechanisms) ? nullptr : found;
}

} // namespace

bool detail::is_sasl_name(std::string_view text) noexcept {
  return text.size() <= credential_octets_max && mail::is_utf8(text) &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; });
}

std::optional<std::string> detail::decode_saslname(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
      continue;
    }
    auto code = text.substr(i + 1, 2);
    if (code != "2C" && code != "3D")
      return std::nullopt;
    out += code == "2C" ? ',' : '=';
    i += 2;
  }
  return is_sasl_name(out) ? std::optional{std::move(out)} : std::nullopt;
}

void wipe(std::string& bytes) noexcept {
  explicit_bzero(bytes.data(), bytes.capacity());
  bytes.clear();
}

secret& secret::operator=(secret&& other) noexcept {
  if (this != &other) {
    wipe();
    bytes_ = std::move(other.bytes_);
  }
  return *this;
}

void secret::wipe() noexcept {
  if (bytes_)
    smtp::wipe(*bytes_);
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  auto data = text.substr(0, text.size() - padding);
  std::string out;
  out.reserve(text.size() / 4 * 3); // never grows, so it leaves no copy behind
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : data) {
    auto digit = digits[static_cast<unsigned char>(c)];
    if (digit < 0) {
      wipe(out);
      return std::nullopt;
    }
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  if ((bits & ((1U << count) - 1)) != 0) {
    wipe(out);
    return std::nullopt;
  }
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += k <= group.size() ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::unique_ptr<sasl_exchange> make_sasl_exchange(std::string_view mechanism, const sasl_scene& scene) {
  auto* found = find_mechanism(mechanism);
  return found == nullptr ? nullptr : found->make(scene);
}

std::optional<sasl_question> question_of_mechanism(std::string_view mechanism) noexcept {
  auto* found = find_mechanism(mechanism);
  return found == nullptr ? std::nullopt : std::optional{found->question};
}

} // namespace hedwig::smtp
