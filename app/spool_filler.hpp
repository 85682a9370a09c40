// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool_store.hpp"
#include "runtime/queue/metadata.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hedwig::app {

/// The metadata of a message in this program's own encoding, whoever wrote them: those of Hedwig 0.10 are translated,
/// damaged ones stay as they are.
[[nodiscard]] std::string own_metadata(const plugin::storage_entry& entry, const result<queue::stored>& known);

/// Puts messages into a store: small ones many at a time, so that they share commits, large ones piece by piece, so
/// that memory stays bounded.
class spool_filler {
public:
  static constexpr std::size_t messages_max = 128;             ///< of one commit
  static constexpr std::uint64_t octets_max = 8 * 1024 * 1024; ///< of one commit; a larger body is staged

  /// A message that is in the store now; `fresh`: since this call, else it was there before.
  struct filled {
    message_id id;
    bool fresh = false;
  };
  using listener = std::function<result<void>(const filled&)>;
  using body_source = std::function<result<void>(const spool_store::body_taker&)>;

  /// `heard` is called for each message once it is durable.
  spool_filler(spool_store& to, listener heard) : to_{to}, heard_{std::move(heard)} {}

  /// `read` gives the body, which has `size` octets, or fails; then nothing is put and its error comes back.
  [[nodiscard]] result<void> add(plugin::put_request put, std::uint64_t size, const body_source& read);
  /// What was added and is not durable yet.
  [[nodiscard]] result<void> flush();

private:
  [[nodiscard]] result<void> add_large(plugin::put_request put, std::uint64_t size, const body_source& read);
  [[nodiscard]] result<void> settle(const std::vector<message_id>& ids, std::vector<result<plugin::outcome>> answers);

  spool_store& to_;
  listener heard_;
  std::vector<plugin::put_request> waiting_;
  std::uint64_t octets_ = 0;
};

} // namespace hedwig::app
