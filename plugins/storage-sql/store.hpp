// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.hpp>

#include "plugins/storage-sql/connection.hpp"
#include "plugins/storage-sql/records.hpp"
#include "plugins/storage-sql/statements.hpp"

#include <array>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace hedwig::storage_sql {

/// Where in the due index a message stands.
struct position {
  hedwig_time_ns due = std::numeric_limits<hedwig_time_ns>::min();
  hedwig_msg_id id{};

  bool operator<(const position& other) const noexcept {
    return due != other.due ? due < other.due : view(id) < view(other.id);
  }
};

struct settings {
  engine which = engine::sqlite;
  std::string path;
  std::string connection; ///< of PostgreSQL, without the password
  std::string password;
  std::string schema;
  std::string host;
  hedwig_duration_ns host_timeout = 0;
  hedwig_duration_ns commit_wait = 0;
  hedwig_duration_ns statement_timeout = 0;
  std::uint64_t disk_reserve = 0;
  std::uint64_t in_flight_bytes = 0;
  std::uint64_t cache = 0;
  bool read_only = false;
};

/// A body under way: full chunks are rows already, in transactions of their own.
struct stage_state {
  std::string pending{}; ///< less than one chunk
  std::uint64_t size = 0;
  std::uint32_t chunks = 0;
};

/// Messages in a database: one transaction a group. Owned by its store_provider; see sdk::store for the threads. The
/// writer's connection, the stages and what is said of the connection belong to the writer thread; readers take
/// connections out of a pool.
class sql_store final : public sdk::store {
public:
  /// One READ returns this much at most.
  static constexpr std::uint64_t read_max = 4 * chunk_size;
  /// A transaction that lost against another one is repeated this often.
  static constexpr int attempts_max = 4;

  sql_store(const sdk::host& h, const sdk::config& c);
  ~sql_store() override;
  static void validate(const sdk::config& c);

  hedwig_storage_limits limits() const override;
  void open() override;
  void close() noexcept override;
  void commit(std::span<sdk::pending_write> group) override;
  sdk::stored_entry stat(const hedwig_message_request& request) override;
  sdk::read_slices read(const hedwig_message_request& request) override;
  sdk::entry_page list(const hedwig_list_request& request, const claim_times* claim) override;
  sdk::state_stats stats() override;
  void tick(hedwig_time_ns steady) override;

private:
  class group_writer;
  class due_walk;
  struct listing;
  friend class group_writer;

  /// A commit whose outcome nobody knows.
  struct doubt {
    std::int64_t sequence = 0;
    std::vector<hedwig_msg_id> puts{}; ///< their clients were told to come again
  };

  /// When a lease of a CLAIM counts.
  struct claim_terms {
    claim_times times;
    std::int64_t own_clock = 0; ///< our own leases that end by then, on the database's clock
    bool voids_leases = false;  ///< those of hosts that are not heard from
  };
  /// What a transaction changes of one state's totals.
  struct counter {
    std::int64_t messages = 0;
    std::int64_t bytes = 0;
  };
  using counters = std::array<counter, HEDWIG_STATE_COUNT>;

  // store_open.cpp
  [[nodiscard]] std::string target() const;
  void refresh_reader(std::unique_ptr<connection>& one);
  void prepare_sqlite(connection& to, bool writes);
  void prepare_postgresql(connection& to);
  void lock_spool();
  void open_for_reading();
  void open_for_all();
  [[nodiscard]] bool has_tables(connection& to) const;
  void make_tables(connection& to);
  void check_format(connection& to);
  void enter_host(connection& to);
  void take_postgresql_lock(connection& to);
  void drop_old_stages(connection& to);
  void measure_clock(connection& to);
  bool keep_spare();
  void drop_spare();
  void check_space();
  void note(const sql_error& e);
  [[nodiscard]] sdk::failure failure_of(const sql_error& e, const char* doing) const;

  // the writer's connection, store_open.cpp
  void connect_again(hedwig_time_ns steady);
  void settle_doubt();
  void probe();
  void beat();
  void count_commit(const counters& change, std::int64_t sequence);
  bool was_committed(std::int64_t sequence);

  // store_commit.cpp
  void commit_once(std::span<sdk::pending_write> group);
  bool wait_for_outcome(std::int64_t sequence);
  void remember_doubt(std::span<sdk::pending_write> group, std::int64_t sequence);

  [[nodiscard]] std::int64_t database_time(hedwig_time_ns steady) const noexcept { return steady + clock_offset_; }

  // store_read.cpp
  void note_damage(const hedwig_msg_id& id, const char* what);
  std::optional<sdk::stored_entry> entry_of(const query& from, std::size_t row, std::uint32_t flags);
  std::optional<hint_content> locate(connection& on, const hedwig_msg_id& id);
  hedwig_slice read_chunk(const query& from, std::size_t row, const body_key& key, std::uint32_t number,
                          std::size_t size);
  sdk::entry_page walk(connection& on, const hedwig_list_request& request, const claim_terms* claim,
                       const position& after);
  void add_batch(connection& on, listing& to);
  void add_rows(connection& on, listing& to, std::span<const position> some);
  query& fetch_rows(connection& on, std::span<const position> some);
  query& claim_rows(connection& on, const listing& of, std::span<const position> some);
  sdk::entry_page list_by_receipt(const hedwig_list_request& request);
  template <class Work>
  auto reading(const char* doing, Work&& work);

  settings settings_;
  statements text_;
  int lock_file_ = -1;
  std::unique_ptr<connection> writer_;
  std::unordered_map<std::int64_t, stage_state> stages_;
  std::int64_t incarnation_ = 0;
  std::int64_t next_stage_ = 0; ///< incarnation in the upper half
  std::int64_t host_number_ = 0;
  std::int64_t sequence_ = 0;  ///< of the last transaction that was tried
  std::int64_t committed_ = 0; ///< of the last that is known to have succeeded
  std::optional<doubt> doubt_;

  // What is wrong, the writer's own; health() is made of it.
  bool down_ = false;        ///< not connected
  bool no_space_ = false;    ///< below the reserve
  bool engine_full_ = false; ///< the database said so; a probe has to succeed
  hedwig_time_ns next_try_ = 0;
  hedwig_duration_ns try_delay_ = 0;
  hedwig_time_ns next_check_ = 0;
  hedwig_time_ns last_beat_ = 0;

  std::atomic<hedwig_time_ns> clock_offset_{0}; ///< the database's clock less our steady one
  std::atomic<hedwig_time_ns> connected_since_{0};
  std::atomic<bool> strays_{false}; ///< a CLAIM failed half-way
  std::atomic<std::uint64_t> damaged_{0};
  std::atomic<std::uint64_t> disk_free_{0};

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<connection>> readers_;
};

} // namespace hedwig::storage_sql
