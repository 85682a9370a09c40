// SPDX-License-Identifier: Apache-2.0
// The life of a stream and its input; stream_output.cpp has the way out.
#include "runtime/net/epoll_stream.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hedwig::net {

namespace {

/// After a failed handshake: enough for the alert to arrive.
constexpr std::chrono::seconds alert_linger{2};

} // namespace

stream_core::stream_core(epoll_loop& on, descriptor socket, const address& peer, stream_handler& handler,
                         bool connecting)
  : event_sink{on}, socket_{std::move(socket)}, phase_{connecting ? phase::connecting : phase::open},
    handler_{&handler}, peer_{peer} {
  loop_.counts().streams_open.fetch_add(1, std::memory_order_relaxed);
  loop_.counts().streams_total.fetch_add(1, std::memory_order_relaxed);
}

stream_core::~stream_core() = default;

void stream_core::start(std::chrono::nanoseconds connect_timeout) {
  interest_ = phase_ == phase::connecting ? EPOLLOUT : EPOLLIN;
  if (phase_ == phase::connecting)
    arm_deadline(connect_timeout);
  if (auto watched = loop_.watch(socket_.get(), *this, interest_); !watched)
    finish(watched.error());
}

error stream_core::failure(int status, std::string_view what) const {
  return system_error(status, fmt::format("{} {}", what, peer_.text()));
}

bool stream_core::may_offer() const noexcept {
  return live() && !paused_ && !choked_ && leftover_.size() < limits().leftover_max;
}

bool stream_core::wants_input() const noexcept {
  if (eof_)
    return false;
  if (phase_ == phase::closing || phase_ == phase::finishing)
    return true;
  return handshaking() ? live() && !tls_->stands_in_line() : may_offer();
}

void stream_core::update_interest() {
  if (phase_ == phase::over || phase_ == phase::connecting)
    return;
  auto wanted = (wants_input() ? std::uint32_t{EPOLLIN} : 0u) | (blocked_ ? std::uint32_t{EPOLLOUT} : 0u);
  if (wanted == interest_)
    return;
  interest_ = wanted;
  loop_.change(socket_.get(), *this, wanted);
}

void stream_core::want_attention() {
  if (attention_listed_)
    return;
  attention_listed_ = true;
  loop_.request_attention(*this);
}

void stream_core::on_events(std::uint32_t events) {
  if (phase_ == phase::over)
    return;
  if (phase_ == phase::connecting)
    return finish_connect();
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    send_output();
  }
  if (phase_ == phase::over || write_status_ != 0)
    return;
  if (wants_input())
    receive();
  else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    auto status = pending_error(socket_.get());
    finish(failure(status != 0 ? status : ECONNRESET, "lost the connection to"));
  }
}

void stream_core::finish_connect() {
  if (auto status = pending_error(socket_.get()); status != 0) {
    loop_.counts().connect_errors.fetch_add(1, std::memory_order_relaxed);
    return finish(failure(status, "cannot connect to"));
  }
  phase_ = phase::open;
  deadline_->cancel();
  if (handle_ != nullptr)
    handle_->set_local(local());
  update_interest();
  if (handler_ != nullptr)
    handler_->on_connected();
  if (phase_ == phase::over)
    return;
  if (tls_)
    want_attention();
  mark_dirty();
}

void stream_core::receive() {
  if (phase_ == phase::closing || phase_ == phase::finishing)
    discard_input();
  else if (tls_)
    receive_tls();
  else
    receive_clear();
  update_interest();
}

/// 0: nothing to work on; the end and errors are dealt with.
std::size_t stream_core::read_socket(char* into, std::size_t size) {
  auto count = ::recv(socket_.get(), into, size, MSG_DONTWAIT);
  if (count > 0) {
    loop_.counts().bytes_in.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    return static_cast<std::size_t>(count);
  }
  if (count == 0)
    on_fin();
  else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    // While finishing everything was sent, and a peer that resets instead of closing has it as far as we can know.
    auto status = errno;
    finish(phase_ == phase::finishing ? std::optional<error>{} : failure(status, "lost the connection to"));
  }
  return 0;
}

void stream_core::discard_input() {
  auto room = loop_.wire_buffer();
  (void)read_socket(room.data(), room.size());
}

void stream_core::on_fin() {
  eof_ = true;
  if (write_status_ != 0)
    return;
  if (phase_ == phase::finishing)
    return finish({});
  if (phase_ == phase::closing)
    return;
  if (handshaking()) {
    loop_.counts().tls_failures.fetch_add(1, std::memory_order_relaxed);
    return finish(error{HEDWIG_E_IO, "TLS handshake failed: the peer closed the connection", peer_.text(), 0});
  }
  if (live())
    handler_->on_end();
}

void stream_core::receive_clear() {
  auto room = loop_.clear_buffer();
  auto kept = leftover_.size();
  std::memcpy(room.data(), leftover_.data(), kept);
  if (auto count = read_socket(room.data() + kept, room.size() - kept); count > 0)
    offer({room.data(), kept + count});
}

void stream_core::receive_tls() {
  auto room = loop_.wire_buffer();
  auto count = read_socket(room.data(), room.size());
  if (count == 0 || !live())
    return;
  tls_->session.feed({room.data(), count});
  process_tls();
}

/// `data` must not lie in leftover_.
void stream_core::offer(std::string_view data) {
  constexpr std::size_t kept_capacity = 512;
  bool was_clear = tls_ == nullptr;
  reoffer_ = false;
  auto used = handler_->on_data(data);
  if (!live()) {
    leftover_.clear();
    return;
  }
  if (used > data.size())
    panic("a stream's handler consumed more than it was offered");
  auto rest = data.substr(used);
  if (was_clear && tls_) {
    if (std::exchange(tls_->takes_rest, false)) {
      tls_->session.feed(rest);
      tls_->session.keep_rest();
    }
    // RFC 3207, section 4.2: what came in clear behind the command that starts TLS is not looked at.
    rest = {};
  }
  leftover_.assign(rest);
  if (leftover_.empty() && leftover_.capacity() > kept_capacity)
    leftover_.shrink_to_fit();
}

void stream_core::offer_leftover() {
  reoffer_ = false;
  if (leftover_.empty())
    return;
  auto room = loop_.clear_buffer();
  std::memcpy(room.data(), leftover_.data(), leftover_.size());
  offer({room.data(), leftover_.size()});
}

void stream_core::attend() {
  attention_listed_ = false;
  if (report_due_)
    return report();
  if (write_status_ != 0)
    return hear_last_words();
  if (std::exchange(drained_due_, false) && live() && writable())
    handler_->on_drained();
  if (!live())
    return;
  if (reoffer_ && !paused_ && !choked_)
    offer_leftover();
  if (tls_ && live())
    process_tls();
  update_interest();
}

void stream_core::process_tls() {
  if (!handshaking() || continue_handshake())
    decrypt();
  // The memory that was fed is the loop's, and the next stream's soon.
  tls_->session.keep_rest();
  if (!wire_.empty())
    mark_dirty();
}

/// Whoever only connects and says nothing takes nobody's place.
bool stream_core::may_shake_hands() {
  auto& lane = tls_->session.context().handshakes();
  if (!lane || tls_->stands_in_line() || tls_->pass)
    return !tls_->stands_in_line();
  if (!tls_->session.has_input())
    return false;
  tls_->waits = std::make_shared<stream_core*>(this);
  tls_->pass = handshake_gate::lane::enter(lane, [loop = &loop_, waits = tls_->waits] {
    loop->post([waits] {
      if (*waits != nullptr)
        (*waits)->want_attention();
    });
  });
  if (tls_->pass)
    return tls_->pass->running();
  loop_.counts().tls_failures.fetch_add(1, std::memory_order_relaxed);
  abort_with(error{HEDWIG_E_BUSY, "TLS handshake refused: too many wait for their turn", peer_.text(), 0});
  return false;
}

/// True when the connection is protected and goes on.
bool stream_core::continue_handshake() {
  if (!may_shake_hands())
    return false;
  switch (tls_->session.handshake()) {
  case tls_session::progress::more_input:
    return false;
  case tls_session::progress::failed:
    loop_.counts().tls_failures.fetch_add(1, std::memory_order_relaxed);
    tls_failed();
    return false;
  case tls_session::progress::done:
    break;
  }
  tls_->up = true;
  tls_->leave_line();
  tls_->info = tls_->session.info();
  loop_.counts().tls_handshakes.fetch_add(1, std::memory_order_relaxed);
  mark_dirty();
  handler_->on_tls(tls_->info);
  return live();
}

void stream_core::decrypt() {
  auto& session = tls_->session;
  auto room = loop_.clear_buffer();
  while (may_offer()) {
    auto size = leftover_.size();
    std::memcpy(room.data(), leftover_.data(), size);
    auto kept = size;
    while (size < room.size()) {
      auto count = session.read(room.subspan(size));
      if (count == 0)
        break;
      size += count;
    }
    if (size == kept)
      break;
    offer({room.data(), size});
  }
  if (!live())
    return;
  if (session.failure())
    tls_failed();
  else if (session.ended() && !eof_)
    on_fin();
}

void stream_core::tls_failed() {
  auto reason = *tls_->session.failure();
  reason.where = peer_.text();
  report_later(std::move(reason));
  tls_->clear.clear();
  tls_->goodbye_said = true; // the alert was it
  begin_close(alert_linger);
}

void stream_core::set_paused(bool paused) {
  paused_ = paused;
  if (!paused) {
    reoffer_ = true;
    want_attention();
  }
  update_interest();
}

void stream_core::start_tls(std::shared_ptr<const tls_context> context, tls_role role, std::string_view server_name) {
  if (!live() && phase_ != phase::connecting)
    return;
  if (tls_ || !context || context->role() != role)
    panic("TLS is started twice, or with a context of the other role");
  leftover_.clear();
  auto cache_key = fmt::format("{}|{}", server_name, peer_.text());
  tls_ = std::make_unique<tls_part>(std::move(context), server_name, std::move(cache_key), wire_);
  want_attention();
  update_interest();
}

void stream_core::start_tls_behind(std::shared_ptr<const tls_context> context) {
  start_tls(std::move(context), tls_role::server, {});
  if (tls_)
    tls_->takes_rest = true;
}

void stream_core::close() {
  if (phase_ == phase::connecting)
    finish({});
  else if (phase_ == phase::open)
    begin_close(limits().linger);
}

void stream_core::abort() { abort_with({}); }

void stream_core::abort_with(std::optional<error> reason) {
  if (phase_ == phase::over)
    return;
  set_reset_on_close(socket_.get());
  finish(std::move(reason));
}

void stream_core::begin_close(std::chrono::nanoseconds linger) {
  phase_ = phase::closing;
  leftover_.clear();
  if (tls_)
    tls_->leave_line();
  if (handshaking())
    tls_->clear.clear(); // can never be sent
  arm_deadline(linger);
  mark_dirty();
  update_interest();
}

void stream_core::leave() {
  handler_ = nullptr;
  handle_ = nullptr;
  report_due_ = false;
  if (phase_ == phase::over)
    loop_.bury(*this);
  else if (phase_ == phase::connecting || phase_ == phase::open)
    finish({});
}

void stream_core::finish(std::optional<error> reason) {
  if (phase_ == phase::over)
    return;
  phase_ = phase::over;
  loop_.unwatch(socket_.get());
  socket_.reset();
  loop_.counts().streams_open.fetch_sub(1, std::memory_order_relaxed);
  if (deadline_)
    deadline_->cancel();
  wire_.clear();
  leftover_.clear();
  if (tls_) {
    tls_->leave_line();
    tls_->clear.clear();
  }
  if (handler_ == nullptr)
    loop_.bury(*this);
  else
    report_later(std::move(reason));
}

void stream_core::report_later(std::optional<error> reason) {
  if (report_due_)
    return;
  report_due_ = true;
  reason_ = std::move(reason);
  want_attention();
}

void stream_core::report() {
  report_due_ = false;
  auto* handler = std::exchange(handler_, nullptr);
  if (handle_ != nullptr)
    std::exchange(handle_, nullptr)->forget_core();
  if (phase_ == phase::over)
    loop_.bury(*this);
  if (handler != nullptr)
    handler->on_closed(std::move(reason_));
}

void stream_core::arm_deadline(std::chrono::nanoseconds delay) {
  if (!deadline_)
    deadline_ = std::make_unique<timer>(loop_, [this] { on_deadline(); });
  deadline_->start(delay);
}

void stream_core::on_deadline() {
  if (phase_ == phase::connecting) {
    loop_.counts().connect_errors.fetch_add(1, std::memory_order_relaxed);
    return finish(failure(ETIMEDOUT, "cannot connect to"));
  }
  loop_.counts().linger_timeouts.fetch_add(1, std::memory_order_relaxed);
  if (phase_ == phase::finishing)
    return finish({});
  auto left = pending_output();
  set_reset_on_close(socket_.get());
  finish(error{HEDWIG_E_TIMEOUT, fmt::format("the peer did not take the last {} bytes", left), peer_.text(), 0});
}

void stream_core::on_loop_end() noexcept {
  if (handle_ != nullptr)
    handle_->forget_core();
}

} // namespace hedwig::net
