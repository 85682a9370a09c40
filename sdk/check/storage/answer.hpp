// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sdk/check/host.hpp"

namespace hedwig::check::storage {

/// An entry as STAT, LIST and CLAIM bring it, with memory of its own.
struct entry_copy {
  hedwig_msg_id id{};
  std::uint32_t state = 0;
  std::uint32_t flags = 0;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0;
  std::uint64_t body_size = 0;
  hedwig_time_ns due = 0;
  std::string metadata;
};

/// What came back for one request, whichever its kind.
struct answer {
  hedwig_status status = 1;
  std::string error;
  hedwig_storage_hint hint{};
  std::uint64_t revision = 0;
  std::uint32_t group_size = 0;
  std::uint64_t stage = 0;
  std::vector<entry_copy> entries;
  std::string cursor;
  std::string body;
  std::uint64_t body_size = 0;
  std::vector<hedwig_state_stats> states;
  hedwig_storage_stats stats{};
};

/// A request with the memory it points at, which is written over the moment it is completed: the plugin has no claim to
/// it any more.
class storage_op : public hedwig_op {
public:
  explicit storage_op(host& owner) : owner_{owner} {}
  ~storage_op() override { let_go_of_slices(); }

  void take(const hedwig_completion& done) override;
  void let_go() override;

  std::uint32_t kind = 0;
  union any_request {
    hedwig_storage_request head;
    hedwig_stage_request stage;
    hedwig_append_request append;
    hedwig_put_request put;
    hedwig_move_request move;
    hedwig_message_request message;
    hedwig_list_request list;
  } request{};
  std::vector<hedwig_slice> slices;
  std::string metadata;
  std::string cursor;
  std::uint64_t bytes = 0; ///< of the slices
  answer got;
  std::function<void()> on_completion; ///< under the host's lock

private:
  void let_go_of_slices();
  host& owner_;
};

using op_pointer = std::shared_ptr<storage_op>;

} // namespace hedwig::check::storage
