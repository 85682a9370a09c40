// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.hpp"
#include "runtime/net/address.hpp"
#include "runtime/smtp/dialogue_tap.hpp"

namespace hedwig::smtp {

/// Which sessions are meant; every part that is given must fit.
struct session_filter {
  std::optional<net::network> client;
  std::string user;     ///< as he logged in; empty: any
  std::string listener; ///< by name; empty: any

  [[nodiscard]] bool empty() const noexcept { return !client && user.empty() && listener.empty(); }
  [[nodiscard]] bool fits(const net::address& peer, std::string_view of_user, std::string_view of_listener) const;
};

struct trace_line {
  std::uint64_t number = 0; ///< 1 for the first of its trace
  wall_time when{};
  std::uint64_t session = 0;
  std::string client; ///< "192.0.2.1:4242"
  char who = 'C';     ///< 'C' client, 'S' we, '*' what happened to the connection, '!' lines are missing here
  std::string text;   ///< may hold any octet
};

struct trace_limits {
  std::size_t traces_max = 8;         ///< at one time
  std::size_t lines_max = 2000;       ///< kept until they are fetched; more are dropped, and counted
  std::size_t line_octets_max = 1000; ///< of one line; longer ones are cut
  std::chrono::nanoseconds patience = std::chrono::seconds{15}; ///< without a fetch a trace ends
};

/// The lines of one trace on their way to whoever asked for it. Any thread.
class trace {
public:
  trace(std::uint64_t id, session_filter whose, const trace_limits& limits, steady_time begun, steady_time end)
    : id_{id}, whose_{std::move(whose)}, limits_{limits}, end_{end}, asked_{begun} {}

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  [[nodiscard]] const session_filter& whose() const noexcept { return whose_; }
  /// Numbers and keeps it; drops it where too many wait.
  void add(trace_line line);
  /// Lines from number `from` on; those before are forgotten. Counts as a sign of life of the console.
  [[nodiscard]] std::vector<trace_line> fetch(std::uint64_t from, steady_time now);
  /// Its time is up, or nobody fetches.
  [[nodiscard]] bool over(steady_time now) const;
  /// Frees what waits; nothing is kept any more.
  void close();
  [[nodiscard]] std::uint64_t dropped() const;

private:
  void keep(trace_line line);
  void tell_gap();

  const std::uint64_t id_;
  const session_filter whose_;
  const trace_limits limits_;
  const steady_time end_;
  mutable std::mutex mutex_;
  steady_time asked_;
  std::deque<trace_line> lines_;
  std::uint64_t last_number_ = 0;
  std::uint64_t gap_ = 0; // dropped since the last line kept
  std::uint64_t dropped_ = 0;
  wall_time gap_since_{};
  bool closed_ = false;
};

/// All traces of a relay. Any thread. What it costs while there is none: epoch(), one relaxed load.
class trace_board {
public:
  explicit trace_board(const trace_limits& limits = {}) : limits_{limits} {}

  /// 0 while there is no trace; another value each time one begins or ends. Who sees it change asks fitting() anew.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_relaxed); }
  /// Nothing where there are too many already.
  [[nodiscard]] std::shared_ptr<trace> begin(session_filter whose, std::chrono::nanoseconds length, steady_time now);
  [[nodiscard]] std::shared_ptr<trace> find(std::uint64_t id, steady_time now);
  /// False where there is none of that number.
  bool end(std::uint64_t id);
  /// Ends those that are over.
  void tend(steady_time now);
  /// The traces that a session belongs to.
  [[nodiscard]] std::vector<std::shared_ptr<trace>> fitting(const net::address& peer, std::string_view user,
                                                            std::string_view listener, steady_time now);
  [[nodiscard]] std::vector<std::shared_ptr<trace>> all(steady_time now);
  [[nodiscard]] const trace_limits& limits() const noexcept { return limits_; }

private:
  void tend_locked(steady_time now);
  void changed();

  const trace_limits limits_;
  std::atomic<std::uint64_t> epoch_{0};
  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::uint64_t version_ = 0;
  std::map<std::uint64_t, std::shared_ptr<trace>> traces_;
};

/// One session's pen: writes what is said to the traces that the session belongs to. Thread: the session's.
class trace_writer final : public dialogue_tap {
public:
  trace_writer(const hedwig::clock& time, std::uint64_t session, std::string client)
    : time_{time}, session_{session}, client_{std::move(client)} {}

  /// Those it did not write to before begin with `introduction`.
  void write_to(std::vector<std::shared_ptr<trace>> traces, std::string_view introduction);
  void client_said(std::string_view shown) override { write('C', shown); }
  /// Replies as they are sent: whole lines.
  void we_said(std::string_view output);
  void note(std::string_view what) { write('*', what); }

private:
  void write(char who, std::string_view text);
  [[nodiscard]] trace_line line(char who, std::string_view text) const;

  const hedwig::clock& time_;
  std::uint64_t session_;
  std::string client_;
  std::vector<std::shared_ptr<trace>> traces_;
};

} // namespace hedwig::smtp
