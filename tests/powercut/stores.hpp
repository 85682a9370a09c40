// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/component/storage/store_client.hpp"
#include "tests/powercut/disk_image.hpp"
#include "tests/powercut/journal.hpp"

// What the power cut and the failing calls share: the shim, a load, and what the store owes after it.
namespace hedwig::test {

/// Reads "--flag" and "--name VALUE", and "--store KIND" any number of times, by default every kind that is built. At
/// an option that is not known the program ends with 2.
struct option_table {
  std::map<std::string, bool*> flags;
  std::map<std::string, std::size_t*> numbers; ///< what is no number is 0
  std::map<std::string, std::string*> texts;
  std::vector<std::string>* stores;
};
void read_options(int count, char** arguments, const option_table& known);

/// The shim's functions. Starts this program anew with the shim loaded when it is not: `arguments` are main's.
const disk_api& need_shim(char** arguments);

/// A folder of its own, in memory where the machine has such a place, without links in its path; gone with the object.
class scratch_folder {
public:
  scratch_folder();
  ~scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// The kinds of store whose plugin is there: "rocksdb", "fs" (one syncfs a group), "fs-fsync" (an fsync of each file),
/// "sql_sqlite".
std::vector<std::string> built_stores();
std::unique_ptr<store_client> make_store(const std::string& kind, const std::string& folder);

/// Messages by number: what is in one follows from it.
std::size_t size_of(std::uint64_t number);
std::string content_of(std::uint64_t number);
std::string metadata_of(std::uint64_t number, bool moved);

/// What has been said about the messages, by the store and to it.
struct promises {
  std::set<std::uint64_t> put;           ///< acknowledged
  std::set<std::uint64_t> move_asked;    ///< a MOVE to deferred was handed over
  std::set<std::uint64_t> moved;         ///< and acknowledged
  std::set<std::uint64_t> removal_asked; ///< a REMOVE was handed over
  std::set<std::uint64_t> removed;       ///< and acknowledged

  static constexpr std::uint64_t mark_put = 'P', mark_move_asked = 'm', mark_moved = 'M', mark_removal_asked = 'r',
                                 mark_removed = 'R';
  void take(std::uint64_t what, std::uint64_t number);
  /// What the marks before `point` say.
  static promises before(const recorded_run& run, std::size_t point);
};

struct load_settings {
  std::uint64_t first = 1;
  std::size_t messages = 20;
  std::size_t in_flight = 4;
  std::uint64_t seed = 1;
  bool staged = true;
  /// Goes on after a refusal; without it the load ends at the first.
  bool through_failures = false;
};
struct load_result {
  promises said;
  std::size_t refused = 0;
  std::set<std::uint64_t> refused_puts;
  std::string first_error;
};
/// Puts messages, moves a third of them to deferred and removes a third, some in flight at a time.
load_result run_load(store_client& store, const disk_api& disk, const load_settings& settings);

struct verdicts {
  std::uint64_t opened = 0;       ///< stores looked through
  std::uint64_t owed = 0;         ///< acknowledged messages asked for
  std::uint64_t lost = 0;         ///< acknowledged and not there
  std::uint64_t corrupted = 0;    ///< given out with wrong bytes, or acknowledged and not readable
  std::uint64_t returned = 0;     ///< removed, acknowledged, and there again; or a MOVE undone
  std::uint64_t broken = 0;       ///< not opened, counted wrongly, or unfit for further work
  std::uint64_t set_aside = 0;    ///< never acknowledged, and reported as damaged: allowed
  std::vector<std::string> texts; ///< the first few in words

  std::uint64_t faults() const { return lost + corrupted + returned + broken; }
  void note(std::uint64_t& counter, const std::string& where, std::string text);
  void add(const verdicts& more);
};

/// Opens the store in `folder` and compares it with what was said; then takes one more message, and closes. With
/// `twice` all of that again.
void check_store(const std::string& kind, const std::string& folder, const promises& said, const std::string& where,
                 bool twice, verdicts& found);

} // namespace hedwig::test
