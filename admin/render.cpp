// SPDX-License-Identifier: Apache-2.0
#include "admin/render.hpp"

#include "admin/table.hpp"
#include "admin/terminal_text.hpp"

#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeParser.h>
#include <Poco/JSON/Array.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace hedwig::admin {

namespace {

using Poco::JSON::Object;

std::string raw_text(const Object& of, const char* key) {
  auto value = of.get(key);
  return value.isString() ? value.extract<std::string>() : std::string{};
}

std::string text(const Object& of, const char* key) { return escaped(raw_text(of, key)); }

std::uint64_t number(const Object& of, const char* key) {
  auto value = of.get(key);
  try {
    return value.isNumeric() ? value.convert<std::uint64_t>() : 0;
  } catch (const Poco::Exception&) { // negative
    return 0;
  }
}

double real(const Object& of, const char* key) {
  auto value = of.get(key);
  return value.isNumeric() ? value.convert<double>() : 0.0;
}

bool yes(const Object& of, const char* key) {
  auto value = of.get(key);
  return value.isBoolean() && value.extract<bool>();
}

Object inner(const Object& of, const char* key) {
  auto found = of.isObject(key) ? of.getObject(key) : Object::Ptr{};
  return found.isNull() ? Object{} : *found;
}

template <class Function>
void for_each(const Object& of, const char* key, Function&& action) {
  auto all = of.isArray(key) ? of.getArray(key) : Poco::JSON::Array::Ptr{};
  for (std::size_t i = 0; !all.isNull() && i < all->size(); ++i)
    if (auto one = all->getObject(static_cast<unsigned>(i)); !one.isNull())
      action(*one);
}

std::optional<time_point> time_of(const Object& of, const char* key) {
  Poco::DateTime when;
  int zone = 0;
  if (!Poco::DateTimeParser::tryParse(Poco::DateTimeFormat::ISO8601_FORMAT, raw_text(of, key), when, zone))
    return std::nullopt;
  return time_point{std::chrono::seconds{when.timestamp().epochTime() - zone}};
}

std::string age(const Object& of, const char* key, time_point now) {
  auto when = time_of(of, key);
  return when ? span_text((now - *when).count()) : "-";
}

/// "in 4m 10s", "now", "-".
std::string ahead(const Object& of, const char* key, time_point now) {
  auto when = time_of(of, key);
  return !when ? "-" : *when <= now ? "now" : "in " + span_text((*when - now).count());
}

std::string path_text(const Object& of, const char* key) { return "<" + text(of, key) + ">"; }

/// Lines of a name and a value.
class facts {
public:
  void add(std::string_view name, std::string value) {
    if (!value.empty())
      text_ += fmt::format("{:<14}{}\n", name, value);
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

private:
  std::string text_;
};

std::string of_limit(std::uint64_t value, std::uint64_t limit) {
  return limit == 0 ? bytes_text(value) : bytes_text(value) + " of " + bytes_text(limit);
}

std::string with_count(std::string what, std::uint64_t others) {
  return others == 0 ? what : fmt::format("{} (+{})", what, others);
}

std::string reply_text(const Object& recipient) {
  auto code = number(recipient, "last_code");
  auto reply = code == 0 ? std::string{} : std::to_string(code);
  for (auto part : {text(recipient, "last_status"), text(recipient, "last_text")})
    if (!part.empty())
      reply += (reply.empty() ? "" : " ") + part;
  return reply;
}

std::string plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

} // namespace

namespace {

/// "relay 12, syntax 3": the most frequent first.
std::string refusals_text(const Object& of) {
  std::vector<std::pair<std::uint64_t, std::string>> all;
  for (auto& name : of.getNames())
    all.emplace_back(number(of, name.c_str()), escaped(name));
  std::ranges::sort(all, [](auto& a, auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::string out;
  for (auto& [count, name] : all)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, count);
  return out;
}

} // namespace

std::string render_status(const Object& answer) {
  facts lines;
  auto memory = inner(answer, "memory");
  auto store = inner(answer, "store");
  auto uptime = static_cast<std::int64_t>(number(answer, "uptime_seconds"));
  lines.add("hedwig",
            fmt::format("{}, process {}, up {}", text(answer, "version"), number(answer, "pid"), span_text(uptime)));
  lines.add("state", !yes(answer, "ready")   ? "NOT READY: " + text(answer, "why_not_ready")
                     : yes(answer, "paused") ? "ready, deliveries PAUSED"
                                             : "ready");
  lines.add("sessions", fmt::format("{} of {}", number(answer, "sessions"), number(answer, "sessions_limit")));
  for_each(answer, "listeners", [&](const Object& one) {
    lines.add("", fmt::format("{} {}: {}", text(one, "listener"), text(one, "state"), number(one, "sessions")));
  });
  lines.add("deliveries",
            fmt::format("{} to {}, {} resting", plural(number(answer, "deliveries"), "connection", "connections"),
                        plural(number(answer, "destinations"), "destination", "destinations"),
                        number(answer, "destinations_resting")));
  lines.add("queue", fmt::format("{}, {} active", plural(number(answer, "queue_depth"), "message", "messages"),
                                 number(answer, "active_messages")));
  lines.add("since start", fmt::format("{} received; recipients: {} delivered, {} deferred, {} bounced, {} unknown",
                                       plural(number(answer, "received"), "message", "messages"),
                                       number(answer, "delivered_recipients"), number(answer, "deferred_recipients"),
                                       number(answer, "bounced_recipients"), number(answer, "unknown_outcomes")));
  lines.add("refused", refusals_text(inner(answer, "refusals")));
  auto users = inner(memory, "users");
  lines.add("memory", fmt::format("{} resident; messages {}, at most {}; limit met {}",
                                  bytes_text(number(memory, "resident_bytes")),
                                  of_limit(number(memory, "used_bytes"), number(memory, "limit_bytes")),
                                  bytes_text(number(memory, "peak_bytes")),
                                  plural(number(memory, "limit_met"), "time", "times")));
  lines.add("", fmt::format("sessions {}, spooler {}, caches {}, deliveries {}", bytes_text(number(users, "sessions")),
                            bytes_text(number(users, "spooler")), bytes_text(number(users, "caches")),
                            bytes_text(number(users, "deliveries"))));
  lines.add("store",
            fmt::format("{}: {}; {} in flight, {} waiting, {} errors", text(store, "name"), text(store, "health"),
                        number(store, "in_flight"), number(store, "waiting"), number(store, "errors")));
  auto commit = inner(store, "commit_seconds");
  auto accept = inner(store, "accept_seconds");
  lines.add("", fmt::format("{} in {}, {:.1f} writes each", bytes_text(number(store, "committed_bytes")),
                            plural(number(store, "commits"), "commit", "commits"), real(store, "mean_group_size")));
  lines.add("", fmt::format("a commit takes {}, one of a hundred over {}; from final dot to 250 {}, and over {}",
                            seconds_text(real(commit, "p50")), seconds_text(real(commit, "p99")),
                            seconds_text(real(accept, "p50")), seconds_text(real(accept, "p99"))));
  return std::move(lines).text();
}

std::vector<actor_info> actors_of(const Object& answer) {
  std::vector<actor_info> all;
  for_each(answer, "actors", [&](const Object& one) {
    all.push_back({.id = number(one, "id"),
                   .parent = number(one, "parent"),
                   .name = raw_text(one, "name"),
                   .label = raw_text(one, "label"),
                   .state = raw_text(one, "state"),
                   .mailbox = number(one, "mailbox"),
                   .handled = number(one, "handled"),
                   .busy_us = number(one, "busy_us"),
                   .restarts = number(one, "restarts")});
  });
  return all;
}

namespace {

/// "2 timeout, 1 malformed"; what was only turned away is none of its failures.
std::string failures_text(const Object& of) {
  std::string out;
  for (const char* kind : {"crash", "timeout", "error", "malformed", "false_completion", "late", "busy", "refused"})
    if (auto count = number(of, kind); count > 0)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count,
                         std::string_view{kind} == "false_completion" ? "false completion" : kind);
  return out.empty() ? "-" : out;
}

std::string breaker_text(const Object& of, time_point now) {
  auto state = text(of, "state");
  return state == "open" ? fmt::format("OPEN, a try {}", ahead(of, "until", now)) : state;
}

} // namespace

std::string render_plugins(const Object& answer, time_point now) {
  table rows{{{.title = "INSTANCE", .width_max = 40},
              {.title = "PLUGIN", .width_max = 50},
              {.title = "ABI"},
              {.title = "ISOLATION"},
              {.title = "CALLS", .side = align::right},
              {.title = "P50", .side = align::right},
              {.title = "P99", .side = align::right},
              {.title = "OPEN", .side = align::right},
              {.title = "BREAKER"},
              {.title = "FAILURES", .width_max = 0}}};
  std::string details;
  for_each(answer, "plugins", [&](const Object& one) {
    auto seconds = inner(one, "seconds");
    rows.add({text(one, "instance"), text(one, "plugin") + " " + text(one, "version"), text(one, "abi"),
              text(one, "isolation"), std::to_string(number(one, "calls")), seconds_text(real(seconds, "p50")),
              seconds_text(real(seconds, "p99")), std::to_string(number(one, "in_flight")),
              breaker_text(inner(one, "breaker"), now), failures_text(inner(one, "failures"))});
    auto last = inner(one, "last_failure");
    if (auto call = text(last, "call"); !call.empty())
      details += fmt::format("{}: {} ago {} failed: {}\n", text(one, "instance"), age(last, "at", now), call,
                             text(last, "error"));
    if (auto process = inner(one, "process"); number(process, "deaths") > 0)
      details += fmt::format("{}: its process {} {}\n", text(one, "instance"), text(process, "last_death"),
                             number(process, "pid") == 0 ? "and is started again" : "and was started again");
    details += fmt::format("{}: {}\n", text(one, "instance"),
                           raw_text(one, "file").empty() ? "part of the program" : text(one, "file"));
  });
  return rows.text() + "\n" + details;
}

std::string render_list(const Object& answer, time_point now) {
  table rows{{{.title = "ID", .width_max = 0},
              {.title = "STATE"},
              {.title = "AGE", .side = align::right},
              {.title = "SIZE", .side = align::right},
              {.title = "TRIES", .side = align::right},
              {.title = "NEXT", .side = align::right},
              {.title = "FROM", .width_max = 40},
              {.title = "TO", .width_max = 40},
              {.title = "LAST ERROR", .width_max = 70}}};
  for_each(answer, "messages", [&](const Object& one) {
    auto recipients = number(one, "recipients");
    rows.add({text(one, "id"), text(one, "state"), age(one, "queued_at", now), bytes_text(number(one, "size")),
              std::to_string(number(one, "attempts")), ahead(one, "due", now), path_text(one, "from"),
              with_count(text(one, "first_recipient"), recipients > 1 ? recipients - 1 : 0), text(one, "last_error")});
  });
  return rows.empty() ? std::string{} : rows.text();
}

std::string render_sessions(const Object& answer) {
  table rows{{{.title = "ID", .side = align::right},
              {.title = "CLIENT", .width_max = 48},
              {.title = "LISTENER", .width_max = 24},
              {.title = "TLS"},
              {.title = "USER", .width_max = 30},
              {.title = "HELO", .width_max = 30},
              {.title = "STATE"},
              {.title = "MAILS", .side = align::right},
              {.title = "REFUSED", .side = align::right},
              {.title = "BYTES", .side = align::right},
              {.title = "AGE", .side = align::right},
              {.title = "IDLE", .side = align::right}}};
  auto span = [](const Object& one, const char* key) {
    return span_text(static_cast<std::int64_t>(std::min<std::uint64_t>(number(one, key), 1ULL << 40U)));
  };
  for_each(answer, "sessions", [&](const Object& one) {
    auto client = text(one, "client");
    auto is_v6 = client.find(':') != std::string::npos;
    rows.add({std::to_string(number(one, "id")),
              fmt::format("{}{}{}:{}", is_v6 ? "[" : "", client, is_v6 ? "]" : "", number(one, "port")),
              text(one, "listener"), text(one, "tls"), text(one, "user"), text(one, "helo"), text(one, "state"),
              std::to_string(number(one, "messages")), std::to_string(number(one, "refused")),
              bytes_text(number(one, "received_bytes")), span(one, "age_seconds"), span(one, "idle_seconds")});
  });
  return rows.empty() ? std::string{} : rows.text();
}

std::string render_kill(const Object& answer) {
  auto ended = number(answer, "killed");
  auto later = number(answer, "after_commit");
  auto out = later > 0 && ended == 0 ? std::string{} : plural(ended, "session", "sessions") + " ended";
  if (later > 0)
    out += fmt::format("{}{} when the client has heard of the message being committed", out.empty() ? "" : ", ",
                       plural(later, "session ends", "sessions end"));
  return out + "\n";
}

std::string render_message(const Object& answer, time_point now) {
  facts lines;
  auto from = text(answer, "peer");
  lines.add("id", text(answer, "id"));
  lines.add("state", text(answer, "state"));
  lines.add("queued", text(answer, "queued_at") + ", " + age(answer, "queued_at", now) + " ago");
  if (time_of(answer, "due"))
    lines.add("next attempt", text(answer, "due") + ", " + ahead(answer, "due", now));
  lines.add("attempts", std::to_string(number(answer, "attempts")));
  lines.add("from", path_text(answer, "from"));
  lines.add("subject", text(answer, "subject"));
  lines.add("size", bytes_text(number(answer, "size")));
  lines.add("came from", from.empty() ? "the relay itself"
                                      : fmt::format("{} ({}) by {} at {}", from, text(answer, "helo"),
                                                    text(answer, "protocol"), text(answer, "listener")));
  lines.add("user", text(answer, "user"));
  lines.add("last error", text(answer, "last_error"));
  table rows{{{.title = "RECIPIENT", .width_max = 0},
              {.title = "STATUS"},
              {.title = "TRIES", .side = align::right},
              {.title = "NEXT", .side = align::right},
              {.title = "LAST REPLY", .width_max = 0},
              {.title = "FROM HOST", .width_max = 0}}};
  for_each(answer, "recipient_states", [&](const Object& one) {
    rows.add({text(one, "address"), yes(one, "in_delivery") ? "in delivery" : text(one, "status"),
              std::to_string(number(one, "attempts")), ahead(one, "due", now), reply_text(one), text(one, "remote")});
  });
  return std::move(lines).text() + "\n" + rows.text();
}

std::string render_change(const Object& answer, std::string_view verb) {
  auto id = text(answer, "id");
  auto when = text(answer, "when");
  bool tries = verb == "retry" || verb == "release";
  auto done = verb == "hold" ? "held" : verb == "bounce" ? "bounced" : verb == "delete" ? "deleted" : "";
  if (when.starts_with("it "))
    return fmt::format("{}: {}\n", id, when);
  if (when == "now" && !tries)
    return fmt::format("{}: {}\n", id, done);
  return fmt::format("{}: {}is {} {}\n", id, verb == "release" ? "released, " : "", tries ? "tried" : done, when);
}

} // namespace hedwig::admin
