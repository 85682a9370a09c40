// SPDX-License-Identifier: Apache-2.0
// Loads a store as fast as it can and tells standard output what was acknowledged, until it is killed:
//   crash_child PROVIDER FOLDER FIRST_NUMBER
// A line of output is 9 bytes: 'P' put, 'M' moved to deferred, 'r' removal asked for, 'R' removed; then the number.
#include <hedwig/plugin.hpp>

#include <cstdlib>
#include <cstring>
#include <deque>

#include <unistd.h>

#include "tests/component/storage/store_client.hpp"

namespace {

using namespace hedwig::test;

void report(char what, std::uint64_t number) {
  char line[9];
  line[0] = what;
  std::memcpy(line + 1, &number, 8);
  if (::write(STDOUT_FILENO, line, sizeof line) != sizeof line)
    std::_Exit(2);
}

struct in_flight {
  char what;
  std::uint64_t number;
  op_pointer op;
};

} // namespace

int main(int, char** argv) {
  store_client store{plugin_file(argv[1]), settings_for(argv[1], argv[2])};
  if (store.start() != HEDWIG_OK)
    return 1;
  std::deque<in_flight> waiting;
  for (std::uint64_t number = std::strtoull(argv[3], nullptr, 10);; ++number) {
    auto id = id_of(number);
    auto put =
        store.make_put(id, body_of(number, number % 5 == 0 ? 300000 : 2000 + number % 7000), std::to_string(number));
    waiting.push_back({'P', number, put});
    store.submit({put});
    while (waiting.size() > 64) {
      auto done = waiting.front();
      waiting.pop_front();
      if (store.wait(done.op).status != HEDWIG_OK)
        return 3;
      report(done.what, done.number);
      if (done.what != 'P' || done.number % 3 == 0)
        continue;
      auto next =
          store.make_move(id_of(done.number), 1, HEDWIG_STATE_DEFERRED, static_cast<hedwig_time_ns>(done.number));
      if (done.number % 3 == 2) {
        report('r', done.number);
        next = store.make_message(HEDWIG_STORAGE_REMOVE, id_of(done.number), done.op->got.hint);
        next->request.message.flags = done.number % 2 != 0 ? HEDWIG_REMOVE_RIDE : 0;
      }
      waiting.push_back({done.number % 3 == 2 ? 'R' : 'M', done.number, next});
      store.submit({next});
    }
  }
}
