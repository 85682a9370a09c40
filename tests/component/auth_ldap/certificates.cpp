// SPDX-License-Identifier: Apache-2.0
#include "tests/component/auth_ldap/certificates.hpp"

#include <cstdio>
#include <stdexcept>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace hedwig::test {

namespace {

struct file_closer {
  void operator()(FILE* file) const noexcept { std::fclose(file); }
};
std::unique_ptr<FILE, file_closer> writing(const std::string& path) {
  std::unique_ptr<FILE, file_closer> file{std::fopen(path.c_str(), "w")};
  if (!file)
    throw std::runtime_error{"cannot write " + path};
  return file;
}

void extend(X509* certificate, int kind, const std::string& text) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, text.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void set_name(X509_NAME* name, const std::string& text) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
}

} // namespace

authority::authority(std::string folder, const std::string& name)
  : folder_{std::move(folder)}, file_{folder_ + "/" + name + ".pem"}, name_{name}, key_{make_key()} {
  PEM_write_X509(writing(file_).get(), make_certificate(key_.get(), name_, "", true, 3600).get());
}

authority::key_ptr authority::make_key() { return key_ptr{EVP_EC_gen("P-256")}; }

authority::certificate_ptr authority::make_certificate(EVP_PKEY* key, const std::string& name,
                                                       const std::string& alternative, bool is_authority,
                                                       long valid_seconds) const {
  static long serial = 1;
  certificate_ptr made{X509_new()};
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -86400);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_seconds);
  X509_set_pubkey(made.get(), key);
  set_name(X509_get_subject_name(made.get()), name);
  set_name(X509_get_issuer_name(made.get()), name_);
  extend(made.get(), NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (is_authority)
    extend(made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!alternative.empty())
    extend(made.get(), NID_subject_alt_name, alternative);
  X509_sign(made.get(), key_.get(), EVP_sha256());
  return made;
}

authority::pair authority::certify(const std::string& host, long valid_seconds) const {
  auto key = make_key();
  bool is_ip = host.find_first_not_of("0123456789.") == std::string::npos;
  auto certificate = make_certificate(key.get(), host, (is_ip ? "IP:" : "DNS:") + host, false, valid_seconds);
  auto stem = folder_ + "/" + name_ + "." + host + "." + std::to_string(valid_seconds);
  PEM_write_X509(writing(stem + ".crt").get(), certificate.get());
  PEM_write_PrivateKey(writing(stem + ".key").get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {stem + ".crt", stem + ".key"};
}

} // namespace hedwig::test
