// SPDX-License-Identifier: Apache-2.0
// hedwig/testing/settings.hpp - settings as a plugin reads them, made without a file.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <hedwig/config.h>

/// One table of settings that the schema has approved.
struct hedwig_config {
  using tables = std::vector<std::shared_ptr<const hedwig_config>>;
  using value = std::variant<std::string, std::int64_t, bool, std::vector<std::string>, tables>;
  std::map<std::string, value, std::less<>> values; ///< by the schema's name, dots and all
};

namespace hedwig::sdk::testing {

namespace detail {

using unit = std::pair<std::string_view, std::int64_t>;

template <class Units>
std::optional<std::int64_t> sum_of(std::string_view text, const Units& units) {
  std::int64_t total = 0;
  if (text.empty())
    return std::nullopt;
  while (!text.empty()) {
    std::int64_t number = 0;
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{})
      return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    auto name = text.substr(0, text.find_first_of("0123456789"));
    auto* found = std::find_if(units.begin(), units.end(), [name](auto& one) { return one.first == name; });
    if (found == units.end())
      return std::nullopt;
    total += number * found->second;
    text.remove_prefix(name.size());
  }
  return total;
}

template <class Value>
const Value* find(const hedwig_config* config, const char* name) {
  auto at = config->values.find(name);
  return at == config->values.end() ? nullptr : std::get_if<Value>(&at->second);
}

inline hedwig_str borrowed(const std::string* text) {
  return text == nullptr ? hedwig_str{} : hedwig_str{text->data(), text->size()};
}

} // namespace detail

/// "30s", "5m", "1h30m" in nanoseconds.
inline std::optional<std::int64_t> duration_of(std::string_view text) {
  constexpr std::int64_t second = 1'000'000'000;
  static constexpr std::array units{detail::unit{"ms", second / 1000}, detail::unit{"s", second},
                                    detail::unit{"m", 60 * second}, detail::unit{"h", 3600 * second},
                                    detail::unit{"d", 86400 * second}};
  return text == "0" ? std::optional<std::int64_t>{0} : detail::sum_of(text, units);
}

/// "64MiB", "1GB" or a bare number, in bytes.
inline std::optional<std::int64_t> size_of(std::string_view text) {
  static constexpr std::array units{detail::unit{"", 1},
                                    detail::unit{"B", 1},
                                    detail::unit{"KiB", 1 << 10},
                                    detail::unit{"MiB", 1 << 20},
                                    detail::unit{"GiB", 1 << 30},
                                    detail::unit{"KB", 1000},
                                    detail::unit{"MB", 1'000'000},
                                    detail::unit{"GB", 1'000'000'000},
                                    detail::unit{"TiB", std::int64_t{1} << 40}};
  return detail::sum_of(text, units);
}

/// How a plugin reads a hedwig_config.
inline const hedwig_host_config& settings_table() {
  static const hedwig_host_config table{
      sizeof table,
      0,
      [](const hedwig_config* c, const char* name) -> std::int32_t { return c->values.contains(name) ? 1 : 0; },
      [](const hedwig_config* c, const char* name) { return detail::borrowed(detail::find<std::string>(c, name)); },
      [](const hedwig_config* c, const char* name) -> std::int64_t {
        auto* number = detail::find<std::int64_t>(c, name);
        return number == nullptr ? 0 : *number;
      },
      [](const hedwig_config* c, const char* name) -> std::int32_t {
        auto* truth = detail::find<bool>(c, name);
        return truth != nullptr && *truth ? 1 : 0;
      },
      [](const hedwig_config* c, const char* name) -> std::size_t {
        if (auto* texts = detail::find<std::vector<std::string>>(c, name))
          return texts->size();
        auto* tables = detail::find<hedwig_config::tables>(c, name);
        return tables == nullptr ? 0 : tables->size();
      },
      [](const hedwig_config* c, const char* name, std::size_t i) {
        auto* texts = detail::find<std::vector<std::string>>(c, name);
        return detail::borrowed(texts == nullptr || i >= texts->size() ? nullptr : &(*texts)[i]);
      },
      [](const hedwig_config* c, const char* name, std::size_t i) -> const hedwig_config* {
        auto* tables = detail::find<hedwig_config::tables>(c, name);
        return tables == nullptr || i >= tables->size() ? nullptr : (*tables)[i].get();
      }};
  return table;
}

/// What a test writes in place of a table of the configuration file:
///   settings{{"limit", 3}, {"timeout", "5s"}, {"blocked", strings{"a.example", "b.example"}}, {"user", tables{...}}}
class settings {
public:
  using strings = std::vector<std::string>;
  using tables = std::vector<settings>;
  class value : public std::variant<std::string, std::int64_t, bool, strings, tables> {
  public:
    value(const char* text) : variant{std::string{text}} {}
    value(std::string text) : variant{std::move(text)} {}
    value(int number) : variant{std::int64_t{number}} {}
    value(std::int64_t number) : variant{number} {}
    value(bool truth) : variant{truth} {}
    value(strings list) : variant{std::move(list)} {}
    value(tables list) : variant{std::move(list)} {}
  };

  settings() = default;
  settings(std::initializer_list<std::pair<const std::string, value>> all) : values_{all} {}

  /// Checked and completed by `schema`, as the host does. Throws std::invalid_argument, whose text names the key.
  std::shared_ptr<const hedwig_config> read(const hedwig_config_schema* schema) const {
    auto made = std::make_shared<hedwig_config>();
    for (auto& [name, ignored] : values_)
      if (find_key(schema, name) == nullptr)
        throw std::invalid_argument{name + ": the schema does not know this key"};
    for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
      auto& key = *schema->keys[i];
      if (auto at = values_.find(key.name); at != values_.end())
        made->values[key.name] = checked(at->second, key);
      else if (key.default_value != nullptr)
        made->values[key.name] = checked(default_of(key), key);
      else if ((key.flags & HEDWIG_CONFIG_REQUIRED) != 0)
        throw std::invalid_argument{std::string{key.name} + ": required"};
    }
    return made;
  }

private:
  static const hedwig_config_key* find_key(const hedwig_config_schema* schema, const std::string& name) {
    for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i)
      if (name == schema->keys[i]->name)
        return schema->keys[i];
    return nullptr;
  }

  static std::int64_t number_of(const value& from, const hedwig_config_key& key) {
    auto* text = std::get_if<std::string>(&from);
    auto* number = std::get_if<std::int64_t>(&from);
    std::optional<std::int64_t> read;
    if (number != nullptr && key.type != HEDWIG_CONFIG_DURATION)
      read = *number;
    if (text != nullptr && key.type != HEDWIG_CONFIG_INTEGER)
      read = key.type == HEDWIG_CONFIG_DURATION ? duration_of(*text) : size_of(*text);
    if (!read)
      throw std::invalid_argument{std::string{key.name} + ": a number belongs here, with its unit if it has one"};
    if (key.minimum != key.maximum && (*read < key.minimum || *read > key.maximum))
      throw std::invalid_argument{std::string{key.name} + ": out of range"};
    return *read;
  }

  template <class Wanted>
  static const Wanted& get(const value& from, const hedwig_config_key& key) {
    if (auto* there = std::get_if<Wanted>(&from))
      return *there;
    throw std::invalid_argument{std::string{key.name} + ": a value of another type belongs here"};
  }

  static hedwig_config::value checked(const value& from, const hedwig_config_key& key) {
    switch (key.type) {
    case HEDWIG_CONFIG_INTEGER:
    case HEDWIG_CONFIG_DURATION:
    case HEDWIG_CONFIG_SIZE:
      return number_of(from, key);
    case HEDWIG_CONFIG_BOOLEAN:
      return get<bool>(from, key);
    case HEDWIG_CONFIG_STRINGS:
      return get<strings>(from, key);
    case HEDWIG_CONFIG_TABLES: {
      hedwig_config::tables all;
      for (auto& one : get<tables>(from, key))
        all.push_back(one.read(key.nested));
      return all;
    }
    default:
      break;
    }
    auto& text = get<std::string>(from, key);
    if (key.choices == nullptr)
      return text;
    for (auto* const* choice = key.choices; *choice != nullptr; ++choice)
      if (text == *choice)
        return text;
    throw std::invalid_argument{std::string{key.name} + ": \"" + text + "\" is not among the choices"};
  }

  /// A schema's default, as TOML or with the quotes left out.
  static value default_of(const hedwig_config_key& key) {
    std::string_view text{key.default_value};
    auto unquoted = [](std::string_view one) {
      return std::string{one.size() > 1 && one.starts_with('"') && one.ends_with('"') ? one.substr(1, one.size() - 2)
                                                                                      : one};
    };
    if (key.type == HEDWIG_CONFIG_BOOLEAN)
      return text == "true";
    if (key.type == HEDWIG_CONFIG_TABLES)
      return tables{};
    if (key.type == HEDWIG_CONFIG_STRINGS) {
      strings all;
      for (auto at = text.find('"'); at != text.npos; at = text.find('"', at + 1)) {
        auto end = std::min(text.find('"', at + 1), text.size());
        all.emplace_back(text.substr(at + 1, end - at - 1));
        at = end;
      }
      return all;
    }
    std::int64_t number = 0;
    auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (key.type == HEDWIG_CONFIG_INTEGER && failed == std::errc{} && rest == text.data() + text.size())
      return number;
    return unquoted(text);
  }

  std::map<std::string, value> values_;
};

using strings = settings::strings;
using tables = settings::tables;

} // namespace hedwig::sdk::testing
