// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/pinned_actor.hpp"
#include "runtime/dns/ip_address.hpp"
#include "runtime/net/loop.hpp"
#include "runtime/smtp/client_session.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hedwig {

/// What a delivery is spawned with.
struct delivery_assignment {
  caf::actor owner; ///< the destination
  caf::actor spooler;
  std::uint64_t connection = 0; ///< the destination's number for it
  site_ptr destination;
};

/// One outbound connection: finds a host of its site that answers, drives the SMTP client protocol for one job after
/// the other, tells the spooler how each recipient fared and its destination when it is ready for more. Pinned to a
/// loop. Lives until its destination releases it, so that no job can fall between two actors.
class delivery final : public pinned_actor, private net::stream_handler {
public:
  delivery(caf::actor_config& config, relay_context& context, io_unit& unit, const actor_place& place,
           delivery_assignment assignment);

  void drain() override;

private:
  caf::behavior begin() override;
  void end() override;

  // stream_handler
  void on_connected() override;
  std::size_t on_data(std::string_view data) override;
  void on_tls(const net::tls_info& info) override;
  void on_end() override;
  void on_drained() override;
  void on_closed(std::optional<error> reason) override;

  // messages
  void on_addresses(const addresses_found& found);
  void on_deliver(deliver& request);
  void on_body(const body_loaded& part);
  void on_release();

  // finding a host that answers
  void choose_order();
  void next_host();
  void next_address();
  void connect(const net::address& to);
  void start_session(queue::tls_mode tls);
  void connection_failed(const smtp::verdict& cause);
  void give_up(const smtp::verdict& cause);
  void note_cause(smtp::verdict cause);
  [[nodiscard]] dns::address_policy address_policy() const;
  [[nodiscard]] std::optional<std::string> refusal_of(const net::address& literal) const;
  [[nodiscard]] std::string remote_text() const;

  // the dialogue
  void advance();
  void on(const smtp::client_start_tls& event);
  void on(const smtp::client_ready& event);
  void on(smtp::client_transaction_done& event);
  void on(const smtp::client_must_close& event);
  void send_output();
  void ask_for_body();
  void watch_time();
  void on_timeout();
  void begin_transaction();
  void report(const std::vector<smtp::recipient_outcome>& outcomes);
  [[nodiscard]] bool tells_success(const smtp::recipient_outcome& of) const;
  void become_ready();
  void finish(delivery_status::kind what, const smtp::verdict& cause);
  void drop_stream();

  delivery_assignment assignment_;
  std::shared_ptr<const relay_policy> policy_;
  std::vector<queue::next_hop> hosts_; ///< in the order of this connection
  std::size_t host_ = 0;               ///< the next one to try
  std::deque<net::address> addresses_; ///< of the current host, still to try
  std::optional<net::address> remote_; ///< that we talk to or try
  std::string remote_host_;
  std::uint64_t lookup_ = 0;
  smtp::verdict last_cause_; ///< of the hosts that failed; the mildest
  bool last_cause_known_ = false;
  std::unique_ptr<net::stream> stream_;
  std::optional<net::timer> timer_;
  std::optional<smtp::client_session> session_;
  queue::tls_mode tls_now_ = queue::tls_mode::opportunistic; ///< of this connection: a failed handshake lowers it
  bool handshaking_ = false;
  std::optional<delivery_job> job_;
  std::vector<std::uint32_t> remaining_; ///< recipients of the job without a final outcome
  std::uint32_t again_ = 0;              ///< transactions begun anew for the same job
  std::uint64_t transaction_ = 0;        ///< numbers them: a part of the body may come too late
  std::uint64_t body_read_ = 0;          ///< bytes of a body that is not in memory, read for this one
  bool body_asked_ = false;              ///< the next part of it is under way
  bool untried_ = false;                 ///< it could not be read for a moment
  steady_time transaction_began_{};
  std::string timed_domain_;                  ///< of the last transaction
  telemetry::histogram* send_time_ = nullptr; ///< its
  bool announced_ready_ = false;
  bool finished_ = false; ///< the destination knows that no job is taken any more
  bool released_ = false;
};

} // namespace hedwig
