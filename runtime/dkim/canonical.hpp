// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace hedwig::dkim {

/// One header field, name and folded value, in `relaxed` form (RFC 6376, section 3.4.2): lower-case name, ':', value
/// unfolded with runs of white space made one space and none at its ends. Without CRLF. Linear in its size.
[[nodiscard]] std::string relaxed_field(std::string_view field);

/// The `relaxed` form of a body (RFC 6376, section 3.4.4), fed in pieces that may end anywhere and given on in pieces.
/// Constant memory, linear time; lone CR and LF are ordinary bytes.
class relaxed_body {
public:
  relaxed_body() = default;
  relaxed_body(const relaxed_body&) = delete;
  relaxed_body& operator=(const relaxed_body&) = delete;
  virtual ~relaxed_body() = default;

  void update(std::string_view piece);
  /// Ends the body; call once.
  void finish();

protected:
  /// The next canonical bytes.
  virtual void take(std::string_view canonical) = 0;

private:
  void content(std::string_view run);
  void put(std::string_view bytes);
  void flush();

  std::array<char, 8192> out_{};
  std::size_t used_ = 0;
  std::size_t line_ends_ = 0; // not given on yet: they may prove to be trailing empty lines
  bool space_ = false;        // white space seen, not given on yet: it may prove to be at the end of a line
  bool cr_ = false;
  bool any_ = false;
};

} // namespace hedwig::dkim
