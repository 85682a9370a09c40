// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/plugin/completion.hpp"
#include "runtime/plugin/host.hpp"
#include "runtime/plugin/instance.hpp"

namespace hedwig::plugin::testing {

class virtual_clock : public hedwig::clock {
public:
  wall_time wall() const noexcept override { return wall_time{now}; }
  steady_time steady() const noexcept override { return steady_time{now}; }
  std::chrono::nanoseconds now{std::chrono::hours{1}};
};

class recorded_log : public log_sink {
public:
  int level() const noexcept override { return HEDWIG_LOG_TRACE; }
  void log(const log_record& record) noexcept override {
    std::lock_guard lock{mutex};
    lines.push_back(std::string{record.instance} + ": " + std::string{record.message});
  }
  bool has(std::string_view part) {
    std::lock_guard lock{mutex};
    for (auto& line : lines) {
      if (line.find(part) != std::string::npos)
        return true;
    }
    return false;
  }
  std::mutex mutex;
  std::vector<std::string> lines;
};

/// Keeps what arrives, and how it was grouped.
class recorded_completions : public completion_sink {
public:
  void on_completions(std::span<completion> done) noexcept override {
    std::lock_guard lock{mutex};
    groups.push_back(done.size());
    for (auto& one : done)
      by_tag.emplace(one.tag, std::move(one.value));
    arrived.notify_all();
  }
  /// Waits for a number of answers; false after 20 s.
  bool wait_for(std::size_t count) {
    std::unique_lock lock{mutex};
    return arrived.wait_for(lock, std::chrono::seconds{20}, [&] { return by_tag.size() >= count; });
  }
  result<outcome>* find(std::uint64_t tag) {
    std::lock_guard lock{mutex};
    auto found = by_tag.find(tag);
    return found == by_tag.end() ? nullptr : &found->second;
  }
  /// HEDWIG_OK, the error's status, or 1 when nothing has arrived.
  hedwig_status status(std::uint64_t tag) {
    auto* there = find(tag);
    return there == nullptr ? 1 : *there ? HEDWIG_OK : there->error().status;
  }
  std::mutex mutex;
  std::condition_variable arrived;
  std::multimap<std::uint64_t, result<outcome>> by_tag;
  std::vector<std::size_t> groups;
};

/// A provider whose ops stay open until the test completes them.
struct puppet {
  const hedwig_host* host = nullptr;
  std::vector<hedwig_op*> ops;
  std::vector<hedwig_op*> cancelled;
  static inline puppet* last = nullptr;

  static hedwig_status create(const hedwig_host* host, const hedwig_config*, void** out, hedwig_error*) {
    last = new puppet{host, {}, {}};
    *out = last;
    return HEDWIG_OK;
  }
  static void at_once(void* self, hedwig_op* op) { static_cast<puppet*>(self)->finish(op); }
  static void cancel(void* self, hedwig_op* op) { static_cast<puppet*>(self)->cancelled.push_back(op); }
  static void destroy(void* self) { delete static_cast<puppet*>(self); }

  void finish(hedwig_op* op, hedwig_status status = HEDWIG_OK, const void* result = nullptr) {
    hedwig_completion done{op, status, 0, result, nullptr};
    host->complete(host, &done, 1);
  }
};

inline hedwig_provider puppet_provider(const char* interface_id, const void* table, std::uint32_t flags = 0) {
  hedwig_provider p{};
  p.struct_size = sizeof p;
  p.flags = flags;
  p.interface_id = interface_id;
  p.name = "puppet";
  p.summary = "For tests.";
  p.interface = table;
  p.create = puppet::create;
  p.start = puppet::at_once;
  p.cancel = puppet::cancel;
  p.stop = puppet::at_once;
  p.destroy = puppet::destroy;
  return p;
}

/// A host without threads over a virtual clock, and one started instance.
struct bench {
  explicit bench(const hedwig_provider& provider, instance_settings settings = {}, bool threads = false) {
    host_options options;
    if (!threads)
      options.time = &clock;
    options.log = log;
    options.threads = threads;
    services = std::make_shared<host>(std::move(options));
    owner =
        *instance::create(services, {nullptr, &provider, {}}, std::move(settings), std::make_shared<hedwig_config>());
    started = owner->start_and_wait(std::chrono::seconds{5}).has_value();
  }
  ~bench() {
    if (started)
      static_cast<void>(owner->stop_and_wait(std::chrono::seconds{5}));
  }
  void pass(std::chrono::nanoseconds time) {
    clock.now += time;
    services->run_due();
  }
  reply_to reply(std::uint64_t tag) { return {sink, tag, {}}; }

  virtual_clock clock;
  std::shared_ptr<recorded_log> log = std::make_shared<recorded_log>();
  std::shared_ptr<recorded_completions> sink = std::make_shared<recorded_completions>();
  std::shared_ptr<host> services;
  std::shared_ptr<instance> owner;
  bool started = false;
};

inline std::string environment(const char* name) {
  const auto* text = std::getenv(name);
  return text == nullptr ? std::string{} : text;
}

} // namespace hedwig::plugin::testing
