// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/delivery_parameters.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hedwig::smtp {
namespace {

using namespace std::chrono_literals;

TEST(a_priority, is_one_of_nineteen_and_written_in_one_way) {
  for (int value = priority_min; value <= priority_max; ++value)
    EXPECT_EQ(parse_priority(std::to_string(value)), value);
  for (auto text : {"", "-", "10", "-10", "+1", "-0", "00", "01", " 1", "1 ", "a", "--1"})
    EXPECT_EQ(parse_priority(text), std::nullopt) << text;
}

TEST(a_deliver_by_request, that_returns_the_message_leaves_time) {
  EXPECT_EQ(parse_deliver_by("1;R"), (deliver_by_request{1s, true, false}));
  EXPECT_EQ(parse_deliver_by("+000000001;rt"), (deliver_by_request{1s, true, true}));
  EXPECT_EQ(parse_deliver_by("-999999999;NT"), (deliver_by_request{-999999999s, false, true}));
  EXPECT_EQ(parse_deliver_by("0;n"), (deliver_by_request{0s, false, false}));
  for (auto text :
       {"0;R", "-1;R", "", ";", ";N", "1", "1;", "1;T", "1;NR", "1;NTT", "1;;N", "+-1;N", "1 ;N", "0000000001;N"})
    EXPECT_EQ(parse_deliver_by(text), std::nullopt) << text;
}

TEST(a_date_time, is_understood_in_every_form_of_the_rfc) {
  auto wanted = wall_time{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}} + 1h + 2min + 3s;
  for (auto text : {"2026-03-01T01:02:03Z", "2026-03-01t01:02:03z", "2026-03-01T01:02:03.999999999999Z",
                    "2026-02-28T20:02:03-05:00", "2026-03-01T06:32:03+05:30", "2026-03-01T01:02:03-00:00"})
    EXPECT_EQ(parse_date_time(text), wanted) << text;
  EXPECT_EQ(date_time_text(wanted + 999ms), "2026-03-01T01:02:03Z");
}

TEST(a_date_time, that_does_not_exist_is_refused) {
  for (auto text : {"", "2026", "2026-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
                    "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01 00:00:00Z",
                    "2026-01-01T00:00:00", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+24:00",
                    "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00ZZ", "9999-01-01T00:00:00Z",
                    "1969-12-31T23:59:59Z", "-026-01-01T00:00:00Z", "2026-1-01T00:00:00Z", "2026-01-01T00:00:00.Z"})
    EXPECT_EQ(parse_date_time(text), std::nullopt) << text;
}

} // namespace
} // namespace hedwig::smtp
