// SPDX-License-Identifier: Apache-2.0
#include "app/service_manager.hpp"

#include "runtime/base/error.hpp"
#include "runtime/telemetry/log.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace hedwig::app {

namespace {

bool send_to(std::string_view path, std::string_view state) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  std::memcpy(to.sun_path, path.data(), path.size());
  if (path.front() == '@')
    to.sun_path[0] = '\0'; // a name outside the file system
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  auto fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  auto sent =
      ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to), size);
  auto saved = errno;
  ::close(fd);
  errno = saved;
  return sent == static_cast<ssize_t>(state.size());
}

} // namespace

void tell_service_manager(std::string_view state) {
  auto* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0' || send_to(path, state))
    return;
  telemetry::log(telemetry::level::warn, telemetry::component::main,
                 {"service-manager.not-told", "the service manager could not be told of our state"},
                 {{"error", system_error(errno, "send to NOTIFY_SOCKET").message}});
}

} // namespace hedwig::app
