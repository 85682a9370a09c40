// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/instance.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "runtime/plugin/isolated.hpp"
#include "runtime/plugin/lookup_desk.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/timer_queue.hpp"
#include "runtime/plugin/worker_pool.hpp"

namespace hedwig::plugin {

namespace {

/// start, reload, stop: no result; `on_ok` runs when the provider answers OK, in time or not.
class control_op : public pending_op {
public:
  result<outcome> decode(const void*) override {
    if (on_ok)
      on_ok();
    return std::monostate{};
  }
  std::move_only_function<void()> on_ok;
  std::shared_ptr<const hedwig_config> config;
};

class waiting_sink : public completion_sink {
public:
  void on_completions(std::span<completion> done) noexcept override {
    std::lock_guard lock{mutex_};
    answer_ = std::move(done.front().value);
    there_.notify_all();
  }
  /// Without threads the clock may be virtual and the answer may come from a thread of the plugin's: poll a real one.
  result<void> wait(host& services) {
    std::unique_lock lock{mutex_};
    if (services.options().threads) {
      there_.wait(lock, [&] { return answer_.has_value(); });
    } else {
      for (int i = 0; !answer_ && i < 30'000; ++i) {
        lock.unlock();
        services.run_due();
        lock.lock();
        there_.wait_for(lock, std::chrono::milliseconds{1}, [&] { return answer_.has_value(); });
      }
    }
    if (!answer_)
      return std::unexpected{error{HEDWIG_E_TIMEOUT, "the provider did not answer", {}, 0}};
    if (!*answer_)
      return std::unexpected{answer_->error()};
    return {};
  }

private:
  std::mutex mutex_;
  std::condition_variable there_;
  std::optional<result<outcome>> answer_;
};

} // namespace

instance::instance(std::shared_ptr<host> services, provider_ref provider, instance_settings settings)
  : services_{std::move(services)}, provider_{std::move(provider)}, settings_{std::move(settings)},
    host_{std::make_unique<instance_host>(services_, settings_.name, this)} {
  for (std::size_t i = 0; i < call_kinds; ++i)
    breakers_.push_back(std::make_unique<guarded_kind>(settings_.breaker_failures, settings_.breaker_delay));
  if (services_->options().threads) {
    control_ = std::make_unique<worker_pool>(1, 16, settings_.name);
    workers_ = std::make_unique<worker_pool>(std::max(settings_.workers, 1U), settings_.max_pending, settings_.name);
  } else {
    workers_ = std::make_unique<worker_pool>(0, settings_.max_pending, settings_.name);
  }
}

result<std::shared_ptr<instance>> instance::create(std::shared_ptr<host> services, provider_ref provider,
                                                   instance_settings settings,
                                                   std::shared_ptr<const hedwig_config> config) {
  if (settings.name.empty())
    settings.name = provider.label();
  std::shared_ptr<isolated_provider> apart;
  if (settings.own_process) {
    auto isolated = isolated_provider::make(services, provider, settings);
    if (!isolated)
      return std::unexpected{isolated.error()};
    apart = std::move(*isolated);
    provider = apart->ref();
    settings.own_threads = false;
  }
  std::shared_ptr<instance> made{new instance(std::move(services), std::move(provider), std::move(settings))};
  made->config_ = std::move(config);
  made->apart_ = std::move(apart);
  hedwig_error why{};
  isolated_provider::creating for_this{made->apart_.get()};
  call_scope scope{made->settings_.name.c_str(), "create"};
  auto status = made->provider_.provider->create(made->host_->raw(), made->config_.get(), &made->self_, &why);
  if (status != HEDWIG_OK) {
    made->phase_ = phase::stopped;
    made->self_ = nullptr;
    return std::unexpected{error_of(status, &why)};
  }
  return made;
}

instance::~instance() {
  services_->lookups().drop_all(*host_);
  if (phase_ == phase::started) {
    host_->log(HEDWIG_LOG_WARN, "abandoned without having been stopped");
    static_cast<void>(host_.release());
    return;
  }
  workers_.reset();
  control_.reset();
  services_->timers().cancel_all(host_.get());
  if (self_ == nullptr)
    return;
  call_scope scope{settings_.name.c_str(), "destroy"};
  provider_.provider->destroy(self_);
}

void instance::control(const char* call, reply_to reply, std::shared_ptr<const hedwig_config> config,
                       void (*run)(instance&, hedwig_op*, const hedwig_config*)) {
  auto op = std::make_unique<control_op>();
  op->name = call;
  op->guarded = false;
  op->reply = std::move(reply);
  op->config = std::move(config);
  auto* raw_config = op->config.get();
  if (std::string_view{call} == "start")
    op->on_ok = [this] { phase_ = phase::started; };
  if (std::string_view{call} == "stop") {
    op->on_ok = [this] {
      phase_ = phase::stopped;
      services_->timers().cancel_all(host_.get());
      services_->lookups().drop_all(*host_);
    };
  }
  if (std::string_view{call} == "reload")
    op->on_ok = [this, kept = op->config]() mutable { config_ = std::move(kept); };
  auto* handle = open(std::move(op));
  if (handle == nullptr)
    return;
  auto work = [self = shared_from_this(), handle, call, raw_config, run] {
    if (self->begin(handle) == nullptr)
      return;
    call_scope scope{self->settings_.name.c_str(), call};
    run(*self, handle, raw_config);
  };
  if (control_)
    control_->submit(std::move(work), true);
  else
    services_->post(std::move(work));
}

void instance::start(reply_to reply) {
  control("start", std::move(reply), nullptr,
          [](instance& me, hedwig_op* op, const hedwig_config*) { me.provider_.provider->start(me.self_, op); });
}

void instance::reload(std::shared_ptr<const hedwig_config> config, reply_to reply) {
  if (provider_.provider->reload == nullptr)
    return deliver(std::move(reply), std::unexpected{error{HEDWIG_E_UNSUPPORTED, "takes new settings at a restart only",
                                                           settings_.name, 0}});
  control("reload", std::move(reply), std::move(config), [](instance& me, hedwig_op* op, const hedwig_config* table) {
    me.provider_.provider->reload(me.self_, op, table);
  });
}

void instance::stop(reply_to reply) {
  control("stop", std::move(reply), nullptr,
          [](instance& me, hedwig_op* op, const hedwig_config*) { me.provider_.provider->stop(me.self_, op); });
}

result<void> instance::wait_for(const std::function<void(reply_to)>& call, std::chrono::nanoseconds timeout) {
  auto sink = std::make_shared<waiting_sink>();
  call({sink, 0, timeout});
  return sink->wait(*services_);
}

result<void> instance::start_and_wait(std::chrono::nanoseconds timeout) {
  return wait_for([this](reply_to reply) { start(std::move(reply)); }, timeout);
}

result<void> instance::reload_and_wait(std::shared_ptr<const hedwig_config> config, std::chrono::nanoseconds timeout) {
  return wait_for([&](reply_to reply) { reload(std::move(config), std::move(reply)); }, timeout);
}

result<void> instance::stop_and_wait(std::chrono::nanoseconds timeout) {
  auto stopped = wait_for([this](reply_to reply) { stop(std::move(reply)); }, timeout);
  // The jobs hold references: without them destroy() runs where the caller drops the last one.
  if (control_ && stopped) {
    control_->wait_idle();
    workers_->wait_idle();
  }
  return stopped;
}

instance_counters instance::counters() const noexcept {
  auto& c = host_->counts;
  const std::uint64_t finished = c.finished; // first, so that it is never above the other
  const std::uint64_t calls = c.calls;
  return {.calls = calls,
          .failures = c.failures,
          .timeouts = c.timeouts,
          .late_completions = c.late,
          .false_completions = c.wrong,
          .in_flight = calls - finished,
          .busy = c.busy,
          .answered = c.answered,
          .failed = c.failed,
          .malformed = c.malformed,
          .refused = c.refused,
          .owed_late = c.owed_late};
}

breaker_summary instance::breaker_now() const {
  breaker_summary all;
  auto now = services_->time().steady();
  for (auto& one : breakers_) {
    auto seen = one->guard.look(now);
    all.opened += seen.opened;
    all.failures = std::max(all.failures, seen.failures);
    if (seen.state == breaker_state::closed)
      continue;
    if (seen.state == breaker_state::open)
      all.left = all.state == breaker_state::open ? std::min(all.left, seen.left) : seen.left;
    all.state = all.state == breaker_state::open ? all.state : seen.state;
    all.calls.emplace_back(one->call.load());
  }
  return all;
}

std::optional<isolation_view> instance::process() const {
  return apart_ ? std::optional{apart_->look()} : std::nullopt;
}

std::optional<instance_failure> instance::last_failure() const {
  std::lock_guard lock{last_mutex_};
  return last_;
}

void instance::remember(const char* call, std::string what) {
  std::lock_guard lock{last_mutex_};
  last_ = instance_failure{call, std::move(what), services_->time().wall()};
}

error instance::breaker_error() const {
  std::string last;
  if (auto failure = last_failure())
    last = ", the last one in " + failure->call + ": " + failure->what;
  return {HEDWIG_E_UNAVAILABLE, "not asked: it kept failing and rests" + last, name(), 0};
}

std::optional<error> instance::refusal(std::uint8_t kind) const {
  auto& guard = breakers_[kind]->guard;
  if (guard.at_ease() || !guard.refuses(services_->time().steady()))
    return std::nullopt;
  host_->counts.refused.fetch_add(1, std::memory_order_relaxed);
  return breaker_error();
}

void instance::report(const pending_op& call, breaker::end how) {
  auto& guard = breakers_[call.kind]->guard;
  if (how == breaker::end::good && guard.at_ease())
    return;
  auto changed = guard.report(call.admission, how, services_->time().steady());
  if (changed == breaker::change::none)
    return;
  static constexpr telemetry::event opened{"provider.breaker-open",
                                           "this call keeps failing and is not made for a while; then one tries it"};
  static constexpr telemetry::event closed{"provider.breaker-closed", "this call is answered again"};
  if (changed == breaker::change::closed) {
    const std::pair<std::string_view, std::string_view> fields[] = {{"call", call.name}};
    return services_->report(HEDWIG_LOG_INFO, closed, name(), fields);
  }
  auto last = last_failure().value_or(instance_failure{});
  auto failures = std::to_string(guard.look(services_->time().steady()).failures);
  auto rest = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(settings_.breaker_delay).count());
  const std::pair<std::string_view, std::string_view> fields[] = {
      {"call", call.name}, {"failures", failures}, {"for_ms", rest}, {"error", last.what}};
  services_->report(HEDWIG_LOG_ERROR, opened, name(), fields);
}

void instance::ended(const pending_op& call, const error* why, bool malformed) {
  if (why == nullptr)
    return report(call, breaker::end::good);
  if (malformed)
    host_->counts.malformed.fetch_add(1, std::memory_order_relaxed);
  remember(call.name, why->text());
  report(call, why->status == HEDWIG_E_BUSY ? breaker::end::neutral : breaker::end::bad);
}

void instance::count_timeout(const pending_op& call) {
  host_->counts.timeouts.fetch_add(1, std::memory_order_relaxed);
  host_->counts.owed_late.fetch_add(1, std::memory_order_relaxed);
  static constexpr telemetry::event late{"provider.timeout", "a call was given up at its deadline"};
  const std::pair<std::string_view, std::string_view> fields[] = {{"call", call.name}};
  services_->report(HEDWIG_LOG_WARN, late, name(), fields);
  remember(call.name, "no answer within its deadline");
  report(call, breaker::end::bad);
}

void instance::count_false_completion() {
  static constexpr telemetry::event ignored{
      "provider.false-completion", "it completed a request that is not open, perhaps twice: a bug of the plugin's"};
  auto now = services_->time().steady();
  {
    std::lock_guard lock{last_mutex_};
    if (false_completion_said_ != steady_time{} && now - false_completion_said_ < std::chrono::seconds{10})
      return;
    false_completion_said_ = now;
  }
  auto so_far = std::to_string(host_->counts.wrong.load());
  const std::pair<std::string_view, std::string_view> fields[] = {{"so_far", so_far}};
  services_->report(HEDWIG_LOG_ERROR, ignored, name(), fields);
}

const telemetry::histogram& instance::call_times() const noexcept { return host_->call_times; }

std::size_t instance::waiting() const { return workers_->queued(); }

hedwig_op* instance::open(std::unique_ptr<pending_op> call, std::optional<op_table::kept_slot> slot) {
  call->began = call->reply.now != steady_time{} ? call->reply.now : services_->time().steady();
  auto turn_away = [&](error why) {
    call->settled(false);
    deliver(std::move(call->reply), std::unexpected{std::move(why)});
    return nullptr;
  };
  if (call->guarded) {
    auto& of = *breakers_[call->kind];
    of.call.store(call->name, std::memory_order_relaxed);
    auto admission = of.guard.admit(call->began);
    if (!admission) {
      host_->counts.refused.fetch_add(1, std::memory_order_relaxed);
      return turn_away(breaker_error());
    }
    call->admission = *admission;
  }
  auto timeout = call->reply.timeout.count() > 0 ? call->reply.timeout : settings_.call_timeout;
  if (!call->owner)
    call->owner = shared_from_this();
  auto calls = host_->counts.calls.fetch_add(1, std::memory_order_relaxed);
  // Less than none when others have begun and finished meanwhile.
  auto owed = static_cast<std::int64_t>(calls - host_->counts.finished.load(std::memory_order_relaxed));
  auto room = owed < 0 || static_cast<std::uint64_t>(owed) < settings_.max_calls;
  if (room || !call->guarded)
    if (auto* handle = slot ? services_->ops().open(call, call->began + timeout, *slot)
                            : services_->ops().open(call, call->began + timeout))
      return handle;
  host_->counts.finished.fetch_add(1, std::memory_order_relaxed);
  host_->counts.busy.fetch_add(1, std::memory_order_relaxed);
  report(*call, breaker::end::neutral);
  return turn_away({HEDWIG_E_BUSY,
                    room ? "too many plugin calls in flight" : "it owes answers to as many calls as it may (max_calls)",
                    name(), 0});
}

pending_op* instance::begin(hedwig_op* op) {
  auto* call = services_->ops().begin(op);
  if (call == nullptr) {
    host_->counts.finished.fetch_add(1, std::memory_order_relaxed);
    host_->counts.owed_late.fetch_sub(1, std::memory_order_relaxed);
  }
  return call;
}

void instance::refuse(hedwig_op* op, error why) {
  auto* waiting = inline_answer::to(op);
  auto [call, late] = services_->ops().claim(op, this, waiting != nullptr);
  if (!call)
    return;
  host_->counts.finished.fetch_add(1, std::memory_order_relaxed);
  if (why.status == HEDWIG_E_BUSY)
    host_->counts.busy.fetch_add(1, std::memory_order_relaxed);
  call->settled(late);
  if (late) {
    host_->counts.owed_late.fetch_sub(1, std::memory_order_relaxed);
  } else {
    if (why.status == HEDWIG_E_BUSY)
      report(*call, breaker::end::neutral);
    else
      ended(*call, &why, false);
    if (waiting != nullptr)
      waiting->answer(std::unexpected{std::move(why)});
    else
      deliver(std::move(call->reply), std::unexpected{std::move(why)});
  }
  if (waiting != nullptr)
    waiting->take(std::move(call));
}

void instance::cancel(hedwig_op* op) {
  if (provider_.provider->cancel == nullptr)
    return;
  call_scope scope{settings_.name.c_str(), "cancel"};
  provider_.provider->cancel(self_, op);
}

void instance::submit(std::unique_ptr<pending_op> call, std::move_only_function<void(hedwig_op*, pending_op&)> make) {
  const auto* what = call->name;
  auto* handle = open(std::move(call));
  if (handle == nullptr)
    return;
  if (phase_ != phase::started)
    return refuse(handle, {HEDWIG_E_UNAVAILABLE, "the provider is not running", name(), 0});
  auto work = [self = shared_from_this(), handle, what, make = std::move(make)]() mutable {
    auto* shown = self->begin(handle);
    if (shown == nullptr)
      return;
    call_scope scope{self->settings_.name.c_str(), what};
    make(handle, *shown);
  };
  if (!blocking())
    return work();
  if (!run_on_worker(std::move(work)))
    refuse(handle, {HEDWIG_E_BUSY, "too many calls wait for a worker", name(), 0});
}

bool instance::run_on_worker(std::move_only_function<void()> work, bool always) {
  if (!workers_->submit(std::move(work), always))
    return false;
  if (!services_->options().threads)
    services_->post([self = shared_from_this()] { self->workers_->run_queued(); });
  return true;
}

checked check_provider(const std::shared_ptr<host>& services, const provider_ref& provider, const config::node& table,
                       const config_source& source) {
  auto out = check_config(table, provider.provider->schema, source);
  if (!out.config || provider.provider->validate == nullptr)
    return out;
  instance_host face{services, provider.label(), nullptr};
  hedwig_error why{};
  auto label = provider.label();
  call_scope scope{label.c_str(), "validate"};
  if (auto status = provider.provider->validate(face.raw(), out.config.get(), &why); status != HEDWIG_OK) {
    auto described = error_of(status, &why);
    out.errors.push_back(diagnostic_at(table, source, described.where, described.message));
    out.config = nullptr;
  }
  return out;
}

} // namespace hedwig::plugin
