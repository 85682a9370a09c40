// SPDX-License-Identifier: Apache-2.0
// The reader of a server's replies. Input: seed of the cuts, then what the server sends.
#include "runtime/mail/address.hpp"
#include "runtime/smtp/outcome.hpp"
#include "runtime/smtp/reply_reader.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <fmt/format.h>

namespace hedwig::fuzz {

namespace {

constexpr smtp::reply_limits small_limits{.line_max = 64, .lines_max = 5, .bytes_max = 200, .text_max = 40};

void check_text(std::string_view text) {
  demand(text.size() <= small_limits.text_max, "a text has its limit");
  demand(mail::is_utf8(text), "a text is UTF-8");
  for (auto c : text)
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in a text");
}

std::string read_replies(std::string_view input, unsigned cuts) {
  smtp::reply_reader reader{small_limits};
  std::string seen;
  bool over = false;
  in_pieces(input, cuts, [&](std::string_view piece) {
    while (!piece.empty() && !over) {
      auto progress = reader.feed(piece);
      if (progress == smtp::reply_reader::progress::malformed) {
        seen += fmt::format("malformed: {}\n", reader.problem());
        over = true;
      } else if (progress == smtp::reply_reader::progress::complete) {
        auto reply = reader.take();
        demand(reply.code >= 200 && reply.code <= 599, "a reply has a code");
        demand(!reply.lines.empty() && reply.lines.size() <= small_limits.lines_max, "lines have their limit");
        check_text(reply.text);
        for (auto& line : reply.lines)
          check_text(line);
        auto verdict = smtp::classify(smtp::client_stage::final_dot, reply);
        demand((verdict.disposition == smtp::disposition::delivered) == (reply.code / 100 == 2), "250 alone delivers");
        seen += fmt::format("{} {} {}\n", reply.code, reply.text, verdict.text);
      } else {
        demand(piece.empty(), "a reader that needs more has taken all");
      }
    }
  });
  return seen;
}

} // namespace

void reply(std::string_view input) {
  auto seed = 2u + take_octet(input);
  auto whole = read_replies(input, cut_nowhere);
  demand(read_replies(input, cut_everywhere) == whole, "the same byte by byte");
  demand(read_replies(input, seed) == whole, "the same in pieces");
}

} // namespace hedwig::fuzz
