// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"
#include "runtime/queue/message.hpp"
#include "runtime/queue/record.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::queue {

/// What hedwig/storage.h allows for the metadata of one message.
inline constexpr std::size_t metadata_size_max = std::size_t{1} << 20;

/// A message without its body, and its record, as read back.
struct stored {
  queue::message message;
  queue::record record;
};

/// Message (without body) and record as bytes for the store. Reply texts are shortened, then dropped, when the whole
/// would exceed metadata_size_max. HEDWIG_E_INVALID when it does even so, when there are more than recipients_max
/// recipients, when record and envelope disagree on their number, or when an address holds control characters.
/// WARNING: on disk. "HWM" and a version byte, then fields: tag byte, length (LEB128), that many bytes. Recipients are
/// such fields that hold fields. Fields may come to be added: an older reader skips tags it does not know.
[[nodiscard]] result<std::string> encode_metadata(const message& known, const record& state);

/// Reads what encode_metadata wrote, or what Hedwig 0.10 left in its `fs` spool: the line "HEDWIG1 {json}" that starts
/// a message file, or an old file's single JSON object, each optionally followed by a newline and the JSON of its
/// deferred/ID.meta.json. `id` is the store's key and always wins over what the bytes say. Any bytes are legal input:
/// HEDWIG_E_CORRUPT says what is wrong with them, HEDWIG_E_UNSUPPORTED that a newer Hedwig wrote them.
/// Of metadata that were set aside as damaged the error's text is why.
[[nodiscard]] result<stored> decode_metadata(std::string_view bytes, const message_id& id);

/// What `last_error` of a message starts with that is in quarantine because it is damaged.
inline constexpr std::string_view damaged_prefix = "damaged: ";

/// The metadata under which a damaged message goes to quarantine: its record with `why` for its last error where that
/// can still be read, else HEDWIG_DAMAGED_MARK, `why` in one line, and `bytes` as they are. `bytes` that have the mark
/// already stay as they are.
[[nodiscard]] std::string damaged_metadata(std::string_view bytes, const message_id& id, std::string_view why);
/// Why a message was set aside as damaged; nothing when it was not.
[[nodiscard]] std::optional<std::string> damage_of(std::string_view bytes, const message_id& id);

} // namespace hedwig::queue
