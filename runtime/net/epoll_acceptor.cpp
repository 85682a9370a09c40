// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/epoll_acceptor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>

namespace hedwig::net {

namespace {

class epoll_acceptor;

/// Owned by the loop; its handle is the acceptor of the owner.
class acceptor_core final : public event_sink {
public:
  acceptor_core(epoll_loop& on, descriptor socket, const listen_options& options, acceptor_handler& handler,
                const address& local)
    : event_sink{on}, socket_{std::move(socket)}, options_{options}, handler_{&handler}, local_{local},
      wildcard_{local.is_unspecified()}, rest_{on, [this] { end_rest(); }} {
    loop_.counts().acceptors_open.fetch_add(1, std::memory_order_relaxed);
  }

  [[nodiscard]] result<void> start() { return loop_.watch(socket_.get(), *this, EPOLLIN); }

  void on_events(std::uint32_t) override {
    for (int i = 0; i < options_.accepts_per_event && handler_ != nullptr && !paused_ && !resting_; ++i)
      if (!accept_one())
        return;
  }

  void on_loop_end() noexcept override;

  void set_paused(bool paused) {
    paused_ = paused;
    update();
  }
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  void leave() {
    handler_ = nullptr;
    handle_ = nullptr;
    rest_.cancel();
    loop_.unwatch(socket_.get());
    socket_.reset();
    loop_.counts().acceptors_open.fetch_sub(1, std::memory_order_relaxed);
    loop_.bury(*this);
  }

  epoll_acceptor* handle_ = nullptr;

private:
  /// False: no more for now.
  bool accept_one() {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    descriptor fresh{::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&raw), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!fresh)
      return failed(errno);
    auto peer = address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
    if (!peer)
      return true;
    loop_.counts().accepted.fetch_add(1, std::memory_order_relaxed);
    auto local = wildcard_ ? local_address(fresh.get()) : local_;
    handler_->on_connection(std::make_unique<socket_connection>(std::move(fresh), *peer, local));
    return true;
  }

  bool failed(int status) {
    if (status == EMFILE || status == ENFILE || status == ENOBUFS || status == ENOMEM) {
      // The connection stays in the backlog and the socket readable: without a rest the loop would spin.
      loop_.counts().accept_errors.fetch_add(1, std::memory_order_relaxed);
      resting_ = true;
      rest_.start(options_.exhausted_pause);
      update();
      handler_->on_exhausted(system_error(status, fmt::format("cannot accept on {}", local_.text())));
      return false;
    }
    // Other errors are the connection's own (accept(2): the network's pending errors are reported here).
    return status != EAGAIN && status != EWOULDBLOCK;
  }

  void end_rest() {
    resting_ = false;
    update();
  }

  void update() {
    bool wanted = !paused_ && !resting_;
    if (wanted == watched_ || !socket_)
      return;
    watched_ = wanted;
    loop_.change(socket_.get(), *this, wanted ? EPOLLIN : 0u);
  }

  descriptor socket_;
  listen_options options_;
  acceptor_handler* handler_; // null once the owner has gone
  address local_;
  bool wildcard_;
  bool paused_ = false;
  bool resting_ = false; // out of descriptors
  bool watched_ = true;
  timer rest_;
};

class epoll_acceptor final : public acceptor {
public:
  epoll_acceptor(epoll_loop& on, acceptor_core& core, const address& local) : loop_{on}, core_{&core}, local_{local} {
    core.handle_ = this;
  }
  ~epoll_acceptor() override {
    if (core_ == nullptr)
      return;
    loop_.check_thread();
    core_->leave();
  }
  void pause() override { set_paused(true); }
  void resume() override { set_paused(false); }
  [[nodiscard]] bool paused() const noexcept override { return core_ == nullptr || core_->paused(); }
  [[nodiscard]] const address& local() const noexcept override { return local_; }
  void forget_core() noexcept { core_ = nullptr; }

private:
  void set_paused(bool paused) {
    if (core_ == nullptr)
      return;
    loop_.check_thread();
    core_->set_paused(paused);
  }

  epoll_loop& loop_;
  acceptor_core* core_; // null once the loop has gone
  address local_;
};

void acceptor_core::on_loop_end() noexcept {
  if (handle_ != nullptr)
    handle_->forget_core();
}

std::unexpected<error> not_usable(int fd, std::string_view why) {
  return std::unexpected{error{
      HEDWIG_E_CONFIG, fmt::format("the inherited descriptor {} {}: pass a listening TCP socket", fd, why), {}, 0}};
}

} // namespace

result<std::unique_ptr<acceptor>> make_epoll_acceptor(epoll_loop& on, descriptor socket, const listen_options& options,
                                                      acceptor_handler& handler) {
  on.check_thread();
  auto local = local_address(socket.get());
  auto core = std::make_unique<acceptor_core>(on, std::move(socket), options, handler, local);
  if (auto started = core->start(); !started) {
    on.counts().acceptors_open.fetch_sub(1, std::memory_order_relaxed);
    return std::unexpected{started.error()};
  }
  return std::make_unique<epoll_acceptor>(on, on.keep(std::move(core)), local);
}

result<std::unique_ptr<acceptor>> adopt_epoll_acceptor(epoll_loop& on, descriptor socket, const listen_options& options,
                                                       acceptor_handler& handler) {
  int listening = 0;
  socklen_t size = sizeof listening;
  auto fd = socket.get();
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0)
    return not_usable(fd, "is not a socket");
  if (listening == 0)
    return not_usable(fd, "does not listen");
  sockaddr_storage raw{};
  size = sizeof raw;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size);
  if (!address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size))
    return not_usable(fd, "is neither IPv4 nor IPv6");
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  set_no_delay(fd);
  return make_epoll_acceptor(on, std::move(socket), options, handler);
}

} // namespace hedwig::net
