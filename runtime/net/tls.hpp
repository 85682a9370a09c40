// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/net/stream.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace hedwig::net {

struct tls_server_options {
  /// PEM files: the certificate followed by its chain, and its key.
  std::string certificate_file;
  std::string key_file;
  /// Client certificates: not asked for, asked for, or insisted on. A wrong one is reported in tls_info with `request`
  /// and ends the handshake with `require`.
  enum class client_certificate { none, request, require } client = client_certificate::none;
  /// PEM file of the authorities that client certificates must come from.
  std::string client_ca_file;
};

struct tls_client_options {
  /// `none` encrypts with whoever answers (tls_info still says whether the peer was verified); `name` ends the
  /// handshake unless a trusted authority vouches for the server's name.
  enum class verify_mode { none, name } verify = verify_mode::none;
  /// PEM file of the trusted authorities; empty: the system's.
  std::string ca_file;
  /// Our own certificate, where a server asks for one; both or none.
  std::string certificate_file;
  std::string key_file;
  /// Sessions kept for resumption, the oldest goes first; 0: none.
  std::size_t sessions_max = 1024;
};

/// Certificates, keys and rules that connections are protected with. Immutable, shared by the loops of all threads; a
/// reload makes a new one, and connections keep the one that they began with. TLS 1.2 and up; no compression, no
/// renegotiation, no ALPN.
class tls_context {
public:
  /// Errors name the file and say what is wrong with it: missing, unreadable, not PEM, a key of another certificate.
  [[nodiscard]] static result<std::shared_ptr<const tls_context>> make_server(const tls_server_options& options,
                                                                              wall_time now);
  [[nodiscard]] static result<std::shared_ptr<const tls_context>> make_client(const tls_client_options& options,
                                                                              wall_time now);
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  ~tls_context();

  [[nodiscard]] tls_role role() const noexcept { return role_; }
  /// What works but should be looked at: "certificate /etc/x.pem has expired on 2024-01-31".
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  /// When our certificate runs out; the epoch where there is none.
  [[nodiscard]] wall_time expires() const noexcept { return expires_; }
  /// "relay.example.test, mail.example.test": the DNS names of our certificate, for a log.
  [[nodiscard]] const std::string& certificate_names() const noexcept { return names_; }

private:
  friend class tls_session;
  friend class tls_context_builder;
  class session_cache;

  explicit tls_context(tls_role role) noexcept;

  tls_role role_;
  ssl_ctx_st* raw_ = nullptr;
  std::vector<std::string> warnings_;
  wall_time expires_{};
  std::string names_;
  std::unique_ptr<session_cache> sessions_; // has a lock of its own
};

} // namespace hedwig::net
