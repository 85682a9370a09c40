// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/dns/name_server.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <csignal>
#include <fstream>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hedwig::dns {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

int bound_socket(int type, std::uint16_t& port) {
  int descriptor = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  auto at = loopback(port);
  socklen_t size = sizeof at;
  if (descriptor < 0 || ::bind(descriptor, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error{"no free port on loopback"};
  port = ntohs(at.sin_port);
  return descriptor;
}

std::uint16_t free_port() {
  std::uint16_t port = 0;
  ::close(bound_socket(SOCK_DGRAM, port));
  return port;
}

constexpr std::string_view configuration = R"(server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{folder}"
  database: ""
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  logfile: "{folder}/nsd.log"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: example.test.
  zonefile: example.zone
zone:
  name: broken.test.
  zonefile: missing.zone
)";

} // namespace

name_server::name_server(const std::string& zone) {
  auto pattern = (std::filesystem::temp_directory_path() / "hedwig_nsd_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error{"no temporary folder"};
  folder_ = pattern;
  std::ofstream{folder_ / "example.zone"}
      << "$ORIGIN example.test.\n$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
      << zone;
  for (int attempt = 0; attempt < 3; ++attempt) { // another program may take the port first
    start();
    for (int wait = 0; wait < 35; ++wait)
      if (answers())
        return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  throw std::runtime_error{fmt::format("nsd does not answer; see {}", folder_.string())};
}

void name_server::start() {
  port_ = free_port();
  std::ofstream{folder_ / "nsd.conf"} << fmt::format(fmt::runtime(configuration), fmt::arg("port", port_),
                                                     fmt::arg("folder", folder_.string()));
  auto file = (folder_ / "nsd.conf").string();
  process_ = ::fork();
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::execl("/usr/sbin/nsd", "nsd", "-d", "-c", file.c_str(), nullptr);
    ::_exit(127);
  }
}

// Asks for the SOA of example.test and waits up to 100 ms.
bool name_server::answers() const {
  std::uint16_t own_port = 0;
  int descriptor = bound_socket(SOCK_DGRAM, own_port);
  timeval patience{0, 100'000};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  constexpr char query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
                           "example\x04"
                           "test\x00\x00\x06\x00\x01";
  auto to = loopback(port_);
  ::sendto(descriptor, query, sizeof query - 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  char reply[512] = {};
  auto size = ::recv(descriptor, reply, sizeof reply, 0);
  ::close(descriptor);
  return size > 12 && (reply[3] & 0x0f) == 0;
}

name_server::~name_server() {
  ::kill(process_, SIGTERM);
  ::waitpid(process_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string name_server::address() const { return fmt::format("127.0.0.1:{}", port_); }

silent_server::silent_server() : socket_{bound_socket(SOCK_DGRAM, port_)} {}
silent_server::~silent_server() { ::close(socket_); }
std::string silent_server::address() const { return fmt::format("127.0.0.1:{}", port_); }

} // namespace hedwig::dns
