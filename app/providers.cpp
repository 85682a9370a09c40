// SPDX-License-Identifier: Apache-2.0
#include "app/providers.hpp"

#include "app/log_bridge.hpp"
#include "runtime/plugin/builtin.hpp"
#include "runtime/plugin/isolated.hpp"
#include "runtime/plugin/schema_view.hpp"
#include "runtime/telemetry/log.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <ranges>

namespace hedwig::app {

namespace {

constexpr auto start_timeout = std::chrono::minutes{10}; // a store may have much to recover
constexpr auto stop_timeout = std::chrono::seconds{30};
/// A commit that takes this long may still succeed; giving up on it earlier would tell a client no about a message that
/// stands. Its own patience is ten minutes (RFC 5321 section 4.5.3.2.6).
constexpr auto store_call_timeout = std::chrono::minutes{10};

/// What the relay knows for a key of the provider, unless the operator wrote it himself or the provider has no such
/// key.
void add_where_asked(config::node& table, plugin::schema_view schema, const char* key, config::node value) {
  if (schema.find(key) != nullptr && table.find(key) == nullptr)
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
      add_users(settings.server.auth);
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
            .max_pending = from.max_pending,
            .max_calls = from.max_calls,
            .breaker_failures = from.breaker_failures,
            .breaker_delay = from.breaker_delay,
            .sha256 = from.sha256,
            .isolation_user = from.isolation_user,
            .own_process = from.isolation == config::isolation_mode::process,
            .own_threads = from.isolation == config::isolation_mode::thread};
  }

  void add_users(const std::vector<config::auth_user>& users) {
    auto before = plan_.errors.size();
    add(plan_.auth, HEDWIG_AUTH, "static", "server.auth", users_table(users), {.name = "auth.static"});
    auto provider = catalogue_.find(HEDWIG_AUTH, "static");
    if (plan_.errors.size() == before || !provider)
      return;
    // It names a key and not which user's: asked for each alone, it tells.
    std::vector<config::diagnostic> each;
    auto all = users_table(users);
    for (auto& user : all.members.front().value.items) {
      auto alone = all;
      alone.members.front().value.items = {user};
      std::ranges::move(plugin::check_provider(host_, *provider, alone, source_of("server.auth")).errors,
                        std::back_inserter(each));
    }
    if (each.empty())
      return;
    plan_.errors.resize(before);
    std::ranges::move(each, std::back_inserter(plan_.errors));
  }

  plugin::config_source source_of(const std::string& table) const {
    // The relay has taken its own keys out; they are named here for who has misspelt one.
    std::vector<std::string_view> ours;
    if (table == "filters" || table == "auth")
      ours = {"use",           "name",    "call_timeout", "max_calls",      "breaker_failures",
              "breaker_delay", "workers", "max_pending",  "isolation_user", "isolation",
              "sha256"};
    if (table == "filters")
      ours.emplace_back("on_failure");
    return {.file = loaded_.path,
            .table = table,
            .directory = std::filesystem::absolute(loaded_.path).parent_path(),
            .host_keys = std::move(ours)};
  }

  /// [[server.auth]] for its provider, each value with the place of what it was made of.
  config::node users_table(std::span<const config::auth_user> users) const {
    auto table = plugin::static_auth_table(users);
    auto place = [&](config::node& made, const std::string& path) {
      auto& written = config::nearest_node(loaded_.root, path);
      made.line = written.line;
      made.column = written.column;
    };
    place(table, "server.auth");
    for (auto& list : table.members)
      for (std::size_t i = 0; i < list.value.items.size(); ++i) {
        auto path = fmt::format("server.auth[{}]", i);
        place(list.value.items[i], path);
        for (auto& key : list.value.items[i].members) {
          place(key.value, path + "." + key.key);
          key.line = key.value.line;
          key.column = key.value.column;
        }
      }
    return table;
  }

  void plan_storage(const config::settings& settings) {
    auto& storage = settings.storage;
    auto table = *storage.provider;
    if (table.line == 0) { // not written: what is wrong with it is the store's own matter
      auto& named = config::nearest_node(loaded_.root, "storage.storage_type");
      table.line = named.line;
      table.column = named.column;
    }
    if (auto provider = catalogue_.find(HEDWIG_STORAGE, storage.storage_type, storage.sha256)) {
      plugin::schema_view schema{provider->provider->schema};
      add_where_asked(table, schema, "path", config::node::of(storage.base_path));
      add_where_asked(table, schema, "disk_reserve",
                      config::node::of(static_cast<std::int64_t>(settings.queue.disk_reserve_bytes)));
    }
    add(plan_.storage, HEDWIG_STORAGE, storage.storage_type, "storage." + storage.storage_type, table,
        {.name = "storage." + storage.storage_type, .call_timeout = store_call_timeout, .sha256 = storage.sha256});
    if (storage.storage_type == "rocksdb" && !plan_.storage.empty() && plan_.storage.back().config)
      warn_of_small_reserve(*plan_.storage.back().config);
  }

  /// A full disk is met by mail only while what RocksDB writes out by itself still finds room.
  void warn_of_small_reserve(const hedwig_config& store) {
    auto of = [&](std::string_view key) {
      auto at = store.values.find(key);
      auto* number = at == store.values.end() ? nullptr : std::get_if<std::int64_t>(&at->second);
      return number == nullptr ? 0 : *number;
    };
    auto wanted = 4 * of("memtable_size");
    if (of("disk_reserve") < wanted)
      plan_.warnings.push_back(config::diagnostic_at(
          loaded_, "queue.disk_reserve_bytes",
          fmt::format("queue.disk_reserve_bytes = {} is less than four times storage.rocksdb.memtable_size: on a full "
                      "disk deliveries could stop too; write {} or more, or a smaller memtable_size",
                      of("disk_reserve"), wanted)));
  }

  void add(std::vector<planned_provider>& to, const char* interface_id, const std::string& name,
           const std::string& table, const config::node& written, plugin::instance_settings settings) {
    auto same = [&](const planned_provider& one) { return one.settings.name == settings.name; };
    if (std::ranges::any_of(to, same)) // [[auth]] beside [[server.auth]], [[filters]] with `use` beside rules
      plan_.errors.push_back(
          {loaded_.path, written.line, written.column,
           fmt::format("the name of {} is taken by the provider that this program starts for {}: "
                       "write another name",
                       settings.name, table == "auth" ? "[[server.auth]]" : "the rules of [[filters]]")});
    auto provider = catalogue_.find(interface_id, name, settings.sha256);
    if (!provider) {
      plan_.errors.push_back({loaded_.path, written.line, written.column, provider.error().text()});
      return;
    }
    if (settings.own_process)
      if (auto apart = plugin::isolated_provider::make(host_, *provider, settings); !apart)
        plan_.errors.push_back({loaded_.path, written.line, written.column, apart.error().text()});
    if (!settings.isolation_user.empty() && ::geteuid() != 0)
      plan_.errors.push_back({loaded_.path, written.line, written.column,
                              settings.name + ": isolation_user needs a relay that is started as root"});
    auto checked = plugin::check_provider(host_, *provider, written, source_of(table));
    std::ranges::move(checked.errors, std::back_inserter(plan_.errors));
    std::ranges::move(checked.warnings, std::back_inserter(plan_.warnings));
    to.push_back({*provider, std::move(settings), std::move(checked.config), config::failure_action::tempfail});
  }

  plugin::catalogue& catalogue_;
  std::shared_ptr<plugin::host> host_;
  const config::loaded& loaded_;
  provider_plan plan_;
};

std::shared_ptr<plugin::host> make_host(std::shared_ptr<metric_bridge> metrics) {
  plugin::host_options options;
  options.log = std::make_shared<log_bridge>();
  options.metrics = std::move(metrics);
  return std::make_shared<plugin::host>(std::move(options));
}

/// What to do where the store could not be opened; empty: no idea.
std::string advice_for(const error& why, const std::string& base_path) {
  std::error_code failed;
  if (std::filesystem::exists(base_path, failed) && !std::filesystem::is_directory(base_path, failed))
    return ": it is no folder; name one in storage.base_path";
  if (why.status == HEDWIG_E_NO_SPACE)
    return ": make room on its file system and start again; what is in the spool is safe";
  if (why.status == HEDWIG_E_CORRUPT)
    return ": hedwig spool verify says what can be read, hedwig spool migrate copies that into a "
           "fresh folder; where they cannot open it either, it needs a copy from a backup";
  if (::access(base_path.c_str(), R_OK | W_OK | X_OK) == 0 || errno != EACCES)
    return {};
  return fmt::format(": the relay runs as user id {} and may not use the folder: install -d -m 0700 -o USER {}",
                     ::geteuid(), base_path);
}

} // namespace

std::vector<std::string> plugin_directories(const config::settings& settings) {
  auto all = settings.plugins.directories;
  std::error_code failed;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  auto beside = program.parent_path().parent_path() / "lib" / "hedwig" / "plugins";
  if (!failed && std::filesystem::is_directory(beside, failed) && std::ranges::find(all, beside.string()) == all.end())
    all.push_back(beside.string());
  return all;
}

providers::providers(const config::settings& settings)
  : base_path_{settings.storage.base_path}, host_{make_host(metrics_)}, catalogue_{host_,
                                                                                   plugin_directories(settings)} {}

provider_plan providers::plan(const config::loaded& loaded) { return planner{catalogue_, host_, loaded}.make(); }

config::reload_options providers::reload_options() {
  return {.provider_key_changes = [this](auto list, auto use, auto key) { return key_changes(list, use, key); }};
}

bool providers::key_changes(std::string_view list, std::string_view use, std::string_view key) {
  auto kind = list == "storage" ? HEDWIG_STORAGE : list == "auth" ? HEDWIG_AUTH : HEDWIG_FILTER;
  auto provider = catalogue_.find(kind, use);
  if (!provider || provider->provider->reload == nullptr || provider->provider->schema == nullptr)
    return false;
  // Of a nested table, "pool" of "pool.size", only all keys together.
  auto& schema = *provider->provider->schema;
  auto belongs = [&](const hedwig_config_key& one) {
    std::string_view name{one.name};
    return name == key || (name.starts_with(key) && name.substr(key.size()).starts_with('.'));
  };
  auto keys = std::span{schema.keys, schema.key_count};
  return std::ranges::any_of(keys, [&](auto* one) { return belongs(*one); }) &&
         std::ranges::all_of(keys,
                             [&](auto* one) { return !belongs(*one) || (one->flags & HEDWIG_CONFIG_RELOADABLE) != 0; });
}

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
    if (!started) {
      started.error().message += advice_for(started.error(), base_path_);
      return named(started.error(), what);
    }
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
