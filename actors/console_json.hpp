// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "runtime/plugin/storage_values.hpp"
#include "runtime/queue/record.hpp"

#include <Poco/JSON/Object.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the admin API answers, as JSON. Always valid, whatever a peer said. Every function: any thread.
namespace hedwig::console {

/// The text with everything that is not well-formed UTF-8 (RFC 3629) replaced by U+FFFD, since JSON cannot hold it.
[[nodiscard]] std::string utf8_text(std::string_view text);
/// The object on one line, with a line end.
[[nodiscard]] std::string text_of(const Poco::JSON::Object& object);
/// {"error": why}
[[nodiscard]] std::string failure(std::string_view why);

/// "queued", "deferred", "held", "bounced", "quarantined".
[[nodiscard]] const char* name_of_state(std::uint32_t state) noexcept;
/// The states of a list, or-ed: of one by name, of "all", or for "" of all but bounced. 0: no such name.
[[nodiscard]] std::uint32_t mask_of_states(std::string_view name) noexcept;
/// A list's cursor as text and back; nothing when the text is none.
[[nodiscard]] std::string cursor_text(std::string_view cursor);
[[nodiscard]] std::optional<std::string> cursor_of(std::string_view text);

/// Why a message that rests in that state does not take that verb; empty when it does.
[[nodiscard]] std::string_view refusal(std::string_view verb, std::uint32_t state) noexcept;

/// A message as the spooler knows it: from the store, or live.
struct row {
  plugin::storage_entry entry;        ///< of a live one: the id alone
  queue::message_ptr message;         ///< of a live one
  std::optional<queue::record> state; ///< likewise
};
[[nodiscard]] std::string list(const std::vector<row>& rows, std::string_view cursor);
/// Nothing when the stored metadata cannot be read; `why` says so.
[[nodiscard]] std::optional<std::string> show(const row& one, std::string& why);

} // namespace hedwig::console
