// SPDX-License-Identifier: Apache-2.0
#include "actors/destination.hpp"

#include "actors/delivery.hpp"
#include "runtime/telemetry/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

/// How often idle connections and idleness itself are looked at.
constexpr auto tick_interval = std::chrono::seconds{1};
/// A destination without mail is kept this long, so that a steady trickle keeps its connections and breaker.
constexpr auto quiet_time = std::chrono::seconds{60};

struct look_around {};

} // namespace

} // namespace hedwig

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(hedwig::look_around)

namespace hedwig {

destination::destination(caf::actor_config& config, relay_context& context, const actor_place& place, site_ptr site,
                         caf::actor spooler, caf::actor owner)
  : observed_actor{config, context, "destination", place}, site_{std::move(site)}, spooler_{std::move(spooler)},
    owner_{std::move(owner)}, limit_{std::max(1u, context.policy()->settings.server.smtp.max_size)},
    quiet_since_{context.time.steady()} {}

destination::~destination() {
  if (counted_resting_)
    relay().counts.destinations_resting.subtract();
}

caf::behavior destination::make_behavior() {
  set_state("ready");
  set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  monitor(owner_);
  delayed_send(this, tick_interval, look_around{});
  return {[this](deliver& request) { on_deliver(request); },
          [this](const delivery_status& status) { on_status(status); },
          [this](job_returned& late) { on_returned(late); },
          [this](look_around) { on_tick(); },
          [this](release) { on_release(); },
          [this](drain) { on_drain(); }};
}

steady_time destination::relay_time() const { return relay().time.steady(); }

// ---- jobs

void destination::on_deliver(deliver& request) {
  site_ = request.job.destination; // the newest answer of the DNS
  enqueue_job(std::move(request.job));
  work();
}

void destination::enqueue_job(delivery_job job) {
  auto policy = relay().policy();
  auto priority = job.message->envelope.priority.value_or(0);
  if (relay().draining) // also where it was spawned after the drain began
    give_back_unattempted(job);
  else if (resting())
    give_back_rested(job);
  else if (queue_.size() >= policy->settings.queue.ready_per_destination) {
    relay().counts.limit_hit("queue.ready_per_destination").add();
    auto why = fmt::format("{} messages wait for {}: queue.ready_per_destination", queue_.size(), site_name());
    auto less = queue_.displace(priority);
    give_back_unattempted(less ? *less : job, std::move(why));
    if (less)
      queue_.push(priority, std::move(job));
  } else
    queue_.push(priority, std::move(job));
}

void destination::on_returned(job_returned& late) {
  enqueue_job(std::move(late.job));
  work();
}

void destination::work() {
  if (relay().draining)
    return; // a connection that ends now is not followed by another one
  for (auto it = connections_.begin(); it != connections_.end() && !queue_.empty(); ++it)
    if (it->second.phase == connection::phase::idle)
      assign(it);
  auto connecting =
      std::ranges::count_if(connections_, [](auto& one) { return one.second.phase == connection::phase::connecting; });
  auto policy = relay().policy();
  auto most = std::min<std::size_t>(limit_, policy->settings.server.smtp.max_size);
  while (!failing_ && static_cast<std::size_t>(connecting) < queue_.size() && connections_.size() < most) {
    if (relay().deliveries_open.load(std::memory_order_relaxed) >= policy->settings.outbound.max_connections &&
        !connections_.empty()) {
      relay().counts.limit_hit("outbound.max_connections").add();
      break;
    }
    open_connection();
    ++connecting;
  }
}

void destination::assign(connections::iterator to) {
  auto& one = to->second;
  one.job = queue_.pop();
  one.phase = connection::phase::busy;
  send(one.actor, deliver{*one.job});
}

void destination::open_connection() {
  auto number = ++last_number_;
  delivery_assignment assignment{
      .owner = caf::actor_cast<caf::actor>(this), .spooler = spooler_, .connection = number, .destination = site_};
  relay().deliveries_open.fetch_add(1, std::memory_order_relaxed);
  relay().counts.pool_entries.add();
  auto actor = spawn_pinned<delivery>(system(), relay().next_unit(), relay(), child(site_->key), std::move(assignment));
  monitor(actor);
  numbers_[actor->address()] = number;
  connections_.emplace(number, connection{std::move(actor), connection::phase::connecting, {}, {}});
}

// ---- connections

void destination::on_status(const delivery_status& status) {
  auto found = connections_.find(status.connection);
  if (found == connections_.end())
    return;
  switch (status.what) {
  case delivery_status::kind::ready:
    failures_ = 0;
    failing_ = false;
    found->second.phase = connection::phase::idle;
    found->second.job.reset();
    found->second.idle_since = relay_time();
    break;
  case delivery_status::kind::ended:
    forget(found);
    failing_ = failing_ && !connections_.empty();
    break;
  case delivery_status::kind::failed:
    forget(found);
    connection_failed(status);
    break;
  }
  work();
  end_if_released();
}

void destination::forget(connections::iterator which) {
  numbers_.erase(which->second.actor->address());
  send(which->second.actor, release{});
  connections_.erase(which);
}

void destination::connection_failed(const delivery_status& status) {
  auto others =
      std::ranges::any_of(connections_, [](auto& one) { return one.second.phase != connection::phase::connecting; });
  if (others) {
    // Some connections work: the site wants no more of them at once.
    limit_ = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(connections_.size()));
    return;
  }
  if (!connections_.empty()) {
    failing_ = true; // the last of those that are connecting decides, and no other one takes its place
    return;
  }
  failing_ = false;
  ++failures_;
  auto policy = relay().policy();
  if (failures_ >= policy->settings.outbound.breaker_failures)
    rest(status);
  // Nobody is there to take what waits: each message has had its attempt.
  for (auto& job : queue_.take_all())
    give_back(job, status.cause, status.remote);
}

void destination::rest(const delivery_status& status) {
  auto policy = relay().policy();
  rest_until_ = relay_time() + policy->settings.outbound.breaker_delay;
  rest_began_ = relay().retries_asked.load(std::memory_order_relaxed);
  rest_reason_ = status.cause.text;
  if (!std::exchange(counted_resting_, true))
    relay().counts.destinations_resting.add();
  set_state("resting");
  telemetry::log(level::warn, component::destination,
                 {"destination.resting", "connections keep failing; it is not tried for a while"},
                 {{"destination", site_->key},
                  {"failures", failures_},
                  {"for_ms", policy->settings.outbound.breaker_delay},
                  {"last", status.cause.text}});
}

void destination::on_down(const caf::down_msg& down) {
  if (down.source == owner_->address()) {
    quit(); // its jobs are given out again to the dispatcher that follows
    return;
  }
  auto number = numbers_.find(down.source);
  if (number == numbers_.end())
    return; // ended in order
  auto found = connections_.find(number->second);
  numbers_.erase(number);
  if (found == connections_.end())
    return;
  auto job = std::move(found->second.job);
  auto connecting = found->second.phase == connection::phase::connecting;
  connections_.erase(found);
  relay().counts.restarts("delivery").add();
  if (job)
    give_back(*job, smtp::classify(smtp::client_stage::body, smtp::local_failure::internal), {});
  else if (connecting) // else one that always fails would be replaced without end
    connection_failed(
        {.cause = smtp::classify(smtp::client_stage::connect, smtp::local_failure::internal), .remote = {}});
  work();
  end_if_released();
}

// ---- giving back

void destination::give_back(delivery_job& job, const smtp::verdict& cause, std::string_view remote) {
  attempt_outcome ended{job.message->id, {}};
  for (auto index : job.recipients)
    ended.outcomes.push_back(
        {index,
         cause.disposition == smtp::disposition::failed ? queue::outcome_kind::failed : queue::outcome_kind::deferred,
         {static_cast<std::uint16_t>(cause.reply_code), cause.status.text(), cause.text},
         std::string{remote}});
  send(spooler_, std::move(ended));
}

void destination::give_back_unattempted(const delivery_job& job, std::string why, wall_time due) {
  attempt_outcome ended{job.message->id, {}};
  for (auto index : job.recipients)
    ended.outcomes.push_back({index, queue::outcome_kind::returned, {0, {}, why}, {}, due});
  send(spooler_, std::move(ended));
}

void destination::give_back_rested(const delivery_job& job) {
  auto end = relay().due_clock.now() + (rest_until_ - relay_time());
  // Not all in the same moment.
  auto spread = relay().policy()->settings.outbound.breaker_delay / 8 * relay().next_share();
  auto why = fmt::format("{} rests until {:%FT%TZ}, connections kept failing: {}", site_name(),
                         std::chrono::floor<std::chrono::seconds>(end), rest_reason_);
  give_back_unattempted(job, std::move(why), end + std::chrono::duration_cast<std::chrono::nanoseconds>(spread));
}

// ---- time

void destination::on_tick() {
  delayed_send(this, tick_interval, look_around{});
  auto now = relay_time();
  auto policy = relay().policy();
  if (counted_resting_ && !resting()) {
    counted_resting_ = false;
    relay().counts.destinations_resting.subtract();
    set_state("ready");
  }
  if (failures_ == 0)
    limit_ = std::min(limit_ + 1, std::max(1u, policy->settings.server.smtp.max_size)); // try for more again
  // Beyond server.smtp.cache_size destinations, those without work let go at once.
  auto crowded = relay().counts.destinations.value() > std::int64_t{policy->settings.server.smtp.cache_size};
  auto idle = static_cast<std::uint32_t>(
      std::ranges::count_if(connections_, [](auto& one) { return one.second.phase == connection::phase::idle; }));
  for (auto it = connections_.begin(); it != connections_.end();) {
    auto one = it++;
    if (one->second.phase != connection::phase::idle)
      continue;
    auto age = now - one->second.idle_since;
    auto keep = idle <= policy->settings.server.smtp.min_idle ? quiet_time : std::chrono::nanoseconds{0};
    if (crowded || age >= policy->settings.outbound.idle_timeout + keep) {
      forget(one);
      --idle;
    }
  }
  if (!quiet()) {
    quiet_since_ = now;
  } else if ((crowded || now - quiet_since_ >= quiet_time) && !resting() && !std::exchange(idle_reported_, true)) {
    send(owner_, destination_idle{site_->key});
  }
  end_if_released(); // the last connection may have gone for idleness after the release
}

void destination::on_release() {
  released_ = true;
  end_if_released();
}

void destination::end_if_released() {
  if (released_ && quiet())
    quit();
}

void destination::on_drain() {
  set_state("draining");
  for (auto& job : queue_.take_all())
    give_back_unattempted(job);
  for (auto it = connections_.begin(); it != connections_.end();) {
    auto one = it++;
    if (one->second.phase == connection::phase::idle)
      forget(one);
  }
}

} // namespace hedwig
