// SPDX-License-Identifier: Apache-2.0
// The way out of a stream: queues, encryption, the socket.
#include "runtime/net/epoll_stream.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hedwig::net {

namespace {

/// Encrypted bytes that wait for the socket; more is encrypted once they are fewer.
constexpr std::size_t encrypted_max = 64 * 1024;
constexpr std::size_t pieces_max = 64;

} // namespace

std::size_t stream_core::pending_output() const noexcept { return wire_.size() + (tls_ ? tls_->clear.size() : 0); }

std::size_t stream_core::copied_output() const noexcept { return wire_.copied() + (tls_ ? tls_->clear.copied() : 0); }

bool stream_core::writable() const noexcept { return accepts_output() && pending_output() < limits().low_water; }

bool stream_core::accepts_output() const noexcept {
  return (phase_ == phase::open || phase_ == phase::connecting) && !report_due_ && write_status_ == 0;
}

void stream_core::mark_dirty() {
  if (flush_listed_ || phase_ == phase::over)
    return;
  flush_listed_ = true;
  loop_.request_flush(*this);
}

void stream_core::flush_listed() {
  flush_listed_ = false;
  send_output();
}

void stream_core::write(std::string_view text) {
  if (!accepts_output())
    return;
  (tls_ ? tls_->clear : wire_).append(text);
  after_write();
}

void stream_core::write(slice part) {
  if (!accepts_output())
    return;
  (tls_ ? tls_->clear : wire_).append(std::move(part));
  after_write();
}

void stream_core::after_write() {
  mark_dirty();
  if (pending_output() >= limits().low_water)
    unwritable_ = true;
  if (copied_output() <= limits().output_max)
    return;
  choked_ = true;
  if (copied_output() > limits().output_refuse)
    send_output();
  if (copied_output() > limits().output_refuse) {
    loop_.counts().output_refused.fetch_add(1, std::memory_order_relaxed);
    set_reset_on_close(socket_.get());
    return finish(error{HEDWIG_E_BUSY, fmt::format("the peer does not take its {} bytes of output", pending_output()),
                        peer_.text(), 0});
  }
  update_interest();
}

void stream_core::encrypt() {
  if (!tls_ || !tls_->up)
    return;
  auto& clear = tls_->clear;
  while (!clear.empty() && wire_.size() < encrypted_max && !tls_->session.failure()) {
    auto piece = clear.front().substr(0, tls_session::record_max);
    tls_->session.write(piece);
    clear.consume(piece.size());
  }
  if (phase_ == phase::closing && clear.empty() && !std::exchange(tls_->goodbye_said, true))
    tls_->session.shut_down();
}

void stream_core::send_output() {
  if (phase_ == phase::over || phase_ == phase::connecting || write_status_ != 0)
    return;
  while (!blocked_) {
    encrypt();
    if (wire_.empty())
      break;
    if (!send_some())
      return;
  }
  after_output();
}

/// False when the connection takes nothing any more.
bool stream_core::send_some() {
  std::array<iovec, pieces_max> pieces;
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = wire_.gather(pieces);
  std::size_t size = 0;
  for (auto& piece : std::span{pieces}.first(message.msg_iovlen))
    size += piece.iov_len;
  auto count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count < 0) {
    if (errno == EINTR)
      return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS)
      return output_failed(errno), false;
    blocked_ = true;
    return true;
  }
  loop_.counts().bytes_out.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
  wire_.consume(static_cast<std::size_t>(count));
  blocked_ = static_cast<std::size_t>(count) < size;
  return true;
}

void stream_core::output_failed(int status) {
  write_status_ = status;
  wire_.clear();
  if (tls_)
    tls_->clear.clear();
  want_attention();
}

/// A server that turns us away in the middle of our data says why before it resets: its reply may lie in our kernel.
void stream_core::hear_last_words() {
  constexpr int reads_max = 16;
  for (int i = 0; i < reads_max && !eof_ && may_offer() && !handshaking(); ++i)
    receive();
  finish(failure(write_status_, "lost the connection to"));
}

void stream_core::after_output() {
  if (choked_ && copied_output() < limits().low_water) {
    choked_ = false;
    reoffer_ = true;
    want_attention();
  }
  if (unwritable_ && pending_output() < limits().low_water) {
    unwritable_ = false;
    drained_due_ = true;
    want_attention();
  }
  if (phase_ == phase::closing && pending_output() == 0) {
    ::shutdown(socket_.get(), SHUT_WR);
    phase_ = phase::finishing;
    if (eof_)
      return finish({});
  }
  update_interest();
}

} // namespace hedwig::net
