// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/client_body.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>

namespace hedwig::smtp {
namespace {

rope cut_up(std::string_view text, std::size_t piece) {
  rope body;
  for (std::size_t i = 0; i < text.size(); i += piece)
    body.append_copy(text.substr(i, piece));
  return body;
}

std::string wire_of(const rope& body, std::size_t budget) {
  body_writer writer{body};
  std::string out;
  std::size_t calls = 0;
  while (!writer.done()) {
    std::vector<slice> pieces;
    const std::size_t given = writer.next(pieces, budget);
    EXPECT_GT(given, 0U);
    EXPECT_LE(given, 2 * budget + 5);
    std::size_t sum = 0;
    for (const slice& piece : pieces) {
      out += piece.view();
      sum += piece.size();
    }
    EXPECT_EQ(sum, given);
    if (++calls > 10'000'000)
      return "endless";
  }
  return out;
}

/// The same by the plainest means.
std::string reference(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool pair = c == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (pair || c == '\n') {
      out += "\r\n";
      i += pair ? 1 : 0;
      line_start = true;
      continue;
    }
    if (c == '\r' && i + 1 == text.size())
      break; // a CR as the last byte becomes part of the final CRLF
    if (line_start && c == '.')
      out += '.';
    out += c == '\r' || (line_start && c == '\0') ? ' ' : c;
    line_start = false;
  }
  if (!line_start || text.ends_with('\r'))
    out += "\r\n";
  return out + ".\r\n";
}

void expect_wire(std::string_view text, std::string_view expected) {
  EXPECT_EQ(reference(text), expected);
  for (const std::size_t piece : {1UL, 2UL, 3UL, 1000UL})
    for (const std::size_t budget : {1UL, 2UL, 5UL, 65536UL})
      EXPECT_EQ(wire_of(cut_up(text, piece), budget), expected) << "pieces of " << piece << ", budget " << budget;
}

TEST(client_body, sends_an_empty_body_as_a_dot) { expect_wire("", ".\r\n"); }

TEST(client_body, ends_the_last_line_where_it_has_no_end) {
  expect_wire("a: b\r\n\r\ntext", "a: b\r\n\r\ntext\r\n.\r\n");
  expect_wire("text\r\n", "text\r\n.\r\n");
  expect_wire("text\r", "text\r\n.\r\n");
}

TEST(client_body, doubles_dots_at_line_starts_across_every_border) {
  expect_wire(".\r\n..\r\n.a\r\nb.\r\n.", "..\r\n...\r\n..a\r\nb.\r\n..\r\n.\r\n");
}

TEST(client_body, lets_no_lax_line_end_through) {
  expect_wire("a\n.\nMAIL FROM:<x>\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n");
  expect_wire("a\r.\rb", "a . b\r\n.\r\n");
  expect_wire("a\r\n.\rb\r\n", "a\r\n.. b\r\n.\r\n");
  expect_wire("a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n");
  expect_wire("a\r\r\n.\r\nb", "a \r\n..\r\nb\r\n.\r\n");
  expect_wire("a\r\n\r.\r\nb", "a\r\n .\r\nb\r\n.\r\n");
}

TEST(client_body, replaces_a_nul_at_a_line_start) {
  using namespace std::string_literals;
  expect_wire("a\r\n\0.\r\nb"s, "a\r\n .\r\nb\r\n.\r\n"s);
  expect_wire("\0\0.\r\n"s, " \0.\r\n.\r\n"s);
  expect_wire("a\0b\r\n"s, "a\0b\r\n.\r\n"s);
}

TEST(client_body, agrees_with_the_plain_way_on_random_bodies) {
  std::mt19937 random{20260501};
  const std::string_view alphabet{"\r\n.a\0", 5};
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 24, ' ');
    for (char& c : text)
      c = alphabet[random() % alphabet.size()];
    const std::string wire = wire_of(cut_up(text, 1 + random() % 6), 1 + random() % 9);
    ASSERT_EQ(wire, reference(text)) << ::testing::PrintToString(text);
  }
}

TEST(client_body, never_shows_an_end_of_data_before_the_end_to_any_reading_of_line_ends) {
  std::mt19937 random{7};
  const std::string_view alphabet{"\r\n.", 3};
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 20, ' ');
    for (char& c : text)
      c = alphabet[random() % alphabet.size()];
    std::string wire = wire_of(cut_up(text, 1 + random() % 5), 1 + random() % 20);
    ASSERT_TRUE(wire.ends_with(".\r\n"));
    wire.resize(wire.size() - 3);
    for (std::size_t i = 0; i < wire.size();
         ++i) { // every CR and LF stands in a pair; a line that is a dot does not occur
      ASSERT_TRUE(wire[i] != '\r' || (i + 1 < wire.size() && wire[i + 1] == '\n'));
      ASSERT_TRUE(wire[i] != '\n' || (i > 0 && wire[i - 1] == '\r'));
      ASSERT_FALSE(wire[i] == '.' && (i == 0 || wire[i - 1] == '\n') && (i + 1 == wire.size() || wire[i + 1] != '.'));
    }
  }
}

TEST(client_body, sends_the_same_when_the_body_comes_in_parts) {
  std::mt19937 random{11};
  const std::string_view alphabet{"\r\n.a\0", 5};
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 40, ' ');
    for (char& c : text)
      c = alphabet[random() % alphabet.size()];
    const std::size_t first = random() % (text.size() + 1);
    body_writer writer{cut_up(text.substr(0, first), 1 + random() % 6), text.size() - first};
    std::string wire;
    auto pull = [&] {
      std::vector<slice> pieces;
      while (writer.next(pieces, 1 + random() % 9) != 0) {
      }
      for (const slice& piece : pieces)
        wire += piece.view();
    };
    pull();
    for (std::size_t at = first; at < text.size();) {
      EXPECT_FALSE(writer.done());
      EXPECT_EQ(writer.awaited(), text.size() - at);
      EXPECT_EQ(writer.waiting(), 0U);
      const std::size_t count = 1 + random() % (text.size() - at);
      writer.add(cut_up(text.substr(at, count), 1 + random() % 6));
      at += count;
      if (random() % 2 == 0) { // else the next part comes before this one went out
        std::vector<slice> pieces;
        if (random() % 2 == 0)
          pull();
        else if (writer.next(pieces, 1 + random() % 5) != 0)
          for (const slice& piece : pieces)
            wire += piece.view();
      }
      if (writer.waiting() != 0)
        pull();
    }
    pull();
    ASSERT_TRUE(writer.done());
    ASSERT_EQ(wire, reference(text)) << ::testing::PrintToString(text);
  }
}

TEST(client_body, holds_nothing_while_it_waits_for_more) {
  static bool gone = false;
  rope first;
  static const std::uint8_t text[] = {'o', 'n', 'e', '\r', '\n'};
  first.append({buffer::wrap(
                    text, sizeof text, [](void*) { gone = true; }, nullptr),
                "one\r\n"});
  body_writer writer{std::move(first), 5};
  first = {};
  std::vector<slice> out;
  EXPECT_EQ(writer.next(out, 100), 5U);
  EXPECT_EQ(writer.next(out, 100), 0U);
  out.clear();
  EXPECT_TRUE(gone);
  writer.add(cut_up("two\r\n", 5));
  EXPECT_EQ(writer.next(out, 100), 8U);
  EXPECT_TRUE(writer.done());
}

TEST(client_body, stops_the_process_when_more_comes_than_was_announced) {
  body_writer writer{rope{}, 1};
  EXPECT_DEATH(writer.add(cut_up("ab", 2)), "longer than it was announced");
}

TEST(client_body, gives_a_plain_slice_out_without_a_copy) {
  rope body;
  body.append_copy("From: a\r\n\r\nhello\r\nworld\r\n");
  body_writer writer{body};
  std::vector<slice> out;
  writer.next(out, 65536);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].view().data(), body.parts()[0].view().data());
}

TEST(client_body, is_linear_on_bodies_made_to_be_slow) {
  for (const std::string_view unit : {"\r", "\n", ".\r\n", "\r.", "\n."}) {
    std::string text;
    while (text.size() < 1U << 20U)
      text += unit;
    const std::clock_t begin = std::clock(); // CPU time: others may be busy
    EXPECT_GT(wire_of(cut_up(text, 1U << 20U), 1U << 20U).size(), text.size());
    EXPECT_LT(std::clock() - begin, 10 * CLOCKS_PER_SEC);
  }
}

} // namespace
} // namespace hedwig::smtp
