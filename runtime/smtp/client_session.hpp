// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/buffer.hpp"
#include "runtime/smtp/client_body.hpp"
#include "runtime/smtp/delivery_parameters.hpp"
#include "runtime/smtp/outcome.hpp"
#include "runtime/smtp/reply_reader.hpp"

namespace hedwig::smtp {

enum class tls_mode : std::uint8_t {
  none,          ///< never
  opportunistic, ///< when offered; goes on in clear when STARTTLS is refused
  require,       ///< encrypted or not at all
  verify,        ///< encrypted, and client_tls_facts::verified must be true
};

/// What the owner found out in the handshake.
struct client_tls_facts {
  std::string version;   ///< "TLSv1.3"
  std::string cipher;    ///< "TLS_AES_256_GCM_SHA384"
  bool verified = false; ///< chain and name checked and good
};

/// For a smart host. PLAIN is preferred, LOGIN is the other one known (RFC 4954, RFC 4616).
struct client_credentials {
  std::string user;
  std::string password;
  bool allow_clear = false; ///< without it they are never sent outside TLS
};

/// RFC 5321 4.5.3.2. The clock starts anew with each progress: bytes in, or bytes of the body out.
struct client_timeouts {
  std::chrono::seconds greeting = std::chrono::minutes{5};
  std::chrono::seconds ehlo = std::chrono::minutes{5};
  std::chrono::seconds starttls = std::chrono::minutes{2};
  std::chrono::seconds handshake = std::chrono::minutes{2};
  std::chrono::seconds auth = std::chrono::minutes{5};
  std::chrono::seconds mail = std::chrono::minutes{5};
  std::chrono::seconds rcpt = std::chrono::minutes{5};
  std::chrono::seconds data_start = std::chrono::minutes{2};
  std::chrono::seconds data_block = std::chrono::minutes{3};
  std::chrono::seconds final_dot = std::chrono::minutes{10};
  std::chrono::seconds reset = std::chrono::minutes{5};
  std::chrono::seconds quit = std::chrono::seconds{5};
};

/// How one connection is to be used. Copied into the session.
struct client_options {
  std::string helo_name;   ///< our name in EHLO
  std::string remote_host; ///< for outcomes and texts
  std::string remote_ip;
  tls_mode tls = tls_mode::opportunistic;
  bool pipelining = true; ///< use it when it is offered
  /// For mail with REQUIRETLS (RFC 8689), with tls_mode::verify: where there is no TLS, a certificate that is not good,
  /// or no REQUIRETLS, that is a failure for good.
  bool requiretls = false;
  std::optional<client_credentials> credentials;
  client_timeouts timeouts;
  reply_limits replies;
};

/// What the server said it can do, in the EHLO that counts (the one inside TLS after STARTTLS).
struct server_capabilities {
  std::string name; ///< first word of its reply
  bool esmtp = false;
  bool pipelining = false;
  bool eightbitmime = false;
  bool smtputf8 = false;
  bool starttls = false;
  bool dsn = false;
  bool chunking = false;
  bool binarymime = false;
  bool mt_priority = false;
  bool requiretls = false;
  bool deliver_by = false;
  std::chrono::seconds deliver_by_min{0};
  bool size = false;
  std::uint64_t size_max = 0; ///< 0: not told
  bool auth_plain = false;
  bool auth_login = false;
};

struct transaction_recipient {
  std::size_t index = 0;  ///< the caller's name for it, comes back in recipient_outcome
  std::string address;    ///< without <>
  std::string parameters; ///< ESMTP parameters, sent as they are when the server offers DSN; usually empty
};

/// One message for one server. The body is shared, never copied.
struct client_transaction {
  std::string reverse_path; ///< without <>; empty is the null path
  std::string parameters;   ///< further ESMTP parameters of MAIL, sent when the server offers DSN; usually empty
  std::vector<transaction_recipient> recipients; ///< at least one
  rope body;                                     ///< header section and body as stored, not dot-stuffed
  std::uint64_t body_follows = 0; ///< bytes of it that add_body() brings, behind `body`, once they are wanted
  bool is_8bit = false;           ///< BODY=8BITMIME where offered; elsewhere it is sent as it is, as most relays do
  bool is_binary = false;         ///< BODY=BINARYMIME, by BDAT; servers without these cannot have it
  std::optional<int> priority;    ///< MT-PRIORITY, where offered
  std::optional<deliver_by_request> deliver_by; ///< BY, where offered; one that returns the message needs it
  bool needs_smtputf8 = false;                  ///< by its header; addresses outside ASCII set it by themselves
};

// ---- what the session wants of its owner

/// The server said 220 to STARTTLS. Flush what next_output() gave, do the handshake, then call tls_started() or
/// tls_failed(). Clear text received after that 220 has been dropped; feed nothing until then.
struct client_start_tls {};

/// EHLO (and TLS, AUTH) done: capabilities() are known. If no client_must_close follows in the queue, begin() is
/// allowed.
struct client_ready {};

/// The transaction has an end: exactly one outcome for each of its recipients, in their order. If no client_must_close
/// follows in the queue, begin() is allowed again.
struct client_transaction_done {
  std::vector<recipient_outcome> outcomes;
};

/// The connection is of no more use: write what next_output() still gives (a QUIT at most), then close. Last event.
struct client_must_close {
  verdict cause;      ///< for messages that waited for this connection (spread()); meaningless when `clean`
  bool clean = false; ///< after quit(), nothing went wrong
};

using client_event = std::variant<client_start_tls, client_ready, client_transaction_done, client_must_close>;

/// SMTP client side of one connection (RFC 5321), without I/O and without a clock. The owner, after connecting:
///
///     feed(bytes received)       whenever bytes arrive
///     next_event()               until empty, after every call below and above that can change something
///     next_output(out, max)      whenever the transport can take bytes, until it gives 0
///     current_timeout()          after each of these; when it passes without progress: timed_out()
///     connection_lost(why)       when the peer closed or the transport failed
///
/// Every way a transaction can end gives client_transaction_done exactly once. Memory is bounded by the reply limits,
/// the commands of one transaction and the bytes that the owner pulled; the body stays where it is. Thread: the
/// owner's.
class client_session {
public:
  explicit client_session(client_options options);

  /// Bytes from the server, any cut. Ignored once the session is closed or waits for TLS.
  void feed(std::string_view bytes);
  /// TLS is up after client_start_tls, or from the first byte when called before any feed() (implicit TLS).
  void tls_started(const client_tls_facts& facts);
  /// The handshake failed: ends in client_must_close. For opportunistic TLS the owner connects anew with
  /// tls_mode::none.
  void tls_failed(std::string_view why, bool certificate_refused = false);
  /// Peer closed or transport failed; `why` is our own text ("reset by peer").
  void connection_lost(std::string_view why);
  /// current_timeout() has passed.
  void timed_out();

  /// Legal only when is_idle(); anything else is a broken invariant (panic).
  void begin(client_transaction transaction);
  /// Says QUIT when idle and waits for its reply; ends in client_must_close{clean}. In other states it aborts: a
  /// running transaction is given up (outcomes: shutting_down, or unknown after the final dot).
  void quit();

  /// Bytes of a body that comes in parts, which add_body() should bring; 0 while there are enough. At most `window`
  /// bytes wait here then beside what is brought.
  [[nodiscard]] std::uint64_t body_wanted(std::size_t window) const noexcept;
  /// The next part of the body of the running transaction, which is in its `body` stage.
  void add_body(rope part);
  /// The rest of the body cannot be had: the connection is given up before the final dot, so that no server takes the
  /// message for whole; its recipients are deferred.
  void body_lost(std::string_view why);

  [[nodiscard]] std::optional<client_event> next_event();
  /// Appends output of about `max_bytes` to `out`, the body by reference (body_writer::next); gives the number of bytes
  /// appended, 0 when there is nothing to send now. What was appended counts as sent.
  std::size_t next_output(std::vector<slice>& out, std::size_t max_bytes);
  [[nodiscard]] bool has_output() const noexcept;

  /// True between client_ready / client_transaction_done and the next begin(), quit() or failure.
  [[nodiscard]] bool is_idle() const noexcept;
  [[nodiscard]] bool is_closed() const noexcept { return state_ == state::closed; }
  /// No value when idle or closed: then the owner's own idle limit holds.
  [[nodiscard]] std::optional<std::chrono::seconds> current_timeout() const noexcept;
  [[nodiscard]] client_stage stage() const noexcept;
  [[nodiscard]] const server_capabilities& capabilities() const noexcept { return capabilities_; }
  [[nodiscard]] bool tls_active() const noexcept { return tls_.has_value(); }
  [[nodiscard]] const std::optional<client_tls_facts>& tls() const noexcept { return tls_; }
  /// Messages whose final dot was answered on this connection, for limits of deliveries per connection.
  [[nodiscard]] std::size_t transactions() const noexcept { return transactions_; }

private:
  enum class state : std::uint8_t {
    greeting,
    ehlo,
    helo,
    starttls,
    handshake,
    auth,
    idle,
    envelope, ///< RSET, MAIL, RCPT, DATA or BDAT: the front of expected_ says which reply is next
    body,
    final_dot,
    lone_dot, ///< 354 came though nobody was accepted: an empty message is on its way (RFC 2920 3.1)
    quitting,
    closed,
  };
  /// A command whose reply is outstanding.
  struct expected_reply {
    client_stage stage;
    std::size_t recipient; ///< position in transaction_.recipients, at rcpt
  };

  void on_reply(const server_reply& reply);
  void on_greeting(const server_reply& reply);
  void on_ehlo(const server_reply& reply);
  void on_helo(const server_reply& reply);
  void on_starttls(const server_reply& reply);
  void on_auth(const server_reply& reply);
  void on_expected(const server_reply& reply);
  void on_mail(const server_reply& reply);
  void on_rcpt(const server_reply& reply, std::size_t recipient);
  void on_data(const server_reply& reply);
  void on_body(const server_reply& reply);
  void on_final_dot(const server_reply& reply);
  void on_lone_dot(const server_reply& reply);
  void on_idle(const server_reply& reply);
  void on_reset(const server_reply& reply);

  void say(std::string_view line);
  [[nodiscard]] local_failure tls_missing(local_failure otherwise) const noexcept;
  void read_deliver_by(std::string_view minimum);
  void refuse_to_be_late();
  [[nodiscard]] std::string handling_parameters() const;
  void send_ehlo();
  void read_capabilities(const server_reply& reply);
  void read_size(std::string_view number);
  void read_mechanisms(std::string_view list);
  void after_ehlo();
  void start_auth();
  void become_ready();

  [[nodiscard]] std::uint64_t message_size() const noexcept {
    return transaction_.body.size() + transaction_.body_follows;
  }
  void refuse_unsendable();
  void queue_envelope();
  bool queue_next_command();
  bool queue_rcpt();
  bool queue_data();
  bool queue_chunk();
  [[nodiscard]] std::string mail_command() const;
  [[nodiscard]] bool use_pipelining() const noexcept;
  [[nodiscard]] bool in_transaction() const noexcept;
  [[nodiscard]] bool all_settled() const noexcept;
  void settle(std::size_t recipient, const verdict& v);
  void settle_open(const verdict& v);
  void finish_transaction();

  void fail(verdict v, bool polite = false);
  void fail(local_failure failure, std::string_view detail = {}, bool polite = false);
  void close(verdict cause, bool clean);
  void expect(client_stage stage, std::size_t recipient = 0) { expected_.push_back({stage, recipient}); }

  client_options options_;
  reply_reader reader_;
  state state_ = state::greeting;
  std::optional<client_tls_facts> tls_;
  server_capabilities capabilities_;
  std::deque<client_event> events_;

  std::string commands_; ///< waiting to go out, before any body byte
  std::size_t commands_sent_ = 0;
  std::deque<expected_reply> expected_;
  std::size_t auth_step_ = 0;

  client_transaction transaction_;
  body_writer body_;
  std::vector<std::optional<recipient_outcome>> outcomes_; ///< none: still open, or accepted and waiting for the end
  client_stage next_command_ = client_stage::reset;
  std::size_t next_rcpt_ = 0;
  std::size_t accepted_ = 0;
  bool utf8_ = false;
  bool mail_failed_ = false;
  bool needs_reset_ = false;
  bool heard_ = false; ///< a reply of the running transaction has come
  std::size_t begun_ = 0;
  std::size_t transactions_ = 0;
};

} // namespace hedwig::smtp
