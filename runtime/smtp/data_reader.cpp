// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/data_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace hedwig::smtp {

// Where feed() stands. The next CR, LF and NUL are remembered, so that each byte is searched once for each, whatever
// comes.
struct data_reader::cursor {
  const char* here = nullptr;
  const char* end = nullptr;
  const char* next_cr = nullptr;
  const char* next_lf = nullptr;
  const char* next_nul = nullptr;

  const char* cr() noexcept { return find('\r', next_cr); }
  const char* lf() noexcept { return find('\n', next_lf); }
  const char* nul() noexcept { return find('\0', next_nul); }

private:
  const char* find(char wanted, const char*& known) const noexcept {
    if (known == nullptr || known < here) {
      known = static_cast<const char*>(std::memchr(here, wanted, static_cast<std::size_t>(end - here)));
      if (known == nullptr)
        known = end;
    }
    return known;
  }
};

std::size_t data_reader::feed(std::string_view bytes) {
  if (framing_ == data_framing::binary) {
    keep_text(bytes);
    if (fault_ != data_fault::none)
      swallowed_octets_ += bytes.size();
    return bytes.size();
  }
  cursor at;
  at.here = bytes.data();
  at.end = bytes.data() + bytes.size();
  while (at.here != at.end && state_ != state::done) {
    switch (state_) {
    case state::line_start:
      at_line_start(at);
      break;
    case state::in_line:
      in_line(at);
      break;
    case state::after_cr:
      after_cr(at);
      break;
    case state::dot:
      after_dot(at);
      break;
    case state::dot_cr:
      after_dot_cr(at);
      break;
    case state::done:
      break;
    }
  }
  auto used = static_cast<std::size_t>(at.here - bytes.data());
  if (fault_ != data_fault::none)
    swallowed_octets_ += used;
  else if (state_ == state::done)
    seal();
  return used;
}

void data_reader::finish() {
  if (state_ == state::after_cr)
    bare_line_end("\r\n");
  else if (state_ == state::in_line && line_octets_ != 0)
    keep_text("\r\n");
  state_ = state::done;
  if (fault_ == data_fault::none)
    seal();
}

void data_reader::at_line_start(cursor& at) {
  line_octets_ = 0;
  state_ = state::in_line;
  if (*at.here == '.' && framing_ == data_framing::dots) {
    state_ = state::dot;
    ++at.here;
  }
}

// Runs over whole lines as long as they are plain and copies them at one go.
void data_reader::in_line(cursor& at) {
  auto* run = at.here;
  for (;;) {
    auto* cr = at.cr();
    auto* stop = std::min(cr, at.lf());
    if (at.nul() < stop)
      fail(data_fault::nul);
    line_octets_ += static_cast<std::size_t>(stop - at.here);
    if (line_octets_ > limits_.line_octets_max)
      fail(data_fault::line_too_long);
    at.here = stop;
    if (stop == at.end || stop != cr) // a bare LF, or nothing more
      break;
    if (at.end - cr < 2 || cr[1] != '\n') {
      keep(run, cr);
      ++at.here;
      state_ = state::after_cr;
      return;
    }
    at.here += 2;
    line_octets_ = 0;
    if (at.here == at.end || *at.here == '.') {
      state_ = state::line_start;
      keep(run, at.here);
      return;
    }
  }
  keep(run, at.here);
  if (at.here != at.end) {
    ++at.here;
    bare_line_end("\r\n");
  }
}

void data_reader::after_cr(cursor& at) {
  if (*at.here == '\n') {
    ++at.here;
    keep_text("\r\n");
    state_ = state::line_start;
  } else {
    bare_line_end("\r\n");
  }
}

// RFC 5321 section 4.5.2: a dot in front of anything else than the end is dropped.
void data_reader::after_dot(cursor& at) {
  state_ = state::in_line;
  if (*at.here == '\r') {
    ++at.here;
    state_ = state::dot_cr;
  } else if (*at.here == '\n') {
    ++at.here;
    bare_line_end(".\r\n");
  }
}

void data_reader::after_dot_cr(cursor& at) {
  if (*at.here == '\n') {
    ++at.here;
    state_ = state::done;
  } else {
    bare_line_end(".\r\n");
  }
}

// What follows is inside a line as far as dots are concerned, whatever is stored.
void data_reader::bare_line_end(std::string_view text) {
  state_ = state::in_line;
  line_octets_ = 0;
  if (limits_.endings == line_endings::strict)
    fail(data_fault::bare_line_end);
  else
    keep_text(text);
}

void data_reader::keep(const char* from, const char* to) {
  auto count = static_cast<std::size_t>(to - from);
  body_octets_ += count;
  if (body_octets_ > limits_.body_octets_max)
    fail(data_fault::too_big);
  if (fault_ != data_fault::none)
    return;
  while (count != 0) {
    if (current_size_ == current_room_)
      grow(count);
    auto fits = std::min(count, current_room_ - current_size_);
    std::memcpy(current_data_ + current_size_, from, fits);
    current_size_ += fits;
    from += fits;
    count -= fits;
  }
}

void data_reader::grow(std::size_t wanted) {
  seal();
  current_room_ = std::clamp(wanted, next_room_, body_slice_octets_max);
  current_ = buffer::allocate(current_room_, &current_data_);
  held_octets_ += current_room_;
  next_room_ = std::min(next_room_ * 2, body_slice_octets_max);
}

std::size_t data_reader::held_octets_after(std::size_t count) const noexcept {
  if (fault_ != data_fault::none)
    return 0;
  if (limits_.endings == line_endings::normalize)
    count *= 2; // each bare line end becomes two octets
  count += 3;   // what was kept back: a dot and a CR
  auto room = current_room_ - current_size_;
  if (count <= room)
    return held_octets_;
  auto more = count - room;
  if (more <= body_slice_octets_first)
    return held_octets_ + next_room_; // one buffer
  // All but the last buffer are filled, and that one is at most as big as these together and the next one.
  return held_octets_ + more + std::min(more + next_room_, body_slice_octets_max);
}

void data_reader::seal() {
  if (current_size_ != 0)
    body_.append(slice{std::move(current_), {reinterpret_cast<const char*>(current_data_), current_size_}});
  current_ = buffer{};
  current_size_ = 0;
  current_room_ = 0;
}

rope data_reader::take_body() {
  seal();
  held_octets_ = 0;
  return std::exchange(body_, rope{});
}

void data_reader::fail(data_fault why) noexcept {
  if (std::exchange(fault_, std::max(fault_, why)) != data_fault::none)
    return; // nothing is held any more
  body_ = rope{};
  current_ = buffer{};
  current_size_ = 0;
  current_room_ = 0;
  held_octets_ = 0;
}

} // namespace hedwig::smtp
