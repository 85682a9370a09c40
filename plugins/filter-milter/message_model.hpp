// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig::filter_milter {

/// A piece of a body, kept for as long as this lives.
class held_slice {
public:
  /// Keeps what was borrowed.
  held_slice(const sdk::host& host, const hedwig_slice& borrowed);
  /// A copy in a buffer of the host's; throws failure(BUSY).
  held_slice(const sdk::host& host, std::string_view text);
  held_slice(held_slice&& other) noexcept : host_{other.host_}, slice_{std::exchange(other.slice_, {})} {}
  held_slice& operator=(held_slice&& other) noexcept;
  ~held_slice() { release(); }
  [[nodiscard]] std::string_view view() const noexcept { return sdk::view(slice_); }
  [[nodiscard]] const hedwig_slice& raw() const noexcept { return slice_; }

private:
  void release() noexcept;
  const hedwig_host* host_;
  hedwig_slice slice_{};
};

/// One header field, its value as it stands behind the colon, folds and leading white space included.
struct header_field {
  std::string name;
  std::string value;
};

/// The message as the milters so far have left it, and the edits that make it so. One transaction's.
class message_model {
public:
  void add_received_field(const hedwig_filter_header& shown);
  void add_body(held_slice part) { body_.push_back(std::move(part)); }

  /// What a milter is shown: the Received field that this relay has put on top is not among it, since milters are not
  /// used to see that.
  [[nodiscard]] std::size_t first_shown() const noexcept { return hides_first_ ? 1 : 0; }
  [[nodiscard]] const std::vector<header_field>& fields() const noexcept { return fields_; }
  [[nodiscard]] const std::vector<held_slice>& body() const noexcept { return body_; }
  [[nodiscard]] const std::vector<sdk::edit>& edits() const noexcept { return edits_; }

  /// Applies what one milter asked for, as the host will: edits of header fields and the envelope in order; `body` is
  /// where its parts are when it replaced the body, else null.
  void apply(std::vector<sdk::edit> edits, std::vector<held_slice>* body);

private:
  void apply_to_fields(const sdk::edit& one);
  std::vector<header_field> fields_;
  std::vector<held_slice> body_;
  std::vector<sdk::edit> edits_;
  bool hides_first_ = false;
};

/// A field's value as a milter gave it, its lines parted by LF, as the host takes it: with `flags` and CR LF where its
/// folds can be kept, else on one line. Never with a NUL, nor with a line that could end the header.
struct field_value {
  std::string value;
  std::uint32_t flags = 0;
};
[[nodiscard]] field_value value_from_milter(std::string_view text, bool leading_space);
/// The other way round.
[[nodiscard]] std::string value_for_milter(std::string_view value, bool leading_space);

/// Printable UTF-8 on one line out of whatever it was, of at most `octets_max`.
[[nodiscard]] std::string printable(std::string_view text, std::size_t octets_max);
/// As the relay's log shows it.
[[nodiscard]] std::string message_id_text(const hedwig_msg_id& id);

} // namespace hedwig::filter_milter
