// SPDX-License-Identifier: Apache-2.0
#include "runtime/dns/unbound_resolver.hpp"

#include "runtime/dns/mx_cache.hpp"
#include "runtime/dns/mx_rules.hpp"
#include "runtime/dns/unbound_context.hpp"

#include <fmt/format.h>
#include <unbound.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <list>
#include <mutex>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace hedwig::dns {

namespace {

constexpr int type_a = 1;
constexpr int type_aaaa = 28;
constexpr int type_mx = 15;
constexpr int class_in = 1;

using raw_callback = std::function<void(raw_answer)>;
using deadline_time = std::chrono::steady_clock::time_point;

// Lower case, without the trailing dot; empty when DNS could not carry it.
std::string name_of(std::string_view text) {
  if (text.ends_with('.'))
    text.remove_suffix(1);
  if (!is_host_name(text))
    return {};
  std::string out{text};
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return out;
}

mx_answer to_mx(raw_answer raw, std::chrono::seconds ttl_max) {
  mx_answer out{raw.status, {}, std::min(raw.ttl, ttl_max), raw.secure, std::move(raw.why)};
  for (auto& wire : raw.records)
    if (auto record = parse_mx(wire))
      out.records.push_back(*std::move(record));
  if (out.status == lookup_status::ok && out.records.size() == 1 && out.records[0].host.empty())
    out.status = lookup_status::null_mx; // RFC 7505, section 3
  if (out.status == lookup_status::ok && out.records.empty())
    out = {.status = lookup_status::servfail, .records = {}, .why = "malformed MX records"};
  if (out.status != lookup_status::ok) {
    out.records.clear();
    out.ttl = std::min(out.ttl, negative_ttl_max);
  }
  return out;
}

record_answer to_records(record_type type, raw_answer raw, std::chrono::seconds ttl_max) {
  record_answer out{raw.status, {}, std::min(raw.ttl, ttl_max), raw.secure, std::move(raw.why)};
  for (auto& wire : raw.records)
    if (auto record = parse_record(type, wire))
      out.records.push_back(*std::move(record));
  if (out.status == lookup_status::ok && out.records.empty())
    out = {.status = lookup_status::servfail, .records = {}, .why = "malformed records"};
  if (out.status != lookup_status::ok)
    out.ttl = std::min(out.ttl, negative_ttl_max);
  return out;
}

/// Brings the A and the AAAA answer together. Lives on the resolver's thread.
struct address_join {
  address_callback done;
  bool ipv6_first = true;
  int missing = 0;
  raw_answer v4{.status = lookup_status::no_data, .records = {}, .why = {}};
  raw_answer v6{.status = lookup_status::no_data, .records = {}, .why = {}};

  void arrived(raw_answer& place, raw_answer answer) {
    place = std::move(answer);
    if (--missing == 0)
      done(merge());
  }

private:
  address_answer merge() const {
    address_answer out;
    auto& first = ipv6_first ? v6 : v4;
    auto& second = ipv6_first ? v4 : v6;
    for (auto* part : {&first, &second})
      for (auto& wire : part->records)
        if (auto address = ip_address::from_bytes(wire); address && out.addresses.size() < records_max)
          out.addresses.push_back(*address);
    if (!out.addresses.empty()) {
      out.status = lookup_status::ok;
      out.ttl = v4.records.empty() ? v6.ttl : v6.records.empty() ? v4.ttl : std::min(v4.ttl, v6.ttl);
      out.secure = (v4.records.empty() || v4.secure) && (v6.records.empty() || v6.secure);
      return out;
    }
    auto& worse = is_temporary(second.status) || first.status == lookup_status::no_data ? second : first;
    out.status = worse.status == lookup_status::ok ? lookup_status::servfail : worse.status;
    out.ttl = std::min({v4.ttl, v6.ttl, negative_ttl_max});
    out.why = worse.why;
    return out;
  }
};

} // namespace

class unbound_resolver::impl {
public:
  impl(resolver_settings settings, context_ptr context, int wake, clock& time)
    : settings_{checked(std::move(settings))}, time_{time}, cache_{settings_.mx_cache_entries},
      context_{std::move(context)}, wake_{wake}, thread_{[this] { run(); }} {}

  ~impl() {
    {
      std::lock_guard guard{mutex_};
      stop_ = true;
    }
    wake();
    thread_.join();
    context_.reset(); // ends libunbound's thread, before what it answers to goes
    ::close(wake_);
  }

  void mx(std::string_view domain, mx_callback done) {
    auto name = name_of(domain);
    if (name.empty())
      return done({.status = lookup_status::invalid_name, .records = {}, .why = "not a domain name"});
    if (auto known = cache_.find(name, time_.steady())) {
      ++cache_hits_;
      return done(*std::move(known));
    }
    std::vector<query> one(1);
    one[0] = {this,
              name,
              type_mx,
              [this, name, done](raw_answer raw) {
                auto answer = to_mx(std::move(raw), settings_.ttl_max);
                cache_.put(name, answer, time_.steady());
                done(std::move(answer));
              },
              {},
              0,
              {}};
    if (!submit(std::move(one)))
      done({.status = lookup_status::overload, .records = {}, .why = "too many look-ups wait"});
  }

  void addresses(std::string_view host, address_callback done) {
    if (auto literal = ip_address::parse(host))
      return done({.status = lookup_status::ok, .addresses = {*literal}, .ttl = settings_.ttl_max, .why = {}});
    auto name = name_of(host);
    if (name.empty())
      return done({.status = lookup_status::invalid_name, .addresses = {}, .why = "not a host name"});
    auto join = std::make_shared<address_join>();
    join->done = done;
    join->ipv6_first = settings_.order == address_order::ipv6_first;
    std::vector<query> both;
    if (settings_.order != address_order::ipv4_only)
      both.push_back(
          {this, name, type_aaaa, [join](raw_answer raw) { join->arrived(join->v6, std::move(raw)); }, {}, 0, {}});
    if (settings_.order != address_order::ipv6_only)
      both.push_back(
          {this, name, type_a, [join](raw_answer raw) { join->arrived(join->v4, std::move(raw)); }, {}, 0, {}});
    join->missing = static_cast<int>(both.size());
    if (!submit(std::move(both)))
      done({.status = lookup_status::overload, .addresses = {}, .why = "too many look-ups wait"});
  }

  void records(std::string_view text, record_type type, record_callback done) {
    auto name = name_of(text);
    if (name.empty())
      return done({.status = lookup_status::invalid_name, .records = {}, .why = "not a domain name"});
    std::vector<query> one(1);
    one[0] = {this,
              std::move(name),
              static_cast<int>(type),
              [this, type, done](raw_answer raw) { done(to_records(type, std::move(raw), settings_.ttl_max)); },
              {},
              0,
              {}};
    if (!submit(std::move(one)))
      done({.status = lookup_status::overload, .records = {}, .why = "too many look-ups wait"});
  }

  resolver_stats stats() const {
    std::lock_guard guard{mutex_};
    return {queries_, cache_hits_, cache_.size(), outstanding_count_, waiting_.size(), timeouts_, overloads_};
  }

  void clear_cache() { cache_.clear(); }

private:
  struct query {
    impl* owner = nullptr;
    std::string name;
    int type = 0;
    raw_callback done;
    deadline_time deadline;
    int async_id = 0;
    std::list<query>::iterator place; // in outstanding_
  };
  struct finished {
    raw_callback done;
    raw_answer answer;
  };

  static resolver_settings checked(resolver_settings settings) {
    settings.outstanding_max = std::max<std::size_t>(settings.outstanding_max, 1);
    return settings;
  }

  // All or none; false when there is no room.
  bool submit(std::vector<query> queries) {
    auto deadline = std::chrono::steady_clock::now() + settings_.query_timeout;
    {
      std::lock_guard guard{mutex_};
      if (waiting_.size() + queries.size() > settings_.waiting_max) {
        ++overloads_;
        return false;
      }
      for (auto& one : queries) {
        one.deadline = deadline;
        waiting_.push_back(std::move(one));
      }
    }
    wake();
    return true;
  }

  void wake() noexcept {
    std::uint64_t one = 1;
    while (::write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  // The rest runs on thread_ alone.
  void run() {
    while (!stopped()) {
      start_waiting();
      expire();
      deliver();
      wait();
      if (ub_poll(context_.get()))
        ub_process(context_.get());
      deliver();
    }
  }

  bool some_wait() const {
    std::lock_guard guard{mutex_};
    return !waiting_.empty();
  }

  bool stopped() const {
    std::lock_guard guard{mutex_};
    return stop_;
  }

  void start_waiting() {
    std::list<query> next;
    {
      std::lock_guard guard{mutex_};
      while (!waiting_.empty() && outstanding_.size() + next.size() < settings_.outstanding_max) {
        next.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
      queries_ += next.size();
    }
    while (!next.empty()) {
      outstanding_.splice(outstanding_.end(), next, next.begin());
      start(std::prev(outstanding_.end()));
    }
    note_outstanding();
  }

  void start(std::list<query>::iterator at) {
    at->place = at;
    auto failure =
        ub_resolve_async(context_.get(), at->name.c_str(), at->type, class_in, &*at, &impl::on_result, &at->async_id);
    if (failure != 0)
      finish(at, copy_answer(failure, nullptr));
  }

  static void on_result(void* raw, int failure, ub_result* found) noexcept {
    auto& which = *static_cast<query*>(raw);
    auto answer = copy_answer(failure, found);
    ub_resolve_free(found);
    which.owner->finish(which.place, std::move(answer));
  }

  void finish(std::list<query>::iterator at, raw_answer answer) {
    observe(at->deadline);
    finished_.push_back({std::move(at->done), std::move(answer)});
    outstanding_.erase(at);
  }

  // Deadlines lie in the order of submission, in both queues.
  void expire() {
    auto now = std::chrono::steady_clock::now();
    while (!outstanding_.empty() && outstanding_.front().deadline <= now) {
      ub_cancel(context_.get(), outstanding_.front().async_id);
      finish(outstanding_.begin(), timed_out());
    }
    std::lock_guard guard{mutex_};
    for (; !waiting_.empty() && waiting_.front().deadline <= now; waiting_.pop_front()) {
      observe(waiting_.front().deadline);
      finished_.push_back({std::move(waiting_.front().done), timed_out()});
    }
  }

  void observe(deadline_time deadline) const noexcept {
    if (settings_.query_time == nullptr)
      return;
    auto began = deadline - settings_.query_timeout;
    settings_.query_time->observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  }

  raw_answer timed_out() {
    ++timeouts_;
    auto seconds = std::chrono::duration<double>(settings_.query_timeout).count();
    return {lookup_status::timeout, {}, {}, false, fmt::format("no answer within {:g} s", seconds)};
  }

  // Callbacks run here: outside of libunbound and of the mutex.
  void deliver() {
    note_outstanding();
    for (auto& one : std::exchange(finished_, {}))
      one.done(std::move(one.answer));
  }

  void note_outstanding() noexcept { outstanding_count_ = outstanding_.size(); }

  void wait() {
    pollfd watched[2] = {{ub_fd(context_.get()), POLLIN, 0}, {wake_, POLLIN, 0}};
    ::poll(watched, 2, milliseconds_to_wait());
    std::uint64_t count = 0;
    if (watched[1].revents != 0)
      (void)!::read(wake_, &count, sizeof count);
  }

  int milliseconds_to_wait() const {
    if (outstanding_.size() < settings_.outstanding_max && some_wait())
      return 0; // what just ended made room
    if (outstanding_.empty())
      return -1;
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(outstanding_.front().deadline - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
  }

  const resolver_settings settings_;
  clock& time_;
  mx_cache cache_;
  context_ptr context_;
  const int wake_;

  mutable std::mutex mutex_;
  std::deque<query> waiting_;
  bool stop_ = false;
  std::uint64_t queries_ = 0;
  std::uint64_t overloads_ = 0;
  std::atomic<std::uint64_t> cache_hits_{0};
  std::atomic<std::uint64_t> timeouts_{0};
  std::atomic<std::uint64_t> outstanding_count_{0};

  std::list<query> outstanding_;
  std::vector<finished> finished_;
  std::thread thread_;
};

unbound_resolver::unbound_resolver(std::unique_ptr<impl> made) noexcept : impl_{std::move(made)} {}
unbound_resolver::~unbound_resolver() = default;

result<std::unique_ptr<unbound_resolver>> unbound_resolver::make(const resolver_settings& settings, clock& time) {
  auto context = make_context(settings);
  if (!context)
    return std::unexpected{std::move(context).error()};
  auto wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0)
    return std::unexpected{system_error(errno, "eventfd")};
  return std::unique_ptr<unbound_resolver>{
      new unbound_resolver{std::make_unique<impl>(settings, *std::move(context), wake, time)}};
}

void unbound_resolver::mx(std::string_view domain, mx_callback done) { impl_->mx(domain, std::move(done)); }
void unbound_resolver::addresses(std::string_view host, address_callback done) {
  impl_->addresses(host, std::move(done));
}
void unbound_resolver::records(std::string_view name, record_type type, record_callback done) {
  impl_->records(name, type, std::move(done));
}
std::size_t unbound_resolver::remembered() const { return impl_->stats().mx_cache_entries; }
resolver_stats unbound_resolver::stats() const { return impl_->stats(); }
void unbound_resolver::clear_cache() { impl_->clear_cache(); }

} // namespace hedwig::dns
