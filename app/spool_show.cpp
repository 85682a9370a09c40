// SPDX-License-Identifier: Apache-2.0
#include "app/spool_show.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "runtime/mail/header.hpp"

#include <iostream>

namespace hedwig::app {

namespace {

/// The whole of a damaged one too, as far as the store can tell of it.
result<plugin::storage_entry> find(spool_store& store, const message_id& id) {
  auto found = store.stat(id);
  if (found || found.error().status != HEDWIG_E_CORRUPT)
    return found;
  plugin::storage_entry damaged{
      .id = id, .state = HEDWIG_STATE_QUARANTINED, .metadata = {}, .flags = HEDWIG_ENTRY_DAMAGED};
  damaged.metadata = queue::damaged_metadata({}, id, found.error().message);
  return damaged;
}

result<void> print_body(spool_store& store, const plugin::storage_entry& entry) {
  return store.read(entry, [](const rope& piece) -> result<void> {
    for (auto& part : piece.parts())
      std::cout << part.view();
    if (!std::cout.good())
      return std::unexpected{error{HEDWIG_E_IO, "cannot write to standard output", {}, 0}};
    return {};
  });
}

/// The lines up to the first empty one; at most mail::header_octets_max.
result<void> print_header(spool_store& store, const plugin::storage_entry& entry) {
  std::string text;
  bool ended = false;
  auto read = store.read(entry, [&](const rope& piece) -> result<void> {
    text += piece.flatten();
    ended = text.starts_with("\r\n") || text.find("\r\n\r\n") != std::string::npos ||
            text.find("\n\n") != std::string::npos || text.size() >= mail::header_octets_max;
    return ended ? result<void>{std::unexpected{error{}}} : result<void>{};
  });
  if (!read && !ended)
    return read;
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    auto line = std::string_view{text}.substr(at, end == std::string::npos ? end : end - at);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty() || end == std::string::npos)
      break;
    std::cout << printable(line) << '\n';
    at = end + 1;
  }
  return {};
}

} // namespace

int spool_show(const spool_setting& where, const spool_options& wanted) {
  auto id = message_id::parse(wanted.words.front());
  if (!id)
    return spool_refused("not a message id: it has 26 letters and digits");
  int status = exit_ok;
  auto store = open_spool(where.place, spool_access::read, status);
  if (!store)
    return status;
  auto found = find(*store, *id);
  if (!found && found.error().status == HEDWIG_E_NOT_FOUND)
    return spool_refused("no such message: " + id->text());
  if (!found)
    return spool_failed(found.error());
  if (wanted.body) {
    auto printed = print_body(*store, *found);
    std::cout.flush();
    return printed ? exit_ok : spool_failed(printed.error());
  }
  auto one = understand(std::move(*found));
  if (wanted.json) {
    std::cout << console::text_of(whole_object(one));
    return damage_text(one).empty() ? exit_ok : exit_failed;
  }
  std::cout << whole_text(one) << '\n';
  auto printed = print_header(*store, one.entry);
  std::cout.flush();
  if (!printed)
    return spool_failed(printed.error());
  return damage_text(one).empty() ? exit_ok : exit_failed;
}

} // namespace hedwig::app
