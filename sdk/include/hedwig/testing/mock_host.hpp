// SPDX-License-Identifier: Apache-2.0
// hedwig/testing/mock_host.hpp - a host for the unit tests of a plugin: its clock stands still until a test lets time
// pass, and it writes down what the plugin does.
#pragma once

#include <arpa/inet.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "buffers.hpp"
#include "settings.hpp"
#include <hedwig/dns.h>
#include <hedwig/plugin.hpp>

/// One request under way. Its memory lives as long as the mock host, so that a second completion can be told.
struct hedwig_op {
  hedwig_op() = default;
  hedwig_op(const hedwig_op&) = delete;
  hedwig_op& operator=(const hedwig_op&) = delete;
  virtual ~hedwig_op() = default;
  /// Copies what a completion with HEDWIG_OK brings; false when a result is missing or wrong.
  virtual bool take(const void* /*result*/) { return true; }

  int completions = 0;
  hedwig_status status = 1; ///< 1: not completed
  std::string message;
  std::string where;
  hedwig_time_ns deadline = 0;
  std::atomic<bool> cancelled{false};
};

namespace hedwig::sdk::testing {

/// The host. A test calls it on its own thread; the plugin may call its table on any. Timers, work for workers and DNS
/// answers run on the test's thread, inside run_due() and pass(), and whenever the test waits for an answer.
class mock_host {
public:
  /// How long an answer is waited for that threads of the plugin owe, in real time.
  static constexpr std::chrono::seconds wait_max{30};

  mock_host() {
    table_.struct_size = sizeof table_;
    table_.abi_major = HEDWIG_ABI_MAJOR;
    table_.abi_minor = HEDWIG_ABI_MINOR;
    table_.host_data = this;
    table_.product = "hedwig-mock-host";
    table_.version = "0";
    table_.get_interface = &find_service;
    table_.log_level = [](const hedwig_host*) -> std::int32_t { return HEDWIG_LOG_TRACE; };
    table_.log = [](const hedwig_host* raw, const hedwig_log_record* record) { self(raw).write_log(*record); };
    table_.complete = [](const hedwig_host* raw, const hedwig_completion* done, std::size_t count) {
      self(raw).complete(done, count);
    };
    table_.op_deadline = [](const hedwig_host*, const hedwig_op* op) { return op->deadline; };
    table_.op_cancelled = [](const hedwig_host*, const hedwig_op* op) -> std::int32_t { return op->cancelled ? 1 : 0; };
    table_.buf_alloc = buffers::allocate;
    table_.buf_wrap = buffers::wrap;
    table_.buf_retain = buffers::retain;
    table_.buf_release = buffers::release;
    table_.wall_clock = [](const hedwig_host* raw) -> hedwig_time_ns { return self(raw).wall_; };
    table_.steady_clock = [](const hedwig_host* raw) -> hedwig_time_ns { return self(raw).steady_; };
  }
  ~mock_host() {
    for (auto& one : faults())
      std::fprintf(stderr, "mock host: %s\n", one.c_str());
  }
  mock_host(const mock_host&) = delete;
  mock_host& operator=(const mock_host&) = delete;

  const hedwig_host* raw() const noexcept { return &table_; }

  // ---- time ----

  /// Lets time pass on both clocks: timers fire in their order, each at its own time.
  void pass(std::chrono::nanoseconds by) {
    auto end = steady_ + by.count();
    run_due();
    while (auto due = next_timer(end)) {
      set_time(*due);
      run_due();
    }
    set_time(end);
    run_due();
  }
  /// Sets the wall clock alone, as an administrator might.
  void jump(std::chrono::nanoseconds by) { wall_ += by.count(); }
  /// Runs what waits for workers, the DNS answers that are there, and the timers that are due, until nothing is left.
  void run_due() {
    while (run_one()) {
    }
  }
  /// False when wait_max of real time has passed before `holds` did; it is asked under a lock.
  bool wait_until(const std::function<bool()>& holds) {
    auto end = std::chrono::steady_clock::now() + wait_max;
    for (;;) {
      run_due();
      std::unique_lock guard{mutex_};
      if (changed_.wait_for(guard, std::chrono::milliseconds{2}, holds))
        return true;
      if (std::chrono::steady_clock::now() > end)
        return false;
    }
  }

  // ---- what the plugin did ----

  struct log_line {
    int level;
    std::string text; ///< "users loaded count=3"
  };
  std::vector<log_line> logs() {
    std::lock_guard guard{mutex_};
    return logs_;
  }
  /// A line of at least `level` holds `part`.
  bool logged(std::string_view part, int level = HEDWIG_LOG_TRACE) {
    std::lock_guard guard{mutex_};
    for (auto& one : logs_)
      if (one.level >= level && one.text.find(part) != std::string::npos)
        return true;
    return false;
  }
  /// The sum, the last value set, or of a histogram the number of observations; 0 when nobody declared it.
  double metric(const std::string& name) {
    std::lock_guard guard{mutex_};
    for (auto& one : metrics_)
      if (one.name == name)
        return one.kind == HEDWIG_METRIC_HISTOGRAM ? one.observations : one.value;
    return 0;
  }
  std::size_t timers_pending() {
    std::lock_guard guard{mutex_};
    return timers_.size();
  }
  /// Buffers that somebody still holds, in the whole process.
  static std::int64_t buffers_alive() noexcept { return buffers::alive; }
  /// Where the plugin broke the contract: a second completion, an unknown status, a result that is none.
  std::vector<std::string> faults() {
    std::lock_guard guard{mutex_};
    auto all = faults_;
    if (buffers::released_too_often)
      all.emplace_back("a buffer was released more often than it was retained");
    return all;
  }

  // ---- scripted DNS ----

  /// Names that no script knows do not exist. The last answer given for a name and type stands.
  void answer_dns(int type, std::string_view name, std::vector<std::string> records,
                  std::chrono::seconds ttl = std::chrono::seconds{300}, bool secure = false) {
    script_dns(type, name, {HEDWIG_DNS_FOUND, std::move(records), ttl, secure});
  }
  /// HEDWIG_DNS_NO_DATA, HEDWIG_DNS_FAILED and so on.
  void fail_dns(int type, std::string_view name, int outcome) { script_dns(type, name, {outcome, {}, {}, false}); }
  /// No answer before the look-up's deadline, or 30 s.
  void silence_dns(int type, std::string_view name) { script_dns(type, name, {HEDWIG_DNS_TIMEOUT, {}, {}, false}); }
  /// From now on get_interface has no look-ups.
  void take_dns_away() { has_dns_ = false; }

  // ---- for those who drive a provider ----

  std::mutex& mutex() noexcept { return mutex_; }
  /// Keeps the op to the end.
  template <class Op>
  Op& open(std::unique_ptr<Op> made) {
    auto& kept = *made;
    kept.deadline = steady_ + call_timeout.count();
    std::lock_guard guard{mutex_};
    ops_.push_back(std::move(made));
    return kept;
  }
  void note_fault(std::string what) {
    std::lock_guard guard{mutex_};
    faults_.push_back(std::move(what));
  }
  /// The deadline that ops carry; passing it does nothing by itself: a test cancels the call.
  std::chrono::nanoseconds call_timeout = std::chrono::seconds{30};

private:
  using work = std::function<void()>;
  struct scripted {
    int outcome;
    std::vector<std::string> records;
    std::chrono::seconds ttl;
    bool secure;
  };
  struct timer {
    hedwig_time_ns due;
    work fire;
  };
  struct series {
    std::string name;
    int kind;
    double value = 0;
    double observations = 0;
  };

  static mock_host& self(const hedwig_host* raw) { return *static_cast<mock_host*>(raw->host_data); }

  static const void* find_service(const hedwig_host* raw, const char* id) {
    static const hedwig_host_worker worker{
        sizeof worker, 0, [](const hedwig_host* h, void (*run)(void*), void* context) -> hedwig_status {
          std::lock_guard guard{self(h).mutex_};
          if (self(h).jobs_.size() >= 1000)
            return HEDWIG_E_BUSY;
          self(h).jobs_.push_back([run, context] { run(context); });
          return HEDWIG_OK;
        }};
    static const hedwig_host_timer timers{
        sizeof timers, 0,
        [](const hedwig_host* h, hedwig_duration_ns delay, void (*fire)(void*), void* context) {
          return self(h).add_timer(self(h).steady_ + delay, [fire, context] { fire(context); });
        },
        [](const hedwig_host* h, std::uint64_t id_) -> std::int32_t { return self(h).erase_timer(id_) ? 1 : 0; }};
    static const hedwig_host_metric metrics{
        sizeof metrics, 0,
        [](const hedwig_host* h, std::int32_t kind, const char* name, const char*, const char*) -> std::uint64_t {
          std::lock_guard guard{self(h).mutex_};
          self(h).metrics_.push_back({name, kind});
          return self(h).metrics_.size();
        },
        [](const hedwig_host* h, std::uint64_t metric, double value) { self(h).count(metric, value, false); },
        [](const hedwig_host* h, std::uint64_t metric, double value) { self(h).count(metric, value, true); }};
    static const hedwig_host_dns dns{
        sizeof dns, 0, &look_up,
        [](const hedwig_host* h, std::uint64_t id_) -> std::int32_t { return self(h).erase_timer(id_) ? 1 : 0; }};
    std::string_view wanted{id};
    if (wanted == HEDWIG_HOST_CONFIG)
      return &settings_table();
    if (wanted == HEDWIG_HOST_WORKER)
      return &worker;
    if (wanted == HEDWIG_HOST_TIMER)
      return &timers;
    if (wanted == HEDWIG_HOST_METRIC)
      return &metrics;
    return wanted == HEDWIG_HOST_DNS && self(raw).has_dns_ ? &dns : nullptr;
  }

  void count(std::uint64_t metric, double value, bool set) {
    std::lock_guard guard{mutex_};
    if (metric == 0 || metric > metrics_.size())
      return;
    auto& one = metrics_[metric - 1];
    one.value = set ? value : one.value + value;
    ++one.observations;
  }

  // ---- timers and work ----

  std::uint64_t add_timer(hedwig_time_ns due, work fire) {
    std::lock_guard guard{mutex_};
    timers_.emplace(++last_id_, timer{due, std::move(fire)});
    return last_id_;
  }
  bool erase_timer(std::uint64_t id) {
    std::lock_guard guard{mutex_};
    return timers_.erase(id) != 0;
  }
  std::map<std::uint64_t, timer>::iterator earliest() {
    auto first = timers_.begin();
    for (auto at = timers_.begin(); at != timers_.end(); ++at)
      if (at->second.due < first->second.due)
        first = at;
    return first;
  }
  std::optional<hedwig_time_ns> next_timer(hedwig_time_ns end) {
    std::lock_guard guard{mutex_};
    auto first = earliest();
    if (first == timers_.end() || first->second.due > end)
      return std::nullopt;
    return std::max<hedwig_time_ns>(first->second.due, steady_);
  }
  bool run_one() {
    work next;
    {
      std::lock_guard guard{mutex_};
      if (!jobs_.empty()) {
        next = std::move(jobs_.front());
        jobs_.pop_front();
      } else if (auto first = earliest(); first != timers_.end() && first->second.due <= steady_) {
        next = std::move(first->second.fire);
        timers_.erase(first);
      }
    }
    if (next)
      next();
    return static_cast<bool>(next);
  }
  void set_time(hedwig_time_ns steady) {
    wall_ += steady - steady_;
    steady_ = steady;
  }

  // ---- look-ups: each is a timer that is due at once, or at its deadline ----

  static std::string plain_name(std::string_view name) {
    if (name.ends_with('.'))
      name.remove_suffix(1);
    std::string out{name};
    for (auto& c : out)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
  }
  void script_dns(int type, std::string_view name, scripted what) {
    std::lock_guard guard{mutex_};
    dns_.insert_or_assign({type, plain_name(name)}, std::move(what));
  }
  static hedwig_status look_up(const hedwig_host* raw, const hedwig_dns_request* request, std::uint64_t* id) {
    auto& me = self(raw);
    auto name = plain_name(view(request->name));
    if (name.empty() || request->answered == nullptr)
      return HEDWIG_E_INVALID;
    scripted found{HEDWIG_DNS_NXDOMAIN, {}, {}, false};
    {
      std::lock_guard guard{me.mutex_};
      if (auto at = me.dns_.find({request->type, name}); at != me.dns_.end())
        found = at->second;
    }
    constexpr hedwig_time_ns limit = 30'000'000'000;
    auto last = request->deadline == 0 ? me.steady_ + limit : request->deadline;
    auto made = me.add_timer(found.outcome == HEDWIG_DNS_TIMEOUT ? last : me.steady_.load(),
                             [type = request->type, found, done = request->answered, context = request->context] {
                               give_answer(type, found, done, context);
                             });
    if (id != nullptr)
      *id = made;
    return HEDWIG_OK;
  }
  static void give_answer(int type, const scripted& found, void (*done)(void*, const hedwig_dns_answer*),
                          void* context) {
    std::vector<hedwig_dns_record> records;
    std::deque<std::array<std::uint8_t, 16>> bytes_of;
    for (auto& text : found.records) {
      hedwig_dns_record one{{}, str(text), 0, 0};
      auto& data = bytes_of.emplace_back();
      if (type == HEDWIG_DNS_A && ::inet_pton(AF_INET, text.c_str(), data.data()) == 1)
        one.data = {data.data(), 4};
      if (type == HEDWIG_DNS_AAAA && ::inet_pton(AF_INET6, text.c_str(), data.data()) == 1)
        one.data = {data.data(), 16};
      // An MX is written with its preference: "10 mx.example.org".
      if (auto blank = text.find(' '); type == HEDWIG_DNS_MX && blank != text.npos) {
        one.preference = static_cast<std::uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
        one.text = str(std::string_view{text}.substr(blank + 1));
      }
      records.push_back(one);
    }
    const hedwig_dns_answer answer{sizeof answer,
                                   found.outcome,
                                   found.secure ? HEDWIG_DNS_SECURE : 0,
                                   static_cast<std::uint32_t>(records.size()),
                                   records.data(),
                                   std::chrono::nanoseconds{found.ttl}.count(),
                                   str(found.outcome == HEDWIG_DNS_FOUND ? "" : "as the test says")};
    done(context, &answer);
  }

  // ---- logs and completions ----

  void write_log(const hedwig_log_record& record) {
    std::string text{view(record.message)};
    for (std::size_t i = 0; i < record.field_count; ++i)
      text += " " + std::string{view(record.fields[i].key)} + "=" + std::string{view(record.fields[i].value)};
    std::lock_guard guard{mutex_};
    logs_.push_back({record.level, std::move(text)});
  }

  void complete(const hedwig_completion* done, std::size_t count) {
    std::lock_guard guard{mutex_};
    for (std::size_t i = 0; i < count; ++i) {
      auto& op = *done[i].op;
      if (op.completions++ != 0) {
        faults_.emplace_back("a request was completed twice");
        continue;
      }
      op.status = done[i].status;
      if (op.status > HEDWIG_OK || op.status < HEDWIG_E_INTERNAL)
        faults_.emplace_back("a request was completed with a status that base.h does not define");
      if (done[i].error != nullptr) {
        op.message = done[i].error->message;
        op.where = done[i].error->where;
      }
      if (op.status == HEDWIG_OK && !op.take(done[i].result))
        faults_.emplace_back("a request was completed with HEDWIG_OK and no usable result");
    }
    changed_.notify_all();
  }

  hedwig_host table_{};
  std::atomic<hedwig_time_ns> wall_{1'767'225'600'000'000'000}; // 2026-01-01T00:00:00Z
  std::atomic<hedwig_time_ns> steady_{3'600'000'000'000};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<hedwig_op>> ops_;
  std::vector<log_line> logs_;
  std::vector<std::string> faults_;
  std::vector<series> metrics_;
  std::map<std::pair<int, std::string>, scripted> dns_;
  std::atomic<bool> has_dns_{true};
  std::deque<work> jobs_;
  std::map<std::uint64_t, timer> timers_;
  std::uint64_t last_id_ = 0;
};

} // namespace hedwig::sdk::testing
