// SPDX-License-Identifier: Apache-2.0
// The mechanisms that carry a bearer token: OAUTHBEARER and XOAUTH2.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "runtime/base/ascii.hpp"
#include "runtime/smtp/sasl.hpp"

namespace hedwig::smtp {

namespace {

constexpr char key_separator = '\1'; // RFC 7628 section 3.1, kvsep
constexpr std::size_t keys_max = 16;

/// RFC 6750 section 2.1.
bool is_bearer_token(std::string_view text) noexcept {
  auto end = text.find_last_not_of('=');
  if (end == std::string_view::npos || text.size() > token_octets_max)
    return false;
  return std::ranges::all_of(text.substr(0, end + 1), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"-._~+/"}.find(c) != std::string_view::npos;
  });
}

/// The key=value pairs of a message; views into it.
class key_values {
public:
  /// "key=value^Akey=value^A^A". False: it is not that, or a key stands twice.
  bool read(std::string_view text) {
    while (!text.empty() && text.front() != key_separator) {
      auto end = text.find(key_separator);
      auto equals = text.find('=');
      if (end == std::string_view::npos || equals == 0 || equals >= end || count_ == keys_max)
        return false;
      auto key = text.substr(0, equals);
      if (find(key) || !std::ranges::all_of(key, [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }))
        return false;
      all_[count_++] = {key, text.substr(equals + 1, end - equals - 1)};
      text.remove_prefix(end + 1);
    }
    return text.size() == 1;
  }
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const {
    for (auto& [name, value] : std::span{all_}.first(count_))
      if (name == key)
        return value;
    return std::nullopt;
  }

private:
  std::array<std::pair<std::string_view, std::string_view>, keys_max> all_;
  std::size_t count_ = 0;
};

class token_exchange : public sasl_exchange {
public:
  sasl_step step(std::optional<std::string_view> response) final {
    if (told_)
      return sasl_heard{}; // ^A, or nothing; it has no say any more
    if (!response)
      return sasl_challenge{};
    return read(*response);
  }

  std::optional<std::string> failure_notice() final {
    told_ = true;
    return notice();
  }

protected:
  [[nodiscard]] virtual sasl_step read(std::string_view message) = 0;
  [[nodiscard]] virtual std::string notice() const = 0;

  /// `auth` is "Bearer TOKEN".
  [[nodiscard]] sasl_step with_token(std::string username, std::string_view auth) {
    constexpr std::string_view scheme = "Bearer ";
    if (auth.size() < scheme.size() || !ascii::equal_ignoring_case(auth.substr(0, scheme.size()), scheme)) {
      no_token_ = true;
      return sasl_refused{std::move(username), "no bearer token"};
    }
    auto token = auth.substr(std::min(auth.find_first_not_of(' ', scheme.size()), auth.size()));
    if (!is_bearer_token(token))
      return sasl_malformed{};
    return credentials{std::move(username), {}, secret{std::string{token}}, sasl_question::token};
  }

  bool no_token_ = false;

private:
  bool told_ = false;
};

class oauthbearer_exchange final : public token_exchange {
  /// RFC 7628 section 3.1: "n,a=USER,^Ahost=HOST^Aport=PORT^Aauth=Bearer TOKEN^A^A".
  sasl_step read(std::string_view message) override {
    auto end = message.find(key_separator);
    if (end == std::string_view::npos)
      return sasl_malformed{};
    auto user = read_header(message.substr(0, end));
    key_values keys;
    if (!user || !keys.read(message.substr(end + 1)))
      return sasl_malformed{};
    // Section 4.3: without a token the client asks where to get one.
    return with_token(std::move(*user), keys.find("auth").value_or(std::string_view{}));
  }

  /// The gs2-header (RFC 5801 section 4) without channel binding, which a token does not have.
  static std::optional<std::string> read_header(std::string_view header) {
    if (!header.starts_with("n,") && !header.starts_with("y,"))
      return std::nullopt;
    header.remove_prefix(2);
    if (!header.ends_with(',') || header.find(',') != header.size() - 1)
      return std::nullopt;
    header.remove_suffix(1);
    if (header.empty())
      return std::string{};
    auto name = header.starts_with("a=") ? detail::decode_saslname(header.substr(2)) : std::nullopt;
    return name && !name->empty() ? name : std::nullopt;
  }

  // RFC 7628 section 3.2.2.
  std::string notice() const override {
    return no_token_ ? R"({"status":"invalid_request"})" : R"({"status":"invalid_token"})";
  }
};

class xoauth2_exchange final : public token_exchange {
  /// "user=USER^Aauth=Bearer TOKEN^A^A".
  sasl_step read(std::string_view message) override {
    key_values keys;
    if (!keys.read(message))
      return sasl_malformed{};
    auto user = keys.find("user");
    if (!user || user->empty() || !detail::is_sasl_name(*user))
      return sasl_malformed{};
    return with_token(std::string{*user}, keys.find("auth").value_or(std::string_view{}));
  }

  std::string notice() const override {
    return no_token_ ? R"({"status":"400","schemes":"Bearer","scope":""})"
                     : R"({"status":"401","schemes":"Bearer","scope":""})";
  }
};

} // namespace

std::unique_ptr<sasl_exchange> detail::make_oauthbearer_exchange() { return std::make_unique<oauthbearer_exchange>(); }
std::unique_ptr<sasl_exchange> detail::make_xoauth2_exchange() { return std::make_unique<xoauth2_exchange>(); }

} // namespace hedwig::smtp
