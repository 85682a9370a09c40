// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::queue {

/// Writes the fields that metadata is made of: tag byte, length in LEB128, bytes. Numbers are LEB128 too. What is empty
/// or 0 is left out: a reader starts with that.
/// WARNING: these bytes are on disk.
class field_writer {
public:
  void text(std::uint8_t tag, std::string_view value);
  /// Writes an empty one too: for fields that repeat.
  void element(std::uint8_t tag, std::string_view value);
  void number(std::uint8_t tag, std::uint64_t value);
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

private:
  std::string bytes_;
};

/// Walks over such fields. Never reads outside the bytes it was given, never allocates.
class field_reader {
public:
  explicit field_reader(std::string_view bytes) noexcept : rest_{bytes} {}

  /// Steps to the next field; false at the end, and when the bytes are broken.
  [[nodiscard]] bool next() noexcept;
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  [[nodiscard]] std::uint8_t tag() const noexcept { return tag_; }
  [[nodiscard]] std::string_view value() const noexcept { return value_; }
  /// The value as a number; nullopt when it is none or more than `max`.
  [[nodiscard]] std::optional<std::uint64_t> number(std::uint64_t max = ~std::uint64_t{0}) const noexcept;

private:
  std::string_view rest_;
  std::string_view value_;
  std::uint8_t tag_ = 0;
  bool broken_ = false;
};

} // namespace hedwig::queue
