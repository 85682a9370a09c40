// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/socket.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace hedwig::net {

namespace {

std::unexpected<error> failed(std::string_view what, const address& at) {
  auto status = errno;
  return std::unexpected{system_error(status, fmt::format("{} {}", what, at.text()))};
}

bool set_flag(int fd, int level, int name) noexcept {
  int on = 1;
  return ::setsockopt(fd, level, name, &on, sizeof on) == 0;
}

descriptor open_socket(const address& of) {
  return descriptor{::socket(of.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
}

bool bind_to(int fd, const address& at) {
  sockaddr_storage raw;
  auto size = at.to_sockaddr(raw);
  return ::bind(fd, reinterpret_cast<sockaddr*>(&raw), size) == 0;
}

} // namespace

void descriptor::reset() noexcept {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

address local_address(int fd) noexcept {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0)
    return {};
  return address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size).value_or(address{});
}

int pending_error(int fd) noexcept {
  int status = 0;
  socklen_t size = sizeof status;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &size) == 0 ? status : errno;
}

void set_no_delay(int fd) noexcept { set_flag(fd, IPPROTO_TCP, TCP_NODELAY); }

void set_reset_on_close(int fd) noexcept {
  linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

result<descriptor> open_listener(const address& at, const listen_options& options) {
  auto socket = open_socket(at);
  if (!socket)
    return failed("cannot open a socket for", at);
  auto fd = socket.get();
  if (options.reuse_address)
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
  if (options.reuse_port)
    set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
  // 0.0.0.0 and [::] are two listeners, each with its own rules.
  if (at.is_v6())
    set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  set_no_delay(fd); // accepted sockets inherit it
  if (!bind_to(fd, at))
    return failed("cannot bind to", at);
  if (::listen(fd, options.backlog) != 0)
    return failed("cannot listen on", at);
  return socket;
}

result<descriptor> open_connection(const address& to, const std::optional<address>& source) {
  if (source && source->family() != to.family())
    return std::unexpected{
        error{HEDWIG_E_INVALID,
              fmt::format("cannot connect to {} from {}: one is IPv4 and the other IPv6", to.text(), source->ip_text()),
              {},
              0}};
  auto socket = open_socket(to);
  if (!socket)
    return failed("cannot open a socket for", to);
  auto fd = socket.get();
  set_no_delay(fd);
  // The kernel chooses the port when it knows the peer, so that one source has 60,000 ports for each of them.
  if (source && source->port() == 0)
    set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  if (source && !bind_to(fd, *source))
    return failed("cannot send from", *source);
  sockaddr_storage raw;
  auto size = to.to_sockaddr(raw);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&raw), size) != 0 && errno != EINPROGRESS)
    return failed("cannot connect to", to);
  return socket;
}

void socket_connection::refuse(std::string_view text) {
  if (!socket_)
    return;
  char rest[4096];
  // Input that nobody read would turn the close into a reset, and the peer might lose the text.
  (void)!::recv(socket_.get(), rest, sizeof rest, MSG_DONTWAIT);
  (void)!::send(socket_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket_.get(), SHUT_WR);
  socket_.reset();
}

bool socket_connection::has_input() const noexcept {
  char first = 0;
  return socket_ && ::recv(socket_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

} // namespace hedwig::net
