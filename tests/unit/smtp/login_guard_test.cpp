// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/login_guard.hpp"

#include <gtest/gtest.h>

namespace hedwig::smtp {
namespace {

using namespace std::chrono_literals;
using verdict = login_guard::verdict;

class logins : public testing::Test {
protected:
  verdict fail(std::string_view user, const std::string& address = "A") {
    return guard_.failed(address, user, limits_, now_);
  }
  verdict look(std::string_view user, const std::string& address = "A") { return guard_.look(address, user, now_); }

  login_limits limits_{.failures_per_address = 3, .failures_per_user = 4, .window = 10min, .lockout = 15min};
  steady_time now_{1h};
  login_guard guard_{10};
};

TEST_F(logins, of_an_address_with_too_many_failures_are_locked_out_for_a_while) {
  EXPECT_EQ(fail("one"), verdict::open);
  EXPECT_EQ(fail("two"), verdict::open);
  EXPECT_EQ(look("three"), verdict::open);
  EXPECT_EQ(fail("three"), verdict::address_locked);
  EXPECT_EQ(look("four"), verdict::address_locked);
  EXPECT_EQ(look("four", "B"), verdict::open);
  now_ += 15min - 1ns;
  EXPECT_EQ(look("four"), verdict::address_locked);
  now_ += 1ns;
  EXPECT_EQ(look("four"), verdict::open);
  EXPECT_EQ(fail("four"), verdict::open) << "counted from the beginning";
}

TEST_F(logins, of_a_user_are_locked_out_from_everywhere) {
  for (auto* address : {"A", "B", "C"})
    EXPECT_EQ(fail("ada", address), verdict::open);
  EXPECT_EQ(fail("ADA", "D"), verdict::user_locked);
  EXPECT_EQ(look("Ada", "E"), verdict::user_locked);
  EXPECT_EQ(look("bob", "A"), verdict::open);
}

TEST_F(logins, of_a_user_are_counted_together_however_many_spaces_his_name_is_given) {
  for (auto* spelling : {"ada byron", " ada byron", "ada  byron"})
    EXPECT_EQ(fail(spelling, spelling), verdict::open);
  EXPECT_EQ(fail("ada byron  ", "D"), verdict::user_locked);
  EXPECT_EQ(look("ada byron", "E"), verdict::user_locked);
  EXPECT_EQ(look("adabyron", "E"), verdict::open);
}

TEST_F(logins, of_a_locked_user_stay_locked_from_an_address_that_is_locked_too_and_may_be_let_off) {
  for (auto* address : {"B", "C", "D", "E"})
    static_cast<void>(fail("ada", address));
  for (auto* user : {"one", "two", "three"})
    static_cast<void>(fail(user));
  EXPECT_EQ(look("bob"), verdict::address_locked);
  EXPECT_EQ(look("ada"), verdict::user_locked);
}

TEST_F(logins, of_a_locked_user_are_open_where_he_logged_in_lately) {
  guard_.succeeded("home", "ada");
  for (auto* address : {"A", "B", "C", "D"})
    static_cast<void>(fail("ada", address));
  EXPECT_EQ(look("ada", "A"), verdict::user_locked);
  EXPECT_EQ(look("ada", "home"), verdict::open);
  EXPECT_EQ(look("ada", ""), verdict::user_locked);
  for (auto* address : {"1", "2", "home", "3", "4"})
    guard_.succeeded(address, "ada");
  EXPECT_EQ(look("ada", "home"), verdict::open);
  EXPECT_EQ(look("ada", "1"), verdict::user_locked) << "the oldest of five went";
}

TEST_F(logins, are_counted_within_the_window_only) {
  static_cast<void>(fail("one"));
  static_cast<void>(fail("two"));
  now_ += 10min + 1ns;
  EXPECT_EQ(fail("three"), verdict::open);
  EXPECT_EQ(fail("four"), verdict::open);
  EXPECT_EQ(fail("five"), verdict::address_locked);
}

TEST_F(logins, without_limits_or_names_are_not_counted) {
  limits_.failures_per_address = 0;
  limits_.failures_per_user = 0;
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(fail("ada"), verdict::open);
  limits_.failures_per_user = 1;
  EXPECT_EQ(fail("", ""), verdict::open);
  EXPECT_EQ(guard_.users() + guard_.addresses(), 0U);
}

TEST_F(logins, take_no_more_memory_than_the_entries) {
  for (int i = 0; i < 1000; ++i)
    static_cast<void>(fail("user" + std::to_string(i), std::to_string(i)));
  EXPECT_EQ(guard_.users(), 10U);
  EXPECT_EQ(guard_.addresses(), 10U);
}

TEST(keys_of_addresses, are_the_network_of_64_bits_of_ipv6) {
  const std::uint8_t one[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9};
  const std::uint8_t two[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 8, 7};
  const std::uint8_t other[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2};
  EXPECT_EQ(login_guard::key_of(one), login_guard::key_of(two));
  EXPECT_NE(login_guard::key_of(one), login_guard::key_of(other));
  const std::uint8_t v4[4] = {192, 0, 2, 1};
  EXPECT_EQ(login_guard::key_of(v4), (std::string{"\xC0\0\2\1", 4}));
}

} // namespace
} // namespace hedwig::smtp
