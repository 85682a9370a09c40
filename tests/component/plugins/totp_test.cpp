// SPDX-License-Identifier: Apache-2.0
#include "plugins/common/totp.hpp"

#include <gtest/gtest.h>

namespace hedwig::logins::test {
namespace {

// "12345678901234567890"
constexpr const char* rfc_secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

TEST(totp, gives_the_codes_of_rfc_6238) {
  auto secret = totp_secret::read(rfc_secret);
  ASSERT_TRUE(secret);
  // Appendix B, the last six of its eight digits.
  for (auto [when, code] : {std::pair{59LL, "287082"},
                            {1111111109LL, "081804"},
                            {1111111111LL, "050471"},
                            {1234567890LL, "005924"},
                            {2000000000LL, "279037"},
                            {20000000000LL, "353130"}}) {
    EXPECT_EQ(secret->code_of(when / totp_step_seconds), code);
    EXPECT_EQ(secret->step_of(code, when), when / totp_step_seconds);
  }
}

TEST(totp, a_code_is_good_one_step_early_and_one_step_late) {
  auto secret = totp_secret::read(rfc_secret);
  auto code = secret->code_of(100);
  for (auto step : {99, 100, 101})
    EXPECT_EQ(secret->step_of(code, step * totp_step_seconds), 100);
  for (auto step : {97, 98, 102, 103})
    EXPECT_FALSE(secret->step_of(code, step * totp_step_seconds));
  for (auto wrong : {"", "1", "28708", "2870820", "abcdef"})
    EXPECT_FALSE(secret->step_of(wrong, 59));
}

TEST(totp, secrets_are_read_as_authenticators_show_them) {
  for (auto same : {"gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ",
                    "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ===="}) {
    auto secret = totp_secret::read(same);
    ASSERT_TRUE(secret) << same;
    EXPECT_EQ(secret->code_of(1), "287082");
  }
  for (auto bad : {"", "GEZDGNBV", "GEZDGNBVGY3TQOJ1", "GEZDGNBVGY3TQOJQ!", "=GEZDGNBVGY3TQOJQ"})
    EXPECT_FALSE(totp_secret::read(bad)) << bad;
  EXPECT_FALSE(totp_secret::read(std::string(513, 'A')));
  EXPECT_FALSE(totp_secret::read(std::string(300, 'A')));
}

TEST(totp, the_last_six_octets_are_the_code) {
  EXPECT_EQ(split_code("secret123456"), (std::pair<std::string_view, std::string_view>{"secret", "123456"}));
  EXPECT_EQ(split_code("123456"), (std::pair<std::string_view, std::string_view>{"", "123456"}));
  EXPECT_EQ(split_code("12"), (std::pair<std::string_view, std::string_view>{"", "12"}));
}

TEST(used_codes, each_code_is_good_once_and_none_of_before) {
  used_codes codes;
  EXPECT_TRUE(codes.use("ada", 100, 3000));
  EXPECT_FALSE(codes.use("ada", 100, 3000));
  EXPECT_FALSE(codes.use("ada", 99, 3000));
  EXPECT_TRUE(codes.use("bob", 100, 3000));
  EXPECT_TRUE(codes.use("ada", 101, 3000));
  EXPECT_EQ(codes.size(), 2u);
}

TEST(used_codes, forgets_what_no_code_of_is_good_any_more_and_keeps_its_bound) {
  used_codes codes{2};
  EXPECT_TRUE(codes.use("ada", 100, 3000));
  EXPECT_TRUE(codes.use("bob", 101, 3000));
  EXPECT_FALSE(codes.use("eve", 100, 3000)) << "no room to remember it";
  EXPECT_TRUE(codes.use("ada", 101, 3000));
  EXPECT_TRUE(codes.use("eve", 103, 103 * totp_step_seconds));
  EXPECT_EQ(codes.size(), 1u);
}

} // namespace
} // namespace hedwig::logins::test
