// SPDX-License-Identifier: Apache-2.0
// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
#include "runtime/smtp/sasl_scram.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/base/error.hpp"

namespace hedwig::smtp {

namespace {

constexpr std::size_t nonce_octets = 18;
constexpr std::size_t process_secret_octets = 32;
using sha256_digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

std::string random_octets(std::size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) != 1)
    panic("no randomness for SCRAM");
  return bytes;
}

std::string random_nonce() { return encode_base64(random_octets(nonce_octets)); }

sha256_digest hmac_sha256(std::string_view key, std::string_view text) {
  sha256_digest out{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), out.data(), &size) == nullptr)
    panic("out of memory for an HMAC");
  return out;
}

std::string text_of(const sha256_digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Takes "x=value" and the comma behind it off the front; nothing when it is not there.
std::optional<std::string_view> take_attribute(std::string_view& text, char name) {
  if (text.size() < 2 || text[0] != name || text[1] != '=')
    return std::nullopt;
  auto end = std::min(text.find(','), text.size());
  auto value = text.substr(2, end - 2);
  text.remove_prefix(std::min(end + 1, text.size()));
  return value;
}

bool is_nonce(std::string_view text) noexcept {
  return !text.empty() && text.size() <= scram_nonce_octets_max &&
         std::ranges::all_of(text, [](char c) { return c > 32 && c < 127 && c != ','; });
}

bool is_binding_type(std::string_view text) noexcept {
  return text == "tls-exporter" || text == "tls-server-end-point";
}

class scram_exchange final : public sasl_exchange {
public:
  scram_exchange(bool plus, const sasl_scene& scene)
    : plus_{plus}, plus_offered_{scene.offers_channel_binding}, make_nonce_{scene.make_nonce != nullptr
                                                                                ? scene.make_nonce
                                                                                : &random_nonce} {}

  sasl_step step(std::optional<std::string_view> response) override {
    if (response && response->size() > scram_message_octets_max)
      return sasl_malformed{};
    switch (state_) {
    case state::first:
      return response ? client_first(*response) : sasl_step{sasl_challenge{}};
    case state::final:
      return client_final(response.value_or(std::string_view{}));
    case state::proved:
      // RFC 4954 section 4: what the server proves goes as a challenge, which an empty response answers.
      return response && response->empty() ? sasl_step{sasl_proved{username_}} : sasl_malformed{};
    case state::asking:
      break;
    }
    return sasl_malformed{};
  }

  sasl_step keys_found(scram_keys keys, std::string_view binding) override {
    if (plus_ && binding.empty())
      return sasl_refused{username_, "the connection has no such channel binding"};
    keys_ = std::move(keys);
    binding_ = binding;
    nonce_ += make_nonce_();
    server_first_ = "r=" + nonce_ + ",s=" + encode_base64(keys_.salt) + ",i=" + std::to_string(keys_.iterations);
    state_ = state::final;
    return sasl_challenge{server_first_};
  }

private:
  enum class state : std::uint8_t { first, asking, final, proved };

  sasl_step client_first(std::string_view message) {
    auto flag = message.substr(0, std::min(message.find(','), message.size()));
    auto rest = message.substr(std::min(flag.size() + 1, message.size()));
    std::string_view authorize_as;
    if (rest.starts_with("a="))
      authorize_as = rest.substr(2, std::min(rest.find(','), rest.size()) - 2);
    auto header_end = rest.find(',');
    if (header_end == std::string_view::npos || (header_end > 0 && authorize_as.empty()))
      return sasl_malformed{};
    header_ = message.substr(0, flag.size() + 1 + header_end + 1);
    auto bare = message.substr(header_.size());
    client_first_bare_ = bare;
    // Section 5.1: "m=", an extension that has to be understood, stands in front of the name and so is refused.
    auto name = take_attribute(bare, 'n');
    auto nonce = take_attribute(bare, 'r');
    auto user = name ? detail::decode_saslname(*name) : std::nullopt;
    auto as = detail::decode_saslname(authorize_as);
    if (!user || user->empty() || !as || !nonce || !is_nonce(*nonce))
      return sasl_malformed{};
    username_ = *user;
    nonce_ = *nonce;
    return bind(flag, std::move(*as));
  }

  /// Section 6: what the flag says of channel binding must fit the mechanism, and what was offered.
  sasl_step bind(std::string_view flag, std::string authorize_as) {
    std::string type;
    if (flag.starts_with("p=")) {
      type = flag.substr(2);
      if (!plus_ || !is_binding_type(type))
        return sasl_malformed{};
    } else if (plus_ || (flag != "n" && flag != "y")) {
      return sasl_malformed{};
    } else if (flag == "y" && plus_offered_) {
      return sasl_refused{username_, "somebody took the -PLUS mechanism out of what was offered"};
    }
    state_ = state::asking;
    return credentials{username_, std::move(authorize_as), {}, sasl_question::scram, std::move(type)};
  }

  sasl_step client_final(std::string_view message) {
    auto proof_at = message.rfind(",p=");
    if (proof_at == std::string_view::npos)
      return sasl_malformed{};
    auto without_proof = message.substr(0, proof_at);
    auto proof = decode_base64(message.substr(proof_at + 3));
    auto rest = without_proof;
    auto channel = take_attribute(rest, 'c');
    auto nonce = take_attribute(rest, 'r');
    auto bound = channel ? decode_base64(*channel) : std::nullopt;
    if (!proof || proof->size() != SHA256_DIGEST_LENGTH || !bound || !nonce)
      return sasl_malformed{};
    auto text = client_first_bare_ + "," + server_first_ + "," + std::string{without_proof};
    auto right = proves(*proof, text);
    if (*bound != header_ + binding_)
      return sasl_refused{username_, "the channel binding is of another connection"};
    if (*nonce != nonce_ || !right || keys_.of_nobody)
      return sasl_refused{username_, "wrong password"};
    auto signature = hmac_sha256(keys_.server_key, text);
    state_ = state::proved;
    return sasl_challenge{"v=" + encode_base64(text_of(signature))};
  }

  [[nodiscard]] bool proves(std::string_view proof, std::string_view text) const {
    auto key = hmac_sha256(keys_.stored_key, text);
    for (std::size_t i = 0; i < key.size(); ++i)
      key[i] = static_cast<unsigned char>(key[i] ^ static_cast<unsigned char>(proof[i]));
    sha256_digest stored{};
    SHA256(key.data(), key.size(), stored.data());
    OPENSSL_cleanse(key.data(), key.size());
    return keys_.stored_key.size() == stored.size() &&
           CRYPTO_memcmp(stored.data(), keys_.stored_key.data(), stored.size()) == 0;
  }

  bool plus_;
  bool plus_offered_;
  std::string (*make_nonce_)();
  state state_ = state::first;
  std::string username_;
  std::string header_; // gs2-header
  std::string client_first_bare_;
  std::string server_first_;
  std::string nonce_;
  std::string binding_;
  scram_keys keys_;
};

const std::string& secret_of_process() {
  static const auto made = random_octets(process_secret_octets);
  return made;
}

} // namespace

scram_pretender::scram_pretender(std::string process_secret)
  : secret_{process_secret.empty() ? secret_of_process() : std::move(process_secret)} {}

void scram_pretender::learn(const scram_keys& real) noexcept {
  if (std::exchange(learnt_, true))
    return;
  iterations_ = real.iterations;
  salt_octets_ = std::min<std::size_t>(real.salt.size(), SHA256_DIGEST_LENGTH);
}

scram_keys scram_pretender::keys_for(std::string_view username) const {
  auto made = [&](std::string_view what) { return text_of(hmac_sha256(secret_, std::string{what}.append(username))); };
  return {.iterations = iterations_,
          .salt = made("salt ").substr(0, salt_octets_),
          .stored_key = made("stored key "),
          .server_key = made("server key "),
          .of_nobody = true};
}

std::unique_ptr<sasl_exchange> detail::make_scram_exchange(bool plus, const sasl_scene& scene) {
  return std::make_unique<scram_exchange>(plus, scene);
}

} // namespace hedwig::smtp
