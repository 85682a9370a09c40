// SPDX-License-Identifier: Apache-2.0
#include "app/sink/certificate.hpp"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace hedwig::sink {
namespace {

struct release {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using key_pointer = std::unique_ptr<EVP_PKEY, release>;
using certificate_pointer = std::unique_ptr<X509, release>;
using file_pointer = std::unique_ptr<std::FILE, release>;

constexpr long valid_seconds = 365L * 24 * 3600;

error failed(std::string what) { return {HEDWIG_E_INTERNAL, std::move(what), "self-signed certificate"}; }

certificate_pointer self_signed(EVP_PKEY* key, const std::string& hostname) {
  certificate_pointer out{X509_new()};
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  X509_set_version(out.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(out.get()), serial >> 1U);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), valid_seconds);
  X509_set_pubkey(out.get(), key);
  X509_NAME* name = X509_get_subject_name(out.get());
  const auto* text = reinterpret_cast<const unsigned char*>(hostname.c_str());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0);
  X509_set_issuer_name(out.get(), name);
  const std::string names = "DNS:" + hostname + ",DNS:localhost,IP:127.0.0.1,IP:::1";
  if (X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str())) {
    X509_add_ext(out.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  return X509_sign(out.get(), key, EVP_sha256()) != 0 ? std::move(out) : nullptr;
}

/// Both files in a folder that only we can read, gone with this object.
class temporary_files {
public:
  temporary_files() {
    std::string name = (std::filesystem::temp_directory_path() / "hedwig-sink-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr)
      folder_ = name;
  }
  temporary_files(const temporary_files&) = delete;
  temporary_files& operator=(const temporary_files&) = delete;
  ~temporary_files() {
    std::error_code ignored;
    if (!folder_.empty())
      std::filesystem::remove_all(folder_, ignored);
  }
  [[nodiscard]] bool good() const { return !folder_.empty(); }
  [[nodiscard]] std::string certificate() const { return folder_ + "/cert.pem"; }
  [[nodiscard]] std::string key() const { return folder_ + "/key.pem"; }

private:
  std::string folder_;
};

bool write_pem(const temporary_files& files, X509* certificate, EVP_PKEY* key) {
  const file_pointer first{std::fopen(files.certificate().c_str(), "w")};
  const file_pointer second{std::fopen(files.key().c_str(), "w")};
  return first && second && PEM_write_X509(first.get(), certificate) == 1 &&
         PEM_write_PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1;
}

} // namespace

result<std::shared_ptr<const net::tls_context>>
make_tls(const std::string& certificate_file, const std::string& key_file, const std::string& hostname, wall_time now) {
  net::tls_server_options options;
  options.certificate_file = certificate_file;
  options.key_file = key_file;
  if (!certificate_file.empty())
    return net::tls_context::make_server(options, now);
  const key_pointer key{EVP_EC_gen("P-256")};
  const certificate_pointer certificate = key ? self_signed(key.get(), hostname) : nullptr;
  if (!certificate)
    return std::unexpected{failed("cannot be made by OpenSSL")};
  const temporary_files files;
  if (!files.good())
    return std::unexpected{system_error(errno, "make a temporary folder")};
  if (!write_pem(files, certificate.get(), key.get()))
    return std::unexpected{failed("cannot be written")};
  options.certificate_file = files.certificate();
  options.key_file = files.key();
  return net::tls_context::make_server(options, now);
}

} // namespace hedwig::sink
