// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/address.hpp"
#include "runtime/mail/header.hpp"

namespace hedwig::mail {

namespace {

// RFC 5322 section 3.4 read by one pass over the characters. Lenient about what is no address, since only what parses
// as one at the end is given out.
class address_list_reader {
public:
  address_list_reader(std::string_view value, std::size_t limit) : rest_{value}, limit_{limit} {}

  address_list read() {
    while (!rest_.empty() && found_.size() < limit_)
      step();
    if (in_angle_ || !rest_.empty())
      complete_ = false;
    else
      end_of_mailbox();
    return {std::move(found_), complete_};
  }

private:
  void step() {
    char c = rest_.front();
    switch (c) {
    case '(':
      skip_comment();
      return;
    case '"':
      copy_quoted('"');
      return;
    case '[':
      copy_quoted(']');
      return;
    case ' ':
    case '\t':
    case '\r':
    case '\n':
      space_ = true;
      break;
    case '@':
      at_sign_ = true;
      add(c);
      break;
    case '<':
      begin_angle();
      break;
    case '>':
      end_angle();
      break;
    case ',':
    case ';':
      in_angle_ ? add(c) : end_of_mailbox();
      break;
    case ':':
      in_angle_ ? add(c) : end_of_group_name();
      break;
    default:
      add(c);
      break;
    }
    rest_.remove_prefix(1);
  }

  void add(char c) {
    auto joins = [](char x) { return x == '.' || x == '@'; };
    if (space_ && !text_.empty() && !joins(c) && !joins(text_.back()))
      text_ += ' '; // two words: no address, but perhaps a display name
    space_ = false;
    text_ += c;
  }

  void skip_comment() {
    std::size_t depth = 0;
    std::size_t i = 0;
    for (; i < rest_.size(); ++i) {
      if (rest_[i] == '\\')
        ++i;
      else if (rest_[i] == '(')
        ++depth;
      else if (rest_[i] == ')' && --depth == 0)
        break;
    }
    complete_ = complete_ && i < rest_.size();
    rest_.remove_prefix(std::min(i + 1, rest_.size()));
    space_ = true;
  }

  void copy_quoted(char end) {
    add(rest_.front());
    std::size_t i = 1;
    for (; i < rest_.size() && rest_[i] != end; ++i) {
      if (rest_[i] == '\\' && i + 1 < rest_.size())
        text_ += rest_[i++];
      if (rest_[i] != '\r' && rest_[i] != '\n') // folded inside
        text_ += rest_[i];
    }
    if (end == ']' && rest_.substr(0, i).find_first_of("@<>,") != std::string_view::npos)
      complete_ = false; // no literal: to others brackets mean nothing, and what stands in them is an address
    if (i < rest_.size())
      text_ += end;
    else
      complete_ = false;
    rest_.remove_prefix(std::min(i + 1, rest_.size()));
  }

  void begin_angle() {
    complete_ = complete_ && !in_angle_ && !had_angle_;
    clear();
    in_angle_ = true;
  }

  void end_angle() {
    if (in_angle_)
      give();
    else
      complete_ = false;
    clear();
    in_angle_ = false;
    had_angle_ = true;
  }

  // One with an unquoted "@" is none: another reader may take it for an address.
  void end_of_group_name() {
    complete_ = complete_ && !at_sign_;
    clear();
  }

  void end_of_mailbox() {
    if (!had_angle_)
      give();
    else if (!text_.empty())
      complete_ = false;
    clear();
    had_angle_ = false;
  }

  void give() {
    if (auto parsed = address::parse(text_))
      found_.push_back(parsed->text());
    else if (!text_.empty())
      complete_ = false;
  }

  void clear() {
    text_.clear();
    space_ = at_sign_ = false;
  }

  std::string_view rest_;
  std::size_t limit_;
  std::string text_;
  std::vector<std::string> found_;
  bool complete_ = true;
  bool space_ = false;
  bool at_sign_ = false; ///< outside quotes, in `text_`
  bool in_angle_ = false;
  bool had_angle_ = false;
};

} // namespace

std::vector<std::string> addresses_in(std::string_view value, std::size_t limit) {
  return read_addresses(value, limit).addresses;
}

address_list read_addresses(std::string_view value, std::size_t limit) {
  return address_list_reader{value, limit}.read();
}

} // namespace hedwig::mail
