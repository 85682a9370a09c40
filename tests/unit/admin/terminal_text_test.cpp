// SPDX-License-Identifier: Apache-2.0
#include "admin/table.hpp"
#include "admin/terminal_text.hpp"

#include <gtest/gtest.h>

namespace hedwig::admin {
namespace {

using namespace std::string_view_literals;

TEST(terminal_text, leaves_what_is_printable_alone) {
  EXPECT_EQ(escaped("ann@example.com \"quoted\" <b> 100%"), "ann@example.com \"quoted\" <b> 100%");
  EXPECT_EQ(escaped("jörg@büro.example 日本 😀"), "jörg@büro.example 日本 😀");
}

TEST(terminal_text, escapes_every_control_octet) {
  for (int c = 0; c < 0x20; ++c) {
    auto text = escaped(std::string(1, static_cast<char>(c)));
    EXPECT_EQ(text.size(), 4u) << c;
    EXPECT_TRUE(text.starts_with("\\x")) << text;
  }
  EXPECT_EQ(escaped("\x1b[2Jred\x07"sv), "\\x1b[2Jred\\x07");
  EXPECT_EQ(escaped("a\0b\nc\x7f"sv), "a\\x00b\\x0ac\\x7f");
}

TEST(terminal_text, escapes_c1_controls_that_are_valid_utf8) {
  EXPECT_EQ(escaped("\xC2\x9B"
                    "31m"),
            "\\u009b31m");
}

TEST(terminal_text, escapes_what_turns_the_direction_or_is_invisible) {
  EXPECT_EQ(escaped("a\u202Eb"), "a\\u202eb");
  EXPECT_EQ(escaped("a\u200Bb\uFEFFc\u2028d"), "a\\u200bb\\ufeffc\\u2028d");
  EXPECT_EQ(escaped("\U000E0041"), "\\ue0041");
}

TEST(terminal_text, escapes_octets_that_are_not_utf8) {
  EXPECT_EQ(escaped("\xFFz"), "\\xffz");
  EXPECT_EQ(escaped("\xC0\xAF"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(escaped("\xED\xA0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(escaped("\xE2\x82"), "\\xe2\\x82") << "cut short";
  EXPECT_EQ(escaped("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
}

TEST(terminal_text, doubles_backslashes_so_that_nothing_looks_escaped) { EXPECT_EQ(escaped("\\x1b"), "\\\\x1b"); }

TEST(terminal_text, shortens_by_columns_and_never_inside_a_character) {
  EXPECT_EQ(shortened("short", 5), "short");
  EXPECT_EQ(shortened("longer", 5), "long…");
  EXPECT_EQ(shortened("äöüßé", 4), "äöü…");
  EXPECT_EQ(width("日本"), 4u);
  EXPECT_EQ(shortened("日本語", 4), "日…");
}

TEST(terminal_text, says_sizes_and_spans_in_units_people_use) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(10 * 1024), "10.0 KiB");
  EXPECT_EQ(bytes_text(UINT64_MAX), "16777216.0 TiB");
  EXPECT_EQ(span_text(-3), "0s");
  EXPECT_EQ(span_text(59), "59s");
  EXPECT_EQ(span_text(250), "4m 10s");
  EXPECT_EQ(span_text(12'000), "3h 20m");
  EXPECT_EQ(span_text(5 * 86'400 + 3 * 3600), "5d 3h");
  EXPECT_EQ(seconds_text(0.0004), "0.4 ms");
  EXPECT_EQ(seconds_text(1.25), "1.2 s");
}

TEST(table, lines_up_columns_and_leaves_no_blanks_at_the_end) {
  table made{{{.title = "A"}, {.title = "N", .side = align::right}, {.title = "LAST"}}};
  made.add({"wide cell", "7", "x"});
  made.add({"ä", "1234", ""});
  EXPECT_EQ(made.text(), "A             N  LAST\n"
                         "wide cell     7  x\n"
                         "ä          1234\n");
}

TEST(table, cuts_long_cells_and_fills_missing_ones) {
  table made{{{.title = "A", .width_max = 4}, {.title = "B", .width_max = 0}}};
  made.add({"abcdefgh", std::string(100, 'x')});
  made.add({"abcd"});
  EXPECT_EQ(made.text(), "A     B\nabc…  " + std::string(100, 'x') + "\nabcd\n");
}

} // namespace
} // namespace hedwig::admin
