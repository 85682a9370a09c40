// SPDX-License-Identifier: Apache-2.0
// What the stores of this tree do beyond storage.h, whose promises the conformance kit checks: the same for each .so.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

using namespace std::chrono_literals;

class every_store : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override { restart(); }
  void TearDown() override {
    store.reset();
    EXPECT_EQ(store_client::buffers_alive(), 0) << "a buffer was not released";
  }
  void restart() {
    store.reset();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), folder.path()));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
  }
  std::uint64_t count(std::uint32_t state) { return store->stats().states.at(state).messages; }

  temporary_folder folder;
  std::unique_ptr<store_client> store;
};

TEST_P(every_store, commits_thousands_in_flight_as_groups) {
  constexpr std::uint64_t puts = 2500;
  std::vector<op_pointer> ops;
  for (std::uint64_t i = 0; i < puts; ++i)
    ops.push_back(store->make_put(id_of(i), body_of(i, 500 + i % 3000), std::to_string(i)));
  for (std::uint64_t i = 0; i < puts; i += 50)
    store->submit({ops.begin() + static_cast<std::ptrdiff_t>(i), ops.begin() + static_cast<std::ptrdiff_t>(i + 50)});
  std::uint32_t largest = 0;
  for (auto& one : ops) {
    ASSERT_EQ(store->wait(one).status, HEDWIG_OK) << one->got.error;
    largest = std::max(largest, one->got.group_size);
  }
  EXPECT_GT(largest, 1u);
  auto stats = store->stats().stats;
  EXPECT_LT(stats.commits, puts / 10);
  EXPECT_EQ(stats.commit_writes, puts);
  restart();
  EXPECT_EQ(store->list_all(queued).size(), puts);
  EXPECT_EQ(count(HEDWIG_STATE_QUEUED), puts);
  for (std::uint64_t i = 0; i < puts; i += 97)
    EXPECT_TRUE(store->read_all(id_of(i)).body == body_of(i, 500 + i % 3000)) << i;
}

TEST_P(every_store, refuses_a_second_instance_on_one_spool) {
  store_client second{plugin_file(GetParam()), settings_for(GetParam(), folder.path())};
  EXPECT_NE(second.start(), HEDWIG_OK);
  EXPECT_NE(second.error().find("another instance uses this spool"), std::string::npos) << second.error();
  EXPECT_NE(second.error().find(folder.path()), std::string::npos) << second.error();
}

TEST_P(every_store, acknowledges_nothing_in_a_folder_that_was_deleted_or_replaced) {
  if (std::string{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "its messages are on a server";
  namespace fs = std::filesystem;
  for (bool replaced : {false, true}) {
    auto path = folder.path() + (replaced ? "/replaced" : "/deleted");
    store.reset();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), path));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
    ASSERT_EQ(store->put(id_of(1), body_of(1, 5000)).status, HEDWIG_OK);
    fs::rename(path, path + ".away");
    if (replaced)
      fs::create_directory(path);
    EXPECT_EQ(store->put(id_of(2), body_of(2, 5000)).status, HEDWIG_E_IO);
    EXPECT_EQ(store->health(), HEDWIG_E_IO);
    if (replaced)
      fs::remove_all(path);
    fs::rename(path + ".away", path);
    EXPECT_EQ(store->put(id_of(3), body_of(3, 5000)).status, HEDWIG_E_IO) << "only a new start looks again";
    store->stop();
    store = std::make_unique<store_client>(plugin_file(GetParam()), settings_for(GetParam(), path));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
    EXPECT_EQ(store->health(), HEDWIG_OK);
    EXPECT_TRUE(store->read_all(id_of(1)).body == body_of(1, 5000));
    EXPECT_EQ(store->put(id_of(4), body_of(4, 5000)).status, HEDWIG_OK);
  }
}

TEST_P(every_store, notices_without_any_mail_that_its_files_are_gone) {
  if (std::string{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "its messages are on a server";
  for (auto& one : std::filesystem::directory_iterator{folder.path()})
    std::filesystem::remove_all(one.path());
  EXPECT_TRUE(store->eventually([&] { return store->health() == HEDWIG_E_IO; }));
}

TEST_P(every_store, takes_no_mail_below_the_reserve_but_still_moves_and_removes) {
  if (std::string_view{GetParam()} == "sql_postgresql")
    GTEST_SKIP() << "the server's disk is its own";
  store->put(id_of(1), "x");
  store->put(id_of(2), "y");
  store.reset();
  auto settings = settings_for(GetParam(), folder.path());
  settings.numbers["disk_reserve"] = std::int64_t{1} << 50;
  store = std::make_unique<store_client>(plugin_file(GetParam()), settings);
  ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
  EXPECT_EQ(store->health(), HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->put(id_of(3), "z").status, HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->run(store->make_append(HEDWIG_STORAGE_STAGE, 0)).status, HEDWIG_E_NO_SPACE);
  EXPECT_EQ(store->run(store->make_move(id_of(1), 1, HEDWIG_STATE_DEFERRED, 1)).status, HEDWIG_OK);
  EXPECT_EQ(store->remove(id_of(2)).status, HEDWIG_OK);
  EXPECT_EQ(store->list_all(every_state).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(store, every_store, testing::Values(HEDWIG_TEST_STORES),
                         [](const auto& one) { return std::string{one.param}; });

} // namespace

} // namespace hedwig::test
