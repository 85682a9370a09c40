// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/actor_addr.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig {

/// What the console shows of one actor. Its actor writes with relaxed atomics on its own thread; everybody may read.
struct actor_node {
  std::uint64_t id = 0;
  std::uint64_t parent = 0; ///< 0: the supervisor's own, or unknown
  std::string name;         ///< the role: "session", "spooler"
  std::string label;        ///< which one: a peer, a site; changed by rename() only
  caf::actor_addr address;  ///< keeps nobody alive
  std::atomic<const char*> state{"starting"};
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> handled{0};
  std::atomic<std::uint64_t> busy_nanoseconds{0};
  std::atomic<std::uint32_t> restarts{0};
};

/// A copy of one node, taken at one moment.
struct actor_info {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::string name;
  std::string label;
  std::string state;
  std::uint64_t handled = 0;
  std::uint64_t mailbox = 0; ///< messages that wait
  std::uint64_t busy_microseconds = 0;
  std::uint32_t restarts = 0; ///< of those before it in its place
  caf::actor_addr address;    ///< keeps nobody alive; tests end an actor by it as a failure would
};

/// All living actors. Thread-safe; owned by the relay context, and outlives every actor.
class actor_directory {
public:
  [[nodiscard]] std::shared_ptr<actor_node> add(std::string_view name, std::string_view label, std::uint64_t parent,
                                                const caf::actor_addr& address);
  void remove(const actor_node& node);
  /// On the actor's own thread, which may read it without a lock.
  void rename(actor_node& node, std::string_view label);

  /// In the order of birth.
  [[nodiscard]] std::vector<actor_info> snapshot() const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  /// Living actors, by name.
  [[nodiscard]] std::map<std::string, std::size_t> counts() const;

private:
  mutable std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::shared_ptr<actor_node>> nodes_;
};

} // namespace hedwig
