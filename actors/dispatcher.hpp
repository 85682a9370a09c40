// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"
#include "runtime/dns/mx_rules.hpp"
#include "runtime/queue/token_bucket.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace hedwig {

/// Turns a message into work for each destination: finds the way of every recipient (routes, then MX), loads the body
/// where it is not in memory, has the message signed once and passes it to the destinations. Parent of the
/// destinations.
class dispatcher final : public observed_actor {
public:
  dispatcher(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "dispatcher", place} {}

private:
  /// A way to a domain, or why there is none.
  using way = std::expected<site_ptr, dns::no_route>;
  struct known_way {
    way to;
    steady_time until{};
  };
  /// A message some of whose domains are being looked up, or whose body is being loaded.
  struct pending_work {
    delivery_work work;
    std::size_t lookups = 0;
  };
  struct destination_pool {
    caf::actor actor;
    std::shared_ptr<std::set<std::string>> domains; ///< served by it, for the case that it dies; null: any
  };

  /// What server.rate_limits leaves for one domain.
  struct rate {
    queue::token_bucket bucket;
    steady_time next_place{}; ///< where the next message that finds no token queues up
  };
  /// A message that a signer has.
  struct signing {
    std::vector<delivery_job> jobs; ///< all of that message
    caf::actor signer;              ///< null: waits until one lives
    std::uint32_t losses = 0;       ///< signers that ended with it in hand
  };
  /// How often a destination ended by a failure of late.
  struct crashes {
    std::uint32_t count = 0;
    steady_time last{};
  };

  caf::behavior make_behavior() override;
  void on_exit() override;
  void on_rewire(const rewire& fresh);
  void on_drain();
  void on_dispatch(dispatch& request);
  void on_hosts(const mail_hosts_found& found);
  void on_body(const body_loaded& loaded);
  void on_idle(const destination_idle& which);
  void on_signed(const work_signed& answer);
  void on_down(const caf::down_msg& down);
  [[nodiscard]] std::chrono::nanoseconds pause_after_crash(const std::string& key);

  void begin(delivery_work work);
  [[nodiscard]] const way* find_way(const std::string& domain);
  [[nodiscard]] way way_by_route(const queue::route& route);
  [[nodiscard]] way way_by_hosts(const std::string& domain, const dns::mx_answer& answer, std::chrono::seconds& ttl);
  void look_up(const std::string& domain, std::uint64_t work);
  void remember(const std::string& domain, known_way found);
  void forward(delivery_work work);
  void submit(delivery_work work);
  void sign(signing work);
  void sign_again();
  void give_back(const signing& work, queue::outcome_kind kind, const queue::reply& why);
  void deliver_all(std::vector<delivery_job>& jobs);
  [[nodiscard]] std::vector<delivery_job> divide(const delivery_work& work, std::vector<queue::outcome>& unroutable);
  [[nodiscard]] way with_requiretls(const site_ptr& of, const std::string& domain) const;
  destination_pool& pool_for(const site_ptr& to);
  [[nodiscard]] std::optional<wall_time> held_by_rate(const std::string& domain);
  [[nodiscard]] std::optional<wall_time> spend_token(rate& of, std::uint64_t limit);
  static void note_domain(destination_pool& to, const std::string& domain);

  std::shared_ptr<const wiring> handles_;
  std::unordered_map<std::string, known_way> ways_;               ///< by domain; at most dns.cache_entries
  std::unordered_map<const queue::route*, site_ptr> route_sites_; ///< of the policy in force
  std::shared_ptr<const relay_policy> policy_;
  std::unordered_map<std::uint64_t, pending_work> waiting_;             ///< bounded by the active messages
  std::unordered_map<std::string, std::vector<std::uint64_t>> lookups_; ///< who waits for a domain
  std::unordered_map<message_id, delivery_work> loading_;
  std::unordered_map<std::string, destination_pool> pools_;
  std::map<caf::actor_addr, std::string> pool_keys_;
  std::unordered_map<std::string, rate> buckets_; ///< by domain; the full ones go when there are many
  std::uint64_t last_work_ = 0;
  std::vector<caf::actor> signers_; ///< that live
  std::size_t next_signer_ = 0;
  std::map<std::uint64_t, signing> signing_; ///< by number; bounded by the active messages
  std::map<std::string, crashes> crashes_;   ///< of destinations; the old ones go
};

} // namespace hedwig
