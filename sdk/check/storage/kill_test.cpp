// SPDX-License-Identifier: Apache-2.0
// A process that loads the store is killed at random points; then everything it had acknowledged is asked for.
//
// What a message holds follows from its number and revision alone, so that the two processes need to exchange no more:
// the loading one writes 17 bytes for each request before it is submitted and after it was completed.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <deque>
#include <map>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sdk/check/process.hpp"
#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/store.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

// ---- what message `number` is to be ----

std::string body_at(std::uint64_t number) {
  return body_of(number, number % 5 == 0 ? 100'000 + mixed(number) % 300'000 : mixed(number) % 7000);
}
std::uint64_t last_revision(std::uint64_t number) { return 1 + mixed(number) % 3; }
bool is_removed(std::uint64_t number) { return number % 2 == 0; }
bool rides(std::uint64_t number) { return number % 4 == 0; }
bool is_staged(std::uint64_t number) { return number % 7 == 0; }
std::string metadata_at(std::uint64_t number, std::uint64_t revision) {
  return fmt::format("{}/{}", number, revision % 2 != 0 ? revision : revision - 1); // even ones do not replace it
}
std::uint32_t state_at(std::uint64_t number, std::uint64_t revision) {
  return static_cast<std::uint32_t>(1 + mixed(number * 16 + revision) % (HEDWIG_STATE_COUNT - 1));
}
hedwig_time_ns due_at(std::uint64_t number, std::uint64_t revision) {
  return static_cast<hedwig_time_ns>(1 + mixed(number * 32 + revision) % 1000);
}

// ---- the loading process ----

struct note {
  char what; ///< 'w' wanted, 'a' acknowledged; revision 0: the removal
  std::uint64_t number;
  std::uint64_t revision;
};
constexpr std::size_t note_size = 17;

void write_note(const note& one) {
  char raw[note_size];
  raw[0] = one.what;
  std::memcpy(raw + 1, &one.number, 8);
  std::memcpy(raw + 9, &one.revision, 8);
  if (::write(STDOUT_FILENO, raw, sizeof raw) != sizeof raw)
    ::_exit(3);
}

class loader {
public:
  explicit loader(context& run) : store_{open_store(run)} {}

  [[noreturn]] void go(std::uint64_t first) {
    // Few at once make small groups, many make the store always busy.
    const std::size_t at_once = std::size_t{1} << (2 * (mixed(first) % 4));
    for (auto number = first;; ++number) {
      begin(number, 1, make_put(number));
      while (waiting_.size() >= at_once) {
        if (store_.wait(waiting_.front().op).status != HEDWIG_OK)
          ::_exit(4);
        report_completed();
      }
    }
  }

private:
  struct in_flight {
    std::uint64_t number;
    std::uint64_t revision;
    op_pointer op;
  };

  /// Whatever is acknowledged by now is told at once: what is not told is not judged.
  void report_completed() {
    std::vector<in_flight> done;
    {
      std::lock_guard guard{store_.services().mutex()};
      std::erase_if(waiting_, [&done](const in_flight& one) {
        bool completed = one.op->completions > 0;
        if (completed)
          done.push_back(one);
        return completed;
      });
    }
    for (auto& one : done) {
      if (one.op->got.status != HEDWIG_OK)
        ::_exit(4);
      write_note({'a', one.number, one.revision});
    }
    for (auto& one : done)
      follow(one);
  }

  void begin(std::uint64_t number, std::uint64_t revision, const op_pointer& op) {
    write_note({'w', number, revision});
    waiting_.push_back({number, revision, op});
    store_.submit({op});
  }

  op_pointer make_put(std::uint64_t number) {
    auto body = body_at(number);
    std::uint64_t stage = 0;
    if (is_staged(number)) {
      stage = store_.run(store_.make_stage(body.size())).stage;
      store_.run(store_.make_append(stage, std::string_view{body}.substr(0, body.size() / 2)));
      body.erase(0, body.size() / 2);
    }
    return store_.make_put(id_of(number), body, metadata_at(number, 1), state_at(number, 1), due_at(number, 1), stage);
  }

  void follow(const in_flight& done) {
    auto number = done.number, revision = done.revision;
    if (revision == 0 || (revision == last_revision(number) && !is_removed(number)))
      return;
    auto id = id_of(number);
    if (revision == last_revision(number)) {
      auto op = store_.make_message(HEDWIG_STORAGE_REMOVE, id, done.op->got.hint);
      op->request.message.flags = rides(number) ? HEDWIG_REMOVE_RIDE : 0;
      return begin(number, 0, op);
    }
    auto next = revision + 1;
    auto state = state_at(number, next);
    auto due = due_at(number, next);
    begin(number, next,
          next % 2 != 0 ? store_.make_move_with(id, revision, state, due, metadata_at(number, next), done.op->got.hint)
                        : store_.make_move(id, revision, state, due, done.op->got.hint));
  }

  store& store_;
  std::deque<in_flight> waiting_;
};

// ---- the judging process ----

/// What is known of one message.
struct knowledge {
  std::uint64_t wanted = 0; ///< the highest revision asked for
  std::uint64_t acknowledged = 0;
  bool removal_wanted = false;
  bool removal_acknowledged = false;
};

class judge {
public:
  explicit judge(context& run) : run_{run}, random_{run.seed()}, words_{words_for(run)} {}

  void go(int rounds) {
    for (int round = 1; round <= rounds; ++round) {
      load_and_kill(random_.chance(10) ? 0 : 1 + random_.below(run_.pick(400u, 1500u, 3000u)));
      auto& store = open_store(run_);
      try {
        check(store);
      } catch (const broken& e) {
        throw broken{e.which(), fmt::format("after kill {} of {}: {}", round, rounds, e.what())};
      }
      store.close();
    }
    expect(total_ > 0, rules::acknowledged_survives, "nothing was acknowledged in {} rounds", rounds);
    fmt::print(stderr, "{} kills, {} requests acknowledged\n", rounds, total_);
  }

private:
  void load_and_kill(std::uint64_t notes) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw unusable{fmt::format("pipe: {}", std::strerror(errno))};
    auto words = words_;
    words.insert(words.end(), {"--role", "storage.load", "--role-number", std::to_string(highest_ + 1000)});
    auto child = start({words, ends[1]});
    ::close(ends[1]);
    bool killed = notes == 0 && kill_while_starting(child, ends[0]);
    std::string raw;
    char some[8192];
    for (ssize_t got; (got = ::read(ends[0], some, sizeof some)) > 0;) {
      raw.append(some, static_cast<std::size_t>(got));
      if (!killed && raw.size() >= notes * note_size)
        killed = ::kill(child, SIGKILL) == 0;
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    expect(killed && WIFSIGNALED(status), rules::acknowledged_survives, "the process that loads the store {}",
           end_of(status));
    for (std::size_t at = 0; at + note_size <= raw.size(); at += note_size)
      take(raw.data() + at);
  }

  bool kill_while_starting(pid_t child, int end) {
    pollfd any{end, POLLIN, 0};
    ::poll(&any, 1, static_cast<int>(random_.below(60)));
    return ::kill(child, SIGKILL) == 0;
  }

  void take(const char* raw) {
    std::uint64_t number, revision;
    std::memcpy(&number, raw + 1, 8);
    std::memcpy(&revision, raw + 9, 8);
    highest_ = std::max(highest_, number);
    auto& one = known_[number];
    touched_.push_back(number);
    bool acknowledged = raw[0] == 'a';
    total_ += acknowledged;
    if (revision == 0)
      (acknowledged ? one.removal_acknowledged : one.removal_wanted) = true;
    else
      (acknowledged ? one.acknowledged : one.wanted) = revision;
  }

  void check(store& from) {
    std::map<std::uint64_t, entry_copy> listed;
    for (auto& one : from.list_all(every_state, 500)) {
      auto number = number_of(one.id);
      expect(known_.contains(number), rules::stages_left_behind, "message {} is listed and was never put", number);
      expect(listed.emplace(number, one).second, rules::list_once, "message {} is listed twice", number);
    }
    for (auto& [number, one] : known_)
      check_one(number, one, listed);
    std::ranges::sort(touched_);
    auto twice = std::ranges::unique(touched_);
    touched_.erase(twice.begin(), twice.end());
    for (auto number : touched_)
      if (auto at = listed.find(number); at != listed.end())
        check_body(from, number, at->second.hint);
    touched_.clear();
    std::uint64_t counted = 0;
    for (auto& state : from.stats().states)
      counted += state.messages;
    expect(counted == listed.size(), rules::stats_by_state, "STATS counts {} messages, {} are listed", counted,
           listed.size());
  }

  void check_one(std::uint64_t number, knowledge& one, const std::map<std::uint64_t, entry_copy>& listed) {
    auto at = listed.find(number);
    if (at == listed.end()) {
      expect(one.removal_wanted || one.acknowledged == 0, rules::acknowledged_survives,
             "message {} was acknowledged with revision {} and is gone", number, one.acknowledged);
      one = {0, 0, true, true};
      return;
    }
    // Losing a REMOVE that rides repeats a delivery, no more.
    expect(!one.removal_acknowledged || (rides(number) && one.wanted != 0), rules::acknowledged_survives,
           "message {} was removed and is there again", number);
    auto& got = at->second;
    expect(got.revision >= one.acknowledged && got.revision <= one.wanted, rules::acknowledged_survives,
           "message {} has revision {}; {} was acknowledged, {} the last asked for", number, got.revision,
           one.acknowledged, one.wanted);
    expect(got.state == state_at(number, got.revision) && got.due == due_at(number, got.revision), rules::move_together,
           "message {} of revision {} has state {} and due {} instead of {} and {}", number, got.revision, got.state,
           got.due, state_at(number, got.revision), due_at(number, got.revision));
    expect(got.metadata == metadata_at(number, got.revision), rules::move_together,
           "message {} of revision {} has the metadata \"{}\"", number, got.revision, got.metadata);
    one = {got.revision, got.revision, false, false};
  }

  void check_body(store& from, std::uint64_t number, const hedwig_storage_hint& hint) {
    auto read = from.read_all(id_of(number), hint);
    expect_status(read, HEDWIG_OK, rules::acknowledged_survives, fmt::format("READ of message {}", number));
    auto body = body_at(number);
    expect(read.body == body, rules::acknowledged_survives, "body of message {}: {}", number,
           difference(read.body, body));
  }

  context& run_;
  dice random_;
  std::vector<std::string> words_;
  std::map<std::uint64_t, knowledge> known_;
  std::vector<std::uint64_t> touched_;
  std::uint64_t highest_ = 0;
  std::uint64_t total_ = 0;
};

} // namespace

int load_until_killed(context& run, std::uint64_t first) {
  loader all{run};
  all.go(first);
}

void survives_kills(context& run) {
  if (run.settings().is_volatile())
    throw skipped{"the settings say that the store forgets when it stops (check.volatile)"};
  judge all{run};
  all.go(run.pick(5, 20, 200));
}

} // namespace hedwig::check::storage
