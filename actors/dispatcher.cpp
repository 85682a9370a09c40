// SPDX-License-Identifier: Apache-2.0
#include "actors/dispatcher.hpp"

#include "actors/destination.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/telemetry/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ranges>

namespace hedwig {

using telemetry::component;
using telemetry::level;

namespace {

/// A way found without a TTL of its own (address literals), and one that was not found: asked again after this.
constexpr auto way_ttl_default = std::chrono::seconds{300};
constexpr auto failure_ttl = std::chrono::seconds{30};
/// Domains remembered of one destination; a smart host has any number of them, and then all count as its.
constexpr std::size_t domains_noted_max = 10'000;
constexpr auto way_ttl_max = std::chrono::seconds{86'400};
/// A message for which there is no token comes again when there will be one, but after this at the latest: the limit
/// may have been raised meanwhile.
constexpr auto rate_wait_max = std::chrono::minutes{15};
/// Signers that one message may take down with it before that counts as a failed attempt.
constexpr std::uint32_t signers_lost_max = 3;
/// What a destination had in hand when it ended by a failure waits this long, twice as long each further time.
constexpr auto crash_pause_first = std::chrono::seconds{1};
constexpr auto crash_pause_max = std::chrono::minutes{5};
/// A destination that has not failed for so long fails for a new reason.
constexpr auto crash_forgotten = std::chrono::minutes{10};

queue::outcome outcome_of(std::uint32_t recipient, const dns::no_route& why) {
  return {.recipient = recipient,
          .kind = why.permanent ? queue::outcome_kind::failed : queue::outcome_kind::deferred,
          .reply = {0, why.status, why.text},
          .remote = {}};
}

/// What the DNS and the routes know a recipient's domain by: lower case, A-labels.
std::string routing_domain(const std::string& address) {
  auto domain = queue::domain_of(address);
  if (mail::is_ascii(domain))
    return domain;
  auto key = mail::domain_key(domain);
  return key ? *key : domain;
}

} // namespace

caf::behavior dispatcher::make_behavior() {
  set_state("ready");
  set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  return {[this](dispatch& request) { on_dispatch(request); },
          [this](const mail_hosts_found& found) { on_hosts(found); },
          [this](const body_loaded& loaded) { on_body(loaded); },
          [this](const work_signed& answer) { on_signed(answer); },
          [this](const destination_idle& which) { on_idle(which); },
          [this](const rewire& fresh) { on_rewire(fresh); },
          [this](drain) { on_drain(); }};
}

void dispatcher::on_exit() {
  handles_.reset();
  signers_.clear();
  signing_.clear();
}

void dispatcher::on_rewire(const rewire& fresh) {
  for (auto& one : fresh.handles->signers)
    if (!handles_ || std::ranges::find(handles_->signers, one) == handles_->signers.end()) {
      monitor(one); // of one that has ended already we hear at once
      signers_.push_back(one);
    }
  handles_ = fresh.handles;
  sign_again();
}

void dispatcher::on_drain() {
  for (auto& [key, pool] : pools_)
    send(pool.actor, drain{});
  sign_again();
}

void dispatcher::on_dispatch(dispatch& request) {
  auto policy = relay().policy();
  if (policy != policy_) {
    policy_ = std::move(policy); // routes may have changed, and sites with them
    route_sites_.clear();
    ways_.clear();
  }
  for (auto& work : request.works)
    begin(std::move(work));
}

void dispatcher::begin(delivery_work work) {
  auto number = ++last_work_;
  pending_work pending{std::move(work), 0};
  std::set<std::string> missing;
  for (auto index : pending.work.recipients) {
    auto domain = routing_domain(pending.work.message->envelope.recipients[index].address);
    if (find_way(domain) == nullptr)
      missing.insert(std::move(domain));
  }
  if (missing.empty()) {
    forward(std::move(pending.work));
    return;
  }
  pending.lookups = missing.size();
  waiting_.emplace(number, std::move(pending));
  for (auto& domain : missing)
    look_up(domain, number);
}

// ---- ways

const dispatcher::way* dispatcher::find_way(const std::string& domain) {
  auto now = relay().time.steady();
  if (auto known = ways_.find(domain); known != ways_.end() && known->second.until > now)
    return &known->second.to;
  auto& route = policy_->routes.find(domain);
  if (!route.by_mx()) {
    remember(domain, {way_by_route(route), now + way_ttl_max});
    return &ways_[domain].to;
  }
  if (!dns::is_literal(domain))
    return nullptr;
  auto found = dns::route_by_literal(domain);
  remember(domain, {!found ? way{std::unexpected{found.error()}}
                           : way{std::make_shared<const site>(
                                 site{.key = "mx:" + found->site,
                                      .hosts = {{found->hosts[0].name, policy_->settings.outbound.port}},
                                      .tls = route.tls})},
                    now + way_ttl_default});
  return &ways_[domain].to;
}

dispatcher::way dispatcher::way_by_route(const queue::route& route) {
  auto& made = route_sites_[&route];
  if (!made) {
    site fresh{.key = "route:", .hosts = route.to, .tls = route.tls, .found_by_dns = false};
    for (auto& hop : route.to)
      fresh.key += (fresh.key.ends_with(':') ? "" : ",") + hop.text();
    made = std::make_shared<const site>(std::move(fresh));
  }
  return made;
}

dispatcher::way dispatcher::way_by_hosts(const std::string& domain, const dns::mx_answer& answer,
                                         std::chrono::seconds& ttl) {
  auto random = [this](std::uint64_t bound) { return relay().next_random() % bound; };
  auto found = dns::route_by_mx(domain, answer, policy_->own_names, random);
  if (!found) {
    ttl = failure_ttl;
    return std::unexpected{found.error()};
  }
  ttl = std::clamp(found->ttl, std::chrono::seconds{1}, way_ttl_max);
  auto& route = policy_->routes.find(domain);
  site fresh{.key = "mx:" + found->site, .hosts = {}, .tls = route.tls, .certain = found->secure || found->implicit};
  for (auto& host : found->hosts | std::views::take(policy_->settings.dns.max_mx)) {
    fresh.hosts.push_back({host.name, policy_->settings.outbound.port});
    fresh.preferences.push_back(host.preference);
  }
  return std::make_shared<const site>(std::move(fresh));
}

void dispatcher::remember(const std::string& domain, known_way found) {
  if (ways_.size() >= policy_->settings.dns.cache_entries)
    ways_.erase(ways_.begin());
  ways_.insert_or_assign(domain, std::move(found));
}

void dispatcher::look_up(const std::string& domain, std::uint64_t work) {
  auto& askers = lookups_[domain];
  askers.push_back(work);
  if (askers.size() > 1)
    return;
  auto self = caf::actor_cast<caf::actor>(this);
  relay().resolver->mx(domain, [self, domain](dns::mx_answer answer) {
    caf::anon_send(self, mail_hosts_found{domain, std::make_shared<const dns::mx_answer>(std::move(answer))});
  });
}

void dispatcher::on_hosts(const mail_hosts_found& found) {
  relay().counts.lookups("mx", dns::to_string_view(found.answer->status)).add();
  auto ttl = failure_ttl;
  auto to = way_by_hosts(found.domain, *found.answer, ttl);
  remember(found.domain, {std::move(to), relay().time.steady() + ttl});
  auto askers = lookups_.extract(found.domain);
  if (askers.empty())
    return;
  for (auto number : askers.mapped()) {
    auto pending = waiting_.find(number);
    if (pending == waiting_.end() || --pending->second.lookups > 0)
      continue;
    auto work = std::move(pending->second.work);
    waiting_.erase(pending);
    forward(std::move(work));
  }
}

// ---- passing on

void dispatcher::forward(delivery_work work) {
  if (work.message->body || !work.room) { // in memory already, or read in parts by those who need it
    submit(std::move(work));
    return;
  }
  auto id = work.message->id;
  loading_.insert_or_assign(id, std::move(work));
  send(handles_->spooler, load_body{id, caf::actor_cast<caf::actor>(this)});
}

void dispatcher::on_body(const body_loaded& loaded) {
  auto found = loading_.extract(loaded.id);
  if (found.empty())
    return;
  auto& work = found.mapped();
  if (!loaded.body) {
    auto kind = plugin::is_momentary(loaded.status) ? queue::outcome_kind::returned : queue::outcome_kind::deferred;
    attempt_outcome failed{loaded.id, {}};
    for (auto index : work.recipients)
      failed.outcomes.push_back({index, kind, body_unreadable(), {}});
    send(handles_->spooler, std::move(failed));
    return;
  }
  work.message = queue::with_body(*work.message, *loaded.body, std::move(work.room));
  submit(std::move(work));
}

void dispatcher::submit(delivery_work work) {
  std::vector<queue::outcome> unroutable;
  auto jobs = divide(work, unroutable);
  if (!unroutable.empty())
    send(handles_->spooler, attempt_outcome{work.message->id, std::move(unroutable)});
  if (jobs.empty())
    return;
  auto& message = *work.message;
  if (policy_->signer.applies(message.from_domains, queue::domain_of(message.envelope.reverse_path)))
    sign({.jobs = std::move(jobs), .signer = {}});
  else
    deliver_all(jobs);
}

// ---- signing

void dispatcher::sign(signing work) {
  if (signers_.empty() && relay().draining) { // none is started again
    give_back(work, queue::outcome_kind::returned, {});
    return;
  }
  auto number = ++last_work_;
  if (!signers_.empty()) {
    work.signer = signers_[next_signer_++ % signers_.size()];
    send(work.signer, sign_work{number, work.jobs.front().message, caf::actor_cast<caf::actor>(this)});
  }
  signing_.emplace(number, std::move(work));
}

void dispatcher::on_signed(const work_signed& answer) {
  auto found = signing_.extract(answer.number);
  if (found.empty())
    return; // its signer was lost, and another one has it now
  if (answer.status != HEDWIG_OK) {
    auto kind = plugin::is_momentary(answer.status) ? queue::outcome_kind::returned : queue::outcome_kind::deferred;
    give_back(found.mapped(), kind, body_unreadable());
    return;
  }
  auto& jobs = found.mapped().jobs;
  for (auto& job : jobs)
    job.signature = answer.signature;
  deliver_all(jobs);
}

/// What no living signer has goes to one that lives.
void dispatcher::sign_again() {
  std::vector<signing> lost;
  for (auto it = signing_.begin(); it != signing_.end();) {
    auto one = it++;
    if (std::ranges::find(signers_, one->second.signer) == signers_.end())
      lost.push_back(std::move(signing_.extract(one).mapped()));
  }
  for (auto& work : lost) {
    work.losses += work.signer != nullptr;
    work.signer = nullptr;
    if (work.losses < signers_lost_max)
      sign(std::move(work));
    else
      give_back(work, queue::outcome_kind::deferred, {0, "4.3.0", "it could not be signed: an internal failure"});
  }
}

void dispatcher::give_back(const signing& work, queue::outcome_kind kind, const queue::reply& why) {
  attempt_outcome ended{work.jobs.front().message->id, {}};
  for (auto& job : work.jobs)
    for (auto index : job.recipients)
      ended.outcomes.push_back({index, kind, why, {}, {}});
  send(handles_->spooler, std::move(ended));
}

// ---- passing on to destinations

void dispatcher::deliver_all(std::vector<delivery_job>& jobs) {
  for (auto& job : jobs) {
    auto& pool = pool_for(job.destination);
    for (auto index : job.recipients)
      note_domain(pool, queue::domain_of(job.message->envelope.recipients[index].address));
    send(pool.actor, deliver{std::move(job)});
  }
}

std::vector<delivery_job> dispatcher::divide(const delivery_work& work, std::vector<queue::outcome>& unroutable) {
  std::vector<delivery_job> jobs;
  auto limit = policy_->settings.outbound.max_recipients;
  std::unordered_map<std::string_view, std::size_t> open;         // by site key: the job that still has room
  std::unordered_map<std::string, std::optional<wall_time>> held; // by domain: until when its rate limit holds it back
  auto limited = policy_->settings.server.rate_limits.enabled;
  for (auto index : work.recipients) {
    auto domain = routing_domain(work.message->envelope.recipients[index].address);
    auto* to = find_way(domain);
    if (to == nullptr) { // forgotten since it was found: more domains than the cache holds
      unroutable.push_back({index, queue::outcome_kind::returned, {}, {}, {}});
      continue;
    }
    if (!*to) {
      unroutable.push_back(outcome_of(index, to->error()));
      continue;
    }
    auto destination = **to;
    if (work.message->envelope.require_tls) {
      auto strict = with_requiretls(destination, domain);
      if (!strict) {
        unroutable.push_back(outcome_of(index, strict.error()));
        continue;
      }
      destination = std::move(*strict);
    }
    if (limited) // one message is one token, however many recipients it has there
      if (auto [one, fresh] = held.try_emplace(domain); fresh)
        one->second = held_by_rate(domain);
    if (auto until = limited ? held[domain] : std::nullopt) {
      auto why =
          fmt::format("rate limit of {}: next at {:%FT%TZ}", domain, std::chrono::floor<std::chrono::seconds>(*until));
      unroutable.push_back({index, queue::outcome_kind::returned, {0, "4.7.0", std::move(why)}, {}, *until});
      continue;
    }
    auto known = open.find(destination->key);
    if (known == open.end() || jobs[known->second].recipients.size() >= limit) {
      jobs.push_back({work.message, {}, {}, destination});
      known = open.insert_or_assign(jobs.back().destination->key, jobs.size() - 1).first;
    }
    jobs[known->second].recipients.push_back(index);
  }
  return jobs;
}

/// The same hosts, but by verified TLS and with REQUIRETLS only; they have connections of their own.
dispatcher::way dispatcher::with_requiretls(const site_ptr& of, const std::string& domain) const {
  if (!of->certain) // RFC 8689 section 4.2.1
    return std::unexpected{dns::no_route{.permanent = true,
                                         .status = "5.7.30",
                                         .text = "REQUIRETLS is asked for, and the MX records of " + domain +
                                                 " are not protected by DNSSEC"}};
  auto made = std::make_shared<site>(*of);
  made->key += " requiretls";
  made->tls = queue::tls_mode::verify;
  made->requiretls = true;
  return made;
}

/// Until when the rate limit of the domain keeps a message back; nothing when it may go.
std::optional<wall_time> dispatcher::held_by_rate(const std::string& domain) {
  auto& limits = policy_->settings.server.rate_limits;
  auto own = limits.domain_limits.find(domain);
  auto limit = own != limits.domain_limits.end() ? own->second : limits.default_limit.value_or(0);
  auto now = relay().time.steady();
  auto [found, fresh] = buckets_.try_emplace(domain, rate{queue::token_bucket{limit, now}, {}});
  if (fresh && buckets_.size() > policy_->settings.dns.cache_entries)
    std::erase_if(buckets_, [&](auto one) { return one.first != domain && one.second.bucket.is_full(limit, now); });
  return spend_token(found->second, limit);
}

std::optional<wall_time> dispatcher::spend_token(rate& of, std::uint64_t limit) {
  auto now = relay().time.steady();
  if (of.bucket.take(limit, now))
    return std::nullopt;
  relay().counts.limit_hit("server.rate_limits").add();
  // One place behind the other: if all came again for the next token, all but one would be written back for nothing.
  auto place = std::max(now + of.bucket.wait(limit, now), of.next_place);
  of.next_place = place + std::chrono::ceil<std::chrono::nanoseconds>(queue::token_bucket::token_time(limit));
  return relay().due_clock.now() + std::min<std::chrono::nanoseconds>(place - now, rate_wait_max);
}

void dispatcher::note_domain(destination_pool& to, const std::string& domain) {
  if (to.domains && to.domains->insert(domain).second && to.domains->size() > domains_noted_max)
    to.domains.reset(); // all
}

dispatcher::destination_pool& dispatcher::pool_for(const site_ptr& to) {
  auto [found, fresh] = pools_.try_emplace(to->key);
  auto& pool = found->second;
  if (fresh) {
    pool.actor = spawn<destination, caf::monitored>(relay(), child(to->key), to, handles_->spooler,
                                                    caf::actor_cast<caf::actor>(this));
    pool.domains = std::make_shared<std::set<std::string>>();
    pool_keys_[pool.actor->address()] = to->key;
    relay().counts.destinations.set(static_cast<std::int64_t>(pools_.size()));
  }
  return pool;
}

void dispatcher::on_idle(const destination_idle& which) {
  auto found = pools_.extract(which.key);
  if (found.empty())
    return;
  relay().counts.destinations.set(static_cast<std::int64_t>(pools_.size()));
  pool_keys_.erase(found.mapped().actor->address());
  send(found.mapped().actor, release{});
}

void dispatcher::on_down(const caf::down_msg& down) {
  if (std::erase_if(signers_, [&](auto& one) { return one->address() == down.source; }) > 0) {
    sign_again();
    return;
  }
  auto known = pool_keys_.find(down.source);
  if (known == pool_keys_.end())
    return;
  auto key = known->second;
  pool_keys_.erase(known);
  auto found = pools_.extract(key);
  relay().counts.destinations.set(static_cast<std::int64_t>(pools_.size()));
  relay().counts.restarts("destination").add();
  telemetry::log(level::error, component::dispatcher,
                 {"destination.lost", "a destination ended by a failure; its messages are tried again"},
                 {{"destination", key}});
  if (!found.empty())
    send(handles_->spooler, attempts_lost{.domains = found.mapped().domains, .pause = pause_after_crash(key)});
}

std::chrono::nanoseconds dispatcher::pause_after_crash(const std::string& key) {
  auto now = relay().time.steady();
  std::erase_if(crashes_, [&](auto& one) { return now - one.second.last > crash_forgotten; });
  auto& of = crashes_[key];
  of.last = now;
  auto doublings = std::min(of.count++, 12u);
  return std::min<std::chrono::nanoseconds>(crash_pause_first * (1u << doublings), crash_pause_max);
}

} // namespace hedwig
