// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/fields.hpp"

namespace hedwig::queue {

namespace {

void put_leb128(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// Takes a number off the front of `rest`. One way to write each number: no padding, nothing beyond 64 bits.
std::optional<std::uint64_t> take_leb128(std::string_view& rest) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; !rest.empty() && shift < 64; shift += 7) {
    auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
      return std::nullopt;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return value;
  }
  return std::nullopt;
}

} // namespace

void field_writer::text(std::uint8_t tag, std::string_view value) {
  if (!value.empty())
    element(tag, value);
}

void field_writer::element(std::uint8_t tag, std::string_view value) {
  bytes_.push_back(static_cast<char>(tag));
  put_leb128(bytes_, value.size());
  bytes_.append(value);
}

void field_writer::number(std::uint8_t tag, std::uint64_t value) {
  if (value == 0)
    return;
  std::string digits;
  put_leb128(digits, value);
  element(tag, digits);
}

bool field_reader::next() noexcept {
  if (rest_.empty() || broken_)
    return false;
  tag_ = static_cast<std::uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  auto size = take_leb128(rest_);
  broken_ = !size || *size > rest_.size();
  if (broken_)
    return false;
  value_ = rest_.substr(0, *size);
  rest_.remove_prefix(*size);
  return true;
}

std::optional<std::uint64_t> field_reader::number(std::uint64_t max) const noexcept {
  auto rest = value_;
  auto value = take_leb128(rest);
  if (!value || !rest.empty() || *value > max)
    return std::nullopt;
  return value;
}

} // namespace hedwig::queue
