// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/config/load.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/loader.hpp"
#include "runtime/plugin/storage_client.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hedwig::app {

/// Which spool, and how its store is configured.
struct spool_place {
  std::string type; ///< name of the provider
  std::string path;
  const config::loaded* file = nullptr; ///< for plugin directories and [storage.<type>]; outlives the store
};

enum class spool_access { read, write };

/// The store of a stopped relay, every call of which waits for its answer. One thread.
class spool_store {
public:
  /// Reading changes nothing, where the store offers that (its key `read_only`). UNAVAILABLE: it is in use.
  [[nodiscard]] static result<std::unique_ptr<spool_store>> open(const spool_place& place, spool_access access);
  ~spool_store();
  spool_store(const spool_store&) = delete;
  spool_store& operator=(const spool_store&) = delete;

  [[nodiscard]] const spool_place& place() const noexcept { return place_; }

  [[nodiscard]] result<plugin::storage_listing> list(const plugin::list_request& request);
  [[nodiscard]] result<plugin::storage_entry> stat(const message_id& id);
  [[nodiscard]] result<plugin::storage_statistics> stats();
  /// Whether the store has come upon anything that it cannot read; it has said so on standard error.
  [[nodiscard]] bool is_damaged();
  [[nodiscard]] result<plugin::storage_commit> move(plugin::move_request request);
  [[nodiscard]] result<void> remove(const message_id& id);

  using body_taker = std::function<result<void>(const rope& piece)>;
  /// Gives the body piece by piece, a mebibyte or so each, until the first failure. CORRUPT also when it is shorter or
  /// longer than the entry says.
  [[nodiscard]] result<void> read(const plugin::storage_entry& entry, const body_taker& take);

  /// Many PUTs in flight, so that they share commits; one result each.
  [[nodiscard]] std::vector<result<plugin::outcome>> put(std::vector<plugin::put_request> requests);

  /// A body of any size for a PUT: stage(), then pieces, then a PUT that names it; or discard().
  [[nodiscard]] result<std::uint64_t> stage(std::uint64_t size_hint);
  [[nodiscard]] result<void> append(std::uint64_t stage, rope piece);
  void discard(std::uint64_t stage);

private:
  spool_store() = default;
  [[nodiscard]] result<void> start(spool_access access);
  template <class Outcome>
  [[nodiscard]] result<Outcome> ask(const std::function<void(plugin::reply_to)>& call);

  spool_place place_;
  std::shared_ptr<plugin::host> host_;
  std::unique_ptr<plugin::catalogue> catalogue_;
  std::shared_ptr<plugin::instance> instance_;
  std::shared_ptr<plugin::storage_client> client_;
};

} // namespace hedwig::app
