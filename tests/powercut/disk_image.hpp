// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/powercut/journal.hpp"

namespace hedwig::test {

/// A folder as plain values: path below the root to content; nothing for a folder.
using disk_tree = std::map<std::string, std::optional<std::string>>;
void write_tree(const disk_tree& tree, const std::string& folder);

/// What the disk makes of all that no sync covers. A covered operation is always there.
struct disk_choice {
  enum class kind {
    nothing,   ///< none of it
    all,       ///< all of it
    prefix,    ///< in order up to some operation, which is torn
    scattered, ///< each sector, each name and each size by its own luck
  };
  kind what = kind::nothing;
  std::uint32_t sector = 512; ///< what is written whole or not at all
  std::uint64_t seed = 0;
};

/// A run of a program, as the shim wrote it down, and what a disk would hold if the power had gone at some point of it.
///
/// The rules: a write, a truncation or an allocation is certain when an fsync or fdatasync of that file, or a syncfs,
/// began after it and has ended well. A name made, changed or removed is certain when an fsync of its folder, or a
/// syncfs, did. What stood uncovered when a sync of it failed stays uncertain for good, whatever later syncs say: the
/// kernel may have called those pages clean. Names are independent of one another; a rename may show half.
class recorded_run {
public:
  /// `root` as given to the shim; `base` is what stood there, safely, before the run. Throws std::runtime_error for a
  /// journal that cannot be followed.
  recorded_run(const std::string& journal, std::string root, disk_tree base = {});

  /// Crash points: the power goes before operation 0, 1, ... size().
  std::size_t size() const noexcept { return length_; }
  struct mark {
    std::size_t at;
    std::uint64_t what;
    std::string data;
  };
  const std::vector<mark>& marks() const noexcept { return marks_; }
  /// What the program did that the journal cannot vouch for.
  const std::vector<std::string>& forbidden() const noexcept { return forbidden_; }

  disk_tree crash(std::size_t point, const disk_choice& choice) const;

private:
  static constexpr std::size_t never = SIZE_MAX;
  struct sync {
    std::size_t begin = 0;
    std::size_t end = never;
    bool failed = false;
  };
  struct data_operation {
    std::size_t at = 0;
    journal_record what;
    std::string_view data{};
  };
  struct file {
    bool folder = false;
    std::string base{};
    std::vector<data_operation> operations{};
    std::vector<sync> syncs{};
  };
  struct name_change {
    std::size_t at = 0;
    int file = -1; ///< -1: the name is gone
  };
  struct name {
    std::string parent{};
    std::vector<name_change> changes{};
  };
  class view;
  friend class view;

  void replay();
  void take(std::size_t at, const journal_record& what, std::string_view text, std::string_view data);
  void take_open(std::size_t at, const journal_record& what, const std::string& path);
  void end_sync(std::size_t at, const journal_record& what);
  std::string below(std::string_view path) const;
  int new_file(bool folder, std::string base = {});
  void set_name(std::size_t at, const std::string& path, int number);
  int find(const std::string& path) const;
  /// The folder a name stands in, as it is at `point`.
  int folder_of(const name& one, std::size_t point) const;

  std::string text_;
  std::string root_;
  std::size_t length_ = 0;
  std::vector<file> files_;
  std::map<std::string, name> names_;
  std::map<std::string, int> now_; ///< while replaying
  std::map<std::uint64_t, int> handles_;
  std::map<std::uint64_t, std::pair<int, std::size_t>> open_syncs_; ///< number to file (-1: all) and place
  std::vector<sync> whole_syncs_;
  std::vector<mark> marks_;
  std::vector<std::string> forbidden_;
};

} // namespace hedwig::test
