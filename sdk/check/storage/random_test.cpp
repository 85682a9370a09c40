// SPDX-License-Identifier: Apache-2.0
// Random operations, as many at once as the contract allows, against the model.
#include <algorithm>

#include "sdk/check/storage/model.hpp"
#include "sdk/check/storage/rules.hpp"
#include "sdk/check/storage/tests.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::storage {

namespace {

using namespace std::chrono_literals;

class random_run {
public:
  random_run(context& run, std::uint64_t rounds)
    : store_{open_store(run)}, random_{run.seed()}, rounds_{rounds}, largest_{run.pick(60'000u, 400'000u, 3'000'000u)} {
  }

  void go() {
    for (round_ = 0; round_ < rounds_; ++round_) {
      try {
        concurrent_round();
        quiet_round();
      } catch (const broken& e) {
        throw broken{e.which(), fmt::format("in round {} of {}: {}", round_, rounds_, e.what())};
      }
    }
    store_.close();
  }

private:
  /// A request and what its answer will show to be right.
  struct step {
    op_pointer op;
    std::function<void(const answer&)> judge;
  };

  std::uint64_t known() { return model_.nth(random_.below(model_.size())); }
  hedwig_storage_hint hint_of(const model::message& one) {
    return random_.chance(80) ? one.hint : hedwig_storage_hint{};
  }
  hedwig_time_ns any_due() { return static_cast<hedwig_time_ns>(1 + random_.below(200) * 1000); }
  std::uint32_t any_state() { return static_cast<std::uint32_t>(1 + random_.below(HEDWIG_STATE_COUNT - 1)); }
  std::uint32_t any_states() {
    return random_.chance(50) ? every_state : static_cast<std::uint32_t>(random_.below(64));
  }
  std::string any_metadata() { return body_of(random_.roll(), random_.below(random_.chance(95) ? 300 : 70'000)); }
  std::size_t any_size() {
    auto kind = random_.below(100);
    return random_.below(kind < 10 ? 2 : kind < 80 ? 4000 : kind < 97 ? 40'000 : largest_);
  }
  /// Durations are odd half hours and time passes in whole hours: no lease ends while it is looked at.
  std::chrono::nanoseconds any_lease() { return random_.below(5) * 1h + 30min; }

  // ---- many requests at once, each for another message ----

  void concurrent_round() {
    std::vector<step> steps;
    std::set<std::uint64_t> taken;
    auto count = 1 + random_.below(random_.chance(70) ? 12 : 120);
    for (std::uint64_t i = 0; i < count; ++i)
      steps.push_back(any_step(taken));
    std::vector<op_pointer> some;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      some.push_back(steps[i].op);
      if (random_.chance(30) || i + 1 == steps.size()) {
        store_.submit(some);
        some.clear();
      }
    }
    for (auto& one : steps) {
      one.judge(store_.wait(one.op));
      one.op->got = {}; // bodies need not be kept
    }
  }

  step any_step(std::set<std::uint64_t>& taken) {
    auto kind = random_.below(100);
    auto number = model_.size() == 0 ? 0 : known();
    if (kind < 35 || number == 0 || !taken.insert(number).second)
      return put();
    if (kind < 60)
      return move(*model_.find(number));
    if (kind < 75)
      return remove(*model_.find(number));
    return kind < 87 ? read(*model_.find(number)) : stat(*model_.find(number));
  }

  step put() {
    model::message made{++last_, random_.roll(), any_size(), any_metadata(), any_state(), any_due(), 1, {}, {}};
    auto body = body_of(made.body_number, made.body_size);
    std::uint64_t stage = random_.chance(15) ? staged(body) : 0;
    auto op = store_.make_put(id_of(made.number), body, made.metadata, made.state, made.due, stage);
    op->request.put.flags = random_.chance(10) ? HEDWIG_PUT_RETRY : 0;
    if (random_.chance(30)) {
      auto lease = any_lease();
      op->request.put.lease_until = store_.in(lease);
      made.lease = store_.clock().steady() + lease.count();
    }
    return {op, [this, made](const answer& got) mutable {
              expect_status(got, HEDWIG_OK, rules::acknowledged_survives,
                            fmt::format("PUT of message {}", made.number));
              expect(got.revision == 1, rules::put_revision, "a PUT has revision {}", got.revision);
              made.hint = got.hint;
              model_.put(made);
            }};
  }

  /// Moves the front of the body into a stage; what is left in `body` goes with the PUT.
  std::uint64_t staged(std::string& body) {
    auto stage = store_.run(store_.make_stage(random_.chance(50) ? body.size() : 0)).stage;
    for (auto pieces = random_.below(4); pieces > 0 && !body.empty(); --pieces) {
      auto size = random_.chance(50) ? body.size() : random_.below(body.size() + 1);
      expect_status(store_.run(store_.make_append(stage, std::string_view{body}.substr(0, size))), HEDWIG_OK,
                    rules::append_completes, "APPEND");
      body.erase(0, size);
    }
    return stage;
  }

  step move(const model::message& was) {
    auto made = was;
    auto named = random_.chance(10) ? was.revision + 1 + random_.below(3) : was.revision;
    made.state = any_state();
    made.due = random_.chance(30) ? was.due : any_due();
    bool replaces = random_.chance(50);
    made.metadata = replaces ? any_metadata() : was.metadata;
    auto id = id_of(was.number);
    auto op = replaces ? store_.make_move_with(id, named, made.state, made.due, made.metadata, hint_of(was))
                       : store_.make_move(id, named, made.state, made.due, hint_of(was));
    made.lease.reset();
    if (random_.chance(30)) {
      auto lease = any_lease();
      op->request.move.lease_until = store_.in(lease);
      made.lease = store_.clock().steady() + lease.count();
    }
    ++made.revision;
    return {op, [this, made, named](const answer& got) mutable {
              auto right = named + 1 == made.revision;
              expect_status(got, right ? HEDWIG_OK : HEDWIG_E_CONFLICT, rules::move_compares,
                            fmt::format("MOVE of message {} from revision {}", made.number, named));
              if (!right)
                return;
              expect(got.revision == made.revision, rules::put_revision, "a MOVE from revision {} brings {}", named,
                     got.revision);
              made.hint = got.hint;
              model_.put(made);
            }};
  }

  step remove(const model::message& was) {
    auto op = store_.make_message(HEDWIG_STORAGE_REMOVE, id_of(was.number), hint_of(was));
    auto kind = random_.below(10);
    op->request.message.flags = kind < 3 ? HEDWIG_REMOVE_RIDE : 0;
    op->request.message.revision = kind < 6 ? 0 : kind < 9 ? was.revision : was.revision + 1;
    return {op, [this, number = was.number, kind](const answer& got) {
              expect_status(got, kind < 9 ? HEDWIG_OK : HEDWIG_E_CONFLICT, rules::remove_revision,
                            fmt::format("REMOVE of message {}", number));
              if (kind < 9)
                model_.remove(number);
            }};
  }

  step read(const model::message& was) {
    auto op = store_.make_message(HEDWIG_STORAGE_READ, id_of(was.number), hint_of(was));
    auto offset = random_.chance(60) ? 0 : random_.below(was.body_size + 10);
    op->request.message.offset = offset;
    op->request.message.length = random_.chance(50) ? 0 : random_.below(5000);
    return {op, [was, offset](const answer& got) {
              auto asked = fmt::format("READ of message {} from {}", was.number, offset);
              expect_status(got, HEDWIG_OK, rules::read_length, asked);
              expect(got.body_size == was.body_size, rules::read_length, "{} says {} bytes instead of {}", asked,
                     got.body_size, was.body_size);
              auto body = body_of(was.body_number, was.body_size);
              auto wanted = std::string_view{body}.substr(std::min<std::size_t>(offset, body.size()), got.body.size());
              expect(got.body == wanted && (offset >= body.size() || !got.body.empty()), rules::read_length, "{}: {}",
                     asked, difference(got.body, wanted));
            }};
  }

  step stat(const model::message& was) {
    auto op = store_.make_message(HEDWIG_STORAGE_STAT, id_of(was.number), hint_of(was));
    return {op, [this, number = was.number](const answer& got) {
              expect_status(got, HEDWIG_OK, rules::stat_entry, fmt::format("STAT of message {}", number));
              model_.expect_entry(got.entries.at(0), store_.clock().steady(), true);
            }};
  }

  // ---- while nothing else is under way ----

  void quiet_round() {
    auto kind = random_.below(100);
    if (kind < 25)
      list();
    else if (kind < 45)
      claim();
    else if (kind < 55)
      model_.expect_stats(store_.stats());
    else if (kind < 65)
      store_.clock().advance((1 + random_.below(3)) * 1h);
    else if (kind < 68)
      store_.clock().jump(random_.chance(50) ? 24h : -24h);
    else if (kind < 71)
      restart();
    else if (kind < 75)
      discard();
  }

  void list() {
    auto states = any_states();
    auto flags = static_cast<std::uint32_t>(random_.below(4));
    auto due_before = random_.chance(50) ? 0 : any_due();
    auto got = store_.list_all(states, static_cast<std::uint32_t>(1 + random_.below(50)), flags, due_before);
    auto wanted = model_.walk(states, due_before, (flags & HEDWIG_LIST_BY_RECEIPT) != 0);
    expect_walk(got, wanted, rules::list_order, "LIST", (flags & HEDWIG_LIST_METADATA) != 0);
  }

  void expect_walk(const std::vector<entry_copy>& got, const std::vector<const model::message*>& wanted,
                   const rule& which, std::string_view asked, bool with_metadata) {
    for (std::size_t i = 0; i < std::min(got.size(), wanted.size()); ++i)
      expect(number_of(got[i].id) == wanted[i]->number, which, "entry {} of a {} is message {} instead of {}", i, asked,
             number_of(got[i].id), wanted[i]->number);
    expect(got.size() == wanted.size(), which, "a {} brings {} entries instead of {}", asked, got.size(),
           wanted.size());
    auto steady = store_.clock().steady();
    for (auto& one : got)
      model_.expect_entry(one, steady, with_metadata);
  }

  void claim() {
    auto states = any_states();
    auto due_before = random_.chance(30) ? 0 : any_due();
    auto limit = static_cast<std::uint32_t>(1 + random_.below(40));
    auto lease = any_lease();
    auto wanted = model_.claimable(states, due_before, store_.clock().steady());
    wanted.resize(std::min<std::size_t>(wanted.size(), limit));
    auto until = store_.clock().steady() + lease.count();
    auto got = store_.claim_all(states, due_before, lease, limit);
    for (auto& one : got)
      if (auto* message = model_.find(number_of(one.id)))
        message->lease = until;
    expect_walk(got, wanted, rules::claim_order, "CLAIM", true);
  }

  void restart() {
    if (store_.is_volatile())
      return;
    store_.reopen();
    model_.forget_leases();
    model_.forget_hints();
    model_.expect_stats(store_.stats());
    for (auto& entry : store_.list_all())
      model_.expect_entry(entry, store_.clock().steady(), true);
  }

  void discard() {
    auto stage = store_.run(store_.make_stage()).stage;
    store_.run(store_.make_append(stage, body_of(stage, 10'000)));
    if (random_.chance(50) || store_.is_volatile()) // else it is left behind
      expect_status(store_.run(store_.make_discard(stage)), HEDWIG_OK, rules::discard_drops, "DISCARD");
    else if (++left_ % 8 == 0)
      restart();
  }

  store& store_;
  model model_;
  dice random_;
  std::uint64_t rounds_;
  std::uint64_t round_ = 0;
  std::size_t largest_;
  std::uint64_t last_ = 0;
  std::uint64_t left_ = 0;
};

} // namespace

void agrees_with_the_model(context& run) {
  random_run all{run, run.pick<std::uint64_t>(120, 1000, 20'000)};
  all.go();
}

} // namespace hedwig::check::storage
