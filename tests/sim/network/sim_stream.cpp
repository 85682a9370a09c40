// SPDX-License-Identifier: Apache-2.0
// The life of a simulated connection: how it comes about, how it ends, what its owner asks for. sim_moves.cpp has the
// steps.
#include "tests/sim/network/sim_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace hedwig::sim {

endpoint::endpoint(sim_world& world, phase at, const net::address& local, const net::address& peer)
  : world_{world}, id_{++world.next_id_}, phase_{at}, local_{local}, peer_address_{peer} {}

error endpoint::failure(hedwig_status status, int os_errno, std::string_view what) const {
  if (os_errno != 0)
    return system_error(os_errno, fmt::format("{} {}", what, peer_address_.text()));
  return {status, std::string{what}, peer_address_.text(), 0};
}

void endpoint::attempt_later(sim_loop& on, net::stream_handler& handler, std::chrono::nanoseconds timeout) {
  loop_ = &on;
  handler_ = &handler;
  unanswered_ = world_.chance(world_.faults().unanswered);
  on.counts().streams_open.fetch_add(1, std::memory_order_relaxed);
  on.counts().streams_total.fetch_add(1, std::memory_order_relaxed);
  arm_deadline(timeout);
  update();
}

void endpoint::adopt(sim_loop& on, net::stream_handler& handler) {
  loop_ = &on;
  handler_ = &handler;
  on.counts().streams_open.fetch_add(1, std::memory_order_relaxed);
  on.counts().streams_total.fetch_add(1, std::memory_order_relaxed);
  if (phase_ == phase::waiting)
    phase_ = phase::open;
  update();
}

bool endpoint::accepts_output() const noexcept {
  return (phase_ == phase::connecting || phase_ == phase::open) && !report_due_;
}

bool endpoint::writable() const noexcept { return accepts_output() && out_.size() < loop_->limits().low_water; }

void endpoint::write(std::string_view text, bool copied) {
  if (!accepts_output())
    return;
  if (world_.on_write)
    world_.on_write(local_, text);
  out_.append(text);
  if (!tls_started_)
    clear_out_ += text.size();
  if (!copied)
    referenced_out_ += text.size();
  transfer();
  auto& limits = loop_->limits();
  unwritable_ = unwritable_ || out_.size() >= limits.low_water;
  auto copies = out_.size() - std::min(out_.size(), referenced_out_);
  choked_ = choked_ || copies > limits.output_max;
  if (copies > limits.output_refuse) {
    loop_->counts().output_refused.fetch_add(1, std::memory_order_relaxed);
    finish(failure(HEDWIG_E_BUSY, 0, "the peer does not take its output"), true);
  }
  update();
}

/// Puts on the way what the window takes.
void endpoint::transfer() {
  if (phase_ == phase::connecting || phase_ == phase::over || !link_ || link_->silent || out_.empty())
    return;
  if (peer_ == nullptr || peer_->phase_ == phase::over) {
    out_.clear();
    clear_out_ = referenced_out_ = 0;
    reset_in_ = true; // nobody is there: the answer is a reset
    return;
  }
  auto may_go = tls_started_ && !tls_up_ ? clear_out_ : out_.size();
  // Who is closing reads on without looking.
  bool discards = peer_->phase_ == phase::closing || peer_->phase_ == phase::finishing;
  auto room = discards ? may_go : link_->window - std::min(link_->window, peer_->in_.size());
  auto count = std::min(may_go, room);
  if (count == 0)
    return;
  if (!discards)
    peer_->in_.append(out_, 0, count);
  out_.erase(0, count);
  clear_out_ -= std::min(clear_out_, count);
  referenced_out_ -= std::min(referenced_out_, count);
  if (loop_ != nullptr)
    loop_->counts().bytes_out.fetch_add(count, std::memory_order_relaxed);
  after_transfer();
  update();
  peer_->update();
}

void endpoint::after_transfer() {
  if (loop_ == nullptr)
    return;
  auto low_water = loop_->limits().low_water;
  if (choked_ && out_.size() - std::min(out_.size(), referenced_out_) < low_water)
    choked_ = false, reoffer_ = true;
  if (unwritable_ && out_.size() < low_water)
    unwritable_ = false, drained_due_ = true;
}

void endpoint::set_paused(bool paused) {
  paused_ = paused;
  reoffer_ = reoffer_ || !paused;
  update();
}

void endpoint::start_tls(net::tls_role role, std::string_view server_name) {
  if (!accepts_output())
    return;
  if (tls_started_)
    panic("TLS is started twice");
  tls_started_ = true;
  tls_.role = role;
  tls_.server_name = server_name;
  leftover_.clear();
  update();
  if (peer_ != nullptr)
    peer_->update();
}

void endpoint::close() {
  if (phase_ == phase::connecting)
    finish({}, true);
  else if (phase_ == phase::open)
    begin_close(loop_->limits().linger);
  update();
}

void endpoint::abort() {
  finish({}, true);
  update();
}

void endpoint::begin_close(std::chrono::nanoseconds linger) {
  phase_ = phase::closing;
  leftover_.clear();
  in_.clear(); // read and not looked at
  if (peer_ != nullptr)
    peer_->transfer();
  if (tls_started_ && !tls_up_)
    out_.resize(clear_out_); // the rest can never be sent
  arm_deadline(linger);
  transfer();
}

void endpoint::leave() {
  handler_ = nullptr;
  handle_ = nullptr;
  report_due_ = false;
  if (backlog_ != nullptr)
    std::exchange(backlog_, nullptr)->withdraw(*this);
  if (phase_ == phase::over)
    return world_.bury(*this);
  if (phase_ == phase::connecting || phase_ == phase::waiting || phase_ == phase::open)
    finish({}, !in_.empty()); // the kernel resets where input was not read
  update();
}

/// Bytes under way may still arrive, or not: a reset overtakes them.
void endpoint::lose_in_flight() { in_.resize(world_.random(in_.size() + 1)); }

void endpoint::receive_reset() {
  if (phase_ == phase::connecting || phase_ == phase::over)
    return;
  out_.clear();
  clear_out_ = referenced_out_ = 0;
  lose_in_flight();
  reset_in_ = true;
  update();
}

void endpoint::finish(std::optional<error> reason, bool with_reset) {
  if (phase_ == phase::over)
    return;
  bool said_fin = phase_ == phase::finishing;
  phase_ = phase::over;
  --world_.open_;
  if (loop_ != nullptr)
    loop_->counts().streams_open.fetch_sub(1, std::memory_order_relaxed);
  deadline_.reset();
  rest_.reset();
  in_.clear();
  out_.clear();
  leftover_.clear();
  if (peer_ != nullptr && link_ && !link_->silent) {
    if (with_reset)
      peer_->receive_reset();
    else if (!said_fin && !reset_in_)
      peer_->fin_in_ = true;
    peer_->transfer();
    peer_->update();
  }
  if (handler_ != nullptr)
    report_later(std::move(reason));
  else if (backlog_ == nullptr)
    world_.bury(*this);
}

void endpoint::report_later(std::optional<error> reason) {
  if (report_due_)
    return;
  report_due_ = true;
  reason_ = std::move(reason);
}

void endpoint::report() {
  report_due_ = false;
  auto* handler = std::exchange(handler_, nullptr);
  if (handle_ != nullptr)
    std::exchange(handle_, nullptr)->forget();
  if (phase_ == phase::over)
    world_.bury(*this);
  handler->on_closed(std::move(reason_));
}

void endpoint::arm_deadline(std::chrono::nanoseconds delay) {
  deadline_ = std::make_unique<net::timer>(loop_->own_timers(), [this] { on_deadline(); });
  deadline_->start(delay);
}

void endpoint::on_deadline() {
  if (phase_ == phase::connecting)
    finish(failure(HEDWIG_E_TIMEOUT, ETIMEDOUT, "cannot connect to"), true);
  else if (phase_ == phase::finishing)
    finish({}, false);
  else
    finish(failure(HEDWIG_E_TIMEOUT, 0, "the peer did not take the last bytes"), true);
  update();
}

void endpoint::forget_loop() {
  if (handle_ != nullptr)
    std::exchange(handle_, nullptr)->forget();
  handler_ = nullptr;
  report_due_ = false;
  if (phase_ == phase::over)
    world_.bury(*this);
  else
    finish({}, true);
  loop_ = nullptr;
}

void endpoint::refuse(std::string_view text) {
  in_.clear();
  if (peer_ != nullptr && peer_->phase_ != phase::over && !link_->silent && !reset_in_)
    peer_->in_.append(text);
  leave();
}

void sim_connection::refuse(std::string_view text) {
  if (end_ == nullptr)
    return;
  // One attempt, then FIN, whatever came in.
  auto& end = *std::exchange(end_, nullptr);
  end.refuse(text);
}

} // namespace hedwig::sim
