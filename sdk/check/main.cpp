// SPDX-License-Identifier: Apache-2.0
// hedwig-plugin-check: judges a plugin by the contract of the SDK.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <random>

#include "sdk/check/options.hpp"
#include "sdk/check/report.hpp"
#include "sdk/check/runner.hpp"
#include "sdk/check/test.hpp"

namespace {

using namespace hedwig::check;

int list_tests(const options& chosen) {
  auto plugin = chosen.plugin.empty() ? plugin_summary{} : describe_apart(chosen);
  for (auto& one : plan(chosen, chosen.plugin.empty() ? nullptr : &plugin))
    fmt::print("{:<32} {}\n", one.name(), one.what->title);
  return 0;
}

/// Without that no suite can be judged: a provider that lives.
bool bears_all_suites(const planned& one) { return one.whose->name == "contract" && one.what->level <= 3; }

/// Empty, or the first test of a lower level that failed: what this one would say could not be judged.
std::string obstacle(const planned& one, const std::vector<verdict>& done, const std::vector<planned>& tests) {
  for (std::size_t i = 0; i < done.size(); ++i)
    if (done[i].what == verdict::kind::failed &&
        (tests[i].whose == one.whose ? tests[i].what->level < one.what->level : bears_all_suites(tests[i])))
      return done[i].name;
  return {};
}

/// The chosen provider where the suite is for its interface, otherwise the first that it is for.
provider_choice provider_for(const suite& whose, const plugin_summary& plugin, const provider_choice& chosen) {
  bool fits = std::ranges::any_of(
      plugin.providers, [&](auto& one) { return one.name == chosen.name && one.interface_id == whose.interface_id; });
  return whose.interface_id.empty() || fits ? chosen : plugin.choose({}, whose.interface_id);
}

void refuse_unreadable(const std::string& file) {
  if (!std::ifstream{file})
    throw unusable{fmt::format("{}: cannot be read", file)};
}

int run_tests(options chosen) {
  refuse_unreadable(chosen.plugin);
  settings_file settings = chosen.config.empty() ? settings_file{} : settings_file{chosen.config};
  auto name = chosen.provider.empty() ? settings.provider() : chosen.provider;
  auto plugin = describe_apart(chosen);
  auto tests = plan(chosen, &plugin);
  auto provider =
      plugin.trouble.empty() ? plugin.choose(name, {}) : provider_choice{chosen.plugin, {}, nullptr, nullptr};
  if (!chosen.seed)
    chosen.seed = std::random_device{}();
  std::vector<verdict> done;
  tap_report tap{stdout};
  tap.begin(tests.size(), {plugin.trouble.empty() ? fmt::format("{}: {} {}", chosen.plugin, plugin.id, plugin.version)
                                                  : "only its file can be judged: " + plugin.trouble,
                           fmt::format("random operations follow --seed {}", *chosen.seed)});
  std::map<const suite*, provider_choice> providers;
  for (auto& one : tests) {
    auto& whose = providers.try_emplace(one.whose, provider_for(*one.whose, plugin, provider)).first->second;
    auto before = chosen.keep_going ? std::string{} : obstacle(one, done, tests);
    if (before.empty())
      done.push_back(run_apart(one, whose, settings, chosen));
    else
      done.push_back({verdict::kind::skipped, one.name(), std::string{one.what->title}, before + " failed"});
    tap.add(done.back());
  }
  if (!chosen.junit.empty() && !write_junit(chosen.junit, plugin.id, done))
    throw unusable{fmt::format("{}: cannot be written", chosen.junit)};
  return std::ranges::any_of(done, [](auto& one) { return one.what == verdict::kind::failed; }) ? 1 : 0;
}

int run_one_here(const options& chosen) {
  settings_file settings = chosen.config.empty() ? settings_file{} : settings_file{chosen.config};
  auto plugin = summary_of(chosen.plugin);
  auto tests = plan(chosen, &plugin);
  if (tests.size() != 1 || chosen.folder.empty())
    throw unusable{"--in-process runs one test in a folder given with --folder"};
  auto name = chosen.provider.empty() ? settings.provider() : chosen.provider;
  auto chosen_one = provider_for(*tests.front().whose, plugin, plugin.choose(name, {}));
  auto provider = load_provider(chosen.plugin, chosen_one.name, tests.front().whose->interface_id);
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
    if (!chosen.child.empty() || !chosen.role.empty() || chosen.describe)
      return run_child(chosen);
    if (chosen.list)
      return list_tests(chosen);
    return chosen.in_process ? run_one_here(chosen) : run_tests(chosen);
  } catch (const std::exception& e) {
    fmt::print(stderr, "hedwig-plugin-check: {}\n", e.what());
    return 2;
  }
}
