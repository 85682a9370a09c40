// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_tickets.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

namespace hedwig::net {

namespace {

std::shared_ptr<const tls_ticket_keys::key> fresh_ticket_key() {
  auto made = std::make_shared<tls_ticket_keys::key>();
  if (RAND_bytes(made->name.data(), static_cast<int>(made->name.size())) != 1 ||
      RAND_priv_bytes(made->cipher.data(), static_cast<int>(made->cipher.size())) != 1 ||
      RAND_priv_bytes(made->mac.data(), static_cast<int>(made->mac.size())) != 1)
    return nullptr;
  return made;
}

bool set_mac_key(EVP_MAC_CTX* mac, const tls_ticket_keys::key& with) {
  char digest[] = "SHA256";
  OSSL_PARAM settings[] = {OSSL_PARAM_construct_octet_string(
                               OSSL_MAC_PARAM_KEY, const_cast<unsigned char*>(with.mac.data()), with.mac.size()),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, settings) == 1;
}

} // namespace

tls_ticket_keys::key::~key() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

tls_ticket_keys::tls_ticket_keys(hedwig::clock& time, std::chrono::nanoseconds interval)
  : time_{time}, interval_{interval} {}

void tls_ticket_keys::set_interval(std::chrono::nanoseconds interval) {
  std::lock_guard guard{mutex_};
  interval_ = interval;
}

std::chrono::nanoseconds tls_ticket_keys::interval() const {
  std::lock_guard guard{mutex_};
  return interval_;
}

void tls_ticket_keys::rotate_when_due() {
  auto now = time_.steady();
  if (interval_ <= std::chrono::nanoseconds{0}) {
    current_.reset();
    previous_.reset();
    return;
  }
  if (current_ && now - current_since_ < interval_)
    return;
  // The one before is of use only where the interval ended just now, not where nobody looked for long.
  previous_ = current_ && now - current_since_ < 2 * interval_ ? current_ : nullptr;
  auto since = previous_ ? current_since_ + interval_ : now;
  current_ = fresh_ticket_key();
  current_since_ = since;
  made_.fetch_add(current_ ? 1 : 0, std::memory_order_relaxed);
}

std::shared_ptr<const tls_ticket_keys::key> tls_ticket_keys::sealing() {
  std::lock_guard guard{mutex_};
  rotate_when_due();
  // A context from before tickets were switched off seals all the same, with what opens nothing.
  return current_ ? current_ : fresh_ticket_key();
}

std::optional<tls_ticket_keys::opening> tls_ticket_keys::find(name_view name) {
  std::lock_guard guard{mutex_};
  rotate_when_due();
  auto is = [&](const std::shared_ptr<const key>& one) { return one && std::ranges::equal(one->name, name); };
  if (is(current_))
    return opening{current_, false};
  if (is(previous_))
    return opening{previous_, true};
  return std::nullopt;
}

void tls_ticket_keys::look() {
  std::lock_guard guard{mutex_};
  if (current_)
    rotate_when_due();
}

int tls_ticket_keys::arm(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal) {
  opening use;
  if (seal) {
    use.with = sealing();
    if (!use.with)
      return failed;
    std::ranges::copy(use.with->name, name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
      return failed;
  } else {
    auto found = find(name_view{name, name_octets});
    if (!found)
      return unknown;
    use = *found;
  }
  auto init = seal ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  if (init(cipher, EVP_aes_256_cbc(), nullptr, use.with->cipher.data(), iv) != 1 || !set_mac_key(mac, *use.with))
    return failed;
  return use.renew ? good_but_renew : good;
}

} // namespace hedwig::net
