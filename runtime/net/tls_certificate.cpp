// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_certificate.hpp"

#include "runtime/base/ascii.hpp"
#include "runtime/net/tls_session.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>

namespace hedwig::net {

namespace {

constexpr std::size_t name_octets_max = 253; // RFC 1035, section 2.3.4, as text
constexpr int names_max = 1000;

using bio_ptr = std::unique_ptr<BIO, openssl_free<BIO_free_all>>;

bio_ptr reader_of(std::string_view text) {
  bio_ptr made{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  if (!made)
    panic("out of memory for OpenSSL");
  return made;
}

/// The key was read, but is of another certificate or another kind.
bool is_mismatch(unsigned long code) {
  auto reason = ERR_GET_REASON(code);
  return ERR_GET_LIB(code) == ERR_LIB_X509 &&
         (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

int no_passphrase(char*, int, int, void*) {
  return 0; // never ask on a terminal
}

std::string date_of(wall_time time) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::vector<std::string> dns_names_of(X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < std::min(sk_GENERAL_NAME_num(names), names_max); ++i) {
    auto* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS)
      continue;
    auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    auto size = static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName));
    if (size > 0 && size <= name_octets_max)
      out.push_back(printable({text, size}, name_octets_max));
  }
  GENERAL_NAMES_free(names);
  for (auto& name : out)
    std::ranges::transform(name, name.begin(), ascii::lower);
  return out;
}

/// Public authorities say where their own certificate can be had, private ones hardly ever do.
bool tells_where_its_issuer_is(X509* certificate) {
  auto* found = static_cast<AUTHORITY_INFO_ACCESS*>(X509_get_ext_d2i(certificate, NID_info_access, nullptr, nullptr));
  bool tells = false;
  for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(found); ++i)
    tells = tells || OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(found, i)->method) == NID_ad_ca_issuers;
  AUTHORITY_INFO_ACCESS_free(found);
  return tells;
}

bool is_issued_by_a_root_of_this_machine(X509* certificate) {
  std::unique_ptr<X509_STORE, openssl_free<X509_STORE_free>> store{X509_STORE_new()};
  std::unique_ptr<X509_STORE_CTX, openssl_free<X509_STORE_CTX_free>> look{X509_STORE_CTX_new()};
  if (!store || !look || X509_STORE_set_default_paths(store.get()) != 1 ||
      X509_STORE_CTX_init(look.get(), store.get(), certificate, nullptr) != 1)
    return true; // nothing is known, so nothing is complained about
  X509* issuer = nullptr;
  bool known = X509_STORE_CTX_get1_issuer(&issuer, look.get(), certificate) == 1;
  X509_free(issuer);
  ERR_clear_error();
  return known;
}

class pair_reader {
public:
  pair_reader(const std::string& certificate_file, const std::string& key_file, wall_time now)
    : certificate_file_{certificate_file}, key_file_{key_file}, now_{now} {}

  result<tls_certificate> read() {
    auto certificate = read_tls_file(certificate_file_, "certificate");
    if (!certificate)
      return std::unexpected{certificate.error()};
    auto key = read_tls_file(key_file_, "key");
    if (!key)
      return std::unexpected{key.error()};
    auto done = read_certificates(*certificate);
    if (done)
      done = read_key(*key);
    made_.contents = digest_of(*certificate) + digest_of(*key);
    OPENSSL_cleanse(key->data(), key->size());
    if (!done)
      return std::unexpected{done.error()};
    made_.names = dns_names_of(made_.own.get());
    look_at_dates();
    look_at_chain();
    return std::move(made_);
  }

private:
  result<void> read_certificates(std::string_view text) {
    ERR_clear_error();
    auto from = reader_of(text);
    made_.own.reset(PEM_read_bio_X509_AUX(from.get(), nullptr, no_passphrase, nullptr));
    if (!made_.own)
      return not_usable();
    made_.chain.reset(sk_X509_new_null());
    while (auto* next = PEM_read_bio_X509(from.get(), nullptr, no_passphrase, nullptr))
      sk_X509_push(made_.chain.get(), next);
    auto why = ERR_peek_last_error();
    if (ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE)
      return not_usable(); // the file breaks off
    ERR_clear_error();
    return {};
  }

  result<void> not_usable() const {
    return tls_file_error(certificate_file_,
                          fmt::format("no usable certificate ({}): write the path of a PEM file with the certificate, "
                                      "followed by its chain",
                                      last_tls_error()));
  }

  result<void> read_key(std::string_view text) {
    ERR_clear_error();
    made_.key.reset(PEM_read_bio_PrivateKey(reader_of(text).get(), nullptr, no_passphrase, nullptr));
    if (!made_.key)
      return tls_file_error(key_file_, fmt::format("no usable key ({}): write the path of a PEM file with an "
                                                   "unencrypted private key",
                                                   last_tls_error()));
    if (X509_check_private_key(made_.own.get(), made_.key.get()) == 1)
      return {};
    if (is_mismatch(ERR_peek_last_error()))
      return tls_file_error(key_file_, fmt::format("this key does not belong to the certificate in {}: write the path "
                                                   "of the key that the certificate was made for",
                                                   certificate_file_));
    return tls_file_error(key_file_, fmt::format("this key cannot be used ({})", last_tls_error()));
  }

  void look_at_dates() {
    made_.expires = tls_time(X509_get0_notAfter(made_.own.get()));
    auto begins = tls_time(X509_get0_notBefore(made_.own.get()));
    if (made_.expires <= now_)
      warn("has expired on {}", date_of(made_.expires));
    if (begins > now_)
      warn("is not valid before {}", date_of(begins));
  }

  /// Walks from the certificate towards its root. What is missing at the end is mostly the root, as it should be.
  void look_at_chain() {
    auto* at = made_.own.get();
    std::vector<X509*> left;
    for (int i = 0; i < sk_X509_num(made_.chain.get()); ++i)
      left.push_back(sk_X509_value(made_.chain.get(), i));
    while (X509_self_signed(at, 0) != 1) {
      auto issuer = std::ranges::find_if(left, [&](auto* one) { return X509_check_issued(one, at) == X509_V_OK; });
      if (issuer == left.end())
        break;
      at = *issuer;
      left.erase(issuer);
      if (auto ends = tls_time(X509_get0_notAfter(at)); ends < made_.expires) {
        made_.expires = ends;
        if (ends <= now_)
          warn("has a chain with a certificate that has expired on {}", date_of(ends));
      }
    }
    if (!left.empty())
      warn("is followed by {} that {} not belong to its chain: remove what is not needed, or put in what is missing",
           left.size() == 1 ? "a certificate" : fmt::format("{} certificates", left.size()),
           left.size() == 1 ? "does" : "do");
    if (X509_self_signed(at, 0) != 1 && tells_where_its_issuer_is(at) && !is_issued_by_a_root_of_this_machine(at))
      warn("has an incomplete chain, and who checks it will not trust it: append the certificates between it and the "
           "root, as the authority hands them out (\"fullchain\")");
    ERR_clear_error();
  }

  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) {
    made_.warnings.push_back(
        fmt::format("certificate {} {}", certificate_file_, fmt::format(text, std::forward<Args>(args)...)));
  }

  const std::string& certificate_file_;
  const std::string& key_file_;
  wall_time now_;
  tls_certificate made_;
};

} // namespace

wall_time tls_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1)
    return {};
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::from_time_t(timegm(&parts)));
}

std::string expiry_text(const tls_certificate_facts& of, wall_time now) {
  auto names = of.names.empty() ? std::string{} : fmt::format(" ({})", of.names);
  if (of.expires <= now)
    return fmt::format("certificate {}{} has expired on {}", of.file, names, date_of(of.expires));
  auto days = std::chrono::duration_cast<std::chrono::days>(of.expires - now).count();
  return fmt::format("certificate {}{} expires in {} day{}, on {}", of.file, names, days, days == 1 ? "" : "s",
                     date_of(of.expires));
}

std::string digest_of(std::string_view text) {
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &size, EVP_sha256(), nullptr);
  out.resize(size);
  return out;
}

std::unexpected<error> tls_file_error(const std::string& file, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), file, 0}};
}

result<std::string> read_tls_file(const std::string& file, std::string_view what) {
  auto fail = [&](int status) -> std::unexpected<error> {
    auto failed = system_error(status, fmt::format("cannot read the {}", what));
    failed.where = file;
    return std::unexpected{failed};
  };
  std::unique_ptr<std::FILE, openssl_free<std::fclose>> opened{std::fopen(file.c_str(), "re")};
  if (!opened)
    return fail(errno);
  std::string text(tls_file_octets_max + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), opened.get()));
  if (std::ferror(opened.get()) != 0) // a folder opens, but does not read
    return fail(errno);
  if (text.empty())
    return tls_file_error(file, fmt::format("the {} is empty", what));
  if (text.size() > tls_file_octets_max)
    return tls_file_error(file, fmt::format("the {} is larger than {} bytes", what, tls_file_octets_max));
  return text;
}

result<tls_certificate> tls_certificate::load(const std::string& certificate_file, const std::string& key_file,
                                              wall_time now) {
  return pair_reader{certificate_file, key_file, now}.read();
}

std::string tls_certificate::kind() const {
  auto* name = EVP_PKEY_get0_type_name(key.get());
  return name == nullptr ? std::string{"unknown"} : std::string{name};
}

} // namespace hedwig::net
