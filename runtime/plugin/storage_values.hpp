// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/buffer.hpp"
#include "runtime/base/clock.hpp"
#include "runtime/base/message_id.hpp"

// What a store is asked and what it answers, as C++ values; <hedwig/storage.h> says what each means. Everything here is
// owned: nothing borrows from the plugin.
namespace hedwig::plugin {

/// Whether what a store refused for that reason may succeed in a while.
[[nodiscard]] constexpr bool is_momentary(hedwig_status why) noexcept {
  return why == HEDWIG_E_BUSY || why == HEDWIG_E_UNAVAILABLE || why == HEDWIG_E_TIMEOUT || why == HEDWIG_E_IO;
}

/// Of STAGE: names a body under way; never 0.
struct storage_stage {
  std::uint64_t stage = 0;
};

/// Of PUT and MOVE: durable.
struct storage_commit {
  hedwig_storage_hint hint{};
  std::uint64_t revision = 1;
  std::uint32_t group_size = 1; ///< writes that shared the commit
};

/// Of STAT, and one line of LIST and CLAIM.
struct storage_entry {
  message_id id;
  std::uint32_t state = 0; ///< HEDWIG_STATE_…
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0;
  std::uint64_t body_size = 0;
  wall_time due{};
  std::string metadata;    ///< empty unless asked for
  std::uint32_t flags = 0; ///< HEDWIG_ENTRY_…
};

/// Of LIST and CLAIM.
struct storage_listing {
  std::vector<storage_entry> entries;
  std::string cursor; ///< empty: nothing follows
};

/// Of READ: `body` may be a part; `body_size` is that of the whole body.
struct storage_body {
  rope body;
  std::uint64_t body_size = 0;
};

/// Of STATS.
struct storage_statistics {
  std::vector<hedwig_state_stats> states; ///< indexed by state number
  std::uint64_t disk_free = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_writes = 0;
  std::uint64_t damaged = 0; ///< records found damaged since start()
};

struct put_request {
  message_id id;
  std::uint32_t state = HEDWIG_STATE_QUEUED;
  wall_time due{};
  wall_time lease_until{}; ///< the epoch: unclaimed
  std::uint64_t stage = 0; ///< 0: the body is in `body` alone
  rope body;               ///< what follows the stage
  std::string metadata;    ///< up to 1 MiB
  bool retry = false;      ///< the same PUT was sent before: the store looks for it, and may answer EXISTS
};

struct move_request {
  message_id id;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0; ///< the expected one; CONFLICT when it differs
  std::uint32_t state = HEDWIG_STATE_QUEUED;
  wall_time due{};
  wall_time lease_until{}; ///< the epoch: unclaimed from here on
  std::string metadata;
  bool replace_metadata = false;
};

struct remove_request {
  message_id id;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0; ///< 0: whichever
  bool ride = false;          ///< may wait for the next commit
};

struct read_request {
  message_id id;
  hedwig_storage_hint hint{};
  std::uint64_t offset = 0;
  std::uint64_t length = ~std::uint64_t{0}; ///< a wish
};

struct list_request {
  std::uint32_t states = 0; ///< HEDWIG_STATE_MASK, or-ed
  bool by_receipt = false;
  bool metadata = false;
  wall_time due_before = wall_time::max();
  std::string cursor;
  std::uint32_t limit = 1000;
  bool damaged = false; ///< damaged ones too
};

struct claim_request {
  std::uint32_t states = HEDWIG_STATE_MASK(HEDWIG_STATE_QUEUED) | HEDWIG_STATE_MASK(HEDWIG_STATE_DEFERRED);
  bool metadata = true;
  wall_time due_before{};
  wall_time lease_until{};
  std::string cursor;
  std::uint32_t limit = 1000;
  bool damaged = true; ///< damaged ones too, to be set aside
};

} // namespace hedwig::plugin
