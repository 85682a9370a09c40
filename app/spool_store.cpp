// SPDX-License-Identifier: Apache-2.0
#include "app/spool_store.hpp"

#include "app/log_bridge.hpp"
#include "app/providers.hpp"
#include "runtime/plugin/schema_view.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>

namespace hedwig::app {

namespace {

constexpr auto start_timeout = std::chrono::hours{1}; // a store may have much to recover, and nobody waits for mail
constexpr auto stop_timeout = std::chrono::minutes{10};
constexpr auto call_timeout = std::chrono::minutes{10};
constexpr std::uint64_t checked_piece_size = 1024 * 1024;

/// Waits for the answers to `count` calls, whose tags are 0, 1, 2 …
class gathering_sink final : public plugin::completion_sink {
public:
  explicit gathering_sink(std::size_t count) : answers_(count), missing_{count} {}

  void on_completions(std::span<plugin::completion> done) noexcept override {
    std::lock_guard lock{mutex_};
    for (auto& one : done)
      answers_[one.tag] = std::move(one.value);
    missing_ -= done.size();
    there_.notify_all();
  }

  std::vector<result<plugin::outcome>> wait() {
    std::unique_lock lock{mutex_};
    there_.wait(lock, [&] { return missing_ == 0; });
    std::vector<result<plugin::outcome>> all;
    for (auto& one : answers_)
      all.push_back(std::move(*one));
    return all;
  }

private:
  std::mutex mutex_;
  std::condition_variable there_;
  std::vector<std::optional<result<plugin::outcome>>> answers_;
  std::size_t missing_;
};

void replace(config::node& table, const char* key, config::node value) {
  std::erase_if(table.members, [&](auto& one) { return one.key == key; });
  table.members.push_back({key, 0, 0, std::move(value)});
}

config::node table_of(const spool_place& place, spool_access access, plugin::schema_view schema) {
  auto* written = config::find_path(place.file->root, "storage." + place.type);
  auto table = written != nullptr ? *written : config::node{};
  if (schema.find("path") != nullptr)
    replace(table, "path", config::node::of(std::filesystem::absolute(place.path).string()));
  if (schema.find("disk_reserve") != nullptr)
    replace(table, "disk_reserve", config::node::of(std::int64_t{0})); // nobody else's mail waits for the room
  if (schema.find("read_only") != nullptr)
    replace(table, "read_only", config::node::of(access == spool_access::read));
  return table;
}

} // namespace

result<std::unique_ptr<spool_store>> spool_store::open(const spool_place& place, spool_access access) {
  std::unique_ptr<spool_store> made{new spool_store};
  made->place_ = place;
  plugin::host_options options;
  options.log = std::make_shared<log_bridge>(); // warnings and errors, on standard error
  made->host_ = std::make_shared<plugin::host>(std::move(options));
  made->catalogue_ = std::make_unique<plugin::catalogue>(made->host_, plugin_directories(place.file->settings));
  if (auto started = made->start(access); !started)
    return std::unexpected{started.error()};
  return made;
}

result<void> spool_store::start(spool_access access) {
  auto provider = catalogue_->find(HEDWIG_STORAGE, place_.type);
  if (!provider)
    return std::unexpected{provider.error()};
  auto table = table_of(place_, access, plugin::schema_view{provider->provider->schema});
  plugin::config_source source{.file = place_.file->path,
                               .table = "storage." + place_.type,
                               .directory = std::filesystem::absolute(place_.file->path).parent_path(),
                               .host_keys = {}};
  auto checked = plugin::check_provider(host_, *provider, table, source);
  if (!checked.config)
    return std::unexpected{error{HEDWIG_E_INVALID, config::to_text(checked.errors), {}, 0}};
  auto made = plugin::instance::create(
      host_, *provider, {.name = "storage." + place_.type, .call_timeout = call_timeout}, checked.config);
  if (!made)
    return std::unexpected{made.error()};
  if (auto started = (*made)->start_and_wait(start_timeout); !started)
    return started;
  instance_ = std::move(*made);
  auto face = plugin::storage_client::make(instance_);
  if (!face)
    return std::unexpected{face.error()};
  client_ = std::move(*face);
  return {};
}

spool_store::~spool_store() {
  client_.reset();
  if (instance_)
    static_cast<void>(instance_->stop_and_wait(stop_timeout)); // what was acknowledged is on disk either way
  instance_.reset();
  if (host_)
    host_->stop();
}

template <class Outcome>
result<Outcome> spool_store::ask(const std::function<void(plugin::reply_to)>& call) {
  auto sink = std::make_shared<gathering_sink>(1);
  call({sink, 0, {}});
  auto answer = std::move(sink->wait().front());
  if (!answer)
    return std::unexpected{answer.error()};
  return std::move(plugin::as<Outcome>(*answer));
}

result<plugin::storage_listing> spool_store::list(const plugin::list_request& request) {
  return ask<plugin::storage_listing>([&](auto reply) { client_->list(request, std::move(reply)); });
}

result<plugin::storage_entry> spool_store::stat(const message_id& id) {
  return ask<plugin::storage_entry>([&](auto reply) { client_->stat(id, {}, std::move(reply)); });
}

result<plugin::storage_statistics> spool_store::stats() {
  return ask<plugin::storage_statistics>([&](auto reply) { client_->stats(std::move(reply)); });
}

bool spool_store::is_damaged() {
  auto found = stats();
  return found && found->damaged > 0;
}

result<plugin::storage_commit> spool_store::move(plugin::move_request request) {
  return ask<plugin::storage_commit>([&](auto reply) { client_->move(std::move(request), std::move(reply)); });
}

result<void> spool_store::remove(const message_id& id) {
  auto done = ask<std::monostate>([&](auto reply) { client_->remove({.id = id}, std::move(reply)); });
  return done ? result<void>{} : std::unexpected{done.error()};
}

result<void> spool_store::read(const plugin::storage_entry& entry, const body_taker& take) {
  auto wrong_size = [](std::uint64_t size) {
    return std::unexpected{
        error{HEDWIG_E_CORRUPT, "the body has another size, " + std::to_string(size) + " octets", {}, 0}};
  };
  for (std::uint64_t offset = 0; offset < entry.body_size;) {
    auto piece = ask<plugin::storage_body>([&](auto reply) {
      client_->read({.id = entry.id, .hint = entry.hint, .offset = offset, .length = checked_piece_size},
                    std::move(reply));
    });
    if (!piece)
      return std::unexpected{piece.error()};
    if (piece->body_size != entry.body_size || piece->body.empty())
      return wrong_size(piece->body.empty() ? offset : piece->body_size);
    offset += piece->body.size();
    if (auto taken = take(piece->body); !taken)
      return taken;
  }
  return {};
}

std::vector<result<plugin::outcome>> spool_store::put(std::vector<plugin::put_request> requests) {
  auto sink = std::make_shared<gathering_sink>(requests.size());
  {
    plugin::storage_client::cork together{*client_};
    for (std::size_t i = 0; i < requests.size(); ++i)
      client_->put(std::move(requests[i]), {sink, i, {}});
  }
  return sink->wait();
}

result<std::uint64_t> spool_store::stage(std::uint64_t size_hint) {
  auto made = ask<plugin::storage_stage>([&](auto reply) { client_->stage(size_hint, std::move(reply)); });
  return made ? result<std::uint64_t>{made->stage} : std::unexpected{made.error()};
}

result<void> spool_store::append(std::uint64_t stage, rope piece) {
  auto done = ask<std::monostate>([&](auto reply) { client_->append(stage, std::move(piece), std::move(reply)); });
  return done ? result<void>{} : std::unexpected{done.error()};
}

void spool_store::discard(std::uint64_t stage) {
  static_cast<void>(ask<std::monostate>([&](auto reply) { client_->discard(stage, std::move(reply)); }));
}

} // namespace hedwig::app
