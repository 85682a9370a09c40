// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/client_session.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hedwig::smtp {
namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

/// How bytes are cut on their way in and out.
struct cut {
  std::size_t in;
  std::size_t out;
};

constexpr std::string_view esmtp = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
constexpr std::string_view plain = "250 mx.test\r\n";

client_options options(tls_mode tls = tls_mode::opportunistic) {
  client_options o;
  o.helo_name = "relay.test";
  o.remote_host = "mx.test";
  o.remote_ip = "192.0.2.1";
  o.tls = tls;
  return o;
}

client_transaction message(std::vector<std::string> recipients = {"a@x.test"},
                           std::string_view body = "S: t\r\n\r\nhi\r\n") {
  client_transaction t;
  t.reverse_path = "me@relay.test";
  for (std::size_t i = 0; i < recipients.size(); ++i)
    t.recipients.push_back({10 + i, recipients[i], ""});
  t.body.append_copy(body);
  return t;
}

/// A session and the owner's side of it.
class line {
public:
  explicit line(cut c, client_options o = options()) : cut_{c}, session{std::move(o)} {}

  line& server(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); i += cut_.in)
      session.feed(bytes.substr(i, cut_.in));
    return *this;
  }
  /// What the client says now.
  std::string said() {
    std::string text;
    std::vector<slice> pieces;
    while (session.next_output(pieces, cut_.out) != 0) {
    }
    for (const slice& piece : pieces)
      text += piece.view();
    return text;
  }
  template <class Event>
  std::optional<Event> event() {
    auto next = session.next_event();
    if (!next || !std::holds_alternative<Event>(*next))
      return std::nullopt;
    return std::get<Event>(std::move(*next));
  }
  bool quiet() { return !session.next_event().has_value(); }
  /// Up to ready with these EHLO lines.
  line& open(std::string_view ehlo = esmtp) {
    server("220 hi\r\n");
    EXPECT_EQ(said(), "EHLO relay.test\r\n");
    server(ehlo);
    EXPECT_TRUE(event<client_ready>());
    EXPECT_TRUE(session.is_idle());
    return *this;
  }
  std::vector<recipient_outcome> outcomes() {
    auto done = event<client_transaction_done>();
    EXPECT_TRUE(done) << "no transaction_done";
    return done ? done->outcomes : std::vector<recipient_outcome>{};
  }
  recipient_outcome only_outcome() {
    auto all = outcomes();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? recipient_outcome{} : all.front();
  }
  std::optional<verdict> must_close() {
    auto event_ = event<client_must_close>();
    EXPECT_TRUE(event_) << "no must_close";
    EXPECT_TRUE(session.is_closed());
    return event_ ? std::optional{event_->cause} : std::nullopt;
  }

private:
  cut cut_;

public:
  client_session session;
};

class client : public ::testing::TestWithParam<cut> {
protected:
  line connect(client_options o = options()) { return line{GetParam(), std::move(o)}; }
};

INSTANTIATE_TEST_SUITE_P(cuts, client,
                         ::testing::Values(cut{65536, 65536}, cut{1, 65536}, cut{65536, 1}, cut{1, 1}, cut{7, 5}),
                         [](const auto& i) {
                           return "in" + std::to_string(i.param.in) + "out" + std::to_string(i.param.out);
                         });

// ---- the good way

TEST_P(client, sends_a_message_in_two_round_trips_with_pipelining) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test"}));
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=12\r\nRCPT TO:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n");
  l.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(l.said(), "S: t\r\n\r\nhi\r\n.\r\n");
  l.server("250 2.0.0 queued as X\r\n");
  const auto all = l.outcomes();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].recipient, 10U);
  EXPECT_EQ(all[1].recipient, 11U);
  EXPECT_EQ(all[1].disposition, disposition::delivered);
  EXPECT_EQ(all[1].summary(), "250 2.0.0 queued as X");
  EXPECT_EQ(all[1].remote_host, "mx.test");
  EXPECT_EQ(all[1].remote_ip, "192.0.2.1");
  EXPECT_FALSE(all[1].tls);
  EXPECT_TRUE(l.quiet());
  EXPECT_TRUE(l.session.is_idle());
  EXPECT_EQ(l.session.transactions(), 1U);
}

TEST_P(client, sends_a_body_that_comes_in_parts) {
  line l = connect().open();
  auto large = message({"a@x.test"}, "D: sig\r\n");
  large.body_follows = 20;
  l.session.begin(std::move(large));
  EXPECT_EQ(l.session.body_wanted(100), 0U) << "not before the server asks for it";
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=28\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(l.session.body_wanted(0), 0U) << "what is there comes first";
  EXPECT_EQ(l.session.body_wanted(8), 20U);
  EXPECT_EQ(l.said(), "D: sig\r\n");
  EXPECT_EQ(l.session.body_wanted(0), 20U);
  EXPECT_EQ(l.session.stage(), client_stage::body);
  rope part;
  part.append_copy("S: t\r\n\r\n.d");
  l.session.add_body(part);
  EXPECT_EQ(l.said(), "S: t\r\n\r\n..d");
  EXPECT_EQ(l.session.body_wanted(0), 10U);
  part = {};
  part.append_copy("\r\n.\r\nend\r\n");
  l.session.add_body(part);
  EXPECT_EQ(l.said(), "\r\n..\r\nend\r\n.\r\n");
  EXPECT_EQ(l.session.body_wanted(1000), 0U);
  l.server("250 taken\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::delivered);
}

TEST_P(client, gives_up_before_the_dot_when_the_rest_of_a_body_cannot_be_had) {
  line l = connect().open();
  auto large = message({"a@x.test"}, "");
  large.body_follows = 20;
  l.session.begin(std::move(large));
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  rope part;
  part.append_copy("S: t\r\n\r\nhi\r\n");
  l.session.add_body(part);
  l.said();
  l.session.body_lost("gone");
  EXPECT_EQ(l.said(), "") << "no dot";
  auto outcome = l.only_outcome();
  EXPECT_EQ(outcome.disposition, disposition::deferred);
  EXPECT_EQ(outcome.next, next_step::none);
  EXPECT_NE(outcome.text.find("gone"), std::string::npos);
  auto cause = l.must_close();
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, fails_a_message_in_parts_that_is_bigger_than_the_server_takes) {
  line l = connect().open();
  auto large = message({"a@x.test"}, "12345");
  large.body_follows = 996;
  l.session.begin(std::move(large));
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.only_outcome().disposition, disposition::failed);
}

TEST_P(client, says_one_command_at_a_time_without_pipelining) {
  line l = connect().open(plain);
  l.session.begin(message({"a@x.test", "b@x.test"}));
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\n");
  l.server("250 ok\r\n");
  EXPECT_EQ(l.said(), "RCPT TO:<a@x.test>\r\n");
  l.server("250 ok\r\n");
  EXPECT_EQ(l.said(), "RCPT TO:<b@x.test>\r\n");
  l.server("250 ok\r\n");
  EXPECT_EQ(l.said(), "DATA\r\n");
  l.server("354 go\r\n");
  EXPECT_EQ(l.said(), "S: t\r\n\r\nhi\r\n.\r\n");
  l.server("250 ok\r\n");
  EXPECT_EQ(l.outcomes()[1].disposition, disposition::delivered);
}

TEST_P(client, can_be_told_not_to_use_pipelining) {
  client_options o = options();
  o.pipelining = false;
  line l = connect(o).open();
  l.session.begin(message());
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=12\r\n");
}

TEST_P(client, keeps_the_connection_for_a_second_message_without_reset) {
  line l = connect().open();
  for (int i = 0; i < 2; ++i) {
    l.session.begin(message());
    EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=12\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
    l.server("250 ok\r\n250 ok\r\n354 go\r\n");
    l.said();
    l.server("250 ok\r\n");
    EXPECT_EQ(l.only_outcome().disposition, disposition::delivered);
  }
  EXPECT_EQ(l.session.transactions(), 2U);
}

TEST_P(client, sends_the_null_reverse_path) {
  line l = connect().open(plain);
  auto t = message();
  t.reverse_path.clear();
  l.session.begin(std::move(t));
  EXPECT_EQ(l.said(), "MAIL FROM:<>\r\n");
}

TEST_P(client, reads_greeting_and_ehlo_of_many_lines) {
  line l = connect();
  l.server("220-welcome\r\n220 go ahead\r\n");
  EXPECT_EQ(l.said(), "EHLO relay.test\r\n");
  l.server(
      "250-mx.test hello\r\n250-size 35882577\r\n250-auth login plain\r\n250-DSN\r\n250-XYZ 1 2 3\r\n250 8bitmime\r\n");
  EXPECT_TRUE(l.event<client_ready>());
  const auto& c = l.session.capabilities();
  EXPECT_EQ(c.name, "mx.test");
  EXPECT_EQ(c.size_max, 35882577U);
  EXPECT_TRUE(c.esmtp && c.size && c.dsn && c.eightbitmime && c.auth_plain && c.auth_login);
  EXPECT_FALSE(c.pipelining || c.smtputf8 || c.starttls);
}

TEST_P(client, says_quit_and_waits_for_the_answer) {
  line l = connect().open();
  l.session.quit();
  EXPECT_EQ(l.said(), "QUIT\r\n");
  EXPECT_EQ(l.session.current_timeout(), 5s);
  EXPECT_TRUE(l.quiet());
  l.server("221 bye\r\n");
  const auto end = l.event<client_must_close>();
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->clean);
}

TEST_P(client, takes_a_connection_closed_after_quit_as_clean) {
  line l = connect().open();
  l.session.quit();
  l.said();
  l.session.connection_lost("closed");
  const auto end = l.event<client_must_close>();
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->clean);
}

// ---- extensions

TEST_P(client, says_body_8bitmime_where_it_is_offered) {
  line l = connect().open();
  auto t = message({"a@x.test"}, "S: t\r\n\r\n\xc3\xa9\r\n");
  t.is_8bit = true;
  l.session.begin(std::move(t));
  EXPECT_TRUE(l.said().starts_with("MAIL FROM:<me@relay.test> SIZE=12 BODY=8BITMIME\r\n"));
}

TEST_P(client, sends_an_8bit_body_as_it_is_to_an_old_server) {
  line l = connect().open(plain);
  auto t = message({"a@x.test"}, "\xc3\xa9\r\n");
  t.is_8bit = true;
  l.session.begin(std::move(t));
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\n");
  l.server("250 ok\r\n");
  l.said();
  l.server("250 ok\r\n");
  l.said();
  l.server("354 ok\r\n");
  EXPECT_EQ(l.said(), "\xc3\xa9\r\n.\r\n");
}

TEST_P(client, fails_a_message_bigger_than_the_server_takes_without_sending) {
  line l = connect().open();
  l.session.begin(message({"a@x.test"}, std::string(1001, 'x')));
  EXPECT_EQ(l.said(), "");
  const auto o = l.only_outcome();
  EXPECT_EQ(o.disposition, disposition::failed);
  EXPECT_EQ(o.status.text(), "5.3.4");
  EXPECT_TRUE(l.session.is_idle());
  EXPECT_TRUE(l.quiet());
}

TEST_P(client, takes_size_zero_and_nonsense_as_no_limit) {
  for (const std::string_view size : {"SIZE 0", "SIZE", "SIZE abc", "SIZE 99999999999999999999999", "SIZE -1"}) {
    line l = connect().open("250-mx.test\r\n250 "s + std::string{size} + "\r\n");
    l.session.begin(message());
    EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=12\r\n") << size;
  }
}

TEST_P(client, says_smtputf8_for_addresses_outside_ascii) {
  line l = connect().open();
  l.session.begin(message({"j\xc3\xb6rg@x.test"}));
  EXPECT_TRUE(l.said().starts_with("MAIL FROM:<me@relay.test> SIZE=12 SMTPUTF8\r\nRCPT TO:<j\xc3\xb6rg@x.test>\r\n"));
}

TEST_P(client, fails_smtputf8_mail_to_a_server_without_it) {
  line l = connect().open(plain);
  auto t = message();
  t.needs_smtputf8 = true;
  l.session.begin(std::move(t));
  const auto o = l.only_outcome();
  EXPECT_EQ(o.disposition, disposition::failed);
  EXPECT_EQ(o.next, next_step::next_host);
  EXPECT_EQ(o.status.text(), "5.6.7");
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, sends_dsn_parameters_only_where_offered) {
  auto make = [] {
    auto t = message();
    t.parameters = "RET=HDRS";
    t.recipients[0].parameters = "NOTIFY=NEVER";
    return t;
  };
  line with = connect().open("250-mx\r\n250-PIPELINING\r\n250 DSN\r\n");
  with.session.begin(make());
  EXPECT_EQ(with.said(), "MAIL FROM:<me@relay.test> RET=HDRS\r\nRCPT TO:<a@x.test> NOTIFY=NEVER\r\nDATA\r\n");
  line without = connect().open("250-mx\r\n250 PIPELINING\r\n");
  without.session.begin(make());
  EXPECT_EQ(without.said(), "MAIL FROM:<me@relay.test>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
}

constexpr std::string_view binary_esmtp =
    "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 BINARYMIME\r\n";

const std::string binary_text = "S: t\r\n\r\n.\r\n\n\0\r."s;

client_transaction binary_message(std::vector<std::string> recipients = {"a@x.test"}) {
  auto t = message(std::move(recipients), binary_text);
  t.is_binary = t.is_8bit = true;
  return t;
}

// ---- how a message is to be delivered

TEST_P(client, passes_on_a_priority_where_it_is_known) {
  for (auto known : {true, false}) {
    line l = connect().open(known ? "250-mx\r\n250 MT-PRIORITY MIXER\r\n" : "250 mx\r\n");
    auto t = message();
    t.priority = -3;
    l.session.begin(std::move(t));
    EXPECT_EQ(l.said(), known ? "MAIL FROM:<me@relay.test> MT-PRIORITY=-3\r\n" : "MAIL FROM:<me@relay.test>\r\n");
  }
}

TEST_P(client, passes_on_what_is_left_of_the_time) {
  for (auto returns : {true, false}) {
    line l = connect().open("250-mx\r\n250 DELIVERBY 10\r\n");
    auto t = message();
    t.deliver_by = deliver_by_request{10s, returns, !returns};
    l.session.begin(std::move(t));
    EXPECT_EQ(l.said(), returns ? "MAIL FROM:<me@relay.test> BY=10;R\r\n" : "MAIL FROM:<me@relay.test> BY=10;NT\r\n");
  }
}

TEST_P(client, gives_nothing_that_is_to_come_back_in_time_to_a_server_that_cannot_see_to_it) {
  line l = connect().open(plain);
  auto t = message();
  t.deliver_by = deliver_by_request{10s, true, false};
  l.session.begin(std::move(t));
  auto outcome = l.only_outcome();
  EXPECT_EQ(outcome.disposition, disposition::failed);
  EXPECT_EQ(outcome.status.text(), "5.3.3");
  EXPECT_EQ(l.said(), "");
  EXPECT_TRUE(l.session.is_idle());
  t = message();
  t.deliver_by = deliver_by_request{-10s, false, false};
  l.session.begin(std::move(t));
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\n") << "who is only to be told will be told by us";
}

TEST_P(client, does_not_try_what_comes_too_late) {
  for (auto left : {9s, 0s, -1s}) {
    line l = connect().open(left == 9s ? "250-mx\r\n250 DELIVERBY 10\r\n" : "250-mx\r\n250 DELIVERBY\r\n");
    auto t = message();
    t.deliver_by = deliver_by_request{left, true, false};
    l.session.begin(std::move(t));
    auto outcome = l.only_outcome();
    EXPECT_EQ(outcome.disposition, disposition::failed);
    EXPECT_EQ(outcome.status.text(), "5.4.7");
  }
}

TEST_P(client, reads_no_nonsense_as_the_shortest_time) {
  for (auto ehlo : {"250-mx\r\n250 DELIVERBY x\r\n", "250-mx\r\n250 DELIVERBY 99999999999999999999\r\n"}) {
    line l = connect().open(ehlo);
    EXPECT_TRUE(l.session.capabilities().deliver_by);
    EXPECT_EQ(l.session.capabilities().deliver_by_min, 0s);
  }
}

client_options requiretls() {
  auto o = options(tls_mode::verify);
  o.requiretls = true;
  return o;
}

TEST_P(client, with_requiretls_fails_for_good_where_there_is_no_tls) {
  for (auto ehlo : {"250 mx\r\n", "500 what?\r\n"}) {
    line l = connect(requiretls());
    l.server("220 hi\r\n").server(ehlo);
    auto cause = l.must_close();
    ASSERT_TRUE(cause);
    EXPECT_EQ(cause->disposition, disposition::failed);
    EXPECT_EQ(cause->status.text(), "5.7.30");
  }
}

TEST_P(client, with_requiretls_fails_for_good_by_a_certificate_that_is_not_good) {
  for (auto refused : {true, false}) {
    line l = connect(requiretls());
    l.server("220 hi\r\n").server("250-mx\r\n250 STARTTLS\r\n").server("220 go\r\n");
    ASSERT_TRUE(l.event<client_start_tls>());
    refused ? l.session.tls_failed("wrong name", true) : l.session.tls_started({"TLSv1.3", "x", false});
    auto cause = l.must_close();
    ASSERT_TRUE(cause);
    EXPECT_EQ(cause->disposition, disposition::failed);
    EXPECT_EQ(cause->status.text(), "5.7.30");
  }
}

TEST_P(client, with_requiretls_tries_a_broken_handshake_again) {
  line l = connect(requiretls());
  l.server("220 hi\r\n").server("250-mx\r\n250 STARTTLS\r\n").server("220 go\r\n");
  ASSERT_TRUE(l.event<client_start_tls>());
  l.session.tls_failed("connection reset");
  auto cause = l.must_close();
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->disposition, disposition::deferred);
}

TEST_P(client, with_requiretls_wants_it_of_the_server_too) {
  for (auto known : {true, false}) {
    line l = connect(requiretls());
    l.server("220 hi\r\n").server("250-mx\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n").server("220 go\r\n");
    ASSERT_TRUE(l.event<client_start_tls>());
    l.session.tls_started({"TLSv1.3", "x", true});
    l.said();
    l.server(known ? "250-mx\r\n250 REQUIRETLS\r\n" : "250 mx\r\n");
    if (known) {
      ASSERT_TRUE(l.event<client_ready>());
      l.session.begin(message());
      EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> REQUIRETLS\r\n");
    } else {
      auto cause = l.must_close();
      ASSERT_TRUE(cause);
      EXPECT_EQ(cause->status.text(), "5.7.30");
    }
  }
}

TEST_P(client, sends_a_binary_message_as_one_chunk_byte_for_byte) {
  for (auto ehlo : {std::string{binary_esmtp}, std::string{"250-mx\r\n250-CHUNKING\r\n250 BINARYMIME\r\n"}}) {
    line l = connect().open(ehlo);
    l.session.begin(binary_message());
    auto said = l.said();
    l.server("250 ok\r\n");
    said += l.said();
    l.server("250 ok\r\n");
    said += l.said();
    EXPECT_EQ(said,
              "MAIL FROM:<me@relay.test> BODY=BINARYMIME\r\nRCPT TO:<a@x.test>\r\nBDAT 15 LAST\r\n" + binary_text);
    EXPECT_EQ(l.session.stage(), client_stage::final_dot);
    l.server("250 2.0.0 taken\r\n");
    EXPECT_EQ(l.only_outcome().disposition, disposition::delivered);
    EXPECT_TRUE(l.session.is_idle());
  }
}

TEST_P(client, sends_no_chunk_when_nobody_is_accepted) {
  line l = connect().open(binary_esmtp);
  l.session.begin(binary_message({"a@x.test", "b@x.test"}));
  EXPECT_NE(l.said(), "");
  l.server("250 ok\r\n550 5.1.1 no\r\n550 5.1.1 no\r\n");
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.outcomes().size(), 2U);
  EXPECT_TRUE(l.session.is_idle());
  l.session.begin(message());
  EXPECT_TRUE(l.said().starts_with("RSET\r\nMAIL"));
}

TEST_P(client, fails_a_binary_message_to_a_server_that_lacks_what_it_needs) {
  for (auto* missing : {"250-mx\r\n250-8BITMIME\r\n250 CHUNKING\r\n", "250-mx\r\n250 BINARYMIME\r\n", "250 mx\r\n"}) {
    line l = connect().open(missing);
    l.session.begin(binary_message());
    const auto o = l.only_outcome();
    EXPECT_EQ(o.disposition, disposition::failed);
    EXPECT_EQ(o.status.text(), "5.6.3");
    EXPECT_EQ(l.said(), "");
  }
}

TEST_P(client, gives_up_when_a_chunk_is_refused_before_its_end) {
  line l = connect().open(binary_esmtp);
  auto t = binary_message();
  t.body_follows = 10;
  l.session.begin(std::move(t));
  EXPECT_NE(l.said(), "");
  l.server("250 ok\r\n250 ok\r\n");
  EXPECT_NE(l.said(), "");
  l.server("552 5.3.4 too big\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::failed);
  EXPECT_TRUE(l.session.is_closed());
}

TEST_P(client, never_puts_an_address_on_the_wire_that_ends_its_command) {
  const std::string evil[] = {"a@x\r\nDATA", "a@x> NOTIFY=NEVER",   "a b@x", "<a@x", "a\0b@x"s,
                              "\"a@x",       std::string(600, 'a'), ""};
  for (const std::string& address : evil) {
    line l = connect().open();
    l.session.begin(message({address, "good@x.test"}));
    EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test> SIZE=12\r\nRCPT TO:<good@x.test>\r\nDATA\r\n") << address;
    l.server("250 ok\r\n250 ok\r\n354 go\r\n");
    l.said();
    l.server("250 ok\r\n");
    const auto all = l.outcomes();
    EXPECT_EQ(all[0].disposition, disposition::failed) << address;
    EXPECT_EQ(all[0].status.text(), "5.1.3");
    EXPECT_EQ(all[1].disposition, disposition::delivered);
  }
}

TEST_P(client, sends_quoted_local_parts_with_spaces_and_brackets) {
  line l = connect().open(plain);
  auto t = message();
  t.reverse_path = "\"a> \\\"b\"@x.test";
  l.session.begin(std::move(t));
  EXPECT_EQ(l.said(), "MAIL FROM:<\"a> \\\"b\"@x.test>\r\n");
}

TEST_P(client, fails_everybody_for_an_unsendable_sender) {
  line l = connect().open();
  auto t = message({"a@x.test", "b@x.test"});
  t.reverse_path = "a\nb@x";
  l.session.begin(std::move(t));
  EXPECT_EQ(l.said(), "");
  const auto all = l.outcomes();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].status.text(), "5.1.7");
}

// ---- greeting and EHLO

TEST_P(client, leaves_a_host_that_refuses_in_its_greeting) {
  line l = connect();
  l.server("554 5.7.1 go away\r\n");
  EXPECT_EQ(l.said(), "QUIT\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::failed);
  EXPECT_EQ(cause->next, next_step::next_host);
  EXPECT_EQ(cause->stage, client_stage::greeting);
  EXPECT_EQ(cause->text, "go away");
}

TEST_P(client, defers_on_421_in_the_greeting) {
  line l = connect();
  l.server("421 too busy\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(cause->next, next_step::next_host);
  EXPECT_EQ(cause->status.text(), "4.3.2");
}

TEST_P(client, refuses_a_greeting_that_is_not_220) {
  line l = connect();
  l.server("250 hello\r\n");
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.must_close()->status.text(), "4.5.0");
}

TEST_P(client, falls_back_to_helo) {
  line l = connect();
  l.server("220 hi\r\n");
  l.said();
  l.server("502 what?\r\n");
  EXPECT_EQ(l.said(), "HELO relay.test\r\n");
  l.server("250-old.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
  EXPECT_TRUE(l.event<client_ready>());
  EXPECT_FALSE(l.session.capabilities().esmtp);
  EXPECT_FALSE(l.session.capabilities().pipelining);
  EXPECT_EQ(l.session.capabilities().name, "old.test");
  l.session.begin(message());
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\n");
}

TEST_P(client, leaves_a_host_that_refuses_helo_too) {
  line l = connect();
  l.server("220 hi\r\n502 no\r\n550 no\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::failed);
  EXPECT_EQ(cause->next, next_step::next_host);
}

TEST_P(client, does_not_fall_back_to_helo_on_a_temporary_refusal) {
  line l = connect();
  l.server("220 hi\r\n");
  l.said();
  l.server("451 later\r\n");
  EXPECT_EQ(l.said(), "QUIT\r\n");
  EXPECT_EQ(l.must_close()->disposition, disposition::deferred);
}

// ---- TLS

constexpr std::string_view with_tls = "250-mx.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n";

TEST_P(client, starts_tls_and_asks_again_for_capabilities) {
  line l = connect();
  l.server("220 hi\r\n").server(with_tls);
  EXPECT_EQ(l.said(), "EHLO relay.test\r\nSTARTTLS\r\n");
  EXPECT_TRUE(l.quiet());
  l.server("220 go\r\n");
  EXPECT_TRUE(l.event<client_start_tls>());
  EXPECT_EQ(l.session.stage(), client_stage::handshake);
  EXPECT_EQ(l.said(), "");
  l.session.tls_started({"TLSv1.3", "X", false});
  EXPECT_EQ(l.said(), "EHLO relay.test\r\n");
  EXPECT_FALSE(l.session.capabilities().pipelining);
  l.server("250-mx.test\r\n250 8BITMIME\r\n");
  EXPECT_TRUE(l.event<client_ready>());
  EXPECT_TRUE(l.session.tls_active());
  EXPECT_FALSE(l.session.capabilities().pipelining);
  EXPECT_TRUE(l.session.capabilities().eightbitmime);
  l.session.begin(message());
  l.said();
  l.server("550 no\r\n");
  EXPECT_TRUE(l.only_outcome().tls);
}

TEST_P(client, drops_what_follows_the_220_to_starttls) {
  line l = connect();
  l.server("220 hi\r\n").server(with_tls);
  l.said();
  l.server("220 go\r\n250-evil\r\n250 PIPELINING\r\n250 ok\r\n354 go\r\n250 ok\r\n");
  EXPECT_TRUE(l.event<client_start_tls>());
  EXPECT_TRUE(l.quiet());
  l.session.tls_started({});
  EXPECT_EQ(l.said(), "EHLO relay.test\r\n");
  EXPECT_TRUE(l.quiet()) << "nothing from before TLS may count as a reply";
}

TEST_P(client, goes_on_in_clear_when_starttls_is_refused_and_tls_is_opportunistic) {
  line l = connect();
  l.server("220 hi\r\n").server(with_tls);
  l.said();
  l.server("454 not now\r\n");
  EXPECT_TRUE(l.event<client_ready>());
  l.session.begin(message());
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
}

TEST_P(client, does_not_go_on_in_clear_when_tls_is_required) {
  for (const tls_mode mode : {tls_mode::require, tls_mode::verify}) {
    line l = connect(options(mode));
    l.server("220 hi\r\n").server(with_tls);
    l.said();
    l.server("502 no\r\n");
    EXPECT_EQ(l.said(), "QUIT\r\n");
    const auto cause = l.must_close();
    EXPECT_EQ(cause->disposition, disposition::deferred);
    EXPECT_EQ(cause->status.text(), "4.7.4");
  }
}

TEST_P(client, defers_when_required_tls_is_not_offered_and_names_the_host) {
  line l = connect(options(tls_mode::require));
  l.server("220 hi\r\n").server(plain);
  EXPECT_EQ(l.said(), "QUIT\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(cause->status.text(), "4.7.4");
  EXPECT_NE(cause->text.find("mx.test"), std::string::npos);
}

TEST_P(client, does_not_fall_back_to_helo_when_tls_is_required) {
  line l = connect(options(tls_mode::verify));
  l.server("220 hi\r\n");
  l.said();
  l.server("502 no\r\n");
  EXPECT_EQ(l.said(), "QUIT\r\n");
  EXPECT_EQ(l.must_close()->status.text(), "4.7.4");
}

TEST_P(client, never_starts_tls_when_told_not_to) {
  line l = connect(options(tls_mode::none)).open(with_tls);
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, leaves_a_host_whose_certificate_is_not_valid_when_it_must_be) {
  line l = connect(options(tls_mode::verify));
  l.server("220 hi\r\n").server(with_tls).server("220 go\r\n");
  l.said();
  EXPECT_TRUE(l.event<client_start_tls>());
  l.session.tls_started({"TLSv1.3", "X", false});
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.must_close()->status.text(), "4.7.5");
}

TEST_P(client, reports_a_broken_handshake_with_its_stage) {
  line l = connect();
  l.server("220 hi\r\n").server(with_tls).server("220 go\r\n");
  EXPECT_TRUE(l.event<client_start_tls>());
  l.session.tls_failed("wrong version number");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->stage, client_stage::handshake);
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(cause->text, "TLS failed: wrong version number");
}

TEST_P(client, runs_inside_tls_from_the_first_byte) {
  line l = connect(options(tls_mode::verify));
  l.session.tls_started({"TLSv1.3", "X", true});
  EXPECT_EQ(l.said(), "");
  l.open(plain);
  EXPECT_TRUE(l.session.tls_active());
}

TEST_P(client, does_not_start_tls_inside_tls) {
  line l = connect();
  l.server("220 hi\r\n").server(with_tls).server("220 go\r\n");
  EXPECT_TRUE(l.event<client_start_tls>());
  l.session.tls_started({});
  l.said();
  l.server(with_tls);
  EXPECT_TRUE(l.event<client_ready>());
  EXPECT_EQ(l.said(), "");
}

// ---- AUTH

client_options with_password(bool allow_clear = true) {
  client_options o = options();
  o.credentials = client_credentials{"user", "secret", allow_clear};
  return o;
}

TEST_P(client, authenticates_with_plain) {
  line l = connect(with_password());
  l.server("220 hi\r\n").server("250-mx\r\n250 AUTH LOGIN PLAIN\r\n");
  EXPECT_EQ(l.said(), "EHLO relay.test\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
  EXPECT_TRUE(l.quiet());
  l.server("235 2.7.0 ok\r\n");
  EXPECT_TRUE(l.event<client_ready>());
}

TEST_P(client, authenticates_with_login_where_there_is_no_plain) {
  line l = connect(with_password());
  l.server("220 hi\r\n").server("250-mx\r\n250 AUTH LOGIN\r\n");
  EXPECT_EQ(l.said(), "EHLO relay.test\r\nAUTH LOGIN\r\n");
  l.server("334 VXNlcm5hbWU6\r\n");
  EXPECT_EQ(l.said(), "dXNlcg==\r\n");
  l.server("334 UGFzc3dvcmQ6\r\n");
  EXPECT_EQ(l.said(), "c2VjcmV0\r\n");
  l.server("235 ok\r\n");
  EXPECT_TRUE(l.event<client_ready>());
}

TEST_P(client, defers_when_its_password_is_wrong) {
  line l = connect(with_password());
  l.server("220 hi\r\n").server("250-mx\r\n250 AUTH PLAIN\r\n").server("535 5.7.8 no\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(cause->status.text(), "4.7.8");
  EXPECT_EQ(cause->stage, client_stage::auth);
}

TEST_P(client, does_not_send_its_password_in_clear) {
  line l = connect(with_password(false));
  l.server("220 hi\r\n").server("250-mx\r\n250 AUTH PLAIN\r\n");
  EXPECT_EQ(l.said().find("AUTH"), std::string::npos);
  EXPECT_EQ(l.must_close()->status.text(), "4.7.0");
}

TEST_P(client, does_not_answer_endless_challenges) {
  line l = connect(with_password());
  l.server("220 hi\r\n").server("250-mx\r\n250 AUTH LOGIN\r\n").server("334 a\r\n334 b\r\n334 c\r\n");
  EXPECT_EQ(l.must_close()->status.text(), "4.5.0");
}

// ---- refusals in the envelope

TEST_P(client, keeps_the_state_of_each_recipient_apart) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test", "c@x.test", "d@x.test"}));
  l.said();
  l.server("250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n450 4.2.0 greylisted\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(l.said(), "S: t\r\n\r\nhi\r\n.\r\n");
  l.server("250 2.0.0 done\r\n");
  const auto all = l.outcomes();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].disposition, disposition::failed);
  EXPECT_EQ(all[0].summary(), "550 5.1.1 unknown");
  EXPECT_EQ(all[1].disposition, disposition::delivered);
  EXPECT_EQ(all[2].disposition, disposition::deferred);
  EXPECT_EQ(all[2].stage, client_stage::rcpt);
  EXPECT_EQ(all[3].disposition, disposition::delivered);
}

TEST_P(client, a_bad_end_of_data_does_not_touch_who_was_refused_before) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test"}));
  l.said();
  l.server("250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n354 go\r\n");
  l.said();
  l.server("451 4.3.0 later\r\n");
  const auto all = l.outcomes();
  EXPECT_EQ(all[0].disposition, disposition::failed);
  EXPECT_EQ(all[1].disposition, disposition::deferred);
  EXPECT_EQ(all[1].stage, client_stage::final_dot);
}

TEST_P(client, a_refused_sender_is_the_answer_for_all) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test"}));
  l.said();
  l.server("553 5.1.8 bad sender\r\n503 no\r\n503 no\r\n503 no\r\n");
  const auto all = l.outcomes();
  EXPECT_EQ(all[0].summary(), "553 5.1.8 bad sender");
  EXPECT_EQ(all[1].summary(), "553 5.1.8 bad sender");
  EXPECT_TRUE(l.session.is_idle());
  EXPECT_EQ(l.said(), "");
  l.session.begin(message());
  EXPECT_TRUE(l.said().starts_with("MAIL ")) << "no RSET after a refused MAIL";
}

TEST_P(client, says_no_more_after_a_refused_sender_without_pipelining) {
  line l = connect().open(plain);
  l.session.begin(message({"a@x.test", "b@x.test"}));
  l.said();
  l.server("451 4.7.1 later\r\n");
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.outcomes()[1].disposition, disposition::deferred);
}

TEST_P(client, says_no_data_without_an_accepted_recipient) {
  line l = connect().open(plain);
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n");
  l.said();
  l.server("550 no\r\n");
  EXPECT_EQ(l.said(), "");
  EXPECT_EQ(l.only_outcome().disposition, disposition::failed);
  l.session.begin(message());
  EXPECT_EQ(l.said(), "RSET\r\n") << "the sender is still set there";
  l.server("250 ok\r\n");
  EXPECT_EQ(l.said(), "MAIL FROM:<me@relay.test>\r\n");
}

TEST_P(client, sends_a_lone_dot_after_354_without_an_accepted_recipient) {
  for (const std::string_view replies :
       {"250 ok\r\n550 no\r\n354 go\r\n", "550 no\r\n550 no\r\n354 go\r\n", "550 no\r\n250 ok\r\n354 go\r\n"}) {
    line l = connect().open();
    l.session.begin(message());
    l.said();
    l.server(replies);
    EXPECT_EQ(l.said(), ".\r\n") << replies;
    EXPECT_TRUE(l.quiet());
    l.server("250 ok queued nothing\r\n");
    EXPECT_EQ(l.only_outcome().disposition, disposition::failed);
    EXPECT_TRUE(l.session.is_idle());
    EXPECT_TRUE(l.quiet());
  }
}

TEST_P(client, resets_before_the_next_message_when_nobody_was_accepted) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n550 no\r\n503 no recipients\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::failed);
  l.session.begin(message());
  EXPECT_EQ(l.said(), "RSET\r\nMAIL FROM:<me@relay.test> SIZE=12\r\nRCPT TO:<a@x.test>\r\nDATA\r\n");
  l.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  l.said();
  l.server("250 ok\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::delivered);
  l.session.begin(message());
  EXPECT_TRUE(l.said().starts_with("MAIL ")) << "no RSET after a whole transaction";
}

TEST_P(client, begins_anew_on_another_connection_when_reset_fails) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n550 no\r\n503 no\r\n");
  l.outcomes();
  l.session.begin(message());
  l.said();
  l.server("500 what\r\n");
  EXPECT_EQ(l.only_outcome().next, next_step::again);
  l.must_close();
}

TEST_P(client, a_refused_data_command_is_the_answer_for_the_accepted) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test"}));
  l.said();
  l.server("250 ok\r\n250 ok\r\n550 no\r\n451 4.3.1 disk full\r\n");
  const auto all = l.outcomes();
  EXPECT_EQ(all[0].summary(), "451 4.3.1 disk full");
  EXPECT_EQ(all[1].summary(), "550 5.0.0 no");
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, asks_for_another_transaction_after_too_many_recipients) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test", "c@x.test"}));
  l.said();
  l.server("250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n452 4.5.3 too many\r\n354 go\r\n");
  l.said();
  l.server("250 ok\r\n");
  const auto all = l.outcomes();
  EXPECT_EQ(all[0].disposition, disposition::delivered);
  EXPECT_EQ(all[1].disposition, disposition::deferred);
  EXPECT_EQ(all[1].next, next_step::again);
  EXPECT_EQ(all[2].next, next_step::again);
  EXPECT_TRUE(l.session.is_idle());
}

// ---- 421 anywhere

TEST_P(client, gives_up_at_421_and_keeps_what_was_settled) {
  line l = connect().open();
  l.session.begin(message({"a@x.test", "b@x.test", "c@x.test"}));
  l.said();
  l.server("250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n421 4.7.0 enough\r\n");
  const auto all = l.outcomes();
  EXPECT_EQ(all[0].disposition, disposition::failed);
  EXPECT_EQ(all[1].disposition, disposition::deferred) << "accepted, but the message was never sent";
  EXPECT_EQ(all[2].summary(), "421 4.7.0 enough");
  l.must_close();
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, defers_at_421_in_every_stage_before_the_end) {
  const std::string before[] = {"", "250 ok\r\n", "250 ok\r\n250 ok\r\n", "250 ok\r\n250 ok\r\n354 go\r\n"};
  for (const std::string& replies : before) {
    line l = connect().open();
    l.session.begin(message());
    l.said();
    l.server(replies);
    l.server("421 bye\r\n");
    const auto o = l.only_outcome();
    EXPECT_EQ(o.disposition, disposition::deferred) << replies;
    EXPECT_EQ(o.reply_code, 421);
    l.must_close();
    EXPECT_EQ(l.said(), "") << "not a byte more, above all no dot";
  }
}

TEST_P(client, defers_at_421_after_the_final_dot) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  l.said();
  l.server("421 4.3.2 going down\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::deferred);
  l.must_close();
}

TEST_P(client, an_idle_connection_that_says_421_is_over) {
  line l = connect().open();
  l.server("421 idle too long\r\n");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->disposition, disposition::deferred);
  EXPECT_EQ(cause->next, next_step::again);
}

TEST_P(client, a_stale_kept_connection_is_worth_a_fresh_one) {
  for (const bool by_reply : {true, false}) {
    line l = connect().open();
    l.session.begin(message());
    l.said();
    l.server("250 ok\r\n250 ok\r\n354 go\r\n");
    l.said();
    l.server("250 ok\r\n");
    l.outcomes();
    l.session.begin(message());
    l.said();
    if (by_reply)
      l.server("421 timeout\r\n");
    else
      l.session.connection_lost("reset by peer");
    const auto o = l.only_outcome();
    EXPECT_EQ(o.disposition, disposition::deferred);
    EXPECT_EQ(o.next, next_step::again);
    l.must_close();
  }
}

// ---- the connection breaks

struct break_point {
  std::string_view replies;
  bool send_body;
  enum disposition expected;
};

TEST_P(client, knows_the_outcome_wherever_the_connection_breaks) {
  const break_point points[] = {
      {"", false, disposition::deferred},
      {"250 ok\r\n", false, disposition::deferred},
      {"250 ok\r\n250 ok\r\n", false, disposition::deferred},
      {"250 ok\r\n250 ok\r\n354 go\r\n", false, disposition::deferred},
      {"250 ok\r\n250 ok\r\n354 go\r\n", true, disposition::unknown},
      {"250 ok\r\n250 ok\r\n354 go\r\n250", true, disposition::unknown},
  };
  for (const bool by_timeout : {false, true})
    for (const break_point& p : points) {
      line l = connect().open();
      l.session.begin(message());
      l.said();
      const std::string_view first =
          p.replies.substr(0, p.send_body ? p.replies.find("354 go\r\n") + 8 : p.replies.size());
      l.server(first);
      if (p.send_body)
        l.said();
      l.server(p.replies.substr(first.size()));
      if (by_timeout)
        l.session.timed_out();
      else
        l.session.connection_lost("reset by peer");
      const auto o = l.only_outcome();
      EXPECT_EQ(o.disposition, p.expected) << p.replies;
      EXPECT_EQ(o.status.text(), "4.4.2");
      EXPECT_EQ(o.reply_code, 0);
      const auto cause = l.must_close();
      EXPECT_EQ(cause->disposition, disposition::deferred) << "others that waited for this connection are not in doubt";
      EXPECT_TRUE(l.quiet());
      EXPECT_EQ(l.said(), "");
    }
}

TEST(client_flow, is_deferred_when_the_connection_breaks_before_the_dot_was_given_out) {
  line l{{65536, 65536}};
  l.open();
  l.session.begin(message({"a@x.test"}, std::string(900, 'x')));
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  std::vector<slice> out;
  EXPECT_EQ(l.session.next_output(out, 900), 900U) << "all of the body, without its last line end and the dot";
  EXPECT_EQ(l.session.stage(), client_stage::body);
  l.session.connection_lost("reset");
  EXPECT_EQ(l.only_outcome().disposition, disposition::deferred);
}

TEST_P(client, reports_a_connection_lost_before_it_was_ready) {
  line l = connect();
  l.session.connection_lost("reset by peer");
  const auto cause = l.must_close();
  EXPECT_EQ(cause->text, "connection lost: reset by peer");
  EXPECT_EQ(cause->stage, client_stage::greeting);
  EXPECT_EQ(cause->next, next_step::next_host);
}

TEST_P(client, reports_the_end_only_once) {
  line l = connect().open();
  l.session.begin(message());
  l.session.connection_lost("a");
  l.session.connection_lost("b");
  l.session.timed_out();
  l.session.quit();
  l.server("250 ok\r\n");
  l.outcomes();
  l.must_close();
  EXPECT_TRUE(l.quiet());
}

TEST_P(client, aborts_a_running_transaction_on_quit) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.session.quit();
  const auto o = l.only_outcome();
  EXPECT_EQ(o.disposition, disposition::deferred);
  EXPECT_EQ(o.status.text(), "4.3.2");
  l.must_close();
}

// ---- hostile servers

TEST_P(client, survives_an_endless_reply_line_in_every_stage) {
  const std::string endless = "250 " + std::string(10'000, 'x');
  const std::string_view before[] = {"", "220 hi\r\n", "220 hi\r\n250 mx\r\n"};
  for (const std::string_view replies : before) {
    line l = connect();
    l.server(replies);
    l.said();
    l.event<client_ready>();
    l.server(endless);
    EXPECT_EQ(l.must_close()->status.text(), "4.5.0");
  }
}

TEST_P(client, survives_ten_thousand_ehlo_lines) {
  line l = connect();
  l.server("220 hi\r\n");
  for (int i = 0; i < 10'000 && !l.session.is_closed(); ++i)
    l.server("250-STARTTLS\r\n");
  l.must_close();
}

TEST_P(client, survives_binary_greetings) {
  line l = connect();
  l.server("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"s);
  EXPECT_EQ(l.must_close()->text, "the server broke the protocol: a line of the reply does not begin with a code");
}

TEST_P(client, takes_a_wrong_class_of_reply_for_a_broken_server) {
  struct wrong {
    std::string_view replies;
    enum disposition expected;
  };
  const wrong cases[] = {
      {"354 go\r\n", disposition::deferred},                      // to MAIL
      {"250 ok\r\n354 go\r\n", disposition::deferred},            // to RCPT
      {"250 ok\r\n250 ok\r\n250 ok\r\n", disposition::deferred},  // to DATA
      {"250 ok\r\n250 ok\r\n221 bye\r\n", disposition::deferred}, // to DATA
  };
  for (const wrong& w : cases) {
    line l = connect().open();
    l.session.begin(message());
    l.said();
    l.server(w.replies);
    EXPECT_EQ(l.only_outcome().disposition, w.expected) << w.replies;
    l.must_close();
    EXPECT_EQ(l.said(), "");
  }
}

TEST_P(client, is_in_doubt_after_nonsense_at_the_end_of_data) {
  for (const std::string_view nonsense : {"354 go on\r\n", "hello\r\n", "250-a\r\n550 b\r\n"}) {
    line l = connect().open();
    l.session.begin(message());
    l.said();
    l.server("250 ok\r\n250 ok\r\n354 go\r\n");
    l.said();
    l.server(nonsense);
    EXPECT_EQ(l.only_outcome().disposition, disposition::unknown) << nonsense;
    EXPECT_EQ(l.must_close()->disposition, disposition::deferred);
  }
}

TEST(client_flow, does_not_believe_a_positive_reply_before_the_end_of_the_message) {
  line l{{65536, 100}};
  l.open();
  l.session.begin(message({"a@x.test"}, std::string(900, 'x')));
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  std::vector<slice> out;
  l.session.next_output(out, 100);
  l.server("250 thanks, I have it already\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::deferred);
  l.must_close();
  EXPECT_EQ(l.said(), "");
}

TEST(client_flow, takes_a_refusal_in_the_middle_of_the_message_and_sends_no_dot) {
  line l{{65536, 100}};
  l.open();
  l.session.begin(message({"a@x.test"}, std::string(900, 'x')));
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  std::vector<slice> out;
  l.session.next_output(out, 100);
  l.server("552 5.3.4 too big\r\n");
  const auto o = l.only_outcome();
  EXPECT_EQ(o.disposition, disposition::failed);
  EXPECT_EQ(o.status.text(), "5.3.4");
  EXPECT_EQ(l.must_close()->disposition, disposition::deferred) << "other messages are not too big";
  EXPECT_EQ(l.said(), "");
}

TEST_P(client, leaves_a_server_that_speaks_without_being_asked) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  l.said();
  l.server("250 ok\r\n250 and another\r\n");
  EXPECT_EQ(l.only_outcome().disposition, disposition::delivered);
  l.must_close();
}

TEST_P(client, makes_reply_texts_harmless) {
  line l = connect().open();
  l.session.begin(message());
  l.said();
  l.server("250 ok\r\n550 5.1.1 x\rFrom: evil\x1b[2J\xff\r\n503 no\r\n");
  EXPECT_EQ(l.only_outcome().text, "x From: evil [2J?");
}

// ---- flow and time

TEST(client_flow, gives_a_large_body_out_by_reference_and_in_portions) {
  line l{{65536, 65536}};
  l.open("250-mx\r\n250 PIPELINING\r\n");
  client_transaction t = message();
  t.body = {};
  const slice chunk = slice::copy_of(std::string(1U << 20U, 'x'));
  for (int i = 0; i < 25; ++i)
    t.body.append(chunk);
  const std::size_t live = buffer_bytes_live();
  l.session.begin(std::move(t));
  l.said();
  l.server("250 ok\r\n250 ok\r\n354 go\r\n");
  std::size_t total = 0;
  while (l.session.has_output()) {
    std::vector<slice> out;
    const std::size_t given = l.session.next_output(out, 65536);
    EXPECT_LE(given, 65536U + 5U);
    total += given;
  }
  EXPECT_EQ(total, (25U << 20U) + 5U);
  EXPECT_LE(buffer_bytes_live(), live + 4096);
  EXPECT_EQ(l.session.stage(), client_stage::final_dot);
}

TEST(client_flow, has_the_timeouts_of_rfc_5321) {
  line l{{65536, 65536}};
  EXPECT_EQ(l.session.current_timeout(), 5min);
  l.server("220 hi\r\n");
  EXPECT_EQ(l.session.current_timeout(), 5min);
  l.server("250 mx\r\n");
  EXPECT_EQ(l.session.current_timeout(), std::nullopt);
  l.session.begin(message());
  EXPECT_EQ(l.session.current_timeout(), 5min);
  l.server("250 ok\r\n");
  EXPECT_EQ(l.session.stage(), client_stage::rcpt);
  EXPECT_EQ(l.session.current_timeout(), 5min);
  l.server("250 ok\r\n");
  EXPECT_EQ(l.session.current_timeout(), 2min);
  l.server("354 ok\r\n");
  EXPECT_EQ(l.session.current_timeout(), 3min);
  l.said();
  EXPECT_EQ(l.session.current_timeout(), 10min);
  l.server("250 ok\r\n");
  EXPECT_EQ(l.session.current_timeout(), std::nullopt);
}

TEST(client_flow, uses_the_timeouts_it_is_given) {
  client_options o = options();
  o.timeouts.greeting = 7s;
  line l{{65536, 65536}, o};
  EXPECT_EQ(l.session.current_timeout(), 7s);
}

TEST(client_flow, stops_the_process_when_begun_while_busy) {
  line l{{65536, 65536}};
  EXPECT_DEATH(l.session.begin(message()), "not idle");
}

TEST(client_flow, pipelines_a_thousand_recipients) {
  line l{{65536, 4096}};
  l.open();
  std::vector<std::string> to(1000, "a@x.test");
  l.session.begin(message(to));
  l.said();
  std::string replies = "250 ok\r\n";
  for (int i = 0; i < 1000; ++i)
    replies += i % 2 == 0 ? "250 ok\r\n" : "550 no\r\n";
  l.server(replies + "354 go\r\n");
  l.said();
  l.server("250 ok\r\n");
  const auto all = l.outcomes();
  ASSERT_EQ(all.size(), 1000U);
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i].disposition, i % 2 == 0 ? disposition::delivered : disposition::failed);
}

} // namespace
} // namespace hedwig::smtp
