// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/plugin/storage_values.hpp"
#include "runtime/queue/metadata.hpp"

#include <Poco/JSON/Object.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace hedwig::app {

/// A message of the spool with what its metadata say; `known` is an error for a damaged one.
struct spool_message {
  plugin::storage_entry entry;
  result<queue::stored> known;
};
[[nodiscard]] spool_message understand(plugin::storage_entry entry);

/// Why a message is damaged, or was set aside as such; empty: it is not, as far as its metadata tell.
[[nodiscard]] std::string damage_text(const spool_message& of);

/// "2025-01-31T12:00:00Z"; empty for the epoch and for never.
[[nodiscard]] std::string time_text(wall_time when);
/// "3d", "2h", "5m", "10s"; of the future 0s.
[[nodiscard]] std::string age_text(wall_time since, wall_time now);
/// Control bytes but tabs as \xNN, what is not UTF-8 as U+FFFD: for a terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// One line of a list. `width` columns are not kept: long addresses are shown whole.
[[nodiscard]] std::string list_heading();
[[nodiscard]] std::string list_line(const spool_message& of, wall_time now);
[[nodiscard]] Poco::JSON::Object list_object(const spool_message& of);
/// Envelope and recipients, one fact a line.
[[nodiscard]] std::string whole_text(const spool_message& of);
[[nodiscard]] Poco::JSON::Object whole_object(const spool_message& of);

/// "1 234 messages, 5.6 MiB" on standard error, when that is a terminal, a few times a second.
class spool_progress {
public:
  explicit spool_progress(std::string doing);
  ~spool_progress();
  void add(std::uint64_t messages, std::uint64_t octets);

private:
  void show();

  std::string doing_;
  bool shown_;
  steady_time next_{};
  std::uint64_t messages_ = 0;
  std::uint64_t octets_ = 0;
};

} // namespace hedwig::app
