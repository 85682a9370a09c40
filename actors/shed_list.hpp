// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>

#include <iterator>
#include <list>
#include <mutex>

namespace hedwig {

/// The sessions that may be ended to make room for others, the worst and then the newest first: those of clients
/// outside relay_from that have not logged in. Thread-safe.
class shed_list {
public:
  /// What a session keeps of its place; goes with remove().
  struct entry {
    caf::actor_addr who; ///< set once, before add(); keeps nobody alive
    std::list<entry*>::iterator at;
    bool listed = false;
    bool bad = false; ///< its client made mistakes
  };

  void add(entry& one) {
    std::lock_guard lock{mutex_};
    if (!one.listed)
      insert(one);
  }
  /// Its client made a mistake.
  void worsen(entry& one) {
    std::lock_guard lock{mutex_};
    if (!one.listed || one.bad)
      return;
    take_out(one);
    one.bad = true;
    insert(one);
  }
  /// It has become known, or ends.
  void remove(entry& one) {
    std::lock_guard lock{mutex_};
    if (one.listed)
      take_out(one);
  }
  /// The one to end now, which is off the list then; null: nobody. `bad_only`: only one whose client made mistakes.
  [[nodiscard]] caf::actor take(bool bad_only) {
    std::lock_guard lock{mutex_};
    for (auto* list : {&bad_, &others_}) {
      while (!list->empty() && !(bad_only && list == &others_)) {
        auto& one = *list->back();
        take_out(one);
        if (auto living = caf::actor_cast<caf::actor>(one.who))
          return living;
      }
    }
    return {};
  }

private:
  [[nodiscard]] std::list<entry*>& list_of(const entry& one) { return one.bad ? bad_ : others_; }
  void insert(entry& one) {
    auto& list = list_of(one);
    one.at = list.insert(list.end(), &one);
    one.listed = true;
  }
  void take_out(entry& one) {
    list_of(one).erase(one.at);
    one.listed = false;
  }

  std::mutex mutex_;
  std::list<entry*> bad_; // the newest last
  std::list<entry*> others_;
};

} // namespace hedwig
