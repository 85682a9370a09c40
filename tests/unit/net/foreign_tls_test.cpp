// SPDX-License-Identifier: Apache-2.0
// Our TLS against Python's ssl module and OpenSSL's s_client.
#include "tests/unit/net/net_test_support.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hedwig::net::test {
namespace {

using verify_mode = tls_client_options::verify_mode;

/// A command whose output the test collects while it runs its loop.
class child {
public:
  explicit child(const std::string& command) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], 1);
      ::dup2(ends[1], 2);
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
    ::fcntl(out_, F_SETFL, O_NONBLOCK);
  }
  ~child() {
    ::close(out_);
    ::waitpid(pid_, nullptr, 0);
  }
  /// True once it has closed its output.
  bool ended() {
    char room[4096];
    for (;;) {
      auto count = ::read(out_, room, sizeof room);
      if (count == 0)
        return true;
      if (count < 0)
        return false;
      text.append(room, static_cast<std::size_t>(count));
    }
  }
  std::string text;

private:
  pid_t pid_ = -1;
  int out_ = -1;
};

std::string script(std::string_view name) { return fmt::format("/usr/bin/python3 -BIS tests/unit/net/{}", name); }

class foreign_tls_test : public net_test {
protected:
  /// Speaks a little SMTP with one client and writes down what it says in safety.
  void serve(recorder& server) {
    accepting_.take = [&](std::unique_ptr<connection> fresh) {
      server.own = loop_->adopt(std::move(fresh), server);
      server.own->write("220 ready\r\n");
    };
    server.data = [&](std::string_view data) -> std::size_t {
      auto end = data.find('\n');
      if (end == std::string_view::npos)
        return 0;
      auto line = data.substr(0, end + 1);
      if (server.own->tls())
        server.received += line;
      if (line == "STARTTLS\r\n") {
        server.own->write("220 go ahead\r\n");
        server.own->start_tls(server_context(), tls_role::server);
      } else if (line == "QUIT\r\n") {
        server.own->write("221 bye\r\n");
        server.own->close();
      } else {
        server.own->write("250 ok\r\n");
        server.own->resume_reading(); // the next line may be here
      }
      return line.size();
    };
    server.at_end = [&] { server.own->close(); };
  }

  std::string talk(recorder& server, const std::string& command) {
    serve(server);
    child client{command};
    EXPECT_TRUE(run_until([&] { return client.ended() && server.closed; }));
    return client.text;
  }

  std::string python_client(recorder& server, std::string_view version, std::string_view mode) {
    return talk(server, fmt::format("{} {} {} {} {}", script("foreign_client.py"), acceptor_->local().port(), version,
                                    mode, certificates::get().path("ca.pem")));
  }

  /// The port that the server prints first.
  address address_of(child& server) {
    EXPECT_TRUE(run_until([&] {
      server.ended();
      return server.text.ends_with("\n");
    }));
    return *address::parse("127.0.0.1:" + server.text.substr(0, server.text.find('\n')));
  }

  /// A STARTTLS dialogue with the server, up to the echo of "hello".
  void visit(recorder& client, const address& at, std::shared_ptr<const tls_context> context, std::string_view name) {
    client.data = [&, context, name](std::string_view data) -> std::size_t {
      if (client.own->tls()) {
        client.received += data;
        return data.size();
      }
      if (data == "220 ready\r\n")
        client.own->write("STARTTLS\r\n");
      else if (data.starts_with("220 go ahead\r\n"))
        client.own->start_tls(context, tls_role::client, name);
      return data.find('\n') + 1;
    };
    client.at_tls = [&] { client.own->write("hello"); };
    auto made = loop_->connect(at, {}, client);
    ASSERT_TRUE(made);
    client.own = std::move(*made);
    ASSERT_TRUE(run_until([&] { return client.closed || client.received.ends_with("hello"); }));
    if (client.closed)
      return;
    client.own->close();
    ASSERT_TRUE(run_until([&] { return client.closed; }));
  }
};

TEST_F(foreign_tls_test, a_python_client_speaks_with_us_in_both_versions) {
  for (auto version : {"1.2", "1.3"}) {
    recorder server;
    EXPECT_EQ(python_client(server, version, "plain"),
              fmt::format("220 ready\n220 go ahead\nTLSv{}\n250 ok\n221 bye\n", version));
    ASSERT_TRUE(server.tls);
    EXPECT_EQ(server.tls->version, fmt::format("TLSv{}", version));
    EXPECT_EQ(server.tls->server_name, "relay.test");
    EXPECT_EQ(server.received, "NOOP\r\nQUIT\r\n");
    EXPECT_FALSE(server.reason);
  }
}

TEST_F(foreign_tls_test, a_client_that_knows_only_tls_1_1_is_refused) {
  recorder server;
  auto said = python_client(server, "1.1", "plain");
  EXPECT_NE(said.find("refused:"), std::string::npos) << said;
  ASSERT_TRUE(server.reason);
  EXPECT_EQ(server.reason->message, "TLS handshake failed: unsupported protocol");
}

TEST_F(foreign_tls_test, what_a_client_sends_in_clear_behind_starttls_is_not_answered) {
  recorder server;
  EXPECT_EQ(python_client(server, "1.3", "inject"), "220 ready\n220 go ahead\nTLSv1.3\n250 ok\n221 bye\n");
  EXPECT_EQ(server.received, "NOOP\r\nQUIT\r\n");
}

TEST_F(foreign_tls_test, a_client_that_does_not_like_our_name_leaves_and_is_reported) {
  recorder server;
  auto said = python_client(server, "1.3", "name");
  EXPECT_NE(said.find("Hostname mismatch"), std::string::npos) << said;
  EXPECT_TRUE(server.closed);
}

TEST_F(foreign_tls_test, s_client_verifies_us_over_starttls) {
  recorder server;
  serve(server);
  auto command = fmt::format("printf 'NOOP\\r\\nQUIT\\r\\n' | "
                             "openssl s_client -connect {} -starttls smtp -servername relay.test -verify_return_error "
                             "-verify_hostname relay.test -CAfile {} -quiet 2>&1",
                             acceptor_->local().text(), certificates::get().path("ca.pem"));
  // s_client greets with EHLO and looks for STARTTLS in the reply.
  auto plain = server.data;
  server.data = [&, plain](std::string_view data) -> std::size_t {
    if (!server.own->tls() && data.starts_with("EHLO")) {
      server.own->write("250-relay.test\r\n250 STARTTLS\r\n");
      return data.find('\n') + 1;
    }
    return plain(data);
  };
  child client{command};
  EXPECT_TRUE(run_until([&] { return client.ended() && server.closed; }));
  EXPECT_NE(client.text.find("250 ok"), std::string::npos) << client.text;
  EXPECT_NE(client.text.find("221 bye"), std::string::npos) << client.text;
  EXPECT_TRUE(server.tls);
}

TEST_F(foreign_tls_test, we_speak_with_a_python_server_in_both_versions) {
  auto& at = certificates::get();
  for (auto version : {"1.2", "1.3"}) {
    child server{fmt::format("{} {} {} {} plain", script("foreign_server.py"), version, at.path("relay.pem"),
                             at.path("relay.key"))};
    recorder client;
    visit(client, address_of(server), client_context(), "relay.test");
    ASSERT_TRUE(client.tls) << (client.reason ? client.reason->text() : "");
    EXPECT_EQ(client.tls->version, fmt::format("TLSv{}", version));
    EXPECT_TRUE(client.tls->peer_verified);
    EXPECT_EQ(client.received, "echo hello");
    EXPECT_FALSE(client.reason);
  }
}

TEST_F(foreign_tls_test, what_a_server_sends_in_clear_behind_its_220_is_not_heard) {
  auto& at = certificates::get();
  child server{
      fmt::format("{} 1.3 {} {} inject", script("foreign_server.py"), at.path("relay.pem"), at.path("relay.key"))};
  recorder client;
  visit(client, address_of(server), client_context(), "relay.test");
  EXPECT_EQ(client.received, "echo hello");
}

TEST_F(foreign_tls_test, a_foreign_server_is_refused_for_its_name_and_its_authority) {
  auto& at = certificates::get();
  for (auto [certificate, name, why] :
       {std::tuple{"relay", "other.test", "hostname mismatch"}, {"self", "relay.test", "self-signed certificate"}}) {
    child server{fmt::format("{} 1.3 {} {} plain", script("foreign_server.py"),
                             at.path(std::string{certificate} + ".pem"), at.path(std::string{certificate} + ".key"))};
    recorder client;
    visit(client, address_of(server), client_context(), name);
    ASSERT_TRUE(client.reason);
    EXPECT_NE(client.reason->message.find(why), std::string::npos) << client.reason->message;
    EXPECT_EQ(client.reason->status, HEDWIG_E_DENIED);
  }
}

TEST_F(foreign_tls_test, resumes_with_a_foreign_server_in_both_versions) {
  auto& at = certificates::get();
  for (auto version : {"1.2", "1.3"}) {
    child server{fmt::format("{} {} {} {} resume", script("foreign_server.py"), version, at.path("relay.pem"),
                             at.path("relay.key"))};
    auto where = address_of(server);
    auto context = client_context();
    for (bool second : {false, true}) {
      recorder client;
      visit(client, where, context, "relay.test");
      ASSERT_TRUE(client.tls) << version;
      EXPECT_EQ(client.tls->resumed, second) << version;
      EXPECT_TRUE(client.tls->peer_verified);
    }
  }
}

} // namespace
} // namespace hedwig::net::test
