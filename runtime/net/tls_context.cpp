// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_session.hpp"
#include "runtime/net/tls_session_cache.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

namespace hedwig::net {

namespace {

// Forward secrecy and authenticated encryption first; CBC suites remain for old mail servers. TLS 1.3 has its own list.
constexpr const char* server_ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5";
// Towards a server the alternative is often clear text, so suites without forward secrecy are the last choice.
constexpr const char* client_ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5";
constexpr std::size_t names_max = 512;

std::unexpected<error> config_error(const std::string& file, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), file, 0}};
}

/// OpenSSL's own texts for a file that is not there are of little help.
result<void> check_readable(const std::string& file, std::string_view what) {
  auto* opened = std::fopen(file.c_str(), "re");
  if (opened == nullptr) {
    auto failed = system_error(errno, fmt::format("cannot read the {}", what));
    failed.where = file;
    return std::unexpected{failed};
  }
  // A folder opens, but does not read.
  auto first = std::fgetc(opened);
  auto status = std::ferror(opened) ? errno : 0;
  std::fclose(opened);
  if (status != 0 || first == EOF) {
    auto failed = status != 0 ? system_error(status, fmt::format("cannot read the {}", what))
                              : error{HEDWIG_E_CONFIG, fmt::format("the {} is empty", what), {}, 0};
    failed.where = file;
    return std::unexpected{failed};
  }
  return {};
}

/// The key was read, but is of another certificate or another kind.
bool is_mismatch(unsigned long code) {
  auto reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SSL)
    return reason == SSL_R_NO_CERTIFICATE_ASSIGNED;
  return ERR_GET_LIB(code) == ERR_LIB_X509 &&
         (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH);
}

int no_passphrase(char*, int, int, void*) {
  return 0; // never ask on a terminal
}

wall_time to_wall(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1)
    return {};
  return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::from_time_t(timegm(&parts)));
}

std::string date_of(wall_time time) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string names_of(X509* certificate) {
  std::string out;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && out.size() < names_max; ++i) {
    auto* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS)
      continue;
    auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    out += out.empty() ? "" : ", ";
    out += printable({text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}, names_max);
  }
  GENERAL_NAMES_free(names);
  return out;
}

} // namespace

tls_context::tls_context(tls_role role) noexcept : role_{role} {}

tls_context::~tls_context() { SSL_CTX_free(raw_); }

/// Fills a context step by step; each step names the file that is at fault.
class tls_context_builder {
public:
  explicit tls_context_builder(tls_role role) : made_{new tls_context{role}} {
    ERR_clear_error();
    auto* raw = SSL_CTX_new(role == tls_role::server ? TLS_server_method() : TLS_client_method());
    if (raw == nullptr)
      panic("out of memory for OpenSSL");
    made_->raw_ = raw;
    SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
    SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(raw,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
    SSL_CTX_set_cipher_list(raw, role == tls_role::server ? server_ciphers : client_ciphers);
  }

  result<void> certificate(const std::string& certificate_file, const std::string& key_file, wall_time now) {
    if (auto readable = check_readable(certificate_file, "certificate"); !readable)
      return readable;
    if (auto readable = check_readable(key_file, "key"); !readable)
      return readable;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(raw(), certificate_file.c_str()) != 1)
      return config_error(certificate_file,
                          fmt::format("no usable certificate ({}): write the path of a PEM file with the certificate, "
                                      "followed by its chain",
                                      last_tls_error()));
    if (auto used = key(certificate_file, key_file); !used)
      return used;
    describe(certificate_file, now);
    return {};
  }

  result<void> authorities(const std::string& file) {
    if (auto readable = check_readable(file, "list of authorities"); !readable)
      return readable;
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(raw(), file.c_str()) != 1)
      return config_error(file, fmt::format("no usable certificate of an authority ({}): write the path of a PEM file",
                                            last_tls_error()));
    return {};
  }

  result<void> system_authorities() {
    ERR_clear_error();
    if (SSL_CTX_set_default_verify_paths(raw()) != 1)
      return std::unexpected{
          error{HEDWIG_E_CONFIG, "cannot load the system's authorities: " + last_tls_error(), {}, 0}};
    return {};
  }

  void server_rules(const tls_server_options& options) {
    using mode = tls_server_options::client_certificate;
    static constexpr unsigned char id[] = "hedwig";
    SSL_CTX_set_session_cache_mode(raw(), SSL_SESS_CACHE_OFF); // tickets carry the state
    SSL_CTX_set_session_id_context(raw(), id, sizeof id - 1);
    SSL_CTX_set_num_tickets(raw(), 1);
    SSL_CTX_set_dh_auto(raw(), 1);
    if (options.client == mode::require)
      SSL_CTX_set_verify(raw(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    else if (options.client == mode::request)
      SSL_CTX_set_verify(raw(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; }); // the result is reported
    if (!options.client_ca_file.empty())
      SSL_CTX_set_client_CA_list(raw(), SSL_load_client_CA_file(options.client_ca_file.c_str()));
  }

  void client_rules(const tls_client_options& options) {
    auto mode = options.verify == tls_client_options::verify_mode::name ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    SSL_CTX_set_verify(raw(), mode, nullptr);
    made_->sessions_ = std::make_unique<tls_context::session_cache>(options.sessions_max);
    SSL_CTX_set_session_cache_mode(raw(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(raw(), [](SSL* ssl, SSL_SESSION* session) {
      auto& owner = *static_cast<tls_session*>(SSL_get_app_data(ssl));
      owner.context_->sessions_->put(owner.cache_key_, ssl_session_ptr{session});
      return 1; // the reference is ours now
    });
  }

  [[nodiscard]] std::shared_ptr<const tls_context> take() { return std::move(made_); }

private:
  [[nodiscard]] SSL_CTX* raw() const { return made_->raw_; }

  result<void> key(const std::string& certificate_file, const std::string& key_file) {
    if (SSL_CTX_use_PrivateKey_file(raw(), key_file.c_str(), SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(raw()) == 1)
      return {};
    if (is_mismatch(ERR_peek_last_error()))
      return config_error(key_file, fmt::format("this key does not belong to the certificate in {}: write the path of "
                                                "the key that the certificate was made for",
                                                certificate_file));
    return config_error(key_file, fmt::format("no usable key ({}): write the path of a PEM file with an unencrypted "
                                              "private key",
                                              last_tls_error()));
  }

  void describe(const std::string& file, wall_time now) {
    auto* certificate = SSL_CTX_get0_certificate(raw());
    made_->names_ = names_of(certificate);
    made_->expires_ = to_wall(X509_get0_notAfter(certificate));
    auto begins = to_wall(X509_get0_notBefore(certificate));
    if (made_->expires_ <= now)
      made_->warnings_.push_back(fmt::format("certificate {} has expired on {}", file, date_of(made_->expires_)));
    if (begins > now)
      made_->warnings_.push_back(fmt::format("certificate {} is not valid before {}", file, date_of(begins)));
  }

  std::shared_ptr<tls_context> made_;
};

result<std::shared_ptr<const tls_context>> tls_context::make_server(const tls_server_options& options, wall_time now) {
  tls_context_builder builder{tls_role::server};
  if (auto used = builder.certificate(options.certificate_file, options.key_file, now); !used)
    return std::unexpected{used.error()};
  if (!options.client_ca_file.empty())
    if (auto loaded = builder.authorities(options.client_ca_file); !loaded)
      return std::unexpected{loaded.error()};
  builder.server_rules(options);
  return builder.take();
}

result<std::shared_ptr<const tls_context>> tls_context::make_client(const tls_client_options& options, wall_time now) {
  tls_context_builder builder{tls_role::client};
  auto loaded = options.ca_file.empty() ? builder.system_authorities() : builder.authorities(options.ca_file);
  if (!loaded)
    return std::unexpected{loaded.error()};
  if (!options.certificate_file.empty() || !options.key_file.empty())
    if (auto used = builder.certificate(options.certificate_file, options.key_file, now); !used)
      return std::unexpected{used.error()};
  builder.client_rules(options);
  return builder.take();
}

} // namespace hedwig::net
