// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md, printed from the schema.
#include <fmt/format.h>

#include "runtime/config/check.hpp"
#include "runtime/config/load.hpp"

namespace hedwig::config {
namespace {

constexpr std::string_view head = R"(# Configuration

`hedwig -c FILE` reads one TOML file, or JSON with the same tables and keys when its name ends in `.json`. `hedwig check -c FILE`
reads and checks it without starting, with the certificates, keys and providers that it names. All errors are shown at once, each as
`file:line:column: error: what is wrong: what to write`; with an error nothing starts and the exit code is 2. Lines with
`warning` do not stop the start.

This page is printed from the table that checks the file (runtime/config/schema.cpp); a test compares the two.

- A **time** is a text with units: `"250ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"24h"`, `"5d"`, `"2w"`.
- A **size** is a number of bytes, or a text: `"64KiB"`, `"25MiB"`, `"1GiB"` (powers of 1024), `"25MB"` (of 1000).
- A **domain** is `"example.com"`, `"*.example.com"` (its subdomains, not itself) or `"*"`.
- A relative **path** starts at the folder of the file.
- **Reload**: yes means that SIGHUP applies a change; otherwise the log names the key, its old value stays in force, and a
  restart applies it. Of each `[[list]]` it is said whether SIGHUP adds and removes entries.
- *0.10* marks keys that are read for the sake of files written for Hedwig 0.10 and mean nothing here; they give a warning.

A file for Hedwig 0.10 works as it is, with these differences on purpose: unknown keys are errors; without `[server.auth]` only
this machine may relay (`relay_from`); TLS to next hops is opportunistic unless a route says more; AUTH is offered under TLS only.

)";

std::string_view kind_text(const schema_key& key) {
  switch (key.type) {
  case kind::boolean:
    return "true or false";
  case kind::integer:
    return "number";
  case kind::real:
    return "fraction";
  case kind::text:
  case kind::log_filter:
    return "text";
  case kind::choice:
    return "one of";
  case kind::hostname:
    return "host name";
  case kind::ip_address:
    return "IP address";
  case kind::path:
    return "path";
  case kind::paths:
    return "list of paths";
  case kind::secret:
    return "secret";
  case kind::octal_mode:
    return "octal mode";
  case kind::time:
    return "time";
  case kind::time_or_off:
    return "time or `off`";
  case kind::size:
    return "size";
  case kind::bind_address:
    return "address:port";
  case kind::next_hops:
    return "list of host:port";
  case kind::dns_servers:
    return "list of address:port";
  case kind::networks:
    return "list of networks";
  case kind::patterns:
    return "list of domains";
  case kind::texts:
    return "list of texts";
  case kind::limits:
    return "table of numbers";
  case kind::table:
  case kind::tables:
  case kind::table_or_tables:
    break;
  }
  return "table";
}

std::string bound_text(const schema_key& key, double bound) {
  const bool time = key.type == kind::time || key.type == kind::time_or_off;
  return time ? to_text(duration{static_cast<std::int64_t>(bound * 1e9)})
              : fmt::to_string(static_cast<std::int64_t>(bound));
}

std::string type_text(const schema_key& key) {
  std::string out{kind_text(key)};
  if (key.type == kind::choice) {
    for (std::size_t from = 0; from != std::string_view::npos;) {
      const auto bar = key.choices.find('|', from);
      out += fmt::format("{} `{}`", from == 0 ? "" : ",", key.choices.substr(from, bar - from));
      from = bar == key.choices.npos ? bar : bar + 1;
    }
  } else if (key.type != kind::ip_address && (key.minimum != 0 || key.maximum != 0)) {
    out += fmt::format(", {} to {}", bound_text(key, key.minimum), bound_text(key, key.maximum));
  }
  return out;
}

std::string default_text(const schema_key& key) {
  if (key.has(required))
    return "required";
  return key.fallback.empty() ? "" : fmt::format("`{}`", key.fallback);
}

std::string meaning_text(const schema_key& key) {
  if (key.has(idle))
    return fmt::format("*0.10* {}", key.help);
  if (key.has(deprecated))
    return fmt::format("*deprecated* {}", key.help);
  return std::string{key.help};
}

void print_table(const schema_key& table, std::string& out) {
  const auto name = display(table.path);
  const bool list = table.type != kind::table;
  out += fmt::format("## `{}{}{}`\n\n{}\n\n", list ? "[[" : "[", name, list ? "]]" : "]", table.help);
  if (list)
    out += table.has(reloadable) ? "Entries come and go with a reload.\n\n" : "Entries come and go with a restart.\n\n";
  bool first = true;
  for (const auto& key : schema()) {
    if (key.parent() != table.path || key.is_table())
      continue;
    if (std::exchange(first, false))
      out += "| Key | Type | Default | Reload | Meaning |\n|---|---|---|---|---|\n";
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.leaf(), type_text(key), default_text(key),
                       key.has(reloadable) ? "yes" : "", meaning_text(key));
  }
  out += first ? "" : "\n";
}

} // namespace

std::string reference_markdown() {
  std::string out{head};
  for (const auto& key : schema())
    if (key.is_table())
      print_table(key, out);
  out.pop_back(); // the last empty line
  return out;
}

} // namespace hedwig::config
