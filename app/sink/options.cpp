// SPDX-License-Identifier: Apache-2.0
#include "app/sink/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace hedwig::sink {
namespace {

constexpr std::uint16_t default_port = 2600;

std::unexpected<error> wrong(std::string_view option, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), std::string{option}}};
}

result<std::uint64_t> parse_number(std::string_view text, std::string_view option) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size())
    return wrong(option, fmt::format("'{}' is not a number", text));
  return value;
}

template <class Number>
result<void> set_number(Number& to, std::string_view text, std::string_view option) {
  const auto value = parse_number(text, option);
  if (!value)
    return std::unexpected{value.error()};
  to = static_cast<Number>(*value);
  return {};
}

result<void> set_features(features& to, std::string_view list) {
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(word.size() + 1, list.size()));
    const bool value = !word.starts_with("no-");
    const std::string_view name = value ? word : word.substr(3);
    if (name == "pipelining")
      to.pipelining = value;
    else if (name == "8bitmime")
      to.eightbitmime = value;
    else if (name == "smtputf8")
      to.smtputf8 = value;
    else if (name == "size")
      to.size = value;
    else if (name == "enhancedstatuscodes")
      to.enhanced_status_codes = value;
    else if (name == "ehlo")
      to.ehlo = value;
    else
      return wrong("--features",
                   fmt::format("'{}' is not a feature: write no- and one of pipelining, 8bitmime, smtputf8, "
                               "size, enhancedstatuscodes, ehlo",
                               word));
  }
  return {};
}

result<void> set_switch(bool& to, std::string_view value, std::string_view option) {
  if (value != "on" && value != "off")
    return wrong(option, fmt::format("'{}': write on or off", value));
  to = value == "on";
  return {};
}

result<void> set_auth(options& to, std::string_view value) {
  const std::size_t colon = value.find(':');
  if (colon == std::string_view::npos || colon == 0)
    return wrong("--auth", "write USER:PASSWORD");
  to.auth_user = value.substr(0, colon);
  to.auth_password = value.substr(colon + 1);
  return {};
}

result<void> add_listener(options& to, std::string_view value) {
  auto at = net::address::parse(value, default_port);
  if (!at)
    return wrong("--listen", at.error().message);
  to.listen.push_back(*at);
  return {};
}

result<void> set_text(std::string& to, std::string_view value) {
  to = value;
  return {};
}

using setter = result<void> (*)(options&, std::string_view);

struct option_row {
  std::string_view name;
  setter set;
};

// Options with a value.
constexpr option_row rows[] = {
    {"--listen", add_listener},
    {"--hostname", [](options& o, std::string_view v) { return set_text(o.hostname, v); }},
    {"--reply", [](options& o, std::string_view v) { return o.script.add_reply(v); }},
    {"--delay", [](options& o, std::string_view v) { return o.script.add_delay(v); }},
    {"--drop", [](options& o, std::string_view v) { return o.script.add_drop(v); }},
    {"--features", [](options& o, std::string_view v) { return set_features(o.features, v); }},
    {"--starttls", [](options& o, std::string_view v) { return set_switch(o.starttls, v, "--starttls"); }},
    {"--cert", [](options& o, std::string_view v) { return set_text(o.certificate_file, v); }},
    {"--key", [](options& o, std::string_view v) { return set_text(o.key_file, v); }},
    {"--auth", set_auth},
    {"--max-size", [](options& o, std::string_view v) { return set_number(o.size_max, v, "--max-size"); }},
    {"--max-recipients",
     [](options& o, std::string_view v) { return set_number(o.recipients_max, v, "--max-recipients"); }},
    {"--max-connections",
     [](options& o, std::string_view v) { return set_number(o.connections_max, v, "--max-connections"); }},
    {"--idle-timeout",
     [](options& o, std::string_view v) -> result<void> {
       const auto value = parse_duration(v);
       if (!value)
         return wrong("--idle-timeout", value.error().message);
       o.idle_timeout = *value;
       return {};
     }},
    {"--store", [](options& o, std::string_view v) { return set_text(o.store_directory, v); }},
    {"--stats", [](options& o, std::string_view v) { return set_text(o.stats_file, v); }},
    {"--count", [](options& o, std::string_view v) { return set_number(o.count, v, "--count"); }},
    {"--seed",
     [](options& o, std::string_view v) -> result<void> {
       const auto value = parse_number(v, "--seed");
       if (!value)
         return std::unexpected{value.error()};
       o.script.seed(*value);
       return {};
     }},
};

bool set_flag(command_line& line, std::string_view name) {
  if (name == "--help" || name == "-h")
    line.help = true;
  else if (name == "--version")
    line.version = true;
  else if (name == "--print")
    line.options.print = true;
  else if (name == "--summary")
    line.options.summary = true;
  else if (name == "--implicit-tls")
    line.options.implicit_tls = true;
  else
    return false;
  return true;
}

result<void> check(options& o) {
  if (o.listen.empty())
    o.listen.push_back(net::address::v4({127, 0, 0, 1}, default_port));
  if (o.certificate_file.empty() != o.key_file.empty())
    return wrong("--cert", "--cert and --key go together");
  return {};
}

} // namespace

result<command_line> parse_command_line(const std::vector<std::string_view>& arguments) {
  command_line line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    if (set_flag(line, name))
      continue;
    const auto row = std::find_if(std::begin(rows), std::end(rows), [name](const option_row& r) {
      return name == r.name || (name.starts_with(r.name) && name.substr(r.name.size()).starts_with('='));
    });
    if (row == std::end(rows))
      return wrong(name, "no such option; --help lists them all");
    const bool joined = name.size() > row->name.size();
    if (!joined && i + 1 == arguments.size())
      return wrong(name, "a value is missing");
    const std::string_view value = joined ? name.substr(row->name.size() + 1) : arguments[++i];
    if (auto done = row->set(line.options, value); !done)
      return std::unexpected{done.error()};
  }
  if (auto good = check(line.options); !good)
    return std::unexpected{good.error()};
  return line;
}

std::string_view help_text() noexcept {
  return R"(hedwig-sink: an SMTP server that takes every message, or misbehaves as you tell it

Usage: hedwig-sink [options]

With no option it listens on 127.0.0.1:2600, takes everything and throws it away.

Where
  --listen ADDR[:PORT]    address to listen on; may be given several times (127.0.0.1:2600)
  --hostname NAME         its name in the greeting (sink.localhost)

What happens to messages
  --print                 a line for each message: time, sender, recipients, size, subject
  --store DIR             keep each message as DIR/<n>.eml, its envelope beside it as DIR/<n>.json
  --summary               totals at the end, on standard output
  --stats FILE            the same totals at the end, as JSON
  --count N               end after N messages

Misbehaviour. STAGE is connect, ehlo, starttls, auth, mail, rcpt, data, dot, rset or quit. STAGE:10% acts
on one case in ten; rcpt:*@bad.test, mail:spam@* on matching addresses (data, body and dot: the sender's).
  --reply STAGE=CODE[ TEXT]   this reply instead of the usual one; 421 also closes the connection
  --delay STAGE=TIME          wait before the reply: 250ms, 2s, 1m
  --drop STAGE                close the connection there instead of replying. "dot": the message was taken and
                              counts, its reply is lost. "body": after the first bytes of the message.
                              "handshake": after the 220 to STARTTLS.
  --seed N                    for the shares; the same seed and traffic give the same decisions (1)

Extensions and limits
  --features LIST         leave some out: no-pipelining,no-8bitmime,no-smtputf8,no-size,no-enhancedstatuscodes,no-ehlo
  --starttls on|off       offer STARTTLS (off)
  --implicit-tls          TLS from the first byte
  --cert FILE --key FILE  PEM files; without them a self-signed certificate is made
  --auth USER:PASSWORD    offer AUTH PLAIN and LOGIN, and insist on this user
  --max-size BYTES        of a message (67108864); 0: no limit
  --max-recipients N      of a message, then 452 (1000)
  --max-connections N     then 421 (20000)
  --idle-timeout TIME     close silent connections (5m)

  --help, --version

Examples
  hedwig-sink --print --store /tmp/mail
  hedwig-sink --reply 'rcpt:10%=450 4.2.0 Greylisted, come back' --delay dot=200ms
  hedwig-sink --reply 'rcpt:*@gone.test=550 5.1.1 No such user' --drop dot:1%

SIGTERM and SIGINT end it. Exit status: 0, or 1 when it cannot start, 2 for a wrong command line.
)";
}

} // namespace hedwig::sink
