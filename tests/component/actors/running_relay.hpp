// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/engine.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace hedwig::test {

/// Waits until `condition` holds; false when two minutes passed first, which no machine takes that works at all.
template <class Condition>
[[nodiscard]] bool wait_until(Condition condition) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{120};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

/// The whole relay in this process: a RocksDB store in a folder of its own, one listener, and a route for everything to
/// one port of this machine.
class running_relay {
public:
  /// `extra` follows the configuration: tables of its own.
  explicit running_relay(std::uint16_t next_hop, std::string extra = {});
  ~running_relay();

  /// Starts it, again after stop(); throws where it cannot.
  void start();
  /// Drains it, and ends it; false where that took too long.
  [[nodiscard]] bool stop();
  /// Ends it without draining.
  void end_now() { engine_.reset(); }

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] relay_context& context() { return engine_->context(); }
  [[nodiscard]] std::size_t living(std::string_view role) { return context().actors.count(role); }
  /// Restarts counted of a role.
  [[nodiscard]] std::uint64_t restarts(std::string_view role);
  /// Restarts that the console shows of the living actors of a role, added up.
  [[nodiscard]] std::uint64_t restarts_shown(std::string_view role);
  /// Ends the living actors of a role as an exception in a handler would; how many there were.
  std::size_t kill(std::string_view role);
  /// Lets the supervisor start a role again `times` times, each after a pause twice as long as before. Gives back that
  /// all of them came up.
  [[nodiscard]] bool wear_out(std::string_view role, std::size_t times);
  /// Asks the supervisor what the console asks.
  void ask(console_request request);
  /// What `hedwig-admin queue show` gets about a message; empty when there was no answer.
  [[nodiscard]] std::string show(const std::string& id);
  /// The spool is known, and nothing is queued or being delivered.
  [[nodiscard]] bool idle();
  /// Why the relay says that it cannot go on; empty while it can.
  [[nodiscard]] std::string failure() const;

private:
  void write_config(std::uint16_t next_hop) const;

  std::string extra_;
  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  bool started_ = false;
  bool drained_ = false;
  std::string failure_;
  std::unique_ptr<app::engine> engine_;
};

} // namespace hedwig::test
