// SPDX-License-Identifier: Apache-2.0
#include "tests/component/auth_ldap/tcp_proxy.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hedwig::test {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

void close_if_open(int fd) {
  if (fd >= 0)
    ::close(fd);
}

} // namespace

tcp_proxy::tcp_proxy(std::uint16_t to) : to_{to}, listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (::pipe(wake_) != 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::listen(listener_, 64) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    std::abort();
  port_ = ntohs(at.sin_port);
  thread_ = std::thread{[this] { run(); }};
}

tcp_proxy::~tcp_proxy() {
  over_ = true;
  wake();
  thread_.join();
  close_if_open(listener_);
  close_if_open(wake_[0]);
  close_if_open(wake_[1]);
}

void tcp_proxy::wake() const {
  if (::write(wake_[1], "x", 1) != 1)
    std::abort();
}

std::string tcp_proxy::sent() const {
  std::lock_guard lock{mutex_};
  return sent_;
}

void tcp_proxy::accept_one() {
  auto client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0)
    return;
  ++connections_;
  int server = -1;
  if (to_ != 0) {
    server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto at = loopback(to_);
    if (::connect(server, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
      close_if_open(server);
      close_if_open(client);
      return;
    }
  }
  tunnels_.push_back({client, server});
}

bool tcp_proxy::pump(int from, int to, bool from_server) {
  char part[16384];
  auto room = static_cast<long>(sizeof part);
  if (from_server && budget_ >= 0)
    room = std::min(room, budget_.load());
  auto got = ::recv(from, part, static_cast<std::size_t>(room), 0);
  if (got <= 0)
    return false;
  if (from_server && budget_ >= 0)
    budget_ -= got;
  if (!from_server) {
    std::lock_guard lock{mutex_};
    sent_.append(part, static_cast<std::size_t>(got));
  }
  return to < 0 || ::send(to, part, static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
}

void tcp_proxy::run() {
  while (!over_) {
    std::vector<pollfd> all{{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    for (auto& one : tunnels_) {
      all.push_back({one.client, POLLIN, 0});
      all.push_back({one.server, static_cast<short>(budget_ == 0 ? 0 : POLLIN), 0});
    }
    // Looks again now and then, since flow() wakes nobody.
    ::poll(all.data(), all.size(), 20);
    if (all[1].revents != 0) {
      char ignored[16];
      static_cast<void>(!::read(wake_[0], ignored, sizeof ignored));
    }
    auto everything = cut_.exchange(false);
    std::vector<tunnel> left;
    for (std::size_t i = 0; i < tunnels_.size(); ++i) {
      auto one = tunnels_[i];
      auto alive = !everything;
      if (alive && (all[2 + 2 * i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
        alive = pump(one.client, one.server, false);
      if (alive && (all[3 + 2 * i].revents & POLLIN) != 0 && budget_ != 0)
        alive = pump(one.server, one.client, true);
      else if (alive && (all[3 + 2 * i].revents & (POLLHUP | POLLERR)) != 0 && budget_ != 0)
        alive = false;
      if (alive) {
        left.push_back(one);
        continue;
      }
      close_if_open(one.client);
      close_if_open(one.server);
    }
    tunnels_ = std::move(left);
    if ((all[0].revents & POLLIN) != 0)
      accept_one();
  }
  for (auto& one : tunnels_) {
    close_if_open(one.client);
    close_if_open(one.server);
  }
}

} // namespace hedwig::test
