// SPDX-License-Identifier: Apache-2.0
// The disk that forgets: what it must keep, what it may lose.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "tests/component/storage/temporary_folder.hpp"
#include "tests/powercut/disk_image.hpp"

namespace hedwig::test {

namespace {

using kind = disk_choice::kind;

/// Writes journals as the shim would.
class script {
public:
  std::uint64_t make(const std::string& path) { return open(path, journal_created); }
  std::uint64_t open(const std::string& path, std::uint32_t flags = 0) {
    add({journal_kind::open, flags, ++handles_}, root + "/" + path);
    return handles_;
  }
  std::uint64_t open_root() {
    add({journal_kind::open, journal_folder, ++handles_}, root);
    return handles_;
  }
  void write(std::uint64_t handle, std::uint64_t offset, const std::string& data) {
    add({journal_kind::write, 0, handle, offset}, "", data);
  }
  void truncate(std::uint64_t handle, std::uint64_t size) { add({journal_kind::truncate, 0, handle, size}); }
  void rename(const std::string& from, const std::string& to) {
    add({journal_kind::rename}, root + "/" + from, root + "/" + to);
  }
  void link(const std::string& from, const std::string& to) {
    add({journal_kind::link}, root + "/" + from, root + "/" + to);
  }
  void unlink(const std::string& path) { add({journal_kind::unlink}, root + "/" + path); }
  void make_folder(const std::string& path) { add({journal_kind::make}, root + "/" + path); }
  std::uint64_t begin_sync(std::uint64_t handle) {
    add({journal_kind::sync_begin, 0, handle, 0, ++syncs_});
    return syncs_;
  }
  void end_sync(std::uint64_t number, bool failed = false) {
    add({journal_kind::sync_end, failed ? journal_failed : 0, 0, 0, number});
  }
  void sync(std::uint64_t handle, bool failed = false) { end_sync(begin_sync(handle), failed); }
  void sync_all() { sync(0); }
  /// A file with content, all of it certain.
  std::uint64_t safe_file(const std::string& path, const std::string& content) {
    auto handle = make(path);
    write(handle, 0, content);
    sync_all();
    return handle;
  }

  recorded_run run(disk_tree base = {}) {
    auto path = folder_.path() + "/journal";
    std::ofstream{path, std::ios::binary} << text_;
    return recorded_run{path, root, std::move(base)};
  }

  const std::string root = "/the/root";

private:
  void add(journal_record one, const std::string& text = "", const std::string& data = "") {
    one.text_size = static_cast<std::uint32_t>(text.size());
    one.data_size = static_cast<std::uint32_t>(data.size());
    text_.append(reinterpret_cast<const char*>(&one), sizeof one);
    text_ += text + data;
  }

  temporary_folder folder_;
  std::string text_;
  std::uint64_t handles_ = 0, syncs_ = 0;
};

disk_tree end_of(const recorded_run& run, kind what = kind::nothing, std::uint64_t seed = 0,
                 std::uint32_t sector = 512) {
  return run.crash(run.size(), {what, sector, seed});
}

/// Every state a file may be found in over many seeds; "-" where it is not there.
std::set<std::string> states(const recorded_run& run, const std::string& path, kind what = kind::scattered) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    auto tree = end_of(run, what, seed);
    seen.insert(tree.contains(path) ? tree[path].value_or("folder") : "-");
  }
  return seen;
}

TEST(a_disk, keeps_a_file_only_when_it_and_its_folder_are_synced) {
  script disk;
  auto file = disk.make("a");
  disk.write(file, 0, "text");
  disk.sync(file);
  EXPECT_FALSE(end_of(disk.run()).contains("a")) << "its name is in no synced folder";
  EXPECT_EQ(end_of(disk.run(), kind::all).at("a"), "text");
  disk.sync(disk.open_root());
  EXPECT_EQ(end_of(disk.run()).at("a"), "text");
}

TEST(a_disk, keeps_a_name_without_the_content_that_nobody_synced) {
  script disk;
  auto file = disk.make("a");
  disk.write(file, 0, "text");
  disk.sync(disk.open_root());
  EXPECT_EQ(end_of(disk.run()).at("a"), "");
}

TEST(a_disk, covers_with_a_sync_what_came_before_it_began_and_only_once_it_has_ended) {
  script disk;
  auto file = disk.safe_file("a", "1");
  auto sync = disk.begin_sync(file);
  disk.write(file, 1, "2");
  disk.end_sync(sync);
  EXPECT_EQ(end_of(disk.run()).at("a"), "1");
  sync = disk.begin_sync(file);
  EXPECT_EQ(end_of(disk.run()).at("a"), "1");
  disk.end_sync(sync);
  EXPECT_EQ(end_of(disk.run()).at("a"), "12");
}

TEST(a_disk, never_covers_what_a_failed_sync_has_left_behind) {
  script disk;
  auto file = disk.safe_file("a", "1");
  disk.write(file, 1, "2");
  disk.sync(file, true);
  disk.sync(file);
  disk.sync_all();
  EXPECT_EQ(end_of(disk.run()).at("a"), "1") << "a second fsync proves nothing";
  disk.write(file, 1, "3");
  disk.sync(file);
  EXPECT_EQ(end_of(disk.run()).at("a"), "13");
}

TEST(a_disk, may_show_either_name_both_or_none_after_a_rename_until_each_folder_is_synced) {
  script disk;
  disk.make_folder("x");
  disk.make_folder("y");
  disk.safe_file("x/a", "text");
  disk.rename("x/a", "y/b");
  EXPECT_EQ(end_of(disk.run()).at("x/a"), "text");
  EXPECT_FALSE(end_of(disk.run()).contains("y/b"));
  std::set<std::pair<bool, bool>> seen;
  auto run = disk.run();
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    auto tree = end_of(run, kind::scattered, seed);
    seen.emplace(tree.contains("x/a"), tree.contains("y/b"));
  }
  EXPECT_EQ(seen.size(), 4u);
  disk.sync(disk.open("y", journal_folder));
  EXPECT_EQ(states(disk.run(), "y/b"), std::set<std::string>{"text"});
  EXPECT_EQ(states(disk.run(), "x/a"), (std::set<std::string>{"-", "text"}));
}

TEST(a_disk, replaces_a_file_by_rename_in_one_step) {
  script disk;
  disk.safe_file("a", "old");
  auto file = disk.make("new");
  disk.write(file, 0, "new");
  disk.sync(file);
  disk.rename("new", "a");
  EXPECT_EQ(states(disk.run(), "a"), (std::set<std::string>{"old", "new"}));
  disk.sync(disk.open_root());
  EXPECT_EQ(states(disk.run(), "a"), std::set<std::string>{"new"});
}

TEST(a_disk, brings_back_an_unlinked_file_until_its_folder_is_synced) {
  script disk;
  disk.safe_file("a", "text");
  disk.unlink("a");
  EXPECT_EQ(states(disk.run(), "a"), (std::set<std::string>{"-", "text"}));
  disk.sync(disk.open_root());
  EXPECT_EQ(states(disk.run(), "a"), std::set<std::string>{"-"});
}

TEST(a_disk, shows_through_an_old_name_what_was_written_through_a_new_one) {
  script disk;
  disk.make_folder("free");
  auto file = disk.safe_file("a", "first message");
  disk.rename("a", "free/1");
  disk.write(file, 0, "FIRST");
  disk.sync(file);
  EXPECT_EQ(end_of(disk.run()).at("a"), "FIRST message") << "the name came back, the content did not";
}

TEST(a_disk, loses_all_that_is_in_a_folder_whose_own_name_is_lost) {
  script disk;
  disk.make_folder("x");
  auto file = disk.make("x/a");
  disk.write(file, 0, "text");
  disk.sync(file);
  disk.sync(disk.open("x", journal_folder));
  EXPECT_TRUE(end_of(disk.run()).empty());
  disk.sync(disk.open_root());
  EXPECT_EQ(end_of(disk.run()).at("x/a"), "text");
}

TEST(a_disk, tears_a_write_at_its_sectors) {
  script disk;
  auto file = disk.safe_file("a", std::string(2048, '.'));
  disk.write(file, 100, std::string(1500, '#'));
  auto run = disk.run();
  for (auto& state : states(run, "a")) {
    ASSERT_EQ(state.size(), 2048u);
    EXPECT_EQ(state[99], '.');
    EXPECT_EQ(state[1600], '.');
    for (auto [from, to] : {std::pair{100, 512}, {512, 1024}, {1024, 1536}, {1536, 1600}})
      EXPECT_EQ(state.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)),
                std::string(static_cast<std::size_t>(to - from), state[static_cast<std::size_t>(from)]))
          << "a sector is whole";
  }
  EXPECT_EQ(states(run, "a").size(), 16u) << "each sector on its own";
  EXPECT_LE(states(run, "a", kind::prefix).size(), 5u) << "in order";
  EXPECT_GE(states(run, "a", kind::prefix).size(), 3u);
}

TEST(a_disk, may_have_a_size_without_its_blocks) {
  script disk;
  auto file = disk.safe_file("a", "");
  disk.write(file, 0, std::string(512, '#'));
  EXPECT_TRUE(states(disk.run(), "a").contains(std::string(512, '\0')));
}

TEST(a_disk, forgets_a_truncation_that_nobody_synced) {
  script disk;
  auto file = disk.safe_file("a", "0123456789");
  disk.truncate(file, 4);
  EXPECT_EQ(states(disk.run(), "a"), (std::set<std::string>{"0123456789", "0123"}));
  disk.open("a", journal_truncated);
  EXPECT_EQ(end_of(disk.run()).at("a"), "0123456789");
  disk.sync(file);
  EXPECT_EQ(end_of(disk.run()).at("a"), "");
}

TEST(a_disk, stands_on_what_was_there_before) {
  script disk;
  auto file = disk.open("x/a");
  disk.write(file, 0, "N");
  disk.unlink("x/b");
  auto run = disk.run({{"x", std::nullopt}, {"x/a", "old"}, {"x/b", "too"}});
  EXPECT_EQ(end_of(run).at("x/a"), "old");
  EXPECT_EQ(end_of(run).at("x/b"), "too");
  EXPECT_EQ(end_of(run, kind::all).at("x/a"), "Nld");
  EXPECT_FALSE(end_of(run, kind::all).contains("x/b"));
}

TEST(a_disk, is_the_same_for_the_same_seed) {
  script disk;
  for (int i = 0; i < 20; ++i)
    disk.write(disk.make("f" + std::to_string(i)), 0, std::string(3000, 'x'));
  auto run = disk.run();
  EXPECT_EQ(end_of(run, kind::scattered, 7), end_of(run, kind::scattered, 7));
  EXPECT_NE(end_of(run, kind::scattered, 7), end_of(run, kind::scattered, 8));
}

} // namespace

} // namespace hedwig::test
