// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/instance_host.hpp"

#include <hedwig/dns.h>
#include <hedwig/plugin.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/buffer.hpp"
#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/instance.hpp"
#include "runtime/plugin/lookup_desk.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/text_view.hpp"
#include "runtime/plugin/timer_queue.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::size_t fields_max = 32;
constexpr std::size_t message_max = 4096;

std::string clean(const char* text, std::size_t size) {
  std::string out{text, strnlen(text, size)};
  std::ranges::replace_if(
      out, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return out;
}

bool counts_as_failure(hedwig_status status) {
  switch (status) {
  case HEDWIG_OK:
  case HEDWIG_E_DENIED:
  case HEDWIG_E_NOT_FOUND:
  case HEDWIG_E_EXISTS:
  case HEDWIG_E_CONFLICT:
  case HEDWIG_E_CANCELLED:
    return false;
  default:
    return true;
  }
}

bool good_metric_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() >= 'a' && name.front() <= 'z' &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

} // namespace

error error_of(hedwig_status status, const hedwig_error* described) {
  if (status > HEDWIG_OK || status < HEDWIG_E_INTERNAL)
    status = HEDWIG_E_INTERNAL;
  if (described == nullptr)
    return {status, std::string{to_string_view(status)}, {}, 0};
  auto message = clean(described->message, sizeof described->message);
  return {status, message.empty() ? std::string{to_string_view(status)} : message,
          clean(described->where, sizeof described->where), described->os_errno};
}

/// The functions behind the C tables.
struct host_table {
  static instance_host& of(const hedwig_host* raw) { return *static_cast<instance_host*>(raw->host_data); }

  static const void* get_interface(const hedwig_host* raw, const char* id);

  static int32_t log_level(const hedwig_host* raw) {
    auto& sink = of(raw).services_->options().log;
    return sink ? sink->level() : HEDWIG_LOG_ERROR + 1;
  }

  static void log(const hedwig_host* raw, const hedwig_log_record* record) {
    std::pair<std::string_view, std::string_view> fields[fields_max];
    auto count = std::min(record->field_count, fields_max);
    for (std::size_t i = 0; i < count; ++i)
      fields[i] = {text_view(record->fields[i].key), text_view(record->fields[i].value).substr(0, message_max)};
    of(raw).log(std::clamp(record->level, HEDWIG_LOG_TRACE, HEDWIG_LOG_ERROR),
                text_view(record->message).substr(0, message_max), {fields, count});
  }

  static void complete(const hedwig_host* raw, const hedwig_completion* done, size_t count) {
    of(raw).complete(done, count);
  }
  static hedwig_time_ns op_deadline(const hedwig_host* raw, const hedwig_op* op) {
    return of(raw).services_->ops().deadline(op);
  }
  static int32_t op_cancelled(const hedwig_host* raw, const hedwig_op* op) {
    return of(raw).services_->ops().given_up(op) ? 1 : 0;
  }

  static hedwig_buf* buf_alloc(const hedwig_host* raw, size_t size, uint8_t** data) {
    auto budget = of(raw).services_->options().buffer_bytes_max;
    if (size > budget || buffer_bytes_live() > budget - size)
      return nullptr;
    return buffer::allocate(size, data).release();
  }
  static hedwig_buf* buf_wrap(const hedwig_host*, const uint8_t* data, size_t size, void (*drop)(void*),
                              void* context) {
    return buffer::wrap(data, size, drop, context).release();
  }
  static void buf_retain(const hedwig_host*, hedwig_buf* buf) { buffer_retain(buf); }
  static void buf_release(const hedwig_host*, hedwig_buf* buf) { buffer_release(buf); }

  static hedwig_time_ns wall_clock(const hedwig_host* raw) {
    return of(raw).services_->time().wall().time_since_epoch().count();
  }
  static hedwig_time_ns steady_clock(const hedwig_host* raw) {
    return of(raw).services_->time().steady().time_since_epoch().count();
  }

  static hedwig_status submit(const hedwig_host* raw, void (*run)(void*), void* context) {
    auto& me = of(raw);
    auto accepted = me.owner_->run_on_worker([run, context, name = me.name_.c_str()] {
      call_scope scope{name, "worker"};
      run(context);
    });
    return accepted ? HEDWIG_OK : HEDWIG_E_BUSY;
  }

  static uint64_t timer_start(const hedwig_host* raw, hedwig_duration_ns delay, void (*fire)(void*), void* context) {
    auto& me = of(raw);
    auto due = me.services_->time().steady() + std::chrono::nanoseconds{std::max<hedwig_duration_ns>(delay, 0)};
    // One that fires while its instance ends keeps it until it has returned, as look-ups do.
    auto id = me.services_->timers().start(due, &me, [fire, context, owner = me.owner_->weak_from_this()] {
      auto alive = owner.lock();
      if (!alive)
        return;
      call_scope scope{alive->name().c_str(), "timer"};
      fire(context);
    });
    me.services_->wake();
    return id;
  }
  static int32_t timer_cancel(const hedwig_host* raw, uint64_t id) {
    return of(raw).services_->timers().cancel(id, &of(raw)) ? 1 : 0;
  }

  static hedwig_status look_up(const hedwig_host* raw, const hedwig_dns_request* request, uint64_t* id) {
    auto& me = of(raw);
    return me.services_->lookups().open(me, me.owner_->weak_from_this(), *request, id);
  }
  static int32_t lookup_cancel(const hedwig_host* raw, uint64_t id) {
    return of(raw).services_->lookups().cancel(of(raw), id) ? 1 : 0;
  }

  static uint64_t declare(const hedwig_host* raw, int32_t kind, const char* name, const char* unit, const char* help) {
    auto& me = of(raw);
    auto& sink = me.services_->options().metrics;
    if (name == nullptr || !good_metric_name(name) || kind < HEDWIG_METRIC_COUNTER || kind > HEDWIG_METRIC_HISTOGRAM)
      return 0;
    auto index = me.metric_count_.fetch_add(1);
    if (index >= me.metrics_.size()) {
      me.metric_count_.fetch_sub(1);
      return 0;
    }
    auto id = sink ? sink->declare(me.name_, kind, name, unit ? unit : "", help ? help : "") : 0;
    me.metrics_[index].store(id);
    return index + 1;
  }
  static std::uint64_t metric_id(const instance_host& me, uint64_t id) {
    return id == 0 || id > me.metrics_.size() ? 0 : me.metrics_[id - 1].load(std::memory_order_relaxed);
  }
  static void add(const hedwig_host* raw, uint64_t metric_number, double value) {
    if (auto id = metric_id(of(raw), metric_number); id != 0)
      of(raw).services_->options().metrics->add(id, value);
  }
  static void set(const hedwig_host* raw, uint64_t metric_number, double value) {
    if (auto id = metric_id(of(raw), metric_number); id != 0)
      of(raw).services_->options().metrics->set(id, value);
  }
};

const void* host_table::get_interface(const hedwig_host* raw, const char* id) {
  static constexpr hedwig_host_worker worker{sizeof worker, 0, submit};
  static constexpr hedwig_host_timer timer{sizeof timer, 0, timer_start, timer_cancel};
  static constexpr hedwig_host_metric metric{sizeof metric, 0, declare, add, set};
  static constexpr hedwig_host_dns dns{sizeof dns, 0, look_up, lookup_cancel};
  std::string_view wanted{id};
  if (wanted == HEDWIG_HOST_CONFIG)
    return config_service();
  if (wanted == HEDWIG_HOST_METRIC)
    return &metric;
  if (of(raw).owner_ == nullptr)
    return nullptr;
  if (wanted == HEDWIG_HOST_WORKER)
    return &worker;
  if (wanted == HEDWIG_HOST_DNS)
    return of(raw).services_->lookups().available() ? &dns : nullptr;
  return wanted == HEDWIG_HOST_TIMER ? &timer : nullptr;
}

instance_host::instance_host(std::shared_ptr<host> services, std::string name, instance* owner)
  : services_{std::move(services)}, name_{std::move(name)}, owner_{owner}, metrics_(services_->options().metrics_max) {
  raw_ = {.struct_size = sizeof raw_,
          .abi_major = HEDWIG_ABI_MAJOR,
          .abi_minor = HEDWIG_ABI_MINOR,
          .host_data = this,
          .product = "hedwig",
          .version = services_->options().version.c_str(),
          .get_interface = host_table::get_interface,
          .log_level = host_table::log_level,
          .log = host_table::log,
          .complete = host_table::complete,
          .op_deadline = host_table::op_deadline,
          .op_cancelled = host_table::op_cancelled,
          .buf_alloc = host_table::buf_alloc,
          .buf_wrap = host_table::buf_wrap,
          .buf_retain = host_table::buf_retain,
          .buf_release = host_table::buf_release,
          .wall_clock = host_table::wall_clock,
          .steady_clock = host_table::steady_clock};
}

void instance_host::count_wrong() {
  counts.wrong.fetch_add(1, std::memory_order_relaxed);
  if (owner_ != nullptr)
    owner_->count_false_completion();
}

void instance_host::count_faults(std::uint64_t wrong, std::uint64_t malformed) {
  counts.malformed.fetch_add(malformed, std::memory_order_relaxed);
  counts.wrong.fetch_add(wrong, std::memory_order_relaxed);
  if (wrong > 0 && owner_ != nullptr)
    owner_->count_false_completion();
}

void instance_host::count_end(pending_op& op, bool late, const error* failure, bool malformed) {
  counts.finished.fetch_add(1, std::memory_order_relaxed);
  op.ended = services_->time().steady();
  call_times.observe(std::chrono::duration<double>(op.ended - op.began).count());
  if (failure != nullptr)
    counts.failures.fetch_add(1, std::memory_order_relaxed);
  if (late) {
    counts.late.fetch_add(1, std::memory_order_relaxed);
    counts.owed_late.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  (failure != nullptr ? counts.failed : counts.answered).fetch_add(1, std::memory_order_relaxed);
  owner_->ended(op, failure, malformed);
}

bool instance_host::passed_here(const hedwig_completion& one) {
  auto* waiting = one.status == HEDWIG_OK && one.result == nullptr ? inline_answer::to(one.op) : nullptr;
  if (waiting == nullptr)
    return false;
  auto [op, late] = services_->ops().claim(one.op, owner_, true);
  if (!op) {
    count_wrong();
    return true;
  }
  count_end(*op, late, nullptr, false);
  if (late)
    op->settled(true);
  else
    waiting->pass();
  waiting->take(std::move(op));
  return true;
}

void instance_host::complete(const hedwig_completion* done, std::size_t count) {
  if (count == 1 && passed_here(*done))
    return;
  completing_scope below;
  delivery answers;
  // What the plugin was shown lives until its call has returned.
  std::vector<std::unique_ptr<pending_op>> ended;
  ended.reserve(count);
  for (auto& one : std::span{done, count}) {
    auto* waiting = inline_answer::to(one.op);
    auto [op, late] = services_->ops().claim(one.op, owner_, waiting != nullptr);
    if (!op) {
      count_wrong();
      continue;
    }
    auto value = one.status == HEDWIG_OK ? op->decode(one.result) : std::unexpected{error_of(one.status, one.error)};
    const auto failed = !value && counts_as_failure(value.error().status);
    count_end(*op, late, failed ? &value.error() : nullptr, failed && one.status == HEDWIG_OK);
    if (!late && waiting != nullptr)
      waiting->answer(std::move(value));
    else if (!late)
      answers.add(std::move(op->reply), std::move(value));
    op->settled(late);
    if (waiting != nullptr)
      waiting->take(std::move(op));
    else
      ended.push_back(std::move(op));
  }
  answers.send();
}

} // namespace hedwig::plugin
