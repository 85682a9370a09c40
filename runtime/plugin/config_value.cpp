// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/config_value.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <iterator>

#include "runtime/config/values.hpp"

namespace hedwig::plugin {

namespace {

using config::node;
using value = hedwig_config::value;
using read = std::expected<value, std::string>;

constexpr std::size_t secret_max = 64 * 1024;

std::unexpected<std::string> wrong_type(const node& written, std::string_view wanted) {
  return std::unexpected{fmt::format("{} stands where {} belongs", describe(written.type), wanted)};
}

std::string amount(int type, std::int64_t number) {
  if (type == HEDWIG_CONFIG_DURATION)
    return config::to_text(std::chrono::nanoseconds{number});
  return std::to_string(number);
}

read in_range(const hedwig_config_key& key, std::int64_t number) {
  if (key.minimum == key.maximum || (number >= key.minimum && number <= key.maximum))
    return number;
  return std::unexpected{fmt::format("{} is out of range: {} to {}", amount(key.type, number),
                                     amount(key.type, key.minimum), amount(key.type, key.maximum))};
}

std::expected<std::string, std::string> choice(const hedwig_config_key& key, const std::string& text) {
  if (key.choices == nullptr)
    return text;
  std::vector<std::string_view> all;
  for (auto* one = key.choices; *one != nullptr; ++one)
    all.emplace_back(*one);
  if (std::ranges::find(all, text) != all.end())
    return text;
  auto near = config::nearest_name(text, all);
  return std::unexpected{fmt::format("{} is not one of {}{}", config::quoted(text), fmt::join(all, ", "),
                                     near ? fmt::format(": did you mean \"{}\"?", *near) : "")};
}

read read_duration(const hedwig_config_key& key, const node& written) {
  if (written.type == node::kind::integer)
    return std::unexpected{fmt::format("{0} needs a unit, such as \"{0}s\"", written.integer)};
  if (written.type != node::kind::string)
    return wrong_type(written, "a time such as \"30s\"");
  auto parsed = config::parse_duration(written.text);
  if (!parsed)
    return std::unexpected{parsed.error()};
  return in_range(key, parsed->count());
}

read read_size(const hedwig_config_key& key, const node& written) {
  if (written.type == node::kind::integer) {
    if (written.integer < 0)
      return std::unexpected{std::string{"a size is never negative"}};
    return in_range(key, written.integer);
  }
  if (written.type != node::kind::string)
    return wrong_type(written, "a size such as \"64MiB\"");
  auto parsed = config::parse_size(written.text);
  if (!parsed)
    return std::unexpected{parsed.error()};
  if (*parsed > INT64_MAX)
    return std::unexpected{std::string{"the size is too large"}};
  return in_range(key, static_cast<std::int64_t>(*parsed));
}

read read_path(const node& written, const config_source& source) {
  if (written.type != node::kind::string)
    return wrong_type(written, "a path");
  if (written.text.empty())
    return std::unexpected{std::string{"the path is empty"}};
  return (source.directory / written.text).lexically_normal().string();
}

read secret_from_file(const node& name, const config_source& source) {
  if (name.type != node::kind::string)
    return wrong_type(name, "the path of a file");
  auto path = source.directory / name.text;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    return std::unexpected{fmt::format("the secret's file {} is no readable file", config::quoted(path.string()))};
  std::ifstream in{path, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (!in || text.size() > secret_max)
    return std::unexpected{
        fmt::format("the secret's file {} cannot be read, or is longer than 64 KiB", config::quoted(path.string()))};
  // Editors end the last line.
  if (text.ends_with('\n'))
    text.pop_back();
  if (text.ends_with('\r'))
    text.pop_back();
  return text;
}

read secret_from_environment(const node& name) {
  if (name.type != node::kind::string)
    return wrong_type(name, "the name of an environment variable");
  const auto* text = std::getenv(name.text.c_str());
  if (text == nullptr)
    return std::unexpected{fmt::format("the environment variable {} is not set", config::quoted(name.text))};
  return std::string{text};
}

read read_secret(const node& written, const config_source& source) {
  if (written.type == node::kind::string)
    return written.text;
  constexpr auto wanted = "a text, {file = \"path\"} or {env = \"NAME\"}";
  if (written.type != node::kind::table || written.members.size() != 1)
    return wrong_type(written, wanted);
  if (const auto* file = written.find("file"))
    return secret_from_file(*file, source);
  if (const auto* name = written.find("env"))
    return secret_from_environment(*name);
  return wrong_type(written, wanted);
}

read read_strings(const hedwig_config_key& key, const node& written) {
  if (written.type != node::kind::array)
    return wrong_type(written, "a list of strings such as [\"a\", \"b\"]");
  std::vector<std::string> all;
  for (auto& item : written.items) {
    if (item.type != node::kind::string)
      return wrong_type(item, "a string of a list");
    auto one = choice(key, item.text);
    if (!one)
      return std::unexpected{one.error()};
    all.push_back(std::move(*one));
  }
  return all;
}

/// Defaults are written as in TOML, but strings may leave out the quotes.
std::string unquoted(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return std::string{text};
}

std::optional<node> node_of_default(const hedwig_config_key& key) {
  std::string_view text{key.default_value};
  std::int64_t number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  auto is_number = failed == std::errc{} && end == text.data() + text.size();
  if (key.type == HEDWIG_CONFIG_BOOLEAN)
    return text == "true" || text == "false" ? std::optional{node::of(text == "true")} : std::nullopt;
  if (key.type == HEDWIG_CONFIG_INTEGER || (key.type == HEDWIG_CONFIG_SIZE && is_number))
    return is_number ? std::optional{node::of(number)} : std::nullopt;
  if (key.type != HEDWIG_CONFIG_STRINGS)
    return node::of(unquoted(text));
  if (!text.starts_with('[') || !text.ends_with(']'))
    return std::nullopt;
  node list;
  list.type = node::kind::array;
  for (auto rest = text.substr(1, text.size() - 2); !rest.empty();) {
    auto part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    part.remove_prefix(std::min(part.size(), part.find_first_not_of(' ')));
    part = part.substr(0, part.find_last_not_of(' ') + 1);
    if (!part.empty())
      list.items.push_back(node::of(unquoted(part)));
  }
  return list;
}

} // namespace

std::expected<value, std::string> read_value(const hedwig_config_key& key, const node& written,
                                             const config_source& source) {
  switch (key.type) {
  case HEDWIG_CONFIG_STRING: {
    if (written.type != node::kind::string)
      return wrong_type(written, "a string");
    auto text = choice(key, written.text);
    if (!text)
      return std::unexpected{std::move(text.error())};
    return std::move(*text);
  }
  case HEDWIG_CONFIG_INTEGER:
    return written.type == node::kind::integer ? in_range(key, written.integer)
                                               : read{wrong_type(written, "an integer")};
  case HEDWIG_CONFIG_BOOLEAN:
    return written.type == node::kind::boolean ? read{written.boolean} : read{wrong_type(written, "true or false")};
  case HEDWIG_CONFIG_DURATION:
    return read_duration(key, written);
  case HEDWIG_CONFIG_SIZE:
    return read_size(key, written);
  case HEDWIG_CONFIG_PATH:
    return read_path(written, source);
  case HEDWIG_CONFIG_SECRET:
    return read_secret(written, source);
  case HEDWIG_CONFIG_STRINGS:
    return read_strings(key, written);
  default:
    return std::unexpected{std::string{"the plugin declared a type that this Hedwig does not know"}};
  }
}

std::optional<value> default_value(const hedwig_config_key& key, const config_source& source) {
  if (key.type == HEDWIG_CONFIG_TABLES)
    return value{hedwig_config::tables{}};
  if (key.default_value == nullptr)
    return std::nullopt;
  auto written = node_of_default(key);
  if (!written)
    return std::nullopt;
  auto read = read_value(key, *written, source);
  return read ? std::optional{std::move(*read)} : std::nullopt;
}

std::string default_fault(const hedwig_config_key& key) {
  if (key.default_value == nullptr || key.type == HEDWIG_CONFIG_SECRET)
    return {};
  if (key.type == HEDWIG_CONFIG_TABLES)
    return "tables have no default";
  auto written = node_of_default(key);
  if (!written)
    return fmt::format("its default {} is not {}", key.default_value, type_name(key.type));
  auto read = read_value(key, *written, {});
  return read ? std::string{} : fmt::format("its default {}: {}", key.default_value, read.error());
}

std::string_view type_name(int type) noexcept {
  switch (type) {
  case HEDWIG_CONFIG_STRING:
    return "string";
  case HEDWIG_CONFIG_INTEGER:
    return "integer";
  case HEDWIG_CONFIG_BOOLEAN:
    return "true or false";
  case HEDWIG_CONFIG_DURATION:
    return "duration";
  case HEDWIG_CONFIG_SIZE:
    return "size";
  case HEDWIG_CONFIG_PATH:
    return "path";
  case HEDWIG_CONFIG_SECRET:
    return "secret";
  case HEDWIG_CONFIG_STRINGS:
    return "list of strings";
  case HEDWIG_CONFIG_TABLES:
    return "tables";
  default:
    return "unknown";
  }
}

} // namespace hedwig::plugin
