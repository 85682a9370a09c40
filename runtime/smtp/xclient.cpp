// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/xclient.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "runtime/base/ascii.hpp"
#include "runtime/mail/address.hpp"
#include "runtime/smtp/command.hpp"

namespace hedwig::smtp {

namespace {

bool is_ip_text(int family, const std::string& text) noexcept {
  std::array<std::uint8_t, 16> bytes{};
  return ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

bool take_text(const std::string& value, bool known, std::optional<xclient_text>& out) {
  out = xclient_text{known, known ? value : std::string{}};
  return !known || !value.empty();
}

/// Wide enough for every name, and nothing that a header or a log could be misread by; as for EHLO.
bool take_name(const std::string& value, bool known, std::optional<xclient_text>& out) {
  auto good = [](char c) {
    return ascii::is_alnum(c) || static_cast<unsigned char>(c) >= 0x80 ||
           std::string_view{"-._:[]"}.find(c) != std::string_view::npos;
  };
  return std::ranges::all_of(value, good) && take_text(value, known, out);
}

bool take_ip(const std::string& value, bool known, std::optional<xclient_text>& out) {
  constexpr std::string_view six = "IPV6:";
  if (!known)
    return take_text(value, known, out);
  auto has_prefix = value.size() > six.size() && ascii::equal_ignoring_case(value.substr(0, six.size()), six);
  auto text = has_prefix ? value.substr(six.size()) : value;
  return is_ip_text(has_prefix ? AF_INET6 : AF_INET, text) && take_text(text, known, out);
}

bool take_port(const std::string& value, bool known, std::optional<std::uint16_t>& out) {
  std::uint16_t port = 0;
  if (known) {
    auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), port);
    if (failed != std::errc{} || end != value.data() + value.size())
      return false;
  }
  out = port;
  return true;
}

bool take_proto(const std::string& value, bool known, std::optional<bool>& out) {
  out = ascii::equal_ignoring_case(value, "ESMTP");
  return known && (*out || ascii::equal_ignoring_case(value, "SMTP"));
}

/// False: unknown, or its value is none.
bool take_attribute(std::string_view name, const std::string& value, bool known, bool with_login,
                    xclient_attributes& out) {
  auto is = [&](std::string_view wanted) { return ascii::equal_ignoring_case(name, wanted); };
  if (is("NAME"))
    return !out.name && take_name(value, known, out.name);
  if (is("ADDR"))
    return !out.addr && take_ip(value, known, out.addr);
  if (is("PORT"))
    return !out.port && take_port(value, known, out.port);
  if (is("PROTO"))
    return !out.extended && take_proto(value, known, out.extended);
  if (is("HELO"))
    return !out.helo && take_name(value, known, out.helo);
  if (is("LOGIN") && with_login)
    return !out.login && take_text(value, known, out.login);
  if (is("DESTADDR"))
    return !out.destaddr && take_ip(value, known, out.destaddr);
  return is("DESTPORT") && !out.destport && take_port(value, known, out.destport);
}

} // namespace

std::expected<xclient_attributes, standard_reply> parse_xclient(std::string_view arguments, bool with_login) {
  xclient_attributes made;
  auto seen = false;
  while (!arguments.empty()) {
    auto token = arguments.substr(0, arguments.find(' '));
    arguments.remove_prefix(std::min(token.size() + 1, arguments.size()));
    if (token.empty())
      continue; // several spaces
    auto name = token.substr(0, token.find('='));
    if (name.size() == token.size())
      return std::unexpected{replies::syntax_error};
    auto value = decode_xtext(token.substr(name.size() + 1));
    if (!value || value->size() > xclient_octets_max || std::ranges::any_of(*value, ascii::is_control) ||
        !mail::is_utf8(*value))
      return std::unexpected{replies::bad_parameter};
    auto known =
        !ascii::equal_ignoring_case(*value, "[UNAVAILABLE]") && !ascii::equal_ignoring_case(*value, "[TEMPUNAVAIL]");
    if (!take_attribute(name, *value, known, with_login, made))
      return std::unexpected{replies::bad_parameter};
    seen = true;
  }
  if (!seen)
    return std::unexpected{replies::syntax_error};
  return made;
}

} // namespace hedwig::smtp
