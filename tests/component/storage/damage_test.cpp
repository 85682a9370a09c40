// SPDX-License-Identifier: Apache-2.0
// Files with flipped or missing bytes: nothing damaged is delivered, and nothing disappears.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

void flip(const fs::path& file, std::uint64_t at) {
  std::fstream both{file, std::ios::in | std::ios::out | std::ios::binary};
  both.seekg(static_cast<std::streamoff>(at));
  auto old = static_cast<char>(both.get());
  both.seekp(static_cast<std::streamoff>(at));
  both.put(static_cast<char>(old ^ 0x10));
}

std::string text_of(const hedwig_msg_id& id) { return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes}; }

/// The MOVE with which a host sets a damaged message aside.
answer set_aside(store_client& store, const entry_copy& damaged) {
  auto move = store.make_move(damaged.id, damaged.revision, HEDWIG_STATE_QUARANTINED, damaged.due);
  move->metadata = damaged.metadata;
  auto& request = move->request.move;
  request.hint = damaged.hint;
  request.flags = HEDWIG_MOVE_METADATA;
  request.metadata = {reinterpret_cast<const std::uint8_t*>(move->metadata.data()), move->metadata.size()};
  return store.run(move);
}

class damaged_spool : public testing::Test {
protected:
  bool start(const std::string& provider, bool read_only = false) {
    store.reset();
    auto settings = settings_for(provider, folder.path());
    settings.numbers["read_only"] = read_only;
    store = std::make_unique<store_client>(plugin_file(provider), settings);
    return store->start() == HEDWIG_OK;
  }
  std::vector<fs::path> files(const std::string& ending) const {
    std::vector<fs::path> found;
    for (auto& one : fs::recursive_directory_iterator{folder.path()})
      if (one.is_regular_file() && one.path().string().ends_with(ending))
        found.push_back(one.path());
    std::sort(found.begin(), found.end());
    return found;
  }
  std::map<std::string, std::string> snapshot() const {
    std::map<std::string, std::string> all;
    for (auto& one : fs::recursive_directory_iterator{folder.path()})
      all[one.path()] = one.is_regular_file() ? content_of(one.path()) : "folder";
    return all;
  }
  temporary_folder folder;
  std::unique_ptr<store_client> store;
};

constexpr std::uint32_t with_damaged = HEDWIG_LIST_METADATA | HEDWIG_LIST_DAMAGED;

TEST_F(damaged_spool, of_files_names_each_damaged_message_with_the_reason_and_keeps_it) {
  struct kind {
    std::uint64_t at;
    const char* why;
  };
  for (auto& damage : {kind{0, "no sound header"}, kind{40, "no sound header"}, kind{256 + 5000 + 3, "metadata"}}) {
    ASSERT_TRUE(start("fs"));
    store->put(id_of(1), body_of(1, 5000), "metadata of one");
    store->put(id_of(2), body_of(2, 5000), "metadata of two");
    flip(files(".5000.msg").front(), damage.at);
    EXPECT_EQ(store->stat(id_of(1)).status, HEDWIG_E_CORRUPT);
    EXPECT_EQ(store->list_all(every_state).size(), 1u) << "who does not ask for damaged ones gets none";
    auto claimed = store->claim(every_state, 2000, std::chrono::seconds{60});
    ASSERT_EQ(claimed.entries.size(), 1u);
    auto listed = store->list_all(every_state, 100, with_damaged);
    ASSERT_EQ(listed.size(), 2u);
    EXPECT_EQ(listed[0].flags, unsigned{HEDWIG_ENTRY_DAMAGED});
    EXPECT_TRUE(listed[0].metadata.starts_with(HEDWIG_DAMAGED_MARK)) << listed[0].metadata;
    EXPECT_NE(listed[0].metadata.find(damage.why), std::string::npos) << listed[0].metadata;
    EXPECT_NE(listed[0].metadata.find("data of one"), std::string::npos) << "what could be read is kept";
    ASSERT_EQ(set_aside(*store, listed[0]).status, HEDWIG_OK);
    for (bool again : {false, true}) {
      if (again) {
        ASSERT_TRUE(start("fs"));
      }
      auto entry = store->stat(id_of(1)).entries.at(0);
      EXPECT_EQ(entry.state, unsigned{HEDWIG_STATE_QUARANTINED});
      EXPECT_EQ(entry.metadata, listed[0].metadata);
      EXPECT_EQ(entry.flags & HEDWIG_ENTRY_DAMAGED, 0u) << "its record is sound now";
    }
    EXPECT_EQ(store->remove(id_of(1)).status, HEDWIG_OK);
    EXPECT_EQ(store->remove(id_of(2)).status, HEDWIG_OK);
  }
}

TEST_F(damaged_spool, of_files_tells_of_a_damaged_body_when_it_is_read_and_leaves_the_record) {
  ASSERT_TRUE(start("fs"));
  store->put(id_of(1), body_of(1, 600'000), "metadata of one");
  flip(files(".msg").front(), 256 + 300'000);
  EXPECT_EQ(store->read_all(id_of(1)).status, HEDWIG_E_CORRUPT);
  EXPECT_EQ(store->stat(id_of(1)).entries.at(0).metadata, "metadata of one");
  EXPECT_EQ(store->stats().stats.damaged, 1u);
}

// RocksDB's tables: a flipped byte makes a block, or the whole table, unreadable. Whatever it held, each message is
// still found by one of the two walks, is told from a sound one, and is never given out as something else.
TEST_F(damaged_spool, of_tables_hides_no_message) {
  constexpr std::uint64_t count = 200;
  ASSERT_TRUE(start("rocksdb"));
  for (std::uint64_t n = 1; n <= count; ++n)
    ASSERT_EQ(store
                  ->put(id_of(n), body_of(n, 6000), "metadata of " + std::to_string(n) + std::string(200, '.'),
                        HEDWIG_STATE_DEFERRED, static_cast<hedwig_time_ns>(1000 + n * 7 % 50))
                  .status,
              HEDWIG_OK);
  ASSERT_TRUE(start("rocksdb")) << "now it stands in tables";
  store.reset();
  temporary_folder sound;
  fs::copy(folder.path(), sound.path() + "/copy", fs::copy_options::recursive);
  auto tables = files(".sst");
  for (auto& blob : files(".blob"))
    tables.push_back(blob);
  ASSERT_GE(tables.size(), 3u);
  std::size_t damaged = 0, unindexed = 0, bodies = 0, opened = 0;
  for (auto& table : tables)
    for (int part = 1; part < 8; part += 3) {
      SCOPED_TRACE(table.filename().string() + " part " + std::to_string(part));
      fs::remove_all(folder.path());
      fs::copy(sound.path() + "/copy", folder.path(), fs::copy_options::recursive);
      flip(table, fs::file_size(table) * static_cast<unsigned>(part) / 8);
      if (!start("rocksdb"))
        continue; // it says so, and nothing is changed
      ++opened;
      std::map<std::string, entry_copy> seen;
      for (auto& one : store->list_all(every_state, 64, with_damaged))
        EXPECT_TRUE(seen.emplace(text_of(one.id), one).second) << "once";
      for (auto& one : store->list_all(every_state, 64, with_damaged | HEDWIG_LIST_BY_RECEIPT)) {
        if ((one.flags & HEDWIG_ENTRY_UNINDEXED) != 0)
          ++unindexed;
        seen.emplace(text_of(one.id), one);
      }
      EXPECT_EQ(seen.size(), count);
      for (std::uint64_t n = 1; n <= count; ++n) {
        auto& one = seen[text_of(id_of(n))];
        if ((one.flags & HEDWIG_ENTRY_DAMAGED) != 0) {
          ++damaged;
          EXPECT_TRUE(one.metadata.starts_with(HEDWIG_DAMAGED_MARK));
          auto moved = set_aside(*store, one);
          ASSERT_EQ(moved.status, HEDWIG_OK) << n << ' ' << moved.error;
          auto now = store->stat(one.id).entries.at(0);
          EXPECT_EQ(now.state, unsigned{HEDWIG_STATE_QUARANTINED});
          EXPECT_EQ(now.metadata, one.metadata);
        } else {
          EXPECT_EQ(one.metadata, "metadata of " + std::to_string(n) + std::string(200, '.'));
        }
        auto body = store->read_all(id_of(n));
        bodies += body.status == HEDWIG_E_CORRUPT;
        EXPECT_TRUE(body.status == HEDWIG_E_CORRUPT || body.body == body_of(n, 6000)) << n << ' ' << body.error;
      }
      EXPECT_EQ(store->list_all(every_state, 64, HEDWIG_LIST_BY_RECEIPT).size(), count)
          << "what was set aside is sound";
    }
  EXPECT_GT(opened, 0u);
  EXPECT_GT(damaged, 0u);
  EXPECT_GT(unindexed, 0u);
  EXPECT_GT(bodies, 0u);
}

class read_only_spool : public damaged_spool, public testing::WithParamInterface<const char*> {};

TEST_P(read_only_spool, is_looked_at_without_a_change) {
  std::string provider = GetParam();
  ASSERT_TRUE(start(provider));
  for (std::uint64_t n = 1; n <= 20; ++n)
    ASSERT_EQ(store->put(id_of(n), body_of(n, 3000), "metadata").status, HEDWIG_OK);
  ASSERT_EQ(store->run(store->make_move(id_of(3), 1, HEDWIG_STATE_HELD, 77)).status, HEDWIG_OK);
  store->remove(id_of(4));
  store.reset();
  auto before = snapshot();
  ASSERT_TRUE(start(provider, true)) << store->error();
  EXPECT_EQ(store->list_all(every_state, 100, with_damaged).size(), 19u);
  EXPECT_EQ(store->stat(id_of(3)).entries.at(0).state, unsigned{HEDWIG_STATE_HELD});
  EXPECT_TRUE(store->read_all(id_of(7)).body == body_of(7, 3000));
  EXPECT_NE(store->put(id_of(30), "body").status, HEDWIG_OK);
  EXPECT_NE(store->remove(id_of(3)).status, HEDWIG_OK);
  store_client other{plugin_file(provider), settings_for(provider, folder.path())};
  if (provider == "fs") { // the database's lock does not know two opens of one process from one
    EXPECT_EQ(other.start(), HEDWIG_E_UNAVAILABLE);
  }
  store.reset();
  EXPECT_TRUE(snapshot() == before);
}

TEST_P(read_only_spool, is_not_made_where_there_is_none) {
  EXPECT_FALSE(start(GetParam(), true));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

INSTANTIATE_TEST_SUITE_P(store, read_only_spool, testing::Values("rocksdb", "fs"),
                         [](const auto& one) { return std::string{one.param}; });

TEST_F(damaged_spool, of_hedwig_0_10_has_every_form) {
  for (auto* name : {"queued", "deferred", "bounced"})
    fs::create_directories(folder.path() + "/" + name);
  auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{folder.path() + "/" + name, std::ios::binary} << text;
  };
  auto marked = std::string{"HEDWIG1 {\"message_id\":\"x\",\"from\":\"a@example.com\",\"to\":[\"b@example.net\"]}\n"};
  write("queued/01JZ0000000000000000000001.json", marked + "Subject: one\r\n\r\nbody\r\n");
  write("queued/01JZ0000000000000000000002.json",
        "{\n  \"message_id\": \"x\",\n  \"body\": \"Subject: two\\r\\n\\r\\n\\u00e4\\ud83d\\ude00 \\\"}\\\" "
        "\\\\\\r\\n\",\n"
        "  \"from\": \"a@example.com\", \"to\": [\"b@example.net\", \"c@example.net\"]\n}\n");
  write("deferred/01JZ0000000000000000000003.json", marked + "Subject: three\r\n\r\n");
  write("deferred/01JZ0000000000000000000003.meta.json", R"({"attempts":2,"next_attempt":1700000000})");
  write("deferred/01JZ0000000000000000000004.json", marked + "Subject: four\r\n\r\n");
  write("deferred/01JZ0000000000000000000004.meta.json", R"({"attempts":2,"next_att)");
  write("bounced/01JZ0000000000000000000005.json", marked + "Subject: five\r\n\r\n");
  const std::map<std::string, std::string> broken{
      {"queued/01JZ0000000000000000000006.json", ""},
      {"queued/01JZ0000000000000000000007.json", "HEDWIG1 {\"from\":\"a@exam"},
      {"queued/01JZ0000000000000000000008.json", R"({"from":"a@example.com","to":["b@example.net"],"body":"cut o)"},
      {"queued/01JZ0000000000000000000009.json", R"({"from":"a@example.com","to":["b@example.net"]})"},
      {"queued/01JZ000000000000000000000A.json", std::string(3000, '\0')}};
  for (auto& [name, text] : broken)
    write(name, text);
  write("queued/readme.json", "{}");
  ASSERT_TRUE(start("fs")) << store->error();
  auto listed = store->list_all(every_state, 100, with_damaged | HEDWIG_LIST_BY_RECEIPT);
  ASSERT_EQ(listed.size(), 10u);
  EXPECT_EQ(store->read_all(listed[0].id).body, "Subject: one\r\n\r\nbody\r\n");
  EXPECT_EQ(listed[1].metadata, "HEDWIG1 {\"message_id\":\"x\",\"from\":\"a@example.com\",\"to\":[\"b@example.net\", "
                                "\"c@example.net\"]}");
  auto second = store->read_all(listed[1].id);
  EXPECT_EQ(second.body, "Subject: two\r\n\r\n\u00e4\U0001F600 \"}\" \\\r\n");
  EXPECT_EQ(listed[1].body_size, second.body.size());
  EXPECT_EQ(listed[2].due, 1700000000 * INT64_C(1000000000));
  EXPECT_NE(listed[2].metadata.find("\n{\"attempts\":2"), std::string::npos);
  EXPECT_EQ(listed[3].metadata.find('\n'), std::string::npos) << "a note that cannot be read is left out";
  EXPECT_GT(listed[3].due, 0);
  EXPECT_EQ(listed[4].state, unsigned{HEDWIG_STATE_BOUNCED});
  for (std::size_t i = 0; i < 5; ++i)
    EXPECT_EQ(listed[i].flags, unsigned{HEDWIG_ENTRY_FOREIGN}) << i;
  for (std::size_t i = 5; i < 10; ++i) {
    EXPECT_EQ(listed[i].flags, unsigned{HEDWIG_ENTRY_DAMAGED}) << i;
    EXPECT_EQ(set_aside(*store, listed[i]).status, HEDWIG_OK);
  }
  EXPECT_EQ(store->list_all(HEDWIG_STATE_MASK(HEDWIG_STATE_QUARANTINED)).size(), 5u);
  for (auto& [name, text] : broken)
    EXPECT_EQ(content_of(folder.path() + "/quarantined" + name.substr(name.find('/'))), text) << "kept as it was";
  EXPECT_EQ(content_of(folder.path() + "/queued/readme.json"), "{}");
}

} // namespace

} // namespace hedwig::test
