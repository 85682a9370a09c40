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
      store.reset(); // it still tidies up its files
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

// ---- RocksDB's files, damaged so that the database itself cannot open them

/// Two generations of tables: 1 to 100, then 101 to 200 with changes to the first.
class damaged_database : public damaged_spool {
protected:
  static constexpr std::uint64_t count = 200;
  static bool is_removed(std::uint64_t n) { return n > 10 && n <= 20; }
  static std::string metadata_of(std::uint64_t n) { return "metadata of " + std::to_string(n); }

  void put(std::uint64_t from, std::uint64_t to) {
    for (auto n = from; n <= to; ++n)
      ASSERT_EQ(store->put(id_of(n), body_of(n, 6000), metadata_of(n), HEDWIG_STATE_DEFERRED, 1000).status, HEDWIG_OK);
  }
  void fill() {
    ASSERT_TRUE(start("rocksdb"));
    put(1, 100);
    ASSERT_TRUE(start("rocksdb")) << "now it stands in tables";
    put(101, count);
    for (std::uint64_t n = 1; n <= 10; ++n)
      ASSERT_EQ(store->run(store->make_move(id_of(n), 1, HEDWIG_STATE_HELD, 77)).status, HEDWIG_OK);
    for (std::uint64_t n = 11; n <= 20; ++n)
      ASSERT_EQ(store->remove(id_of(n)).status, HEDWIG_OK);
    ASSERT_TRUE(start("rocksdb"));
    store.reset();
  }
  /// How many messages are whole; checks that each is told of, as sound or as damaged, and none given out as another.
  std::uint64_t look() {
    std::map<std::string, entry_copy> seen;
    for (auto flags : {with_damaged, with_damaged | HEDWIG_LIST_BY_RECEIPT})
      for (auto& one : store->list_all(every_state, 64, flags))
        seen.emplace(text_of(one.id), one);
    std::uint64_t whole = 0;
    for (std::uint64_t n = 1; n <= count; ++n) {
      auto found = seen.find(text_of(id_of(n)));
      if (is_removed(n))
        continue; // it may come back, where what says so is lost
      EXPECT_NE(found, seen.end()) << n << " disappeared";
      if (found == seen.end())
        continue;
      auto& one = found->second;
      bool damaged = (one.flags & HEDWIG_ENTRY_DAMAGED) != 0;
      EXPECT_EQ(one.metadata, damaged ? one.metadata : store->stat(one.id).entries.at(0).metadata);
      EXPECT_TRUE(damaged ? one.metadata.starts_with(HEDWIG_DAMAGED_MARK)
                          : one.metadata.empty() || one.metadata == metadata_of(n));
      auto body = store->read_all(id_of(n));
      EXPECT_TRUE(body.status != HEDWIG_OK || body.body == body_of(n, 6000)) << n;
      EXPECT_TRUE(body.status == HEDWIG_OK || body.status == HEDWIG_E_CORRUPT || body.status == HEDWIG_E_NOT_FOUND)
          << n << ' ' << body.error;
      whole += !damaged && body.status == HEDWIG_OK;
    }
    return whole;
  }
  bool says(const std::string& words) {
    auto all = store->logs();
    return std::any_of(all.begin(), all.end(), [&](auto& one) { return one.find(words) != one.npos; });
  }
};

TEST_F(damaged_database, with_one_table_unreadable_or_missing_is_read_but_for_what_stood_there_alone) {
  fill();
  temporary_folder sound;
  fs::copy(folder.path(), sound.path() + "/copy", fs::copy_options::recursive);
  auto tables = files(".sst");
  auto blobs = files(".blob");
  ASSERT_GE(tables.size(), 7u);
  ASSERT_GE(blobs.size(), 2u);
  tables.insert(tables.end(), blobs.begin(), blobs.end());
  std::size_t complete = 0;
  for (auto& table : tables)
    for (bool missing : {false, true}) {
      SCOPED_TRACE(table.filename().string() + (missing ? " missing" : " with a damaged end"));
      store.reset(); // it still tidies up its files
      fs::remove_all(folder.path());
      fs::copy(sound.path() + "/copy", folder.path(), fs::copy_options::recursive);
      bool is_blob = table.extension() == ".blob";
      missing ? static_cast<void>(fs::remove(table)) : flip(table, fs::file_size(table) - (is_blob ? 3000 : 4));
      auto before = snapshot();
      ASSERT_TRUE(start("rocksdb", true)) << store->error();
      auto whole = look();
      EXPECT_GE(whole, 90u) << "those of the other generation";
      EXPECT_TRUE(is_blob || says("cannot be read"));
      EXPECT_GT(store->stats().stats.damaged, 0u);
      complete += whole == count - 10;
      store.reset();
      EXPECT_TRUE(snapshot() == before);
    }
  EXPECT_GE(complete, 6u) << "counters and index are not needed to read what is there";
}

TEST_F(damaged_database, starts_without_its_counters_and_counts_anew) {
  fill();
  std::size_t found = 0;
  for (auto& table : files(".sst")) {
    auto at = content_of(table).find("hedwig-rocksdb 1");
    if (at == std::string::npos)
      continue;
    ++found;
    flip(table, at);
  }
  ASSERT_EQ(found, 1u);
  for (int starts = 0; starts < 2; ++starts) {
    ASSERT_TRUE(start("rocksdb")) << store->error();
    auto states = store->stats().states;
    EXPECT_EQ(states.at(HEDWIG_STATE_DEFERRED).messages, count - 20);
    EXPECT_EQ(states.at(HEDWIG_STATE_HELD).messages, 10u);
    EXPECT_EQ(look(), count - 10);
  }
  EXPECT_EQ(store->put(id_of(1000), "new").status, HEDWIG_OK);
}

TEST_F(damaged_database, with_a_flipped_byte_in_its_log_does_not_start_but_can_be_read) {
  ASSERT_TRUE(start("rocksdb"));
  put(1, count);
  store.reset();
  auto logs = files(".log");
  ASSERT_EQ(logs.size(), 1u);
  auto log = logs.front();
  auto sound = content_of(log);
  for (auto part : {1u, 3u, 5u}) {
    SCOPED_TRACE(part);
    std::ofstream{log, std::ios::binary} << sound;
    flip(log, sound.size() * part / 8);
    auto before = snapshot();
    EXPECT_FALSE(start("rocksdb"));
    EXPECT_NE(store->error().find("write-ahead log is damaged"), std::string::npos) << store->error();
    store.reset();
    EXPECT_TRUE(snapshot() == before) << "nothing is dropped";
    ASSERT_TRUE(start("rocksdb", true)) << store->error();
    auto there = store->list_all(every_state, 64).size();
    EXPECT_LT(there, count);
    EXPECT_GE(there, count - 8) << "what shares 32 KiB of log with the damage";
    EXPECT_TRUE(says("cannot be read"));
  }
}

/// RocksDB takes a folder without CURRENT for an empty one, and a new database removes what it does not know.
TEST_F(damaged_database, that_has_lost_the_name_of_its_list_does_not_start_and_loses_nothing) {
  fill();
  auto current = content_of(folder.path() + "/CURRENT");
  for (bool with_log : {true, false}) {
    fs::remove(folder.path() + "/CURRENT");
    for (auto& log : with_log ? std::vector<fs::path>{} : files(".log"))
      fs::remove(log);
    auto before = snapshot();
    for (bool read_only :
         {false, false, true}) { // the first start could leave something that lets the second one begin
      EXPECT_FALSE(start("rocksdb", read_only));
      EXPECT_NE(store->error().find("write the line " + current.substr(0, current.size() - 1)), std::string::npos)
          << store->error();
      store.reset();
      EXPECT_TRUE(snapshot() == before);
    }
    std::ofstream{folder.path() + "/CURRENT"} << current; // as it says
    ASSERT_TRUE(start("rocksdb")) << store->error();
    EXPECT_EQ(look(), count - 10);
    store.reset();
    current = content_of(folder.path() + "/CURRENT");
  }
}

TEST_F(damaged_database, whose_log_ends_in_the_middle_of_a_group_starts_as_if_nothing_were) {
  ASSERT_TRUE(start("rocksdb"));
  put(1, 50);
  store.reset();
  auto log = files(".log").front();
  auto sound = content_of(log);
  for (std::size_t cut : {1u, 100u, 4096u}) {
    std::ofstream{log, std::ios::binary} << sound.substr(0, sound.size() - cut);
    ASSERT_TRUE(start("rocksdb", true)) << store->error();
    EXPECT_EQ(store->list_all(every_state, 64).size(), 49u);
    EXPECT_EQ(store->stats().stats.damaged, 0u);
  }
  std::ofstream{log, std::ios::binary} << sound;
  flip(log, sound.size() - 3000);
  ASSERT_TRUE(start("rocksdb")) << store->error();
  EXPECT_EQ(store->list_all(every_state, 64).size(), 49u);
  EXPECT_EQ(store->put(id_of(100), "and on").status, HEDWIG_OK);
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

TEST_F(damaged_spool, of_hedwig_0_10_with_a_message_in_two_folders_keeps_the_whole_one) {
  for (auto* name : {"queued", "deferred", "bounced"})
    fs::create_directories(folder.path() + "/" + name);
  auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{folder.path() + "/" + name, std::ios::binary} << text;
  };
  auto whole = std::string{"HEDWIG1 {\"message_id\":\"x\",\"from\":\"a@example.com\",\"to\":[\"b@example.net\"]}\n"
                           "Subject: one\r\n\r\nbody\r\n"};
  const std::string names[] = {"01JZ0000000000000000000001", "01JZ0000000000000000000002", "01JZ0000000000000000000003",
                               "01JZ0000000000000000000004", "01JZ0000000000000000000005"};
  write("queued/" + names[0] + ".json", whole); // the later one is torn in its first line,
  write("deferred/" + names[0] + ".json", whole.substr(0, 30));
  write("queued/" + names[1] + ".json", whole); // in its body,
  write("bounced/" + names[1] + ".json", whole.substr(0, whole.size() - 8));
  write("queued/" + names[2] + ".json", ""); // or the earlier one
  write("deferred/" + names[2] + ".json", whole);
  write("deferred/" + names[3] + ".json", whole); // both are whole: it is not lost to the archive
  write("bounced/" + names[3] + ".json", whole);
  write("queued/" + names[4] + ".json", whole);
  write("deferred/" + names[4] + ".meta.json", R"({"attempts":3,"next_attempt":1700000000})");
  const unsigned states[] = {HEDWIG_STATE_QUEUED, HEDWIG_STATE_QUEUED, HEDWIG_STATE_DEFERRED, HEDWIG_STATE_DEFERRED,
                             HEDWIG_STATE_QUEUED};
  auto before = std::distance(fs::recursive_directory_iterator{folder.path()}, {});
  for (auto read_only : {true, false}) {
    ASSERT_TRUE(start("fs", read_only)) << store->error();
    auto listed = store->list_all(every_state, 100, with_damaged | HEDWIG_LIST_BY_RECEIPT);
    ASSERT_EQ(listed.size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(listed[i].flags, unsigned{HEDWIG_ENTRY_FOREIGN}) << i;
      EXPECT_EQ(listed[i].state, states[i]) << i;
      EXPECT_EQ(store->read_all(listed[i].id).body, "Subject: one\r\n\r\nbody\r\n") << i;
    }
    EXPECT_NE(listed[4].metadata.find("\n{\"attempts\":3"), std::string::npos) << "what 0.10 noted of one in queued/";
    EXPECT_TRUE(!read_only || std::distance(fs::recursive_directory_iterator{folder.path()}, {}) == before);
  }
  EXPECT_TRUE(fs::exists(folder.path() + "/queued/" + names[0] + ".json"));
  for (auto& one : store->list_all(every_state, 100))
    EXPECT_EQ(store->remove(one.id).status, HEDWIG_OK);
  ASSERT_TRUE(start("fs")) << store->error();
  EXPECT_EQ(store->list_all(every_state, 100, with_damaged).size(), 0u) << "nothing comes back";
}

TEST_F(damaged_spool, of_hedwig_0_10_leaves_a_name_alone_that_is_no_id) {
  fs::create_directories(folder.path() + "/queued");
  std::ofstream{folder.path() + "/queued/01jz000000000000000000000a.json"} << "HEDWIG1 {}\nSubject: x\r\n\r\n";
  ASSERT_TRUE(start("fs")) << store->error();
  EXPECT_EQ(store->list_all(every_state, 100, with_damaged).size(), 0u);
  EXPECT_TRUE(fs::exists(folder.path() + "/queued/01jz000000000000000000000a.json"));
}

} // namespace

} // namespace hedwig::test
