// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "message_model.hpp"
#include "milter_socket.hpp"

namespace hedwig::filter_milter {

/// A connection after its negotiation; may serve one client after the other.
struct negotiated {
  std::unique_ptr<milter_socket> socket;
  std::uint32_t version = 0;
  std::uint32_t actions = 0;
  std::uint32_t steps = 0;
  bool reused = false;

  [[nodiscard]] bool has(std::uint32_t step) const noexcept { return (steps & step) != 0; }
};

/// Connections to one milter that wait for their next client. Any thread.
class connection_pool {
public:
  explicit connection_pool(std::size_t size) : size_{size} {}
  /// One that is quiet and whole, or nothing.
  [[nodiscard]] std::optional<negotiated> take();
  void give(negotiated one);
  void clear();

private:
  std::size_t size_;
  std::mutex mutex_;
  std::vector<negotiated> idle_;
};

/// One milter of the config with what its conversations share.
struct milter {
  milter_settings settings;
  connection_pool pool;
  sdk::host host;
  const stop_signal& stop;
  std::size_t max_body;

  milter(milter_settings from, const sdk::host& h, const stop_signal& s, std::size_t body_max)
    : settings{std::move(from)}, pool{settings.max_idle}, host{h}, stop{s}, max_body{body_max} {}
};

using macros = std::vector<std::pair<const char*, std::string>>;

/// What the session's hooks have shown, as milters are told it.
struct client_facts {
  std::string hostname; ///< j
  std::string listener;
  std::string peer;
  std::string peer_name;
  std::string local;
  std::string helo;
  std::string identity;
  std::string tls_version;
  std::string tls_cipher;
};

/// One milter's part in one SMTP session. Waits, so belongs on a worker; one call at a time. Every step may throw
/// milter_failure; then reset() before the next transaction.
class conversation {
public:
  explicit conversation(std::shared_ptr<milter> with) : with_{std::move(with)} {}

  /// Connects where needed, says who the client is, and begins a transaction. `deadline` is that of the host's call.
  [[nodiscard]] sdk::verdict mail(const client_facts& who, const hedwig_filter_address& sender,
                                  hedwig_time_ns deadline);
  [[nodiscard]] sdk::verdict recipient(const hedwig_filter_address& to, hedwig_time_ns deadline);
  /// The message, and what the milter makes of it: applied to `message` once its last word is there.
  [[nodiscard]] sdk::verdict message(const hedwig_filter_message& shown, message_model& message,
                                     hedwig_time_ns deadline);
  /// The transaction ends here, if one was under way. Sends nothing.
  void reset() noexcept { transaction_over_ = true; }
  /// The connection is of no more use.
  void drop() noexcept;
  /// Leaves the connection to the next client, where that is possible.
  void leave() noexcept;

  [[nodiscard]] bool connected() const noexcept { return link_.has_value(); }
  [[nodiscard]] const milter& with() const noexcept { return *with_; }

private:
  struct changes; // what has been asked for at the end of a message

  void open(const client_facts& who, hedwig_time_ns deadline);
  void negotiate(hedwig_time_ns deadline);
  void stop_reuse();
  void greet(const client_facts& who);
  void begin(const client_facts& who, const hedwig_filter_address& sender);
  void send_header(const message_model& message);
  void send_body(const message_model& message);
  [[nodiscard]] sdk::verdict end_of_message(message_model& message);
  void take_change(const reply& from, const message_model& message, changes& into) const;
  void take_field_change(const reply& from, const message_model& message, changes& into) const;

  void put(packet one) { link_->socket->put(std::move(one), deadline_of(with_->settings.command_timeout)); }
  void put_macros(command before, const macros& all);
  /// The answer to a step, unless the milter is silent there; false: nothing more of this message is for it.
  bool answer(std::uint32_t silent_step, bool skip_allowed = false);
  bool settle(const reply& from);
  [[nodiscard]] reply next_reply(std::chrono::nanoseconds timeout);
  [[nodiscard]] hedwig_time_ns deadline_of(std::chrono::nanoseconds timeout) const;
  [[nodiscard]] bool wants_more() const noexcept { return !accepted_ && !verdict_ && !discarded_; }

  std::shared_ptr<milter> with_;
  std::optional<negotiated> link_;
  hedwig_time_ns call_deadline_ = 0;
  std::string helo_; ///< what the milter has been told
  bool greeted_ = false;
  bool in_transaction_ = false;
  bool transaction_over_ = false;
  bool accepted_client_ = false;               ///< nothing of this client is for this milter
  bool skipping_ = false;                      ///< it has seen enough of the body
  std::optional<sdk::verdict> client_verdict_; ///< it wants nothing of this client at all

  bool accepted_ = false;
  bool discarded_ = false;
  std::optional<sdk::verdict> verdict_; ///< of the step at hand
};

} // namespace hedwig::filter_milter
