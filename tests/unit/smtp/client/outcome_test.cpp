// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/outcome.hpp"

#include <gtest/gtest.h>

namespace hedwig::smtp {
namespace {

server_reply reply(int code, enhanced_status status = {}, std::string text = "text") {
  return {code, status, std::move(text), {}};
}

struct row {
  client_stage stage;
  int code;
  enhanced_status status;
  bool accepted_some;
  enum disposition disposition;
  next_step next;
  std::string_view expected;
};

TEST(outcome, follows_the_table) {
  using enum disposition;
  using enum next_step;
  using s = client_stage;
  const row rows[] = {
      {s::final_dot, 250, {2, 0, 0}, true, delivered, none, "2.0.0"},
      {s::final_dot, 250, {}, true, delivered, none, "2.0.0"},
      {s::final_dot, 451, {4, 3, 0}, true, deferred, next_host, "4.3.0"},
      {s::final_dot, 554, {5, 7, 1}, true, failed, none, "5.7.1"},
      {s::final_dot, 354, {}, true, unknown, none, "4.5.0"},
      {s::final_dot, 421, {}, true, deferred, next_host, "4.3.2"},
      {s::rcpt, 550, {5, 1, 1}, false, failed, none, "5.1.1"},
      {s::rcpt, 550, {}, false, failed, none, "5.0.0"},
      {s::rcpt, 450, {4, 2, 0}, false, deferred, next_host, "4.2.0"},
      {s::rcpt, 421, {4, 7, 0}, false, deferred, next_host, "4.7.0"},
      {s::rcpt, 452, {4, 5, 3}, true, deferred, again, "4.5.3"},
      {s::rcpt, 452, {}, true, deferred, again, "4.5.3"},
      {s::rcpt, 452, {4, 5, 3}, false, deferred, next_host, "4.5.3"},
      {s::rcpt, 452, {4, 2, 2}, true, deferred, next_host, "4.2.2"},
      {s::rcpt, 552, {}, true, deferred, again, "4.5.3"},
      {s::rcpt, 552, {5, 5, 3}, true, deferred, again, "4.5.3"},
      {s::rcpt, 552, {5, 2, 2}, true, failed, none, "5.2.2"},
      {s::rcpt, 552, {}, false, failed, none, "5.0.0"},
      {s::mail, 530, {5, 7, 0}, false, deferred, next_host, "4.7.0"},
      {s::auth, 535, {5, 7, 8}, false, deferred, next_host, "4.7.8"},
      {s::auth, 504, {}, false, deferred, next_host, "4.7.0"},
      {s::starttls, 502, {}, false, deferred, next_host, "4.7.4"},
      {s::starttls, 454, {4, 7, 0}, false, deferred, next_host, "4.7.0"},
      {s::greeting, 554, {}, false, failed, next_host, "5.3.2"},
      {s::greeting, 521, {5, 3, 2}, false, failed, next_host, "5.3.2"},
      {s::greeting, 450, {}, false, deferred, next_host, "4.0.0"},
      {s::ehlo, 550, {5, 7, 1}, false, failed, next_host, "5.7.1"},
      {s::reset, 500, {}, false, deferred, again, "4.5.0"},
      {s::data, 554, {}, false, failed, none, "5.0.0"},
      {s::mail, 354, {}, false, deferred, next_host, "4.5.0"},
  };
  for (const row& r : rows) {
    const verdict v = classify(r.stage, reply(r.code, r.status), r.accepted_some);
    const std::string label =
        std::string{to_string_view(r.stage)} + " " + std::to_string(r.code) + " " + r.status.text();
    EXPECT_EQ(v.disposition, r.disposition) << label;
    EXPECT_EQ(v.next, r.next) << label;
    EXPECT_EQ(v.status.text(), r.expected) << label;
    EXPECT_EQ(v.reply_code, r.code) << label;
  }
}

TEST(outcome, a_lost_connection_is_in_doubt_only_after_the_final_dot) {
  for (const local_failure f : {local_failure::connection_lost, local_failure::reply_timeout,
                                local_failure::malformed_reply, local_failure::unexpected_reply}) {
    EXPECT_EQ(classify(client_stage::final_dot, f).disposition, disposition::unknown);
    EXPECT_EQ(classify(client_stage::final_dot, f).next, next_step::none);
    EXPECT_EQ(classify(client_stage::body, f).disposition, disposition::deferred);
    EXPECT_EQ(classify(client_stage::data, f).disposition, disposition::deferred);
  }
}

TEST(outcome, every_local_failure_has_a_status_of_its_class) {
  for (int i = 0; i <= static_cast<int>(local_failure::internal); ++i) {
    const verdict v = classify(client_stage::connect, static_cast<local_failure>(i));
    EXPECT_EQ(v.status.status_class, v.disposition == disposition::failed ? 5 : 4) << i;
    EXPECT_FALSE(v.text.empty()) << i;
    EXPECT_EQ(v.reply_code, 0) << i;
  }
}

TEST(outcome, sanitises_the_detail_of_a_local_failure) {
  EXPECT_EQ(classify(client_stage::connect, local_failure::connect_failed, "a\r\nb").text, "cannot connect: a b");
  EXPECT_EQ(classify(client_stage::connect, local_failure::connect_failed, "cannot connect to 192.0.2.1: refused").text,
            "cannot connect to 192.0.2.1: refused");
}

TEST(outcome, spreads_one_verdict_over_recipients) {
  const std::size_t indices[] = {3, 7};
  const auto out =
      spread(classify(client_stage::greeting, reply(554, {5, 7, 1}, "no")), indices, "mx.test", "192.0.2.1", false);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].recipient, 3U);
  EXPECT_EQ(out[1].recipient, 7U);
  EXPECT_EQ(out[1].remote_host, "mx.test");
  EXPECT_EQ(out[1].summary(), "554 5.7.1 no");
}

TEST(outcome, says_its_summary_without_a_code_when_no_server_spoke) {
  const std::size_t index[] = {0};
  const auto out = spread(classify(client_stage::connect, local_failure::connect_timeout), index, "mx", "", false);
  EXPECT_EQ(out[0].summary(), "4.4.1 no answer to the connection attempt");
}

} // namespace
} // namespace hedwig::smtp
