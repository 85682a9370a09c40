// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/output_queue.hpp"
#include "runtime/net/tls.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct bio_st;
struct bio_method_st;
struct x509_st;

namespace hedwig::net {

/// One TLS connection without I/O: wire bytes in, clear bytes out, and the other way round. Wire output goes straight
/// to the queue it was given. One stream's, on its loop's thread.
class tls_session {
public:
  enum class progress { more_input, done, failed };
  /// The longest clear text that one record carries (RFC 8446, section 5.1). Bytes.
  static constexpr std::size_t record_max = 16384;
  /// Names of a client's certificate that are looked at.
  static constexpr std::size_t peer_names_max = 100;

  /// `wire` outlives the session. `cache_key` names the server to resume a session with.
  tls_session(std::shared_ptr<const tls_context> context, std::string_view server_name, std::string cache_key,
              output_queue& wire);
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;
  ~tls_session();

  /// Wire bytes that came in; they are looked at by the calls that follow, up to keep_rest().
  void feed(std::string_view wire);
  /// Copies what was not looked at yet. Must be called before the memory given to feed() goes away.
  void keep_rest();
  /// Bytes kept, or inside OpenSSL, that read() could still turn into clear text.
  [[nodiscard]] bool has_input() const noexcept;
  [[nodiscard]] const tls_context& context() const noexcept { return *context_; }

  /// The handshake, as far as the input goes.
  [[nodiscard]] progress handshake();
  [[nodiscard]] tls_info info() const;
  /// See stream::channel_binding().
  [[nodiscard]] std::string channel_binding(std::string_view type) const;

  /// After the handshake: how many clear bytes there were. Zero: look at ended() and failure().
  [[nodiscard]] std::size_t read(std::span<char> into);
  /// Encrypts all of it (at most record_max bytes).
  void write(std::string_view clear);
  /// Says goodbye (close_notify); needs no answer.
  void shut_down();

  /// The peer said goodbye.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// Why nothing goes on, for an operator.
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

private:
  friend class tls_context_builder;
  friend class tls_server_builder;
  friend struct session_bio;

  void fail(int returned, std::string_view what);
  void take_session();
  void describe_peer(tls_info& info) const;

  std::shared_ptr<const tls_context> context_;
  std::string server_name_;
  std::string cache_key_;
  output_queue& wire_;
  ssl_st* ssl_ = nullptr;
  std::string kept_;
  std::string_view input_;
  bool ended_ = false;
  bool up_ = false;
  std::optional<error> failure_;
};

/// SHA-256 of a certificate in lower-case hex.
[[nodiscard]] std::string tls_fingerprint(const x509_st* certificate);
/// RFC 5929 section 4.1: the hash of our certificate, by its signature's algorithm, SHA-256 for MD5 and SHA-1. Of a
/// session that was taken up again: of the certificate that it began with. Empty where the signature has no hash of its
/// own (Ed25519).
[[nodiscard]] std::string end_point_binding(ssl_st* ssl);

/// Printable ASCII, at most `size_max` bytes: for texts of peers and libraries.
[[nodiscard]] std::string printable(std::string_view text, std::size_t size_max);
/// The reason of the last OpenSSL error on this thread, in words.
[[nodiscard]] std::string last_tls_error();

} // namespace hedwig::net
