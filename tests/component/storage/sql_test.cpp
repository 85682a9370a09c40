// SPDX-License-Identifier: Apache-2.0
// What storage-sql promises beyond storage.h, with a PostgreSQL server of the test's own. The sentences of
// store_test.cpp run in this program too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include <sys/mount.h>

#include "tests/component/storage/postgresql_server.hpp"
#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

using namespace std::chrono_literals;
constexpr hedwig_time_ns second = 1'000'000'000;

std::unique_ptr<postgresql_server> server;

class with_server : public testing::Environment {
public:
  void SetUp() override {
    server = std::make_unique<postgresql_server>();
    if (!server->reason().empty())
      GTEST_SKIP() << server->reason();
    ::setenv("HEDWIG_TEST_POSTGRESQL", server->connection().c_str(), 1);
  }
  void TearDown() override { server.reset(); }
};

const auto* const environment = testing::AddGlobalTestEnvironment(new with_server); // NOLINT: gtest's own

std::string name_of(const hedwig_msg_id& id) { return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes}; }

/// Hosts that share one database, each with a folder of its own.
class shared_database : public testing::Test {
protected:
  hedwig_config settings(const std::string& host) {
    auto made = settings_for("sql_postgresql", folder.path());
    made.texts["path"] = folder.path() + "/" + host;
    made.texts["host"] = host;
    return made;
  }
  std::unique_ptr<store_client> start(const hedwig_config& with) {
    auto made = std::make_unique<store_client>(plugin_file("sql"), with);
    EXPECT_EQ(made->start(), HEDWIG_OK) << made->error();
    return made;
  }
  std::unique_ptr<store_client> start(const std::string& host) { return start(settings(host)); }
  std::string schema() { return settings("a").texts["schema"]; }
  std::string ask(const std::string& sql) { return server->ask("SET search_path = " + schema() + "; " + sql); }
  /// Ends every connection of the stores.
  void cut() {
    server->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hedwig'");
  }

  temporary_folder folder;
};

TEST_F(shared_database, gives_each_message_to_one_host_only) {
  auto a = start("a"), b = start("b");
  EXPECT_NE(a->limits().flags & HEDWIG_STORAGE_SHARED, 0u);
  constexpr std::uint64_t messages = 600;
  for (std::uint64_t half = 0; half < 2; ++half) {
    auto& host = half == 0 ? *a : *b;
    std::vector<op_pointer> puts;
    for (std::uint64_t i = half; i < messages; i += 2)
      puts.push_back(host.make_put(id_of(i), "x", "", HEDWIG_STATE_DEFERRED, static_cast<hedwig_time_ns>(i)));
    host.submit(puts);
    for (auto& one : puts)
      ASSERT_EQ(host.wait(one).status, HEDWIG_OK) << one->got.error;
  }
  std::multiset<std::string> claimed;
  for (;;) { // side by side
    std::vector<std::pair<store_client*, op_pointer>> asked;
    for (auto* host : {a.get(), b.get()}) {
      auto claim = host->make_list(HEDWIG_STORAGE_CLAIM, deferred, 40);
      claim->request.list.lease_until = host->wall() + 3600 * second;
      host->submit({claim});
      asked.emplace_back(host, claim);
    }
    std::size_t got = 0;
    for (auto& [host, claim] : asked) {
      ASSERT_EQ(host->wait(claim).status, HEDWIG_OK) << claim->got.error;
      for (auto& one : claim->got.entries)
        claimed.insert(name_of(one.id));
      got += claim->got.entries.size();
    }
    if (got == 0)
      break;
  }
  EXPECT_EQ(claimed.size(), messages);
  EXPECT_EQ(std::set<std::string>(claimed.begin(), claimed.end()).size(), messages) << "no message twice";
  EXPECT_EQ(b->list_all(every_state).size(), messages);
  EXPECT_EQ(b->stats().states[HEDWIG_STATE_DEFERRED].messages, messages) << "the totals are of all hosts";
}

TEST_F(shared_database, lets_no_host_change_what_another_is_delivering) {
  auto a = start("a"), b = start("b");
  auto put = a->make_put(id_of(1), "body", "meta");
  put->request.put.lease_until = a->wall() + 3600 * second;
  ASSERT_EQ(a->run(put).status, HEDWIG_OK);
  EXPECT_EQ(b->claim(every_state, 0, 1h).entries.size(), 0u);
  EXPECT_NE(b->stat(id_of(1)).entries.at(0).flags & HEDWIG_ENTRY_CLAIMED, 0u) << "the other host sees the lease";
  EXPECT_EQ(b->run(b->make_move(id_of(1), 1, HEDWIG_STATE_HELD, 1)).status, HEDWIG_E_CONFLICT);
  auto remove = b->make_message(HEDWIG_STORAGE_REMOVE, id_of(1));
  remove->request.message.revision = 1;
  EXPECT_EQ(b->run(remove).status, HEDWIG_E_CONFLICT);
  ASSERT_EQ(a->run(a->make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 5)).status, HEDWIG_OK);
  EXPECT_EQ(b->claim(every_state, 0, 1h).entries.size(), 1u) << "the lease ended with the move";
  EXPECT_EQ(b->read_all(id_of(1)).body, "body");
  EXPECT_EQ(a->claim(every_state, 0, 1h).entries.size(), 0u);
}

TEST_F(shared_database, leaves_a_message_to_a_living_host_that_is_late_in_claiming_it_again) {
  auto a = start("a"), b = start("b");
  auto put = a->make_put(id_of(1), "body", "meta");
  put->request.put.lease_until = a->wall() + 1;
  ASSERT_EQ(a->run(put).status, HEDWIG_OK);
  EXPECT_EQ(b->claim(every_state, 0, 1h).entries.size(), 0u) << "the other one may be delivering it still";
  EXPECT_EQ(b->run(b->make_move(id_of(1), 1, HEDWIG_STATE_HELD, 1)).status, HEDWIG_E_CONFLICT);
  EXPECT_EQ(a->claim(every_state, 0, std::chrono::nanoseconds{1}).entries.size(), 1u) << "its own lease has run out";
  a.reset();
  EXPECT_EQ(b->claim(every_state, 0, 1h).entries.size(), 1u) << "it stopped in order";
}

TEST_F(shared_database, hands_the_mail_of_a_host_that_stopped_to_the_others) {
  auto a = start("a");
  auto patient = settings("b");
  patient.numbers["host_timeout"] = second;
  auto b = start(patient);
  auto put = a->make_put(id_of(1), "body", "meta");
  put->request.put.lease_until = a->wall() + 86400 * second;
  ASSERT_EQ(a->run(put).status, HEDWIG_OK);
  a.reset();
  EXPECT_TRUE(b->eventually([&] { return b->claim(every_state, 0, 1h).entries.size() == 1; }));
  a = start("a");
  EXPECT_EQ(a->claim(every_state, 0, 1h).entries.size(), 0u) << "it is the other's now";
}

TEST_F(shared_database, refuses_a_second_instance_of_one_name) {
  auto a = start("a");
  auto same = settings("a");
  same.texts["path"] = folder.path() + "/elsewhere";
  store_client second_one{plugin_file("sql"), same};
  EXPECT_EQ(second_one.start(), HEDWIG_E_UNAVAILABLE);
  EXPECT_NE(second_one.error().find("another instance uses"), std::string::npos) << second_one.error();
  EXPECT_EQ(a->put(id_of(1), "x").status, HEDWIG_OK);
}

TEST_F(shared_database, survives_a_server_that_crashes_under_load) {
  auto with = settings("a");
  with.numbers["commit_wait"] = 60 * second;
  auto a = start(with);
  std::uint64_t number = 0;
  std::set<std::uint64_t> kept;
  std::size_t refused = 0;
  for (int crash = 0; crash < 2; ++crash) {
    std::vector<std::pair<std::uint64_t, op_pointer>> flying;
    for (int i = 0; i < 300; ++i, ++number)
      flying.emplace_back(number, a->make_put(id_of(number), body_of(number, 3000), std::to_string(number)));
    for (std::size_t i = 0; i < flying.size(); i += 5)
      a->submit(
          {flying[i].second, flying[i + 1].second, flying[i + 2].second, flying[i + 3].second, flying[i + 4].second});
    ASSERT_EQ(a->wait(flying[60].second).status, HEDWIG_OK) << flying[60].second->got.error;
    server->stop("immediate");
    server->start();
    for (auto& [which, op] : flying)
      if (a->wait(op).status == HEDWIG_OK)
        kept.insert(which);
      else
        ++refused;
    ASSERT_TRUE(a->eventually([&] { return a->health() == HEDWIG_OK; })) << "it comes back by itself";
    ASSERT_EQ(a->put(id_of(100000 + number), "after").status, HEDWIG_OK);
    kept.insert(100000 + number);
  }
  EXPECT_EQ(a->list_all(every_state).size(), kept.size()) << "what was refused is not there";
  a.reset();
  a = start(with);
  std::size_t lost = 0;
  for (auto one : kept)
    lost += a->read_all(id_of(one)).body != (one >= 100000 ? "after" : body_of(one, 3000));
  EXPECT_EQ(lost, 0u);
  EXPECT_EQ(a->stats().states[HEDWIG_STATE_QUEUED].messages, kept.size());
  std::printf("%zu acknowledged, %zu refused, none lost\n", kept.size(), refused);
}

/// A server whose commits succeed but are not confirmed: they wait for a standby that does not exist.
class unconfirmed_commit : public shared_database {
protected:
  void SetUp() override { server->ask("ALTER ROLE hedwig SET synchronous_commit = off"); } // the store knows better
  void begin() {
    server->ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server->ask("SELECT pg_reload_conf()");
  }
  void end() {
    server->ask("ALTER SYSTEM RESET synchronous_standby_names");
    server->ask("SELECT pg_reload_conf()");
  }
  static bool somebody_waits() {
    return server->ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hedwig' AND wait_event = "
                       "'SyncRep'") != "0";
  }
  /// A PUT whose commit waits for the standby. The server takes its configuration over in its own time: those before
  /// `last_` were confirmed.
  op_pointer waiting_put(store_client& store) {
    for (;;) {
      auto put = store.make_put(id_of(++last_), "body", "meta");
      store.submit({put});
      if (!store.eventually([&] { return put->completions.load() != 0 || somebody_waits(); }))
        return nullptr;
      if (put->completions.load() == 0)
        return put;
    }
  }
  std::uint64_t last_ = 0;
  void TearDown() override {
    end();
    server->ask("ALTER ROLE hedwig RESET synchronous_commit");
  }
};

TEST_F(unconfirmed_commit, is_found_out_after_the_connection_broke) {
  auto a = start("a");
  begin();
  auto put = waiting_put(*a);
  ASSERT_TRUE(put);
  end();
  cut();
  EXPECT_EQ(a->wait(put).status, HEDWIG_OK) << put->got.error;
  EXPECT_EQ(a->read_all(id_of(last_)).body, "body");
  EXPECT_EQ(a->stats().states[HEDWIG_STATE_QUEUED].messages, last_);
}

TEST_F(unconfirmed_commit, is_undone_when_it_was_given_up_before) {
  auto with = settings("a");
  with.numbers["commit_wait"] = 0;
  auto a = start(with);
  begin();
  auto put = waiting_put(*a);
  ASSERT_TRUE(put);
  server->stop("immediate"); // the commit is on disk, and nobody can ask
  EXPECT_EQ(a->wait(put).status, HEDWIG_E_TIMEOUT) << put->got.error;
  EXPECT_NE(a->health(), HEDWIG_OK);
  server->start();
  end();
  ASSERT_TRUE(a->eventually([&] { return a->health() == HEDWIG_OK; }));
  EXPECT_EQ(a->stat(id_of(last_)).status, HEDWIG_E_NOT_FOUND) << "its client was told to come again";
  EXPECT_EQ(a->stats().states[HEDWIG_STATE_QUEUED].messages, last_ - 1);
}

TEST_F(shared_database, goes_on_when_its_connections_are_cut) {
  auto a = start("a");
  ASSERT_EQ(a->put(id_of(1), "one").status, HEDWIG_OK);
  cut();
  EXPECT_EQ(a->read_all(id_of(1)).body, "one");
  EXPECT_EQ(a->put(id_of(2), "two").status, HEDWIG_OK) << "nothing was under way, so nothing has to fail";
  cut();
  EXPECT_EQ(a->claim(every_state, 0, 1h).entries.size(), 2u);
}

TEST_F(shared_database, notices_damage) {
  auto a = start("a");
  a->put(id_of(1), "body of one", "meta of one");
  a->put(id_of(2), "body of two", "meta of two");
  a->put(id_of(3), "body of three", "meta of three");
  ask("UPDATE message SET metadata = 'other' WHERE metadata = 'meta of one'");
  ask("UPDATE body SET content = 'body of 2!!' WHERE content = 'body of two'");
  EXPECT_EQ(a->stat(id_of(1)).status, HEDWIG_E_CORRUPT);
  EXPECT_EQ(a->read_all(id_of(2)).status, HEDWIG_E_CORRUPT);
  EXPECT_EQ(a->list_all(every_state).size(), 2u) << "the damaged record is left out";
  auto with_damaged = a->list_all(every_state, 100, HEDWIG_LIST_METADATA | HEDWIG_LIST_DAMAGED);
  ASSERT_EQ(with_damaged.size(), 3u);
  EXPECT_NE(with_damaged[0].flags & HEDWIG_ENTRY_DAMAGED, 0u);
  EXPECT_TRUE(with_damaged[0].metadata.starts_with(HEDWIG_DAMAGED_MARK)) << with_damaged[0].metadata;
  EXPECT_TRUE(with_damaged[0].metadata.ends_with("\nother"));
  EXPECT_GE(a->stats().stats.damaged, 2u);
  EXPECT_EQ(a->read_all(id_of(3)).body, "body of three");
}

TEST_F(shared_database, is_looked_at_while_a_host_uses_it) {
  auto a = start("a");
  a->put(id_of(1), "body", "meta");
  auto looking = settings("a");
  looking.numbers["read_only"] = 1;
  auto tool = start(looking);
  EXPECT_EQ(tool->list_all(every_state).size(), 1u);
  EXPECT_EQ(tool->read_all(id_of(1)).body, "body");
  EXPECT_EQ(tool->put(id_of(2), "x").status, HEDWIG_E_UNSUPPORTED);
  EXPECT_EQ(tool->claim(every_state, 0, 1h).status, HEDWIG_E_UNSUPPORTED);
  EXPECT_EQ(a->claim(every_state, 0, 1h).entries.size(), 1u);
}

TEST_F(shared_database, refuses_a_format_it_does_not_know) {
  start("a").reset();
  ask("UPDATE hedwig_format SET version = 99");
  store_client later{plugin_file("sql"), settings("a")};
  EXPECT_EQ(later.start(), HEDWIG_E_UNSUPPORTED);
  EXPECT_NE(later.error().find("format 99"), std::string::npos) << later.error();
}

TEST_F(shared_database, never_tells_the_password) {
  auto with = settings("a");
  with.texts["connection"] = "host=/nonexistent dbname=postgres user=hedwig";
  with.texts["password"] = "tell'no\\body";
  store_client store{plugin_file("sql"), with};
  EXPECT_EQ(store.start(), HEDWIG_E_UNAVAILABLE);
  EXPECT_FALSE(store.error().empty());
  for (auto& said : store.logs())
    EXPECT_EQ(said.find("tell"), std::string::npos) << said;
  EXPECT_EQ(store.error().find("tell"), std::string::npos) << store.error();
  with.texts["connection"] = server->connection();
  auto trusted = start(with);
  EXPECT_EQ(trusted->put(id_of(1), "x").status, HEDWIG_OK) << "quotes and backslashes do not break the words";
}

TEST_F(shared_database, reports_and_survives_a_full_disk) {
  auto disk = folder.path() + "/disk";
  std::filesystem::create_directories(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=24m,mode=777") != 0)
    GTEST_SKIP() << "a tmpfs cannot be mounted here: " << std::strerror(errno);
  struct unmount {
    std::string path;
    ~unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } later{disk};
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  std::filesystem::create_directories(disk + "/space");
  std::filesystem::permissions(disk + "/space", std::filesystem::perms::all);
  ASSERT_EQ(std::system(("chown nobody " + disk + "/space && chmod 700 " + disk + "/space").c_str()), 0);
  ASSERT_EQ(server->ask("CREATE TABLESPACE small LOCATION '" + disk + "/space'"), "CREATE TABLESPACE");
  server->ask("ALTER ROLE hedwig SET default_tablespace = small");
  auto ballast = disk + "/ballast";
  std::ofstream{ballast} << std::string(8 << 20, 'b');
  auto a = start("a");
  std::set<std::uint64_t> kept;
  answer last;
  for (std::uint64_t number = 0; number < 1000; ++number) {
    last = a->put(id_of(number), body_of(number, 100000));
    if (last.status != HEDWIG_OK)
      break;
    kept.insert(number);
  }
  EXPECT_EQ(last.status, HEDWIG_E_NO_SPACE) << last.error;
  EXPECT_EQ(a->health(), HEDWIG_E_NO_SPACE);
  EXPECT_GT(kept.size(), 20u);
  EXPECT_EQ(a->run(a->make_move(id_of(0), 1, HEDWIG_STATE_HELD, 1)).status, HEDWIG_OK) << "what frees space goes on";
  EXPECT_EQ(a->remove(id_of(1)).status, HEDWIG_OK);
  kept.erase(1);
  std::filesystem::remove(ballast);
  EXPECT_TRUE(a->eventually([&] { return a->health() == HEDWIG_OK; })) << "it comes back by itself";
  EXPECT_EQ(a->put(id_of(5000), "more").status, HEDWIG_OK);
  for (auto one : kept)
    EXPECT_TRUE(a->read_all(id_of(one)).body == body_of(one, 100000)) << one;
  a.reset();
  server->ask("DROP SCHEMA " + schema() + " CASCADE");
  server->ask("ALTER ROLE hedwig RESET default_tablespace");
  server->ask("DROP TABLESPACE small");
}

} // namespace

} // namespace hedwig::test
