// SPDX-License-Identifier: Apache-2.0
// What the console asks about clients: their sessions, and traces of what they say.
#include "actors/admin_api.hpp"
#include "actors/admin_parameters.hpp"

#include "actors/console_json.hpp"
#include "actors/session_census.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

namespace hedwig {

namespace {

using telemetry::component;
using telemetry::level;
using api_parameters = std::map<std::string, std::string>;

/// How long the loops may take to look at their sessions.
constexpr auto census_timeout = std::chrono::seconds{10};
constexpr std::uint32_t sessions_default = 100;
constexpr std::uint32_t sessions_max = 1000;
/// Of a trace.
constexpr std::uint32_t trace_seconds_default = 600;
constexpr std::uint32_t trace_seconds_max = 86'400;

std::string parameter_of(const api_parameters& given, const char* key) {
  auto found = given.find(key);
  return found == given.end() ? std::string{} : found->second;
}

/// Which sessions are meant; the text of a refusal where that cannot be read.
std::expected<smtp::session_filter, std::string> filter_of(const api_parameters& given) {
  smtp::session_filter made{
      .client = {}, .user = parameter_of(given, "user"), .listener = parameter_of(given, "listener")};
  for (auto& [key, value] : given)
    if (value.empty())
      return std::unexpected{key + " is empty"};
  if (auto client = parameter_of(given, "client"); !client.empty()) {
    auto network = net::network::parse(client);
    if (!network)
      return std::unexpected{network.error().text()};
    made.client = *network;
  }
  return made;
}

std::string text_of(const smtp::session_filter& whose) {
  std::string out;
  auto add = [&](std::string_view key, std::string_view value) {
    if (!value.empty())
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", key, value);
  };
  add("client", whose.client ? whose.client->text() : std::string{});
  add("user", whose.user);
  add("listener", whose.listener);
  return out;
}

Poco::JSON::Object object_of(const session_row& one, wall_time now) {
  using std::chrono::floor, std::chrono::seconds;
  Poco::JSON::Object object;
  object.set("id", one.id);
  object.set("client", one.client);
  object.set("port", one.port);
  object.set("listener", console::utf8_text(one.listener));
  object.set("tls", one.tls);
  object.set("user", console::utf8_text(one.user));
  object.set("helo", console::utf8_text(one.helo));
  object.set("state", one.state);
  object.set("messages", one.messages);
  object.set("refused", one.refused);
  object.set("received_bytes", one.octets);
  object.set("connected_at",
             fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", floor<seconds>(now - floor<wall_time::duration>(one.age))));
  object.set("age_seconds", floor<seconds>(one.age).count());
  object.set("idle_seconds", floor<seconds>(one.idle).count());
  return object;
}

Poco::JSON::Object object_of(const smtp::trace& one) {
  Poco::JSON::Object object;
  object.set("trace", one.id());
  object.set("client", one.whose().client ? one.whose().client->text() : std::string{});
  object.set("user", console::utf8_text(one.whose().user));
  object.set("listener", console::utf8_text(one.whose().listener));
  object.set("dropped", one.dropped());
  return object;
}

Poco::JSON::Object object_of(const smtp::trace_line& line) {
  const char* who = line.who == 'C' ? "client" : line.who == 'S' ? "server" : line.who == '*' ? "event" : "gap";
  Poco::JSON::Object object;
  object.set("number", line.number);
  auto whole = std::chrono::floor<std::chrono::seconds>(line.when);
  auto rest = std::chrono::floor<std::chrono::milliseconds>(line.when - whole);
  object.set("at", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", whole, rest.count()));
  object.set("session", line.session);
  object.set("client", line.client);
  object.set("who", who);
  object.set("text", console::utf8_text(line.text));
  return object;
}

constexpr const char* late_loop = "a loop is too busy to answer: see hedwig-admin actors";

} // namespace

admin_answer admin_api::sessions(std::string_view method, std::string_view rest, const parameters& given) {
  if (rest.empty())
    return api::reads(method) ? session_list(given) : api::wrong_method("GET, HEAD");
  if (rest == "/kill" || (rest.size() > 5 && rest.ends_with("/kill")))
    return method == "POST" ? session_kill(rest.substr(0, rest.size() - 5), given) : api::wrong_method("POST");
  return api::failure(404, "no such path: after the id comes kill");
}

admin_answer admin_api::session_list(const parameters& given) {
  if (auto unknown = api::unknown_parameter(given, {"client", "user", "listener", "limit", "cursor"}); !unknown.empty())
    return api::failure(400, "unknown parameter " + std::string{unknown} + ": client, user, listener, limit or cursor");
  auto whose = filter_of(given);
  if (!whose)
    return api::failure(400, whose.error());
  auto limit = api::number_of(parameter_of(given, "limit"), sessions_default, 1, sessions_max);
  if (!limit)
    return api::failure(400, "limit is a number from 1 to " + std::to_string(sessions_max));
  auto after = api::number_of(parameter_of(given, "cursor"), 0, 0, std::numeric_limits<std::uint64_t>::max());
  if (!after)
    return api::failure(400, "cursor is not one that a list gave");
  auto page = list_sessions(context_, *whose, *after, *limit, census_timeout);
  if (!page)
    return api::failure(503, late_loop);
  auto now = context_.time.wall();
  Poco::JSON::Array list;
  for (auto& one : page->rows)
    list.add(object_of(one, now));
  Poco::JSON::Object object;
  object.set("sessions", list);
  object.set("cursor", page->more ? std::to_string(page->rows.back().id) : std::string{});
  return api::json(object);
}

/// `id`: "/42", or empty: all that the parameters name.
admin_answer admin_api::session_kill(std::string_view id, const parameters& given) {
  if (auto unknown = api::unknown_parameter(given, {"client", "user", "listener"}); !unknown.empty())
    return api::failure(400, "unknown parameter " + std::string{unknown} + ": client, user or listener");
  auto whose = filter_of(given);
  if (!whose)
    return api::failure(400, whose.error());
  std::uint64_t wanted = 0;
  if (!id.empty()) {
    auto number = api::number_of(std::string{id.substr(1)}, 0, 1, std::numeric_limits<std::uint64_t>::max());
    if (!number || *number == 0)
      return api::failure(400, "that is no session: GET /v1/sessions lists them");
    wanted = *number;
  } else if (whose->empty()) {
    return api::failure(400, "say whose: client, user or listener");
  }
  auto done = kill_sessions(context_, *whose, wanted, census_timeout);
  if (!done)
    return api::failure(503, late_loop);
  if (wanted != 0 && done->ended + done->after_commit == 0)
    return api::failure(404, "no such session, or it is ending");
  telemetry::log(
      level::warn, component::admin, {"sessions.killed", "sessions were ended by the console"},
      {{"session", wanted}, {"whose", text_of(*whose)}, {"ended", done->ended}, {"after_commit", done->after_commit}});
  Poco::JSON::Object object;
  object.set("killed", done->ended);
  object.set("after_commit", done->after_commit);
  return api::json(object);
}

admin_answer admin_api::traces(std::string_view method, std::string_view rest, const parameters& given) {
  if (rest.empty()) {
    if (method == "POST")
      return trace_begin(given);
    return api::reads(method) ? trace_list() : api::wrong_method("GET, HEAD, POST");
  }
  auto id = api::number_of(std::string{rest.substr(1)}, 0, 1, std::numeric_limits<std::uint64_t>::max());
  if (!id || *id == 0)
    return api::failure(404, "no such trace: POST /v1/traces begins one");
  if (method == "DELETE") {
    if (!context_.traces.end(*id))
      return api::failure(404, "no such trace: it ended");
    Poco::JSON::Object object;
    object.set("trace", *id);
    object.set("done", true);
    return api::json(object);
  }
  return api::reads(method) ? trace_lines(*id, given) : api::wrong_method("GET, HEAD, DELETE");
}

admin_answer admin_api::trace_begin(const parameters& given) {
  if (auto unknown = api::unknown_parameter(given, {"client", "user", "listener", "seconds"}); !unknown.empty())
    return api::failure(400, "unknown parameter " + std::string{unknown} + ": client, user, listener or seconds");
  auto whose = filter_of(given);
  if (!whose)
    return api::failure(400, whose.error());
  if (whose->empty())
    return api::failure(400, "say whom: client, user or listener");
  auto length = api::number_of(parameter_of(given, "seconds"), trace_seconds_default, 1, trace_seconds_max);
  if (!length)
    return api::failure(400, "seconds is a number from 1 to " + std::to_string(trace_seconds_max));
  auto made = context_.traces.begin(*whose, std::chrono::seconds{*length}, context_.time.steady());
  if (!made)
    return api::failure(
        503, fmt::format("{} traces are under way, and more there may not be", context_.traces.limits().traces_max));
  telemetry::log(level::warn, component::admin, {"trace.begun", "dialogues of clients are shown to the console"},
                 {{"trace", made->id()}, {"whose", text_of(*whose)}, {"seconds", *length}});
  auto object = object_of(*made);
  object.set("seconds", *length);
  return api::json(object);
}

admin_answer admin_api::trace_list() {
  Poco::JSON::Array list;
  for (auto& one : context_.traces.all(context_.time.steady()))
    list.add(object_of(*one));
  Poco::JSON::Object object;
  object.set("traces", list);
  return api::json(object);
}

admin_answer admin_api::trace_lines(std::uint64_t id, const parameters& given) {
  if (auto unknown = api::unknown_parameter(given, {"cursor"}); !unknown.empty())
    return api::failure(400, "unknown parameter " + std::string{unknown} + ": cursor");
  auto from = api::number_of(parameter_of(given, "cursor"), 1, 0, std::numeric_limits<std::uint64_t>::max());
  if (!from)
    return api::failure(400, "cursor is a number that an answer gave");
  auto now = context_.time.steady();
  auto found = context_.traces.find(id, now);
  if (!found)
    return api::failure(404, "no such trace: its time is up, or nobody asked for its lines for a while");
  Poco::JSON::Array list;
  auto next = *from;
  for (auto& line : found->fetch(*from, now)) {
    next = line.number + 1;
    list.add(object_of(line));
  }
  auto object = object_of(*found);
  object.set("lines", list);
  object.set("cursor", std::to_string(next));
  return api::json(object);
}

} // namespace hedwig
