// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/filter_chain.hpp"
#include "actors/messages.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/session_census.hpp"
#include "runtime/net/loop.hpp"
#include "runtime/smtp/server_session.hpp"
#include "runtime/smtp/session_clock.hpp"
#include "runtime/smtp/user_limits.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hedwig {

/// What a session is spawned with.
struct session_arrival {
  std::unique_ptr<net::connection> connection;
  std::shared_ptr<const relay_policy> policy; ///< in force when the client came; kept to its end
  std::size_t listener = 0;
  std::shared_ptr<const wiring> handles;
  client_admission admission;              ///< without rules where a proxy has yet to say who the client is
  telemetry::gauge* connections = nullptr; ///< of its listener: counted already, and taken off at its end
};

/// One client's connection: drives the SMTP server protocol, decides who may relay, and hands each complete message to
/// the spooler once. Pinned to the loop of its socket.
class session final : public pinned_actor, private net::stream_handler {
public:
  session(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
          session_arrival arrival);

  void drain() override;

  // The console (session_sight.cpp). Loop thread.
  [[nodiscard]] session* as_session() noexcept override { return this; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] bool fits(const smtp::session_filter& whose) const;
  [[nodiscard]] session_row row() const;
  /// 421 4.3.2 and the end; where a message is being committed, after its client has heard what became of it.
  [[nodiscard]] kill_outcome kill();
  [[nodiscard]] bool killed() const noexcept { return killed_; }

private:
  caf::behavior begin() override;
  void end() override;

  // stream_handler
  std::size_t on_data(std::string_view data) override;
  void on_tls(const net::tls_info& info) override;
  void on_end() override;
  void on_drained() override;
  void on_closed(std::optional<error> reason) override;

  // messages
  void on_stored(const message_stored& outcome);
  void on_part_staged(const part_staged& outcome);
  void on_authenticated(authenticated& outcome);
  void on_authenticator_lost();
  void on_plugin_answers(plugin_answers& answers);

  // The dialogue: feeds bytes, answers what can be answered at once, sends what came of it.
  std::size_t advance_and_show(std::string_view data);
  std::size_t advance(std::string_view data);
  void go_on();
  void finish_step();
  void send_output();
  /// Greets now, or after server.greeting_delay who is not one of ours.
  void greet_in_time(bool spoke_early);
  void start_protocol(bool refuse_early_talker);
  void begin_handshake(bool behind_header);
  std::size_t refuse_early_talker(std::string_view data);
  void answer_questions();

  // Each answers its question, now or (false) later.
  bool answer(const smtp::ask::check_connect& question);
  bool answer(const smtp::ask::check_helo& question);
  bool answer(const smtp::ask::start_tls& question);
  bool answer(smtp::ask::xclient& question);
  bool answer(smtp::ask::authenticate& question);
  bool answer(const smtp::ask::settle_login& question);
  bool answer(const smtp::ask::check_mail& question);
  bool answer(const smtp::ask::check_recipient& question);
  bool answer(const smtp::ask::check_data& question);
  bool answer(smtp::ask::take_message& question);
  bool answer(const smtp::ask::end& question);

  bool apply(const std::optional<plugin::verdict>& verdict);
  void settle_message(const plugin::verdict& verdict);
  template <class Question>
  [[nodiscard]] bool is_open() const {
    return protocol_->pending() != nullptr && std::holds_alternative<Question>(*protocol_->pending());
  }
  // The client (session_client.cpp).
  [[nodiscard]] bool comes_through_proxy() const;
  /// We know who it is: begins its TLS or greets it. `behind_header`: octets of a PROXY header came before.
  void meet_client(bool spoke_early, bool behind_header);
  std::size_t read_proxy_header(std::string_view data);
  void refuse_proxy(std::string_view why);
  /// Whether it may have to go for others.
  void update_standing();
  void on_give_way();
  /// Of the client as it is known now.
  [[nodiscard]] smtp::connection_facts client_facts() const;
  void open_filters();
  /// False: it is over its limits, has heard so, and goes.
  [[nodiscard]] bool admit();
  /// The limits of the client, of the user and of the sender's domain: why this may not be sent now; null: it may.
  void count_for(const mail::address& reverse_path);
  [[nodiscard]] const smtp::standard_reply* look_at_client(std::size_t recipients);
  [[nodiscard]] const smtp::standard_reply* take_for_client(std::size_t recipients);
  [[nodiscard]] const smtp::standard_reply* limited_by(const std::optional<smtp::client_limits::refusal>& found);
  /// By the word of a front end.
  [[nodiscard]] bool enter_as(const std::string& login);
  [[nodiscard]] bool enter_as_user();

  // The user (session_user.cpp).
  [[nodiscard]] smtp::sasl_abilities abilities() const;
  [[nodiscard]] smtp::tls_facts tls_facts_of(const net::tls_info& info) const;
  // The client's certificate (session_certificate.cpp).
  struct certificate_login;
  /// Whom it may log in as; nothing where it is not right, or nobody knows it.
  [[nodiscard]] std::optional<certificate_login> login_of(const net::tls_info* info) const;
  bool log_in_by_certificate(smtp::ask::authenticate& question);
  void ask_providers(smtp::ask::authenticate& question);
  /// Counts and logs it, and answers when server.auth_failure_delay is over; false: not yet.
  bool deny(const std::string& mechanism, std::string_view user, std::string_view reason);
  [[nodiscard]] bool locked_out(const smtp::ask::authenticate& question);
  [[nodiscard]] std::string counted_address() const;
  void log_in(authenticated& outcome);
  /// The end of log_in(), once filters have seen the user.
  void let_in(const plugin::verdict& verdict);
  void log_out();
  [[nodiscard]] bool may_send_as(const mail::address& reverse_path);
  [[nodiscard]] bool may_write_from(const mail::prepared& header);
  /// False: it may not pass. Counts and logs.
  [[nodiscard]] bool tolerate_sender(std::string_view sender, const char* where, const char* reason);
  /// Why the user may not send this now; null: he may.
  [[nodiscard]] const smtp::standard_reply* user_limit_of(smtp::user_limits::verdict found);
  [[nodiscard]] smtp::user_allowance allowance() const noexcept;
  [[nodiscard]] const smtp::standard_reply* look_at_user(std::size_t recipients);
  [[nodiscard]] const smtp::standard_reply* refuse_to_user(const mail::prepared& header, std::size_t recipients);
  [[nodiscard]] bool may_relay_to(const mail::address& forward_path) const;
  /// Or the reply that refuses it; counted already.
  [[nodiscard]] std::expected<queue::message, smtp::reply> make_message(const smtp::transaction& envelope,
                                                                        const rope& text);
  void store(queue::message_ptr message, bool quarantine, std::optional<rope> staged_rest = {});
  void refuse_message(const smtp::reply& why);

  // A message too large for memory goes to the store part by part (session_bodies.cpp).
  enum class halt : std::uint8_t { none, memory, store };
  [[nodiscard]] std::uint64_t held() const noexcept;
  [[nodiscard]] bool make_room(std::size_t octets);
  void wait_for(halt what);
  void stop_waiting();
  void look_for_room();
  void stage_if_large();
  void begin_stage();
  void stage_rest_of(rope part);
  void give_up_message(const smtp::reply& why);
  void drop_unwanted_stage();
  void drop_stage_now();
  bool end_stage();
  void account_memory();
  // The time (session_time.cpp).
  void watch_time();
  void on_timeout();
  void out_of_time();
  void close();
  void end_by_operator();
  [[nodiscard]] const char* dialogue_state() const;
  /// Finds the traces that this session belongs to now.
  void look_at_traces();
  void note(std::string_view what) {
    if (tracer_) [[unlikely]]
      tracer_->note(what);
  }
  [[nodiscard]] plugin::filter_session_view filter_view() const;
  [[nodiscard]] const config::listener_settings& listener_settings() const {
    return policy_->settings.server.listeners[listener_];
  }

  std::unique_ptr<net::connection> connection_; // until begin()
  std::shared_ptr<const relay_policy> policy_;
  std::size_t listener_;
  std::shared_ptr<const wiring> handles_;
  std::unique_ptr<net::stream> stream_;
  client_admission admission_;
  shed_list::entry standing_;
  enum class listed_as : std::uint8_t { known, stranger, bad } listed_as_ = listed_as::known;
  std::vector<smtp::counted> user_counted_; // the user, as far as anything of him is limited
  std::vector<smtp::counted> mail_counted_; // whom the open transaction counts for
  net::address client_;                     // the peer of the stream, or whom its PROXY header names
  std::optional<net::timer> timer_;
  std::optional<smtp::server_session> protocol_; // empty until implicit TLS is up
  filter_chain filters_;
  std::string user_;                                     // whose session is counted; empty: none
  std::unique_ptr<authenticated> proving_;               // who logs in when his SCRAM proof fits
  std::vector<std::string> senders_;                     // allowed to the authenticated user; empty: any
  std::shared_ptr<const plugin::user_facts> user_facts_; // what filters are shown of the user
  bool entering_ = false;                                // filters look at who logs in
  plugin::auth_limits user_limits_;
  std::optional<queue::message> in_hand_;        // a message that filters look at
  std::optional<queue::message_ptr> committing_; // a message the spooler has
  std::uint64_t token_ = 0;                      // of the answer that is awaited
  memory_reservation memory_;                    // of the message being received
  rope front_;                                   // of it, when a look for the end of its header came too early
  std::uint64_t next_look_ = 0;                  // bytes held when that is looked for again
  std::optional<queue::message> staged_;         // it, when it goes to the store while it arrives; without body
  bool part_open_ = false;                       // a part of it is with the spooler
  halt halted_ = halt::none;                     // why nothing is read
  steady_time patience_end_{};
  std::chrono::nanoseconds look_interval_{};
  telemetry::gauge* connections_;
  steady_time dot_seen_{};
  smtp::session_clock clock_;
  steady_time begun_{};
  steady_time heard_{};           // anything of the client
  std::uint64_t octets_ = 0;      // that it sent
  std::uint64_t number_;          // of its node
  std::uint64_t trace_epoch_ = 0; // of the board, when tracer_ was looked for
  std::unique_ptr<smtp::trace_writer> tracer_;
  bool handshaking_ = false;
  bool awaiting_proxy_ = false; // its PROXY header
  bool anonymous_ = false;      // the proxy does not say who it is
  bool may_xclient_ = false;
  bool spoken_for_ = false; // by XCLIENT
  bool delaying_ = false;   // the greeting
  bool denying_ = false;    // the answer to a failed login
  bool peer_may_relay_ = false;
  bool closing_ = false;
  bool draining_ = false;
  bool killed_ = false; // an operator wants its end
};

} // namespace hedwig
