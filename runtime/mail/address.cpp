// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/address.hpp"
#include "runtime/base/ascii.hpp"

#include <arpa/inet.h>
#include <idn2.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace hedwig::mail {

namespace {

using faulty = std::unexpected<address_fault>;

constexpr std::uint8_t is_atext = 1;       // RFC 5322 section 3.2.3, and UTF8-non-ascii
constexpr std::uint8_t is_qtext = 2;       // qtextSMTP, RFC 5321 section 4.1.2, and UTF8-non-ascii
constexpr std::uint8_t is_domain_text = 4; // letters, digits, "-", "." and UTF8-non-ascii
constexpr std::uint8_t is_alnum = 8;

constexpr auto classes = [] {
  std::array<std::uint8_t, 256> table{};
  auto mark = [&](std::string_view all, std::uint8_t bits) {
    for (unsigned char c : all)
      table[c] = static_cast<std::uint8_t>(table[c] | bits);
  };
  for (int c = 0; c < 26; ++c) {
    table[static_cast<std::size_t>('a' + c)] = is_atext | is_domain_text | is_alnum;
    table[static_cast<std::size_t>('A' + c)] = is_atext | is_domain_text | is_alnum;
  }
  mark("0123456789", is_atext | is_domain_text | is_alnum);
  mark("!#$%&'*+-/=?^_`{|}~", is_atext);
  mark("-.", is_domain_text);
  for (std::size_t c = 32; c < 127; ++c)
    if (c != '"' && c != '\\')
      table[c] = static_cast<std::uint8_t>(table[c] | is_qtext);
  for (std::size_t c = 128; c < 256; ++c)
    table[c] = is_atext | is_qtext | is_domain_text;
  return table;
}();

bool is(char c, std::uint8_t bits) noexcept { return (classes[static_cast<unsigned char>(c)] & bits) != 0; }

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out)
    c = ascii::lower(c);
  return out;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view lower_prefix) noexcept {
  return text.size() >= lower_prefix.size() && std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                                                          [](char a, char b) { return a == ascii::lower(b); });
}

// Octets of the local part at the front of `text`, or nothing. The quotes count.
std::optional<std::size_t> quoted_string(std::string_view text) noexcept {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"')
      return i + 1;
    if (text[i] == '\\') {
      ++i;
      if (i == text.size() || text[i] < 32 || text[i] > 126) // quoted-pairSMTP; a signed char below 32 is not ASCII
        return std::nullopt;
    } else if (!is(text[i], is_qtext)) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> dot_string(std::string_view text) noexcept {
  std::size_t i = 0;
  for (;;) {
    auto atom = i;
    while (i < text.size() && is(text[i], is_atext))
      ++i;
    if (i == atom)
      return std::nullopt;
    if (i == text.size() || text[i] != '.')
      return i;
    ++i;
  }
}

// What UTF-8 allows and no mailbox needs, but what makes people or other programs see another address: C1 controls,
// line and paragraph separators, byte order marks, and the two signs that compatibility mapping turns into "@".
bool has_deceiving_characters(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto rest = text.substr(i);
    if (rest[0] == '\xC2' && rest.size() > 1 && static_cast<unsigned char>(rest[1]) < 0xA0)
      return true;
    if (rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9") || rest.starts_with("\xEF\xBB\xBF") ||
        rest.starts_with("\xEF\xBC\xA0") || rest.starts_with("\xEF\xB9\xAB"))
      return true;
  }
  return false;
}

// Labels of letters, digits and inner hyphens; RFC 5321 section 4.1.2 and 4.5.3.1.2.
std::optional<address_fault> check_ascii_name(std::string_view name) noexcept {
  if (name.size() > domain_octets_max)
    return address_fault::domain_too_long;
  for (;;) {
    auto dot = name.find('.');
    auto label = name.substr(0, dot);
    if (label.empty())
      return address_fault::bad_domain;
    if (label.size() > label_octets_max)
      return address_fault::domain_too_long;
    if (!is(label.front(), is_alnum) || !is(label.back(), is_alnum) ||
        !std::ranges::all_of(label, [](char c) { return is(c, is_alnum) || c == '-'; }))
      return address_fault::bad_domain;
    if (dot == std::string_view::npos)
      return std::nullopt;
    name.remove_prefix(dot + 1);
  }
}

std::expected<std::string, address_fault> name_key(std::string_view name) {
  if (name.size() > domain_octets_max)
    return faulty{address_fault::domain_too_long};
  if (is_ascii(name)) {
    if (auto fault = check_ascii_name(name))
      return faulty{*fault};
    return lower(name);
  }
  // U-labels of RFC 5890: no mapping of UTS 46, which makes "1" of a circled one and removes a full-width "@".
  auto terminated = lower(name);
  std::uint8_t* found = nullptr;
  auto code =
      idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(terminated.c_str()), &found, IDN2_NFC_INPUT | IDN2_NO_TR46);
  auto owner = std::unique_ptr<std::uint8_t, decltype(&idn2_free)>{found, &idn2_free};
  if (code != IDN2_OK)
    return faulty{code == IDN2_TOO_BIG_LABEL || code == IDN2_TOO_BIG_DOMAIN ? address_fault::domain_too_long
                                                                            : address_fault::bad_domain};
  std::string key = lower(reinterpret_cast<const char*>(found));
  if (std::ranges::count(key, '.') != std::ranges::count(name, '.'))
    return faulty{address_fault::bad_domain};
  if (auto fault = check_ascii_name(key))
    return faulty{*fault};
  return key;
}

std::expected<std::string, address_fault> literal_key(std::string_view literal) {
  constexpr std::string_view tag = "ipv6:";
  auto inside = literal.substr(1, literal.size() - 2);
  auto v6 = starts_with_ignoring_case(inside, tag);
  if (v6)
    inside.remove_prefix(tag.size());
  if (inside.size() >= INET6_ADDRSTRLEN || inside.find('\0') != std::string_view::npos)
    return faulty{address_fault::bad_domain};
  std::array<char, INET6_ADDRSTRLEN> text{};
  std::ranges::copy(inside, text.begin());
  in6_addr binary{};
  auto family = v6 ? AF_INET6 : AF_INET;
  if (inet_pton(family, text.data(), &binary) != 1 || inet_ntop(family, &binary, text.data(), text.size()) == nullptr)
    return faulty{address_fault::bad_domain};
  return (v6 ? "[ipv6:" : "[") + std::string{text.data()} + "]";
}

// Octets of the domain or literal at the front of `text`; its inside is checked by domain_key().
std::size_t domain_extent(std::string_view text) noexcept {
  if (text.starts_with('[')) {
    auto end = text.find_first_of("]\r\n>", 1);
    return end != std::string_view::npos && text[end] == ']' ? end + 1 : 0;
  }
  return static_cast<std::size_t>(std::ranges::find_if_not(text, [](char c) { return is(c, is_domain_text); }) -
                                  text.begin());
}

// Without the allocation of domain_key(), for the usual domain.
std::optional<address_fault> check_domain(std::string_view domain) {
  if (!domain.starts_with('[') && is_ascii(domain))
    return check_ascii_name(domain);
  auto key = domain_key(domain);
  return key ? std::nullopt : std::optional{key.error()};
}

} // namespace

std::string_view to_string_view(address_fault fault) noexcept {
  switch (fault) {
  case address_fault::syntax:
    return "syntax";
  case address_fault::source_route:
    return "source route";
  case address_fault::local_part_too_long:
    return "local part too long";
  case address_fault::domain_too_long:
    return "domain too long";
  case address_fault::too_long:
    return "address too long";
  case address_fault::bad_domain:
    return "bad domain";
  }
  return "syntax";
}

bool is_ascii(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    std::size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i <= more)
      return false;
    auto second = static_cast<unsigned char>(text[i + 1]);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F))
      return false;
    for (std::size_t k = 1; k <= more; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80)
        return false;
    i += more + 1;
  }
  return true;
}

std::expected<std::string, address_fault> domain_key(std::string_view domain) {
  if (domain.size() > domain_octets_max)
    return faulty{address_fault::domain_too_long};
  if (domain.size() > 2 && domain.front() == '[' && domain.back() == ']')
    return literal_key(domain);
  return name_key(domain);
}

std::expected<address, address_fault> address::take(std::string_view& rest) {
  if (rest.starts_with('@'))
    return faulty{address_fault::source_route};
  auto local = rest.starts_with('"') ? quoted_string(rest) : dot_string(rest);
  if (!local || *local >= rest.size() || rest[*local] != '@')
    return faulty{address_fault::syntax};
  if (*local > local_part_octets_max)
    return faulty{address_fault::local_part_too_long};
  auto domain = rest.substr(*local + 1);
  domain = domain.substr(0, domain_extent(domain));
  if (domain.empty())
    return faulty{address_fault::bad_domain};
  if (auto fault = check_domain(domain))
    return faulty{*fault};
  auto text = rest.substr(0, *local + 1 + domain.size());
  if (text.size() > address_octets_max)
    return faulty{address_fault::too_long};
  if (!is_ascii(text) && (!is_utf8(text) || has_deceiving_characters(text)))
    return faulty{address_fault::syntax};
  rest.remove_prefix(text.size());
  return address{std::string{text}, *local};
}

std::expected<address, address_fault> address::parse(std::string_view text) {
  auto rest = text;
  auto found = take(rest);
  if (found && !rest.empty())
    return faulty{address_fault::syntax};
  return found;
}

address address::postmaster(std::string_view as_given) { return {std::string{as_given}, as_given.size()}; }

std::string address::canonical_local_part() const {
  auto local = local_part();
  if (!local.starts_with('"'))
    return std::string{local};
  std::string plain;
  for (std::size_t i = 1; i + 1 < local.size(); ++i) {
    if (local[i] == '\\')
      ++i;
    plain += local[i];
  }
  return plain;
}

std::string address::domain_key() const {
  // It was checked when the address was parsed.
  return domain().empty() ? std::string{} : mail::domain_key(domain()).value_or(lower(domain()));
}

bool address::needs_smtputf8() const noexcept { return !is_ascii(text_); }

} // namespace hedwig::mail
