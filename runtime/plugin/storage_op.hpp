// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <memory>

#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/storage_values.hpp"

namespace hedwig::plugin {

class storage_op;

/// Hears that a request left the store.
class storage_op_owner {
public:
  virtual ~storage_op_owner() = default;
  virtual void settled(const storage_op& op) noexcept = 0;
  /// A stage that nobody will use any more.
  virtual void drop(std::uint64_t stage) noexcept = 0;
};

/// One request with everything it points at.
class storage_op : public pending_op {
public:
  [[nodiscard]] virtual const hedwig_storage_request* request() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const noexcept { return 0; } ///< of slices kept until completion
  virtual void set_handle(hedwig_op* handle) noexcept = 0;
  [[nodiscard]] bool is_write() const noexcept { return request()->kind <= HEDWIG_STORAGE_REMOVE; }
  void settled(bool) noexcept override {
    if (submitted)
      client->settled(*this);
  }

  std::shared_ptr<storage_op_owner> client;
  bool submitted = false; ///< counted against the limits
};

[[nodiscard]] std::unique_ptr<storage_op> make_stage_op(std::uint64_t size_hint);
[[nodiscard]] std::unique_ptr<storage_op> make_append_op(std::uint32_t kind, std::uint64_t stage, rope chunk);
[[nodiscard]] std::unique_ptr<storage_op> make_put_op(put_request request);
[[nodiscard]] std::unique_ptr<storage_op> make_move_op(move_request request);
[[nodiscard]] std::unique_ptr<storage_op> make_remove_op(const remove_request& request);
[[nodiscard]] std::unique_ptr<storage_op> make_stat_op(message_id id, hedwig_storage_hint hint);
[[nodiscard]] std::unique_ptr<storage_op> make_read_op(const read_request& request);
[[nodiscard]] std::unique_ptr<storage_op> make_list_op(list_request request);
[[nodiscard]] std::unique_ptr<storage_op> make_claim_op(claim_request request);
[[nodiscard]] std::unique_ptr<storage_op> make_stats_op();

} // namespace hedwig::plugin
