// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/loader.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {

/// A TOML table for a test: {{"name", text(...)}, ...}.
using members = std::vector<std::pair<std::string, config::node>>;

inline config::node table(members all) {
  config::node out;
  for (auto& [key, value] : all)
    out.members.push_back({key, 0, 0, value});
  return out;
}
inline config::node text(std::string value) { return config::node::of(std::move(value)); }
inline config::node number(std::int64_t value) { return config::node::of(value); }
inline config::node list(std::vector<config::node> items) {
  config::node out;
  out.type = config::node::kind::array;
  out.items = std::move(items);
  return out;
}
inline config::node texts(std::initializer_list<std::string> values) {
  std::vector<config::node> items;
  for (auto& one : values)
    items.push_back(text(one));
  return list(std::move(items));
}

/// A filter of ours, loaded from its real file and started, over a virtual clock.
struct running_filter {
  running_filter(const char* name, const config::node& settings) {
    host_options options;
    options.log = log;
    options.time = &clock;
    options.threads = false;
    services = std::make_shared<host>(std::move(options));
    catalogue all{services, {environment("HEDWIG_PLUGIN_DIR")}, {.owners = {}, .allow_group_writable = true}};
    auto found = all.find(HEDWIG_FILTER, name);
    EXPECT_TRUE(found) << found.error().text();
    provider = *found;
    auto read = check(settings);
    errors = read.errors;
    if (!read.config)
      return;
    owner = *instance::create(services, provider, {}, read.config);
    started = owner->start_and_wait(std::chrono::seconds{20}).has_value();
    EXPECT_TRUE(started);
    filter = *filter_provider::make(owner);
  }
  ~running_filter() {
    if (started) {
      EXPECT_TRUE(owner->stop_and_wait(std::chrono::seconds{20}));
    }
  }

  checked check(const config::node& settings) {
    return check_provider(services, provider, settings, {"hedwig.toml", provider.label(), "/", {}});
  }
  /// New settings for those that may be reloaded.
  void reload(const config::node& settings) {
    ASSERT_TRUE(owner->reload_and_wait(check(settings).config, std::chrono::seconds{20}));
  }
  /// The first error of the settings; empty: none.
  std::string error() const { return errors.empty() ? std::string{} : errors[0].message; }

  virtual_clock clock;
  std::shared_ptr<recorded_log> log = std::make_shared<recorded_log>();
  std::shared_ptr<recorded_completions> sink = std::make_shared<recorded_completions>();
  std::shared_ptr<host> services;
  provider_ref provider;
  std::vector<config::diagnostic> errors;
  std::shared_ptr<instance> owner;
  std::shared_ptr<filter_provider> filter;
  bool started = false;
};

} // namespace hedwig::plugin::testing
