// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace hedwig::test {

/// An authority of the test's own, and what it certifies. Everything lands in one folder.
class authority {
public:
  authority(std::string folder, const std::string& name);

  /// PEM of the authority alone.
  const std::string& file() const { return file_; }

  struct pair {
    std::string certificate;
    std::string key;
  };
  /// For a host name or an IP address; valid until `valid_seconds` from now, which may be over.
  pair certify(const std::string& host, long valid_seconds = 3600) const;

private:
  template <class T, auto Free>
  struct frees {
    void operator()(T* what) const noexcept { Free(what); }
  };
  using key_ptr = std::unique_ptr<EVP_PKEY, frees<EVP_PKEY, EVP_PKEY_free>>;
  using certificate_ptr = std::unique_ptr<X509, frees<X509, X509_free>>;
  static key_ptr make_key();
  certificate_ptr make_certificate(EVP_PKEY* key, const std::string& name, const std::string& alternative,
                                   bool is_authority, long valid_seconds) const;

  std::string folder_;
  std::string file_;
  std::string name_;
  key_ptr key_;
};

} // namespace hedwig::test
