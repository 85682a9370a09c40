// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/message_id.hpp"
#include "runtime/net/address.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::sim {

/// Follows every message and recipient through a run and says what must not have happened. It hears of the world in the
/// order in which things happen there, and knows nothing of the relay but what clients, servers and the store see.
class oracle {
public:
  /// How long bounced messages are kept; absent: for good.
  void expect_retention(std::optional<std::chrono::nanoseconds> retention) noexcept { retention_ = retention; }
  /// One thing more has happened in the world.
  void tick() noexcept { ++now_; }
  /// The relay died and another one follows.
  void relay_restarted() noexcept { ++incarnation_; }

  // clients
  void offered(const std::string& key, std::string_view reverse_path, std::string text);
  void acknowledged(const std::string& key, const std::vector<std::string>& recipients);

  // the store: what is durable
  void put_committed(const message_id& id, std::string_view metadata, const std::string& body);
  void move_committed(const message_id& id, std::uint32_t state, wall_time due, std::string_view metadata);
  void remove_committed(const message_id& id, wall_time now);

  // next hops
  /// Someone writes to a connection; MAIL commands are counted.
  void written(const net::address& from, std::string_view text);
  /// A server took a message; `transaction` counts the MAIL commands on the connection of `from`, the first is 0.
  void accepted(const net::address& from, std::size_t transaction, const std::string& text,
                const std::vector<std::string>& recipients);

  /// The end of a run in which everything had time to come to its end: what the store still has.
  struct left_over {
    std::uint32_t state = 0;
    bool pending = false;
  };
  void judge_end(const std::map<message_id, left_over>& store);

  void fail(std::string what);
  [[nodiscard]] const std::vector<std::string>& failures() const noexcept { return failures_; }
  [[nodiscard]] bool ok() const noexcept { return failures_.empty(); }

  struct totals {
    std::uint64_t offered = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t committed = 0;
    std::uint64_t notifications = 0;
    std::uint64_t accepted = 0; ///< recipients, by servers
    std::uint64_t repeated = 0; ///< of these, more than once
    std::uint64_t bounced = 0;  ///< recipients
    std::uint64_t expired = 0;  ///< bounced messages beyond their retention
  };
  [[nodiscard]] const totals& counts() const noexcept { return totals_; }
  [[nodiscard]] static std::string key_of(std::string_view text);

private:
  std::optional<std::chrono::nanoseconds> retention_;
  struct fate {
    std::string address;
    std::uint64_t accepts = 0;
    std::uint64_t closed = 0;            ///< when the delivery was durable; 0: not
    std::uint64_t given_up = 0;          ///< when that was durable; 0: not
    std::set<std::uint64_t> reported_in; ///< lives of the relay that made a durable notification of failure
  };
  struct tracked {
    std::string text; ///< as the client sent it; empty for notifications
    std::string body; ///< as stored
    std::string reverse_path;
    std::vector<fate> fates;
    message_id id;
    bool notification = false;
    bool acknowledged = false;
    bool committed = false;
    bool removed = false;
    std::uint32_t state = 0;
    wall_time due{};
  };
  [[nodiscard]] tracked* known(const message_id& id);
  void judge_fate(tracked& of, fate& one, bool delivered, bool bad);
  void check_reported(const tracked& of, std::string_view where);
  void read_notification(const tracked& notification);

  std::uint64_t now_ = 1;
  std::uint64_t incarnation_ = 1;
  std::map<std::string, tracked> all_;
  std::map<message_id, std::string> keys_;
  std::map<net::address, std::vector<std::uint64_t>> mail_commands_; ///< when each was written
  std::vector<std::string> failures_;
  totals totals_;
};

} // namespace hedwig::sim
