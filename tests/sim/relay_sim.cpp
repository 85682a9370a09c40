// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/relay_sim.hpp"

#include "actors/pinned_actor.hpp"
#include "actors/supervisor.hpp"
#include "runtime/config/load.hpp"
#include "runtime/dkim/key.hpp"
#include "runtime/plugin/checked_config.hpp"
#include "runtime/telemetry/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace hedwig::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t policies = 4;
/// Steps after which a run that does not come to its end is a failure.
constexpr std::uint64_t drain_steps_max = 400'000;
/// For how long a message may be kept back by a claim whose answer was lost.
constexpr auto lease_max = 15min;
/// The quiet after which actors of idle destinations have ended.
constexpr auto quiet_time = 5min;

constexpr const char* settings[policies] = {
    // As installed.
    "",
    // Small limits everywhere.
    R"(
[server.smtp]
max_size = 1
[queue]
active_messages = 2
ready_per_destination = 1
retry_window = 1
[outbound]
max_recipients = 2
max_messages_per_connection = 1
[dns]
cache_entries = 2
[dsn]
delay_warning = "2m"
[retry]
initial_delay = "30s"
)",
    // Expiry by age, a nervous breaker, TLS never.
    R"(
[server.smtp]
max_size = 2
[outbound]
tls = "none"
breaker_failures = 1
idle_timeout = "5s"
[retry]
initial_delay = "10s"
max_delay = "5m"
expire_after = "20m"
[dsn]
delay_warning = "5m"
[storage.cleanup]
bounced_retention = "1h"
interval = "10m"
)",
    // One attempt.
    R"(
[outbound]
max_connections = 2
[dns]
max_mx = 1
)",
};
constexpr unsigned retries_of[policies] = {5, 4, 30, 1};

std::shared_ptr<const relay_policy> make_sim_policy(std::size_t which) {
  auto text = fmt::format(R"(
[server]
hostname = "relay.sim"
max_retries = {}
[[server.listeners]]
addr = "127.0.0.1:2525"
relay_from = ["0.0.0.0/0"]
[storage]
storage_type = "sim"
base_path = "/nowhere"
[storage.sim]
[process]
io_loops = 1
scheduler_threads = 2
[admin]
socket = ""
)",
                          retries_of[which]) +
              settings[which];
  auto loaded = config::load_text(text, "sim.toml", {.machine_name = "relay.sim", .processors = 1});
  if (!loaded) {
    std::string why;
    for (auto& one : loaded.error())
      why += one.message + "; ";
    panic(why.c_str());
  }
  // The simulated internet lives in private networks; nothing else could be mistaken for the real one.
  loaded->settings.outbound.allow_private_mx = true;
  // Less than a file may say: room for two or three messages, bodies that go in and out in parts, and both.
  if (which == policies - 1)
    loaded->settings.queue.active_bytes = 4096;
  if (which >= 2)
    loaded->settings.queue.stage_above = 300;
  if (which == 2) {
    loaded->settings.process.message_memory = 24'000;
    loaded->settings.queue.pending_append_bytes = 18'000;
    loaded->settings.process.message_memory_wait = 5s;
  }
  policy_report report;
  auto made = make_policy(std::move(loaded->settings), wall_time{std::chrono::seconds{1'767'225'600}}, report);
  if (!made)
    panic("the simulation's policy does not load");
  if (which % 2 == 1)
    return made;
  auto signing = std::make_shared<relay_policy>(*made);
  auto signer = dkim::signer::make({{.domain = "d0.sim",
                                     .selector = "sim",
                                     .key = dkim::signing_key::generate(dkim::key_type::ed25519),
                                     .applies_to = {"d0.sim"}}});
  if (!signer)
    panic("the simulation's signer cannot be made");
  signing->signer = std::move(*signer);
  return signing;
}

/// Immutable: all runs share them. Never freed: the crypto library of the keys is gone before static objects are.
std::shared_ptr<const relay_policy> policy_number(std::size_t which) {
  static auto& all = *new std::array<std::shared_ptr<const relay_policy>, policies>;
  if (!all[which])
    all[which] = make_sim_policy(which);
  return all[which];
}

} // namespace

// ---- one life of the relay

sim_relay::sim_relay(sim_world& world, sim_dns& dns, sim_store& store, std::shared_ptr<const relay_policy> policy)
  : world_{world}, store_{store}, dns_{dns} {
  host_ = std::make_shared<plugin::host>(plugin::host_options{.time = &world.clock(), .threads = false});
  context_.emplace(world.clock(), policy, world.random(~std::uint64_t{0}));
  open_store(store);
  context_->resolver = &dns;
  caf_config_.set("scheduler.policy", caf::atom("testing"));
  system_ = std::make_unique<caf::actor_system>(caf_config_);
  auto loops = 1 + world.random(2);
  for (std::uint64_t i = 0; i < loops; ++i) {
    loops_.push_back(world.make_loop());
    units_.push_back(std::make_unique<io_unit>(*system_, *loops_.back()));
    context_->units.push_back(units_.back().get());
  }
  supervisor_events events{
      .started = [] {}, .failed = [this](const std::string& why) { failure_ = why; }, .drained = [] {}};
  supervisor_ = system_->spawn<supervisor>(*context_, std::move(events), inherited_sockets{});
}

void sim_relay::open_store(sim_store& store) {
  store.offer();
  auto made = plugin::instance::create(host_, {nullptr, &sim_store::provider(), {}}, {.name = "storage.sim"},
                                       std::make_shared<hedwig_config>());
  if (!made || !(*made)->start_and_wait(5s))
    panic("the simulated store does not start");
  instance_ = *made;
  auto client = plugin::storage_client::make(instance_);
  if (!client)
    panic("the simulated store is no store");
  context_->plugins.store = *client;
}

sim_relay::~sim_relay() {
  static_cast<void>(end_actors());
  dns_.forget();
  store_.abandon();
  host_->run_due();
  static_cast<void>(instance_->stop_and_wait(5s));
  context_->plugins = {};
  instance_.reset();
  units_.clear();
  system_.reset();
  loops_.clear();
}

bool sim_relay::end_actors() {
  context_->draining = true;
  if (supervisor_)
    caf::anon_send_exit(supervisor_, caf::exit_reason::user_shutdown);
  supervisor_ = nullptr;
  for (int round = 0; round < 10'000 && system_->registry().running() > 0; ++round) {
    for (auto& unit : units_) {
      unit->end_all();
      static_cast<void>(unit->run_ready());
    }
    while (scheduler().try_run_once()) {
    }
  }
  return system_->registry().running() == 0;
}

caf::scheduler::test_coordinator& sim_relay::scheduler() const {
  return static_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
}

void sim_relay::run_job() {
  auto& jobs = scheduler().jobs;
  std::swap(jobs.front(), jobs[world_.random(jobs.size())]);
  static_cast<void>(scheduler().try_run_once());
}

void sim_relay::advance(std::chrono::nanoseconds by) { scheduler().clock().advance_time(by); }

std::optional<steady_time> sim_relay::next_deadline() const {
  auto& clock = scheduler().clock();
  if (clock.schedule().empty())
    return std::nullopt;
  return world_.clock().steady() + (clock.schedule().begin()->first - clock.now());
}

void sim_relay::kill(std::string_view role) {
  for (auto& unit : units_)
    for (auto* one : unit->actors())
      if (role == one->name())
        return caf::anon_send_exit(one->address(), caf::exit_reason::unhandled_exception);
  for (auto* job : scheduler().jobs)
    if (auto* one = dynamic_cast<observed_actor*>(job); one != nullptr && role == one->name())
      return caf::anon_send_exit(one->address(), caf::exit_reason::unhandled_exception);
}

bool sim_relay::idle() const {
  auto& shared = *context_;
  return shared.sessions_open == 0 && shared.deliveries_open == 0 && shared.attempts_open == 0 &&
         shared.memory.used(memory_user::sessions) == 0 && shared.counts.active_messages.value() == 0;
}

// ---- a run

relay_sim::relay_sim(const sim_options& options)
  : options_{options}, world_{{.seed = options.seed * 0x9e3779b97f4a7c15u + 1}}, store_{world_, oracle_}, dns_{world_} {
  store_.set_lie(options.lie);
  outside_ = world_.make_loop();
  servers_ = std::make_unique<server_site>(world_, *outside_, oracle_);
  servers_->repeats_itself = options.server_repeats;
  world_.on_write = [this](const net::address& from, std::string_view text) { oracle_.written(from, text); };
  draw_plan();
  build_internet();
}

void relay_sim::draw_plan() {
  // Each fault is on in some runs only, so that one cannot hide another.
  auto maybe = [this](double most) { return random(2) == 0 ? 0.0 : most * static_cast<double>(random(1000)) / 1000; };
  plan_.network = {.refused = maybe(0.3),
                   .unanswered = maybe(0.1),
                   .cut = maybe(0.4),
                   .cut_within = 8192,
                   .slow = maybe(0.1),
                   .slow_gap = 2s,
                   .tls_failed = maybe(0.3)};
  plan_.store = {.commit_failed = maybe(0.2),
                 .no_space = maybe(0.1),
                 .busy = maybe(0.05),
                 .read_failed = maybe(0.1),
                 .broken = maybe(0.1),
                 .appears = 0.5};
  plan_.servers = {.refuses = maybe(0.2),
                   .rejects = maybe(0.1),
                   .drops = maybe(0.1),
                   .loses_reply = maybe(0.3),
                   .slow = maybe(0.05),
                   .plain = maybe(0.2)};
  plan_.dns_failing = maybe(0.3);
  plan_.crash = maybe(0.0015);
  plan_.kill = maybe(0.0015);
  plan_.jump = maybe(0.001);
  plan_.set_clock = maybe(0.001);
  plan_.hurry = random(3) == 0 ? 0.05 : 0.002;
  plan_.clients = 1 + random(6);
  plan_.steps = 1500 + random(7000);
  plan_.policy = random(policies);
  world_.faults() = plan_.network;
  store_.faults() = plan_.store;
  servers_->faults = plan_.servers;
  servers_->offers_tls = random(3) == 0;
  dns_.set_failing(plan_.dns_failing);
}

void relay_sim::build_internet() {
  auto count = 1 + random(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    auto domain = fmt::format("d{}.sim", i);
    domains_.push_back(domain);
    std::vector<dns::mx_record> hosts;
    auto host_count = random(4); // none: the domain itself is the host
    for (std::uint64_t h = 0; h < host_count; ++h)
      hosts.push_back({static_cast<std::uint16_t>(10 * random(3)), fmt::format("mx{}.{}", h, domain)});
    if (i > 0 && random(3) == 0 && host_count > 0)
      hosts = {{10, "mx0.d0.sim"}}; // shares the host of the first
    dns_.add_domain(domain, hosts);
    auto add = [&](const std::string& name, std::uint64_t number) {
      auto ip = fmt::format("10.{}.{}.1", i + 1, number);
      dns_.add_host(name, {*dns::ip_address::parse(ip)});
      servers_->listen(*net::address::parse_ip(ip, 25));
    };
    add(domain, 0);
    for (std::uint64_t h = 0; h < 3; ++h)
      add(fmt::format("mx{}.{}", h, domain), h + 1);
  }
}

void relay_sim::trace(std::string_view what) {
  if (!options_.trace)
    return;
  telemetry::flush_log(); // so that its lines stand in between
  fmt::print(stderr, "{:%FT%TZ} step {} {}\n", std::chrono::floor<std::chrono::milliseconds>(world_.clock().wall()),
             steps_, what);
}

void relay_sim::start_relay() {
  auto policy = policy_number(plan_.policy);
  oracle_.expect_retention(policy->settings.storage.cleanup.bounced_retention);
  due_clock_.emplace(world_.clock());
  store_.set_due_clock(*due_clock_);
  relay_ = std::make_unique<sim_relay>(world_, dns_, store_, std::move(policy));
}

void relay_sim::crash() {
  trace("the relay dies");
  ++crashes_;
  store_.crash();
  dns_.forget();
  // What the kernel had of the relay's output may still be under way or not: the network drops it.
  world_.reset_connections();
  if (!relay_->end_actors())
    oracle_.fail("some actors do not end");
  auto& shared = relay_->context();
  if (shared.sessions_open != 0 || shared.deliveries_open != 0 || shared.memory.used(memory_user::sessions) != 0)
    oracle_.fail(fmt::format(
        "after all actors ended: {} sessions, {} deliveries and {} bytes being received are counted",
        shared.sessions_open.load(), shared.deliveries_open.load(), shared.memory.used(memory_user::sessions)));
  world_.reset_connections();
  relay_.reset();
  oracle_.relay_restarted();
  start_relay();
}

// ---- steps

void relay_sim::advance_to(steady_time when) {
  auto by = when - world_.clock().steady();
  if (by <= 0ns)
    return;
  world_.advance_to(when);
  relay_->advance(by);
  relay_->run_host();
}

void relay_sim::pass_time(bool days) {
  auto now = world_.clock().steady();
  if (days) {
    auto by = std::chrono::minutes{1 + random(random(2) == 0 ? 90 : 4320)};
    trace(fmt::format("{} minutes pass at once", by.count()));
    return advance_to(now + by);
  }
  auto next = world_.next_deadline();
  if (auto other = relay_->next_deadline(); other && (!next || *other < *next))
    next = other;
  advance_to(next ? std::max(*next, now + 1ms) : now + 1s);
}

void relay_sim::set_clock() {
  auto by = std::chrono::minutes{1 + random(2880)} * (random(2) == 0 ? 1 : -1);
  trace(fmt::format("the wall clock is set by {} minutes", by.count()));
  world_.clock().jump_wall(by);
}

void relay_sim::take_step() {
  auto network = world_.ready();
  auto jobs = relay_->jobs();
  auto store = store_.ready();
  auto dns = dns_.ready();
  auto total = network + jobs + store + dns;
  if (total == 0 || chance(plan_.hurry)) {
    relay_->run_host();
    return pass_time(false);
  }
  auto chosen = random(total + 1);
  if (chosen < network)
    static_cast<void>(world_.run_once());
  else if (chosen < network + jobs)
    relay_->run_job();
  else if (chosen < network + jobs + store)
    store_.step();
  else if (chosen < total)
    dns_.step();
  else
    relay_->run_host();
}

void relay_sim::step() {
  oracle_.tick();
  due_clock_->advance_to(relay_->context().due_clock.now());
  ++steps_;
  take_step();
  if (!relay_->failure().empty() && oracle_.ok())
    oracle_.fail("the relay says: " + relay_->failure());
  if (steps_ % 64 == 0)
    sweep();
}

void relay_sim::perhaps_fault() {
  if (chance(plan_.crash) || (store_.broken() && random(200) == 0))
    crash();
  if (chance(plan_.jump))
    pass_time(true);
  if (store_.idle() && chance(plan_.set_clock)) // a lease that is being written would be measured by both clocks
    set_clock();
  if (chance(plan_.kill)) {
    constexpr const char* victims[] = {"dispatcher", "signer",  "bouncer",  "retry-timer", "destination",
                                       "delivery",   "session", "delivery", "listener"};
    auto* victim = victims[random(std::size(victims))];
    trace(fmt::format("an exception ends {}", victim));
    ++kills_;
    relay_->kill(victim);
  }
}

void relay_sim::perhaps_client() {
  if (clients_started_ == plan_.clients || random(plan_.steps / (2 * plan_.clients) + 1) != 0)
    return;
  ++clients_started_;
  trace("a client comes");
  clients_.push_back(std::make_unique<sim_client>(world_, *outside_, oracle_,
                                                  *net::address::parse_ip("127.0.0.1", 2525), draw_script()));
}

sim_client::script relay_sim::draw_script() {
  sim_client::script made{
      .messages = {}, .pipelined = random(2) == 0, .leaves_after = {}, .leaves_rudely = random(2) == 0};
  auto count = 1 + random(4);
  for (std::uint64_t i = 0; i < count; ++i)
    made.messages.push_back(draw_message());
  if (random(4) == 0)
    made.leaves_after = random(20);
  return made;
}

client_message relay_sim::draw_message() {
  client_message made{.key = fmt::format("m{}", ++messages_made_), .reverse_path = {}, .recipients = {}, .text = {}};
  auto some_domain = [this] { return random(12) == 0 ? std::string{"gone.sim"} : domains_[random(domains_.size())]; };
  if (random(5) != 0)
    made.reverse_path = fmt::format("from-{}@{}", made.key, some_domain());
  auto count = 1 + random(random(4) == 0 ? 12 : 3);
  for (std::uint64_t i = 0; i < count; ++i)
    made.recipients.push_back(fmt::format("{}{}@{}", random(12) == 0 ? "nobody" : "u", i, some_domain()));
  made.text = draw_text(made.key);
  return made;
}

std::string relay_sim::draw_text(const std::string& key) {
  auto text = fmt::format("X-Sim: {}\r\nFrom: a@d0.sim\r\nTo: b@d0.sim\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                          "Message-ID: <{}@client.sim>\r\nSubject: {}\r\n\r\n",
                          key, key, key);
  constexpr const char* lines[] = {
      "hello", "", ".", "..", ".x", "MAIL TO:<nobody>", "QUIT", "a rather longer line of text, to fill it"};
  auto count = random(random(6) == 0 ? 120 : 8);
  for (std::uint64_t i = 0; i < count; ++i) {
    text += lines[random(std::size(lines))];
    text += "\r\n";
  }
  return text;
}

void relay_sim::sweep() {
  servers_->sweep();
  std::erase_if(clients_, [](auto& one) { return one->over(); });
}

// ---- the end

void relay_sim::heal() {
  trace("the faults stop");
  world_.faults() = {};
  store_.faults() = {};
  servers_->faults = {};
  dns_.set_failing(0);
  plan_.hurry = 0;
  if (store_.broken())
    crash();
}

bool relay_sim::drained() const {
  return store_.queued() == 0 && store_.idle() && clients_.empty() && relay_->idle() && dns_.ready() == 0;
}

void relay_sim::drain() {
  auto end = steps_ + drain_steps_max;
  while (!drained() && oracle_.ok()) {
    if (steps_ >= end) {
      auto& shared = relay_->context();
      oracle_.fail(fmt::format(
          "it does not come to its end: {} messages queued, {} active, {} sessions, {} deliveries, {} attempts, "
          "{} bytes being received, {} clients, store {} ({} requests wait, {} in flight)",
          store_.queued(), shared.counts.active_messages.value(), shared.sessions_open.load(),
          shared.deliveries_open.load(), shared.attempts_open.load(), shared.memory.used(memory_user::sessions),
          clients_.size(), store_.idle() ? "idle" : "busy", shared.plugins.store->waiting(),
          shared.plugins.store->in_flight()));
      oracle_.fail(store_.describe_queue());
      return;
    }
    step();
    auto quiet = relay_->idle() && store_.idle() && clients_.empty() && world_.ready() == 0 && relay_->jobs() == 0;
    if (quiet && store_.kept_back(due_clock_->now()) > lease_max)
      oracle_.fail("nobody works on a message that is due, and a lease keeps it back: " + store_.describe_queue());
    if (quiet && store_.queued() > 0)
      if (auto due = store_.next_due(due_clock_->now()); due && *due > due_clock_->now() + 30s)
        advance_to(world_.clock().steady() + (*due - due_clock_->now()));
  }
  auto quiet_end = world_.clock().steady() + quiet_time;
  while (world_.clock().steady() < quiet_end && oracle_.ok())
    step();
}

void relay_sim::judge() {
  oracle_.judge_end(store_.contents());
  if (store_.stages() > 0)
    oracle_.fail(fmt::format("{} bodies are left that belong to no message", store_.stages()));
  if (!relay_->idle())
    oracle_.fail("something is counted as under way although everything has ended");
  auto& actors = relay_->context().actors;
  for (auto* role : {"session", "delivery", "destination"})
    if (auto count = actors.count(role); count > 0)
      oracle_.fail(fmt::format("{} {} actors live on without anything to do", count, role));
}

sim_outcome relay_sim::run() {
  if (options_.trace)
    telemetry::start_log({.levels = {.fallback = telemetry::level::debug, .exceptions = {}},
                          .sink = [](std::string_view line) { std::fwrite(line.data(), 1, line.size(), stderr); },
                          .clock = &world_.clock()});
  start_relay();
  for (std::size_t i = 0; i < plan_.steps && oracle_.ok(); ++i) {
    step();
    perhaps_client();
    perhaps_fault();
  }
  heal();
  drain();
  if (oracle_.ok())
    judge();
  if (oracle_.ok())
    crash(); // and everything that was counted must come to nothing
  relay_.reset();
  if (options_.trace)
    telemetry::stop_log();
  return {.failures = oracle_.failures(),
          .totals = oracle_.counts(),
          .steps = steps_,
          .crashes = crashes_,
          .kills = kills_,
          .cuts = world_.cuts(),
          .store_failures = store_.failures(),
          .staged = store_.staged(),
          .parts_read = store_.parts_read(),
          .virtual_time = world_.clock().steady().time_since_epoch() - std::chrono::hours{1},
          .trace_hash = world_.trace_hash()};
}

} // namespace hedwig::sim
