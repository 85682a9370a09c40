// SPDX-License-Identifier: Apache-2.0
#include "keys.hpp"

#include <botan/ecdsa.h>
#include <botan/ed25519.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <botan/system_rng.h>

#include <hedwig/plugin.hpp>

#include <algorithm>

#include "json.hpp"
#include "text.hpp"

namespace hedwig::auth_oauth {

namespace {

struct known_algorithm {
  std::string_view name;
  algorithm value;
  const char* key_type; // Botan's name
  const char* padding;
};

constexpr known_algorithm known_algorithms[] = {
    {"RS256", algorithm::rs256, "RSA", "EMSA3(SHA-256)"},
    {"PS256", algorithm::ps256, "RSA", "EMSA4(SHA-256,MGF1,32)"}, // RFC 7518 section 3.5: as much salt as hash
    {"ES256", algorithm::es256, "ECDSA", "EMSA1(SHA-256)"},
    {"EdDSA", algorithm::eddsa, "Ed25519", "Pure"},
};

const known_algorithm& facts_of(algorithm which) {
  return *std::ranges::find(known_algorithms, which, &known_algorithm::value);
}

std::vector<std::uint8_t> octets(const std::optional<std::string>& text) {
  return text ? std::vector<std::uint8_t>{text->begin(), text->end()} : std::vector<std::uint8_t>{};
}

std::vector<std::uint8_t> member(const json_object& from, const char* name) {
  auto text = from.text(name);
  return octets(text ? decode_base64url(*text) : std::nullopt);
}

using public_key = std::shared_ptr<const Botan::Public_Key>;

public_key read_rsa(const json_object& from) {
  auto n = member(from, "n");
  auto e = member(from, "e");
  if (n.empty() || n.size() * 8 > rsa_bits_max + 8 || e.empty() || e.size() > 8)
    return nullptr;
  Botan::BigInt modulus{n};
  if (modulus.bits() < rsa_bits_min || modulus.bits() > rsa_bits_max)
    return nullptr;
  return std::make_shared<Botan::RSA_PublicKey>(modulus, Botan::BigInt{e});
}

public_key read_ec(const json_object& from) {
  constexpr std::size_t coordinate = 32;
  auto x = member(from, "x");
  auto y = member(from, "y");
  if (from.text("crv") != "P-256" || x.size() != coordinate || y.size() != coordinate)
    return nullptr;
  Botan::EC_Group group{"secp256r1"};
  return std::make_shared<Botan::ECDSA_PublicKey>(group, group.point(Botan::BigInt{x}, Botan::BigInt{y}));
}

public_key read_okp(const json_object& from) {
  auto x = member(from, "x");
  if (from.text("crv") != "Ed25519" || x.size() != 32)
    return nullptr;
  return std::make_shared<Botan::Ed25519_PublicKey>(x);
}

/// Null: not one to check signatures with.
public_key read_public_key(const json_object& from) {
  auto use = from.text("use");
  auto operations = from.texts("key_ops");
  if ((use && *use != "sig") || (!operations.empty() && std::ranges::find(operations, "verify") == operations.end()))
    return nullptr;
  try {
    auto kind = from.text("kty");
    auto key = kind == "RSA" ? read_rsa(from) : kind == "EC" ? read_ec(from) : kind == "OKP" ? read_okp(from) : nullptr;
    return key && key->check_key(Botan::system_rng(), false) ? key : nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

} // namespace

std::optional<algorithm> algorithm_of(std::string_view name) noexcept {
  auto* found = std::ranges::find(known_algorithms, name, &known_algorithm::name);
  return found == std::end(known_algorithms) ? std::nullopt : std::optional{found->value};
}

bool verification_key::fits(algorithm with) const {
  return (!only_ || *only_ == with) && key_->algo_name() == facts_of(with).key_type;
}

bool verification_key::verifies(algorithm with, std::string_view text, std::string_view signature) const {
  if (!fits(with))
    return false;
  try {
    Botan::PK_Verifier verifier{*key_, facts_of(with).padding, Botan::IEEE_1363};
    return verifier.verify_message(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                   reinterpret_cast<const std::uint8_t*>(signature.data()), signature.size());
  } catch (const std::exception&) {
    return false; // a signature of a wrong size, to some algorithms
  }
}

key_set read_keys(std::string_view text) {
  auto broken = [](const char* why) { return sdk::failure{HEDWIG_E_UNAVAILABLE, why}; };
  if (text.size() > jwks_octets_max)
    throw broken("the key set is larger than 256 KiB");
  auto whole = json_object::parse(text);
  auto list = whole ? whole->objects("keys") : std::nullopt;
  if (!list)
    throw broken("this is no JSON Web Key Set (RFC 7517): it has no list named keys");
  if (list->size() > keys_max)
    throw broken("the key set holds more than 64 keys");
  key_set made;
  for (auto& one : *list) {
    auto key = read_public_key(one);
    auto name = one.text("alg");
    auto only = name ? algorithm_of(*name) : std::nullopt;
    if (!key || (name && !only))
      ++made.left_out;
    else
      made.keys.emplace_back(one.text("kid").value_or(""), only, std::move(key));
  }
  if (made.keys.empty())
    throw broken("the key set holds no key to check signatures with: RSA of 2048 to 8192 bits, P-256 or Ed25519");
  return made;
}

} // namespace hedwig::auth_oauth
