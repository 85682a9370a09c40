// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"

// Logs are events: a stable id, a constant text, fields. Every id stands in docs/events.md; a test looks.
//
//   telemetry::log(level::info, component::listener, {"listener.open", "listening"}, {{"address", addr}});
//
// Text and values may hold anything a peer sent: both formats escape. No secrets and no message content, ever.
namespace hedwig::telemetry {

enum class level : std::uint8_t { trace, debug, info, warn, error, off };
[[nodiscard]] std::string_view to_string_view(level value) noexcept;

/// Parts whose level can be set on its own; the names are those of the actors and folders.
enum class component : std::uint8_t {
  main,
  supervisor,
  config,
  net,
  listener,
  session,
  authenticator,
  filter,
  spooler,
  storage,
  signer,
  dispatcher,
  destination,
  delivery,
  retry,
  resolver,
  bouncer,
  admin,
  plugin,
  sink,
  cluster
};
inline constexpr std::size_t component_count = static_cast<std::size_t>(component::cluster) + 1;
[[nodiscard]] std::string_view to_string_view(component value) noexcept;

/// A stable id ("session.refused": lower case, a dot after the area) and a constant text in words.
/// Both must be literals: the id is what docs/events.md lists, and nothing of a message may be in the text.
struct event {
  std::string_view id;
  std::string_view text;
  consteval event(const char* event_id, const char* event_text) : id{event_id}, text{event_text} {}
};

/// One key and its value, written as it is logged; borrowed until log() returns. Strings are strings in JSON, numbers
/// numbers, booleans booleans.
class field {
public:
  field(std::string_view key, std::string_view value) noexcept : key_{key}, text_{value}, kind_{kind::text} {}
  field(std::string_view key, const std::string& value) noexcept : field{key, std::string_view{value}} {}
  field(std::string_view key, const char* value) noexcept : field{key, std::string_view{value}} {}
  field(std::string_view key, bool value) noexcept : key_{key}, integer_{value}, kind_{kind::boolean} {}
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) field(std::string_view key, Integer value)
  noexcept : key_{key}, integer_{static_cast<std::int64_t>(value)}, kind_{kind::integer} {}
  /// A time span, in whole milliseconds.
  template <class Rep, class Period>
  field(std::string_view key, std::chrono::duration<Rep, Period> value) noexcept
    : field{key, std::chrono::duration_cast<std::chrono::milliseconds>(value).count()} {}
  field(std::string_view key, double value) noexcept : key_{key}, real_{value}, kind_{kind::real} {}

  enum class kind : std::uint8_t { text, integer, real, boolean };
  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::int64_t integer() const noexcept { return integer_; }
  [[nodiscard]] double real() const noexcept { return real_; }
  [[nodiscard]] kind type() const noexcept { return kind_; }

private:
  std::string_view key_;
  std::string_view text_;
  union {
    std::int64_t integer_ = 0;
    double real_;
  };
  kind kind_;
};

namespace detail {
extern std::atomic<level> levels[component_count];
void write(level severity, component part, const event& what, std::span<const field> fields) noexcept;
} // namespace detail

/// Whether an event of this severity would be written: one relaxed load. Ask first where the fields cost something.
[[nodiscard]] inline bool enabled(level severity, component part) noexcept {
  return severity >= detail::levels[static_cast<std::size_t>(part)].load(std::memory_order_relaxed);
}

/// Writes one event; any thread, never blocks for long. With the queue full, trace, debug and info lines are dropped
/// and counted (dropped_lines()), warnings and errors wait for room. Before start_log() and after stop_log() warnings
/// and errors go straight to standard error. Never throws.
inline void log(level severity, component part, const event& what, std::initializer_list<field> fields = {}) noexcept {
  if (enabled(severity, part))
    detail::write(severity, part, what, {fields.begin(), fields.size()});
}
inline void log(level severity, component part, const event& what, std::span<const field> fields) noexcept {
  if (enabled(severity, part))
    detail::write(severity, part, what, fields);
}

/// Levels by component: a default and exceptions.
struct level_filter {
  level fallback = level::info;
  std::map<component, level> exceptions;

  [[nodiscard]] level of(component part) const noexcept;
  /// "info,session=debug"
  [[nodiscard]] std::string text() const;
};
/// "info", "warn,session=debug", "delivery=trace". Levels: trace, debug, info, warn, error, off. The error says what is
/// known instead.
[[nodiscard]] result<level_filter> parse_level_filter(std::string_view text);

enum class log_format : std::uint8_t { text, json };

struct log_options {
  level_filter levels;
  log_format format = log_format::text;
  std::size_t queue_size = 8192; ///< lines waiting to be written
  /// Where lines go, each with its line feed; on the writer's thread. Empty: standard output.
  std::function<void(std::string_view line)> sink;
  const hedwig::clock* clock = nullptr; ///< for the time of an event; null: the system's
};

/// Starts the writer. HEDWIG_LOG_LEVEL in the environment is the caller's business: level_filter_from_environment().
/// Calling it again replaces format, sink and levels.
void start_log(log_options options);
/// Writes what waits, then ends the writer.
void stop_log() noexcept;
/// Waits until all that was logged before is written; for tests and before an abort.
void flush_log() noexcept;

/// Changes levels while running: hedwig-admin log-level. Any thread.
void set_levels(const level_filter& filter) noexcept;
[[nodiscard]] level_filter current_levels();
/// HEDWIG_LOG_LEVEL when it is set (it wins over the configuration), else `configured`.
[[nodiscard]] result<level_filter> level_filter_from_environment(std::string_view configured);
/// Lines that the full queue cost since the start.
[[nodiscard]] std::uint64_t dropped_lines() noexcept;

/// What happened to one recipient in one delivery attempt: the event `email delivery`, INFO, all fields strings, names
/// as Hedwig 0.10 has them. WARNING: tools outside read these names.
struct delivery_event {
  std::string_view job_id;
  std::string_view from_email;
  std::string_view recipient;
  std::string_view subject;
  std::string_view status; ///< "delivered", "deferred", "bounced", "dropped"
  std::string_view smtp_response;
  std::string_view dest_ip; ///< holds the name of the MX
  wall_time queued_at{};    ///< written as RFC 3339
  wall_time logged_at{};
  std::chrono::milliseconds delay{};
  std::uint32_t attempt = 0;
};
void log_delivery(const delivery_event& what) noexcept;

/// Appends `text` with controls, quotes, backslashes and bytes that are not UTF-8 escaped as JSON has it; valid UTF-8
/// is kept. At most `size_max` bytes are read, and "…" says so.
void append_escaped(std::string& out, std::string_view text, std::size_t size_max = 2048);

} // namespace hedwig::telemetry
