// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_server_side.hpp"
#include "runtime/net/tls_session.hpp"
#include "runtime/net/tls_session_cache.hpp"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>

namespace hedwig::net {

namespace {

// Forward secrecy and authenticated encryption first; CBC suites remain for old mail servers. No finite-field DHE: it
// costs a server far more than its client (CVE-2002-20001), and whoever lacks ECDHE has long been gone. TLS 1.3 has its
// own list. No CCM: its 8-octet tags are too short, and no mail server has but that.
constexpr const char* server_ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5";
// For the same reason neither the large ffdhe groups of OpenSSL's own list nor slow curves.
constexpr const char* server_groups = "X25519:P-256:P-384";
// Towards a server the alternative is often clear text, so suites without forward secrecy are the last choice.
constexpr const char* client_ciphers =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!PSK:!SRP:!DSS:!MD5";
constexpr std::size_t names_text_max = 512;

/// RFC 8446, section 4.6.1.
constexpr std::chrono::hours ticket_lifetime_max{7 * 24};

std::string joined_names(const std::vector<std::string>& names) {
  std::string out;
  for (auto& name : names) {
    if (out.size() >= names_text_max)
      break;
    out += out.empty() ? "" : ", ";
    out += name;
  }
  return out;
}

tls_certificate_facts facts_of(const tls_certificate& from, const tls_certificate_files& files) {
  return {.file = files.certificate,
          .key_file = files.key,
          .names = joined_names(from.names),
          .kind = from.kind(),
          .expires = from.expires,
          .warnings = from.warnings};
}

/// What holds for every context, whatever its role.
ssl_ctx_ptr make_raw_context(tls_role role) {
  ERR_clear_error();
  ssl_ctx_ptr made{SSL_CTX_new(role == tls_role::server ? TLS_server_method() : TLS_client_method())};
  if (!made)
    panic("out of memory for OpenSSL");
  auto* raw = made.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_cipher_list(raw, role == tls_role::server ? server_ciphers : client_ciphers);
  return made;
}

result<void> use_certificate(SSL_CTX* raw, const tls_certificate& one, const std::string& file) {
  ERR_clear_error();
  if (SSL_CTX_use_cert_and_key(raw, one.own.get(), one.key.get(), one.chain.get(), 1) == 1)
    return {};
  return tls_file_error(file, fmt::format("this certificate cannot be used ({})", last_tls_error()));
}

result<void> use_authorities(SSL_CTX* raw, const std::string& file) {
  if (auto readable = read_tls_file(file, "list of authorities"); !readable)
    return std::unexpected{readable.error()};
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(raw, file.c_str()) != 1)
    return tls_file_error(file, fmt::format("no usable certificate of an authority ({}): write the path of a PEM file",
                                            last_tls_error()));
  return {};
}

result<void> use_system_authorities(SSL_CTX* raw) {
  ERR_clear_error();
  if (SSL_CTX_set_default_verify_paths(raw) != 1)
    return std::unexpected{error{HEDWIG_E_CONFIG, "cannot load the system's authorities: " + last_tls_error(), {}, 0}};
  return {};
}

} // namespace

tls_context::tls_context(tls_role role) : role_{role} {}

tls_context::~tls_context() { SSL_CTX_free(raw_); }

/// Makes the contexts of a server: one for each set of certificates, otherwise alike.
class tls_server_builder {
public:
  tls_server_builder(const tls_server_options& options, wall_time now) : options_{options}, now_{now} {
    side_.fingerprints = options.client_fingerprints;
    side_.certificate_required = options.client == tls_server_options::client_certificate::require;
    side_.tickets = options.commons.tickets;
  }

  result<std::shared_ptr<const tls_context>> make() {
    if (auto loaded = load_all(); !loaded)
      return std::unexpected{loaded.error()};
    if (auto read = read_authorities(); !read)
      return std::unexpected{read.error()};
    name_scope();
    side_.names.emplace(names_, kinds_);
    for (auto& set : side_.names->sets())
      if (auto made = make_one(set); !made)
        return std::unexpected{made.error()};
    if (options_.commons.gate)
      made_->handshakes_ = std::make_shared<handshake_gate::lane>(options_.commons.gate, options_.handshakes_max);
    return std::shared_ptr<const tls_context>{std::move(made_)};
  }

private:
  result<void> load_all() {
    std::vector<tls_certificate_files> files{{options_.certificate_file, options_.key_file}};
    files.insert(files.end(), options_.more.begin(), options_.more.end());
    for (auto& one : files) {
      auto loaded = tls_certificate::load(one.certificate, one.key, now_);
      if (!loaded)
        return std::unexpected{loaded.error()};
      made_->certificates_.push_back(facts_of(*loaded, one));
      kinds_.push_back(loaded->kind());
      contents_ += loaded->contents;
      if (!certificates_.empty())
        look_at_further(*loaded, made_->certificates_.back());
      names_.push_back(loaded->names);
      certificates_.push_back(std::move(*loaded));
    }
    return {};
  }

  /// What would never be shown to anybody.
  void look_at_further(const tls_certificate& one, tls_certificate_facts& facts) const {
    auto is_taken = [&](const std::string& name) {
      for (std::size_t i = 0; i < names_.size(); ++i)
        if (kinds_[i] == kinds_.back() && std::ranges::find(names_[i], name) != names_[i].end())
          return true;
      return false;
    };
    if (one.names.empty())
      facts.warnings.push_back(
          fmt::format("certificate {} has no DNS name in subjectAltName, so that no client is shown it", facts.file));
    else if (std::ranges::all_of(one.names, is_taken))
      facts.warnings.push_back(fmt::format(
          "certificate {} has no name of its own: those before it, of the same kind, are shown instead", facts.file));
  }

  result<void> read_authorities() {
    if (options_.client_ca_file.empty())
      return {};
    auto text = read_tls_file(options_.client_ca_file, "list of authorities");
    if (!text)
      return std::unexpected{text.error()};
    authorities_ = std::move(*text);
    return {};
  }

  /// A session is taken up again only where its client would be trusted as it was then.
  void name_scope() {
    std::string rules = fmt::format("hedwig {} {}\n", static_cast<int>(options_.client), authorities_);
    for (auto& one : options_.client_fingerprints)
      rules += one + "\n";
    scope_ = digest_of(rules);
    made_->contents_ = digest_of(contents_ + authorities_);
  }

  result<void> make_one(const std::vector<std::size_t>& set) {
    auto raw = make_raw_context(tls_role::server);
    SSL_CTX_set1_groups_list(raw.get(), server_groups);
    SSL_CTX_set_mode(raw.get(), SSL_MODE_NO_AUTO_CHAIN); // it would be searched for at every handshake
    for (auto one : set)
      if (auto used = use_certificate(raw.get(), certificates_[one], made_->certificates_[one].file); !used)
        return used;
    session_rules(raw.get());
    if (auto asked = client_rules(raw.get()); !asked)
      return asked;
    if (made_->raw_ != nullptr) {
      side_.further.push_back(std::move(raw));
      return {};
    }
    SSL_CTX_set_tlsext_servername_callback(raw.get(), choose_certificates);
    SSL_CTX_set_tlsext_servername_arg(raw.get(), &side_);
    made_->raw_ = raw.release();
    return {};
  }

  void session_rules(SSL_CTX* raw) {
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF); // tickets carry the state
    SSL_CTX_set_session_id_context(raw, reinterpret_cast<const unsigned char*>(scope_.data()),
                                   static_cast<unsigned>(scope_.size()));
    SSL_CTX_set_num_tickets(raw, 1);
    SSL_CTX_set_session_ticket_cb(raw, note_certificate, judge_ticket, nullptr);
    if (!side_.tickets)
      return;
    auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(options_.ticket_lifetime);
    if (lifetime.count() <= 0) {
      SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
      SSL_CTX_set_num_tickets(raw, 0);
      return;
    }
    SSL_CTX_set_timeout(raw, static_cast<long>(std::min<std::chrono::seconds>(lifetime, ticket_lifetime_max).count()));
    SSL_CTX_set_tlsext_ticket_key_evp_cb(
        raw, [](SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seal) {
          auto& owner = *static_cast<tls_session*>(SSL_get_app_data(ssl));
          auto done = owner.context_->server_->tickets->arm(name, iv, cipher, mac, seal == 1);
          // RFC 8446, appendix C.4: a ticket is used once, so that each handshake brings the next.
          return done == tls_ticket_keys::good && seal == 0 && SSL_version(ssl) >= TLS1_3_VERSION
                     ? tls_ticket_keys::good_but_renew
                     : done;
        });
  }

  result<void> client_rules(SSL_CTX* raw) {
    if (options_.client == tls_server_options::client_certificate::none)
      return {};
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | (side_.certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
    SSL_CTX_set_cert_verify_callback(raw, judge_client, &side_);
    if (options_.client_ca_file.empty())
      return {};
    if (auto loaded = use_authorities(raw, options_.client_ca_file); !loaded)
      return loaded;
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(options_.client_ca_file.c_str()));
    return {};
  }

  static int choose_certificates(SSL* ssl, int*, void* of) {
    auto& side = *static_cast<tls_context::server_side*>(of);
    auto* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    auto set = name == nullptr ? 0 : side.names->find(name);
    if (set > 0)
      SSL_set_SSL_CTX(ssl, side.further[set - 1].get());
    return SSL_TLSEXT_ERR_OK; // a name that nobody has gets the default: the client sees what it is given
  }

  /// With `request` everything passes, and the result is reported.
  static int judge_client(X509_STORE_CTX* chain, void* of) {
    auto& side = *static_cast<const tls_context::server_side*>(of);
    auto* shown = X509_STORE_CTX_get0_cert(chain);
    if (shown != nullptr && side.fingerprints.contains(tls_fingerprint(shown))) {
      X509_STORE_CTX_set_error(chain, X509_V_OK);
      return 1;
    }
    return X509_verify_cert(chain) == 1 || !side.certificate_required ? 1 : 0;
  }

  /// A session that is taken up again does not say which certificate it began with, and channel bindings need it.
  static int note_certificate(SSL* ssl, void*) {
    auto binding = end_point_binding(ssl);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), binding.data(), binding.size());
  }

  static SSL_TICKET_RETURN judge_ticket(SSL*, SSL_SESSION*, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
                                        void*) {
    switch (status) {
    case SSL_TICKET_SUCCESS:
      return SSL_TICKET_RETURN_USE;
    case SSL_TICKET_SUCCESS_RENEW:
      return SSL_TICKET_RETURN_USE_RENEW;
    default:
      return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
  }

  const tls_server_options& options_;
  wall_time now_;
  std::shared_ptr<tls_context> made_ = [] {
    std::shared_ptr<tls_context> fresh{new tls_context{tls_role::server}};
    fresh->server_ = std::make_unique<tls_context::server_side>();
    return fresh;
  }();
  tls_context::server_side& side_ = *made_->server_;
  std::vector<tls_certificate> certificates_;
  std::vector<std::vector<std::string>> names_;
  std::vector<std::string> kinds_;
  std::string authorities_;
  std::string contents_; // digests of the certificates and keys
  std::string scope_;
};

/// Makes the context of a client.
class tls_context_builder {
public:
  result<std::shared_ptr<const tls_context>> make(const tls_client_options& options, wall_time now) {
    auto raw = make_raw_context(tls_role::client);
    made_->raw_ = raw.release();
    auto done =
        options.ca_file.empty() ? use_system_authorities(made_->raw_) : use_authorities(made_->raw_, options.ca_file);
    if (done && (!options.certificate_file.empty() || !options.key_file.empty()))
      done = certificate({options.certificate_file, options.key_file}, now);
    if (!done)
      return std::unexpected{done.error()};
    client_rules(options);
    return std::shared_ptr<const tls_context>{std::move(made_)};
  }

private:
  result<void> certificate(const tls_certificate_files& files, wall_time now) {
    auto loaded = tls_certificate::load(files.certificate, files.key, now);
    if (!loaded)
      return std::unexpected{loaded.error()};
    made_->certificates_.push_back(facts_of(*loaded, files));
    return use_certificate(made_->raw_, *loaded, files.certificate);
  }

  void client_rules(const tls_client_options& options) {
    auto mode = options.verify == tls_client_options::verify_mode::name ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    SSL_CTX_set_verify(made_->raw_, mode, nullptr);
    made_->sessions_ = std::make_unique<tls_context::session_cache>(options.sessions_max);
    SSL_CTX_set_session_cache_mode(made_->raw_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(made_->raw_, [](SSL* ssl, SSL_SESSION* session) {
      auto& owner = *static_cast<tls_session*>(SSL_get_app_data(ssl));
      owner.context_->sessions_->put(owner.cache_key_, ssl_session_ptr{session});
      return 1; // the reference is ours now
    });
  }

  std::shared_ptr<tls_context> made_{new tls_context{tls_role::client}};
};

result<std::shared_ptr<const tls_context>> tls_context::make_server(const tls_server_options& options, wall_time now) {
  return tls_server_builder{options, now}.make();
}

result<std::shared_ptr<const tls_context>> tls_context::make_client(const tls_client_options& options, wall_time now) {
  return tls_context_builder{}.make(options, now);
}

} // namespace hedwig::net
