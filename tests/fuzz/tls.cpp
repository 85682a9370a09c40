// SPDX-License-Identifier: Apache-2.0
// TLS records into our engine and on into a session, without a socket. OpenSSL is the client; the input says what it
// does and what becomes of its bytes on the way. Whatever that is: nothing is clear before the handshake is done, and
// what comes out is the beginning of what the client put in.
// Input: options, then steps of an octet each and what these take (see tls_script::step()).
#include "runtime/net/tls_session.hpp"
#include "tests/fuzz/session_player.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <unistd.h>

namespace hedwig::fuzz {

namespace {

template <class Object, void (*Free)(Object*)>
struct tls_free {
  void operator()(Object* object) const noexcept { Free(object); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, tls_free<EVP_PKEY, EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, tls_free<X509, X509_free>>;
using file_ptr = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

template <class Write>
std::string write_pem(const std::filesystem::path& file, Write&& write) {
  file_ptr out{std::fopen(file.c_str(), "w"), std::fclose};
  demand(out && write(out.get()) == 1, "a certificate can be written");
  return file.string();
}

/// A self-signed certificate in files that are gone when it is loaded.
std::shared_ptr<const net::tls_context> make_tls_server() {
  key_ptr key{EVP_EC_gen("P-256")};
  certificate_ptr certificate{X509_new()};
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 100L * 365 * 86400);
  auto* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("relay.test"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key.get());
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  std::string folder = (std::filesystem::temp_directory_path() / "hedwig-fuzz-XXXXXX").string();
  demand(::mkdtemp(folder.data()) != nullptr, "there is a folder for temporary files");
  net::tls_server_options options;
  options.certificate_file = write_pem(std::filesystem::path{folder} / "server.pem",
                                       [&](std::FILE* to) { return PEM_write_X509(to, certificate.get()); });
  options.key_file = write_pem(std::filesystem::path{folder} / "server.key", [&](std::FILE* to) {
    return PEM_write_PrivateKey(to, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  auto made = net::tls_context::make_server(options, wall_time{std::chrono::system_clock::now()});
  std::filesystem::remove_all(folder);
  demand(made.has_value(), "a context can be made");
  return *made;
}

constexpr std::string_view tls_dialogue =
    "EHLO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"
    "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\nRSET\r\n";

class tls_script {
public:
  explicit tls_script(std::uint8_t options) : ssl_{SSL_new(client())} {
    if ((options & 4) != 0)
      SSL_set_options(ssl_.get(), SSL_OP_NO_TICKET);
    SSL_set_max_proto_version(ssl_.get(), (options & 1) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    from_server_ = BIO_new(BIO_s_mem());
    to_server_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), from_server_, to_server_);
    SSL_set_connect_state(ssl_.get());
    if ((options & 2) != 0)
      settle(); // the usual handshake first
  }

  void play(std::string_view script) {
    while (!script.empty())
      step(script);
    settle();
  }

private:
  void step(std::string_view& script) {
    auto what = take_octet(script);
    switch (what % 10) {
    case 0: // the client says more of its dialogue
      say(tls_dialogue.substr(said_ % tls_dialogue.size(), take_octet(script)));
      break;
    case 1: { // and bytes of the input
      const std::size_t wanted = take_octet(script);
      auto size = std::min(wanted, script.size());
      say(script.substr(0, size));
      script.remove_prefix(size);
      break;
    }
    case 2: // a few of its octets arrive
      take_client_output();
      deliver(take_octet(script) + std::size_t{1});
      break;
    case 3: // everything arrives, both ways
      settle();
      break;
    case 4: { // an octet is changed on its way
      take_client_output();
      auto at = std::size_t{take_octet(script)};
      auto by = take_octet(script);
      if (at < wire_.size())
        wire_[at] = static_cast<char>(wire_[at] ^ by);
      break;
    }
    case 5: { // bytes of the input come in between
      take_client_output();
      const std::size_t wanted = take_octet(script);
      auto size = std::min(wanted, script.size());
      wire_.insert(0, script.substr(0, size));
      script.remove_prefix(size);
      break;
    }
    case 6: // octets come twice
      take_client_output();
      wire_.insert(0, wire_.substr(0, take_octet(script)));
      break;
    case 7: // octets are lost
      take_client_output();
      wire_.erase(0, take_octet(script));
      break;
    case 8: // the client changes its keys, or asks for a new handshake
      if (SSL_is_init_finished(ssl_.get()) == 1)
        SSL_version(ssl_.get()) == TLS1_3_VERSION ? SSL_key_update(ssl_.get(), take_octet(script) & 1)
                                                  : SSL_renegotiate(ssl_.get());
      break;
    default: // or says goodbye
      SSL_shutdown(ssl_.get());
    }
  }

  void say(std::string_view text) {
    if (SSL_is_init_finished(ssl_.get()) != 1 || text.empty())
      return;
    if (SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0) {
      put_in_ += text;
      said_ += text.size();
    }
    ERR_clear_error();
  }

  void take_client_output() {
    if (SSL_is_init_finished(ssl_.get()) != 1)
      SSL_do_handshake(ssl_.get());
    char octets[1];
    while (SSL_is_init_finished(ssl_.get()) == 1 && SSL_read(ssl_.get(), octets, 1) > 0) {
    }
    ERR_clear_error();
    std::array<char, 4096> piece{};
    for (int size = 0; (size = BIO_read(to_server_, piece.data(), piece.size())) > 0;)
      wire_.append(piece.data(), static_cast<std::size_t>(size));
  }

  /// Up to `count` octets reach our engine.
  void deliver(std::size_t count) {
    const std::string arriving = wire_.substr(0, count);
    wire_.erase(0, arriving.size());
    engine_.feed(arriving);
    if (!up_ && !failed_) {
      auto progress = engine_.handshake();
      up_ = progress == net::tls_session::progress::done;
      failed_ = progress == net::tls_session::progress::failed;
      demand(failed_ == engine_.failure().has_value(), "a failure has a reason");
      if (up_)
        check_info();
    }
    if (up_)
      read_clear();
    else
      engine_.keep_rest();
    while (!output_.empty()) {
      auto piece = output_.front();
      BIO_write(from_server_, piece.data(), static_cast<int>(piece.size()));
      output_.consume(piece.size());
    }
  }

  void read_clear() {
    std::array<char, 700> clear{};
    while (auto size = engine_.read(clear)) {
      const std::string_view text{clear.data(), size};
      came_out_ += text;
      session_.feed(text);
      engine_.write(session_.transcript().substr(written_).substr(0, net::tls_session::record_max));
      written_ = session_.transcript().size();
    }
    engine_.keep_rest();
    demand(put_in_.starts_with(came_out_), "what comes out is what was put in");
  }

  void check_info() const {
    auto info = engine_.info();
    demand(info.version == "TLSv1.2" || info.version == "TLSv1.3", "no old version");
    demand(info.cipher_bits >= 128, "no weak cipher");
    demand(engine_.channel_binding("tls-exporter").empty() == (info.version == "TLSv1.2"), "1.3 alone has an exporter");
  }

  void settle() {
    for (int round = 0; round < 10; ++round) {
      take_client_output();
      if (wire_.empty())
        break;
      deliver(wire_.size());
    }
  }

  static SSL_CTX* client() {
    static const std::unique_ptr<SSL_CTX, tls_free<SSL_CTX, SSL_CTX_free>> made{SSL_CTX_new(TLS_client_method())};
    return made.get();
  }
  static const std::shared_ptr<const net::tls_context>& server() {
    static const auto made = make_tls_server();
    return made;
  }

  std::unique_ptr<SSL, tls_free<SSL, SSL_free>> ssl_;
  BIO* from_server_ = nullptr; // of ssl_
  BIO* to_server_ = nullptr;
  net::output_queue output_;
  net::tls_session engine_{server(), {}, {}, output_};
  session_player session_{scene_of(2, 0)};
  std::string wire_; // between the client and us
  std::string put_in_;
  std::string came_out_;
  std::size_t said_ = 0;
  std::size_t written_ = 0;
  bool up_ = false;
  bool failed_ = false;
};

} // namespace

void tls(std::string_view input) {
  tls_script script{take_octet(input)};
  script.play(input);
}

} // namespace hedwig::fuzz
