// SPDX-License-Identifier: Apache-2.0
#include "milter_socket.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace hedwig::filter_milter {

namespace {

constexpr std::size_t flush_above = 64 * 1024;

[[noreturn]] void fail_with_errno(const char* what) {
  throw milter_failure{std::string{what} + ": " + std::strerror(errno)};
}

} // namespace

stop_signal::~stop_signal() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}
void stop_signal::open() {
  descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor_ < 0)
    throw sdk::failure{HEDWIG_E_INTERNAL, "no event descriptor", {}, errno};
}
void stop_signal::raise() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!write(descriptor_, &one, sizeof one));
}

milter_socket::milter_socket(const sdk::host& host, const stop_signal& stop, const milter_address& address,
                             hedwig_time_ns deadline)
  : host_{host}, stop_{stop} {
  try {
    connect_to(address, deadline);
  } catch (...) {
    close();
    throw;
  }
}

milter_socket::~milter_socket() { close(); }

void milter_socket::close() noexcept {
  if (socket_ >= 0)
    ::close(std::exchange(socket_, -1));
}

void milter_socket::connect_to(const milter_address& address, hedwig_time_ns deadline) {
  if (!address.path.empty()) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.path.copy(to.sun_path, sizeof to.sun_path - 1);
    if (!try_connect(AF_UNIX, &to, sizeof to, deadline))
      fail_with_errno("cannot connect");
    return;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (auto fault = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found); fault != 0)
    throw milter_failure{"cannot look up " + address.host + ": " + gai_strerror(fault)};
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, freeaddrinfo};
  for (auto* one = found; one != nullptr; one = one->ai_next)
    if (try_connect(one->ai_family, one->ai_addr, one->ai_addrlen, deadline))
      return;
  fail_with_errno("cannot connect");
}

bool milter_socket::try_connect(int family, const void* address, unsigned size, hedwig_time_ns deadline) {
  close();
  socket_ = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0)
    fail_with_errno("no socket");
  if (connect(socket_, static_cast<const sockaddr*>(address), size) == 0)
    return true;
  if (errno != EINPROGRESS)
    return false;
  wait(POLLOUT, deadline);
  int fault = 0;
  socklen_t length = sizeof fault;
  getsockopt(socket_, SOL_SOCKET, SO_ERROR, &fault, &length);
  errno = fault;
  return fault == 0;
}

void milter_socket::wait(short events, hedwig_time_ns deadline) const {
  for (;;) {
    auto left = deadline - host_.steady();
    if (left <= 0)
      throw milter_late{};
    pollfd watched[] = {{socket_, events, 0}, {stop_.descriptor(), POLLIN, 0}};
    auto milliseconds = std::min<hedwig_time_ns>(left / 1'000'000 + 1, std::numeric_limits<int>::max());
    auto ready = poll(watched, 2, static_cast<int>(milliseconds));
    if (ready < 0 && errno != EINTR)
      fail_with_errno("poll");
    if (ready > 0 && watched[1].revents != 0)
      throw milter_failure{"the relay is ending"};
    if (ready > 0 && watched[0].revents != 0)
      return;
  }
}

void milter_socket::put(packet one, hedwig_time_ns deadline) {
  out_ += one.take();
  if (out_.size() > flush_above)
    flush(deadline);
}

void milter_socket::flush(hedwig_time_ns deadline) {
  std::string_view rest{out_};
  while (!rest.empty()) {
    auto sent = send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0)
      rest.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno == EAGAIN)
      wait(POLLOUT, deadline);
    else if (errno != EINTR)
      fail_with_errno("the connection broke");
  }
  out_.clear();
}

void milter_socket::receive(std::size_t octets, hedwig_time_ns deadline) {
  while (in_.size() < octets) {
    char part[16 * 1024];
    auto got = recv(socket_, part, std::min(sizeof part, octets - in_.size()), 0);
    if (got > 0)
      in_.append(part, static_cast<std::size_t>(got));
    else if (got == 0)
      throw milter_failure{in_.empty() ? "it closed the connection" : "it closed the connection inside a reply"};
    else if (errno == EAGAIN)
      wait(POLLIN, deadline);
    else if (errno != EINTR)
      fail_with_errno("the connection broke");
  }
}

reply milter_socket::get(hedwig_time_ns deadline) {
  flush(deadline);
  receive(4, deadline);
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < 4; ++i)
    length = length << 8 | static_cast<unsigned char>(in_[i]);
  if (length == 0 || length > reply_max)
    throw milter_failure{"a reply of " + std::to_string(length) + " octets: 1 to " + std::to_string(reply_max) +
                         " are allowed"};
  receive(4 + std::size_t{length}, deadline);
  reply out{static_cast<reply_kind>(in_[4]), in_.substr(5)};
  in_.clear();
  return out;
}

bool milter_socket::is_quiet() const noexcept {
  char one;
  return in_.empty() && recv(socket_, &one, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

} // namespace hedwig::filter_milter
