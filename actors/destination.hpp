// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"
#include "runtime/queue/ready_queue.hpp"

#include <map>
#include <optional>
#include <unordered_map>

namespace hedwig {

/// One site, a set of hosts that take the same mail: its ready queue, its connections and their limits, and the circuit
/// breaker that lets it rest when connections keep failing. Spawned by the dispatcher; parent of its deliveries.
class destination final : public observed_actor {
public:
  destination(caf::actor_config& config, relay_context& context, const actor_place& place, site_ptr site,
              caf::actor spooler, caf::actor owner);
  ~destination() override;

private:
  struct connection {
    caf::actor actor;
    enum class phase : std::uint8_t { connecting, idle, busy } phase = phase::connecting;
    std::optional<delivery_job> job; ///< while busy; for the case that its actor dies
    steady_time idle_since{};
  };
  using connections = std::map<std::uint64_t, connection>;

  caf::behavior make_behavior() override;
  void on_deliver(deliver& request);
  void on_status(const delivery_status& status);
  void on_returned(job_returned& late);
  void on_down(const caf::down_msg& down);
  void on_tick();
  void on_release();
  void on_drain();

  void enqueue_job(delivery_job job);
  void work();
  void assign(connections::iterator to);
  void open_connection();
  void forget(connections::iterator which);
  void connection_failed(const delivery_status& status);
  void rest(const delivery_status& status);
  void give_back(delivery_job& job, const smtp::verdict& cause, std::string_view remote);
  void give_back_unattempted(const delivery_job& job, std::string why = {}, wall_time due = {});
  void give_back_rested(const delivery_job& job);
  [[nodiscard]] bool resting() const {
    return relay_time() < rest_until_ && rest_began_ == relay().retries_asked.load(std::memory_order_relaxed);
  }
  [[nodiscard]] steady_time relay_time() const;
  /// For people: the host that is tried first.
  [[nodiscard]] const std::string& site_name() const {
    return site_->hosts.empty() ? site_->key : site_->hosts.front().host;
  }
  [[nodiscard]] bool quiet() const { return queue_.empty() && connections_.empty(); }
  void end_if_released();

  site_ptr site_;
  caf::actor spooler_;
  caf::actor owner_;                       // the dispatcher
  queue::ready_queue<delivery_job> queue_; // at most queue.ready_per_destination
  connections connections_;
  std::map<caf::actor_addr, std::uint64_t> numbers_;
  std::uint64_t last_number_ = 0;
  std::uint32_t limit_ = 0;    // of connections, learnt from what the site allows
  std::uint32_t failures_ = 0; // connections in a row that came to nothing
  steady_time rest_until_{};
  std::uint64_t rest_began_ = 0; // what retries_asked was then
  std::string rest_reason_;
  steady_time quiet_since_{};
  bool failing_ = false; // a connection came to nothing while others are still connecting
  bool released_ = false;
  bool idle_reported_ = false;
  bool counted_resting_ = false;
};

} // namespace hedwig
