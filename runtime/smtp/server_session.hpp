// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/buffer.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/smtp/command.hpp"
#include "runtime/smtp/data_reader.hpp"
#include "runtime/smtp/dialogue_tap.hpp"
#include "runtime/smtp/reply.hpp"
#include "runtime/smtp/sasl.hpp"
#include "runtime/smtp/xclient.hpp"

namespace hedwig::smtp {

/// The limits of one session; each is inclusive.
struct server_limits {
  data_limits data;                                      ///< message size, line length, line endings
  std::size_t recipients_max = 1000;                     ///< a message; more get 452 4.5.3
  std::size_t messages_max = 10'000;                     ///< a connection; then 421
  std::size_t bad_commands_max = 20;                     ///< a connection; one more gets 421
  std::size_t auth_failures_max = 3;                     ///< a connection; the last one gets 421
  std::size_t command_octets_max = 4 * 1024 * 1024;      ///< of commands between two accepted messages; then 421
  std::uint64_t swallowed_octets_max = 64 * 1024 * 1024; ///< read of a refused message; then the session ends
};

/// What a listener offers. Shared by its sessions and immutable.
struct server_settings {
  std::string hostname = "localhost"; ///< in the greeting and the answer to EHLO
  std::string greeting = "ESMTP Hedwig";
  server_limits limits;
  bool pipelining = true;
  bool size = true;
  bool eight_bit_mime = true;
  bool smtputf8 = true;
  bool dsn = true;
  bool chunking = true;
  bool binary_mime = true; ///< with `chunking` only
  bool tell_limits = true; ///< LIMITS of RFC 9422
  bool mt_priority = true;
  bool deliver_by = true;
  bool future_release = true;             ///< where there is AUTH and the owner tells the time
  bool requiretls = true;                 ///< REQUIRETLS, under TLS
  std::chrono::seconds deliver_by_min{0}; ///< shorter ones that return the message get 555
  std::chrono::seconds hold_max{0};       ///< of FUTURERELEASE; 0: not offered
  bool starttls = false;                  ///< there is a certificate
  bool require_tls = false;               ///< before TLS only EHLO, HELO, NOOP, RSET, QUIT and STARTTLS
  bool xclient = false;                   ///< some clients may say XCLIENT (connection_facts says who)
  bool auth_in_clear = false;             ///< AUTH without TLS
  bool require_auth = false;              ///< MAIL needs AUTH (530)
  /// Offered, in this order, capitals, as far as the owner finds answers (sasl_abilities); empty: no AUTH at all.
  std::vector<std::string> mechanisms;
  std::string (*make_nonce)() = nullptr; ///< the server's part of SCRAM's nonce; null: random
};

/// What the owner of a session can find out, and so which mechanisms are offered.
struct sasl_abilities {
  bool passwords = true;
  bool tokens = true;
  bool scram = true;
  bool channel_binding = false; ///< under TLS 1.3
};

struct tls_facts {
  std::string version;     ///< "TLSv1.3"
  std::string cipher;      ///< "TLS_AES_256_GCM_SHA384"
  std::string server_name; ///< SNI, or empty
  bool external = false;   ///< the client's certificate says who it is, so that EXTERNAL is offered
};

struct connection_facts {
  std::string peer_ip; ///< "192.0.2.1", "2001:db8::1"
  std::uint16_t peer_port = 0;
  std::string peer_name;        ///< confirmed reverse name, or empty
  std::optional<tls_facts> tls; ///< set from the start under implicit TLS
  sasl_abilities can;
  refusal_tally* refusals = nullptr; ///< counts each 4xx and 5xx; outlives the session; may be null
  bool may_xclient = false;          ///< XCLIENT is offered and taken
  bool may_xclient_login = false;    ///< with LOGIN
};

struct recipient {
  mail::address forward_path;
  rcpt_parameters parameters;
};

/// The envelope, exactly as the client gave it.
struct transaction {
  mail::address reverse_path; ///< empty: the null sender
  mail_parameters parameters;
  std::vector<recipient> recipients;
};

/// What a session waits for; see server_session::pending(). References and views live until the question is answered.
namespace ask {

/// May this client talk to us? Before the greeting. accept() or refuse().
struct check_connect {};
/// A new EHLO or HELO. accept() or refuse().
struct check_helo {
  std::string_view name;
  bool extended = false;
};
/// The 220 is in output(). Flush it, start TLS, call tls_started(). Clear text that came behind the command was dropped
/// by feed(); the owner drops what it still buffers itself. refuse() is too late; end the connection instead.
struct start_tls {};
/// The client says for whom it speaks. client_changed(), or refuse().
struct xclient {
  xclient_attributes who;
};
/// What who.question asks. A password or a token: authenticated(), auth_failed() or auth_unavailable(), after whatever
/// delay the owner thinks right. SCRAM: scram_keys_found() (for unknown users, too) or auth_unavailable(). The secret
/// is wiped with the answer. `external`: as a password; who the client is, its certificate says.
struct authenticate {
  std::string mechanism; ///< "PLAIN", "LOGIN"
  credentials who;
};
/// The exchange came to an end of its own: with `right` authenticated(), otherwise auth_failed().
struct settle_login {
  std::string mechanism;
  std::string username;
  bool right = false;
  std::string_view why; ///< not right; constant text
};
/// MAIL. accept() or refuse().
struct check_mail {
  const mail::address& reverse_path; ///< empty: the null sender
  const mail_parameters& parameters;
};
/// RCPT. accept() or refuse(). Whether relaying is allowed is decided here; the session knows no policy.
struct check_recipient {
  const mail::address& forward_path;
  const rcpt_parameters& parameters;
  const transaction& so_far; ///< without this one
};
/// DATA, before the 354, or the first BDAT, before its chunk is read: room, memory, a full store. accept() or refuse().
struct check_data {
  const transaction& envelope;
};
/// The message is complete and well-formed. Move out what you need, then message_taken() or refuse().
struct take_message {
  transaction envelope;
  rope body;                     ///< unstuffed, header included; without the parts that take_body() gave before
  std::uint64_t body_octets = 0; ///< of the whole
};

enum class end_reason : std::uint8_t {
  quit,
  refused,       ///< check_connect, or refuse_and_end()
  timed_out,     ///< timed_out()
  too_long,      ///< expire()
  no_room,       ///< make_room()
  shutting_down, ///< shut_down()
  killed,        ///< kill()
  failed,        ///< fail()
  early_talker,
  http,
  too_many_errors,
  too_many_auth_failures,
  too_many_messages,
  too_many_commands,  ///< command_octets_max
  too_much_swallowed, ///< swallowed_octets_max
  bad_chunk,          ///< a BDAT whose size cannot be read
};
/// Flush output() and close; nothing more is read. Has no answer.
struct end {
  end_reason reason = end_reason::quit;
};

} // namespace ask

[[nodiscard]] std::string_view to_string_view(ask::end_reason reason) noexcept;

using question = std::variant<ask::check_connect, ask::check_helo, ask::start_tls, ask::xclient, ask::authenticate,
                              ask::settle_login, ask::check_mail, ask::check_recipient, ask::check_data,
                              ask::take_message, ask::end>;

/// Where a session stands: names its timeout and what the console shows.
enum class session_state : std::uint8_t {
  greeting, ///< start() was not called, or check_connect is open
  command,  ///< a command line is expected
  auth,     ///< a SASL response is expected
  data,     ///< reading a message, or a chunk of one
  waiting,  ///< a question is open: the peer waits for us
  ended,
};
[[nodiscard]] std::string_view to_string_view(session_state state) noexcept;

/// What the session counted, for metrics and limits of the owner.
struct session_counters {
  std::uint64_t commands = 0;
  std::uint64_t bad_commands = 0;
  std::uint64_t lines = 0; ///< whole ones, of commands and of SASL, good or bad
  std::uint64_t messages_accepted = 0;
  std::uint64_t messages_refused = 0; ///< after the final dot
  std::uint64_t recipients_accepted = 0;
  std::uint64_t recipients_refused = 0;
  std::uint64_t auth_failures = 0;
  std::uint64_t clear_text_dropped = 0; ///< octets behind STARTTLS: an attack or a broken client
};

/// The server's side of one SMTP connection (RFC 5321 with 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4865, 4954, 6152,
/// 6531, 6710, 8689, 9422) as a value without I/O, time or policy: bytes go in through feed(), replies gather in
/// output(), and what it cannot decide it asks its owner through pending(). One thread at a time. Usage:
///
///   session.start();
///   for (;;) {
///     while (auto* q = session.pending()) { answer it now, or return and come back when you can; }
///     rest.remove_prefix(session.feed(rest));
///     if (rest.empty() && session.pending() == nullptr) break;
///   }
///   flush(session.output()); session.output().clear();
///
/// The answer functions panic when no question of their kind is open: that is a bug of the owner. After the end they do
/// nothing, since an answer may have been on its way.
class server_session {
public:
  server_session(std::shared_ptr<const server_settings> settings, connection_facts facts);
  server_session(const server_session&) = delete;
  server_session& operator=(const server_session&) = delete;

  /// Once, when the connection is there (and its implicit TLS is up): opens check_connect. Its accept() greets.
  void start();
  /// Instead of an answer to check_connect: bytes came before our greeting. 554 and the end.
  void refuse_early_talker();

  /// Consumes a prefix of `bytes` and tells its length. It stops early only where a question opened; give the rest
  /// again once that is answered. Consumes nothing while a question is open.
  [[nodiscard]] std::size_t feed(std::string_view bytes);

  /// What is to be sent, in order; the owner takes bytes from the front (or all, with clear()).
  [[nodiscard]] std::string& output() noexcept { return output_; }
  [[nodiscard]] std::string take_output() noexcept { return std::exchange(output_, {}); }

  /// The open question, or null.
  [[nodiscard]] question* pending() noexcept { return question_ ? &*question_ : nullptr; }
  [[nodiscard]] const question* pending() const noexcept { return question_ ? &*question_ : nullptr; }

  // Answers.
  /// check_connect, check_helo, check_mail, check_recipient, check_data.
  void accept();
  /// The same, authenticate and settle_login (a right password that does not open this session) and take_message. A
  /// reply of 421 ends the session.
  void refuse(const reply& why);
  /// As refuse(), and the session ends whatever the code is.
  void refuse_and_end(const reply& why);
  /// start_tls: the handshake is done. Everything learnt before is forgotten (RFC 3207 section 4.2).
  void tls_started(tls_facts facts);
  /// xclient: everything learnt before is forgotten, and the session begins anew as that of another client, with
  /// check_connect. `identity`: who has logged in already, or empty. `hello`: what he said to the one in front of us,
  /// or empty; `extended`: with EHLO.
  void client_changed(std::shared_ptr<const server_settings> settings, connection_facts facts, std::string identity,
                      std::string hello, bool extended);
  /// authenticate that asks for SCRAM. `binding`: data of the channel binding that was asked for; empty: none.
  void scram_keys_found(scram_keys keys, std::string_view binding);
  /// authenticate, settle_login: `identity` is what policies and logs see.
  void authenticated(std::string identity);
  /// While authenticated: messages of this session may have no more octets than this, nor more than the listener says.
  void limit_message_size(std::size_t octets) noexcept { message_size_max_ = octets; }
  /// authenticate, settle_login: wrong credentials or unknown user, which look alike. Counted.
  void auth_failed();
  /// authenticate: no provider could tell. 454, not counted.
  void auth_unavailable();
  /// With check_helo: what FUTURERELEASE is offered by. Never called: not at all.
  void tell_time(wall_time now) noexcept { now_ = now; }
  /// check_mail: a higher priority than this is lowered to it, and accept() says so (RFC 6710 section 4.1).
  void limit_priority(int most);
  /// take_message: it is durable. 250 with `id`.
  void message_taken(std::string_view id);

  // The owner's own ends; legal in every state but `ended`, with a question open or not.
  /// 421 4.4.2.
  void timed_out();
  /// 421 4.4.2: the whole session took too long.
  void expire();
  /// 421 4.3.2: others need the room.
  void make_room();
  /// 421 4.3.2; at once, whatever goes on. Wait for idle() first to be polite.
  void shut_down();
  /// 421 4.3.2; an operator wants it. With take_message open the client would hear that of a message that is stored
  /// all the same: answer it first.
  void kill();
  /// 421 4.3.0; something of ours broke.
  void fail();

  /// From now on `tap` hears what the client says; null: nobody does. It outlives the session, or is taken away.
  void watch(dialogue_tap* tap) noexcept { tap_ = tap; }

  /// While receiving: gives up the message, frees what is held, reads to its end and then replies `why` (451 or 452).
  void abandon_message(const reply& why);
  /// While receiving: moves out what arrived, to be staged; take_message brings the rest. The owner drops its stage
  /// when receiving() ends without a take_message.
  [[nodiscard]] rope take_body();
  /// Octets of memory that the message being read, or waiting to be taken, holds.
  [[nodiscard]] std::size_t body_octets_held() const noexcept;
  /// While receiving: what that comes to at most when `count` octets more are fed.
  [[nodiscard]] std::size_t body_octets_held_after(std::size_t count) const noexcept {
    return reader_ ? reader_->held_octets_after(count) : 0;
  }
  /// A message is being read: `state` is data, or command between two chunks.
  [[nodiscard]] bool receiving() const noexcept { return reader_.has_value(); }
  /// While receiving: the message cannot be taken any more, and is only read to its end.
  [[nodiscard]] bool body_given_up() const noexcept { return reader_ && reader_->fault() != data_fault::none; }
  /// Octets of the message being read so far; 0 where none is.
  [[nodiscard]] std::uint64_t body_octets() const noexcept { return reader_ ? reader_->body_octets() : 0; }

  /// The same with what was read over of a message, or of a chunk, that is refused: whether the client still sends.
  [[nodiscard]] std::uint64_t octets_read() const noexcept {
    return (reader_ ? reader_->body_octets() + reader_->swallowed_octets() : 0) + chunks_swallowed_;
  }

  [[nodiscard]] session_state state() const noexcept;
  /// No transaction is open and no command is half read: a good moment to shut down.
  [[nodiscard]] bool idle() const noexcept;
  [[nodiscard]] bool ended() const noexcept { return ended_; }

  // Facts.
  [[nodiscard]] const server_settings& settings() const noexcept { return *settings_; }
  [[nodiscard]] const connection_facts& facts() const noexcept { return facts_; }
  [[nodiscard]] bool tls() const noexcept { return facts_.tls.has_value(); }
  /// As the client called itself; empty before EHLO or HELO.
  [[nodiscard]] const std::string& helo() const noexcept { return helo_; }
  /// Empty before AUTH.
  [[nodiscard]] const std::string& identity() const noexcept { return identity_; }
  /// The open transaction, or null.
  [[nodiscard]] const transaction* current() const noexcept { return transaction_ ? &*transaction_ : nullptr; }
  [[nodiscard]] const session_counters& counters() const noexcept { return counters_; }
  /// For the Received field: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA (RFC 3848), UTF8SMTP... (RFC 6531 section 4.3).
  [[nodiscard]] std::string_view protocol_keyword(bool smtputf8) const noexcept;

private:
  static constexpr auto unlimited = std::numeric_limits<std::size_t>::max();

  // Commands.
  std::size_t feed_line(std::string_view bytes);
  void line_goes_on(std::string_view bytes);
  void line_ends(std::string_view line);
  void begin_discard(const standard_reply* why_later);
  void show_line(std::string_view line);
  [[nodiscard]] bool is_auth_line(std::string_view line) const noexcept;
  void on_line(std::string_view line);
  void on_auth_line(std::string_view line);
  [[nodiscard]] bool legal_before_tls(const any_command& what) const noexcept;
  void on(helo_command& what);
  void on(mail_command& what);
  void on(rcpt_command& what);
  void on(data_command& what);
  void on(rset_command& what);
  void on(noop_command& what);
  void on(quit_command& what);
  void on(starttls_command& what);
  void on(vrfy_command& what);
  void on(expn_command& what);
  void on(help_command& what);
  void on(bdat_command& what);
  void on(auth_command& what);
  void on(xclient_command& what);
  void on(http_command& what);
  [[nodiscard]] const standard_reply* refusal_of(const mail_command& what) const noexcept;
  [[nodiscard]] const standard_reply* refusal_of(const rcpt_command& what) const noexcept;
  [[nodiscard]] const standard_reply* refusal_of(const bdat_command& what) const noexcept;
  [[nodiscard]] const standard_reply* refusal_of(const auth_command& what) const noexcept;

  // The rest of the dialogue.
  void say_hello();
  void say_extensions();
  [[nodiscard]] bool offers_starttls() const noexcept;
  [[nodiscard]] bool offers_auth() const noexcept;
  [[nodiscard]] bool offers_future_release() const noexcept;
  void say_delivery_extensions();
  void say_sender_ok();
  [[nodiscard]] std::size_t message_size_max() const noexcept {
    return std::min(message_size_max_, settings_->limits.data.body_octets_max);
  }
  [[nodiscard]] bool offers(std::string_view mechanism) const noexcept;
  void continue_auth(std::optional<std::string_view> response);
  void take_auth_step(sasl_step next);
  void say_auth_failed();
  [[nodiscard]] bool answers_login();
  void decode_and_continue_auth(std::string_view base64);
  std::size_t feed_data(std::string_view bytes);
  void end_of_data();
  void refuse_data(bool over);
  void begin_reading(data_framing framing);
  void begin_chunk();
  std::size_t feed_chunk(std::string_view bytes);
  void end_of_chunk();
  [[nodiscard]] bool reads_data() const noexcept { return reader_ && chunks_ == chunks::none; }
  void bad(const standard_reply& why);
  void say(const reply& what);
  void say(const standard_reply& what);
  void count_refusal(int code, refusal_reason why) noexcept;
  void finish(const standard_reply& last, ask::end_reason reason);
  void finish(ask::end_reason reason);
  void reset_transaction() noexcept;
  void forget_client() noexcept;
  template <class Question, class... Fields>
  void ask_owner(Fields&&... fields);
  template <class Question>
  [[nodiscard]] bool answers();

  // The chunk of a BDAT that is being read.
  struct chunk {
    std::uint64_t octets = 0;
    std::uint64_t left = 0;
    bool last = false;
    const standard_reply* refusal = nullptr; // it is read over, and this its answer
  };
  // Of the open transaction.
  enum class chunks : std::uint8_t {
    none,
    begun,
    failed // one was refused: the following ones are read over (RFC 3030 section 2)
  };

  std::shared_ptr<const server_settings> settings_;
  connection_facts facts_;
  std::string output_;
  std::string line_; // a line whose end has not come yet
  std::optional<question> question_;
  std::optional<transaction> transaction_;
  std::optional<recipient> candidate_; // asked about
  std::optional<data_reader> reader_;
  std::optional<chunk> chunk_;
  chunks chunks_ = chunks::none;
  std::uint64_t chunks_swallowed_ = 0; // octets of chunks read over
  std::optional<reply> abandoned_with_;
  wall_time now_{};               // as the owner told it
  bool priority_lowered_ = false; // of the open transaction
  std::unique_ptr<sasl_exchange> sasl_;
  std::string mechanism_;
  std::string helo_;
  std::string identity_;
  dialogue_tap* tap_ = nullptr;
  session_counters counters_;
  std::size_t message_size_max_ = unlimited;
  std::size_t command_octets_ = 0;
  const standard_reply* discard_reply_ = nullptr; // due at the end of the line being discarded
  bool discarding_line_ = false;                  // too long, or with a bare LF: skip to its CR LF
  bool last_was_cr_ = false;                      // of the line being discarded
  bool started_ = false;
  bool greeted_ = false;  // EHLO or HELO was given
  bool extended_ = false; // EHLO
  bool recipients_tried_ = false;
  bool login_failed_ = false; // and the client answers what it was told of it
  bool auth_tried_ = false;
  bool ended_ = false;
};

} // namespace hedwig::smtp
