// SPDX-License-Identifier: Apache-2.0
// auth-sql as the relay loads it, with both kinds of database; each test runs with SQLite and with PostgreSQL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/component/auth_ldap/auth_instance.hpp"
#include "tests/component/storage/postgresql_server.hpp"

namespace hedwig::test {
namespace {

using std::chrono::minutes;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

// SHA-512 of crypt(3), of "lovelace".
constexpr const char* hash_of_ada =
    "$6$saltsalt$VDaF0DvKGbr7tHQrDkJFny7zZHoDLPE8gjJgPvAaEhgTOy8rAHkR7HQq5UP/PseKWL616w0dlDkJPG6HKHip/1";
constexpr const char* scram_of_ada =
    "SCRAM-SHA-256$4096:c29tZSBzYWx0IG9mIGFkYQ==$zwEzKeJHG79k3Qp1xZCp3zKLgxfFrBapRs4tBNq"
    "1sXA=:pgbk+pTJsrmvBQkO02I/RO63zQMnEd1hSye1ZbwlEr4=";

/// A database with the tables of docs/plugins/auth-sql.md.
class database {
public:
  virtual ~database() = default;
  virtual void run(const std::string& sql) = 0;
  virtual std::string settings() const = 0;

  void fill() {
    run("CREATE TABLE mail_user (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT, scram TEXT, "
        "enabled BOOLEAN NOT NULL DEFAULT TRUE, department VARCHAR(40), messages_per_hour INTEGER, message_size "
        "BIGINT)");
    run("CREATE TABLE mail_group (user_id INTEGER NOT NULL, name TEXT NOT NULL)");
    run("CREATE TABLE mail_sender (user_id INTEGER NOT NULL, address TEXT NOT NULL)");
    insert(1, "ada", hash_of_ada, "TRUE", "'research', 100, 5000000000");
    insert(2, "bob", hash_of_ada, "FALSE", "NULL, NULL, NULL");
    insert(3, "none", "", "TRUE", "NULL, NULL, NULL");
    insert(4, "plain", "lovelace", "TRUE", "NULL, NULL, NULL");
    insert(5, "idle", hash_of_ada, "TRUE", "NULL, NULL, NULL");
    run("INSERT INTO mail_group VALUES (1, 'staff'), (1, 'analysts')");
    run("INSERT INTO mail_sender VALUES (1, 'Ada@Example.com'), (1, '@lists.example.com')");
  }
  void insert(int id, const std::string& name, const std::string& hash, const std::string& enabled,
              const std::string& rest) {
    run("INSERT INTO mail_user VALUES (" + std::to_string(id) + ", '" + name + "', '" + hash + "', '" +
        (id == 1 ? scram_of_ada : "") + "', " + enabled + ", " + rest + ")");
  }
};

class sqlite_file : public database {
public:
  sqlite_file() {
    std::string pattern = std::filesystem::temp_directory_path() / "hedwig-users-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~sqlite_file() override { std::filesystem::remove_all(folder_); }
  std::string file() const { return folder_ + "/the #1 users?.db"; }
  std::string folder() const { return folder_; }
  void run(const std::string& sql) override {
    sqlite3* open = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &open), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(open, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(open) << sql;
    sqlite3_close(open);
  }
  std::string settings() const override { return "connector = \"sqlite\"\nconnection = \"" + file() + "\"\n"; }

private:
  std::string folder_;
};

class postgresql_database : public database {
public:
  explicit postgresql_database(postgresql_server& on) : on_{on} {
    on_.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  }
  void run(const std::string& sql) override {
    std::string quoted;
    for (char c : sql)
      quoted += c == '$' ? std::string{"\\$"} : std::string{c};
    EXPECT_THAT(on_.ask(quoted), Not(HasSubstr("ERROR"))) << sql;
  }
  std::string settings() const override {
    return "connector = \"postgresql\"\nconnection = \"" + on_.connection() + "\"\npassword = \"never-shown\"\n";
  }

private:
  postgresql_server& on_;
};

constexpr const char* queries =
    "query = \"SELECT * FROM mail_user WHERE name = {user}\"\n"
    "groups_query = \"SELECT name FROM mail_group WHERE user_id = {id} ORDER BY name\"\n"
    "senders_query = \"SELECT address FROM mail_sender WHERE user_id = {id} ORDER BY address\"\n"
    "attributes = [\"department\"]\n";
constexpr const char* no_cache = "cache_time = \"0s\"\nnegative_cache_time = \"0s\"\n";

class auth_sql : public ::testing::TestWithParam<const char*> {
protected:
  static void SetUpTestSuite() { server_ = std::make_unique<postgresql_server>(); }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    if (GetParam() == std::string{"sqlite"}) {
      data_ = std::make_unique<sqlite_file>();
    } else if (!server_->reason().empty()) {
      GTEST_SKIP() << server_->reason();
    } else {
      data_ = std::make_unique<postgresql_database>(*server_);
    }
    data_->fill();
  }
  std::string all(const std::string& more = {}) const { return data_->settings() + queries + more; }
  bool with_server() const { return GetParam() != std::string{"sqlite"}; }

  static inline std::unique_ptr<postgresql_server> server_;
  std::unique_ptr<database> data_;
};

INSTANTIATE_TEST_SUITE_P(with, auth_sql, ::testing::Values("sqlite", "postgresql"),
                         [](auto& which) { return std::string{which.param}; });

TEST_P(auth_sql, knows_right_and_wrong_passwords_and_nobody) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.fault(), "");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.who().name, "ada");
  EXPECT_THAT(on.who().groups, ElementsAre("analysts", "staff"));
  EXPECT_THAT(on.who().senders, ElementsAre("@lists.example.com", "ada@example.com"));
  EXPECT_THAT(on.who().attributes, ElementsAre(Pair("department", "research")));
  EXPECT_EQ(on.who().limits.messages_per_hour, 100U);
  EXPECT_EQ(on.who().limits.message_size, 5'000'000'000U);
  EXPECT_EQ(on.ask("ada", "Lovelace"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("ada", ""), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("ada", "lovelace", "bob"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("eve", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("none", "x"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("bob", "lovelace"), HEDWIG_E_DENIED) << "he is not enabled";
  EXPECT_EQ(on.ask("plain", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_THAT(on.error(), HasSubstr("no hash"));
  EXPECT_EQ(on.ask("idle", "lovelace"), HEDWIG_OK);
  EXPECT_THAT(on.who().senders, ElementsAre("")) << "no sender at all, and not any";
  EXPECT_EQ(on.log().count("never-shown") + on.log().count("lovelace") + on.log().count("saltsalt"), 0)
      << on.log().all();
  EXPECT_EQ(on.log().count("means nothing"), 1) << on.log().all();
  EXPECT_EQ(on.log().count("column=name"), 1) << on.log().all();
}

TEST_P(auth_sql, gives_scram_secrets) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.ask_scram("ada"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.secret().iterations, 4096U);
  EXPECT_EQ(on.secret().salt, "some salt of ada");
  EXPECT_THAT(on.who().groups, ElementsAre("analysts", "staff"));
  EXPECT_EQ(on.ask_scram("idle"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask_scram("eve"), HEDWIG_E_NOT_FOUND);
  data_->run(std::string{"UPDATE mail_user SET password = '"} + scram_of_ada + "', scram = NULL WHERE name = 'ada'");
  EXPECT_EQ(on.ask_scram("ada"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
}

TEST_P(auth_sql, lets_no_name_be_more_than_a_value) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  for (auto* name :
       {"ada' OR '1'='1", "x' OR 1=1 --", "ada'; DROP TABLE mail_user; --", "ada\\'", "ada\" OR \"\"=\"", "$1",
        "{user}", "%", "a_a", "ada/**/", "ada\xC2\xA0", "'||(SELECT password FROM mail_user LIMIT 1)||'",
        "ada UNION SELECT", "?", ":user", "@user", "E'\\x61da'"})
    for (auto* password : {"lovelace", "' OR '1'='1"})
      EXPECT_EQ(on.ask(name, password), HEDWIG_E_NOT_FOUND) << name << on.error();
  EXPECT_EQ(on.ask("ada", "' OR '1'='1"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask(std::string{"ada\0x", 5}, "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
}

TEST_P(auth_sql, reads_only) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  for (auto* writes : {"DELETE FROM mail_user WHERE name = {user} RETURNING *",
                       "WITH gone AS (DELETE FROM mail_user WHERE name = {user} RETURNING *) SELECT * FROM gone"}) {
    auth_instance other{"sql", data_->settings() + "query = \"" + writes + "\"\n"};
    EXPECT_NE(other.ask("ada", "lovelace"), HEDWIG_OK) << writes;
    EXPECT_EQ(other.log().count("nobody can log in yet"), 1) << other.log().all();
  }
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
}

TEST_P(auth_sql, answers_from_the_cache_for_as_long_as_it_may) {
  auth_instance on{"sql", all()};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  ASSERT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
  ASSERT_EQ(on.ask("eve", "lovelace"), HEDWIG_E_NOT_FOUND);
  data_->run("DELETE FROM mail_user WHERE name = 'ada'");
  data_->insert(9, "eve", hash_of_ada, "TRUE", "NULL, NULL, NULL");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK);
  EXPECT_THAT(on.who().groups, ElementsAre("analysts", "staff"));
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
  EXPECT_EQ(on.ask("eve", "lovelace"), HEDWIG_E_NOT_FOUND);
  EXPECT_EQ(on.ask("eve", "another"), HEDWIG_E_DENIED) << "with another password the database is asked";
  on.shift_clock(std::chrono::seconds{31});
  EXPECT_EQ(on.ask("eve", "lovelace"), HEDWIG_OK) << on.error();
  on.shift_clock(minutes{2});
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_NOT_FOUND);
}

TEST_P(auth_sql, takes_new_settings_and_keeps_the_old_ones_when_the_new_find_no_users) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_THAT(on.reload(data_->settings() + "query = \"SELECT * FROM no_such_table WHERE name = {user}\"\n"),
              HasSubstr("no_such_table"));
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_THAT(on.reload(data_->settings() + "query = \"SELECT name AS passwort FROM mail_user WHERE name = {user}\"\n"),
              HasSubstr("no column called password"));
  EXPECT_THAT(on.reload(all("rows_max = 1\n") + no_cache), IsEmpty());
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_THAT(on.error(), HasSubstr("rows_max"));
  EXPECT_EQ(on.reload(data_->settings() +
                      "query = \"SELECT password, upper(name) AS identity FROM mail_user WHERE name = {local}\"\n"),
            "");
  EXPECT_EQ(on.ask("ada@example.com", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.who().name, "ADA");
  EXPECT_THAT(on.who().senders, IsEmpty());
}

TEST_P(auth_sql, goes_on_when_a_table_changes_under_its_statements) {
  auth_instance on{"sql", all(no_cache)};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  data_->run("ALTER TABLE mail_user ADD COLUMN telephone TEXT");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
}

TEST_P(auth_sql, takes_no_notice_of_the_spaces_that_columns_of_fixed_width_are_filled_with) {
  auth_instance on{"sql",
                   data_->settings() + no_cache +
                       "query = \"SELECT id, password || '   ' AS password, 'Ada  ' AS identity, 'yes  ' AS enabled, "
                       "'7 ' AS connections, 'research  ' AS department FROM mail_user WHERE name = {user}\"\n"
                       "groups_query = \"SELECT name || '  ' FROM mail_group WHERE user_id = {id} ORDER BY name\"\n"
                       "attributes = [\"department\"]\n"};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.who().name, "Ada");
  EXPECT_THAT(on.who().groups, ElementsAre("analysts", "staff"));
  EXPECT_THAT(on.who().attributes, ElementsAre(Pair("department", "research")));
  EXPECT_EQ(on.who().limits.connections, 7U);
  EXPECT_EQ(on.ask("ada", "lovelace "), HEDWIG_E_DENIED);
}

TEST_P(auth_sql, refuses_for_the_time_being_what_it_cannot_make_sense_of) {
  auth_instance on{"sql", all(no_cache)};
  data_->run("UPDATE mail_user SET password = '$1$abc$def' WHERE name = 'ada'");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_THAT(on.error(), HasSubstr("kind of hash is not known"));
  data_->run(std::string{"UPDATE mail_user SET messages_per_hour = -1, password = '"} + hash_of_ada +
             "' WHERE name = 'ada'");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_THAT(on.error(), HasSubstr("messages_per_hour"));
  auth_instance several{"sql",
                        data_->settings() + no_cache +
                            "query = \"SELECT password FROM mail_user WHERE {user} IN ('ada', 'hedwig.nobody')\"\n"};
  EXPECT_EQ(several.ask("ada", "lovelace"), HEDWIG_E_DENIED);
  EXPECT_GE(several.log().count("fits several rows"), 1) << several.log().all();
}

TEST_P(auth_sql, ends_a_query_that_takes_too_long) {
  auto endless = with_server() ? "SELECT password FROM mail_user, pg_sleep(60) WHERE name = {user}"
                               : "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                                 "SELECT (SELECT max(i) FROM n) AS password WHERE 'x' <> {user}";
  auth_instance on{"sql",
                   data_->settings() + no_cache + "statement_timeout = \"200ms\"\nquery = \"" + endless + "\"\n"};
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_TIMEOUT) << on.error();
  EXPECT_THAT(on.error(), HasSubstr("query took too long"));
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_TIMEOUT) << on.error();
}

TEST_P(auth_sql, finds_each_of_ten_thousand_users_from_many_threads) {
  data_->run(with_server()
                 ? std::string{"INSERT INTO mail_user SELECT i, 'user' || i, '"} + hash_of_ada +
                       "', NULL, TRUE, NULL, i, NULL FROM generate_series(100, 10099) i"
                 : std::string{"WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 10099) "
                               "INSERT INTO mail_user SELECT i, 'user' || i, '"} +
                       hash_of_ada + "', NULL, TRUE, NULL, i, NULL FROM n");
  auth_instance on{"sql", all("connections_max = 2\ncache_entries = 100\n"), 8};
  auto sink = std::make_shared<plugin::testing::recorded_completions>();
  constexpr std::uint64_t count = 200;
  for (std::uint64_t i = 0; i < count; ++i) {
    plugin::auth_request one;
    one.username = "user" + std::to_string(100 + 50 * i);
    one.secret = i % 10 == 0 ? "wrong" : "lovelace";
    on.face().verify_password(std::move(one), {sink, i + 1, {}});
  }
  ASSERT_TRUE(sink->wait_for(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    auto* done = sink->find(i + 1);
    ASSERT_NE(done, nullptr);
    if (i % 10 == 0) {
      EXPECT_EQ(done->error().status, HEDWIG_E_DENIED);
      continue;
    }
    ASSERT_TRUE(*done) << done->error().text();
    EXPECT_EQ(plugin::as<plugin::identity>(**done).name, "user" + std::to_string(100 + 50 * i));
    EXPECT_EQ(plugin::as<plugin::identity>(**done).limits.messages_per_hour, 100 + 50 * i);
  }
}

TEST_P(auth_sql, names_what_is_wrong_with_its_settings) {
  auto fault = [&](const std::string& more) { return auth_instance{"sql", data_->settings() + more}.fault(); };
  EXPECT_THAT(fault("query = \"SELECT 1 FROM t WHERE n = '{user}'\"\n"), HasSubstr("{user} inside quotes"));
  EXPECT_THAT(fault("query = \"SELECT password FROM mail_user\"\n"), HasSubstr("neither {user} nor {local}"));
  EXPECT_THAT(fault("query = \"SELECT 1 WHERE a = {id} AND b = {user}\"\n"), HasSubstr("{id}"));
  EXPECT_THAT(fault("query = \"SELECT 1 WHERE b = {user}\"\ngroups_query = \"\"\n"),
              HasSubstr("groups_query is empty"));
}

TEST(auth_sql_settings, are_checked_across_keys) {
  auto fault = [&](const std::string& toml) {
    return auth_instance{"sql", toml + "query = \"SELECT password FROM t WHERE n = {user}\"\n"}.fault();
  };
  EXPECT_THAT(fault("connector = \"sqlite\"\nconnection = \"users.db\"\n"), HasSubstr("from / on"));
  EXPECT_THAT(fault("connector = \"sqlite\"\nconnection = \"/x\"\npassword = \"y\"\n"), HasSubstr("goes with"));
  EXPECT_THAT(fault("connector = \"postgresql\"\nconnection = \"dbname='a'\"\n"), HasSubstr("without quotes"));
  EXPECT_THAT(fault("connector = \"postgresql\"\nconnection = \"dbname=a password=b\"\npassword = \"c\"\n"),
              HasSubstr("keep one"));
  auto both = fault("connector = \"mysql\"\nconnection = \"secret-of-it\"\n");
  EXPECT_THAT(both, HasSubstr("mysql"));
  EXPECT_THAT(both, Not(HasSubstr("secret-of-it")));
}

TEST(auth_sql_file, that_is_not_there_is_not_made_and_works_once_it_is) {
  sqlite_file data;
  auth_instance on{"sql", data.settings() + queries + no_cache};
  EXPECT_EQ(on.fault(), "");
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(data.file()));
  EXPECT_TRUE(std::filesystem::is_empty(data.folder()));
  data.fill();
  on.shift_clock(minutes{1});
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.log().count("the database cannot be reached"), 1) << on.log().all();
  EXPECT_EQ(on.log().count("the database is back"), 1) << on.log().all();
}

TEST(auth_sql_file, may_have_columns_of_types_that_poco_does_not_know) {
  sqlite_file data;
  data.run("CREATE TABLE t (name CITEXT, password MYTYPE)");
  data.run(std::string{"INSERT INTO t VALUES ('ada', '"} + hash_of_ada + "')");
  auth_instance on{"sql", data.settings() + no_cache + "query = \"SELECT password FROM t WHERE name = {user}\"\n"};
  if (on.ask("ada", "lovelace") != HEDWIG_OK) {
    EXPECT_THAT(on.error(), HasSubstr("CAST(it AS TEXT)"));
  }
  auth_instance cast{"sql", data.settings() + no_cache +
                                "query = \"SELECT CAST(password AS TEXT) AS password FROM t WHERE name = {user}\"\n"};
  EXPECT_EQ(cast.ask("ada", "lovelace"), HEDWIG_OK) << cast.error();
}

/// Lets everybody in who speaks PostgreSQL's protocol, and then says no more.
class mute_server {
public:
  mute_server() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::jthread{[this] { serve(); }};
  }
  ~mute_server() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  std::string settings() const {
    return "connector = \"postgresql\"\nconnection = \"host=127.0.0.1 port=" + std::to_string(port_) +
           " user=hedwig dbname=hedwig sslmode=disable gssencmode=disable\"\n";
  }

private:
  void serve() {
    std::vector<int> held;
    for (int one; (one = ::accept(socket_, nullptr, nullptr)) >= 0; held.push_back(one)) {
      char startup[1024];
      EXPECT_GT(::read(one, startup, sizeof startup), 0);
      // AuthenticationOk, ReadyForQuery
      constexpr std::string_view welcome{"R\0\0\0\x8\0\0\0\0Z\0\0\0\x5I", 15};
      EXPECT_EQ(::send(one, welcome.data(), welcome.size(), MSG_NOSIGNAL), 15);
    }
    for (auto one : held)
      ::close(one);
  }

  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

TEST(auth_sql_server, that_falls_silent_once_it_let_us_in_is_given_up) {
  mute_server server;
  auth_instance on{"sql", server.settings() + queries + no_cache + "statement_timeout = \"100ms\"\n"};
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_UNAVAILABLE) << on.error();
}

TEST(auth_sql_server, that_goes_and_comes_back_is_an_outage_and_never_a_refusal) {
  postgresql_server server;
  if (!server.reason().empty())
    GTEST_SKIP() << server.reason();
  postgresql_database data{server};
  data.fill();
  auth_instance on{"sql", data.settings() + queries + no_cache};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  server.stop("immediate");
  for (auto* user : {"ada", "eve"})
    for (auto* password : {"lovelace", "wrong"})
      EXPECT_EQ(on.ask(user, password), HEDWIG_E_UNAVAILABLE) << on.error();
  EXPECT_EQ(on.log().count("the database cannot be reached"), 1) << on.log().all();
  server.start();
  on.shift_clock(minutes{1});
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(on.ask("ada", "wrong"), HEDWIG_E_DENIED);
  server.stop("fast");
  server.start();
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << "a restart between two logins is not noticed: " << on.error();
  EXPECT_EQ(on.log().count("never-shown"), 0) << on.log().all();
}

TEST(auth_sql_server, that_stands_still_is_cut_off_in_time) {
  postgresql_server server;
  if (!server.reason().empty())
    GTEST_SKIP() << server.reason();
  postgresql_database data{server};
  data.fill();
  auth_instance on{"sql",
                   data.settings() + queries + no_cache + "statement_timeout = \"100ms\"\nconnections_max = 1\n"};
  ASSERT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  auto process = std::stoi(server.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'hedwig'"));
  ASSERT_EQ(::kill(process, SIGSTOP), 0);
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_E_TIMEOUT) << on.error();
  ::kill(process, SIGCONT);
  EXPECT_EQ(on.ask("ada", "lovelace"), HEDWIG_OK) << on.error();
  EXPECT_EQ(server.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hedwig' AND state <> 'idle'"),
            "0");
}

} // namespace
} // namespace hedwig::test
