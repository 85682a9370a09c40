// SPDX-License-Identifier: Apache-2.0
// hedwig-plugin-check: judges a plugin by the contract of the SDK.
#include <algorithm>
#include <cstdio>
#include <map>
#include <random>

#include "sdk/check/options.hpp"
#include "sdk/check/report.hpp"
#include "sdk/check/runner.hpp"
#include "sdk/check/test.hpp"

namespace {

using namespace hedwig::check;

int list_tests(const options& chosen) {
  auto* plugin = chosen.plugin.empty() ? nullptr : load_provider(chosen.plugin, {}, {}).plugin;
  for (auto& one : plan(chosen, plugin))
    fmt::print("{:<32} {}\n", one.name(), one.what->title);
  return 0;
}

/// Empty, or the first test of a lower level that failed: what this one would say could not be judged.
std::string obstacle(const planned& one, const std::vector<verdict>& done, const std::vector<planned>& tests) {
  for (std::size_t i = 0; i < done.size(); ++i)
    if (done[i].what == verdict::kind::failed && tests[i].whose == one.whose && tests[i].what->level < one.what->level)
      return done[i].name;
  return {};
}

int run_tests(options chosen) {
  settings_file settings = chosen.config.empty() ? settings_file{} : settings_file{chosen.config};
  auto name = chosen.provider.empty() ? settings.provider() : chosen.provider;
  auto provider = load_provider(chosen.plugin, name, {});
  auto tests = plan(chosen, provider.plugin);
  if (!chosen.seed)
    chosen.seed = std::random_device{}();
  std::vector<verdict> done;
  tap_report tap{stdout};
  tap.begin(tests.size(), {fmt::format("{}: {} {}", chosen.plugin, provider.plugin->id, provider.plugin->version),
                           fmt::format("random operations follow --seed {}", *chosen.seed)});
  std::map<const suite*, provider_choice> providers;
  for (auto& one : tests) {
    auto& whose = providers.try_emplace(one.whose, provider).first->second;
    if (!one.whose->interface_id.empty() && one.whose->interface_id != whose.provider->interface_id)
      whose = load_provider(chosen.plugin, {}, one.whose->interface_id);
    auto before = chosen.keep_going ? std::string{} : obstacle(one, done, tests);
    if (before.empty())
      done.push_back(run_apart(one, whose, settings, chosen));
    else
      done.push_back({verdict::kind::skipped, one.name(), std::string{one.what->title}, before + " failed"});
    tap.add(done.back());
  }
  if (!chosen.junit.empty() && !write_junit(chosen.junit, provider.plugin->id, done))
    throw unusable{fmt::format("{}: cannot be written", chosen.junit)};
  return std::ranges::any_of(done, [](auto& one) { return one.what == verdict::kind::failed; }) ? 1 : 0;
}

int run_one_here(const options& chosen) {
  settings_file settings = chosen.config.empty() ? settings_file{} : settings_file{chosen.config};
  auto provider = load_provider(chosen.plugin, chosen.provider.empty() ? settings.provider() : chosen.provider, {});
  auto tests = plan(chosen, provider.plugin);
  if (tests.size() != 1 || chosen.folder.empty())
    throw unusable{"--in-process runs one test in a folder given with --folder"};
  context run{provider, settings, chosen.folder, "in_process", chosen.seed.value_or(1), chosen.how_much};
  auto out = run_here(tests.front(), run);
  tap_report{stdout}.add(out);
  std::fflush(nullptr);
  std::_Exit(out.what == verdict::kind::failed ? 1 : 0); // a plugin's threads may still run
}

} // namespace

int main(int count, char** words) {
  try {
    auto chosen = read_options(count, words);
    if (chosen.help) {
      fmt::print("{}", usage());
      return 0;
    }
    if (!chosen.child.empty() || !chosen.role.empty())
      return run_child(chosen);
    if (chosen.list)
      return list_tests(chosen);
    return chosen.in_process ? run_one_here(chosen) : run_tests(chosen);
  } catch (const std::exception& e) {
    fmt::print(stderr, "hedwig-plugin-check: {}\n", e.what());
    return 2;
  }
}
