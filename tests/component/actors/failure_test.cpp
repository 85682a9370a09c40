// SPDX-License-Identifier: Apache-2.0
// What docs/architecture.md promises under "When an actor fails", on the real relay: one kind of actor after the other
// is ended as an exception in a handler would end it, with mail in its hands.
#include "tests/component/actors/running_relay.hpp"
#include "tests/component/actors/smtp_peers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace hedwig::test {

namespace {

/// Pauses double from a tenth of a second: after so many restarts one lasts 1.6 seconds.
constexpr std::size_t many = 4;

class actor_failure : public testing::Test {
protected:
  /// Ends all of a role and waits until the supervisor knows, so that they are dead for the pause that follows.
  void fail(std::string_view role) {
    auto before = relay_.restarts(role);
    auto ended = relay_.kill(role);
    ASSERT_GT(ended, 0u) << role;
    ASSERT_TRUE(wait_until([&] { return relay_.restarts(role) == before + ended; })) << role;
  }

  std::string submit(const std::string& subject, std::string_view from = "ann@sender.example",
                     std::string_view to = "bob@there.example") {
    EXPECT_FALSE(mail_client{relay_.port()}.submit(subject, from, to).empty()) << subject << " was not acknowledged";
    return subject;
  }

  /// All of the messages arrive, and nobody has to ask for it.
  [[nodiscard]] bool arrive(const std::vector<std::string>& subjects) {
    return wait_until([&] { return std::ranges::all_of(subjects, [&](auto& one) { return sink_.taken(one) > 0; }); });
  }

  [[nodiscard]] bool settle() {
    return wait_until([&] { return relay_.idle(); });
  }

  mail_sink sink_;
  running_relay relay_{sink_.port()};
};

TEST_F(actor_failure, of_a_session_costs_its_client_the_connection_and_nothing_else) {
  {
    mail_client one{relay_.port()};
    ASSERT_FALSE(one.submit("handed-over").empty());
    ASSERT_TRUE(one.command("MAIL FROM:<ann@sender.example>").starts_with("250"));
    ASSERT_EQ(relay_.kill("session"), 1u);
    EXPECT_EQ(one.reply(), "");
  }
  submit("after-it");
  EXPECT_TRUE(arrive({"handed-over", "after-it"}));
  EXPECT_TRUE(settle());
  EXPECT_EQ(sink_.taken("handed-over"), 1u);
  EXPECT_EQ(sink_.taken("after-it"), 1u);
  EXPECT_TRUE(wait_until([&] { return relay_.context().sessions_open == 0; }));
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_a_delivery_in_its_transaction_makes_its_message_be_tried_again) {
  sink_.hold();
  auto cut = submit("cut");
  auto behind = submit("behind");
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  fail("delivery");
  sink_.release();
  EXPECT_TRUE(arrive({behind}));
  EXPECT_TRUE(settle());
  EXPECT_GE(sink_.taken(behind), 1u);
  EXPECT_GE(sink_.taken(cut), 2u) << "the first answer was never heard";
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_a_destination_gives_its_queue_out_again) {
  sink_.hold();
  std::vector<std::string> queued;
  auto cut = submit("cut");
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  for (auto* subject : {"queued-1", "queued-2", "queued-3"})
    queued.push_back(submit(subject));
  fail("destination");
  ASSERT_TRUE(wait_until([&] { return relay_.living("delivery") == 0; })) << "its connections end with it";
  sink_.release();
  queued.push_back(submit("later"));
  EXPECT_TRUE(arrive(queued));
  EXPECT_TRUE(settle());
  for (auto& one : queued)
    EXPECT_EQ(sink_.taken(one), 1u) << one;
  EXPECT_EQ(sink_.taken(cut), 2u);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_dispatcher_gives_everything_in_flight_out_again) {
  ASSERT_TRUE(relay_.wear_out("dispatcher", many));
  sink_.hold();
  auto cut = submit("cut");
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  std::vector<std::string> waiting{submit("queued")};
  fail("dispatcher");
  waiting.push_back(submit("while-it-is-dead"));
  ASSERT_TRUE(wait_until([&] { return relay_.living("delivery") == 0 && relay_.living("destination") == 0; }));
  sink_.release();
  EXPECT_TRUE(arrive(waiting));
  EXPECT_TRUE(settle());
  for (auto& one : waiting)
    EXPECT_GE(sink_.taken(one), 1u) << one;
  EXPECT_GE(sink_.taken(cut), 2u);
  EXPECT_EQ(relay_.restarts_shown("dispatcher"), many + 1);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_signers_loses_no_message_and_no_signature) {
  ASSERT_TRUE(relay_.wear_out("signer", many));
  fail("signer");
  std::vector<std::string> sent;
  for (auto* subject : {"signed-1", "signed-2", "signed-3"})
    sent.push_back(submit(subject, "ann@signed.example"));
  EXPECT_TRUE(arrive(sent));
  EXPECT_TRUE(settle());
  for (auto& one : sent)
    EXPECT_NE(sink_.text_of(one).find("DKIM-Signature:"), std::string::npos) << one;
  EXPECT_EQ(relay_.restarts_shown("signer"), 2 * (many + 1));
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_bouncer_forgets_no_notification) {
  ASSERT_TRUE(relay_.wear_out("bouncer", many));
  fail("bouncer");
  auto refused = submit("refused", "ann@sender.example", "nobody@gone.example");
  ASSERT_TRUE(wait_until([&] { return sink_.refused() > 0; }));
  EXPECT_TRUE(wait_until([&] { return sink_.notifications_about(refused) > 0; }));
  EXPECT_TRUE(settle());
  EXPECT_EQ(sink_.notifications_about(refused), 1u);
  EXPECT_EQ(sink_.refused(), 1u) << "a failure is final";
  EXPECT_EQ(relay_.restarts_shown("bouncer"), many + 1);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_authenticator_is_a_temporary_no) {
  constexpr auto login = "AUTH PLAIN AGFubgBzZWNyZXQ="; // ann, secret
  {
    mail_client before{relay_.port()};
    ASSERT_TRUE(relay_.wear_out("authenticator", many));
    fail("authenticator");
    EXPECT_TRUE(before.command(login).starts_with("454")) << "told at once, not left waiting";
    EXPECT_FALSE(before.submit("without-a-name").empty());
  }
  ASSERT_TRUE(wait_until([&] { return relay_.restarts_shown("authenticator") == many + 1; }));
  auto welcome = wait_until([&] { return mail_client{relay_.port()}.command(login).starts_with("235"); });
  EXPECT_TRUE(welcome);
  EXPECT_TRUE(arrive({"without-a-name"}));
  EXPECT_TRUE(settle());
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_retry_timer_leaves_nothing_asleep) {
  ASSERT_TRUE(relay_.wear_out("retry-timer", many));
  sink_.defer_next(1);
  fail("retry-timer");
  auto late = submit("late");
  // Nobody asks for it: the new timer has to look by itself.
  EXPECT_TRUE(wait_until([&] { return sink_.taken(late) > 0; }));
  EXPECT_TRUE(wait_until([&] { return relay_.idle(); }));
  EXPECT_GE(sink_.taken(late), 1u);
  EXPECT_EQ(relay_.restarts_shown("retry-timer"), many + 1);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_a_listener_leaves_its_sessions_alone) {
  {
    mail_client there{relay_.port()};
    ASSERT_TRUE(there.connected());
    fail("listener");
    EXPECT_FALSE(there.submit("on-an-old-connection").empty());
  }
  EXPECT_TRUE(wait_until([&] { return mail_client{relay_.port()}.connected(); }));
  submit("on-a-new-connection");
  EXPECT_TRUE(arrive({"on-an-old-connection", "on-a-new-connection"}));
  EXPECT_TRUE(settle());
  EXPECT_EQ(relay_.restarts_shown("listener"), 1u);
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_the_spooler_ends_the_relay_and_what_is_on_disk_is_the_truth) {
  sink_.hold();
  std::vector<std::string> acknowledged{submit("in-delivery")};
  ASSERT_TRUE(wait_until([&] { return sink_.held() == 1; }));
  acknowledged.push_back(submit("queued"));
  // An exception in a handler: it answers into a function that is not there.
  relay_.ask({.verb = "pause", .argument = {}, .limit = 0, .cursor = {}, .answer = {}});
  ASSERT_TRUE(wait_until([&] { return !relay_.failure().empty(); }));
  EXPECT_NE(relay_.failure().find("spooler"), std::string::npos) << relay_.failure();
  relay_.end_now();
  sink_.release();
  relay_.start();
  EXPECT_TRUE(wait_until([&] { return relay_.idle() && sink_.taken("queued") > 0; }));
  EXPECT_EQ(sink_.taken("in-delivery"), 2u);
  EXPECT_EQ(sink_.taken("queued"), 1u);
  EXPECT_EQ(relay_.failure(), "");
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, of_all_in_turn_loses_nothing_that_was_acknowledged) {
  constexpr const char* roles[] = {"session",       "delivery",    "destination", "dispatcher", "signer",
                                   "authenticator", "retry-timer", "bouncer",     "listener"};
  std::atomic<bool> enough{false};
  std::atomic<std::size_t> acknowledged{0};
  std::vector<std::string> sent;
  std::thread client{[&] {
    for (std::size_t number = 0; !enough; ++number) {
      auto subject = "message-" + std::to_string(number);
      // Not acknowledged where its session or the listener failed.
      if (mail_client{relay_.port()}
              .submit(subject, number % 2 == 0 ? "ann@sender.example" : "ann@signed.example")
              .empty())
        continue;
      sent.push_back(subject);
      ++acknowledged;
    }
  }};
  for (auto* role : roles) {
    auto before = acknowledged.load();
    EXPECT_TRUE(wait_until([&] { return acknowledged > before; })) << "no mail is taken before the end of the " << role;
    // There may be none of it at this moment; those that come and go come again with the next message.
    EXPECT_TRUE(wait_until([&] { return relay_.kill(role) > 0; })) << role;
  }
  enough = true;
  client.join();
  ASSERT_FALSE(sent.empty());
  EXPECT_TRUE(arrive(sent));
  EXPECT_TRUE(settle());
  EXPECT_EQ(relay_.failure(), "");
  EXPECT_TRUE(relay_.stop());
}

TEST_F(actor_failure, does_not_hold_up_the_end) {
  ASSERT_TRUE(relay_.wear_out("dispatcher", many));
  fail("dispatcher");
  fail("signer");
  fail("listener");
  fail("bouncer");
  EXPECT_TRUE(relay_.stop()) << "though their restarts are pending";
}

} // namespace

} // namespace hedwig::test
