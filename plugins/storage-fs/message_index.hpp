// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::storage_fs {

struct id_less {
  bool operator()(const hedwig_msg_id& a, const hedwig_msg_id& b) const noexcept {
    return std::memcmp(a.bytes, b.bytes, sizeof a.bytes) < 0;
  }
};

/// What is known of one message without opening a file.
struct record {
  std::uint64_t revision = 1;
  std::uint64_t body_size = 0;
  hedwig_time_ns due = 0;
  hedwig_time_ns put_due = 0; ///< in the name of the message file
  std::uint8_t state = 0;
  std::uint8_t put_state = 0;    ///< in the name of the message file
  std::uint8_t folder = 0;       ///< the state in whose folder the message file lies
  bool moved = false;            ///< a meta file holds the metadata
  bool foreign = false;          ///< ID.json of Hedwig 0.10
  bool packed = false;           ///< its older form: the body is a member of one JSON object
  bool unreadable = false;       ///< it is neither form
  std::uint32_t body_offset = 0; ///< of a foreign body that is not packed

  friend bool operator==(const record&, const record&) = default;
};

struct indexed {
  hedwig_msg_id id;
  record what;
};

/// Every message of the spool by id and by due time: about 200 bytes each. Legal on every thread.
class message_index {
public:
  std::optional<record> find(const hedwig_msg_id& id) const;
  void put(const hedwig_msg_id& id, const record& what); ///< new or changed
  void erase(const hedwig_msg_id& id);
  void clear();

  /// Up to `limit` in order of (due, id), resp. of id, behind `cursor`; looks at `walk_max` at most. `cursor` becomes
  /// that of the last one looked at, or empty at the end.
  std::vector<indexed> by_due(std::uint32_t states, hedwig_time_ns due_before, std::size_t limit,
                              std::string& cursor) const;
  std::vector<indexed> by_receipt(std::uint32_t states, hedwig_time_ns due_before, std::size_t limit,
                                  std::string& cursor) const;
  static constexpr std::size_t walk_max = sdk::store::walk_max;
  static constexpr std::size_t due_cursor_size = 24;
  static constexpr std::size_t receipt_cursor_size = 16;

  std::array<hedwig_state_stats, HEDWIG_STATE_COUNT> stats() const;

private:
  struct due_position {
    hedwig_time_ns due;
    hedwig_msg_id id;
    friend bool operator<(const due_position& a, const due_position& b) noexcept {
      return a.due != b.due ? a.due < b.due : id_less{}(a.id, b.id);
    }
  };
  void forget(std::map<hedwig_msg_id, record, id_less>::iterator at);

  mutable std::mutex mutex_;
  std::map<hedwig_msg_id, record, id_less> messages_;
  std::array<std::set<due_position>, HEDWIG_STATE_COUNT> due_;
  std::array<std::uint64_t, HEDWIG_STATE_COUNT> bytes_{};
};

} // namespace hedwig::storage_fs
