// SPDX-License-Identifier: Apache-2.0
#include "app/spool_stats.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"

#include <fmt/format.h>

#include <iostream>

namespace hedwig::app {

namespace {

wall_time time_of(hedwig_time_ns value) { return wall_time{std::chrono::nanoseconds{value}}; }

void print_json(const plugin::storage_statistics& found) {
  Poco::JSON::Object states;
  for (std::uint32_t state = 1; state < found.states.size(); ++state) {
    auto& one = found.states[state];
    Poco::JSON::Object object;
    object.set("messages", one.messages);
    object.set("octets", one.bytes);
    object.set("oldest_due", time_text(time_of(one.oldest_due)));
    states.set(console::name_of_state(state), object);
  }
  Poco::JSON::Object all;
  all.set("states", states);
  all.set("disk_free", found.disk_free);
  std::cout << console::text_of(all);
}

void print_text(const plugin::storage_statistics& found) {
  std::uint64_t messages = 0;
  std::uint64_t octets = 0;
  auto line = [](auto state, auto count, auto bytes, const std::string& oldest) {
    std::cout << fmt::format("{:11}  {:>12}  {:>16}  {}\n", state, count, bytes, oldest);
  };
  line("state", "messages", "octets", "oldest due");
  for (std::uint32_t state = 1; state < found.states.size(); ++state) {
    auto& one = found.states[state];
    messages += one.messages;
    octets += one.bytes;
    line(console::name_of_state(state), one.messages, one.bytes, time_text(time_of(one.oldest_due)));
  }
  line("all", messages, octets, {});
}

} // namespace

int spool_stats(const spool_setting& where, const spool_options& wanted) {
  int status = exit_ok;
  auto store = open_spool(where.place, spool_access::read, status);
  if (!store)
    return status;
  auto found = store->stats();
  if (!found)
    return spool_failed(found.error());
  wanted.json ? print_json(*found) : print_text(*found);
  return exit_ok;
}

} // namespace hedwig::app
