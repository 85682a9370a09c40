// SPDX-License-Identifier: Apache-2.0
// What may happen next to one end of a simulated connection, and what it does.
#include "tests/sim/network/sim_stream.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace hedwig::sim {

namespace {

/// What a slow connection delivers at a time, at most.
constexpr std::uint64_t slow_bytes = 32;
/// Smaller windows cost many steps and find nothing: what arrives is cut anywhere in any case.
constexpr std::size_t window_min = 64;

} // namespace

bool endpoint::reads() const noexcept {
  return live() && !paused_ && !choked_ && leftover_.size() < loop_->limits().leftover_max;
}

endpoint::moves endpoint::possible() const noexcept {
  moves out;
  if (report_due_) {
    out.add(move::report);
    return out;
  }
  if (loop_ == nullptr || phase_ == phase::over)
    return out;
  if (phase_ == phase::connecting) {
    if (!unanswered_)
      out.add(move::attempt);
    return out;
  }
  if (reset_in_)
    out.add(move::reset);
  if (phase_ != phase::open) {
    if (phase_ == phase::closing ? out_.empty() : fin_in_)
      out.add(move::finish);
    return out;
  }
  if (drained_due_ && writable())
    out.add(move::drained);
  if (tls_started_ && !tls_up_) {
    add_tls_moves(out);
    return out;
  }
  if (reads() && reoffer_ && !leftover_.empty())
    out.add(move::reoffer);
  if (reads() && !in_.empty() && !resting_)
    out.add(move::deliver);
  if (reads() && in_.empty() && fin_in_ && !end_told_)
    out.add(move::fin);
  return out;
}

void endpoint::add_tls_moves(moves& out) const noexcept {
  // Before the first end is up, what is under way was sent in clear.
  if (!link_->tls_done && !in_.empty())
    out.add(move::tls_broken);
  else if (link_->tls_done || (peer_ != nullptr && peer_->tls_started_ && peer_->in_.empty() && clear_out_ == 0 &&
                               peer_->clear_out_ == 0 && !link_->silent))
    out.add(move::tls_up);
  else if (fin_in_)
    out.add(move::tls_broken);
}

void endpoint::update() { world_.set_ready(*this, possible().count > 0); }

void endpoint::step() {
  auto choice = possible();
  auto what = choice.list[world_.random(choice.count)];
  if (what != move::deliver) // it notes how much
    world_.note("move", id_, static_cast<std::uint64_t>(what));
  take(what);
  // What the owner is told never comes before its next step, so that the state is looked at once, here.
  if (what != move::report) {
    transfer();
    update();
  }
  if (peer_ != nullptr)
    peer_->update();
}

void endpoint::take(move what) {
  switch (what) {
  case move::report:
    return report();
  case move::attempt:
    return attempt();
  case move::reset:
    return finish(phase_ == phase::finishing ? std::optional<error>{}
                                             : failure(HEDWIG_E_IO, ECONNRESET, "lost the connection to"),
                  false);
  case move::drained:
    drained_due_ = false;
    return handler_->on_drained();
  case move::tls_up:
    return tls_up();
  case move::tls_broken:
    loop_->counts().tls_failures.fetch_add(1, std::memory_order_relaxed);
    return finish(failure(HEDWIG_E_IO, 0, "TLS handshake failed: the peer spoke clear text or left"), true);
  case move::reoffer:
    return offer(std::exchange(leftover_, {}));
  case move::deliver:
    return deliver();
  case move::fin:
    end_told_ = true;
    return handler_->on_end();
  case move::finish:
    if (phase_ == phase::finishing)
      return finish({}, false);
    phase_ = phase::finishing;
    if (peer_ != nullptr && !link_->silent)
      peer_->fin_in_ = true;
    return;
  }
}

void endpoint::attempt() {
  deadline_.reset();
  auto* listener = world_.find_listener(peer_address_);
  if (listener == nullptr || world_.chance(world_.faults().refused)) {
    loop_->counts().connect_errors.fetch_add(1, std::memory_order_relaxed);
    return finish(failure(HEDWIG_E_UNAVAILABLE, ECONNREFUSED, "cannot connect to"), false);
  }
  make_link();
  phase_ = phase::open;
  auto& other = world_.keep(std::make_unique<endpoint>(world_, phase::waiting, peer_address_, local_));
  other.peer_ = this;
  other.link_ = link_;
  peer_ = &other;
  listener->enqueue(other);
  handler_->on_connected();
}

void endpoint::make_link() {
  auto& faults = world_.faults();
  // Of every size alike: windows of a few bytes find as much as those of many.
  auto log_uniform = [&](std::uint64_t most) {
    auto bits = static_cast<unsigned>(std::bit_width(std::max<std::uint64_t>(most, 1)));
    return std::min<std::uint64_t>(world_.random(std::uint64_t{1} << (1 + world_.random(bits))), most);
  };
  link_ = std::make_shared<link>();
  link_->window = std::min(std::max<std::size_t>(log_uniform(world_.window_max_), window_min), world_.window_max_);
  link_->slow = world_.chance(faults.slow);
  if (world_.chance(faults.cut))
    link_->cut_at = log_uniform(faults.cut_within);
}

void endpoint::deliver() {
  // All of it as often as a part.
  auto count = world_.random(2) == 0 ? in_.size() : 1 + static_cast<std::size_t>(world_.random(in_.size()));
  if (link_->slow)
    count = std::min<std::size_t>(count, 1 + static_cast<std::size_t>(world_.random(slow_bytes)));
  bool cut_now = link_->cut_at && link_->carried + count >= *link_->cut_at;
  if (cut_now)
    count = static_cast<std::size_t>(*link_->cut_at - std::min(link_->carried, *link_->cut_at));
  link_->carried += count;
  world_.note("bytes", id_, count);
  loop_->counts().bytes_in.fetch_add(count, std::memory_order_relaxed);
  auto data = leftover_ + in_.substr(0, count);
  in_.erase(0, count);
  leftover_.clear();
  if (link_->slow && !rest_)
    rest_ = std::make_unique<net::timer>(loop_->own_timers(), [this] {
      resting_ = false;
      update();
    });
  if (link_->slow) {
    resting_ = true;
    rest_->start(
        std::chrono::nanoseconds{world_.random(static_cast<std::uint64_t>(world_.faults().slow_gap.count()) + 1)});
  }
  if (peer_ != nullptr)
    peer_->transfer(); // there is room in the window
  auto shared = link_;
  if (count > 0)
    offer(std::move(data));
  if (cut_now && std::exchange(shared->cut_at, {}))
    cut();
}

void endpoint::offer(std::string data) {
  bool was_clear = !tls_started_;
  reoffer_ = false;
  auto used = handler_->on_data(data);
  if (!live())
    return;
  if (used > data.size())
    panic("a stream's handler consumed more than it was offered");
  if (was_clear && tls_started_)
    return; // RFC 3207, section 4.2
  leftover_ = data.substr(used);
}

void endpoint::tls_up() {
  if (!link_->tls_done && world_.chance(world_.faults().tls_failed)) {
    loop_->counts().tls_failures.fetch_add(1, std::memory_order_relaxed);
    return finish(failure(HEDWIG_E_IO, 0, "TLS handshake failed: a fault of the simulation"), true);
  }
  // The draw of the first end holds for both.
  if (!std::exchange(link_->tls_done, true)) {
    auto& client = tls_.role == net::tls_role::client ? *this : *peer_;
    client.tls_.peer_verified = world_.chance(world_.faults().tls_verified);
    auto& server = &client == this ? *peer_ : *this;
    server.tls_.server_name = client.tls_.server_name;
  }
  tls_up_ = true;
  tls_.version = "TLSv1.3";
  tls_.cipher = "TLS_AES_256_GCM_SHA384";
  tls_.cipher_bits = 256;
  loop_->counts().tls_handshakes.fetch_add(1, std::memory_order_relaxed);
  handler_->on_tls(tls_);
}

/// The connection ends for both, each in its own way.
void endpoint::cut() {
  ++world_.cuts_;
  auto kind = world_.random(4);
  world_.note("cut", id_, kind);
  if (kind == 0)
    link_->silent = true; // and the owners' timers find out
  for (auto* end : {this, peer_}) {
    if (end == nullptr || end->phase_ == phase::over)
      continue;
    if (kind >= 2) {
      end->receive_reset();
      continue;
    }
    end->lose_in_flight();
    end->out_.clear();
    end->clear_out_ = end->referenced_out_ = 0;
    if (kind == 1)
      end->fin_in_ = true;
    end->update();
  }
  if (kind == 1)
    link_->silent = true;
}

} // namespace hedwig::sim
