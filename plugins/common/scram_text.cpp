// SPDX-License-Identifier: Apache-2.0
#include "scram_text.hpp"

#include <botan/base64.h>

#include <charconv>
#include <vector>

#include "login_text.hpp"

namespace hedwig::logins {

namespace {

constexpr std::size_t scram_key_octets = 32;
constexpr std::size_t value_octets_max = 4096;
constexpr std::uint32_t iterations_max = 10'000'000;
constexpr std::string_view braced_scheme = "{SCRAM-SHA-256}";

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' '))
    text.remove_prefix(1);
  while (text.ends_with(' '))
    text.remove_suffix(1);
  return text;
}

std::optional<std::string> decoded(std::string_view base64) {
  try {
    auto bytes = Botan::base64_decode(base64.data(), base64.size(), false);
    return std::string{bytes.begin(), bytes.end()};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

using halves = std::pair<std::string_view, std::string_view>;

/// The two sides of the first `sign`.
std::optional<halves> split(std::string_view text, char sign) {
  auto at = text.find(sign);
  if (at == std::string_view::npos)
    return std::nullopt;
  return std::pair{trimmed(text.substr(0, at)), trimmed(text.substr(at + 1))};
}

} // namespace

bool is_scram_text(std::string_view value) {
  auto scheme = split(value, '$');
  return (scheme && same_text(scheme->first, "SCRAM-SHA-256")) || value.starts_with(braced_scheme);
}

std::optional<sdk::scram_secret> read_scram(std::string_view value) {
  if (value.size() > value_octets_max)
    return std::nullopt;
  std::optional<halves> how, both;
  if (value.starts_with(braced_scheme)) {
    how = split(value.substr(braced_scheme.size()), ',');
    auto rest = how ? split(how->second, ',') : std::nullopt;
    if (rest)
      how->second = rest->first;
    both = rest ? split(rest->second, ',') : std::nullopt;
  } else {
    auto scheme = split(value, '$');
    auto rest = scheme && same_text(scheme->first, "SCRAM-SHA-256") ? split(scheme->second, '$') : std::nullopt;
    how = rest ? split(rest->first, ':') : std::nullopt;
    both = rest ? split(rest->second, ':') : std::nullopt;
  }
  if (!how || !both)
    return std::nullopt;
  sdk::scram_secret made;
  auto [end, fault] = std::from_chars(how->first.data(), how->first.data() + how->first.size(), made.iterations);
  auto salt = decoded(how->second);
  auto stored = decoded(both->first);
  auto server = decoded(both->second);
  if (fault != std::errc{} || end != how->first.data() + how->first.size() || made.iterations == 0 ||
      made.iterations > iterations_max || !salt || salt->empty() || !stored || stored->size() != scram_key_octets ||
      !server || server->size() != scram_key_octets)
    return std::nullopt;
  made.salt = std::move(*salt);
  made.stored_key = std::move(*stored);
  made.server_key = std::move(*server);
  return made;
}

} // namespace hedwig::logins
