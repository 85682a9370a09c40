// SPDX-License-Identifier: Apache-2.0
#include "pool.hpp"

#include <algorithm>
#include <utility>

namespace hedwig::auth_sql {

using sql::sql_error;
using sql::trouble;

namespace {

/// Runs its function when it ends.
template <class Function>
struct at_end {
  Function run;
  explicit at_end(Function of) : run{std::move(of)} {}
  ~at_end() { run(); }
  at_end(const at_end&) = delete;
  at_end& operator=(const at_end&) = delete;
};

} // namespace

pool::pool(sdk::host host, std::shared_ptr<const settings> from, counters count)
  : host_{host}, from_{std::move(from)}, count_{std::move(count)}, timers_{host} {}

std::chrono::nanoseconds pool::patience(hedwig_time_ns deadline) const {
  auto left = deadline - host_.steady();
  if (left <= 0)
    throw sdk::failure{HEDWIG_E_TIMEOUT, "the database took too long"};
  return std::chrono::nanoseconds{left};
}

std::unique_ptr<connection> pool::borrow(hedwig_time_ns deadline) {
  std::vector<idle> gone; // closed without the lock
  std::unique_lock lock{mutex_};
  while (waiting_.empty() && open_ >= from_->connections_max) {
    if (returned_.wait_for(lock, patience(deadline)) == std::cv_status::timeout && waiting_.empty())
      throw sdk::failure{HEDWIG_E_BUSY,
                         "all connections to the database are in use: raise connections_max and workers"};
  }
  if (waiting_.empty()) {
    ++open_;
    return std::make_unique<connection>(*from_, timers_);
  }
  auto found = std::move(waiting_.back());
  waiting_.pop_back();
  // One that broke stays: it connects again (see connection::reconnect).
  auto oldest = host_.steady() - from_->idle_timeout.count();
  auto old = [&](const idle& one) { return one.since < oldest && one.held->connected(); };
  for (auto& one : waiting_)
    if (old(one))
      gone.push_back(std::move(one));
  std::erase_if(waiting_, [](const idle& one) { return one.held == nullptr; });
  open_ -= gone.size();
  if (old(found)) {
    gone.push_back(std::move(found));
    found = {std::make_unique<connection>(*from_, timers_), 0};
  }
  return std::move(found.held);
}

void pool::give_back(std::unique_ptr<connection> held) {
  std::lock_guard lock{mutex_};
  waiting_.push_back({std::move(held), host_.steady()});
  if (!waiting_.back().held->connected()) // those that are well are taken first
    std::ranges::rotate(waiting_, waiting_.end() - 1);
  returned_.notify_one();
}

void pool::connect(connection& to) {
  {
    std::lock_guard lock{mutex_};
    if (host_.steady() < rests_until_)
      throw sql_error{trouble::lost, last_fault_};
  }
  try {
    to.reconnect();
  } catch (const sql_error& why) {
    bool news = false;
    {
      std::lock_guard lock{mutex_};
      rests_until_ = host_.steady() + from_->retry_delay.count();
      last_fault_ = why.what();
      news = !std::exchange(down_, true);
    }
    count_.failed();
    if (news)
      host_.log(HEDWIG_LOG_WARN, "the database cannot be reached; nobody can log in until it is back",
                {{"error", why.what()}});
    throw;
  }
  count_.connected();
  std::lock_guard lock{mutex_};
  if (std::exchange(down_, false))
    host_.log(HEDWIG_LOG_INFO, "the database is back");
}

sdk::failure pool::failure_of(const sql_error& why, const char* key) const {
  switch (why.kind) {
  case trouble::lost:
    return {HEDWIG_E_UNAVAILABLE, std::string{"the database cannot be reached: "} + why.what()};
  case trouble::timeout:
    return {HEDWIG_E_TIMEOUT, std::string{key} + " took too long: " + why.what() +
                                  "; an index for what it looks for, or a longer statement_timeout"};
  case trouble::other:
    return {HEDWIG_E_CONFIG, std::string{key} + " fails: " + why.what(), key};
  default:
    return {HEDWIG_E_UNAVAILABLE, std::string{"the database: "} + why.what()};
  }
}

template <class Use>
auto pool::with_connection(const char* key, hedwig_time_ns deadline, Use use) {
  auto held = borrow(deadline);
  auto returned = at_end{[&] { give_back(std::move(held)); }};
  try {
    bool fresh = !held->connected();
    if (fresh)
      connect(*held);
    try {
      return use(*held, patience(deadline));
    } catch (const sql_error& why) {
      if (fresh || why.kind != trouble::lost)
        throw;
    }
    connect(*held); // it was an old one, as a restart of the server leaves behind
    return use(*held, patience(deadline));
  } catch (const sql_error& why) {
    throw failure_of(why, key);
  }
}

answer pool::ask(const query_text& what, const char* key, std::size_t rows_max, const std::vector<std::string>& values,
                 hedwig_time_ns deadline) {
  return with_connection(key, deadline, [&](connection& on, std::chrono::nanoseconds left) {
    return on.ask(what, rows_max, values, left);
  });
}

void pool::check(const query_text& what, const char* key, hedwig_time_ns deadline) {
  with_connection(key, deadline,
                  [&](connection& on, std::chrono::nanoseconds left) { return on.check(what, left), true; });
}

} // namespace hedwig::auth_sql
