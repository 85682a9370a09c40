// SPDX-License-Identifier: Apache-2.0
#include "protocol.hpp"

namespace hedwig::filter_milter {

packet& packet::u16(std::uint16_t value) {
  bytes_ += static_cast<char>(value >> 8);
  bytes_ += static_cast<char>(value);
  return *this;
}

packet& packet::u32(std::uint32_t value) {
  return u16(static_cast<std::uint16_t>(value >> 16)).u16(static_cast<std::uint16_t>(value));
}

packet& packet::text(std::string_view value) {
  bytes_ += value.substr(0, value.find('\0'));
  bytes_ += '\0';
  return *this;
}

packet& packet::raw(std::string_view value) {
  bytes_ += value;
  return *this;
}

std::string packet::take() {
  auto length = static_cast<std::uint32_t>(bytes_.size() - 4);
  for (int i = 0; i < 4; ++i)
    bytes_[static_cast<std::size_t>(i)] = static_cast<char>(length >> (24 - 8 * i));
  return std::move(bytes_);
}

std::string to_string(reply_kind kind) {
  static constexpr char digits[] = "0123456789abcdef";
  auto c = static_cast<unsigned char>(kind);
  if (c > ' ' && c < 0x7F)
    return std::string{"reply '"} + static_cast<char>(c) + "'";
  return std::string{"reply 0x"} + digits[c >> 4] + digits[c & 15];
}

void reply_reader::short_of(const char* what) const {
  throw milter_failure{to_string(kind_) + " has no " + what + " where one must be"};
}

std::uint32_t reply_reader::u32() {
  if (rest_.size() < 4)
    short_of("number");
  std::uint32_t out = 0;
  for (int i = 0; i < 4; ++i)
    out = out << 8 | static_cast<unsigned char>(rest_[static_cast<std::size_t>(i)]);
  rest_.remove_prefix(4);
  return out;
}

std::string_view reply_reader::text() {
  auto end = rest_.find('\0');
  if (end == std::string_view::npos)
    short_of("text");
  auto out = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return out;
}

} // namespace hedwig::filter_milter
