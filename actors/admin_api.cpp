// SPDX-License-Identifier: Apache-2.0
#include "actors/admin_api.hpp"

#include "actors/admin_parameters.hpp"
#include "actors/console_json.hpp"
#include "runtime/dns/resolver.hpp"
#include "runtime/net/tls_tickets.hpp"
#include "runtime/plugin/isolated.hpp"
#include "runtime/plugin/storage_client.hpp"
#include "runtime/telemetry/log.hpp"
#include "runtime/telemetry/quantile.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/URI.h>
#include <caf/send.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <unistd.h>

namespace hedwig {

namespace api {

admin_answer failure(int status, std::string_view why) { return {.status = status, .body = console::failure(why)}; }

admin_answer wrong_method(std::string allowed) {
  auto answer = failure(405, "this path takes " + allowed);
  answer.allow = std::move(allowed);
  return answer;
}

admin_answer json(const Poco::JSON::Object& object) { return {.body = console::text_of(object)}; }

std::string_view unknown_parameter(const std::map<std::string, std::string>& given,
                                   std::initializer_list<std::string_view> known) {
  for (auto& [key, value] : given)
    if (std::ranges::find(known, key) == known.end())
      return key.empty() ? std::string_view{"without a name"} : std::string_view{key};
  return {};
}

std::optional<std::uint64_t> number_of(const std::string& text, std::uint64_t otherwise, std::uint64_t least,
                                       std::uint64_t most) {
  if (text.empty())
    return otherwise;
  std::uint64_t value = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    return std::nullopt;
  return value;
}

} // namespace api

namespace {

/// How long an actor may take to answer the console.
constexpr auto ask_timeout = std::chrono::seconds{10};
/// Messages of one page of the queue.
constexpr std::uint32_t list_limit_default = 100;
constexpr std::uint32_t list_limit_max = 1000;

using api::failure, api::json, api::reads, api::unknown_parameter, api::wrong_method;

int status_for(hedwig_status status) {
  switch (status) {
  case HEDWIG_OK:
    return 200;
  case HEDWIG_E_INVALID:
    return 400;
  case HEDWIG_E_NOT_FOUND:
    return 404;
  case HEDWIG_E_CONFLICT:
    return 409;
  case HEDWIG_E_CORRUPT:
    return 500;
  default:
    return 503;
  }
}

admin_answer plain(int status, std::string text) {
  return {.status = status, .content_type = "text/plain", .body = std::move(text)};
}

std::uint64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// As they name themselves.
constexpr std::string_view actor_kinds[] = {"supervisor",    "spooler",  "dispatcher", "destination",
                                            "delivery",      "signer",   "bouncer",    "retry-timer",
                                            "authenticator", "listener", "session"};

std::int64_t open_descriptors() {
  std::error_code failed;
  auto entries = std::filesystem::directory_iterator{"/proc/self/fd", failed};
  return failed ? 0 : std::distance(begin(entries), end(entries)) - 1; // without the one that reads them
}

/// What one provider was asked so far. A call is counted once it has ended.
void show_calls(telemetry::metrics& all, const plugin::instance& provider) {
  auto seen = provider.counters();
  auto show = [&](std::string_view status, std::uint64_t total) {
    all.counter("hedwig_provider_calls_total", provider.name(), status).raise_to(total);
  };
  show("ok", seen.answered);
  show("failed", seen.failed);
  show("timeout", seen.timeouts);
  show("busy", seen.busy);
  show("refused", seen.refused);
  auto faults = [&](std::string_view kind, std::uint64_t total) {
    all.counter("hedwig_provider_faults_total", provider.name(), kind).raise_to(total);
  };
  faults("malformed", seen.malformed);
  faults("late", seen.late_completions);
  faults("false", seen.false_completions);
  auto breaker = provider.breaker_now();
  if (auto process = provider.process())
    all.counter("hedwig_provider_process_deaths_total", provider.name()).raise_to(process->deaths);
  all.gauge("hedwig_provider_breaker_state", provider.name()).set(static_cast<std::int64_t>(breaker.state));
  all.counter("hedwig_provider_breaker_opened_total", provider.name()).raise_to(breaker.opened);
  all.gauge("hedwig_provider_calls_in_flight", provider.name()).set(static_cast<std::int64_t>(seen.in_flight));
  if (auto most = provider.settings().max_calls; most != std::numeric_limits<std::size_t>::max())
    all.gauge("hedwig_provider_calls_limit", provider.name()).set(static_cast<std::int64_t>(most));
  all.histogram("hedwig_provider_call_seconds", provider.name()).copy_from(provider.call_times());
  all.gauge("hedwig_provider_calls_pending", provider.name()).set(static_cast<std::int64_t>(provider.waiting()));
}

} // namespace

admin_answer admin_api::answer(admin_scope scope, std::string_view method, const std::string& target) {
  Poco::URI uri;
  parameters given;
  try {
    uri = Poco::URI{target};
    for (auto& [key, value] : uri.getQueryParameters())
      given[key] = value;
  } catch (const Poco::Exception&) {
    return failure(400, "malformed request target");
  }
  auto& path = uri.getPath();
  if (path == "/healthz" || path == "/readyz")
    return reads(method) ? health(path == "/readyz") : wrong_method("GET, HEAD");
  if (path == "/metrics" && scope != admin_scope::health)
    return reads(method) ? metrics() : wrong_method("GET, HEAD");
  if (scope == admin_scope::admin)
    return admin(method, path, given);
  return failure(404, "no such path here");
}

admin_answer admin_api::admin(std::string_view method, const std::string& path, const parameters& given) {
  constexpr std::string_view queue_path = "/v1/queue";
  if (path == queue_path)
    return reads(method) ? queue_list(given) : wrong_method("GET, HEAD");
  if (path.starts_with(queue_path) && path[queue_path.size()] == '/')
    return queue_message(method, path.substr(queue_path.size() + 1), given);
  if (path == "/v1/log-level")
    return log_level(method, given);
  constexpr std::string_view sessions_path = "/v1/sessions";
  if (path == sessions_path || path.starts_with("/v1/sessions/"))
    return sessions(method, std::string_view{path}.substr(sessions_path.size()), given);
  constexpr std::string_view traces_path = "/v1/traces";
  if (path == traces_path || path.starts_with("/v1/traces/"))
    return traces(method, std::string_view{path}.substr(traces_path.size()), given);
  auto reading = path == "/v1/status" || path == "/v1/actors" || path == "/v1/plugins";
  if (!reading && path != "/v1/pause" && path != "/v1/resume")
    return failure(404, "no such path: see docs/admin-api.md");
  if (auto unknown = unknown_parameter(given, {}); !unknown.empty())
    return failure(400, "unknown parameter " + std::string{unknown});
  if (reading)
    return !reads(method)         ? wrong_method("GET, HEAD")
           : path == "/v1/status" ? status()
           : path == "/v1/actors" ? actors()
                                  : plugins();
  return method == "POST" ? ask({.verb = path.substr(4), .argument = {}, .cursor = {}, .answer = {}})
                          : wrong_method("POST");
}

admin_answer admin_api::queue_list(const parameters& given) {
  if (auto unknown = unknown_parameter(given, {"state", "limit", "cursor"}); !unknown.empty())
    return failure(400, "unknown parameter " + std::string{unknown} + ": state, limit or cursor");
  auto parameter = [&](const char* key) {
    auto found = given.find(key);
    return found == given.end() ? std::string{} : found->second;
  };
  console_request request{
      .verb = "queue.list", .argument = parameter("state"), .limit = list_limit_default, .cursor = {}, .answer = {}};
  if (console::mask_of_states(request.argument) == 0)
    return failure(400, "no such state: queued, deferred, held, bounced, quarantined or all");
  auto limit = api::number_of(parameter("limit"), list_limit_default, 1, list_limit_max);
  if (!limit)
    return failure(400, "limit is a number from 1 to " + std::to_string(list_limit_max));
  request.limit = static_cast<std::uint32_t>(*limit);
  auto cursor = console::cursor_of(parameter("cursor"));
  if (!cursor)
    return failure(400, "cursor is not one that a list gave");
  request.cursor = std::move(*cursor);
  return ask(std::move(request));
}

/// `rest`: "ID" or "ID/verb".
admin_answer admin_api::queue_message(std::string_view method, const std::string& rest, const parameters& given) {
  if (auto unknown = unknown_parameter(given, {}); !unknown.empty())
    return failure(400, "unknown parameter " + std::string{unknown});
  auto slash = rest.find('/');
  console_request request{.verb = {}, .argument = rest.substr(0, slash), .cursor = {}, .answer = {}};
  if (slash == std::string::npos) {
    if (!reads(method) && method != "DELETE")
      return wrong_method("GET, HEAD, DELETE");
    request.verb = reads(method) ? "queue.show" : "queue.delete";
    return ask(std::move(request));
  }
  constexpr std::array<std::string_view, 5> verbs{"retry", "hold", "release", "bounce", "delete"};
  auto verb = std::string_view{rest}.substr(slash + 1);
  if (std::ranges::find(verbs, verb) == verbs.end())
    return failure(404, "no such path: after the id comes retry, hold, release, bounce or delete");
  if (method != "POST")
    return wrong_method("POST");
  request.verb = "queue." + std::string{verb};
  return ask(std::move(request));
}

admin_answer admin_api::ask(console_request request) {
  using told = std::pair<console_text, hedwig_status>;
  auto promise = std::make_shared<std::promise<told>>();
  auto told_later = promise->get_future();
  request.answer = [promise](console_text text, hedwig_status status) {
    promise->set_value({std::move(text), status});
  };
  caf::anon_send(supervisor_, std::move(request));
  if (told_later.wait_for(ask_timeout) != std::future_status::ready)
    return failure(503, "the relay is too busy to answer, or its store hangs: see hedwig-admin actors");
  auto [text, status] = told_later.get();
  return {.status = status_for(status), .body = text()};
}

std::string admin_api::why_not_ready() const {
  if (context_.draining)
    return "stopping";
  if (!context_.started)
    return "starting";
  if (auto health = context_.plugins.store->health(); health != HEDWIG_OK)
    return "the store takes no mail: " + std::string{to_string_view(health)};
  return {};
}

admin_answer admin_api::health(bool ready_too) {
  if (context_.draining)
    return plain(503, "stopping\n");
  auto why = ready_too ? why_not_ready() : std::string{};
  return why.empty() ? plain(200, "ok\n") : plain(503, why + "\n");
}

namespace {

void show_tls(telemetry::metrics& all, const net::tls_commons& tls) {
  if (tls.gate) {
    all.gauge("hedwig_tls_handshakes_running").set(static_cast<std::int64_t>(tls.gate->running()));
    all.gauge("hedwig_tls_handshakes_waiting").set(static_cast<std::int64_t>(tls.gate->waiting()));
    all.counter("hedwig_tls_handshakes_delayed_total").raise_to(tls.gate->delayed());
    all.counter("hedwig_limit_hits_total", "server.tls.max_waiting_handshakes").raise_to(tls.gate->refused());
  }
  if (tls.tickets)
    all.counter("hedwig_tls_ticket_keys_total").raise_to(tls.tickets->made());
}

} // namespace

admin_answer admin_api::metrics() {
  auto& all = context_.metrics;
  all.gauge("hedwig_ready").set(why_not_ready().empty());
  all.gauge("hedwig_paused").set(context_.paused.load());
  all.gauge("hedwig_resident_memory_bytes").set(static_cast<std::int64_t>(resident_bytes()));
  all.gauge("hedwig_message_memory_bytes").set(static_cast<std::int64_t>(buffer_bytes_live()));
  auto ledger = context_.memory.ledger();
  auto bytes = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  for (std::size_t i = 1; i < smtp::refusal_reasons; ++i) {
    auto why = static_cast<smtp::refusal_reason>(i);
    all.counter("hedwig_smtp_refusals_total", to_string_view(why)).raise_to(context_.refusals.of(why));
  }
  for (std::size_t i = 0; i < memory_user_count; ++i)
    all.gauge("hedwig_memory_used_bytes", to_string_view(static_cast<memory_user>(i))).set(bytes(ledger.used[i]));
  all.gauge("hedwig_memory_limit_bytes").set(bytes(ledger.limit));
  all.gauge("hedwig_memory_peak_bytes").set(bytes(ledger.peak));
  all.gauge("logqueue_pending_append_bytes")
      .set(bytes(ledger.of(memory_user::sessions) + ledger.of(memory_user::spooler)));
  all.gauge("hedwig_store_requests_in_flight").set(static_cast<std::int64_t>(context_.plugins.store->in_flight()));
  all.gauge("hedwig_store_requests_waiting").set(static_cast<std::int64_t>(context_.plugins.store->waiting()));
  all.gauge("hedwig_open_descriptors").set(open_descriptors());
  show_tls(all, context_.tls);
  if (context_.resolver != nullptr)
    all.gauge("hedwig_dns_cache_entries").set(static_cast<std::int64_t>(context_.resolver->remembered()));
  auto living = context_.actors.counts();
  for (auto kind : actor_kinds)
    all.gauge("hedwig_actors", kind).set(static_cast<std::int64_t>(living[std::string{kind}]));
  auto& plugins = context_.plugins;
  show_calls(all, *plugins.store->owner());
  for (auto& one : plugins.auth)
    show_calls(all, *one->owner());
  for (auto& one : plugins.filters)
    show_calls(all, *one.provider->owner());
  return {.content_type = std::string{telemetry::metrics::content_type}, .body = all.expose()};
}

namespace {

double mean(const telemetry::histogram& of) {
  return of.count() == 0 ? 0.0 : of.sum() / static_cast<double>(of.count());
}

Poco::JSON::Object quantiles_of(const telemetry::histogram& of) {
  Poco::JSON::Object object;
  object.set("p50", telemetry::quantile(of, 0.5));
  object.set("p99", telemetry::quantile(of, 0.99));
  return object;
}

std::string rfc3339(wall_time when) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(when));
}

Poco::JSON::Array listeners_of(const std::vector<actor_info>& actors) {
  std::map<std::uint64_t, std::uint64_t> sessions; // by parent
  for (auto& one : actors)
    if (one.name == "session")
      ++sessions[one.parent];
  Poco::JSON::Array list;
  for (auto& one : actors) {
    if (one.name != "listener")
      continue;
    Poco::JSON::Object object;
    object.set("listener", console::utf8_text(one.label));
    object.set("state", one.state);
    object.set("sessions", sessions[one.id]);
    list.add(object);
  }
  return list;
}

} // namespace

Poco::JSON::Object admin_api::memory() const {
  auto policy = context_.policy();
  Poco::JSON::Object object;
  object.set("resident_bytes", resident_bytes());
  auto ledger = context_.memory.ledger();
  Poco::JSON::Object users;
  for (std::size_t i = 0; i < memory_user_count; ++i)
    users.set(std::string{to_string_view(static_cast<memory_user>(i))}, ledger.used[i]);
  object.set("users", users);
  object.set("used_bytes", ledger.total);
  object.set("limit_bytes", ledger.limit);
  object.set("peak_bytes", ledger.peak);
  object.set("limit_met", ledger.refused);
  object.set("receiving_bytes", ledger.of(memory_user::sessions) + ledger.of(memory_user::spooler));
  object.set("receiving_limit", policy->settings.queue.pending_append_bytes);
  object.set("active_bytes", ledger.of(memory_user::caches));
  object.set("active_limit", policy->settings.queue.active_bytes);
  object.set("buffers_bytes", buffer_bytes_live());
  return object;
}

Poco::JSON::Object admin_api::store() const {
  auto& client = *context_.plugins.store;
  Poco::JSON::Object object;
  object.set("name", console::utf8_text(client.owner()->name()));
  object.set("health", std::string{to_string_view(client.health())});
  object.set("in_flight", client.in_flight());
  object.set("waiting", client.waiting());
  object.set("commits", context_.counts.group_size.count());
  object.set("committed_bytes", context_.counts.stored_bytes.value());
  object.set("mean_group_size", mean(context_.counts.group_size));
  object.set("commit_seconds", quantiles_of(context_.counts.append_time));
  object.set("mean_accept_seconds", mean(context_.counts.accept_time));
  object.set("accept_seconds", quantiles_of(context_.counts.accept_time));
  object.set("errors", context_.counts.store_errors.value());
  return object;
}

Poco::JSON::Object admin_api::refusals() const {
  Poco::JSON::Object object;
  for (std::size_t i = 1; i < smtp::refusal_reasons; ++i) {
    auto why = static_cast<smtp::refusal_reason>(i);
    if (auto count = context_.refusals.of(why); count > 0)
      object.set(std::string{to_string_view(why)}, count);
  }
  return object;
}

admin_answer admin_api::status() {
  auto& counts = context_.counts;
  auto up = std::chrono::duration_cast<std::chrono::seconds>(context_.time.steady() - started_);
  Poco::JSON::Object object;
  object.set("version", HEDWIG_VERSION);
  object.set("pid", ::getpid());
  object.set("started_at", rfc3339(context_.time.wall() - up));
  object.set("uptime_seconds", up.count());
  auto why = why_not_ready();
  object.set("ready", why.empty());
  object.set("why_not_ready", why);
  object.set("paused", context_.paused.load());
  object.set("sessions", context_.sessions_open.load());
  object.set("sessions_limit", context_.policy()->settings.server.max_connections);
  object.set("listeners", listeners_of(context_.actors.snapshot()));
  object.set("deliveries", context_.deliveries_open.load());
  object.set("destinations", counts.destinations.value());
  object.set("destinations_resting", counts.destinations_resting.value());
  object.set("active_messages", counts.active_messages.value());
  object.set("queue_depth", counts.queue_depth.value());
  object.set("received", counts.received.value());
  object.set("delivered_recipients", counts.sent.value());
  object.set("deferred_recipients", counts.deferred.value());
  object.set("bounced_recipients", counts.bounced.value());
  object.set("unknown_outcomes", counts.unknown.value());
  object.set("refusals", refusals());
  object.set("memory", memory());
  object.set("store", store());
  return json(object);
}

admin_answer admin_api::actors() {
  Poco::JSON::Array list;
  for (auto& one : context_.actors.snapshot()) {
    Poco::JSON::Object object;
    object.set("id", one.id);
    object.set("parent", one.parent);
    object.set("name", one.name);
    object.set("label", console::utf8_text(one.label));
    object.set("state", one.state);
    object.set("mailbox", one.mailbox);
    object.set("handled", one.handled);
    object.set("busy_us", one.busy_microseconds);
    object.set("restarts", one.restarts);
    list.add(object);
  }
  Poco::JSON::Object object;
  object.set("actors", list);
  return json(object);
}

namespace {

Poco::JSON::Object show_plugin(const plugin::instance& one, std::string_view on_failure, wall_time now) {
  auto& of = one.provider();
  auto& settings = one.settings();
  auto seen = one.counters();
  auto text = [](std::string_view from) { return console::utf8_text(std::string{from}); };
  Poco::JSON::Object object;
  object.set("instance", text(one.name()));
  object.set("provider", text(of.name()));
  object.set("kind", text(plugin::kind_of(of.interface_id())));
  object.set("plugin", text(of.plugin->id));
  object.set("version", text(of.plugin->version));
  object.set("abi", fmt::format("{}.{}", of.plugin->abi_major, of.plugin->abi_minor));
  object.set("file", text(of.file));
  auto process = one.process();
  object.set("isolation", process ? "process" : settings.own_threads ? "thread" : "none");
  if (process) {
    Poco::JSON::Object apart;
    apart.set("pid", process->pid);
    apart.set("deaths", process->deaths);
    apart.set("last_death", text(process->last_death));
    object.set("process", apart);
  }
  object.set("blocking", one.blocking());
  object.set("on_failure", std::string{on_failure});
  object.set("calls", seen.calls);
  object.set("seconds", quantiles_of(one.call_times()));
  object.set("in_flight", seen.in_flight);
  object.set("in_flight_limit", settings.max_calls == std::numeric_limits<std::size_t>::max() ? 0 : settings.max_calls);
  object.set("waiting", one.waiting());
  Poco::JSON::Object failures;
  failures.set("error", seen.failed - std::min(seen.failed, seen.malformed));
  failures.set("malformed", seen.malformed);
  failures.set("timeout", seen.timeouts);
  failures.set("late", seen.late_completions);
  failures.set("false_completion", seen.false_completions);
  failures.set("busy", seen.busy);
  failures.set("refused", seen.refused);
  object.set("failures", failures);
  auto breaker = one.breaker_now();
  Poco::JSON::Object state;
  state.set("state", settings.breaker_failures == 0 ? "off" : plugin::to_string(breaker.state));
  state.set("failures_in_a_row", breaker.failures);
  state.set("opened", breaker.opened);
  state.set("until", breaker.left.count() == 0 ? std::string{} : rfc3339(now + breaker.left));
  Poco::JSON::Array calls;
  for (auto& call : breaker.calls)
    calls.add(call);
  state.set("calls", calls);
  object.set("breaker", state);
  if (auto last = one.last_failure()) {
    Poco::JSON::Object failure;
    failure.set("call", last->call);
    failure.set("error", text(last->what));
    failure.set("at", rfc3339(last->when));
    object.set("last_failure", failure);
  }
  return object;
}

} // namespace

admin_answer admin_api::plugins() {
  constexpr std::string_view words[] = {"tempfail", "accept", "reject", "accept"};
  auto now = context_.time.wall();
  auto& in_use = context_.plugins;
  Poco::JSON::Array list;
  list.add(show_plugin(*in_use.store->owner(), "", now));
  for (auto& one : in_use.auth)
    list.add(show_plugin(*one->owner(), "tempfail", now));
  for (auto& one : in_use.filters)
    list.add(show_plugin(*one.provider->owner(), words[static_cast<std::size_t>(one.on_failure)], now));
  Poco::JSON::Object object;
  object.set("plugins", list);
  return json(object);
}

admin_answer admin_api::log_level(std::string_view method, const parameters& given) {
  auto sets = method == "POST" || method == "PUT";
  if (!sets && !reads(method))
    return wrong_method("GET, HEAD, POST, PUT");
  if (auto unknown = unknown_parameter(given, {"filter"}); !unknown.empty())
    return failure(400, "unknown parameter " + std::string{unknown} + ": filter");
  if (sets) {
    auto wanted = given.find("filter");
    if (wanted == given.end() || wanted->second.empty())
      return failure(400, "filter is missing: such as info,delivery=debug");
    auto parsed = telemetry::parse_level_filter(wanted->second);
    if (!parsed)
      return failure(400, parsed.error().text());
    telemetry::set_levels(*parsed);
    telemetry::log(telemetry::level::info, telemetry::component::admin,
                   {"log.level-set", "log levels changed by the console"}, {{"filter", parsed->text()}});
  }
  Poco::JSON::Object object;
  object.set("filter", telemetry::current_levels().text());
  return json(object);
}

} // namespace hedwig
