// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/base/error.hpp"
#include "runtime/config/settings.hpp"

// The one table that says what a configuration file may hold: it drives reading, checking, defaults, the nearest-name
// suggestions, reload_difference() and docs/configuration.md.
namespace hedwig::config {

enum class kind : std::uint8_t {
  boolean,
  integer,
  real,
  text,
  choice,
  hostname,
  ip_address,
  path,
  paths,
  secret,
  octal_mode,
  log_filter,
  time,
  time_or_off,
  size,
  bind_address,
  next_hops,   ///< list of host[:port], port 25
  dns_servers, ///< list of address[:port], port 53
  networks,
  patterns,
  texts,
  limits, ///< table of domain = number
  table,
  tables,         ///< [[list of tables]]
  table_or_tables ///< both ways of writing are read
};

struct choice_index {
  int index;
};

/// A value that passed the checks of its kind.
using value = std::variant<bool, std::int64_t, double, std::string, duration, std::optional<duration>, endpoint,
                           choice_index, std::vector<endpoint>, std::vector<network>, std::vector<std::string>,
                           std::map<std::string, std::uint64_t>>;

enum flag : std::uint32_t {
  required = 1u << 0,
  reloadable = 1u << 1,
  idle = 1u << 2,       ///< read for the sake of Hedwig 0.10's files, means nothing here
  deprecated = 1u << 3, ///< `note` says what to write instead
  not_empty = 1u << 4,  ///< a list or a text that must hold something
  optional_table = 1u << 5,
  open_ended = 1u << 6 ///< keys that the schema does not know belong to a provider
};

struct schema_key {
  std::string_view path; ///< "server.listeners[].tls.mode"
  kind type;
  std::string_view fallback; ///< the default as TOML has it; empty: none
  std::string_view help;     ///< one sentence or more, for docs and people
  std::uint32_t flags = 0;
  double minimum = 0; ///< of numbers, sizes (bytes) and times (seconds); both 0: no check
  double maximum = 0;
  std::string_view choices = {}; ///< "a|b|c", in the order of the enumeration
  std::string_view note = {};    ///< what an idle or deprecated key's warning says to do
  /// Puts a value into the struct of the enclosing table, which `owner` points to; null: only checked.
  void (*store)(void* owner, value&& from) = nullptr;
  /// For tables: the struct that holds the table's keys, made when it is a list.
  void* (*open)(void* owner) = nullptr;
  /// For open_ended tables: takes a key that the schema does not know.
  void (*collect)(void* owner, const member& from) = nullptr;

  [[nodiscard]] constexpr bool has(flag one) const noexcept { return (flags & one) != 0; }
  [[nodiscard]] constexpr bool is_table() const noexcept {
    return type == kind::table || type == kind::tables || type == kind::table_or_tables;
  }
  /// "server.listeners[].tls" of "server.listeners[].tls.mode"; empty at the top.
  [[nodiscard]] constexpr std::string_view parent() const noexcept {
    const auto dot = path.rfind('.');
    return dot == path.npos ? std::string_view{} : path.substr(0, dot);
  }
  /// "mode"; without brackets.
  [[nodiscard]] constexpr std::string_view leaf() const noexcept {
    const auto dot = path.rfind('.');
    auto name = dot == path.npos ? path : path.substr(dot + 1);
    if (name.ends_with("[]"))
      name.remove_suffix(2);
    return name;
  }
};

/// In the order of the documents: a table's keys follow it.
[[nodiscard]] std::span<const schema_key> schema() noexcept;
/// The default as a node; null when there is none.
[[nodiscard]] const node* fallback_of(const schema_key& key);

/// One [[filters]] entry before it is known which of its two forms it has.
struct filter_draft {
  std::optional<filter_type> type;
  domain_rule rule;
  provider_settings provider;
  node extra;
};

/// What a file is read into before the rules between keys have their say.
struct draft {
  config::settings settings;
  std::vector<filter_draft> filters;
  std::map<std::string, node> storage_tables;
};

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class Member>
struct member_of;
template <class Owner, class Type>
struct member_of<Type Owner::*> {
  using owner = Owner;
  using type = Type;
};

template <class Wanted>
Wanted take(value&& from) {
  auto* held = std::get_if<Wanted>(&from);
  if (!held)
    panic("a schema entry's kind does not fit its member");
  return std::move(*held);
}

template <class T>
void assign(T& to, value&& from) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double> || std::is_same_v<T, duration> ||
                std::is_same_v<T, std::optional<duration>> || std::is_same_v<T, std::string> ||
                std::is_same_v<T, endpoint> || is_vector<T> || std::is_same_v<T, std::map<std::string, std::uint64_t>>)
    to = take<T>(std::move(from));
  else if constexpr (std::is_integral_v<T>)
    to = static_cast<T>(take<std::int64_t>(std::move(from)));
  else if constexpr (std::is_enum_v<T>)
    to = static_cast<T>(take<choice_index>(std::move(from)).index);
  else if constexpr (std::is_same_v<T, secret>)
    to = secret{take<std::string>(std::move(from))};
  else if constexpr (is_optional<T>)
    assign(to.emplace(), std::move(from));
}

/// The member that a chain of members leads to, from the struct that holds the first.
template <auto First, auto... Rest>
auto& reach(typename member_of<decltype(First)>::owner& owner) {
  if constexpr (sizeof...(Rest) == 0)
    return owner.*First;
  else
    return reach<Rest...>(owner.*First);
}

template <auto First, auto... Rest>
void put(void* owner, value&& from) {
  assign(reach<First, Rest...>(*static_cast<typename member_of<decltype(First)>::owner*>(owner)), std::move(from));
}

template <auto First, auto... Rest>
void* inside(void* owner) {
  auto& to = reach<First, Rest...>(*static_cast<typename member_of<decltype(First)>::owner*>(owner));
  using type = std::remove_reference_t<decltype(to)>;
  if constexpr (is_optional<type>)
    return &to.emplace();
  else if constexpr (is_vector<type>)
    return &to.emplace_back();
  else
    return &to;
}

} // namespace detail
} // namespace hedwig::config
