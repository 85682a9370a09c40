// SPDX-License-Identifier: Apache-2.0
#include "app/spool_list.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"

#include <algorithm>
#include <iostream>

namespace hedwig::app {

namespace {

constexpr std::uint32_t page_size = 500;

/// Prints messages as they come: JSON is written piece by piece, since a spool may hold millions.
class listing {
public:
  explicit listing(bool json) : json_{json} {
    std::cout << (json_ ? "{\"messages\":[" : "");
    if (!json_)
      std::cout << list_heading();
  }

  void add(const spool_message& one, wall_time now) {
    ++count_;
    if (!json_) {
      std::cout << list_line(one, now);
      return;
    }
    std::cout << (count_ > 1 ? ",\n" : "\n");
    list_object(one).stringify(std::cout);
  }

  void end(const std::string& cursor) {
    auto text = console::cursor_text(cursor);
    if (json_)
      std::cout << "\n],\"cursor\":\"" << text << "\"}\n";
    else if (!cursor.empty())
      std::cout << "more: --cursor " << text << '\n';
  }

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

private:
  bool json_;
  std::uint32_t count_ = 0;
};

} // namespace

int spool_list(const spool_setting& where, const spool_options& wanted) {
  auto now = clock::system().wall();
  auto filter = spool_filter::make(wanted, now);
  if (!filter)
    return spool_refused(filter.error());
  auto cursor = console::cursor_of(wanted.cursor);
  if (!cursor)
    return spool_refused("--cursor takes what an earlier list gave");
  int status = exit_ok;
  auto store = open_spool(where.place, spool_access::read, status);
  if (!store)
    return status;
  listing out{wanted.json};
  do {
    auto left = wanted.limit == 0 ? page_size : wanted.limit - out.count();
    auto found = store->list({.states = filter->states(),
                              .metadata = true,
                              .cursor = *cursor,
                              .limit = std::min(left, page_size), // so that the cursor stands behind the last one shown
                              .damaged = true});
    if (!found)
      return spool_failed(found.error());
    for (auto& entry : found->entries)
      if (auto one = understand(std::move(entry)); filter->wants(one))
        out.add(one, now);
    cursor = std::move(found->cursor);
  } while (!cursor->empty() && (wanted.limit == 0 || out.count() < wanted.limit));
  out.end(*cursor);
  return std::cout.good() ? exit_ok : exit_failed;
}

} // namespace hedwig::app
