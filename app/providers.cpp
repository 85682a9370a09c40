// SPDX-License-Identifier: Apache-2.0
#include "app/providers.hpp"

#include "app/log_bridge.hpp"
#include "runtime/plugin/builtin.hpp"
#include "runtime/telemetry/log.hpp"

#include <algorithm>
#include <filesystem>
#include <ranges>

namespace hedwig::app {

namespace {

constexpr auto start_timeout = std::chrono::minutes{10}; // a store may have much to recover
constexpr auto stop_timeout = std::chrono::seconds{30};
/// A commit that takes this long may still succeed; giving up on it earlier would tell a client no about a message that
/// stands. Its own patience is ten minutes (RFC 5321 section 4.5.3.2.6).
constexpr auto store_call_timeout = std::chrono::minutes{10};

/// Adds a key that the host knows, unless the operator wrote it himself.
void put(config::node& table, const char* key, config::node value) {
  if (table.find(key) == nullptr)
    table.members.push_back({key, 0, 0, std::move(value)});
}

class planner {
public:
  planner(plugin::catalogue& from, std::shared_ptr<plugin::host> host, const config::loaded& loaded)
    : catalogue_{from}, host_{std::move(host)}, loaded_{loaded} {}

  provider_plan make() {
    auto& settings = loaded_.settings;
    plan_storage(settings);
    if (!settings.server.auth.empty())
      add(plan_.auth, HEDWIG_AUTH, "static", "server.auth", plugin::static_auth_table(settings.server.auth),
          {.name = "auth.static"});
    for (auto& one : settings.auth)
      add(plan_.auth, HEDWIG_AUTH, one.use, "auth", *one.settings, settings_of("auth.", one));
    if (!settings.domain_rules.empty())
      add(plan_.filters, HEDWIG_FILTER, "domain", "filters", plugin::domain_filter_table(settings.domain_rules),
          {.name = "filter.domain"});
    for (auto& one : settings.filters) {
      add(plan_.filters, HEDWIG_FILTER, one.use, "filters", *one.settings, settings_of("filter.", one));
      if (!plan_.filters.empty())
        plan_.filters.back().on_failure = one.on_failure;
    }
    return std::move(plan_);
  }

private:
  static plugin::instance_settings settings_of(const std::string& kind, const config::provider_settings& from) {
    return {.name = kind + from.name,
            .call_timeout = from.call_timeout,
            .workers = from.workers,
            .max_pending = from.max_pending};
  }

  void plan_storage(const config::settings& settings) {
    auto& storage = settings.storage;
    auto table = *storage.provider;
    put(table, "path", config::node::of(storage.base_path));
    put(table, "disk_reserve", config::node::of(static_cast<std::int64_t>(settings.queue.disk_reserve_bytes)));
    add(plan_.storage, HEDWIG_STORAGE, storage.storage_type, "storage." + storage.storage_type, table,
        {.name = "storage." + storage.storage_type, .call_timeout = store_call_timeout});
  }

  void add(std::vector<planned_provider>& to, const char* interface_id, const std::string& name,
           const std::string& table, const config::node& written, plugin::instance_settings settings) {
    auto provider = catalogue_.find(interface_id, name);
    if (!provider) {
      plan_.errors.push_back({loaded_.path, written.line, written.column, provider.error().text()});
      return;
    }
    plugin::config_source source{.file = loaded_.path,
                                 .table = table,
                                 .directory = std::filesystem::absolute(loaded_.path).parent_path(),
                                 .host_keys = {}};
    auto checked = plugin::check_provider(host_, *provider, written, source);
    std::ranges::move(checked.errors, std::back_inserter(plan_.errors));
    std::ranges::move(checked.warnings, std::back_inserter(plan_.warnings));
    to.push_back({*provider, std::move(settings), std::move(checked.config), config::failure_action::tempfail});
  }

  plugin::catalogue& catalogue_;
  std::shared_ptr<plugin::host> host_;
  const config::loaded& loaded_;
  provider_plan plan_;
};

std::shared_ptr<plugin::host> make_host() {
  plugin::host_options options;
  options.log = std::make_shared<log_bridge>();
  return std::make_shared<plugin::host>(std::move(options));
}

/// What the settings say, then the plugins that were installed, or built, together with this program.
std::vector<std::string> plugin_directories(const config::settings& settings) {
  auto all = settings.plugins.directories;
  std::error_code failed;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  auto beside = program.parent_path().parent_path() / "lib" / "hedwig" / "plugins";
  if (!failed && std::filesystem::is_directory(beside, failed) && std::ranges::find(all, beside.string()) == all.end())
    all.push_back(beside.string());
  return all;
}

} // namespace

providers::providers(const config::settings& settings)
  : host_{make_host()}, catalogue_{host_, plugin_directories(settings)} {}

provider_plan providers::plan(const config::loaded& loaded) { return planner{catalogue_, host_, loaded}.make(); }

result<std::shared_ptr<plugin::instance>> providers::start_one(const planned_provider& what) {
  auto made = plugin::instance::create(host_, what.provider, what.settings, what.config);
  if (!made)
    return made;
  if (auto started = (*made)->start_and_wait(start_timeout); !started)
    return std::unexpected{started.error()};
  running_.push_back(*made);
  return made;
}

result<relay_plugins> providers::start(const provider_plan& plan) {
  relay_plugins made;
  auto named = [](error why, const planned_provider& what) {
    why.message = what.settings.name + ": " + why.message;
    return std::unexpected{std::move(why)};
  };
  for (auto& what : plan.storage) {
    auto started = start_one(what);
    if (!started)
      return named(started.error(), what);
    auto store = plugin::storage_client::make(*started);
    if (!store)
      return named(store.error(), what);
    made.store = std::move(*store);
  }
  for (auto& what : plan.auth) {
    auto started = start_one(what);
    if (!started)
      return named(started.error(), what);
    auto face = plugin::auth_provider::make(*started);
    if (!face)
      return named(face.error(), what);
    made.auth.push_back(std::move(*face));
  }
  for (auto& what : plan.filters) {
    auto started = start_one(what);
    if (!started)
      return named(started.error(), what);
    auto face = plugin::filter_provider::make(*started);
    if (!face)
      return named(face.error(), what);
    made.filters.push_back({std::move(*face), what.on_failure});
  }
  return made;
}

void providers::reload(const provider_plan& plan) {
  auto apply = [&](const planned_provider& fresh) {
    auto found = std::ranges::find_if(running_, [&](auto& one) { return one->name() == fresh.settings.name; });
    if (found == running_.end())
      return;
    auto done = (*found)->reload_and_wait(fresh.config, stop_timeout);
    if (!done && done.error().status != HEDWIG_E_UNSUPPORTED)
      telemetry::log(telemetry::level::error, telemetry::component::plugin,
                     {"provider.reload-failed", "it keeps its old settings"},
                     {{"provider", fresh.settings.name}, {"error", done.error().text()}});
  };
  for (auto* list : {&plan.storage, &plan.auth, &plan.filters})
    for (auto& fresh : *list)
      apply(fresh);
}

void providers::stop() {
  for (auto& one : std::views::reverse(running_))
    if (auto stopped = one->stop_and_wait(stop_timeout); !stopped)
      telemetry::log(telemetry::level::error, telemetry::component::plugin,
                     {"provider.stop-failed", "it did not end in order; what it acknowledged is safe"},
                     {{"provider", one->name()}, {"error", stopped.error().text()}});
  running_.clear();
  host_->stop();
}

} // namespace hedwig::app
