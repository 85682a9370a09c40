// SPDX-License-Identifier: Apache-2.0
// filter-ratelimit from its real file, over a virtual clock.
#include "tests/component/filters/running_filter.hpp"

#include <atomic>
#include <thread>

namespace hedwig::plugin::testing {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;

config::node ratelimit_settings(std::vector<members> limits, members more = {}) {
  std::vector<config::node> tables;
  for (auto& one : limits)
    tables.push_back(table(one));
  more.push_back({"limit", list(std::move(tables))});
  return table(std::move(more));
}

/// A session as the relay would hold it.
struct ratelimit_client {
  ratelimit_client(running_filter& on, filter_session_view view) : on_{on}, session_{on.filter->open(view)} {
    EXPECT_TRUE(session_->on_auth(view, {on.sink, 1, {}}));
  }
  /// One message; gives the reply of the first command that is put off, or nothing.
  std::string send(const std::string& sender, const std::vector<std::string>& recipients) {
    session_->on_reset();
    auto mail = answer(session_->on_mail({sender, {}}, {on_.sink, 1, {}}));
    for (auto& one : recipients)
      if (mail.empty())
        mail = answer(session_->on_recipient({one, {}}, {on_.sink, 1, {}}));
    return mail;
  }
  static std::string answer(const hook_answer& from) {
    EXPECT_TRUE(from && *from);
    return (*from)->action == verdict_action::proceed ? "" : std::to_string((*from)->code) + " " + (*from)->text;
  }
  running_filter& on_;
  std::unique_ptr<filter_session> session_;
};

struct ratelimit_run : running_filter {
  explicit ratelimit_run(std::vector<members> limits, members more = {})
    : running_filter{"ratelimit", ratelimit_settings(std::move(limits), std::move(more))} {}

  std::string send(filter_session_view view, const std::string& sender = "ada@a.test",
                   const std::vector<std::string>& recipients = {"bob@b.test"}) {
    return ratelimit_client{*this, std::move(view)}.send(sender, recipients);
  }
};

const filter_session_view one_client{.listener = "in", .peer = "192.0.2.1"};

members ratelimit_of(std::string by, std::int64_t messages, std::string per = "1h") {
  return {{"by", text(std::move(by))}, {"messages", number(messages)}, {"per", text(std::move(per))}};
}

filter_session_view member_of(std::string user, std::vector<std::string> groups) {
  return {.listener = "in",
          .peer = "192.0.2.1",
          .identity = std::move(user),
          .user = std::make_shared<const user_facts>(std::move(groups), decltype(user_facts::attributes){})};
}

TEST(filter_ratelimit, limits_members_of_a_group_only_and_leaves_others_alone) {
  auto limit = ratelimit_of("user", 1);
  limit.push_back({"groups", texts({"Guests"})});
  ratelimit_run on{{limit}, {{"exempt_groups", texts({"board"})}}};
  EXPECT_EQ(on.send(member_of("ada", {"staff", "guests"})), "");
  EXPECT_NE(on.send(member_of("ada", {"staff", "guests"})), "");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(on.send(member_of("bob", {"staff"})), "");
    EXPECT_EQ(on.send(member_of("carl", {"GUESTS", "Board"})), "");
    EXPECT_EQ(on.send(one_client), "");
  }
}

TEST(filter_ratelimit, puts_off_what_is_too_much_and_says_until_when) {
  ratelimit_run on{{ratelimit_of("client", 4)}};
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(on.send(one_client), "");
  EXPECT_EQ(on.send(one_client), "450 Too many messages from your address; try again in 15 minutes");
  on.clock.now += minutes{14};
  EXPECT_EQ(on.send(one_client), "450 Too many messages from your address; try again in 60 seconds");
  on.clock.now += minutes{1};
  EXPECT_EQ(on.send(one_client), "");
  EXPECT_NE(on.send(one_client), "");
  on.clock.now += hours{1};
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(on.send(one_client), "");
  EXPECT_NE(on.send(one_client), "");
  EXPECT_TRUE(on.log->has("a limit is reached"));
}

TEST(filter_ratelimit, counts_an_ipv6_client_by_its_64_and_a_mapped_one_as_ipv4) {
  ratelimit_run on{{ratelimit_of("client", 1)}};
  EXPECT_EQ(on.send({.peer = "2001:db8:0:1::1"}), "");
  EXPECT_NE(on.send({.peer = "2001:db8:0:1:ffff::2"}), "");
  EXPECT_EQ(on.send({.peer = "2001:db8:0:2::1"}), "");
  EXPECT_EQ(on.send({.peer = "::ffff:192.0.2.7"}), "");
  EXPECT_NE(on.send({.peer = "192.0.2.7"}), "");
  EXPECT_EQ(on.send({.peer = "::ffff:192.0.2.8"}), "");
}

TEST(filter_ratelimit, counts_by_user_sender_and_recipient) {
  ratelimit_run user{{ratelimit_of("user", 1)}};
  EXPECT_EQ(user.send({.identity = "ada"}), "");
  EXPECT_NE(user.send({.peer = "192.0.2.9", .identity = "ada"}), "");
  EXPECT_EQ(user.send({.identity = "eve"}), "");
  EXPECT_EQ(user.send(one_client), "") << "nobody has authenticated";
  EXPECT_EQ(user.send(one_client), "");
  ratelimit_run domain{{ratelimit_of("sender_domain", 1)}};
  EXPECT_EQ(domain.send(one_client, "ada@a.test"), "");
  EXPECT_THAT(domain.send(one_client, "eve@A.Test."), HasSubstr("Too many messages from this domain"));
  EXPECT_EQ(domain.send(one_client, "ada@b.test"), "");
  ratelimit_run to{{ratelimit_of("recipient_domain", 1)}};
  EXPECT_EQ(to.send(one_client, "ada@a.test", {"x@b.test", "y@b.test", "x@c.test"}), "") << "one message a domain";
  EXPECT_THAT(to.send(one_client, "ada@a.test", {"x@d.test", "z@b.test"}), HasSubstr("to this domain"));
}

TEST(filter_ratelimit, counts_recipients_and_messages_each_by_their_own_number) {
  auto both = ratelimit_of("client", 2);
  both.push_back({"recipients", number(3)});
  ratelimit_run on{{both}};
  EXPECT_EQ(on.send(one_client, "ada@a.test", {"1@b.test", "2@b.test", "3@b.test"}), "");
  EXPECT_THAT(on.send(one_client), HasSubstr("Too many recipients from your address; try again in 20 minutes"));
  on.clock.now += minutes{20};
  EXPECT_EQ(on.send(one_client), "");
  on.clock.now += minutes{9};
  EXPECT_THAT(on.send(one_client), HasSubstr("Too many messages"));
}

TEST(filter_ratelimit, gives_back_what_one_limit_gave_when_another_says_no) {
  ratelimit_run on{{ratelimit_of("client", 2), ratelimit_of("recipient_domain", 1)}};
  EXPECT_EQ(on.send(one_client), "");
  EXPECT_NE(on.send(one_client), "") << "the recipients' domain is used up";
  EXPECT_EQ(on.send(one_client, "ada@a.test", {"x@c.test"}), "") << "the client has one left";
  EXPECT_NE(on.send(one_client, "ada@a.test", {"x@d.test"}), "");
}

TEST(filter_ratelimit, spares_those_who_are_exempt) {
  ratelimit_run on{{ratelimit_of("client", 1)},
                   {{"exempt_clients", texts({"10.0.0.0/8", "2001:db8::/33", "192.0.2.5"})},
                    {"exempt_users", texts({"ada"})},
                    {"exempt_listeners", texts({"inside"})}}};
  auto twice = [&](filter_session_view view) { return on.send(view) + on.send(view); };
  EXPECT_EQ(twice({.peer = "10.255.0.1"}), "");
  EXPECT_EQ(twice({.peer = "2001:db8:7fff::1"}), "");
  EXPECT_NE(twice({.peer = "2001:db8:8000::1"}), "");
  EXPECT_EQ(twice({.peer = "192.0.2.5"}), "");
  EXPECT_NE(twice({.peer = "192.0.2.6"}), "");
  EXPECT_EQ(twice({.peer = "192.0.2.7", .identity = "ada"}), "");
  EXPECT_EQ(twice({.listener = "inside", .peer = "192.0.2.8"}), "");
}

TEST(filter_ratelimit, limits_only_the_listeners_and_values_it_names) {
  auto by = ratelimit_of("sender_domain", 1);
  by.push_back({"values", texts({"A.test"})});
  by.push_back({"listeners", texts({"in"})});
  ratelimit_run on{{by}};
  EXPECT_EQ(on.send(one_client, "x@b.test") + on.send(one_client, "x@b.test"), "");
  EXPECT_EQ(on.send({.listener = "out"}) + on.send({.listener = "out"}), "");
  EXPECT_NE(on.send(one_client) + on.send(one_client), "");
}

TEST(filter_ratelimit, keeps_counts_through_a_reload) {
  auto named = ratelimit_of("client", 1);
  named.push_back({"name", text("clients")});
  ratelimit_run on{{named}};
  EXPECT_EQ(on.send(one_client), "");
  on.reload(ratelimit_settings({ratelimit_of("user", 1), named}));
  EXPECT_NE(on.send(one_client), "");
}

TEST(filter_ratelimit, keeps_a_used_up_count_in_a_flood_of_fresh_ones) {
  ratelimit_run on{{ratelimit_of("client", 4), ratelimit_of("sender_domain", 4)}, {{"max_buckets", number(64)}}};
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(on.send(one_client, "x@victim.test"), "");
  ASSERT_NE(on.send(one_client, "x@victim.test"), "");
  // A thousand times as many senders as there is room for.
  for (int i = 0; i < 64'000; ++i)
    on.send({.peer = "10.0." + std::to_string(i / 256 % 256) + "." + std::to_string(i % 256)},
            "x@" + std::to_string(i) + ".test");
  EXPECT_THAT(on.send(one_client, "x@other.test"), HasSubstr("from your address"));
  EXPECT_THAT(on.send({.peer = "172.16.0.1"}, "x@victim.test"), HasSubstr("from this domain"));
}

TEST(filter_ratelimit, holds_its_limit_when_many_ask_at_once) {
  ratelimit_run on{{ratelimit_of("sender_domain", 500)}};
  std::atomic<int> accepted{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i)
        accepted += on.send(one_client).empty() ? 1 : 0;
    });
  threads.clear();
  EXPECT_EQ(accepted, 500);
}

TEST(filter_ratelimit, names_what_is_wrong_with_a_limit) {
  auto fault = [](members limit, members more = {}) { return ratelimit_run{{std::move(limit)}, more}.error(); };
  EXPECT_THAT(fault({{"by", text("client")}}), HasSubstr("neither how many messages nor how many recipients"));
  EXPECT_THAT(fault(ratelimit_of("clients", 1)), HasSubstr("client"));
  EXPECT_THAT(fault(ratelimit_of("client", 0)), HasSubstr("messages"));
  EXPECT_THAT(fault(ratelimit_of("client", 1), {{"exempt_clients", texts({"10.0.0.0/33"})}}),
              HasSubstr("no address and no network"));
  auto burst = ratelimit_of("client", 1);
  burst.push_back({"burst", number(1'000'000)});
  EXPECT_THAT(fault(burst), HasSubstr("more than a year"));
  ratelimit_run twice{
      {ratelimit_of("client", 1), {{"name", text("limit 1")}, {"by", text("user")}, {"messages", number(1)}}}};
  EXPECT_THAT(twice.error(), HasSubstr("another limit is called"));
}

} // namespace
} // namespace hedwig::plugin::testing
