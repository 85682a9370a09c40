// SPDX-License-Identifier: Apache-2.0
// The refusals are made from a good plugin by changing bytes or modes.
#include <hedwig/filter.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/plugin/loader.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path examples() { return fs::path{environment("HEDWIG_BUILD_DIR")} / "lib/hedwig/examples"; }

class loader : public ::testing::Test {
protected:
  loader() {
    std::string pattern = ::testing::TempDir() + "hedwig-loader-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    host_options options;
    options.threads = false;
    options.log = log_;
    services_ = std::make_shared<host>(std::move(options));
  }
  ~loader() override { fs::remove_all(directory_); }

  /// The C example under another name, with `change` made to its bytes.
  fs::path plugin(const std::string& name, const std::function<void(std::string&)>& change = {}) {
    std::ifstream in{examples() / "filter-invalid-domain.so", std::ios::binary};
    std::string bytes{std::istreambuf_iterator<char>{in}, {}};
    EXPECT_FALSE(bytes.empty()) << "the examples are not built";
    if (change)
      change(bytes);
    auto file = directory_ / (name + ".so");
    std::ofstream{file, std::ios::binary} << bytes;
    chmod(file.c_str(), 0644);
    return file;
  }

  static void replace_all(std::string& bytes, std::string_view from, std::string_view to) {
    for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + 1))
      bytes.replace(at, to.size(), to);
  }

  std::string refusal(const std::string& name) {
    catalogue all{services_, {directory_.string()}};
    auto loaded = all.load(name);
    return loaded ? "loaded" : loaded.error().text();
  }

  fs::path directory_;
  std::shared_ptr<recorded_log> log_ = std::make_shared<recorded_log>();
  std::shared_ptr<host> services_;
};

constexpr std::string_view note_name{"Hedwig\0\0", 8};

TEST_F(loader, reads_the_note_without_running_code) {
  auto note = read_note(plugin("filter-a"));
  ASSERT_TRUE(note) << note.error().text();
  EXPECT_EQ(note->id, "org.hedwig.example-invalid-domain");
  EXPECT_EQ(note->version, "1.0.0");
  EXPECT_EQ(note->abi_major, HEDWIG_ABI_MAJOR);
}

TEST_F(loader, finds_a_provider_by_its_file_name) {
  plugin("filter-invalid-domain");
  catalogue all{services_, {"/nowhere", directory_.string()}};
  auto found = all.find(HEDWIG_FILTER, "invalid-domain");
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->label(), "filter.invalid-domain");
  EXPECT_EQ(all.providers().size(), 1U);
  EXPECT_TRUE(all.load("filter-invalid-domain.so"));
  EXPECT_EQ(all.providers().size(), 1U);
}

TEST_F(loader, does_not_keep_the_host_and_its_thread_alive) {
  plugin("filter-invalid-domain");
  auto services = std::make_shared<host>(host_options{});
  std::weak_ptr<host> watched = services;
  {
    catalogue all{std::move(services), {directory_.string()}};
    ASSERT_TRUE(all.find(HEDWIG_FILTER, "invalid-domain"));
  }
  EXPECT_TRUE(watched.expired());
}

TEST_F(loader, names_what_is_there_when_a_provider_is_not) {
  plugin("filter-one");
  catalogue all{services_, {directory_.string()}};
  auto found = all.find(HEDWIG_FILTER, "two");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().status, HEDWIG_E_NOT_FOUND);
  EXPECT_THAT(found.error().message, HasSubstr("(there are: one)"));
  EXPECT_THAT(found.error().message, HasSubstr("plugins.directories"));
}

TEST_F(loader, reports_a_provider_that_two_plugins_offer) {
  plugin("filter-a");
  plugin("filter-b");
  catalogue all{services_, {directory_.string()}};
  ASSERT_TRUE(all.load("filter-a"));
  auto second = all.load("filter-b");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().status, HEDWIG_E_EXISTS);
  EXPECT_THAT(second.error().message, HasSubstr("filter-a.so offers already"));
}

TEST_F(loader, takes_names_and_no_paths) {
  EXPECT_THAT(refusal("../filter-a"), HasSubstr("write it without folder"));
  EXPECT_THAT(refusal("/etc/passwd"), HasSubstr("write it without folder"));
}

TEST_F(loader, refuses_a_shared_object_without_note) {
  plugin("filter-a", [](std::string& bytes) { replace_all(bytes, note_name, "Xedwig"); });
  EXPECT_THAT(refusal("filter-a"), HasSubstr("has no Hedwig note: build it with"));
}

TEST_F(loader, refuses_another_abi_before_running_code) {
  plugin("filter-a", [](std::string& bytes) { bytes[bytes.find(note_name) + 8] = 2; });
  EXPECT_THAT(refusal("filter-a"), HasSubstr("was built for plugin ABI 2, this Hedwig speaks 1: install"));
}

TEST_F(loader, refuses_a_plugin_that_needs_a_newer_host) {
  plugin("filter-a", [](std::string& bytes) { bytes[bytes.find(note_name) + 12] = 9; });
  EXPECT_THAT(refusal("filter-a"), HasSubstr("needs plugin ABI 1.9, this Hedwig speaks 1.0: install a newer Hedwig"));
}

TEST_F(loader, refuses_a_plugin_without_entry_symbol) {
  plugin("filter-a", [](std::string& bytes) { replace_all(bytes, HEDWIG_ENTRY_SYMBOL, "hedwig_plugin_v9"); });
  EXPECT_THAT(refusal("filter-a"), HasSubstr("does not export hedwig_plugin_v1"));
}

TEST_F(loader, refuses_garbage_and_cut_files) {
  std::ofstream{directory_ / "filter-a.so"} << "#!/bin/sh\necho hello\n";
  EXPECT_THAT(refusal("filter-a"), HasSubstr("is not a shared object for this machine"));
  plugin("filter-b", [](std::string& bytes) { bytes.resize(100); });
  EXPECT_THAT(refusal("filter-b"), HasSubstr("is cut short"));
  std::ofstream{directory_ / "filter-c.so"} << "";
  EXPECT_THAT(refusal("filter-c"), HasSubstr("is not a shared object"));
}

TEST_F(loader, survives_every_cut_and_many_changed_bytes) {
  std::string bytes;
  auto file = plugin("filter-a", [&](std::string& original) { bytes = original; });
  auto note_at = bytes.find(note_name);
  ASSERT_NE(note_at, std::string::npos);
  for (std::size_t at = 0; at < 64 + 56 * 12; ++at) { // ELF header and program headers
    auto changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0xFF);
    std::ofstream{file, std::ios::binary | std::ios::trunc} << changed;
    static_cast<void>(read_note(file));
  }
  for (std::size_t at = note_at - 12; at < note_at; ++at) { // sizes and type of the note
    auto changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0xFF);
    std::ofstream{file, std::ios::binary | std::ios::trunc} << changed;
    EXPECT_FALSE(read_note(file)) << at;
  }
}

TEST_F(loader, refuses_what_others_may_write) {
  chmod(plugin("filter-a").c_str(), 0664);
  EXPECT_THAT(refusal("filter-a"), HasSubstr("may be written by its group: chmod g-w"));
  chmod(plugin("filter-b").c_str(), 0646);
  EXPECT_THAT(refusal("filter-b"), HasSubstr("may be written by everyone: chmod o-w"));
  plugin("filter-c");
  chmod(directory_.c_str(), 0775);
  EXPECT_THAT(refusal("filter-c"), HasSubstr("may be written by its group: chmod g-w '" + directory_.string()));
}

TEST_F(loader, may_be_told_to_trust_a_group) {
  auto file = plugin("filter-a");
  chmod(file.c_str(), 0664);
  EXPECT_TRUE(check_trust(file, {.owners = {}, .allow_group_writable = true}));
  chmod(file.c_str(), 0666);
  EXPECT_FALSE(check_trust(file, {.owners = {}, .allow_group_writable = true}));
}

TEST_F(loader, refuses_files_of_strangers) {
  auto file = plugin("filter-a");
  if (chown(file.c_str(), 12345, 12345) != 0)
    GTEST_SKIP() << "only root can give files away";
  EXPECT_THAT(refusal("filter-a"), HasSubstr("belongs to user 12345"));
  EXPECT_TRUE(check_trust(file, {.owners = {12345}, .allow_group_writable = false}));
}

TEST_F(loader, refuses_a_sticky_folder_that_everybody_may_add_to) {
  plugin("filter-a");
  chmod(directory_.c_str(), 01777);
  EXPECT_THAT(refusal("filter-a"), HasSubstr("may be written by everyone: chmod o-w '" + directory_.string()));
}

TEST_F(loader, refuses_links_that_lead_out_of_the_folders) {
  auto elsewhere = directory_ / "elsewhere";
  fs::create_directory(elsewhere);
  fs::create_directory(directory_ / "folder");
  plugin("elsewhere/filter-a");
  fs::create_symlink(elsewhere / "filter-a.so", directory_ / "folder" / "filter-a.so");
  catalogue narrow{services_, {(directory_ / "folder").string()}};
  auto loaded = narrow.load("filter-a");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().text(), HasSubstr("is in no plugin folder: add " + elsewhere.string()));
  catalogue both{services_, {(directory_ / "folder").string(), elsewhere.string()}};
  EXPECT_TRUE(both.load("filter-a"));
}

TEST_F(loader, looks_at_the_folder_that_a_link_stands_in) {
  auto folder = directory_ / "folder";
  fs::create_directory(folder);
  plugin("filter-a");
  fs::create_symlink(directory_ / "filter-a.so", folder / "filter-b.so");
  chmod(folder.c_str(), 0777);
  catalogue all{services_, {folder.string(), directory_.string()}};
  auto loaded = all.load("filter-b");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().text(), HasSubstr("may be written by everyone: chmod o-w '" + folder.string()));
}

TEST_F(loader, loads_a_pinned_file_from_the_descriptor_that_was_hashed) {
  auto file = plugin("filter-invalid-domain");
  auto sum = sha256_of(file);
  ASSERT_TRUE(sum);
  catalogue all{services_, {directory_.string()}};
  auto wrong = all.find(HEDWIG_FILTER, "invalid-domain", std::string(64, '0'));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().status, HEDWIG_E_DENIED);
  EXPECT_THAT(wrong.error().message, HasSubstr(*sum));
  EXPECT_TRUE(all.find(HEDWIG_FILTER, "invalid-domain", *sum));
  EXPECT_FALSE(all.find(HEDWIG_FILTER, "invalid-domain", std::string(64, '0'))); // of what is loaded already, too
}

TEST_F(loader, keeps_no_descriptor_of_a_file_that_it_refuses) {
  plugin("filter-invalid-domain");
  catalogue all{services_, {directory_.string()}};
  auto descriptors = [] { return std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{}); };
  auto before = descriptors();
  for (int tries = 0; tries < 3; ++tries) // one a reload
    EXPECT_FALSE(all.find(HEDWIG_FILTER, "invalid-domain", std::string(64, '0')));
  EXPECT_EQ(descriptors(), before);
}

TEST_F(loader, lists_files_without_running_them) {
  plugin("filter-a");
  std::ofstream{directory_ / "broken.so"} << "x";
  catalogue all{services_, {directory_.string()}};
  auto files = all.scan();
  ASSERT_EQ(files.size(), 2U);
  EXPECT_FALSE(files[0].note);
  EXPECT_TRUE(files[1].note);
  EXPECT_TRUE(all.providers().empty());
}

TEST_F(loader, refuses_incomplete_providers) {
  catalogue all{services_, {}};
  auto provider = puppet_provider(HEDWIG_FILTER, "table");
  const hedwig_provider* list[] = {&provider};
  hedwig_plugin plugin{sizeof plugin, HEDWIG_ABI_MAJOR, 0, 0, 0, 1, list, "id", "1", "", "", ""};
  EXPECT_TRUE(all.add(&plugin));
  EXPECT_EQ(all.add(&plugin).error().status, HEDWIG_E_EXISTS);
  provider.name = "other";
  provider.stop = nullptr;
  EXPECT_THAT(all.add(&plugin).error().message, HasSubstr("lacks a function"));
  provider.stop = puppet::at_once;
  provider.name = "No Name";
  EXPECT_THAT(all.add(&plugin).error().message, HasSubstr("is not lower-case"));
  plugin.abi_major = 2;
  EXPECT_THAT(all.add(&plugin).error().message, HasSubstr("says ABI 2"));
}

} // namespace
} // namespace hedwig::plugin::testing
