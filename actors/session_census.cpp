// SPDX-License-Identifier: Apache-2.0
#include "actors/session_census.hpp"

#include "actors/session.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace hedwig {

namespace {

/// Sessions that one loop ends before others on it have their turn.
constexpr std::size_t kills_per_turn = 100;

/// What the loops have found so far. Outlives the question where a loop is late.
template <class Found>
class gathering {
public:
  explicit gathering(std::size_t loops) : missing_{loops} {}

  template <class Merge>
  void add(bool last_of_loop, Merge merge) {
    std::lock_guard guard{mutex_};
    merge(found_);
    if (last_of_loop && --missing_ == 0)
      all_there_.notify_all();
  }

  [[nodiscard]] std::optional<Found> wait(std::chrono::nanoseconds patience) {
    std::unique_lock guard{mutex_};
    if (!all_there_.wait_for(guard, patience, [this] { return missing_ == 0; }))
      return std::nullopt;
    return std::move(found_);
  }

private:
  std::mutex mutex_;
  std::condition_variable all_there_;
  std::size_t missing_;
  Found found_;
};

template <class Visit>
void each_session(const io_unit& unit, const smtp::session_filter& whose, Visit visit) {
  for (auto* actor : unit.actors())
    if (auto* one = actor->as_session(); one != nullptr && one->fits(whose))
      visit(*one);
}

/// The `limit` oldest behind `after`, and one more where there is one.
std::vector<session_row> page_of(const io_unit& unit, const smtp::session_filter& whose, std::uint64_t after,
                                 std::size_t limit) {
  std::vector<session*> found;
  each_session(unit, whose, [&](session& one) {
    if (one.number() > after)
      found.push_back(&one);
  });
  auto kept = std::min(limit + 1, found.size());
  std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(kept), {}, &session::number);
  std::vector<session_row> rows;
  rows.reserve(kept);
  for (std::size_t i = 0; i < kept; ++i)
    rows.push_back(found[i]->row());
  return rows;
}

using kill_gathering = gathering<kill_count>;

void kill_some(io_unit& unit, const std::shared_ptr<kill_gathering>& to, const smtp::session_filter& whose,
               std::uint64_t id) {
  // First all that are meant: ending one may change what the loop holds.
  std::vector<session*> found;
  each_session(unit, whose, [&](session& one) {
    if (found.size() < kills_per_turn && (id == 0 || one.number() == id) && !one.killed())
      found.push_back(&one);
  });
  kill_count done;
  for (auto* one : found) {
    auto outcome = one->kill();
    done.ended += outcome == kill_outcome::ended ? 1 : 0;
    done.after_commit += outcome == kill_outcome::after_commit ? 1 : 0;
  }
  auto more = found.size() == kills_per_turn;
  to->add(!more, [&](kill_count& all) {
    all.ended += done.ended;
    all.after_commit += done.after_commit;
  });
  if (more)
    unit.post([&unit, to, whose, id] { kill_some(unit, to, whose, id); });
}

} // namespace

std::optional<session_page> list_sessions(relay_context& relay, const smtp::session_filter& whose, std::uint64_t after,
                                          std::size_t limit, std::chrono::nanoseconds patience) {
  auto all = std::make_shared<gathering<std::vector<session_row>>>(relay.units.size());
  for (auto* unit : relay.units)
    unit->post([all, unit, whose, after, limit] {
      auto rows = page_of(*unit, whose, after, limit);
      all->add(true, [&](auto& found) { std::ranges::move(rows, std::back_inserter(found)); });
    });
  auto rows = all->wait(patience);
  if (!rows)
    return std::nullopt;
  std::ranges::sort(*rows, {}, &session_row::id);
  session_page page{std::move(*rows), false};
  page.more = page.rows.size() > limit;
  page.rows.resize(std::min(limit, page.rows.size()));
  return page;
}

std::optional<kill_count> kill_sessions(relay_context& relay, const smtp::session_filter& whose, std::uint64_t id,
                                        std::chrono::nanoseconds patience) {
  auto all = std::make_shared<kill_gathering>(relay.units.size());
  for (auto* unit : relay.units)
    unit->post([all, unit, whose, id] { kill_some(*unit, all, whose, id); });
  return all->wait(patience);
}

} // namespace hedwig
