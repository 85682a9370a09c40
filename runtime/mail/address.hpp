// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace hedwig::mail {

/// Octets, RFC 5321 section 4.5.3.1. A path is 256 with its angle brackets.
inline constexpr std::size_t local_part_octets_max = 64;
inline constexpr std::size_t domain_octets_max = 255;
inline constexpr std::size_t address_octets_max = 254;
/// Octets of one label in its ASCII form, RFC 1035 section 2.3.4.
inline constexpr std::size_t label_octets_max = 63;

/// Why something is not an address.
enum class address_fault : std::uint8_t {
  syntax,              ///< not RFC 5321 section 4.1.2, RFC 6531 section 3.3
  source_route,        ///< "@a,@b:c@d"; obsolete, and a way around relay rules
  local_part_too_long, ///< over local_part_octets_max
  domain_too_long,     ///< over domain_octets_max, or a label over label_octets_max
  too_long,            ///< over address_octets_max
  bad_domain,          ///< no LDH name, no U-label of IDNA 2008, no known literal
};

[[nodiscard]] std::string_view to_string_view(address_fault fault) noexcept;

/// A mailbox as an envelope carries it: `local-part@domain`, exact to RFC 5321 and 6531. Kept byte for byte as given,
/// since only the owner of the domain knows what a local part means: `%`, `!` and `+` have no meaning here. A value of
/// one string; an empty one is the null reverse-path.
class address {
public:
  address() noexcept = default;

  /// The whole of `text`, without angle brackets. UTF-8 is always understood; see needs_smtputf8().
  [[nodiscard]] static std::expected<address, address_fault> parse(std::string_view text);
  /// Reads an address at the front of `rest` and moves `rest` behind it; on a fault `rest` is unspecified.
  /// Linear in what it consumes.
  [[nodiscard]] static std::expected<address, address_fault> take(std::string_view& rest);
  /// `postmaster` without a domain, in the letters given (RFC 5321 section 4.1.1.3). Has an empty domain().
  [[nodiscard]] static address postmaster(std::string_view as_given);

  /// True of the null reverse-path only.
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  /// As given, without angle brackets; fit to stand between them again.
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// As given, with its quotes if it had them.
  [[nodiscard]] std::string_view local_part() const noexcept { return {text_.data(), local_size_}; }
  /// As given; an address literal with its brackets; empty for a bare postmaster and for the null path.
  [[nodiscard]] std::string_view domain() const noexcept {
    return local_size_ < text_.size() ? std::string_view{text_}.substr(local_size_ + 1) : std::string_view{};
  }
  /// The local part without quotes and backslashes: equal for `"a.b"@x` and `a.b@x`. Case is kept. For comparison only.
  [[nodiscard]] std::string canonical_local_part() const;
  /// What domains are compared and looked up by: lower case, A-labels; of a literal its brackets and canonical address.
  [[nodiscard]] std::string domain_key() const;
  [[nodiscard]] bool is_literal() const noexcept { return domain().starts_with('['); }
  /// Holds bytes outside ASCII, so it may travel with SMTPUTF8 only.
  [[nodiscard]] bool needs_smtputf8() const noexcept;

  /// Byte for byte.
  friend bool operator==(const address&, const address&) = default;

private:
  address(std::string text, std::size_t local_size) noexcept : text_{std::move(text)}, local_size_{local_size} {}

  std::string text_;
  std::size_t local_size_ = 0;
};

/// The key of a bare domain name or address literal, as address::domain_key(); an error where it is neither.
/// Use it for names from the config too, so that both sides of a comparison went the same way.
[[nodiscard]] std::expected<std::string, address_fault> domain_key(std::string_view domain);

/// Well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;
/// True when every byte is below 0x80.
[[nodiscard]] bool is_ascii(std::string_view text) noexcept;

} // namespace hedwig::mail
