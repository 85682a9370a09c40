// SPDX-License-Identifier: Apache-2.0
// Which certificate a server shows, what seals its tickets, and whose certificates it takes.
#include "runtime/net/tls_server_side.hpp"
#include "runtime/net/tls_tickets.hpp"

#include "tests/unit/net/net_test_support.hpp"

#include <filesystem>
#include <fstream>

namespace hedwig::net::test {
namespace {

using namespace std::chrono_literals;
using sets = std::vector<std::vector<std::size_t>>;

TEST(tls_server_names, an_exact_name_comes_before_a_wildcard_and_the_default_after_both) {
  tls_server_names names{{{"a.test"}, {"*.pool.test"}, {"x.pool.test", "b.test"}}, {"EC", "EC", "EC"}};
  auto shown = [&](std::string_view name) { return names.sets()[names.find(name)]; };
  EXPECT_EQ(shown("a.test"), std::vector<std::size_t>{0});
  EXPECT_EQ(shown("y.pool.test"), std::vector<std::size_t>{1});
  EXPECT_EQ(shown("x.pool.test"), std::vector<std::size_t>{2});
  EXPECT_EQ(shown("B.Test."), std::vector<std::size_t>{2});
  for (auto* nobody : {"pool.test", "z.y.pool.test", ".pool.test", "c.test", "", ".", "*"})
    EXPECT_EQ(names.find(nobody), 0u) << nobody;
}

TEST(tls_server_names, kinds_of_one_name_go_together_and_the_first_of_a_kind_wins) {
  tls_server_names names{{{"a.test"}, {"a.test", "b.test"}, {"b.test"}, {"*.test"}, {"b.test"}},
                         {"EC", "RSA", "EC", "ED25519", "RSA"}};
  EXPECT_EQ(names.sets()[0], (std::vector<std::size_t>{0, 1})); // its RSA twin has all its names
  EXPECT_EQ(names.sets()[names.find("a.test")], (std::vector<std::size_t>{0, 1, 3}));
  EXPECT_EQ(names.sets()[names.find("b.test")], (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(names.sets()[names.find("q.test")], (std::vector<std::size_t>{3}));
}

TEST(tls_ticket_keys, a_key_seals_for_one_interval_and_opens_for_one_more) {
  manual_clock time;
  tls_ticket_keys keys{time, 10min};
  auto first = keys.sealing();
  EXPECT_EQ(keys.sealing(), first);
  time.advance(10min - 1ns);
  EXPECT_EQ(keys.sealing(), first);
  time.advance(1ns);
  auto second = keys.sealing();
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->cipher, first->cipher);
  EXPECT_NE(second->mac, first->mac);
  ASSERT_TRUE(keys.find(first->name));
  EXPECT_TRUE(keys.find(first->name)->renew);
  EXPECT_FALSE(keys.find(second->name)->renew);
  time.advance(10min);
  EXPECT_FALSE(keys.find(first->name));
  EXPECT_TRUE(keys.find(second->name));
  EXPECT_EQ(keys.made(), 3u);
}

TEST(tls_ticket_keys, nothing_is_left_where_nobody_looked_for_two_intervals) {
  manual_clock time;
  tls_ticket_keys keys{time, 10min};
  auto first = keys.sealing();
  std::weak_ptr<const tls_ticket_keys::key> watched = first;
  auto name = first->name;
  first.reset();
  time.advance(20min);
  EXPECT_FALSE(keys.find(name));
  EXPECT_TRUE(watched.expired());
}

TEST(tls_ticket_keys, switched_off_they_seal_with_what_opens_nothing) {
  manual_clock time;
  tls_ticket_keys keys{time, 10min};
  auto before = keys.sealing();
  keys.set_interval(0s);
  EXPECT_FALSE(keys.find(before->name));
  auto sealed = keys.sealing();
  ASSERT_TRUE(sealed);
  EXPECT_FALSE(keys.find(sealed->name));
}

/// Connections between streams of our own.
class tls_server_test : public net_test {
protected:
  tls_server_options relay_options() {
    auto& at = certificates::get();
    return {.certificate_file = at.path("relay.pem"), .key_file = at.path("relay.key")};
  }
  std::shared_ptr<const tls_context> made(const tls_server_options& options) {
    auto context = tls_context::make_server(options, time_.wall());
    if (!context)
      panic(context.error().text());
    return *context;
  }
  void secure(recorder& client, recorder& server, std::shared_ptr<const tls_context> client_side,
              std::shared_ptr<const tls_context> server_side) {
    connect_pair(client, server);
    server.own->start_tls(std::move(server_side), tls_role::server);
    client.own->start_tls(std::move(client_side), tls_role::client, "relay.test");
    // What comes behind the handshake brings the ticket.
    server.own->write("hello\r\n");
    ASSERT_TRUE(run_until([&] { return client.closed || (!client.received.empty() && server.tls); }));
    client.at_end = [&] { client.own->close(); };
    server.own->close();
    ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
  }
  bool resumes(std::shared_ptr<const tls_context> client_side, std::shared_ptr<const tls_context> server_side) {
    recorder client, server;
    secure(client, server, std::move(client_side), std::move(server_side));
    return client.tls && client.tls->resumed;
  }

  manual_clock ticket_time_;
  std::shared_ptr<tls_ticket_keys> keys_ = std::make_shared<tls_ticket_keys>(ticket_time_, 1h);
};

TEST_F(tls_server_test, sessions_outlive_a_reload_and_end_with_their_key) {
  auto options = relay_options();
  options.commons.tickets = keys_;
  options.ticket_lifetime = 1h;
  auto client = client_context();
  EXPECT_FALSE(resumes(client, made(options)));
  EXPECT_TRUE(resumes(client, made(options))) << "a new context, the same keys";
  EXPECT_TRUE(resumes(client, made(options))) << "each handshake brings the ticket for the next";
  ticket_time_.advance(1h);
  EXPECT_TRUE(resumes(client, made(options))) << "an older key opens";
  ticket_time_.advance(2h);
  EXPECT_FALSE(resumes(client, made(options)));
}

TEST_F(tls_server_test, without_a_lifetime_there_are_no_tickets) {
  auto options = relay_options();
  options.commons.tickets = keys_;
  auto server = made(options);
  auto client = client_context();
  EXPECT_FALSE(resumes(client, server));
  EXPECT_FALSE(resumes(client, server));
  EXPECT_EQ(keys_->made(), 0u);
}

TEST_F(tls_server_test, a_session_does_not_outlive_the_trust_in_its_client) {
  auto& at = certificates::get();
  auto options = relay_options();
  options.commons.tickets = keys_;
  options.ticket_lifetime = 1h;
  options.client = tls_server_options::client_certificate::request;
  options.client_ca_file = at.path("ca.pem");
  tls_client_options showing{
      .ca_file = at.path("ca.pem"), .certificate_file = at.path("client.pem"), .key_file = at.path("client.key")};
  auto client = *tls_context::make_client(showing, time_.wall());
  recorder first, seen;
  secure(first, seen, client, made(options));
  ASSERT_TRUE(seen.tls);
  EXPECT_TRUE(seen.tls->peer_verified);
  EXPECT_EQ(seen.tls->peer_names, std::vector<std::string>{"client.test"});
  EXPECT_EQ(seen.tls->peer_common_name, "client.test");
  EXPECT_GT(seen.tls->peer_expires, time_.wall());
  recorder again, resumed;
  secure(again, resumed, client, made(options));
  EXPECT_TRUE(again.tls->resumed);
  EXPECT_TRUE(resumed.tls->peer_verified);
  EXPECT_EQ(resumed.tls->peer_fingerprint, seen.tls->peer_fingerprint);
  options.client_ca_file = at.path("self.pem");
  recorder late, doubted;
  secure(late, doubted, client, made(options));
  EXPECT_FALSE(late.tls->resumed);
  EXPECT_FALSE(doubted.tls->peer_verified);
}

TEST_F(tls_server_test, a_known_fingerprint_is_right_whoever_issued_it) {
  auto& at = certificates::get();
  tls_client_options showing{
      .ca_file = at.path("ca.pem"), .certificate_file = at.path("self.pem"), .key_file = at.path("self.key")};
  auto client = *tls_context::make_client(showing, time_.wall());
  auto options = relay_options();
  options.client = tls_server_options::client_certificate::request;
  recorder first, unknown;
  secure(first, unknown, client, made(options));
  ASSERT_TRUE(unknown.tls);
  EXPECT_FALSE(unknown.tls->peer_verified);
  options.client = tls_server_options::client_certificate::require;
  options.client_fingerprints = {unknown.tls->peer_fingerprint};
  recorder second, known;
  secure(second, known, client, made(options));
  ASSERT_TRUE(known.tls);
  EXPECT_TRUE(known.tls->peer_verified);
  options.client_fingerprints = {std::string(64, '0')};
  recorder third, refused;
  connect_pair(third, refused);
  refused.own->start_tls(made(options), tls_role::server);
  third.own->start_tls(client, tls_role::client, "relay.test");
  ASSERT_TRUE(run_until([&] { return refused.closed; }));
  EXPECT_FALSE(refused.tls);
}

TEST_F(tls_server_test, the_same_files_have_the_same_contents) {
  auto& at = certificates::get();
  auto options = relay_options();
  auto before = made(options)->contents();
  EXPECT_EQ(made(options)->contents(), before);
  options.client_ca_file = at.path("ca.pem");
  EXPECT_NE(made(options)->contents(), before);
}

TEST_F(tls_server_test, handshakes_wait_for_their_turn_and_idle_connections_take_none) {
  auto gate = std::make_shared<handshake_gate>(handshake_limits{1, 1});
  auto options = relay_options();
  options.commons.gate = gate;
  auto context = made(options);
  recorder idle_client, idle, slow_client, slow, next_client, next, last_client, last;
  connect_pair(idle_client, idle);
  idle.own->start_tls(context, tls_role::server);
  connect_pair(slow_client, slow);
  slow.own->start_tls(context, tls_role::server);
  slow_client.own->write("\x16\x03\x01"); // the first bytes of a handshake
  ASSERT_TRUE(run_until([&] { return gate->running() == 1; }));
  connect_pair(next_client, next);
  next.own->start_tls(context, tls_role::server);
  next_client.own->start_tls(client_context(), tls_role::client, "relay.test");
  ASSERT_TRUE(run_until([&] { return gate->waiting() == 1; }));
  connect_pair(last_client, last);
  last.own->start_tls(context, tls_role::server);
  last_client.own->start_tls(client_context(), tls_role::client, "relay.test");
  ASSERT_TRUE(run_until([&] { return last.closed; })) << "nobody else may wait";
  ASSERT_TRUE(last.reason);
  EXPECT_NE(last.reason->message.find("too many wait"), std::string::npos);
  EXPECT_FALSE(next.tls);
  slow.own->abort();
  ASSERT_TRUE(run_until([&] { return next.tls && next_client.tls; }));
  EXPECT_EQ(gate->running(), 0u);
  EXPECT_FALSE(idle.closed);
}

TEST(tls_certificate, what_breaks_off_is_not_taken_and_what_does_not_belong_is_told) {
  auto& at = certificates::get();
  auto now = hedwig::clock::system().wall();
  auto text = [&](std::string_view name) {
    std::ifstream from{at.path(name)};
    return std::string{std::istreambuf_iterator<char>{from}, {}};
  };
  auto write = [&](std::string_view name, const std::string& what) { std::ofstream{at.path(name)} << what; };
  auto whole = text("relay.pem") + text("ca.pem");
  write("chain.pem", whole);
  auto good = tls_certificate::load(at.path("chain.pem"), at.path("relay.key"), now);
  ASSERT_TRUE(good) << good.error().text();
  EXPECT_TRUE(good->warnings.empty());
  EXPECT_EQ(good->kind(), "EC");
  // Cut anywhere, a file holds a certificate less or is refused; a certificate is never half of one.
  for (std::size_t size = 1; size < whole.size(); size += 7) {
    write("cut.pem", whole.substr(0, size));
    if (auto cut = tls_certificate::load(at.path("cut.pem"), at.path("relay.key"), now); cut) {
      EXPECT_EQ(cut->names, good->names);
    }
  }
  write("strange.pem", text("relay.pem") + text("self.pem"));
  auto strange = tls_certificate::load(at.path("strange.pem"), at.path("relay.key"), now);
  ASSERT_TRUE(strange);
  ASSERT_EQ(strange->warnings.size(), 1u);
  EXPECT_NE(strange->warnings[0].find("does not belong to its chain"), std::string::npos);
  write("huge.pem", whole + std::string(tls_file_octets_max, '\n'));
  auto huge = tls_certificate::load(at.path("huge.pem"), at.path("relay.key"), now);
  ASSERT_FALSE(huge);
  EXPECT_NE(huge.error().message.find("larger than"), std::string::npos);
}

} // namespace
} // namespace hedwig::net::test
