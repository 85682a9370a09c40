// SPDX-License-Identifier: Apache-2.0
#include "actors/admin_api.hpp"

#include "runtime/plugin/storage_client.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/URI.h>
#include <caf/send.hpp>

#include <charconv>
#include <fstream>
#include <future>
#include <sstream>
#include <unistd.h>

namespace hedwig {

namespace {

/// How long an actor may take to answer the console.
constexpr auto ask_timeout = std::chrono::seconds{10};
constexpr std::uint32_t list_limit_default = 100;
constexpr std::uint32_t list_limit_max = 1000;

std::string text_of(const Poco::JSON::Object& object) {
  std::ostringstream out;
  object.stringify(out);
  out << '\n';
  return out.str();
}

admin_answer failure(int status, const std::string& why) {
  Poco::JSON::Object object;
  object.set("error", why);
  return {status, "application/json", text_of(object)};
}

int status_for(hedwig_status status) {
  switch (status) {
  case HEDWIG_OK:
    return 200;
  case HEDWIG_E_NOT_FOUND:
    return 404;
  case HEDWIG_E_CONFLICT:
    return 409;
  case HEDWIG_E_INVALID:
    return 400;
  default:
    return 503;
  }
}

std::uint64_t resident_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
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
  auto reads = method == "GET" || method == "HEAD";
  if (reads && path == "/healthz")
    return health(false);
  if (reads && path == "/readyz")
    return health(true);
  if (reads && path == "/metrics" && scope != admin_scope::health)
    return metrics();
  if (scope == admin_scope::admin)
    return admin(method, path, given);
  return failure(404, "no such path here");
}

admin_answer admin_api::admin(std::string_view method, const std::string& path, const parameters& given) {
  constexpr std::string_view queue_path = "/v1/queue";
  if (path == "/v1/status" && method == "GET")
    return status();
  if (path == "/v1/actors" && method == "GET")
    return actors();
  if (path == "/v1/log-level")
    return log_level(method, given);
  if (path == "/v1/resume" && method == "POST")
    return ask({.verb = "resume", .argument = {}, .limit = 0, .cursor = {}, .answer = {}});
  if (path == "/v1/pause" && method == "POST")
    return ask({.verb = "pause", .argument = {}, .limit = 0, .cursor = {}, .answer = {}});
  if (path.starts_with(queue_path))
    return queue(method, path.substr(queue_path.size()), given);
  return failure(404, "no such path: see docs/admin-api.md");
}

admin_answer admin_api::queue(std::string_view method, const std::string& rest, const parameters& given) {
  auto parameter = [&](const char* key) {
    auto found = given.find(key);
    return found == given.end() ? std::string{} : found->second;
  };
  console_request request;
  if (rest.empty() && method == "GET") {
    request.verb = "queue.list";
    request.argument = parameter("state");
    request.cursor = parameter("cursor");
    request.limit = list_limit_default;
    if (auto limit = parameter("limit"); !limit.empty())
      std::from_chars(limit.data(), limit.data() + limit.size(), request.limit);
    request.limit = std::clamp(request.limit, 1u, list_limit_max);
    return ask(std::move(request));
  }
  // "/ID" or "/ID/verb"
  auto slash = rest.find('/', 1);
  request.argument = rest.empty() ? "" : rest.substr(1, slash == std::string::npos ? slash : slash - 1);
  auto verb = slash == std::string::npos ? std::string{} : rest.substr(slash + 1);
  if (verb.empty() && method == "GET")
    request.verb = "queue.show";
  else if (verb.empty() && method == "DELETE")
    request.verb = "queue.delete";
  else if (method == "POST" && (verb == "retry" || verb == "hold" || verb == "release" || verb == "bounce" || verb == "delete"))
    request.verb = "queue." + verb;
  else
    return failure(404, "no such path: see docs/admin-api.md");
  return ask(std::move(request));
}

admin_answer admin_api::ask(console_request request) {
  auto promise = std::make_shared<std::promise<admin_answer>>();
  auto answer = promise->get_future();
  request.answer = [promise](std::string json, hedwig_status status) {
    promise->set_value({status_for(status), "application/json", std::move(json)});
  };
  caf::anon_send(supervisor_, std::move(request));
  if (answer.wait_for(ask_timeout) != std::future_status::ready)
    return failure(503, "the relay is too busy to answer, or its store hangs: see hedwig-admin actors");
  return answer.get();
}

std::string admin_api::why_not_ready() const {
  if (context_.draining)
    return "stopping";
  if (auto health = context_.plugins.store->health(); health != HEDWIG_OK)
    return "the store takes no mail: " + std::string{to_string_view(health)};
  return {};
}

admin_answer admin_api::health(bool ready_too) {
  if (context_.draining)
    return {503, "text/plain", "stopping\n"};
  auto why = ready_too ? why_not_ready() : std::string{};
  return why.empty() ? admin_answer{200, "text/plain", "ok\n"} : admin_answer{503, "text/plain", why + "\n"};
}

admin_answer admin_api::metrics() {
  auto& all = context_.metrics;
  all.gauge("hedwig_ready").set(why_not_ready().empty());
  all.gauge("hedwig_paused").set(context_.paused.load());
  all.gauge("hedwig_resident_memory_bytes").set(static_cast<std::int64_t>(resident_bytes()));
  all.gauge("hedwig_message_memory_bytes").set(static_cast<std::int64_t>(buffer_bytes_live()));
  all.gauge("logqueue_pending_append_bytes").set(static_cast<std::int64_t>(context_.memory.receiving.load()));
  all.gauge("hedwig_store_requests_in_flight").set(static_cast<std::int64_t>(context_.plugins.store->in_flight()));
  all.gauge("hedwig_store_requests_waiting").set(static_cast<std::int64_t>(context_.plugins.store->waiting()));
  return {200, std::string{telemetry::metrics::content_type}, all.expose()};
}

admin_answer admin_api::status() {
  auto& counts = context_.counts;
  Poco::JSON::Object object;
  object.set("version", HEDWIG_VERSION);
  object.set("pid", ::getpid());
  auto why = why_not_ready();
  object.set("ready", why.empty());
  object.set("why_not_ready", why);
  object.set("paused", context_.paused.load());
  object.set("sessions", context_.sessions_open.load());
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
  Poco::JSON::Object memory;
  memory.set("resident_bytes", resident_bytes());
  memory.set("receiving_bytes", context_.memory.receiving.load());
  memory.set("active_bytes", context_.memory.active.load());
  memory.set("buffers_bytes", buffer_bytes_live());
  object.set("memory", memory);
  Poco::JSON::Object store;
  auto& client = *context_.plugins.store;
  store.set("name", client.owner()->name());
  store.set("health", std::string{to_string_view(client.health())});
  store.set("in_flight", client.in_flight());
  store.set("waiting", client.waiting());
  store.set("commits", counts.group_size.count());
  store.set("mean_group_size", counts.group_size.count() == 0 ? 0.0 : counts.group_size.sum() / static_cast<double>(counts.group_size.count()));
  object.set("store", store);
  return {200, "application/json", text_of(object)};
}

admin_answer admin_api::actors() {
  Poco::JSON::Array list;
  for (auto& one : context_.actors.snapshot()) {
    Poco::JSON::Object object;
    object.set("id", one.id);
    object.set("parent", one.parent);
    object.set("name", one.name);
    object.set("label", one.label);
    object.set("state", one.state);
    object.set("mailbox", one.mailbox);
    object.set("handled", one.handled);
    object.set("busy_us", one.busy_microseconds);
    object.set("restarts", one.restarts);
    list.add(object);
  }
  Poco::JSON::Object object;
  object.set("actors", list);
  return {200, "application/json", text_of(object)};
}

admin_answer admin_api::log_level(std::string_view method, const parameters& given) {
  if (method == "POST" || method == "PUT") {
    auto wanted = given.find("filter");
    auto parsed = telemetry::parse_level_filter(wanted == given.end() ? "" : wanted->second);
    if (!parsed)
      return failure(400, parsed.error().text());
    telemetry::set_levels(*parsed);
    telemetry::log(telemetry::level::info, telemetry::component::admin, {"log.level-set", "log levels changed by the console"},
                   {{"filter", parsed->text()}});
  }
  Poco::JSON::Object object;
  object.set("filter", telemetry::current_levels().text());
  return {200, "application/json", text_of(object)};
}

} // namespace hedwig
