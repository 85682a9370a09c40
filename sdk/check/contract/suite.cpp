// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/contract/suite.hpp"

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "sdk/check/config/odd_settings.hpp"
#include "sdk/check/instance.hpp"
#include "sdk/check/process.hpp"
#include "sdk/check/rules.hpp"
#include "sdk/check/thread_class.hpp"
#include "sdk/check/traffic.hpp"

namespace hedwig::check {

namespace {

/// What an instance may hold: none may be left.
struct holdings {
  std::size_t descriptors = open_descriptors();
  std::set<pid_t> threads = foreign_threads();
  std::int64_t buffers = host::buffers_alive();

  /// In words; empty: no more than `before`.
  std::string beyond(const holdings& before) const {
    for (auto one : threads)
      if (!before.threads.contains(one))
        return "a thread";
    if (descriptors > before.descriptors)
      return fmt::format("{} open descriptors", descriptors - before.descriptors);
    return buffers > before.buffers ? fmt::format("{} buffers", buffers - before.buffers) : std::string{};
  }
};

// ---- the table ----

void provides_what_it_says(context& run) {
  auto& plugin = *run.chosen().plugin;
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i) {
    auto& one = *plugin.providers[i];
    auto there = [](const char* text) { return text != nullptr && *text != '\0'; };
    expect(there(one.name) && there(one.interface_id) && there(one.summary), rules::names_itself,
           "provider {} lacks its name, its interface or its summary", i);
    expect(one.interface != nullptr && one.create != nullptr && one.start != nullptr && one.stop != nullptr &&
               one.destroy != nullptr,
           rules::names_itself, "{} lacks its interface, create, start, stop or destroy", one.name);
  }
}

void answers_whoever_asks(context& run) {
  auto entry = entry_of(run.chosen().file);
  host today, newer{{shape::longer, false}};
  auto other = *today.raw();
  ++other.abi_major;
  auto* first = entry(today.raw());
  expect(first != nullptr, rules::entry_is_pure, "it gave a table and then none");
  auto copy = *first;
  holdings before;
  auto* again = entry(today.raw());
  auto* at_newer = entry(newer.raw());
  auto* at_other = entry(&other);
  expect(again == first && (at_newer == first || at_newer == nullptr) && (at_other == first || at_other == nullptr) &&
             std::memcmp(&copy, first, sizeof copy) == 0,
         rules::entry_is_pure, "asked again it gives another table");
  expect(at_newer != nullptr, rules::only_appended, "it refuses a host of ABI {}.{}", HEDWIG_ABI_MAJOR,
         HEDWIG_ABI_MINOR + 1);
  expect(today.logs().empty() && today.services().waiting() == 0, rules::entry_is_pure, "it calls its host");
  auto more = holdings{}.beyond(before);
  expect(more.empty(), rules::entry_is_pure, "it makes {}", more);
}

// ---- its life ----

void completes_its_life(context& run) {
  instance one{run};
  if (one.try_create() != HEDWIG_OK)
    throw skipped{"create() fails, which contract.life judges"};
  if (one.try_start() == HEDWIG_OK)
    one.end();
  one.services().judge();
}

void lives_twice(context& run) {
  for (int i = 0; i < 2; ++i) {
    instance one{run};
    one.begin();
    one.end();
  }
}

void opens_nothing(context& run) {
  auto files = [&] {
    std::set<std::string> all;
    for (auto& one : std::filesystem::recursive_directory_iterator{run.folder()})
      all.insert(one.path());
    return all;
  };
  auto prepared = files();
  for (int i = 0; i < 2; ++i) { // the first time libraries may open what they keep
    holdings before;
    instance one{run};
    auto status = one.try_create();
    expect(status == HEDWIG_OK, rules::creates, "create() gave {}: {}", name_of(status), one.error());
    auto more = holdings{}.beyond(before);
    expect(i == 0 || more.empty(), rules::creates, "after create() there is {} more", more);
    expect(files() == prepared, rules::creates, "after create() something else lies in {{folder}}");
    one.drop();
  }
}

void ends_without_a_start(context& run) {
  for (int i = 0; i < 2; ++i) { // see above
    holdings before;
    instance one{run};
    auto status = one.try_create();
    expect(status == HEDWIG_OK, rules::creates, "create() gave {}: {}", name_of(status), one.error());
    one.drop();
    auto more = holdings{}.beyond(before);
    expect(i == 0 || more.empty(), rules::destroys_unstarted, "after create() and destroy() there is {} more", more);
    expect(one.services().services().waiting() == 0, rules::destroys_unstarted,
           "after create() and destroy() a timer or some work waits");
  }
}

void refuses_and_leaves_nothing(context& run) {
  auto all = all_odd(run.provider().schema, *run.config());
  int refused = 0;
  for (int round = 0; round < 2; ++round) // see above
    for (auto& odd : all) {
      holdings before;
      instance one{run, odd.settings};
      if (one.try_create() == HEDWIG_OK) {
        one.drop();
        continue;
      }
      ++refused;
      expect(one.services().services().waiting() == 0, rules::none_after_refusal,
             "create() refused {} and left a timer or some work", odd.what);
      auto more = holdings{}.beyond(before);
      expect(round == 0 || more.empty(), rules::none_after_refusal, "create() refused {} and left {}", odd.what, more);
    }
  if (refused == 0)
    throw skipped{"no settings that the schema allows are refused"};
}

void says_why_it_does_not_start(context& run) {
  auto file = run.folder() + "/file";
  std::ofstream{file} << "no folder";
  instance one{run, run.settings().read(run.provider(), file, run.unique())};
  if (one.try_create() != HEDWIG_OK)
    throw skipped{"it refuses such settings, which config.odd judges"};
  if (one.try_start() == HEDWIG_OK) {
    one.end();
    throw skipped{"it starts without a folder for its files"};
  }
  expect(!one.error().empty(), rules::says_why, "start() failed and does not say why");
  one.drop();
}

// ---- at other hosts ----

void live_at(context& run, host_kind kind) {
  instance one{run, run.config(), kind};
  one.begin();
  converse(run, one, 0, kind.structs);
  if (one.provider().reload != nullptr)
    one.reload(run.config());
  one.end();
}

void looks_behind_nothing(context& run) { live_at(run, {shape::exact, false}); }
void bears_a_newer_host(context& run) {
  try {
    live_at(run, {shape::longer, false});
  } catch (const broken& e) {
    if (&e.which() == &rules::exactly_once)
      throw; // not answering is not for the sake of this host
    throw broken{rules::only_appended, fmt::format("at a host whose structs are longer: {}", e.what())};
  }
}

void bears_a_bare_host(context& run) {
  instance one{run, run.config(), {shape::plain, true}};
  auto status = one.try_create();
  if (status == HEDWIG_OK)
    status = one.try_start();
  expect(status == HEDWIG_OK || !one.error().empty(), rules::lacks_services,
         "without workers, timers and metrics it does not start, and does not say why");
  if (one.is_running()) {
    converse(run, one, 0);
    one.end();
  } else if (one.raw() != nullptr) {
    one.drop();
  }
}

void knows_no_other_extension(context& run) {
  if (run.provider().get_extension == nullptr)
    throw skipped{"it has no extensions"};
  instance one{run};
  one.begin();
  for (auto* id : {"draft/hedwig.check.unknown/1", "", "hedwig.storage.search/4294967296"})
    expect(run.provider().get_extension(one.raw(), id) == nullptr, rules::knows_extensions,
           "it gives a table for \"{}\"", id);
  one.end();
}

void lives_beside_itself(context& run) {
  if (run.settings().is_remote())
    throw skipped{"check.remote: two would share what they keep"};
  auto settings = [&](const char* name) {
    auto folder = run.folder() + "/" + name;
    std::filesystem::create_directory(folder);
    run_command(run.settings().prepare(folder, run.unique() + name), "check.prepare");
    return run.settings().read(run.provider(), folder, run.unique() + name);
  };
  instance first{run, settings("a")}, second{run, settings("b")};
  first.begin();
  second.begin();
  auto said = converse(run, first, 0);
  auto also = converse(run, second, 1);
  expect(said == also, rules::may_be_many, "two instances of the same settings answer differently");
  first.end();
  expect(converse(run, second, 0) == said, rules::may_be_many,
         "after the end of one instance another answers differently");
  second.end();
  for (auto* name : {"a", "b"})
    run_command(run.settings().cleanup(run.folder() + "/" + name, run.unique() + name), "check.cleanup");
}

// Level 1 to 3: without that nothing else of the plugin can be judged, in no suite.
constexpr std::array contract_tests{
    test{"provider", "every provider has what it must", 1, provides_what_it_says},
    test{"completes-once", "start and stop are completed exactly once", 2, completes_its_life},
    test{"life", "it is created, started, stopped and destroyed, twice", 3, lives_twice},
    test{"entry", "the entry gives the same table whoever asks, and does nothing else", 4, answers_whoever_asks},
    test{"opens-nothing", "create opens nothing", 4, opens_nothing},
    test{"unstarted", "an instance that was never started can be destroyed", 5, ends_without_a_start},
    test{"create-refused", "a create that refuses its settings leaves nothing", 5, refuses_and_leaves_nothing},
    test{"start-refused", "a start that fails says why", 4, says_why_it_does_not_start},
    test{"older-host", "it looks at no field that its host does not have", 4, looks_behind_nothing},
    test{"newer-host", "it bears a host whose structs have more fields", 4, bears_a_newer_host},
    test{"bare-host", "without the host's optional services it works or says why not", 4, bears_a_bare_host},
    test{"extensions", "it knows no extension that does not exist", 4, knows_no_other_extension},
    test{"instances", "two instances live side by side", 4, lives_beside_itself},
};

} // namespace

suite contract_suite() { return {"contract", {}, contract_tests, {}}; }

} // namespace hedwig::check
