// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>

#include "runtime/plugin/instance.hpp"

namespace hedwig::plugin {

/// The limits a store declared; see hedwig_storage_limits.
struct storage_limits {
  std::uint32_t flags = 0;
  std::uint32_t in_flight = 1;
  std::uint32_t batch = 1;
  std::uint64_t in_flight_bytes = 0; ///< 0: none
  std::uint64_t body_size_max = 0;   ///< 0: none
};

/// A store as the spooler sees it. Asynchronous, callable from every thread. Owns each request until its completion and
/// gives results as values through the sink; all completions of one group arrive in one sink call.
///
/// Obeys the store's limits: what is over them waits here, in order, up to `pending_max` requests; above that the sink
/// hears BUSY. For a BLOCKING store one submit runs at a time on the instance's worker, and what gathered meanwhile is
/// the next group.
///
/// The caller never has two requests for one message in flight.
class storage_client {
public:
  static constexpr std::size_t pending_max = 100'000;
  /// A store that has writes and answers none for so long hangs: health() is TIMEOUT until it answers one.
  static constexpr std::chrono::seconds hang_after{30};

  /// After the instance has started. INVALID when it is of another interface.
  [[nodiscard]] static result<std::shared_ptr<storage_client>> make(std::shared_ptr<instance> owner);
  ~storage_client();

  void stage(std::uint64_t size_hint, reply_to reply);          ///< → storage_stage
  void append(std::uint64_t stage, rope chunk, reply_to reply); ///< → monostate; one at a time per stage
  void discard(std::uint64_t stage, reply_to reply);            ///< → monostate
  /// DISCARD, again and again while the store has no time for it. A stage that comes after its STAGE was given up, and
  /// one whose PUT failed, are dropped by themselves.
  void drop(std::uint64_t stage);
  void put(put_request request, reply_to reply);                      ///< → storage_commit; durable
  void move(move_request request, reply_to reply);                    ///< → storage_commit; durable
  void remove(remove_request request, reply_to reply);                ///< → monostate; durable
  void stat(message_id id, hedwig_storage_hint hint, reply_to reply); ///< → storage_entry
  void read(read_request request, reply_to reply);                    ///< → storage_body
  void list(list_request request, reply_to reply);                    ///< → storage_listing
  void claim(claim_request request, reply_to reply);                  ///< → storage_listing
  void stats(reply_to reply);                                         ///< → storage_statistics

  /// While one lives, requests gather; the last one to go hands them over in as few submits as the limits allow.
  class cork {
  public:
    explicit cork(storage_client& client);
    ~cork();
    cork(const cork&) = delete;
    cork& operator=(const cork&) = delete;

  private:
    storage_client& client_;
  };

  /// OK, or why new mail should be refused for now. No I/O, no lock: ask before every 354 and 250.
  [[nodiscard]] hedwig_status health() const noexcept;
  [[nodiscard]] const storage_limits& limits() const noexcept;
  /// Requests that wait here because of the limits, and that the store has.
  [[nodiscard]] std::size_t waiting() const noexcept;
  [[nodiscard]] std::size_t in_flight() const noexcept;
  [[nodiscard]] const std::shared_ptr<instance>& owner() const noexcept;

  struct core;

private:
  class dropped_stage;

  explicit storage_client(std::shared_ptr<core> state);

  std::shared_ptr<core> core_;
};

} // namespace hedwig::plugin
