// SPDX-License-Identifier: Apache-2.0
#include "app/socket_activation.hpp"

#include "runtime/net/address.hpp"
#include "runtime/telemetry/log.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace hedwig::app {

namespace {

constexpr int first_passed_fd = 3; // SD_LISTEN_FDS_START
constexpr int passed_fds_max = 1024;

int number_in_environment(const char* name) {
  auto* text = std::getenv(name);
  int value = 0;
  if (text != nullptr)
    std::from_chars(text, text + std::string_view{text}.size(), value);
  return value;
}

std::optional<net::address> address_of(int fd) {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &size) != 0)
    return std::nullopt;
  return net::address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
}

} // namespace

inherited_sockets inherited_listeners(const config::settings& settings) {
  inherited_sockets matched;
  if (number_in_environment("LISTEN_PID") != ::getpid())
    return matched;
  auto count = std::min(number_in_environment("LISTEN_FDS"), passed_fds_max);
  for (int fd = first_passed_fd; fd < first_passed_fd + count; ++fd) {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    auto bound = address_of(fd);
    auto fits = [&](const config::listener_settings& listener) {
      auto wanted = net::address::parse_ip(listener.addr.host, listener.addr.port);
      return bound && wanted && *bound == *wanted;
    };
    auto& listeners = settings.server.listeners;
    auto found = std::ranges::find_if(listeners, fits);
    if (found != listeners.end()) {
      matched.emplace(static_cast<std::size_t>(found - listeners.begin()), fd);
      continue;
    }
    telemetry::log(
        telemetry::level::warn, telemetry::component::main,
        {"activation.unused", "a socket of the service manager fits no listener: give both the same address"},
        {{"address", bound ? bound->text() : "unknown"}});
    ::close(fd);
  }
  return matched;
}

} // namespace hedwig::app
