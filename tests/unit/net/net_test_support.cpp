// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/net/net_test_support.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace hedwig::net::test {

void net_test::make_loop(const loop_options& options) {
  acceptor_.reset();
  loop_.reset();
  auto made = make_epoll_loop(time_, options);
  ASSERT_TRUE(made) << made.error().text();
  loop_ = std::move(*made);
  auto listening = loop_->listen(*address::parse("127.0.0.1:0"), {}, accepting_);
  ASSERT_TRUE(listening) << listening.error().text();
  acceptor_ = std::move(*listening);
}

bool net_test::run_until(const std::function<bool()>& done) {
  auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!done()) {
    if (std::chrono::steady_clock::now() > limit)
      return false;
    loop_->run_once(std::chrono::milliseconds{100});
  }
  return true;
}

void net_test::settle() {
  for (int i = 0; i < 20; ++i)
    loop_->run_once(std::chrono::milliseconds{0});
}

void net_test::connect_pair(recorder& client, recorder& server) {
  auto connected = loop_->connect(acceptor_->local(), {}, client);
  ASSERT_TRUE(connected) << connected.error().text();
  client.own = std::move(*connected);
  ASSERT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
  server.own = loop_->adopt(std::move(accepting_.waiting.front()), server);
  accepting_.waiting.clear();
  ASSERT_TRUE(run_until([&] { return client.trace.starts_with("connected"); }));
}

int net_test::connect_raw(recorder& server, int receive_buffer) {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_storage raw;
  auto size = acceptor_->local().to_sockaddr(raw);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&raw), size), 0);
  EXPECT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
  server.own = loop_->adopt(std::move(accepting_.waiting.front()), server);
  accepting_.waiting.clear();
  return fd;
}

namespace {

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0)
    panic("a test certificate could not be made");
}

/// Signed by the authority; the key is made with it.
void issue(const certificates& at, const std::string& name, const std::string& names, const std::string& validity) {
  auto base = at.path(name);
  std::ofstream{base + ".ext"} << "subjectAltName=" << names << "\n";
  run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " + base + ".key -subj /CN=" + name +
      ".test -out " + base + ".csr 2>/dev/null");
  run("openssl x509 -req -in " + base + ".csr -CA " + at.path("ca.pem") + " -CAkey " + at.path("ca.key") +
      " -CAcreateserial " + validity + " -extfile " + base + ".ext -out " + base + ".pem 2>/dev/null");
}

certificates make_all() {
  certificates made;
  std::string pattern = (std::filesystem::temp_directory_path() / "hedwig-net-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    panic("no temporary folder");
  made.folder = pattern;
  run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=Test Authority' "
      "-keyout " +
      made.path("ca.key") + " -out " + made.path("ca.pem") + " 2>/dev/null");
  issue(made, "relay", "DNS:relay.test,DNS:*.pool.test,IP:127.0.0.1", "-days 2");
  issue(made, "client", "DNS:client.test", "-days 2");
  issue(made, "expired", "DNS:relay.test", "-days -1");
  run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=self.test -addext subjectAltName=DNS:relay.test "
      "-keyout " +
      made.path("self.key") + " -out " + made.path("self.pem") + " 2>/dev/null");
  return made;
}

struct holder {
  certificates made = make_all();
  ~holder() {
    std::error_code ignored;
    std::filesystem::remove_all(made.folder, ignored);
  }
};

} // namespace

const certificates& certificates::get() {
  static const holder instance;
  return instance.made;
}

std::shared_ptr<const tls_context> server_context(std::string_view name) {
  auto& at = certificates::get();
  tls_server_options options;
  options.certificate_file = at.path(std::string{name} + ".pem");
  options.key_file = at.path(std::string{name} + ".key");
  auto made = tls_context::make_server(options, hedwig::clock::system().wall());
  if (!made)
    panic(made.error().text());
  return *made;
}

std::shared_ptr<const tls_context> client_context(tls_client_options::verify_mode verify) {
  tls_client_options options;
  options.verify = verify;
  options.ca_file = certificates::get().path("ca.pem");
  auto made = tls_context::make_client(options, hedwig::clock::system().wall());
  if (!made)
    panic(made.error().text());
  return *made;
}

} // namespace hedwig::net::test
