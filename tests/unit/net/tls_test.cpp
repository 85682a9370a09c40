// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls.hpp"

#include "tests/unit/net/net_test_support.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hedwig::net::test {
namespace {

using namespace std::chrono_literals;
using verify_mode = tls_client_options::verify_mode;

wall_time today() { return hedwig::clock::system().wall(); }

result<std::shared_ptr<const tls_context>> make_server(std::string_view certificate, std::string_view key) {
  auto& at = certificates::get();
  tls_server_options options;
  options.certificate_file = at.path(certificate);
  options.key_file = at.path(key);
  return tls_context::make_server(options, today());
}

TEST(tls_context, names_its_certificate_and_when_it_ends) {
  auto made = make_server("relay.pem", "relay.key");
  ASSERT_TRUE(made) << made.error().text();
  ASSERT_EQ((*made)->certificates().size(), 1u);
  auto& own = (*made)->certificates().front();
  EXPECT_EQ(own.names, "relay.test, *.pool.test");
  EXPECT_EQ(own.kind, "EC");
  EXPECT_GT(own.expires, today());
  EXPECT_LT(own.expires, today() + 72h);
  EXPECT_TRUE(own.warnings.empty()) << own.warnings.front();
}

TEST(tls_context, an_expired_certificate_is_a_warning) {
  auto made = make_server("expired.pem", "expired.key");
  ASSERT_TRUE(made) << made.error().text();
  auto& warnings = (*made)->certificates().front().warnings;
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("expired.pem has expired on 20"), std::string::npos);
}

TEST(tls_context, errors_name_the_file_and_what_is_wrong_with_it) {
  auto& at = certificates::get();
  auto missing = make_server("nowhere.pem", "relay.key");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text(),
            at.path("nowhere.pem") + ": cannot read the certificate: No such file or directory");
  auto no_key = make_server("relay.pem", "nowhere.key");
  ASSERT_FALSE(no_key);
  EXPECT_EQ(no_key.error().text(), at.path("nowhere.key") + ": cannot read the key: No such file or directory");
  auto folder = make_server("", "relay.key");
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().text().find("Is a directory"), std::string::npos);
  auto other_key = make_server("relay.pem", "client.key");
  ASSERT_FALSE(other_key);
  EXPECT_EQ(other_key.error().where, at.path("client.key"));
  EXPECT_NE(other_key.error().message.find("does not belong to the certificate in " + at.path("relay.pem")),
            std::string::npos);
  auto other_kind = make_server("relay.pem", "self.key");
  ASSERT_FALSE(other_kind);
  EXPECT_NE(other_kind.error().message.find("does not belong"), std::string::npos) << other_kind.error().text();
  std::ofstream{at.path("text.pem")} << "hello\n";
  std::ofstream{at.path("empty.pem")};
  auto text = make_server("text.pem", "relay.key");
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("write the path of a PEM file"), std::string::npos);
  auto empty = make_server("empty.pem", "relay.key");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().message, "the certificate is empty");
  auto not_a_key = make_server("relay.pem", "text.pem");
  ASSERT_FALSE(not_a_key);
  EXPECT_EQ(not_a_key.error().where, at.path("text.pem"));
  EXPECT_EQ(not_a_key.error().status, HEDWIG_E_CONFIG);
}

TEST(tls_context, an_encrypted_key_is_an_error_and_never_a_prompt) {
  auto& at = certificates::get();
  ASSERT_EQ(std::system(("openssl ec -aes128 -passout pass:secret -in " + at.path("relay.key") + " -out " +
                         at.path("locked.key") + " 2>/dev/null")
                            .c_str()),
            0);
  auto made = make_server("relay.pem", "locked.key");
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("unencrypted private key"), std::string::npos);
}

/// Two of our own streams with TLS between them.
class tls_test : public net_test {
protected:
  void secure(recorder& client, recorder& server, std::shared_ptr<const tls_context> client_side,
              std::shared_ptr<const tls_context> server_side, std::string_view name = "relay.test") {
    connect_pair(client, server);
    server.own->start_tls(std::move(server_side), tls_role::server);
    client.own->start_tls(std::move(client_side), tls_role::client, name);
    ASSERT_TRUE(run_until([&] { return (client.tls || client.closed) && (server.tls || server.closed); }));
  }
  void hang_up(recorder& client, recorder& server) {
    client.at_end = [&] { client.own->close(); };
    server.own->close();
    ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
  }
};

TEST_F(tls_test, says_what_was_agreed_on) {
  recorder client, server;
  secure(client, server, client_context(), server_context());
  ASSERT_TRUE(client.tls) << client.reason->text();
  ASSERT_TRUE(server.tls);
  EXPECT_EQ(client.tls->version, "TLSv1.3");
  EXPECT_EQ(client.tls->cipher, server.tls->cipher);
  EXPECT_GE(client.tls->cipher_bits, 128);
  EXPECT_TRUE(client.tls->peer_verified);
  EXPECT_EQ(client.tls->verify_error, "");
  EXPECT_EQ(client.tls->peer_subject, "CN=relay.test");
  EXPECT_EQ(client.tls->peer_fingerprint.size(), 64u);
  EXPECT_EQ(server.tls->server_name, "relay.test");
  EXPECT_EQ(server.tls->peer_subject, "");
  EXPECT_FALSE(server.tls->peer_verified);
  EXPECT_EQ(client.own->tls()->cipher, client.tls->cipher);
  hang_up(client, server);
  EXPECT_EQ(client.trace, "connected tls end closed ");
  EXPECT_EQ(server.trace, "tls closed ");
  EXPECT_EQ(loop_->counters().tls_handshakes, 2u);
}

TEST_F(tls_test, carries_megabytes_both_ways_at_once_with_bounded_memory) {
  recorder client, server;
  secure(client, server, client_context(), server_context());
  rope body;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    std::string text(50'000, static_cast<char>('a' + i % 26));
    body.append_copy(text);
    expected += text;
  }
  client.own->write(body);
  server.own->write(body);
  server.own->write(".");
  ASSERT_TRUE(run_until(
      [&] { return server.received.size() == expected.size() && client.received.size() == expected.size() + 1; }));
  EXPECT_TRUE(server.received == expected);
  EXPECT_TRUE(client.received == expected + ".");
  EXPECT_GE(client.drained, 1);
}

TEST_F(tls_test, a_wrong_name_is_refused_where_names_are_verified) {
  recorder client, server;
  secure(client, server, client_context(), server_context(), "other.test");
  ASSERT_TRUE(client.closed);
  ASSERT_TRUE(client.reason);
  EXPECT_EQ(client.reason->status, HEDWIG_E_DENIED);
  EXPECT_EQ(client.reason->message,
            "TLS handshake failed: the peer's certificate is not trusted for other.test: hostname mismatch");
  ASSERT_TRUE(run_until([&] { return server.closed || server.ended; }));
  EXPECT_FALSE(client.tls);
}

TEST_F(tls_test, an_unknown_authority_is_refused_where_names_are_verified) {
  recorder client, server;
  secure(client, server, client_context(), server_context("self"));
  ASSERT_TRUE(client.reason);
  EXPECT_NE(client.reason->message.find("self-signed certificate"), std::string::npos) << client.reason->message;
}

TEST_F(tls_test, an_expired_certificate_is_refused_where_names_are_verified) {
  recorder client, server;
  secure(client, server, client_context(), server_context("expired"));
  ASSERT_TRUE(client.reason);
  EXPECT_NE(client.reason->message.find("expired"), std::string::npos) << client.reason->message;
}

TEST_F(tls_test, verification_without_a_name_is_refused) {
  recorder client, server;
  secure(client, server, client_context(), server_context(), "");
  ASSERT_TRUE(client.reason);
  EXPECT_NE(client.reason->message.find("no name was given"), std::string::npos);
}

TEST_F(tls_test, opportunistic_encrypts_with_anyone_and_says_why_it_is_not_verified) {
  for (auto [certificate, name, why] : {std::tuple{"self", "relay.test", "self-signed certificate"},
                                        {"relay", "other.test", "hostname mismatch"},
                                        {"relay", "", "no name to verify"}}) {
    recorder client, server;
    secure(client, server, client_context(verify_mode::none), server_context(certificate), name);
    ASSERT_TRUE(client.tls) << certificate;
    EXPECT_FALSE(client.tls->peer_verified);
    EXPECT_EQ(client.tls->verify_error, why);
    hang_up(client, server);
  }
  recorder client, server;
  secure(client, server, client_context(verify_mode::none), server_context());
  ASSERT_TRUE(client.tls);
  EXPECT_TRUE(client.tls->peer_verified);
}

TEST_F(tls_test, verifies_wildcards_addresses_and_names_with_a_trailing_dot) {
  for (auto name : {"a.pool.test", "relay.test.", "127.0.0.1"}) {
    recorder client, server;
    secure(client, server, client_context(), server_context(), name);
    ASSERT_TRUE(client.tls) << name << ": " << client.reason->text();
    EXPECT_EQ(server.tls->server_name, std::string_view{name} == "127.0.0.1" ? "" : client.tls->server_name)
        << "no SNI for addresses";
    hang_up(client, server);
  }
  recorder client, server;
  secure(client, server, client_context(), server_context(), "a.b.pool.test");
  EXPECT_FALSE(client.tls);
}

TEST_F(tls_test, a_second_connection_resumes_the_session) {
  auto mine = client_context();
  auto theirs = server_context();
  for (bool second : {false, true}) {
    recorder client, server;
    secure(client, server, mine, theirs);
    ASSERT_TRUE(client.tls);
    EXPECT_EQ(client.tls->resumed, second);
    EXPECT_EQ(server.tls->resumed, second);
    EXPECT_TRUE(client.tls->peer_verified);
    EXPECT_EQ(client.tls->peer_subject, "CN=relay.test");
    server.own->write("220 with the ticket in front\r\n");
    ASSERT_TRUE(run_until([&] { return !client.received.empty(); }));
    hang_up(client, server);
  }
}

TEST_F(tls_test, a_session_is_not_resumed_for_another_name) {
  auto mine = client_context();
  auto theirs = server_context();
  for (auto name : {"relay.test", "a.pool.test"}) {
    recorder client, server;
    secure(client, server, mine, theirs, name);
    ASSERT_TRUE(client.tls);
    EXPECT_FALSE(client.tls->resumed);
    server.own->write("x");
    ASSERT_TRUE(run_until([&] { return !client.received.empty(); }));
    hang_up(client, server);
  }
}

TEST_F(tls_test, client_certificates_are_asked_for_and_reported) {
  auto& at = certificates::get();
  tls_server_options asking;
  asking.certificate_file = at.path("relay.pem");
  asking.key_file = at.path("relay.key");
  asking.client_ca_file = at.path("ca.pem");
  tls_client_options showing;
  showing.verify = verify_mode::name;
  showing.ca_file = at.path("ca.pem");
  struct row {
    tls_server_options::client_certificate mode;
    std::string shown;
    bool accepted;
    bool verified;
  };
  using enum tls_server_options::client_certificate;
  for (auto& [mode, shown, accepted, verified] :
       {row{request, "client", true, true}, row{request, "self", true, false}, row{request, "", true, false},
        row{require, "client", true, true}, row{require, "self", false, false}, row{require, "", false, false}}) {
    asking.client = mode;
    showing.certificate_file = shown.empty() ? "" : at.path(shown + ".pem");
    showing.key_file = shown.empty() ? "" : at.path(shown + ".key");
    recorder client, server;
    secure(client, server, *tls_context::make_client(showing, today()), *tls_context::make_server(asking, today()));
    EXPECT_EQ(server.tls.has_value(), accepted) << shown << " " << (server.reason ? server.reason->text() : "");
    if (!server.tls)
      continue;
    EXPECT_EQ(server.tls->peer_verified, verified) << shown;
    EXPECT_EQ(server.tls->peer_subject, shown.empty() ? "" : "CN=" + shown + ".test");
    EXPECT_EQ(server.tls->verify_error.empty(), verified || shown.empty());
    hang_up(client, server);
  }
}

TEST_F(tls_test, clear_text_behind_starttls_is_dropped_by_the_server) {
  recorder client, server;
  connect_pair(client, server);
  auto context = server_context();
  server.data = [&](std::string_view data) -> std::size_t {
    if (server.own->tls()) {
      server.received += data;
      return data.size();
    }
    EXPECT_EQ(data, "STARTTLS\r\nMAIL FROM:<injected>\r\n");
    server.own->write("220 go ahead\r\n");
    server.own->start_tls(context, tls_role::server);
    return 10;
  };
  client.data = [&](std::string_view data) {
    if (!client.own->tls())
      client.own->start_tls(client_context(), tls_role::client, "relay.test");
    return data.size();
  };
  client.own->write("STARTTLS\r\nMAIL FROM:<injected>\r\n");
  ASSERT_TRUE(run_until([&] { return client.tls && server.tls; }));
  client.own->write("EHLO again\r\n");
  ASSERT_TRUE(run_until([&] { return !server.received.empty(); }));
  EXPECT_EQ(server.received, "EHLO again\r\n");
}

TEST_F(tls_test, clear_text_kept_while_paused_is_dropped_too) {
  recorder client, server;
  connect_pair(client, server);
  server.data = [&](std::string_view data) -> std::size_t {
    if (server.own->tls()) {
      server.received += data;
      return data.size();
    }
    server.own->pause_reading();
    return 10;
  };
  client.own->write("STARTTLS\r\nMAIL FROM:<injected>\r\n");
  ASSERT_TRUE(run_until([&] { return server.own->reading_paused(); }));
  server.own->resume_reading();
  server.own->start_tls(server_context(), tls_role::server);
  client.own->start_tls(client_context(), tls_role::client, "relay.test");
  ASSERT_TRUE(run_until([&] { return client.tls && server.tls; }));
  client.own->write("EHLO again\r\n");
  ASSERT_TRUE(run_until([&] { return !server.received.empty(); }));
  EXPECT_EQ(server.received, "EHLO again\r\n");
}

TEST_F(tls_test, clear_text_behind_the_servers_220_is_dropped_by_the_client) {
  recorder client, server;
  connect_pair(client, server);
  client.data = [&](std::string_view data) -> std::size_t {
    if (client.own->tls()) {
      client.received += data;
      return data.size();
    }
    client.own->start_tls(client_context(), tls_role::client, "relay.test");
    return 14;
  };
  server.own->write("220 go ahead\r\n250 injected\r\n");
  server.own->start_tls(server_context(), tls_role::server);
  ASSERT_TRUE(run_until([&] { return client.tls && server.tls; }));
  server.own->write("250 protected\r\n");
  ASSERT_TRUE(run_until([&] { return !client.received.empty(); }));
  EXPECT_EQ(client.received, "250 protected\r\n");
}

TEST_F(tls_test, implicit_tls_starts_before_the_connection_is_there) {
  recorder client, server;
  client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
  client.own->start_tls(client_context(), tls_role::client, "relay.test");
  client.own->write("sent when it is safe");
  ASSERT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
  server.own = loop_->adopt(std::move(accepting_.waiting.front()), server);
  server.own->start_tls(server_context(), tls_role::server);
  ASSERT_TRUE(run_until([&] { return !server.received.empty(); }));
  EXPECT_EQ(server.received, "sent when it is safe");
  EXPECT_EQ(client.trace, "connected tls ");
}

TEST_F(tls_test, leftover_pauses_and_resumes_work_above_tls) {
  recorder client, server;
  secure(client, server, client_context(), server_context());
  std::string seen;
  int offers = 0;
  server.data = [&](std::string_view data) -> std::size_t {
    ++offers;
    auto used = std::min<std::size_t>(data.size(), 1000);
    seen += data.substr(0, used);
    server.own->pause_reading();
    loop_->defer([&] { server.own->resume_reading(); });
    return used;
  };
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += std::to_string(i) + ",";
  client.own->write(text);
  ASSERT_TRUE(run_until([&] { return seen.size() == text.size(); }));
  EXPECT_TRUE(seen == text);
  EXPECT_GE(offers, static_cast<int>(text.size() / 1000));
}

TEST_F(tls_test, begins_with_what_came_behind_a_header_in_the_same_piece) {
  recorder client, server;
  connect_pair(client, server);
  server.data = [&](std::string_view bytes) -> std::size_t {
    if (server.own->tls() != nullptr) {
      server.received += bytes;
      return bytes.size();
    }
    if (bytes.size() < 6 + 3)
      return 0; // so that some of the handshake lies behind it
    server.own->start_tls_behind(server_context());
    return 6;
  };
  client.own->write("HEADER");
  client.own->start_tls(client_context(), tls_role::client, "relay.test");
  client.at_tls = [&] { client.own->write("protected"); };
  ASSERT_TRUE(run_until([&] { return server.received == "protected" || server.closed || client.closed; }));
  EXPECT_EQ(server.received, "protected");
  hang_up(client, server);
}

TEST_F(tls_test, a_clear_text_client_is_an_error_that_names_it) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->start_tls(server_context(), tls_role::server);
  ASSERT_EQ(::send(fd, "EHLO plain\r\n", 12, 0), 12);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_EQ(server.reason->message, "TLS handshake failed: wrong version number");
  EXPECT_EQ(server.reason->where, server.own->peer().text());
  ::close(fd);
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
  EXPECT_EQ(loop_->counters().tls_failures, 1u);
}

TEST_F(tls_test, a_failed_handshake_is_told_to_the_peer_by_an_alert) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->start_tls(server_context(), tls_role::server);
  std::string_view hello{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10}; // a ClientHello of one byte
  ASSERT_EQ(::send(fd, hello.data(), hello.size(), 0), 10);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_TRUE(server.reason);
  settle();
  char room[64];
  EXPECT_EQ(::recv(fd, room, sizeof room, 0), 7) << "an alert record";
  EXPECT_EQ(room[0], 21);
  ::close(fd);
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
}

TEST_F(tls_test, a_peer_that_leaves_during_the_handshake_is_an_error) {
  for (bool reset : {false, true}) {
    recorder server;
    auto fd = connect_raw(server);
    server.own->start_tls(server_context(), tls_role::server);
    ASSERT_EQ(::send(fd, "\x16\x03\x01", 3, 0), 3); // the beginning of a record
    settle();
    linger now{reset ? 1 : 0, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd);
    ASSERT_TRUE(run_until([&] { return server.closed; }));
    EXPECT_TRUE(server.reason);
  }
  EXPECT_EQ(loop_->counters().streams_open, 0u);
}

TEST_F(tls_test, garbage_after_the_handshake_ends_the_stream) {
  // A record of application data that nobody encrypted.
  recorder client, server;
  secure(client, server, client_context(), server_context());
  auto half = make_server("relay.pem", "relay.key");
  recorder raw_server;
  auto fd = connect_raw(raw_server);
  raw_server.own->start_tls(*half, tls_role::server);
  ASSERT_EQ(::send(fd, "\x17\x03\x03\x00\x05hello", 10, 0), 10);
  ASSERT_TRUE(run_until([&] { return raw_server.closed; }));
  EXPECT_TRUE(raw_server.reason);
  ::close(fd);
}

TEST_F(tls_test, may_be_destroyed_inside_on_tls_and_closed_during_the_handshake) {
  {
    recorder client, server;
    connect_pair(client, server);
    server.at_tls = [&] { server.own.reset(); };
    server.own->start_tls(server_context(), tls_role::server);
    client.own->start_tls(client_context(), tls_role::client, "relay.test");
    client.at_end = [&] { client.own->close(); };
    ASSERT_TRUE(run_until([&] { return client.closed; }));
  }
  {
    recorder client, server;
    connect_pair(client, server);
    server.own->start_tls(server_context(), tls_role::server);
    client.own->start_tls(client_context(), tls_role::client, "relay.test");
    client.own->write("never sent");
    client.own->close();
    ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
    EXPECT_EQ(server.received, "");
  }
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
}

TEST_F(tls_test, a_reload_leaves_connections_with_the_context_they_began_with) {
  auto context = server_context();
  std::weak_ptr<const tls_context> watched = context;
  recorder client, server;
  secure(client, server, client_context(), std::move(context));
  EXPECT_FALSE(watched.expired());
  client.own->write("still here");
  ASSERT_TRUE(run_until([&] { return server.received == "still here"; }));
  hang_up(client, server);
  settle();
  EXPECT_TRUE(watched.expired());
}

TEST_F(tls_test, cut_at_any_byte_of_the_handshake_nothing_is_left) {
  // The client's bytes go through the test, which stops after a number of them.
  for (std::size_t cut = 0; cut < 600; cut += 37) {
    recorder server, client;
    auto fd = connect_raw(server);
    server.own->start_tls(server_context(), tls_role::server);
    recorder middle; // takes the client's side
    client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
    ASSERT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
    middle.own = loop_->adopt(std::move(accepting_.waiting.front()), middle);
    accepting_.waiting.clear();
    std::size_t passed = 0;
    middle.data = [&](std::string_view data) {
      auto take = std::min(data.size(), cut - passed);
      EXPECT_EQ(::send(fd, data.data(), take, MSG_NOSIGNAL), static_cast<ssize_t>(take));
      passed += take;
      return data.size();
    };
    client.own->start_tls(client_context(), tls_role::client, "relay.test");
    settle();
    ::close(fd);
    middle.own->abort();
    ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
    EXPECT_TRUE(server.reason);
  }
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
}

} // namespace
} // namespace hedwig::net::test
