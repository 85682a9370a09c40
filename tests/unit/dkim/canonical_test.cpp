// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/canonical.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

namespace hedwig::dkim {
namespace {

class collected final : public relaxed_body {
public:
  std::string text;

private:
  void take(std::string_view canonical) override { text += canonical; }
};

std::string relaxed(std::string_view body, std::size_t piece = std::string_view::npos) {
  collected out;
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size())))
    out.update(body.substr(0, piece));
  out.finish();
  return out.text;
}

TEST(relaxed_field, does_the_example_of_the_rfc) { // RFC 6376, section 3.4.5
  EXPECT_EQ(relaxed_field("A: X"), "a:X");
  EXPECT_EQ(relaxed_field("B : Y\t\r\n\tZ  "), "b:Y Z");
}

TEST(relaxed_field, unfolds_and_reduces_white_space) {
  EXPECT_EQ(relaxed_field("SUBJect \t:\t a \t b\r\n  c\r\n\t\r\n d \t"), "subject:a b c d");
  EXPECT_EQ(relaxed_field("X:"), "x:");
  EXPECT_EQ(relaxed_field("X: \r\n "), "x:");
  EXPECT_EQ(relaxed_field("X:a:b"), "x:a:b");
  EXPECT_EQ(relaxed_field("X: \xc3\xa4"), "x:\xc3\xa4");
}

TEST(relaxed_body, does_the_example_of_the_rfc) { // RFC 6376, section 3.4.5
  EXPECT_EQ(relaxed(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
}

TEST(relaxed_body, of_nothing_but_empty_lines_is_nothing) {
  EXPECT_EQ(relaxed(""), "");
  EXPECT_EQ(relaxed("\r\n"), "");
  EXPECT_EQ(relaxed("\r\n\r\n \t\r\n"), "");
  EXPECT_EQ(relaxed("  \t "), "");
}

TEST(relaxed_body, gets_the_last_line_end_it_lacks) {
  EXPECT_EQ(relaxed("a"), "a\r\n");
  EXPECT_EQ(relaxed("a  "), "a\r\n");
  EXPECT_EQ(relaxed("a\r\n\r\n  "), "a\r\n");
}

TEST(relaxed_body, keeps_empty_lines_inside_and_white_space_in_front) {
  EXPECT_EQ(relaxed("\r\n\r\na\r\n \r\n\t b\r\n"), "\r\n\r\na\r\n\r\n b\r\n");
}

TEST(relaxed_body, takes_lone_cr_and_lf_for_ordinary_bytes) {
  EXPECT_EQ(relaxed("a\rb\nc \r"), "a\rb\nc \r\r\n");
  EXPECT_EQ(relaxed("a\r\r\n"), "a\r\r\n");
  EXPECT_EQ(relaxed("a \n\r\n"), "a \n\r\n");
}

TEST(relaxed_body, does_not_depend_on_where_the_pieces_end) {
  std::mt19937 random{3};
  for (int i = 0; i < 300; ++i) {
    std::string body;
    for (auto size = random() % 60; size > 0; --size)
      body += "\r\n \tab\r\n\r\n"[random() % 10];
    auto whole = relaxed(body);
    for (std::size_t piece : {1u, 2u, 3u, 7u})
      ASSERT_EQ(relaxed(body, piece), whole);
    ASSERT_EQ(relaxed(whole), whole) << "canonical text is its own canonical form";
  }
}

TEST(relaxed_body, takes_linear_time_and_constant_memory_for_white_space_and_empty_lines) {
  auto began = std::chrono::steady_clock::now();
  std::string body;
  for (int i = 0; i < 2'000'000; ++i)
    body += "\r\n \t";
  EXPECT_EQ(relaxed(body, 1000), "");
  EXPECT_EQ(relaxed(body + "x", 1000).size(), 2u * 2'000'000 + 4);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{10});
}

} // namespace
} // namespace hedwig::dkim
