// SPDX-License-Identifier: Apache-2.0
// Opening, recovering, and what the store says about its database.
#include "plugins/storage-sql/store.hpp"

#include "free_space.hpp"

#include <hedwig/storage_folder.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace hedwig::storage_sql {

namespace {

constexpr hedwig_duration_ns check_interval = 100'000'000;
constexpr hedwig_duration_ns try_delay_first = 250'000'000;
constexpr hedwig_duration_ns try_delay_last = 5'000'000'000;
/// How long to wait for the lock of another instance of this host, in milliseconds.
constexpr int lock_timeout = 2000;
/// What a probe writes, in one chunk.
constexpr std::size_t probe_size = 64 * 1024;
/// What a full disk leaves for MOVE and REMOVE.
constexpr std::int64_t spare_size = 2 * 1024 * 1024;
/// An I/O error with less than this free is a full disk.
constexpr std::uint64_t full_below = 4 * 1024 * 1024;

hedwig_status status_of(trouble kind) noexcept {
  switch (kind) {
  case trouble::no_space:
    return HEDWIG_E_NO_SPACE;
  case trouble::lost:
  case trouble::held:
    return HEDWIG_E_UNAVAILABLE;
  case trouble::busy:
  case trouble::retry:
    return HEDWIG_E_BUSY;
  case trouble::timeout:
    return HEDWIG_E_TIMEOUT;
  case trouble::corrupt:
    return HEDWIG_E_CORRUPT;
  case trouble::read_only:
  case trouble::unreadable:
  case trouble::io:
    return HEDWIG_E_IO;
  case trouble::other:
    break;
  }
  return HEDWIG_E_INTERNAL;
}

bool is_plain_name(std::string_view name) noexcept {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name.size() <= 63 && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, plain);
}

std::string machine_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string sql_text(std::string_view text) {
  std::string out{"'"};
  for (char c : text)
    out += c == '\'' ? std::string{"''"} : std::string{c};
  return out + "'";
}

void sync_directory(const std::string& path) {
  auto folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int failed = folder >= 0 && ::fsync(folder) == 0 ? 0 : errno;
  if (folder >= 0)
    ::close(folder);
  if (failed != 0) // without it the database's own name may be gone after a power cut
    throw sdk::failure{HEDWIG_E_IO, "cannot sync " + path + ": " + std::strerror(failed), path, failed};
}

[[noreturn]] void refuse(const char* key, std::string why) { throw sdk::failure{HEDWIG_E_CONFIG, std::move(why), key}; }

std::string text_or(const sdk::config& c, const char* key, std::string otherwise) {
  auto text = c.is_set(key) ? c.string(key) : std::string{};
  return text.empty() ? otherwise : text;
}

} // namespace

sql_store::sql_store(const sdk::host& h, const sdk::config& c) : store{h} {
  settings_.which = c.string("engine") == "postgresql" ? engine::postgresql : engine::sqlite;
  settings_.path = c.string("path");
  settings_.connection = text_or(c, "connection", {});
  settings_.password = text_or(c, "password", {});
  settings_.schema = c.string("schema");
  settings_.host = settings_.which == engine::sqlite ? "local" : text_or(c, "host", machine_name());
  settings_.host_timeout = c.integer("host_timeout");
  settings_.commit_wait = c.integer("commit_wait");
  settings_.statement_timeout = c.integer("statement_timeout");
  settings_.disk_reserve = static_cast<std::uint64_t>(c.integer("disk_reserve"));
  settings_.in_flight_bytes = static_cast<std::uint64_t>(c.integer("in_flight_bytes"));
  settings_.cache = static_cast<std::uint64_t>(c.integer("cache"));
  settings_.read_only = c.boolean("read_only");
}

sql_store::~sql_store() { close(); }

void sql_store::validate(const sdk::config& c) {
  if (c.string("engine") != "postgresql") {
    for (const char* key : {"connection", "password", "host"})
      if (c.is_set(key) && !c.string(key).empty())
        refuse(key, "goes with engine = \"postgresql\" only");
    return;
  }
  auto words = text_or(c, "connection", {});
  if (words.empty())
    refuse("connection", "is missing: write something like \"host=/run/postgresql dbname=hedwig user=hedwig\"");
  if ((" " + words).find(" password=") != std::string::npos)
    refuse("connection", "holds a password: put it into password, best as {file = \"...\"} or {env = \"...\"}");
  if (words.find("  ") != std::string::npos || words.find('\'') != std::string::npos)
    refuse("connection", "must be words of the form name=value with one space between them, without quotes");
  if (text_or(c, "password", {}).find_first_of(" \t\r\n") != std::string::npos)
    refuse("password", "holds white space, which Poco's connector cannot hand on to the server");
  if (!is_plain_name(c.string("schema")))
    refuse("schema", "must be lower-case letters, digits and _, and begin with no digit");
}

hedwig_storage_limits sql_store::limits() const {
  auto flags = settings_.which == engine::postgresql ? HEDWIG_STORAGE_SHARED : 0u;
  return {sizeof(hedwig_storage_limits), flags, 16384, 1024, settings_.in_flight_bytes, 0};
}

// ---- connecting

std::string sql_store::target() const {
  if (settings_.which == engine::sqlite)
    return settings_.path + "/spool.sqlite";
  auto words = settings_.connection;
  auto add = [&](std::string_view name, std::string_view value) {
    if ((" " + words).find(" " + std::string{name} + "=") == std::string::npos)
      words += " " + std::string{name} + "=" + std::string{value};
  };
  add("application_name", "hedwig");
  add("connect_timeout", "10");
  // A server that vanishes without a word is noticed within a minute.
  add("keepalives_idle", "20");
  add("keepalives_interval", "10");
  add("keepalives_count", "4");
  add("tcp_user_timeout", "60000");
  if (!settings_.password.empty())
    add("password", sql::escaped_word(settings_.password));
  return words;
}

void sql_store::prepare_sqlite(connection& to, bool writes) {
  to.execute("PRAGMA busy_timeout = 10000"); // a backup may hold the lock for a moment
  to.execute("PRAGMA cache_size = -" + std::to_string(settings_.cache / 1024));
  if (!writes) {
    to.execute("PRAGMA query_only = 1");
    return;
  }
  if (to.ask_text("PRAGMA journal_mode = WAL") != "wal")
    throw sdk::failure{HEDWIG_E_IO, "SQLite cannot keep a write-ahead log here", settings_.path};
  to.execute("PRAGMA synchronous = FULL");
  if (to.ask_integer("PRAGMA synchronous") < 2)
    throw sdk::failure{HEDWIG_E_IO, "SQLite does not sync its commits here", settings_.path};
  to.execute("PRAGMA secure_delete = FAST");
  to.execute("PRAGMA journal_size_limit = 16777216");
}

void sql_store::prepare_postgresql(connection& to) {
  if (to.ask_text("SHOW fsync") != "on")
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the server runs with fsync = off: what it commits may be lost",
                       "connection"};
  to.execute("SET synchronous_commit = on");
  if (to.ask_text("SHOW synchronous_commit") != "on")
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the server does not sync its commits", "connection"};
  to.execute("SET statement_timeout = " + std::to_string(settings_.statement_timeout / 1'000'000));
  to.execute("SET search_path = " + settings_.schema);
  to.execute("SET client_min_messages = error");
  // Each statement has its index, whatever the statistics of a table that is empty one minute and large the next.
  to.execute("SET enable_seqscan = off");
  to.execute("SET enable_bitmapscan = off");
  to.execute("SET plan_cache_mode = force_generic_plan");
  to.execute("SET jit = off"); // which that would call for: the few rows of host have no index
}

void sql_store::refresh_reader(std::unique_ptr<connection>& one) {
  if (one && !one->broken)
    return;
  if (one)
    one->reconnect();
  else
    one = std::make_unique<connection>(settings_.which, target());
  one->broken = true; // until it is ready
  settings_.which == engine::sqlite ? prepare_sqlite(*one, false) : prepare_postgresql(*one);
  one->broken = false;
}

sdk::failure sql_store::failure_of(const sql_error& e, const char* doing) const {
  return {status_of(e.kind), std::string{doing} + ": " + e.what(), settings_.path};
}

void sql_store::lock_spool() {
  sdk::make_durable_folder(settings_.path);
  ::chmod(settings_.path.c_str(), 0700);
  lock_file_ = ::open((settings_.path + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_file_ < 0)
    throw sdk::failure{HEDWIG_E_IO, std::string{"cannot make the lock: "} + std::strerror(errno), settings_.path,
                       errno};
  if (::flock(lock_file_, LOCK_EX | LOCK_NB) != 0)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "another instance uses this spool (" + settings_.path + ")",
                       settings_.path};
  if (settings_.which != engine::sqlite)
    return;
  // So that nobody else may read it, whatever the mask.
  if (auto file = ::open(target().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); file >= 0)
    ::close(file);
  sync_directory(settings_.path);
}

void sql_store::open() {
  if (settings_.read_only && settings_.which == engine::sqlite && ::access(target().c_str(), F_OK) != 0)
    throw sdk::failure{HEDWIG_E_NOT_FOUND, "there is no SQLite spool in " + settings_.path, settings_.path};
  if (!settings_.read_only || settings_.which == engine::sqlite)
    lock_spool();
  try {
    settings_.read_only ? open_for_reading() : open_for_all();
    for (int i = 0; i < sdk::store_engine::reader_threads; ++i)
      refresh_reader(readers_.emplace_back());
  } catch (const sql_error& e) {
    throw failure_of(e, "cannot open the spool");
  }
  down_ = engine_full_ = no_space_ = false;
  try_delay_ = try_delay_first;
  last_beat_ = the_host().steady();
  if (settings_.which == engine::sqlite) {
    watch(settings_.path);
    watch(target());
  }
  check_space();
}

void sql_store::open_for_all() {
  writer_ = std::make_unique<connection>(settings_.which, target());
  if (settings_.which == engine::sqlite)
    prepare_sqlite(*writer_, true);
  else
    prepare_postgresql(*writer_);
  make_tables(*writer_);
  check_format(*writer_);
  if (settings_.which == engine::postgresql)
    measure_clock(*writer_);
  enter_host(*writer_);
  drop_old_stages(*writer_);
  keep_spare();
}

void sql_store::open_for_reading() {
  std::unique_ptr<connection> first;
  refresh_reader(first);
  if (!has_tables(*first))
    throw sdk::failure{HEDWIG_E_UNSUPPORTED, "the database is no spool of Hedwig's", settings_.path};
  check_format(*first);
  text_ = statements{settings_.which, -1}; // nobody's leases are ours
}

void sql_store::close() noexcept {
  stages_.clear();
  if (writer_ && !down_ && settings_.which == engine::postgresql) {
    try { // nobody has to wait for host_timeout to see that we are gone
      writer_->execute("UPDATE host SET alive_until = 0 WHERE incarnation = " + std::to_string(incarnation_));
    } catch (...) {
    }
  }
  writer_.reset();
  readers_.clear();
  if (lock_file_ >= 0)
    ::close(std::exchange(lock_file_, -1));
}

// ---- tables

bool sql_store::has_tables(connection& to) const {
  return to.ask_integer(settings_.which == engine::postgresql
                            ? "SELECT count(*) FROM pg_tables WHERE tablename = 'hedwig_format' AND schemaname = " +
                                  sql_text(settings_.schema)
                            : "SELECT count(*) FROM sqlite_master WHERE name = 'hedwig_format'") != 0;
}

void sql_store::make_tables(connection& to) {
  bool shared = settings_.which == engine::postgresql;
  if (has_tables(to))
    return;
  to.begin();
  try {
    if (shared) { // one host makes them, the others wait here
      to.ask_text("SELECT pg_advisory_xact_lock(hashtext('hedwig'), hashtext(" + sql_text(settings_.schema) +
                  "))::text");
      if (!has_tables(to) &&
          to.ask_integer("SELECT count(*) FROM pg_namespace WHERE nspname = " + sql_text(settings_.schema)) == 0)
        to.execute("CREATE SCHEMA " + settings_.schema);
    }
    if (!has_tables(to)) {
      for (auto statement : table_statements(settings_.which))
        to.execute(std::string{statement});
      to.execute("INSERT INTO hedwig_format VALUES (" + std::to_string(format_version) + ", 1)");
    }
    to.commit();
  } catch (...) {
    to.rollback();
    throw;
  }
  to.forget(); // what stood in the old transaction's snapshot of the catalogue
}

void sql_store::check_format(connection& to) {
  auto found = to.ask_integer("SELECT version FROM hedwig_format");
  if (found != format_version)
    throw sdk::failure{HEDWIG_E_UNSUPPORTED,
                       "the database has format " + std::to_string(found) + ", this plugin reads " +
                           std::to_string(format_version),
                       settings_.path};
}

void sql_store::enter_host(connection& to) {
  auto name = sql_text(settings_.host);
  to.begin();
  try {
    incarnation_ =
        to.ask_integer("UPDATE hedwig_format SET next_incarnation = next_incarnation + 1 RETURNING next_incarnation");
    to.execute("INSERT INTO host (name, incarnation, alive_until, sequence, messages_1, bytes_1, messages_2, bytes_2, "
               "messages_3, bytes_3, messages_4, bytes_4, messages_5, bytes_5) VALUES (" +
               name + ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (name) DO NOTHING");
    to.commit();
    host_number_ = to.ask_integer("SELECT number FROM host WHERE name = " + name);
    if (settings_.which == engine::postgresql)
      take_postgresql_lock(to);
    // The leases of an earlier run name its incarnation, so they end here.
    to.execute("UPDATE host SET incarnation = " + std::to_string(incarnation_) +
               " WHERE number = " + std::to_string(host_number_));
    sequence_ = committed_ = to.ask_integer("SELECT sequence FROM host WHERE number = " + std::to_string(host_number_));
  } catch (...) {
    to.rollback();
    throw;
  }
  text_ = statements{settings_.which, incarnation_};
  next_stage_ = (incarnation_ << 32) + 1;
  if (settings_.which == engine::postgresql)
    beat();
}

void sql_store::take_postgresql_lock(connection& to) {
  // After a connection broke the server may take a moment to notice and to let go of the old lock.
  to.execute("SET lock_timeout = " + std::to_string(lock_timeout));
  try {
    to.ask_text("SELECT pg_advisory_lock('host'::regclass::oid::bigint::integer, " + std::to_string(host_number_) +
                ")::text");
  } catch (const sql_error& e) {
    if (e.kind != trouble::timeout)
      throw;
    throw sql_error{trouble::held, "another instance uses this spool (" + settings_.path +
                                       ") or the name of this host, \"" + settings_.host + "\""};
  }
  to.execute("SET lock_timeout = 0");
}

void sql_store::drop_old_stages(connection& to) {
  auto number = std::to_string(host_number_);
  std::vector<std::int64_t> left;
  auto stages = to.make({"SELECT number FROM stage WHERE host = " + number, {}, "i"});
  for (auto count = stages->run(); left.size() < count;)
    left.push_back(stages->integer(left.size(), 0));
  if (left.empty())
    return;
  to.begin();
  try {
    for (auto one : left)
      to.prepared(key_of(statement::delete_bodies), [this] { return text_.delete_bodies(1); })
          .set(0, view(make_body_key({}, one)))
          .run();
    to.execute("DELETE FROM stage WHERE host = " + number);
    to.commit();
  } catch (...) {
    to.rollback();
    throw;
  }
  to.forget();
  the_host().log(HEDWIG_LOG_INFO, "bodies that were never completed are dropped",
                 {{"count", std::to_string(left.size())}});
}

void sql_store::measure_clock(connection& to) {
  auto before = the_host().steady();
  auto theirs = to.ask_integer("SELECT (extract(epoch from clock_timestamp()) * 1000000000)::bigint");
  auto after = the_host().steady();
  clock_offset_ = theirs - (before + (after - before) / 2);
  connected_since_ = after;
}

// ---- staying well

void sql_store::note(const sql_error& e) {
  auto kind = e.kind;
  if (kind == trouble::io && settings_.which == engine::sqlite) {
    check_space();
    if (disk_free_ < full_below)
      kind = trouble::no_space;
  }
  if (kind == trouble::no_space) {
    drop_spare();
    if (!std::exchange(engine_full_, true))
      next_try_ = the_host().steady() + try_delay_first;
    set_health(HEDWIG_E_NO_SPACE, e.what());
  } else if (kind == trouble::lost || kind == trouble::held || kind == trouble::io || kind == trouble::read_only ||
             kind == trouble::corrupt || kind == trouble::unreadable) {
    if (!std::exchange(down_, true)) {
      next_try_ = 0;
      try_delay_ = try_delay_first;
    }
    set_health(kind == trouble::lost || kind == trouble::held ? HEDWIG_E_UNAVAILABLE : HEDWIG_E_IO, e.what());
  }
}

/// A file that gives its space to SQLite when there is none left; true when it is there.
bool sql_store::keep_spare() {
  if (settings_.which != engine::sqlite)
    return true;
  auto name = settings_.path + "/spool.spare";
  auto file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0)
    return false;
  bool made = ::posix_fallocate(file, 0, spare_size) == 0;
  ::close(file);
  if (!made)
    ::unlink(name.c_str());
  return made;
}

void sql_store::drop_spare() {
  if (settings_.which == engine::sqlite)
    ::unlink((settings_.path + "/spool.spare").c_str());
}

void sql_store::check_space() {
  struct statvfs now {};
  if (settings_.which == engine::sqlite && ::statvfs(settings_.path.c_str(), &now) == 0) {
    disk_free_ = static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize;
    // A little more than the reserve must be free before mail is taken again, else the answer flaps.
    no_space_ = disk_free_ < settings_.disk_reserve + (no_space_ ? settings_.disk_reserve / 16 : 0);
  }
  if (down_)
    return;
  if (no_space_)
    set_health(HEDWIG_E_NO_SPACE, stores::too_little_free(disk_free_, settings_.disk_reserve));
  else if (!engine_full_)
    set_health(HEDWIG_OK, "the database answers");
}

void sql_store::connect_again(hedwig_time_ns steady) {
  if (steady < next_try_)
    throw sql_error{trouble::lost, "the database is not there"};
  next_try_ = steady + try_delay_;
  try_delay_ = std::min(try_delay_ * 2, try_delay_last);
  writer_->reconnect();
  if (settings_.which == engine::sqlite) {
    prepare_sqlite(*writer_, true);
    beat(); // to open is not to be able to write
  } else {
    prepare_postgresql(*writer_);
    take_postgresql_lock(*writer_);
    if (writer_->ask_integer("SELECT incarnation FROM host WHERE number = " + std::to_string(host_number_)) !=
        incarnation_)
      throw sql_error{trouble::held, "another instance has started under the name of this host"};
    measure_clock(*writer_);
    settle_doubt();
    beat();
  }
  down_ = false;
  try_delay_ = try_delay_first;
  check_space();
  the_host().log(HEDWIG_LOG_INFO, "connected to the database again", {});
}

bool sql_store::was_committed(std::int64_t sequence) {
  return writer_->ask_integer("SELECT sequence FROM host WHERE number = " + std::to_string(host_number_)) >= sequence;
}

void sql_store::probe() {
  if (settings_.which == engine::sqlite)
    static_cast<void>(writer_->ask_integer("PRAGMA wal_checkpoint(TRUNCATE)")); // the log's space, if nothing else
  auto key = make_body_key({}, next_stage_++);
  std::string content(probe_size, '?');
  writer_->begin();
  writer_->prepared(key_of(statement::insert_chunks), [this] { return text_.insert_chunks(1); })
      .set(0, view(key))
      .set(1, 0)
      .set(2, 0)
      .set(3, content)
      .run();
  writer_->commit();
  writer_->begin();
  writer_->prepared(key_of(statement::delete_bodies), [this] { return text_.delete_bodies(1); })
      .set(0, view(key))
      .run();
  writer_->commit();
  writer_->forget(); // and the memory of that chunk
}

void sql_store::beat() { count_commit({}, committed_); }

void sql_store::count_commit(const counters& change, std::int64_t sequence) {
  auto& one = writer_->prepared(key_of(statement::count_commit), [this] { return text_.count_commit(); });
  one.set(0, sequence).set(1, settings_.host_timeout);
  std::size_t at = 2;
  for (std::uint32_t state = 1; state < HEDWIG_STATE_COUNT; ++state) {
    one.set(at++, change[state].messages);
    one.set(at++, change[state].bytes);
  }
  if (one.set(at, host_number_).run() != 1)
    throw sql_error{trouble::held, "another instance has started under the name of this host"};
  last_beat_ = the_host().steady();
}

void sql_store::tick(hedwig_time_ns steady) {
  if (settings_.read_only)
    return;
  try {
    if (down_) {
      if (steady >= next_try_)
        connect_again(steady);
    } else if (engine_full_ && steady >= next_try_) {
      next_try_ = steady + try_delay_;
      try_delay_ = std::min(try_delay_ * 2, try_delay_last);
      check_space();
      if (!no_space_ && keep_spare()) {
        probe();
        engine_full_ = false;
        try_delay_ = try_delay_first;
      }
    } else if (settings_.which == engine::postgresql && steady - last_beat_ >= settings_.host_timeout / 4) {
      beat();
    }
  } catch (const sql_error& e) {
    writer_->rollback();
    note(e);
  }
  if (steady < next_check_ && health() == HEDWIG_OK)
    return;
  next_check_ = steady + check_interval;
  check_space();
}

} // namespace hedwig::storage_sql
