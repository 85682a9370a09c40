// SPDX-License-Identifier: Apache-2.0
#include "servers.hpp"

#include <algorithm>

namespace hedwig::auth_ldap {

namespace {

using std::chrono::nanoseconds;

constexpr hedwig_time_ns one_second = 1'000'000'000;
constexpr hedwig_time_ns fair_time = one_second;
constexpr hedwig_time_ns deadline_margin = 5'000'000; // waits are a little short of it, or longer

} // namespace

servers::servers(sdk::host host, std::shared_ptr<const settings> from, counters count)
  : host_{host}, from_{std::move(from)}, count_{std::move(count)}, health_(from_->servers.size()) {}

nanoseconds servers::patience(hedwig_time_ns deadline) const {
  auto left = deadline - host_.steady();
  if (left <= 0)
    throw sdk::failure{HEDWIG_E_TIMEOUT, "the directory took too long"};
  return std::min(from_->timeout, nanoseconds{left});
}

std::vector<std::size_t> servers::order() {
  std::lock_guard lock{mutex_};
  auto now = host_.steady();
  std::vector<std::size_t> well;
  for (std::size_t i = 0; i < health_.size(); ++i)
    if (health_[i].rests_until <= now)
      well.push_back(i);
  if (!well.empty())
    return well;
  auto next = std::ranges::min_element(health_, {}, &health::rests_until);
  if (now - next->tried < one_second)
    return {};
  next->tried = now;
  return {static_cast<std::size_t>(next - health_.begin())};
}

void servers::forget_old(kind& of, std::vector<idle>& gone) const {
  auto oldest = host_.steady() - from_->idle_timeout.count();
  for (auto& one : of.waiting)
    if (one.since < oldest)
      gone.push_back(std::move(one));
  std::erase_if(of.waiting, [](const idle& one) { return one.open == nullptr; });
  of.open -= gone.size();
}

servers::loan servers::borrow(purpose what, std::size_t server, hedwig_time_ns deadline, hedwig_time_ns& since) {
  auto& mine = kinds_[static_cast<std::size_t>(what)];
  std::vector<idle> gone; // closed without the lock
  loan held;
  {
    std::unique_lock lock{mutex_};
    forget_old(mine, gone);
    for (;;) {
      auto found = std::ranges::find(mine.waiting.rbegin(), mine.waiting.rend(), server, &idle::server);
      if (found != mine.waiting.rend()) {
        held = {std::move(found->open), what, server, true, true};
        since = host_.steady();
        mine.waiting.erase(std::next(found).base());
        return held;
      }
      if (mine.open < from_->connections_max)
        break;
      if (!mine.waiting.empty()) { // to another server
        gone.push_back(std::move(mine.waiting.front()));
        mine.waiting.erase(mine.waiting.begin());
        --mine.open;
        continue;
      }
      returned_.wait_for(lock, patience(deadline));
      if (mine.open >= from_->connections_max && mine.waiting.empty())
        static_cast<void>(patience(deadline)); // throws once the time is over
    }
    ++mine.open;
  }
  held = {nullptr, what, server, false, true};
  since = host_.steady();
  try {
    connect(held, deadline);
  } catch (...) {
    std::lock_guard lock{mutex_};
    --mine.open;
    returned_.notify_one();
    throw;
  }
  return held;
}

void servers::connect(loan& held, hedwig_time_ns deadline) {
  held.open = std::make_unique<connection>(*from_, from_->servers[held.server], patience(deadline));
  count_.connected();
  if (held.what == purpose::bind || from_->bind_dn.empty())
    return;
  auto answer = held.open->bind(from_->bind_dn, from_->bind_password, patience(deadline));
  if (answer.verdict == bind_verdict::right)
    return;
  throw trouble{"the service account " + from_->bind_dn +
                    " cannot log in: " + std::string{to_string_view(answer.verdict)} + " (" + answer.text +
                    "); check bind_dn and bind_password",
                false};
}

void servers::give_back(loan held) {
  std::lock_guard lock{mutex_};
  health_[held.server].rests_until = 0;
  kinds_[static_cast<std::size_t>(held.what)].waiting.push_back({std::move(held.open), held.server, host_.steady()});
  returned_.notify_one();
}

bool servers::was_hurried(hedwig_time_ns since, hedwig_time_ns deadline) const {
  auto now = host_.steady();
  return now + deadline_margin >= deadline && now - since < std::min<hedwig_time_ns>(fair_time, from_->timeout.count());
}

void servers::discard(loan held) {
  held.open.reset();
  if (held.counted) {
    std::lock_guard lock{mutex_};
    --kinds_[static_cast<std::size_t>(held.what)].open;
    returned_.notify_one();
  }
  throw sdk::failure{HEDWIG_E_TIMEOUT, "the request came too late to the directory server"};
}

bool servers::drop(loan held, std::size_t server, const trouble& why) {
  std::vector<idle> gone;
  bool again = held.reused && why.lost();
  bool news = false;
  {
    std::lock_guard lock{mutex_};
    auto now = host_.steady();
    if (held.counted)
      --kinds_[static_cast<std::size_t>(held.what)].open;
    // What broke one old connection broke its neighbours, too.
    for (auto& each : kinds_) {
      auto first = std::ranges::stable_partition(each.waiting, [&](const idle& one) { return one.server != server; });
      each.open -= first.size();
      std::ranges::move(first, std::back_inserter(gone));
      each.waiting.erase(first.begin(), each.waiting.end());
    }
    if (!again) {
      auto& its = health_[server];
      news = its.rests_until <= now;
      its.tried = now;
      its.rests_until = now + from_->server_rest.count();
    }
    returned_.notify_all();
  }
  held.open.reset();
  if (!again)
    count_.server_failed();
  if (news)
    host_.log(HEDWIG_LOG_WARN, "a directory server fails and is left alone for a while; see server_rest",
              {{"server", from_->servers[server]}, {"error", why.what()}});
  return again;
}

} // namespace hedwig::auth_ldap
