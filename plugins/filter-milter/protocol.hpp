// SPDX-License-Identifier: Apache-2.0
// The words of the milter protocol, versions 2 to 6, as libmilter's mfdef.h has them. They reach the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::filter_milter {

/// What a milter did that the protocol does not allow, or did not do in time.
class milter_failure : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// It did not answer in time.
class milter_late : public milter_failure {
public:
  milter_late() : milter_failure{"no answer in time"} {}
};

inline constexpr std::uint32_t version_min = 2;
inline constexpr std::uint32_t version_max = 6;
inline constexpr std::uint32_t version_of_data = 4;
inline constexpr std::uint32_t version_of_reuse = 6;

/// Octets of one body packet.
inline constexpr std::size_t chunk_max = 65535;
/// Octets of one reply: a chunk of a replaced body, with room.
inline constexpr std::size_t reply_max = 128 * 1024;
/// Replies to one message, not counting those that only say that work goes on, nor chunks of a body.
inline constexpr std::size_t changes_max = 900;
/// Replies that only say that work goes on.
inline constexpr std::size_t progress_max = 10'000;

enum class command : char {
  abort = 'A',
  body = 'B',
  connect = 'C',
  macros = 'D',
  end_of_body = 'E',
  helo = 'H',
  quit_new_connection = 'K',
  header = 'L',
  mail = 'M',
  end_of_header = 'N',
  negotiate = 'O',
  quit = 'Q',
  recipient = 'R',
  data = 'T',
};

enum class reply_kind : char {
  add_recipient = '+',
  add_recipient_with_parameters = '2',
  delete_recipient = '-',
  shutdown = '4',
  accept = 'a',
  replace_body = 'b',
  proceed = 'c',
  discard = 'd',
  change_sender = 'e',
  connection_failed = 'f',
  add_header = 'h',
  insert_header = 'i',
  change_header = 'm',
  progress = 'p',
  quarantine = 'q',
  reject = 'r',
  skip = 's',
  tempfail = 't',
  reply_code = 'y',
  negotiate = 'O',
};

/// What a milter may ask for at the end of a message.
namespace action {
inline constexpr std::uint32_t add_headers = 0x01;
inline constexpr std::uint32_t change_body = 0x02;
inline constexpr std::uint32_t add_recipients = 0x04;
inline constexpr std::uint32_t delete_recipients = 0x08;
inline constexpr std::uint32_t change_headers = 0x10;
inline constexpr std::uint32_t quarantine = 0x20;
inline constexpr std::uint32_t change_sender = 0x40;
inline constexpr std::uint32_t add_recipients_with_parameters = 0x80;
inline constexpr std::uint32_t offered = 0xFF;
} // namespace action

/// What a milter wants to be spared, or be shown otherwise.
namespace step {
inline constexpr std::uint32_t no_connect = 0x01;
inline constexpr std::uint32_t no_helo = 0x02;
inline constexpr std::uint32_t no_mail = 0x04;
inline constexpr std::uint32_t no_recipient = 0x08;
inline constexpr std::uint32_t no_body = 0x10;
inline constexpr std::uint32_t no_headers = 0x20;
inline constexpr std::uint32_t no_end_of_header = 0x40;
inline constexpr std::uint32_t silent_header = 0x80;
inline constexpr std::uint32_t no_unknown = 0x100;
inline constexpr std::uint32_t no_data = 0x200;
inline constexpr std::uint32_t skip = 0x400;
inline constexpr std::uint32_t silent_connect = 0x1000;
inline constexpr std::uint32_t silent_helo = 0x2000;
inline constexpr std::uint32_t silent_mail = 0x4000;
inline constexpr std::uint32_t silent_recipient = 0x8000;
inline constexpr std::uint32_t silent_data = 0x10000;
inline constexpr std::uint32_t silent_unknown = 0x20000;
inline constexpr std::uint32_t silent_end_of_header = 0x40000;
inline constexpr std::uint32_t silent_body = 0x80000;
inline constexpr std::uint32_t leading_space = 0x100000;
inline constexpr std::uint32_t offered = 0x1FF7FF; // all but refused recipients
} // namespace step

/// One packet on its way out.
class packet {
public:
  explicit packet(command kind) : bytes_{0, 0, 0, 0, static_cast<char>(kind)} {}
  packet& u16(std::uint16_t value);
  packet& u32(std::uint32_t value);
  /// With the NUL that ends it; a NUL within ends it earlier.
  packet& text(std::string_view value);
  packet& raw(std::string_view value);
  [[nodiscard]] std::string take();

private:
  std::string bytes_;
};

/// One packet that came; every reading of it is checked. Throws milter_failure.
struct reply {
  reply_kind kind{};
  std::string data;
};

/// Reads a reply's data from front to back.
class reply_reader {
public:
  explicit reply_reader(const reply& from) : kind_{from.kind}, rest_{from.data} {}
  [[nodiscard]] std::uint32_t u32();
  /// Up to the NUL, which must be there.
  [[nodiscard]] std::string_view text();
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

private:
  [[noreturn]] void short_of(const char* what) const;
  reply_kind kind_;
  std::string_view rest_;
};

/// "reply 'y'": for messages.
[[nodiscard]] std::string to_string(reply_kind kind);

} // namespace hedwig::filter_milter
