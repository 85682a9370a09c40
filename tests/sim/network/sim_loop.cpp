// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/network/sim_loop.hpp"

#include "tests/sim/network/sim_stream.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace hedwig::sim {

void sim_timers::arm(net::timer& what, steady_time deadline) noexcept {
  if (what.armed())
    disarm(what);
  auto& place = net::timer_access::place(what);
  place = ++world_.next_timer_;
  net::timer_access::set_armed(what, true, deadline);
  world_.timers_.emplace(sim_world::timer_key{deadline, place}, sim_world::timer_entry{&what, &on_});
}

void sim_timers::disarm(net::timer& what) noexcept {
  world_.timers_.erase({what.deadline(), net::timer_access::place(what)});
  net::timer_access::set_armed(what, false, what.deadline());
}

sim_loop::sim_loop(sim_world& world, const net::loop_options& options)
  : world_{world}, options_{options}, timers_{world, *this} {
  options_.limits.leftover_max = std::clamp(options_.limits.leftover_max, std::size_t{1}, options_.read_buffer);
}

sim_loop::~sim_loop() {
  for (auto& [at, listener] : world_.listeners_)
    if (listener->on_loop() == this)
      listener->forget_loop();
  std::erase_if(world_.listeners_, [](auto& each) { return each.second->on_loop() == nullptr; });
  for (std::size_t i = world_.endpoints_.size(); i-- > 0;)
    if (i < world_.endpoints_.size() && world_.endpoints_[i]->on_loop() == this)
      world_.endpoints_[i]->forget_loop();
  deferred_.clear();
  posted_.clear();
  world_.set_ready(*this, false);
  world_.graveyard_.clear();
  while (true) {
    auto left = std::find_if(world_.timers_.begin(), world_.timers_.end(),
                             [this](auto& each) { return each.second.on == this; });
    if (left == world_.timers_.end())
      break;
    timers_.disarm(*left->second.what);
  }
}

void sim_loop::set_client(net::loop_client* client) { client_ = client; }

void sim_loop::wake() noexcept {
  counters_.wakeups.fetch_add(1, std::memory_order_relaxed);
  world_.set_ready(*this, true);
}

void sim_loop::post(std::move_only_function<void()> what) {
  posted_.push_back(std::move(what));
  wake();
}

void sim_loop::defer(std::move_only_function<void()> what) {
  deferred_.push_back(std::move(what));
  world_.set_ready(*this, true);
}

void sim_loop::step() {
  world_.note("loop", 0, posted_.size());
  world_.set_ready(*this, false);
  stepped_ = true;
  auto batch = std::exchange(posted_, {});
  for (auto& what : batch)
    what();
  if (client_ != nullptr && client_->run_ready())
    world_.set_ready(*this, true);
}

void sim_loop::after_step() {
  counters_.iterations.fetch_add(1, std::memory_order_relaxed);
  auto batch = std::exchange(deferred_, {});
  for (auto& what : batch)
    what();
  // The step may have given work to the client without a wake(), as is right on the loop's own thread. When the step
  // was the client's own, it has said itself whether it has more.
  auto loop_stepped = std::exchange(stepped_, false);
  if (!deferred_.empty() || !posted_.empty() || (client_ != nullptr && (!loop_stepped || !batch.empty())))
    world_.set_ready(*this, true);
}

void sim_loop::run() {
  while (!stop_ && run_once(std::chrono::milliseconds{-1})) {
  }
}

bool sim_loop::run_once(std::chrono::milliseconds wait) {
  if (world_.run_once())
    return true;
  auto next = world_.next_deadline();
  auto limit = world_.clock().steady() + wait;
  if (next && (wait.count() < 0 || *next <= limit)) {
    world_.advance_to(*next);
    return world_.run_once();
  }
  if (wait.count() > 0)
    world_.advance_to(limit);
  return false;
}

result<std::unique_ptr<net::acceptor>> sim_loop::listen(const net::address& at, const net::listen_options&,
                                                        net::acceptor_handler& handler) {
  auto chosen = at.port() == 0 ? at.with_port(world_.free_port()) : at;
  if (world_.listeners_.contains(chosen))
    return std::unexpected{system_error(EADDRINUSE, fmt::format("cannot bind to {}", chosen.text()))};
  return std::make_unique<sim_acceptor>(world_, *this, chosen, handler);
}

result<std::unique_ptr<net::acceptor>> sim_loop::adopt_listener(int fd, const net::listen_options&,
                                                                net::acceptor_handler&) {
  ::close(fd);
  return std::unexpected{error{HEDWIG_E_UNSUPPORTED, "a simulated network has no descriptors", {}, 0}};
}

result<std::unique_ptr<net::stream>> sim_loop::connect(const net::address& to,
                                                       const std::optional<net::address>& source,
                                                       net::stream_handler& handler,
                                                       const net::connect_options& options) {
  if (source && source->family() != to.family())
    return std::unexpected{
        error{HEDWIG_E_INVALID, fmt::format("cannot connect to {} from {}", to.text(), source->text()), {}, 0}};
  auto local = source.value_or(to.is_v4() ? net::address::v4({127, 0, 0, 1}, 0) : *net::address::parse_ip("::1"));
  if (local.port() == 0)
    local = local.with_port(world_.free_port());
  auto& end = world_.keep(std::make_unique<endpoint>(world_, endpoint::phase::connecting, local, to));
  auto made = std::make_unique<sim_stream>(end);
  end.attempt_later(*this, handler, options.timeout);
  return made;
}

std::unique_ptr<net::stream> sim_loop::adopt(std::unique_ptr<net::connection> accepted, net::stream_handler& handler) {
  auto* ours = dynamic_cast<sim_connection*>(accepted.get());
  if (ours == nullptr)
    panic("a simulated loop was given a connection of another kind of network");
  auto& end = ours->take();
  auto made = std::make_unique<sim_stream>(end);
  end.adopt(*this, handler);
  return made;
}

sim_acceptor::sim_acceptor(sim_world& world, sim_loop& on, const net::address& at, net::acceptor_handler& handler)
  : world_{world}, on_{&on}, local_{at}, handler_{handler} {
  world_.listeners_.emplace(at, this);
  on_->counts().acceptors_open.fetch_add(1, std::memory_order_relaxed);
}

sim_acceptor::~sim_acceptor() {
  if (on_ == nullptr)
    return;
  world_.listeners_.erase(local_);
  forget_loop();
}

void sim_acceptor::forget_loop() noexcept {
  world_.set_ready(*this, false);
  on_->counts().acceptors_open.fetch_sub(1, std::memory_order_relaxed);
  on_ = nullptr;
  for (auto* each : std::exchange(backlog_, {})) {
    each->backlog_ = nullptr;
    each->abort();
  }
}

void sim_acceptor::pause() {
  paused_ = true;
  update();
}

void sim_acceptor::resume() {
  paused_ = false;
  update();
}

void sim_acceptor::update() {
  if (on_ != nullptr)
    world_.set_ready(*this, !paused_ && !backlog_.empty());
}

void sim_acceptor::enqueue(endpoint& fresh) {
  fresh.backlog_ = this;
  backlog_.push_back(&fresh);
  update();
}

void sim_acceptor::withdraw(endpoint& gone) {
  std::erase(backlog_, &gone);
  update();
}

void sim_acceptor::step() {
  auto& fresh = *backlog_.front();
  backlog_.pop_front();
  fresh.backlog_ = nullptr;
  update();
  world_.note("accept", fresh.id_, 0);
  on_->counts().accepted.fetch_add(1, std::memory_order_relaxed);
  handler_.on_connection(std::make_unique<sim_connection>(fresh));
}

} // namespace hedwig::sim
