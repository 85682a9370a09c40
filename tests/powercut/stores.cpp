// SPDX-License-Identifier: Apache-2.0
#include "tests/powercut/stores.hpp"

#include <hedwig/plugin.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>

#include <dlfcn.h>
#include <unistd.h>

namespace hedwig::test {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t probe_number = 900'000'000;
constexpr std::size_t texts_max = 20;

} // namespace

void read_options(int count, char** arguments, const option_table& known) {
  for (int i = 1; i < count; ++i) {
    std::string name = arguments[i];
    if (auto flag = known.flags.find(name); flag != known.flags.end()) {
      *flag->second = true;
      continue;
    }
    std::string value = i + 1 < count ? arguments[++i] : "";
    if (auto number = known.numbers.find(name); number != known.numbers.end()) {
      *number->second = std::strtoull(value.c_str(), nullptr, 10);
    } else if (auto text = known.texts.find(name); text != known.texts.end()) {
      *text->second = value;
    } else if (name == "--store") {
      known.stores->push_back(value);
    } else {
      std::fprintf(stderr, "unknown option %s\n", name.c_str());
      std::exit(2);
    }
  }
  if (known.stores->empty())
    *known.stores = built_stores();
}

const disk_api& need_shim(char** arguments) {
  using getter = const disk_api* (*)();
  if (auto* get = reinterpret_cast<getter>(::dlsym(RTLD_DEFAULT, "hedwig_disk")))
    return *get();
  if (std::getenv("LD_PRELOAD") != nullptr) {
    std::fprintf(stderr, "the shim cannot be loaded: %s\n", HEDWIG_SHIM);
    std::exit(2);
  }
  ::setenv("LD_PRELOAD", HEDWIG_SHIM, 1);
  ::execv("/proc/self/exe", arguments);
  std::perror("starting anew");
  std::exit(2);
}

scratch_folder::scratch_folder() {
  auto top = fs::path{"/dev/shm"};
  if (::access(top.c_str(), W_OK) != 0)
    top = fs::canonical(fs::temp_directory_path());
  std::string pattern = top / "hedwig-powercut-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<std::string> built_stores() {
  std::vector<std::string> kinds{"rocksdb", "fs", "fs-fsync"};
  if (fs::exists(plugin_file("sql_sqlite")))
    kinds.emplace_back("sql_sqlite");
  return kinds;
}

std::unique_ptr<store_client> make_store(const std::string& kind, const std::string& folder) {
  auto name = kind.substr(0, kind.find('-'));
  auto settings = settings_for(name, folder);
  if (name == "fs") {
    settings.texts["sync"] = kind == "fs-fsync" ? "fsync" : "syncfs";
    settings.numbers["free_files"] = 8;
  }
  if (name == "rocksdb")
    settings.numbers["memtable_size"] = 1 << 20; // so that it is written to tables while the load runs
  return std::make_unique<store_client>(plugin_file(name), std::move(settings));
}

std::size_t size_of(std::uint64_t number) {
  constexpr std::size_t sizes[] = {300, 0, 5000, 1, 12000, 511, 4096, 90000, 800, 3000, 40, 270000, 7000};
  return sizes[number % std::size(sizes)];
}

std::string content_of(std::uint64_t number) { return body_of(number, size_of(number)); }

std::string metadata_of(std::uint64_t number, bool moved) {
  return std::to_string(number) + (moved ? " moved" : " put") + std::string(number % 200, '.');
}

void promises::take(std::uint64_t what, std::uint64_t number) {
  auto& set = what == mark_put             ? put
              : what == mark_move_asked    ? move_asked
              : what == mark_moved         ? moved
              : what == mark_removal_asked ? removal_asked
                                           : removed;
  set.insert(number);
}

promises promises::before(const recorded_run& run, std::size_t point) {
  promises all;
  for (auto& one : run.marks()) {
    if (one.at >= point)
      break;
    std::uint64_t number = 0;
    std::memcpy(&number, one.data.data(), sizeof number);
    all.take(one.what, number);
  }
  return all;
}

// ---- the load ----

namespace {

class load {
public:
  load(store_client& store, const disk_api& disk, const load_settings& settings)
    : store_{store}, disk_{disk}, settings_{settings}, random_{settings.seed} {}

  load_result run() {
    for (std::size_t i = 0; i < settings_.messages && !stopped_; ++i) {
      begin(settings_.first + i);
      while (waiting_.size() >= 1 + random_() % settings_.in_flight)
        finish_one();
    }
    while (!waiting_.empty())
      finish_one();
    return std::move(result_);
  }

private:
  struct in_flight {
    std::uint64_t what;
    std::uint64_t number;
    op_pointer op;
  };

  void mark(std::uint64_t what, std::uint64_t number) {
    disk_.mark(what, &number, sizeof number);
    result_.said.take(what, number);
  }

  bool failed(const answer& got) {
    if (got.status == HEDWIG_OK)
      return false;
    if (result_.refused++ == 0)
      result_.first_error = got.error;
    stopped_ = !settings_.through_failures;
    return true;
  }

  void submit(std::uint64_t what, std::uint64_t number, op_pointer op) {
    store_.submit({op});
    waiting_.push_back({what, number, std::move(op)});
  }

  void begin(std::uint64_t number) {
    auto content = content_of(number);
    auto put = store_.make_put(id_of(number), content, metadata_of(number, false), HEDWIG_STATE_QUEUED,
                               static_cast<hedwig_time_ns>(1000 + number % 7));
    if (settings_.staged && number % 4 == 0 && !stage(put, content))
      return;
    submit(promises::mark_put, number, put);
  }

  /// The body in two parts beforehand; the PUT keeps its last slice.
  bool stage(const op_pointer& put, const std::string& content) {
    auto stage = store_.run(store_.make_append(HEDWIG_STORAGE_STAGE, 0));
    if (failed(stage))
      return false;
    auto half = content.size() / 2, last = content.size() / 7;
    for (auto part : {content.substr(0, half), content.substr(half, content.size() - half - last)})
      if (failed(store_.run(store_.make_append(HEDWIG_STORAGE_APPEND, stage.stage, part)))) {
        store_.run(store_.make_append(HEDWIG_STORAGE_DISCARD, stage.stage));
        return false;
      }
    auto replaced = store_.make_put(id_of(0), content.substr(content.size() - last), "");
    std::swap(put->slices, replaced->slices);
    put->request.put.slices = put->slices.data();
    put->request.put.slice_count = put->slices.size();
    put->request.put.stage = stage.stage;
    return true;
  }

  void finish_one() {
    auto one = waiting_.front();
    waiting_.pop_front();
    auto got = store_.wait(one.op);
    if (failed(got)) {
      if (one.what == promises::mark_put)
        result_.refused_puts.insert(one.number);
      return;
    }
    mark(one.what, one.number);
    auto fate = (one.number + settings_.seed) % 3;
    if (one.what == promises::mark_put && fate == 1)
      move(one.number);
    else if (fate == 2 && one.what != promises::mark_removed)
      remove(one.number, got.hint);
    else if (one.what == promises::mark_moved && one.number % 2 == 0)
      remove(one.number, got.hint);
  }

  void move(std::uint64_t number) {
    mark(promises::mark_move_asked, number);
    auto move =
        store_.make_move(id_of(number), 1, HEDWIG_STATE_DEFERRED, static_cast<hedwig_time_ns>(2000 + number % 7));
    if (number % 5 != 0) {
      move->metadata = metadata_of(number, true);
      move->request.move.flags = HEDWIG_MOVE_METADATA;
      move->request.move.metadata = sdk::bytes(move->metadata);
    }
    submit(promises::mark_moved, number, move);
  }

  void remove(std::uint64_t number, const hedwig_storage_hint& hint) {
    mark(promises::mark_removal_asked, number);
    auto remove = store_.make_message(HEDWIG_STORAGE_REMOVE, id_of(number), hint);
    submit(promises::mark_removed, number, remove);
  }

  store_client& store_;
  const disk_api& disk_;
  load_settings settings_;
  std::mt19937_64 random_;
  std::deque<in_flight> waiting_;
  load_result result_;
  bool stopped_ = false;
};

// ---- the check ----

class checker {
public:
  checker(store_client& store, const promises& said, std::string where, verdicts& found)
    : store_{store}, said_{said}, where_{std::move(where)}, found_{found} {}

  void run() {
    for (auto& one : store_.list_all(every_state))
      check(one);
    for (auto number : said_.put) {
      if (said_.removal_asked.contains(number))
        continue;
      ++found_.owed;
      if (!seen_.contains(number))
        found_.note(found_.lost, where_, std::to_string(number) + " is lost");
    }
    check_counts();
  }

private:
  void check(const entry_copy& one) {
    ++listed_;
    std::uint64_t number = 0;
    std::from_chars(one.metadata.data(), one.metadata.data() + one.metadata.size(), number);
    if (std::memcmp(one.id.bytes, id_of(number).bytes, sizeof one.id.bytes) != 0)
      return found_.note(found_.corrupted, where_, "a message has metadata of another: " + one.metadata);
    if (number >= probe_number) // left by an earlier look
      return;
    if (!seen_.insert(number).second)
      found_.note(found_.broken, where_, std::to_string(number) + " is listed twice");
    auto name = std::to_string(number);
    if (said_.removed.contains(number))
      found_.note(found_.returned, where_, name + " was removed and is there");
    check_place(one, number);
    auto body = store_.read_all(one.id, one.hint);
    if (body.status == HEDWIG_OK && body.body == content_of(number) && one.body_size == body.body.size())
      return;
    if (body.status == HEDWIG_E_CORRUPT && !said_.put.contains(number)) {
      ++found_.set_aside;
      return;
    }
    found_.note(found_.corrupted, where_, name + (body.status == HEDWIG_OK ? " has a wrong body" : ": " + body.error));
  }

  /// State, revision and metadata are those before the MOVE or those after it.
  void check_place(const entry_copy& one, std::uint64_t number) {
    bool moved = one.state == HEDWIG_STATE_DEFERRED;
    auto name = std::to_string(number);
    if (!moved && said_.moved.contains(number))
      found_.note(found_.returned, where_, name + " was moved and is not");
    if (moved && !said_.move_asked.contains(number))
      found_.note(found_.corrupted, where_, name + " was never moved and is");
    bool fits = one.revision == (moved ? 2 : 1) &&
                one.due == static_cast<hedwig_time_ns>((moved ? 2000 : 1000) + number % 7) &&
                one.metadata == metadata_of(number, moved && number % 5 != 0);
    if (!fits)
      found_.note(found_.corrupted, where_, name + " has a record that fits no moment of it");
  }

  /// What is counted is what is listed, and what is listed can be claimed.
  void check_counts() {
    std::uint64_t counted = 0;
    for (auto& state : store_.stats().states)
      counted += state.messages;
    if (counted != listed_)
      found_.note(found_.broken, where_, std::to_string(counted) + " counted, " + std::to_string(listed_) + " listed");
    std::uint64_t claimed = 0;
    std::string cursor;
    do {
      auto claim = store_.make_list(HEDWIG_STORAGE_CLAIM, every_state, 100, cursor, 0);
      claim->request.list.due_before = store_.wall();
      claim->request.list.lease_until = store_.wall() + 3600'000'000'000;
      auto got = store_.run(claim);
      claimed += got.entries.size();
      cursor = got.cursor;
    } while (!cursor.empty());
    if (claimed != listed_)
      found_.note(found_.broken, where_, std::to_string(claimed) + " claimed, " + std::to_string(listed_) + " listed");
  }

  store_client& store_;
  const promises& said_;
  std::string where_;
  verdicts& found_;
  std::set<std::uint64_t> seen_;
  std::uint64_t listed_ = 0;
};

} // namespace

load_result run_load(store_client& store, const disk_api& disk, const load_settings& settings) {
  return load{store, disk, settings}.run();
}

void verdicts::note(std::uint64_t& counter, const std::string& where, std::string text) {
  ++counter;
  if (texts.size() < texts_max)
    texts.push_back(where + ": " + std::move(text));
}

void verdicts::add(const verdicts& more) {
  opened += more.opened;
  owed += more.owed;
  lost += more.lost;
  corrupted += more.corrupted;
  returned += more.returned;
  broken += more.broken;
  set_aside += more.set_aside;
  for (auto& text : more.texts)
    if (texts.size() < texts_max)
      texts.push_back(text);
}

void check_store(const std::string& kind, const std::string& folder, const promises& said, const std::string& where,
                 bool twice, verdicts& found) {
  for (std::uint64_t look = 0; look < (twice ? 2 : 1); ++look) {
    auto store = make_store(kind, folder);
    ++found.opened;
    if (store->start() != HEDWIG_OK) {
      found.note(found.broken, where, "the store does not open: " + store->error());
      found.lost += said.put.size() - said.removal_asked.size();
      return;
    }
    checker{*store, said, where, found}.run();
    static std::uint64_t probes = 0;
    auto number = probe_number + ++probes;
    auto probe = store->put(id_of(number), "one more", std::to_string(number));
    if (probe.status != HEDWIG_OK)
      found.note(found.broken, where, "takes no further message: " + probe.error);
  }
}

} // namespace hedwig::test
