// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace hedwig::filter_milter {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_in_range;
using sdk::key_of_choices;

constexpr std::size_t milters_max = 20;
constexpr std::int64_t millisecond = 1'000'000;
constexpr std::int64_t hour = 3'600'000 * millisecond;

constexpr const char* policy_names[] = {"tempfail", "accept", "reject", nullptr};
constexpr auto name_key = key(HEDWIG_CONFIG_STRING, "name", "For the log. Default: the address.");
constexpr auto address_key =
    key(HEDWIG_CONFIG_STRING, "address", "\"inet:127.0.0.1:11332\", \"inet:[::1]:11332\" or \"unix:/run/milter.sock\".",
        HEDWIG_CONFIG_REQUIRED);
constexpr auto policy_key =
    key_of_choices("on_failure",
                   "What a milter that fails, is late or breaks the protocol counts as: tempfail (451), accept (as if "
                   "it were not there), reject (550).",
                   0, "tempfail", policy_names);
constexpr auto connect_key =
    key_in_range(HEDWIG_CONFIG_DURATION, "connect_timeout", "Time to connect.", 0, "5s", 10 * millisecond, hour);
constexpr auto command_key =
    key_in_range(HEDWIG_CONFIG_DURATION, "command_timeout", "Time for each answer before the end of the message.", 0,
                 "10s", 10 * millisecond, hour);
constexpr auto content_key =
    key_in_range(HEDWIG_CONFIG_DURATION, "content_timeout",
                 "Time for each answer at the end of the message; a milter may say that it is still at work.", 0, "25s",
                 10 * millisecond, hour);
constexpr auto idle_key = key_in_range(HEDWIG_CONFIG_INTEGER, "max_idle",
                                       "Connections kept for the next client, of milters that answer a second one on "
                                       "it: rspamd does, those with libmilter may not.",
                                       0, "0", 0, 1000);
constexpr const hedwig_config_key* milter_keys[] = {&name_key,    &address_key, &policy_key, &connect_key,
                                                    &command_key, &content_key, &idle_key};
constexpr hedwig_config_schema milter_schema{sizeof milter_schema, std::size(milter_keys), milter_keys};

constexpr auto milters_key =
    key(HEDWIG_CONFIG_TABLES, "milter", "One table for each milter; each sees the message as those before it left it.",
        HEDWIG_CONFIG_REQUIRED, nullptr, &milter_schema);
constexpr auto hostname_key =
    key(HEDWIG_CONFIG_STRING, "hostname", "How this relay is called in the macro j. Default: the name of the machine.");
constexpr auto body_key = key_in_range(HEDWIG_CONFIG_SIZE, "max_body", "The largest body a milter may put in place.", 0,
                                       "64MiB", 0, std::int64_t{1} << 40);
constexpr const hedwig_config_key* keys[] = {&milters_key, &hostname_key, &body_key};

std::string own_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

milter_settings read_milter(const sdk::config& table, std::size_t number) {
  milter_settings out;
  auto address = table.string("address");
  try {
    out.address = milter_address::parse(address);
  } catch (const std::invalid_argument& e) {
    throw failure{HEDWIG_E_CONFIG, "milter " + std::to_string(number) + ": \"" + address + "\" " + e.what(),
                  "milter.address"};
  }
  auto policy = table.string("on_failure");
  while (policy != policy_names[static_cast<std::size_t>(out.on_failure)])
    out.on_failure = static_cast<failure_policy>(static_cast<std::size_t>(out.on_failure) + 1);
  out.name = table.is_set("name") ? table.string("name") : address;
  out.connect_timeout = table.duration("connect_timeout");
  out.command_timeout = table.duration("command_timeout");
  out.content_timeout = table.duration("content_timeout");
  out.max_idle = static_cast<std::size_t>(table.integer("max_idle"));
  return out;
}

} // namespace

constinit const hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

milter_address milter_address::parse(std::string_view text) {
  milter_address out;
  auto colon = text.find(':');
  auto kind = text.substr(0, colon);
  auto rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (kind == "unix" || kind == "local") {
    if (!rest.starts_with('/') || rest.size() >= sizeof(sockaddr_un::sun_path))
      throw std::invalid_argument{"needs an absolute path of at most 107 octets behind \"unix:\""};
    out.path = rest;
    return out;
  }
  if (kind != "inet" && kind != "inet6")
    throw std::invalid_argument{"begins neither with \"inet:\" nor with \"unix:\""};
  if (auto at = rest.find('@'); at != std::string_view::npos) {
    out.port = rest.substr(0, at);
    out.host = rest.substr(at + 1);
  } else if (auto last = rest.rfind(':'); last != std::string_view::npos) {
    out.host = rest.substr(0, last);
    out.port = rest.substr(last + 1);
  }
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (out.host.empty() || out.port.empty() || out.port.size() > 5 || !std::ranges::all_of(out.port, digit) ||
      std::stoi(out.port) == 0 || std::stoi(out.port) > 65535)
    throw std::invalid_argument{"needs a host and a port, such as \"inet:127.0.0.1:11332\""};
  return out;
}

filter_settings read_settings(const sdk::config& config) {
  filter_settings out;
  auto count = config.count("milter");
  if (count == 0 || count > milters_max)
    throw failure{HEDWIG_E_CONFIG, "has 1 to 20 milters", "milter"};
  for (std::size_t i = 0; i < count; ++i)
    out.milters.push_back(read_milter(config.table("milter", i), i + 1));
  out.hostname = config.is_set("hostname") ? config.string("hostname") : own_name();
  out.max_body = static_cast<std::size_t>(config.integer("max_body"));
  return out;
}

} // namespace hedwig::filter_milter
