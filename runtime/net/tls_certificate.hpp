// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

namespace hedwig::net {

template <auto Free>
struct openssl_free {
  template <class T>
  void operator()(T* one) const noexcept {
    Free(one);
  }
};
struct x509_stack_free {
  void operator()(STACK_OF(X509) * all) const noexcept { sk_X509_pop_free(all, X509_free); }
};
using x509_ptr = std::unique_ptr<X509, openssl_free<X509_free>>;
using x509_stack_ptr = std::unique_ptr<STACK_OF(X509), x509_stack_free>;
using pkey_ptr = std::unique_ptr<EVP_PKEY, openssl_free<EVP_PKEY_free>>;
using ssl_ctx_ptr = std::unique_ptr<SSL_CTX, openssl_free<SSL_CTX_free>>;

/// Bytes of a file with certificates or a key; what is longer is refused.
inline constexpr std::size_t tls_file_octets_max = std::size_t{1} << 20;

/// A certificate with its chain and its key, as they stood in their files when those were read. Both files are read
/// once and whole; nothing is taken of a pair that does not fit together.
struct tls_certificate {
  x509_ptr own;
  x509_stack_ptr chain; ///< without `own`; may be empty, never null
  pkey_ptr key;
  std::string contents;           ///< digest_of() both files
  std::vector<std::string> names; ///< DNS names of subjectAltName, printable, lower case
  wall_time expires{};            ///< of the certificate or of one of its chain, whichever ends first
  /// What works but should be looked at: "certificate /etc/x.pem has expired on 2024-01-31".
  std::vector<std::string> warnings;

  /// Errors name the file and say what is wrong with it: missing, unreadable, too large, not PEM, cut off in the middle
  /// of a certificate, a key of another certificate or with a passphrase. Blocking.
  [[nodiscard]] static result<tls_certificate> load(const std::string& certificate_file, const std::string& key_file,
                                                    wall_time now);

  /// "RSA", "EC", "ED25519": of one kind a server shows one certificate for a name.
  [[nodiscard]] std::string kind() const;
};

/// SHA-256, 32 bytes.
[[nodiscard]] std::string digest_of(std::string_view text);
/// The epoch where it cannot be read.
[[nodiscard]] wall_time tls_time(const ASN1_TIME* time);
/// A whole file; the error says `what` it was.
[[nodiscard]] result<std::string> read_tls_file(const std::string& file, std::string_view what);
/// HEDWIG_E_CONFIG about `file`.
[[nodiscard]] std::unexpected<error> tls_file_error(const std::string& file, std::string message);

} // namespace hedwig::net
