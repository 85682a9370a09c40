// SPDX-License-Identifier: Apache-2.0
// RocksDB on a disk without room, and the files of storage-fs. What every store must do there the conformance kit asks
// for.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <sys/mount.h>

#include "tests/component/storage/store_client.hpp"
#include "tests/component/storage/temporary_folder.hpp"

namespace hedwig::test {

namespace {

namespace fs = std::filesystem;

/// A file system in memory, or a reason why there is none.
class small_disk {
public:
  explicit small_disk(int mebibytes = 24) {
    auto size = "size=" + std::to_string(mebibytes) + "m";
    if (::mount("tmpfs", folder_.path().c_str(), "tmpfs", 0, size.c_str()) != 0)
      reason_ = std::string{"a tmpfs cannot be mounted here: "} + std::strerror(errno);
  }
  ~small_disk() {
    if (reason_.empty())
      ::umount2(folder_.path().c_str(), MNT_DETACH);
  }
  const std::string& reason() const { return reason_; }
  std::string path() const { return folder_.path(); }

private:
  temporary_folder folder_;
  std::string reason_;
};

TEST(rocksdb_on_a_full_disk, opens_delivers_and_takes_mail_again_when_there_is_room) {
  small_disk disk{48};
  if (!disk.reason().empty())
    GTEST_SKIP() << disk.reason();
  auto settings = settings_for("rocksdb", disk.path() + "/spool");
  settings.numbers["disk_reserve"] = 16 << 20;
  auto spare = disk.path() + "/spool/rocksdb.spare";
  auto start = [&] {
    auto store = std::make_unique<store_client>(plugin_file("rocksdb"), settings);
    EXPECT_EQ(store->start(), HEDWIG_OK) << store->error();
    return store;
  };
  auto store = start();
  EXPECT_EQ(fs::file_size(spare), 4u << 20);
  for (std::uint64_t n = 0; n < 20; ++n)
    ASSERT_EQ(store->put(id_of(n), body_of(n, 100000)).status, HEDWIG_OK);
  store.reset();
  auto fill = [&] {
    std::ofstream ballast{disk.path() + "/ballast", std::ios::app};
    std::string block(4096, 'b');
    while (ballast.write(block.data(), static_cast<std::streamsize>(block.size())).flush())
      ;
  };
  for (int starts = 0; starts < 2; ++starts) {
    fill();
    ASSERT_EQ(fs::space(disk.path()).available, 0u);
    store = start();
    EXPECT_FALSE(fs::exists(spare));
    EXPECT_EQ(store->health(), HEDWIG_E_NO_SPACE);
    EXPECT_EQ(store->put(id_of(100), "new").status, HEDWIG_E_NO_SPACE);
    for (std::uint64_t n = 0; n < 10; ++n) {
      auto number = n + (starts == 0 ? 0u : 10u);
      EXPECT_TRUE(store->read_all(id_of(number)).body == body_of(number, 100000)) << number;
      EXPECT_EQ(store->remove(id_of(number)).status, HEDWIG_OK) << number;
    }
    fs::remove(disk.path() + "/ballast");
    EXPECT_TRUE(store->eventually([&] { return store->health() == HEDWIG_OK && fs::exists(spare); }));
    EXPECT_EQ(store->put(id_of(200 + static_cast<std::uint64_t>(starts)), "new").status, HEDWIG_OK);
    store.reset();
  }
  store = start();
  EXPECT_EQ(store->list_all(every_state).size(), 2u);
}

class fs_files : public testing::Test {
protected:
  void restart() {
    store.reset();
    store = std::make_unique<store_client>(plugin_file("fs"), settings_for("fs", folder.path()));
    ASSERT_EQ(store->start(), HEDWIG_OK) << store->error();
  }
  std::string find(const std::string& below, const std::string& ending) {
    for (auto& one : fs::recursive_directory_iterator{folder.path() + "/" + below})
      if (one.path().string().ends_with(ending))
        return one.path();
    return {};
  }
  temporary_folder folder;
  std::unique_ptr<store_client> store;
};

TEST_F(fs_files, are_readable_by_people_and_by_nobody_else) {
  restart();
  store->put(id_of(1), "Subject: hello\r\n\r\nworld\r\n", "to somebody");
  auto name = find("queued", ".msg");
  ASSERT_FALSE(name.empty());
  std::ifstream in{name};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_TRUE(text.starts_with("HEDWIGFS1 id=")) << text;
  EXPECT_NE(text.find("Subject: hello\r\n"), std::string::npos);
  EXPECT_EQ(fs::status(name).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(folder.path()).permissions(), fs::perms::owner_all);
  store->run(store->make_move(id_of(1), 1, HEDWIG_STATE_HELD, 5));
  EXPECT_TRUE(find("queued", ".msg").empty());
  EXPECT_FALSE(find("held", ".msg").empty());
  EXPECT_FALSE(find("meta", ".meta").empty());
}

TEST_F(fs_files, of_removed_messages_are_written_over) {
  restart();
  store->put(id_of(1), body_of(1, 5000));
  store->remove(id_of(1));
  EXPECT_EQ(std::distance(fs::directory_iterator{folder.path() + "/free"}, {}), 1);
  store->put(id_of(2), body_of(2, 300));
  EXPECT_EQ(std::distance(fs::directory_iterator{folder.path() + "/free"}, {}), 0);
  restart();
  EXPECT_TRUE(store->read_all(id_of(2)).body == body_of(2, 300));
  EXPECT_LT(fs::file_size(find("queued", ".msg")), 1000u) << "nothing of the old body is left";
}

TEST_F(fs_files, of_hedwig_0_10_are_messages) {
  fs::create_directories(folder.path() + "/queued");
  fs::create_directories(folder.path() + "/deferred");
  auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream{folder.path() + "/" + name, std::ios::binary} << text;
  };
  std::string first =
      R"({"message_id":"01JZ0000000000000000000001","from":"<a@example.com>","to":["<b@example.net>"]})";
  write("queued/01JZ0000000000000000000001.json", "HEDWIG1 " + first + "\nSubject: old\r\n\r\nbody\r\n");
  std::string note = R"({"attempts":2,"last_attempt":{"secs_since_epoch":100,"nanos_since_epoch":5},)"
                     R"("next_attempt":{"secs_since_epoch":1700000000,"nanos_since_epoch":0}})";
  write("deferred/01JZ0000000000000000000002.json", "HEDWIG1 {}\nSubject: late\r\n\r\n");
  write("deferred/01JZ0000000000000000000002.meta.json", note);
  write("queued/notes.json", "somebody else's");
  restart();
  auto listed = store->list_all(every_state, 100, HEDWIG_LIST_METADATA | HEDWIG_LIST_BY_RECEIPT);
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].metadata, "HEDWIG1 " + first);
  EXPECT_EQ(listed[0].flags, HEDWIG_ENTRY_FOREIGN);
  EXPECT_EQ(store->read_all(listed[0].id).body, "Subject: old\r\n\r\nbody\r\n");
  EXPECT_EQ(listed[1].metadata, "HEDWIG1 {}\n" + note);
  EXPECT_EQ(listed[1].due, 1700000000 * INT64_C(1000000000));
  EXPECT_EQ(listed[1].state, unsigned{HEDWIG_STATE_DEFERRED});
  auto move = store->make_move(listed[0].id, 1, HEDWIG_STATE_DEFERRED, 77);
  move->metadata = "of our own";
  move->request.move.flags = HEDWIG_MOVE_METADATA;
  move->request.move.metadata = {reinterpret_cast<const std::uint8_t*>(move->metadata.data()), move->metadata.size()};
  ASSERT_EQ(store->run(move).status, HEDWIG_OK) << move->got.error;
  restart();
  auto entry = store->stat(listed[0].id).entries.at(0);
  EXPECT_EQ(entry.metadata, "of our own");
  EXPECT_EQ(entry.flags, 0u);
  EXPECT_EQ(entry.due, 77);
  EXPECT_EQ(store->read_all(listed[0].id).body, "Subject: old\r\n\r\nbody\r\n");
  EXPECT_EQ(store->remove(listed[0].id).status, HEDWIG_OK);
  EXPECT_EQ(store->remove(listed[1].id).status, HEDWIG_OK);
  EXPECT_TRUE(find("deferred", ".json").empty());
  EXPECT_FALSE(find("queued", "notes.json").empty()) << "what is not ours stays";
}

} // namespace

} // namespace hedwig::test
