// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/data_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <random>
#include <string>

namespace hedwig::smtp {
namespace {

using namespace std::string_view_literals;

struct outcome {
  std::string body;
  data_fault fault;
  std::size_t used;
  bool done;
  friend bool operator==(const outcome&, const outcome&) = default;
};

template <class Cut>
outcome read(std::string_view bytes, const data_limits& limits, Cut cut) {
  data_reader reader{limits};
  std::string body;
  std::size_t used = 0;
  while (used < bytes.size() && !reader.done()) {
    auto piece = bytes.substr(used, cut());
    auto most = reader.held_octets_after(piece.size());
    used += reader.feed(piece);
    EXPECT_LE(reader.held_octets(), most) << "memory is reserved before it is needed";
    if (limits.body_octets_max % 2 == 1) // now and then, as an owner that stages does
      body += reader.take_body().flatten();
  }
  body += reader.take_body().flatten();
  return {reader.fault() == data_fault::none ? body : "", reader.fault(), used, reader.done()};
}

// The definition, without regard to speed: the message ends at the first CR LF . CR LF (the first CR LF is that of the
// DATA command), and lines are cut at true CR LF only.
outcome by_definition(std::string_view bytes, const data_limits& limits) {
  auto all = "\r\n" + std::string{bytes};
  auto end = all.find("\r\n.\r\n");
  outcome out{{}, data_fault::none, bytes.size(), end != std::string::npos};
  auto text = all.substr(2);
  if (out.done) {
    out.used = end + 3;
    text = end == 0 ? "" : all.substr(2, end);
  }
  auto add = [&](data_fault fault) { out.fault = std::max(out.fault, fault); };
  std::size_t line = 0;
  bool at_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto crlf = text.compare(i, 2, "\r\n") == 0;
    if (crlf) {
      out.body += "\r\n";
      ++i;
      line = 0;
      at_start = true;
      continue;
    }
    if (text[i] == '.' && at_start) {
      auto bare =
          i + 1 < text.size() && (text[i + 1] == '\n' || (text[i + 1] == '\r' && text.compare(i + 1, 2, "\r\n") != 0));
      at_start = false;
      if (bare)
        out.body += '.';
      continue;
    }
    at_start = false;
    if (text[i] == '\r' || text[i] == '\n') {
      if (limits.endings == line_endings::strict)
        add(data_fault::bare_line_end);
      out.body += "\r\n";
      line = 0;
      continue;
    }
    if (text[i] == '\0')
      add(data_fault::nul);
    out.body += text[i];
    if (++line > limits.line_octets_max)
      add(data_fault::line_too_long);
  }
  // Strict mode stores nothing for a bare line end, and counts what it would have stored only where it stores.
  if (out.fault != data_fault::bare_line_end && out.body.size() > limits.body_octets_max)
    add(data_fault::too_big);
  if (out.fault != data_fault::none)
    out.body.clear();
  return out;
}

TEST(data_reader, gives_what_the_definition_says_for_any_bytes_and_any_cut) {
  std::mt19937 random{20251122};
  constexpr std::string_view letters{"\r\r\r\n\n\n...ab\0", 12};
  constexpr std::string_view tame{"ab..", 4};
  int complete = 0;
  int sound = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string bytes;
    auto nasty = round % 3 == 0;
    for (auto pieces = random() % 24; pieces > 0; --pieces) {
      if (nasty)
        bytes += letters[random() % letters.size()];
      else
        bytes += random() % 3 == 0 ? std::string{"\r\n"} : std::string(1, tame[random() % tame.size()]);
    }
    bytes += "\r\n.\r\nQUIT\r\n";
    if (round % 5 == 0)
      bytes.resize(random() % bytes.size()); // no end
    data_limits limits;
    limits.body_octets_max = 1'000'000 + random() % 2;
    limits.line_octets_max = random() % 4 == 0 ? 3 : 1000;
    limits.endings = random() % 2 == 0 ? line_endings::strict : line_endings::normalize;
    auto whole = read(bytes, limits, [] { return std::string::npos; });
    auto bytewise = read(bytes, limits, [] { return std::size_t{1}; });
    auto cut = read(bytes, limits, [&] { return 1 + random() % 5; });
    ASSERT_EQ(whole, bytewise) << testing::PrintToString(bytes);
    ASSERT_EQ(whole, cut) << testing::PrintToString(bytes);
    auto wanted = by_definition(bytes, limits);
    ASSERT_EQ(whole.done, wanted.done) << testing::PrintToString(bytes);
    ASSERT_EQ(whole.used, wanted.used) << testing::PrintToString(bytes);
    if (!whole.done)
      continue; // what the last bytes mean is open
    ++complete;
    ASSERT_EQ(whole.fault, wanted.fault) << testing::PrintToString(bytes);
    ASSERT_EQ(whole.body, wanted.body) << testing::PrintToString(bytes);
    sound += whole.fault == data_fault::none ? 1 : 0;
  }
  EXPECT_GT(complete, 40'000);
  EXPECT_GT(sound, 10'000);
}

// RFC 5321 section 4.5.2, and the end.
std::string as_data(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' && (i == 0 || (i > 1 && text.substr(i - 2, 2) == "\r\n")))
      out += '.';
    out += text[i];
  }
  return out + (text.empty() || text.ends_with("\r\n") ? "" : "\r\n") + ".\r\n";
}

outcome read_counted(std::string_view bytes, const data_limits& limits, data_framing framing, std::mt19937& random) {
  data_reader reader{limits, framing};
  for (std::size_t used = 0; used < bytes.size();) {
    auto piece = bytes.substr(used, 1 + random() % 5);
    auto most = reader.held_octets_after(piece.size());
    EXPECT_EQ(reader.feed(piece), piece.size());
    EXPECT_LE(reader.held_octets(), most) << "memory is reserved before it is needed";
    used += piece.size();
  }
  reader.finish();
  auto body = reader.take_body().flatten();
  EXPECT_TRUE(reader.fault() != data_fault::none || body.size() == reader.body_octets());
  return {reader.fault() == data_fault::none ? body : "", reader.fault(), bytes.size(), reader.done()};
}

TEST(data_reader, stores_of_chunks_what_data_would_have_stored) {
  std::mt19937 random{20251123};
  constexpr std::string_view letters{"\r\r\n\n...ab\0", 10};
  int sound = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text;
    for (auto pieces = random() % 16; pieces > 0; --pieces)
      text += random() % 3 == 0
                  ? std::string{"\r\n"}
                  : std::string(1, letters[round % 2 == 0 ? random() % letters.size() : 4 + random() % 5]);
    data_limits limits;
    limits.line_octets_max = random() % 4 == 0 ? 3 : 1000;
    limits.endings = random() % 2 == 0 ? line_endings::strict : line_endings::normalize;
    auto counted = read_counted(text, limits, data_framing::counted, random);
    if (!text.ends_with("\r\n") && (text.ends_with('\r') || text.ends_with('\n')))
      continue; // a bare end at the very end has no twin under DATA
    auto data = as_data(text);
    auto twin = read(data, limits, [] { return std::string::npos; });
    ASSERT_EQ(twin.used, data.size()) << testing::PrintToString(text);
    ASSERT_EQ(counted.fault, twin.fault) << testing::PrintToString(text);
    ASSERT_EQ(counted.body, twin.body) << testing::PrintToString(text);
    sound += counted.fault == data_fault::none ? 1 : 0;
  }
  EXPECT_GT(sound, 5'000);
}

TEST(data_reader, keeps_a_binary_message_as_it_is) {
  std::mt19937 random{20251124};
  for (int round = 0; round < 2'000; ++round) {
    std::string text;
    for (auto octets = random() % 64; octets > 0; --octets)
      text += static_cast<char>(random());
    auto got = read_counted(text, {}, data_framing::binary, random);
    ASSERT_EQ(got.fault, data_fault::none);
    ASSERT_EQ(got.body, text);
  }
}

TEST(data_reader, size_limit_is_exact_at_every_cut) {
  for (std::size_t size = 90; size < 110; ++size)
    for (std::size_t piece : {1U, 3U, 50U, 1000U}) {
      data_limits limits;
      limits.body_octets_max = 100;
      auto got = read(std::string(size - 2, 'x') + "\r\n.\r\n", limits, [=] { return piece; });
      EXPECT_EQ(got.fault, size > 100 ? data_fault::too_big : data_fault::none) << size;
    }
}

TEST(data_reader, many_short_lines_and_dots_cost_linear_time) {
  auto begin = std::clock();
  for (auto piece : {"..\r\n"sv, "\r\n"sv, ".\n"sv, "\r"sv, "\n"sv, ".a\r\n"sv, "x"sv, "\0"sv, ".\r"sv}) {
    std::string text;
    while (text.size() < 500'000)
      text += piece;
    data_reader reader{{}};
    EXPECT_EQ(reader.feed(text), text.size());
  }
  EXPECT_LT(std::clock() - begin, 5 * CLOCKS_PER_SEC);
}

} // namespace
} // namespace hedwig::smtp
