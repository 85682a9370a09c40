// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/net/handshake_gate.hpp"
#include "runtime/net/stream.hpp"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace hedwig::net {

class tls_ticket_keys;

/// What the server contexts of one process have in common, over all listeners and reloads.
struct tls_commons {
  std::shared_ptr<tls_ticket_keys> tickets; ///< null: each context seals with a key of its own, for as long as it lives
  std::shared_ptr<handshake_gate> gate;     ///< null: any number of handshakes at once
};

/// PEM files: a certificate followed by its chain, and its key.
struct tls_certificate_files {
  std::string certificate;
  std::string key;
};

struct tls_server_options {
  /// The default certificate: for clients that ask for no name, or for one that no certificate has.
  std::string certificate_file;
  std::string key_file;
  /// Further ones, chosen by the name that the client asks for (SNI). Of several for one name and of different kinds
  /// (RSA, EC) the client gets the one it can use; of the same kind, the first.
  std::vector<tls_certificate_files> more;
  /// Client certificates: not asked for, asked for, or insisted on. A wrong one is reported in tls_info with `request`
  /// and ends the handshake with `require`.
  enum class client_certificate { none, request, require } client = client_certificate::none;
  /// PEM file of the authorities that client certificates must come from.
  std::string client_ca_file;
  /// Client certificates that are right whoever issued them: SHA-256 in lower-case hex.
  std::set<std::string> client_fingerprints;
  tls_commons commons;
  /// How long a session may be resumed, where commons has keys for tickets; 0: no tickets.
  std::chrono::nanoseconds ticket_lifetime{};
  /// Handshakes of this context at one time; 0: as many as the gate allows.
  std::size_t handshakes_max = 0;
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

/// A certificate of ours, for a person.
struct tls_certificate_facts {
  std::string file;
  std::string key_file;
  std::string names; ///< "relay.example.test, mail.example.test"
  std::string kind;  ///< "RSA", "EC"
  wall_time expires{};
  /// What works but should be looked at: "certificate /etc/x.pem has expired on 2024-01-31".
  std::vector<std::string> warnings;
};

/// "certificate /etc/x.pem (relay.example.test) expires in 3 days, on 2024-01-31", or "has expired on 2024-01-31".
[[nodiscard]] std::string expiry_text(const tls_certificate_facts& of, wall_time now);

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
  /// Our own, the default one first; empty where there is none.
  [[nodiscard]] const std::vector<tls_certificate_facts>& certificates() const noexcept { return certificates_; }
  /// A hash of everything that was read from files: the same for the same contents.
  [[nodiscard]] const std::string& contents() const noexcept { return contents_; }
  /// Where a handshake of a server needs a pass; null: nowhere.
  [[nodiscard]] const std::shared_ptr<handshake_gate::lane>& handshakes() const noexcept { return handshakes_; }

private:
  friend class tls_session;
  friend class tls_context_builder;
  friend class tls_server_builder;
  class session_cache;
  struct server_side;

  explicit tls_context(tls_role role);

  tls_role role_;
  ssl_ctx_st* raw_ = nullptr;
  std::vector<tls_certificate_facts> certificates_;
  std::string contents_;
  std::shared_ptr<handshake_gate::lane> handshakes_;
  std::unique_ptr<server_side> server_;     // immutable
  std::unique_ptr<session_cache> sessions_; // has a lock of its own
};

} // namespace hedwig::net
