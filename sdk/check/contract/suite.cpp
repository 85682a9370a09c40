// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/contract/suite.hpp"

#include <array>

#include "sdk/check/instance.hpp"
#include "sdk/check/rules.hpp"

namespace hedwig::check {

namespace {

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

void lives_twice(context& run) {
  for (int i = 0; i < 2; ++i) {
    instance one{run};
    one.begin();
    one.end();
  }
}

constexpr std::array contract_tests{
    test{"provider", "every provider has what it must", 1, provides_what_it_says},
    test{"life", "it is created, started, stopped and destroyed, twice", 2, lives_twice},
};

} // namespace

suite contract_suite() { return {"contract", {}, contract_tests, {}}; }

} // namespace hedwig::check
