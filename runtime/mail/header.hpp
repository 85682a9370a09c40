// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/buffer.hpp"
#include "runtime/base/clock.hpp"

namespace hedwig::mail {

/// Octets of a header block, with the empty line behind it.
inline constexpr std::size_t header_octets_max = 1024 * 1024;
inline constexpr std::size_t header_fields_max = 10'000;
/// Received fields a message may carry before it counts as looping (RFC 5321 section 6.3).
inline constexpr std::size_t received_fields_max = 100;
/// Addresses of a From field that are looked at.
inline constexpr std::size_t from_addresses_max = 32;
/// Octets of the subject kept for the log.
inline constexpr std::size_t subject_octets_max = 200;

enum class header_fault : std::uint8_t {
  too_long,        ///< no end within header_octets_max
  too_many_fields, ///< over header_fields_max
  loop,            ///< over the limit of Received fields
};

[[nodiscard]] std::string_view to_string_view(header_fault fault) noexcept;

/// One field. The views point into the text that was parsed.
struct header_field {
  std::string_view name;  ///< as given, without white space before the colon
  std::string_view value; ///< behind the colon, folded as given, without the last CRLF
  std::size_t offset = 0; ///< of the field's first byte in the message
  std::size_t size = 0;   ///< with its last CRLF

  /// Without regard to ASCII case.
  [[nodiscard]] bool is(std::string_view other) const noexcept;
};

/// The header of a message, parsed in one linear pass. It ends at the empty line, or before the first line that can be
/// neither a field nor a continuation: that line is body, whatever its sender thought.
/// Lines end with CR LF; bare ones have been dealt with before.
class header_block {
public:
  /// Copies the block only where it spans several slices of `message`; keeps what it points at alive.
  [[nodiscard]] static std::expected<header_block, header_fault> parse(const rope& message);
  /// Borrows `message`, which must outlive the result.
  [[nodiscard]] static std::expected<header_block, header_fault> parse(std::string_view message);

  [[nodiscard]] const std::vector<header_field>& fields() const noexcept { return fields_; }
  /// The first field of that name, or null.
  [[nodiscard]] const header_field* find(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  /// Octets of all fields.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// An empty line ends the fields; without it the next byte, if any, is body already.
  [[nodiscard]] bool has_separator() const noexcept { return has_separator_; }
  /// What was parsed shows where the header ends: more bytes behind it would change nothing.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// Where the body begins.
  [[nodiscard]] std::size_t body_offset() const noexcept { return size_ + (has_separator_ ? 2 : 0); }

private:
  [[nodiscard]] std::expected<void, header_fault> scan(std::string_view text);

  slice owner_;
  std::vector<header_field> fields_;
  std::size_t size_ = 0;
  bool has_separator_ = false;
  bool ended_ = false;
};

/// A field's value on one line: folds become one space, white space at the ends goes, control bytes become "?".
/// Cut behind a whole character at `octets_max`.
[[nodiscard]] std::string unfold(std::string_view value, std::size_t octets_max = std::string_view::npos);
/// What unfold() gives, as a part of `value`; nothing where `value` holds it in no such form.
[[nodiscard]] std::optional<std::string_view> unfolded_already(std::string_view value) noexcept;

/// The addr-specs in a From, Sender or To value (RFC 5322 section 3.4): groups, comments, quoted strings and display
/// names are understood. What does not parse as an address is left out. Linear; at most `limit`.
[[nodiscard]] std::vector<std::string> addresses_in(std::string_view value, std::size_t limit = from_addresses_max);

struct address_list {
  std::vector<std::string> addresses;
  /// Nothing was left out: a reader of other habits can find no further address, but in display names and comments.
  bool complete = true;
};
/// The same, and whether it was all.
[[nodiscard]] address_list read_addresses(std::string_view value, std::size_t limit = from_addresses_max);

/// What a Received field tells (RFC 5321 section 4.4). Every text of a peer may be hostile; it is escaped here.
struct received_info {
  std::string_view helo;      ///< as the client called itself; may be empty
  std::string_view peer_name; ///< confirmed reverse name, or empty
  std::string_view peer_ip;   ///< "192.0.2.1", "2001:db8::1"; empty: not from a network
  std::string_view by;        ///< our host name
  std::string_view protocol;  ///< "ESMTPSA"; see smtp::server_session::protocol_keyword()
  std::string_view tls;       ///< "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty
  std::string_view id;        ///< of the message
  std::string_view recipient; ///< without brackets, when there is exactly one; else empty, since the rest may be blind
  bool smtputf8 = false;      ///< the message may carry UTF-8 in its header
  std::optional<int> priority = {}; ///< MT-PRIORITY that it was given (RFC 6710)
  wall_time when{};
};

/// The field with its name, folds and last CRLF; no line over 998 octets.
[[nodiscard]] std::string received_field(const received_info& info);

struct prepare_options {
  std::size_t header_max = header_octets_max; ///< octets of the header as it came
  std::size_t received_max = received_fields_max;
  bool add_missing = true;            ///< Date and Message-ID
  bool remove_bcc = true;             ///< Bcc and Resent-Bcc
  std::string_view message_id_domain; ///< of an added Message-ID; empty: received_info::by
};

/// A message as the spool gets it, and what was read from its header on the way.
struct prepared {
  rope message;                            ///< new fields, then the original without what was removed
  std::string subject;                     ///< unfolded, cut at subject_octets_max, not decoded
  std::vector<std::string> from_addresses; ///< of all From fields; of all Sender fields where there is none
  bool from_complete = true;               ///< nothing in these fields was left out; see address_list
  std::vector<std::string> from_domains;   ///< their domain keys, each once
  std::size_t from_fields = 0;             ///< more than one is a sign of spoofing (RFC 5322 section 3.6)
  std::size_t senders_without_from = 0;    ///< Sender fields of a message without From: some readers show them instead
  std::size_t received_fields = 0;         ///< before ours
  bool tls_not_required = false;           ///< "TLS-Required: No" (RFC 8689 section 5)
};

/// What the relay does to a message, once, at receipt: adds Received, adds Date and Message-ID where missing, removes
/// Bcc (folded too), guards against loops. The body is shared, never copied. The envelope plays no part in it.
[[nodiscard]] std::expected<prepared, header_fault> prepare_header(const rope& message, const received_info& received,
                                                                   const prepare_options& options = {});

} // namespace hedwig::mail
