// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hedwig::mail {

/// Makes what a peer said safe for a log line, a header field or a text part: control characters (CR, LF, NUL, TAB and
/// DEL included, and the C1 controls U+0080..U+009F, the line separators U+2028/2029 and the direction overrides)
/// become one space, bytes that are not valid UTF-8 become '?', runs of spaces become one, both ends are trimmed. The
/// result is valid UTF-8 of at most `bytes_max` bytes; a longer text is cut between characters and ends in "...".
/// Linear; looks at no more than a small multiple of `bytes_max` bytes of `text`.
[[nodiscard]] std::string sanitise_peer_text(std::string_view text, std::size_t bytes_max);

/// Every character outside ASCII becomes one '?'. `text` must be valid UTF-8.
[[nodiscard]] std::string ascii_only(std::string_view text);

/// "Name: value" CRLF, folded at spaces so that lines stay within 78 bytes where spaces allow it and within 900 always
/// (a word longer than that is broken). `value` must be sanitised. RFC 5322 2.1.1 and 2.2.3.
[[nodiscard]] std::string folded_field(std::string_view name, std::string_view value);

} // namespace hedwig::mail
