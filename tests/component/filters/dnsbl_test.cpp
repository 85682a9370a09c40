// SPDX-License-Identifier: Apache-2.0
// filter-dnsbl from its real files, where the host has no resolver: settings, and who is not asked for.
#include "tests/component/filters/running_filter.hpp"

namespace hedwig::plugin::testing {
namespace {

using ::testing::HasSubstr;

config::node dnsbl_settings(members list_of, members more = {{"reject_at", number(1)}}) {
  more.push_back({"list", list({table(std::move(list_of))})});
  return table(std::move(more));
}

TEST(filter_dnsbl, lets_everybody_pass_without_a_resolver) {
  running_filter on{"dnsbl", dnsbl_settings({{"zone", text("bl.test")}})};
  for (auto* peer : {"192.0.2.1", "2001:db8::1", "10.0.0.1", "::1", ""}) {
    auto session = on.filter->open({.peer = peer});
    auto answer = session->on_mail({"ada@a.test", {}}, {on.sink, 1, {}});
    ASSERT_TRUE(answer && *answer) << peer;
    EXPECT_EQ((*answer)->action, verdict_action::proceed);
  }
}

TEST(filter_dnsbl, names_what_is_wrong_with_a_list) {
  auto fault = [](members list, members more = {{"reject_at", number(1)}}) {
    return running_filter{"dnsbl", dnsbl_settings(std::move(list), std::move(more))}.error();
  };
  EXPECT_THAT(fault({{"zone", text("bl..test")}}), HasSubstr("list 1: \"bl..test\" is not the name of a zone"));
  EXPECT_THAT(fault({{"zone", text("bl.test")}}, {}), HasSubstr("set a threshold"));
  for (auto* bad : {"127.0.0", "127.0.0.256", "127.0.0.9-2", "127.0.0.&0", "127.0.0.&", "127.0.0.2.3", "::1", ""})
    EXPECT_THAT(fault({{"zone", text("bl.test")}, {"answers", texts({bad})}}), HasSubstr("list 1: \"")) << bad;
}

TEST(filter_dnsbl, wants_the_message_only_where_it_may_tag) {
  running_filter plain{"dnsbl", dnsbl_settings({{"zone", text("bl.test")}})};
  EXPECT_FALSE(plain.filter->wants(hook::end));
  running_filter tags{"dnsbl-tag", dnsbl_settings({{"zone", text("bl.test")}}, {{"tag_at", number(1)}})};
  EXPECT_TRUE(tags.filter->wants(hook::end));
}

} // namespace
} // namespace hedwig::plugin::testing
