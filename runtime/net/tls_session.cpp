// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_session.hpp"

#include "runtime/base/ascii.hpp"
#include "runtime/net/tls_certificate.hpp"
#include "runtime/net/tls_session_cache.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hedwig::net {

namespace {

constexpr std::size_t log_text_max = 256;
constexpr std::size_t host_name_max = 253; // RFC 1035, section 2.3.4, as text
constexpr std::size_t peer_name_octets_max = 255;

} // namespace

/// OpenSSL's view of a session's bytes: reads come from the session's input, writes go to the stream's queue. Unlike
/// memory BIOs this neither copies input nor keeps buffers of its own while a connection is idle.
struct session_bio {
  static tls_session& of(BIO* bio) { return *static_cast<tls_session*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    auto& session = of(bio);
    BIO_clear_retry_flags(bio);
    if (session.input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    auto taken = std::min(session.input_.size(), static_cast<std::size_t>(std::max(size, 0)));
    std::memcpy(into, session.input_.data(), taken);
    session.input_.remove_prefix(taken);
    return static_cast<int>(taken);
  }

  static int write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    of(bio).wire_.append(std::string_view{from, static_cast<std::size_t>(std::max(size, 0))});
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      auto* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hedwig stream");
      if (fresh == nullptr)
        panic("out of memory for OpenSSL");
      BIO_meth_set_read(fresh, read);
      BIO_meth_set_write(fresh, write);
      BIO_meth_set_ctrl(fresh, control);
      return fresh;
    }();
    return made;
  }

  static BIO* make(tls_session& session) {
    auto* bio = BIO_new(method());
    if (bio == nullptr)
      panic("out of memory for OpenSSL");
    BIO_set_data(bio, &session);
    BIO_set_init(bio, 1);
    return bio;
  }
};

std::string printable(std::string_view text, std::size_t size_max) {
  std::string out;
  for (char c : text.substr(0, size_max))
    out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

std::string last_tls_error() {
  auto code = ERR_peek_last_error();
  if (code == 0)
    return "no reason given";
  if (ERR_SYSTEM_ERROR(code))
    return system_error(ERR_GET_REASON(code), "").message.substr(2);
  auto* reason = ERR_reason_error_string(code);
  return reason ? printable(reason, log_text_max) : fmt::format("OpenSSL error {:x}", code);
}

tls_session::tls_session(std::shared_ptr<const tls_context> context, std::string_view server_name,
                         std::string cache_key, output_queue& wire)
  : context_{std::move(context)}, server_name_{server_name.substr(0, host_name_max)},
    cache_key_{std::move(cache_key)}, wire_{wire}, ssl_{SSL_new(context_->raw_)} {
  if (ssl_ == nullptr)
    panic("out of memory for OpenSSL");
  auto* bio = session_bio::make(*this);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  if (context_->role() == tls_role::server) {
    SSL_set_accept_state(ssl_);
    return;
  }
  SSL_set_connect_state(ssl_);
  if (server_name_.ends_with('.'))
    server_name_.pop_back(); // RFC 6066, section 3: the name goes without the trailing dot
  SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool is_ip = address::parse_ip(server_name_).has_value();
  if (is_ip)
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name_.c_str());
  else if (!server_name_.empty()) {
    SSL_set1_host(ssl_, server_name_.c_str());
    SSL_set_tlsext_host_name(ssl_, server_name_.c_str());
  } else if (SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE)
    failure_ = error{HEDWIG_E_INVALID, "the server's certificate is to be verified, but no name was given", {}, 0};
  take_session();
}

tls_session::~tls_session() {
  // A connection that was cut is no reason to distrust its session, but OpenSSL would drop it without this.
  SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

void tls_session::take_session() {
  if (!context_->sessions_)
    return;
  if (auto session = context_->sessions_->take(cache_key_))
    SSL_set_session(ssl_, session.get());
}

void tls_session::feed(std::string_view wire) {
  if (kept_.empty()) {
    input_ = wire;
    return;
  }
  kept_.append(wire);
  input_ = kept_;
}

void tls_session::keep_rest() {
  if (input_.empty()) {
    kept_.clear();
    kept_.shrink_to_fit();
  } else if (input_.size() != kept_.size() || input_.data() != kept_.data())
    kept_ = std::string{input_};
  input_ = kept_;
}

bool tls_session::has_input() const noexcept { return !input_.empty() || SSL_has_pending(ssl_) == 1; }

tls_session::progress tls_session::handshake() {
  if (failure_)
    return progress::failed;
  ERR_clear_error(); // the error queue is the thread's, shared by all its sessions
  auto returned = SSL_do_handshake(ssl_);
  if (returned == 1) {
    up_ = true;
    return progress::done;
  }
  auto why = SSL_get_error(ssl_, returned);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
    return progress::more_input;
  fail(returned, "TLS handshake failed");
  return progress::failed;
}

void tls_session::fail(int returned, std::string_view what) {
  auto why = SSL_get_error(ssl_, returned);
  auto verified = SSL_get_verify_result(ssl_);
  auto code = ERR_peek_last_error();
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    failure_ = error{HEDWIG_E_DENIED,
                     fmt::format("{}: the peer's certificate is not trusted{}{}: {}", what,
                                 server_name_.empty() ? "" : " for ", printable(server_name_, log_text_max),
                                 X509_verify_cert_error_string(verified)),
                     {},
                     0};
    return;
  }
  auto reason = why == SSL_ERROR_SYSCALL || code == 0 ? std::string{"the peer broke off"} : last_tls_error();
  failure_ = error{HEDWIG_E_IO, fmt::format("{}: {}", what, reason), {}, 0};
}

std::size_t tls_session::read(std::span<char> into) {
  if (ended_ || failure_ || into.empty())
    return 0;
  ERR_clear_error();
  auto returned = SSL_read(ssl_, into.data(), static_cast<int>(into.size()));
  if (returned > 0)
    return static_cast<std::size_t>(returned);
  auto why = SSL_get_error(ssl_, returned);
  if (why == SSL_ERROR_ZERO_RETURN)
    ended_ = true;
  else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
    fail(returned, "TLS failed");
  return 0;
}

void tls_session::write(std::string_view clear) {
  while (!clear.empty() && !failure_) {
    ERR_clear_error();
    auto returned = SSL_write(ssl_, clear.data(), static_cast<int>(std::min(clear.size(), record_max)));
    if (returned <= 0)
      return fail(returned, "TLS failed"); // the queue takes everything, so there is nothing to wait for
    clear.remove_prefix(static_cast<std::size_t>(returned));
  }
}

void tls_session::shut_down() {
  if (!up_ || failure_)
    return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

tls_info tls_session::info() const {
  tls_info info;
  info.role = context_->role();
  info.version = SSL_get_version(ssl_);
  info.cipher = SSL_get_cipher_name(ssl_);
  info.cipher_bits = SSL_get_cipher_bits(ssl_, nullptr);
  info.resumed = SSL_session_reused(ssl_) == 1;
  info.server_name = printable(server_name_, log_text_max);
  if (info.role == tls_role::server) {
    auto* asked = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    info.server_name = printable(asked ? asked : "", log_text_max);
  }
  describe_peer(info);
  return info;
}

namespace {

/// RFC 9266. Of TLS 1.2 libraries disagree whether the empty context counts, so that it is not offered there.
std::string exporter_binding(SSL* ssl) {
  constexpr std::string_view label = "EXPORTER-Channel-Binding";
  std::string out(32, '\0');
  if (SSL_version(ssl) < TLS1_3_VERSION ||
      SSL_export_keying_material(ssl, reinterpret_cast<unsigned char*>(out.data()), out.size(), label.data(),
                                 label.size(), nullptr, 0, 0) != 1)
    return {};
  return out;
}

/// Who could not be told apart from somebody else, by a NUL or what else does not print, has no name.
std::string plain_name(const unsigned char* text, int size) {
  std::string_view raw{reinterpret_cast<const char*>(text), static_cast<std::size_t>(std::max(size, 0))};
  return raw.size() <= peer_name_octets_max && printable(raw, raw.size()) == raw ? std::string{raw} : std::string{};
}

std::vector<std::string> alternative_names_of(X509* certificate) {
  std::vector<std::string> out;
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && out.size() < tls_session::peer_names_max; ++i) {
    auto* one = sk_GENERAL_NAME_value(names, i);
    if (one->type != GEN_DNS && one->type != GEN_EMAIL)
      continue;
    auto name = plain_name(ASN1_STRING_get0_data(one->d.ia5), ASN1_STRING_length(one->d.ia5));
    if (one->type == GEN_DNS)
      std::ranges::transform(name, name.begin(), ascii::lower);
    if (!name.empty())
      out.push_back(std::move(name));
  }
  GENERAL_NAMES_free(names);
  return out;
}

std::string common_name_of(X509* certificate) {
  auto* subject = X509_get_subject_name(certificate);
  auto at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0)
    return {};
  unsigned char* text = nullptr;
  auto size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  auto name = size > 0 ? plain_name(text, size) : std::string{};
  OPENSSL_free(text);
  return name;
}

} // namespace

std::string end_point_binding(SSL* ssl) {
  void* kept = nullptr;
  std::size_t kept_size = 0;
  if (SSL_session_reused(ssl) == 1 && SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &kept, &kept_size) == 1 &&
      kept_size > 0)
    return {static_cast<const char*>(kept), kept_size};
  auto* certificate = SSL_get_certificate(ssl);
  int hash = NID_undef;
  if (certificate == nullptr || X509_get_signature_info(certificate, &hash, nullptr, nullptr, nullptr) != 1 ||
      hash == NID_undef)
    return {};
  auto* kind = hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (kind == nullptr || X509_digest(certificate, kind, digest.data(), &size) != 1)
    return {};
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string tls_fingerprint(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  std::string out;
  for (unsigned i = 0; i < size; ++i)
    out += fmt::format("{:02x}", digest[i]);
  return out;
}

std::string tls_session::channel_binding(std::string_view type) const {
  if (!up_ || context_->role() != tls_role::server)
    return {};
  if (type == "tls-exporter")
    return exporter_binding(ssl_);
  return type == "tls-server-end-point" ? end_point_binding(ssl_) : std::string{};
}

void tls_session::describe_peer(tls_info& info) const {
  auto* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr)
    return;
  auto verified = SSL_get_verify_result(ssl_);
  bool named = info.role == tls_role::server || !server_name_.empty();
  info.peer_verified = verified == X509_V_OK && named;
  if (!info.peer_verified)
    info.verify_error = verified == X509_V_OK ? "no name to verify" : X509_verify_cert_error_string(verified);
  if (auto* text = BIO_new(BIO_s_mem())) {
    X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    auto size = BIO_get_mem_data(text, &data);
    info.peer_subject = printable({data, static_cast<std::size_t>(std::max(size, 0L))}, log_text_max);
    BIO_free(text);
  }
  info.peer_fingerprint = tls_fingerprint(certificate);
  if (info.role == tls_role::client)
    return;
  info.peer_names = alternative_names_of(certificate);
  info.peer_common_name = common_name_of(certificate);
  info.peer_expires = tls_time(X509_get0_notAfter(certificate));
}

} // namespace hedwig::net
