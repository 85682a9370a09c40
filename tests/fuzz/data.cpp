// SPDX-License-Identifier: Apache-2.0
// The reader of messages. However the bytes are cut, body, fault and end are the same; and a message that comes by
// BDAT is stored as the same message that comes by DATA.
// Input: options, seed of the cuts, then what follows 354 (or the message, which the counted framings take).
#include "runtime/smtp/data_reader.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

namespace {

struct data_outcome {
  std::string body;
  smtp::data_fault fault = smtp::data_fault::none;
  bool done = false;
  std::size_t used = 0;
  std::uint64_t octets = 0;

  friend bool operator==(const data_outcome&, const data_outcome&) = default;
};

struct data_run {
  smtp::data_limits limits;
  smtp::data_framing framing;
  unsigned cuts = cut_nowhere;
  bool staged = false; // what came is taken away after every piece
};

data_outcome run_data(const data_run& how, std::string_view bytes) {
  smtp::data_reader reader{how.limits, how.framing};
  data_outcome seen;
  in_pieces(bytes, how.cuts, [&](std::string_view piece) {
    if (reader.done())
      return;
    auto bound = reader.held_octets_after(piece.size());
    auto used = reader.feed(piece);
    demand(used == piece.size() || reader.done(), "all is consumed before the end");
    demand(reader.held_octets() <= bound, "no more is held than was announced");
    seen.used += used;
    if (how.staged)
      seen.body += reader.take_body().flatten();
  });
  if (how.framing != smtp::data_framing::dots)
    reader.finish();
  seen.fault = reader.fault();
  seen.done = reader.done();
  seen.octets = seen.fault == smtp::data_fault::none ? reader.body_octets() : 0;
  auto rest = reader.take_body().flatten();
  demand(seen.fault == smtp::data_fault::none || rest.empty(), "of a refused message nothing is held");
  seen.body = seen.fault == smtp::data_fault::none ? seen.body + rest : "";
  return seen;
}

// RFC 5321 section 4.5.2, from the client's side. Only CR LF ends a line.
std::string stuffed(std::string_view message) {
  std::string out;
  bool at_start = true;
  for (std::size_t i = 0; i < message.size(); ++i) {
    if (at_start && message[i] == '.')
      out += '.';
    out += message[i];
    at_start = i > 0 && message[i] == '\n' && message[i - 1] == '\r';
  }
  return out + (message.empty() || at_start ? ".\r\n" : "\r\n.\r\n");
}

void check_body(const data_outcome& of, const data_run& how) {
  if (of.fault != smtp::data_fault::none)
    return;
  demand(of.body.size() <= how.limits.body_octets_max, "no body is over the limit");
  if (of.done)
    demand(of.body.size() == of.octets, "octets are counted right");
  if (how.framing == smtp::data_framing::binary)
    return;
  std::size_t line = 0;
  for (std::size_t i = 0; i < of.body.size(); ++i) {
    auto c = of.body[i];
    demand(c != '\0', "no NUL in a body");
    demand(c != '\n' || (i > 0 && of.body[i - 1] == '\r'), "no bare LF in a body");
    demand(c != '\r' || i + 1 == of.body.size() || of.body[i + 1] == '\n', "no bare CR in a body");
    line = c == '\n' ? 0 : line + 1;
    demand(line <= how.limits.line_octets_max + 1, "no line is over the limit");
  }
}

} // namespace

void data(std::string_view input) {
  auto options = take_octet(input);
  auto seed = 2u + take_octet(input);
  data_run how{.framing = static_cast<smtp::data_framing>(options % 3)};
  how.limits.endings = (options & 4) != 0 ? smtp::line_endings::normalize : smtp::line_endings::strict;
  if ((options & 8) != 0)
    how.limits.body_octets_max = 64;
  if ((options & 16) != 0)
    how.limits.line_octets_max = 16;
  auto whole = run_data(how, input);
  check_body(whole, how);
  for (auto cuts : {cut_everywhere, seed})
    for (auto staged : {false, true}) {
      how.cuts = cuts;
      how.staged = staged;
      demand(run_data(how, input) == whole, "the same at every cut");
    }
  // A client that has DATA gives an end to the last line, which is another one behind a bare CR or LF.
  if (how.framing != smtp::data_framing::counted || input.ends_with('\r') ||
      (input.ends_with('\n') && !input.ends_with("\r\n")))
    return;
  how.framing = smtp::data_framing::dots;
  auto by_data = run_data(how, stuffed(input));
  demand(by_data.done, "a stuffed message has its end");
  demand(by_data.fault == whole.fault && by_data.body == whole.body, "BDAT and DATA are stored alike");
}

} // namespace hedwig::fuzz
