// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/client_body.hpp"

#include <algorithm>
#include <utility>

#include "runtime/base/error.hpp"

namespace hedwig::smtp {
namespace {

// Text of the program itself needs no owner.
slice constant(std::string_view text) { return {buffer{}, text}; }

const slice line_end = constant("\r\n");
const slice space = constant(" ");
const slice end_of_data = constant(".\r\n");

std::size_t give(std::vector<slice>& out, slice piece) {
  const std::size_t size = piece.size();
  if (size != 0)
    out.push_back(std::move(piece));
  return size;
}

std::size_t find(std::string_view text, char c, std::size_t from, std::size_t end) {
  return std::min(text.substr(0, end).find(c, from), end);
}

} // namespace

body_writer::body_writer(rope body, std::uint64_t more, bool binary)
  : body_{std::move(body)}, awaited_{more}, binary_{binary}, phase_{phase::text} {}

void body_writer::add(rope part) {
  if (phase_ != phase::text || part.size() > awaited_)
    panic("a body is longer than it was announced");
  awaited_ -= part.size();
  drop_given();
  body_.append(part);
}

/// Frees what was given out.
void body_writer::drop_given() {
  rope rest;
  auto parts = body_.parts();
  for (auto i = part_; i < parts.size(); ++i)
    rest.append(i == part_ ? parts[i].sub(offset_) : parts[i]);
  body_ = std::move(rest);
  part_ = offset_ = given_ = 0;
}

std::size_t body_writer::next(std::vector<slice>& out, std::size_t max_bytes) {
  std::size_t given = 0;
  while (phase_ == phase::text && given < max_bytes) {
    if (part_ == body_.parts().size()) {
      if (awaited_ == 0)
        phase_ = phase::end;
      else
        drop_given(); // who waits for more must hold nothing: what follows may wait for that very memory
      break;
    }
    const slice& part = body_.parts()[part_];
    if (offset_ == part.size()) {
      ++part_;
      offset_ = 0;
      continue;
    }
    const std::size_t from = offset_;
    if (binary_) {
      const std::size_t size = give(out, part.sub(offset_, std::min(part.size() - offset_, max_bytes - given)));
      offset_ += size;
      given += size;
    } else if (const std::size_t at_border = border(out, part); at_border != 0) {
      given += at_border;
    } else {
      given += run(out, part, max_bytes - given);
    }
    given_ += offset_ - from;
  }
  if (phase_ == phase::end && given < max_bytes)
    given += finish(out);
  return given;
}

/// What depends on the byte before: the rest of a CRLF that was cut apart, and the first byte of a line.
std::size_t body_writer::border(std::vector<slice>& out, const slice& part) {
  const char c = part.view()[offset_];
  if (position_ == position::after_cr) {
    const bool pair = c == '\n';
    offset_ += pair ? 1 : 0;
    position_ = pair ? position::line_start : position::in_line;
    return give(out, pair ? line_end : space);
  }
  if (position_ != position::line_start || (c != '.' && c != '\0'))
    return 0;
  position_ = position::in_line;
  if (c == '.')
    return give(out, part.sub(offset_, 1));
  ++offset_;
  return give(out, space);
}

/// From offset_ up to the next doubled dot, the end of the slice or of the budget. Long for its one loop: the place of
/// the next LF must survive a bare CR, or many of those would make it quadratic.
std::size_t body_writer::run(std::vector<slice>& out, const slice& part, std::size_t budget) {
  const std::string_view text = part.view();
  const std::size_t end = offset_ + std::min(budget, text.size() - offset_);
  std::size_t given = 0;
  std::size_t at = offset_;
  std::size_t lf = find(text, '\n', at, end);
  while (at < end) {
    const std::size_t cr = find(text, '\r', at, lf);
    if (cr == lf && lf == end) {
      position_ = position::in_line;
      break;
    }
    if (cr < lf && cr + 1 == end) { // what follows is not known yet
      given += give(out, part.sub(offset_, cr - offset_));
      offset_ = end;
      position_ = position::after_cr;
      return given;
    }
    if (cr + 1 < lf) { // bare CR
      given += give(out, part.sub(offset_, cr - offset_)) + give(out, space);
      offset_ = at = cr + 1;
      position_ = position::in_line;
      continue;
    }
    if (cr == lf) { // bare LF
      given += give(out, part.sub(offset_, lf - offset_)) + give(out, line_end);
      offset_ = lf + 1;
    }
    at = lf + 1;
    position_ = position::line_start;
    if (at < end && text[at] == '\0')
      break;
    if (at < end && text[at] == '.') {
      given += give(out, part.sub(offset_, at + 1 - offset_));
      offset_ = at;
      position_ = position::in_line;
      return given;
    }
    lf = find(text, '\n', at, end);
  }
  const std::size_t stop = position_ == position::line_start ? at : end;
  given += give(out, part.sub(offset_, stop - offset_));
  offset_ = stop;
  return given;
}

std::size_t body_writer::finish(std::vector<slice>& out) {
  std::size_t given = 0;
  if (!binary_) {
    given += position_ == position::line_start ? 0 : give(out, line_end);
    given += give(out, end_of_data);
  }
  phase_ = phase::done;
  body_ = {};
  return given;
}

} // namespace hedwig::smtp
