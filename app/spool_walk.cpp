// SPDX-License-Identifier: Apache-2.0
#include "app/spool_walk.hpp"

#include <utility>

namespace hedwig::app {

result<void> spool_walk::run(const visitor& see) {
  if (auto done = by_due(see); !done)
    return done;
  return by_receipt(see);
}

result<void> spool_walk::by_due(const visitor& see) {
  plugin::list_request request{.states = states_, .metadata = true, .cursor = {}, .limit = page_size, .damaged = true};
  do {
    auto found = store_.list(request);
    if (!found)
      return std::unexpected{found.error()};
    for (auto& one : found->entries)
      if ((one.flags & HEDWIG_ENTRY_DAMAGED) != 0 && damaged_.size() < damaged_max)
        damaged_.insert(one.id);
    if (!found->entries.empty())
      if (auto seen = see(found->entries); !seen)
        return seen;
    request.cursor = std::move(found->cursor);
  } while (!request.cursor.empty());
  return {};
}

result<void> spool_walk::by_receipt(const visitor& see) {
  plugin::list_request request{
      .states = states_, .by_receipt = true, .cursor = {}, .limit = 4 * page_size, .damaged = true};
  do {
    auto found = store_.list(request);
    if (!found)
      return std::unexpected{found.error()};
    page lost;
    for (auto& one : found->entries) {
      if ((one.flags & HEDWIG_ENTRY_DAMAGED) != 0 && !damaged_.contains(one.id))
        lost.push_back(std::move(one));
      if ((one.flags & HEDWIG_ENTRY_UNINDEXED) == 0)
        continue;
      auto whole = store_.stat(one.id);
      if (!whole)
        return std::unexpected{whole.error()};
      whole->flags |= HEDWIG_ENTRY_UNINDEXED;
      lost.push_back(std::move(*whole));
    }
    if (!lost.empty())
      if (auto seen = see(lost); !seen)
        return seen;
    request.cursor = std::move(found->cursor);
  } while (!request.cursor.empty());
  return {};
}

} // namespace hedwig::app
