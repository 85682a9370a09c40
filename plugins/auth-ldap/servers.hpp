// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connection.hpp"
#include "settings.hpp"

namespace hedwig::auth_ldap {

/// What the host's metrics are told; each legal on every thread.
struct counters {
  std::function<void()> connected;
  std::function<void()> server_failed;
};

/// For what a connection is borrowed. The two kinds are never mixed: on one of them the service account is bound, and
/// what a search sees does not depend on who logged in before.
enum class purpose : std::uint8_t { search, bind };

/// The configured servers: which are well, and the connections to them. Thread-safe.
///
/// A server that fails rests for settings::server_rest; where all rest, the one whose rest ends first is tried again,
/// once a second at most. One that was given less than `fair_time`, because the request had waited for long before, is
/// not blamed: many logins at once would otherwise shut everybody out. Connections are opened when they are wanted, up
/// to settings::connections_max of each purpose, and kept for settings::idle_timeout.
class servers {
public:
  servers(sdk::host host, std::shared_ptr<const settings> from, counters count);

  /// Runs `use` with a connection, in the order of the servers until one answers without `trouble`. Throws
  /// failure(UNAVAILABLE, TIMEOUT or BUSY) where none does before `deadline` (of the host's steady clock).
  template <class Use>
  auto ask(purpose what, hedwig_time_ns deadline, Use&& use) -> decltype(use(std::declval<connection&>())) {
    std::string last = "every server rests after a failure";
    for (auto index : order()) {
      for (;;) {
        loan held;
        hedwig_time_ns since = deadline;
        try {
          held = borrow(what, index, deadline, since);
          auto answer = use(*held.open);
          give_back(std::move(held));
          return answer;
        } catch (const trouble& why) {
          if (was_hurried(since, deadline))
            discard(std::move(held));
          last = from_->servers[index] + ": " + why.what();
          if (drop(std::move(held), index, why))
            continue; // an old connection, as a restart leaves behind
          break;
        } catch (const sdk::failure&) { // about the request: the connection is as good as before
          if (held.open)
            give_back(std::move(held));
          throw;
        }
      }
    }
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "no directory server could answer; the last: " + last};
  }

  /// How long a request may take that has to end by `deadline`; throws failure(TIMEOUT) where nothing is left.
  [[nodiscard]] std::chrono::nanoseconds patience(hedwig_time_ns deadline) const;

private:
  struct loan {
    std::unique_ptr<connection> open;
    purpose what = purpose::search;
    std::size_t server = 0;
    bool reused = false;
    bool counted = false; ///< it has a place among connections_max
  };
  struct idle {
    std::unique_ptr<connection> open;
    std::size_t server;
    hedwig_time_ns since;
  };
  struct kind {
    std::vector<idle> waiting; ///< the one used last stands last
    std::size_t open = 0;      ///< waiting ones among them
  };
  struct health {
    hedwig_time_ns rests_until = 0;
    hedwig_time_ns tried = 0;
  };

  [[nodiscard]] std::vector<std::size_t> order();
  /// `since` is when the server itself was first waited for.
  [[nodiscard]] loan borrow(purpose what, std::size_t server, hedwig_time_ns deadline, hedwig_time_ns& since);
  void forget_old(kind& of, std::vector<idle>& gone) const;
  void connect(loan& held, hedwig_time_ns deadline);
  void give_back(loan held);
  [[nodiscard]] bool was_hurried(hedwig_time_ns since, hedwig_time_ns deadline) const;
  /// Closes a connection whose state is unknown; throws failure(TIMEOUT).
  [[noreturn]] void discard(loan held);
  /// True: try the same server again, the fault was the connection's.
  [[nodiscard]] bool drop(loan held, std::size_t server, const trouble& why);

  sdk::host host_;
  std::shared_ptr<const settings> from_;
  counters count_;
  std::mutex mutex_;
  std::condition_variable returned_;
  kind kinds_[2];
  std::vector<health> health_;
};

} // namespace hedwig::auth_ldap
