// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/queue/metadata.hpp"

namespace hedwig::queue {

/// Most bytes of JSON read from a Hedwig 0.10 spool, without a body.
inline constexpr std::size_t metadata_v0_10_size_max = 512 * 1024;

/// Whether `bytes` look like Hedwig 0.10's: "HEDWIG1 " or a JSON object.
[[nodiscard]] bool is_v0_10(std::string_view bytes) noexcept;

/// See decode_metadata. Without `queued_at` the time is that in `id`, which was a ULID.
[[nodiscard]] result<stored> decode_v0_10(std::string_view bytes, const message_id& id);

} // namespace hedwig::queue
