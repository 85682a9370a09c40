// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/log.hpp"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>

#include "runtime/base/ascii.hpp"

namespace hedwig::telemetry {

namespace detail {
// Zero is trace, so that nothing is filtered before start_log(); write_early() takes warnings and errors only.
std::atomic<level> levels[component_count];
} // namespace detail

namespace {

/// Hands complete lines on; runs on the writer's thread only.
class line_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
  line_sink(std::function<void(std::string_view)> write, std::atomic<std::size_t>& waiting)
    : write_{std::move(write)}, waiting_{waiting} {}

private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // Counted as waiting until written, also when the writing throws.
    struct taken {
      std::atomic<std::size_t>& count;
      ~taken() { count.fetch_sub(1, std::memory_order_relaxed); }
    } const guard{waiting_};
    write_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

  std::function<void(std::string_view)> write_;
  std::atomic<std::size_t>& waiting_;
};

void to_standard_output(std::string_view line) {
  // One write a line, so that lines of several processes on one pipe stay whole (up to PIPE_BUF).
  while (!line.empty()) {
    const auto wrote = ::write(STDOUT_FILENO, line.data(), line.size());
    if (wrote <= 0)
      return;
    line.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

// Places in spdlog's own queue above queue_size: room for warnings, which wait for it but never for long.
constexpr std::size_t reserved_lines = 1024;

struct writer {
  std::atomic<std::size_t> waiting{0}; // outlives the pool, which is below
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  log_format format = log_format::text;
  const hedwig::clock* clock = nullptr;
  std::size_t queue_size = 0;

  // The queued lines hold the logger and through it the sink, which refers to `waiting`: all is written here.
  ~writer() { pool.reset(); }
};

std::mutex control;                 // start, stop
std::shared_ptr<writer> the_writer; // by atomic_load and atomic_store only
std::atomic<std::uint64_t> dropped{0};

void append_value(std::string& out, const field& one) {
  switch (one.type()) {
  case field::kind::text:
    out += '"';
    append_escaped(out, one.text());
    out += '"';
    return;
  case field::kind::integer:
    fmt::format_to(std::back_inserter(out), "{}", one.integer());
    return;
  case field::kind::boolean:
    out += one.integer() ? "true" : "false";
    return;
  case field::kind::real:
    if (std::isfinite(one.real()))
      fmt::format_to(std::back_inserter(out), "{}", one.real());
    else
      out += "null";
  }
}

/// Plugins choose keys, too: one with a space or a line end would forge fields or lines.
void append_key(std::string& out, std::string_view key) {
  for (char c : key)
    out += ascii::is_alnum(c) || c == '_' || c == '-' || c == '.' ? c : '?';
}

std::string text_line(std::string_view time, level severity, component part, const event& what,
                      std::span<const field> fields) {
  std::string out =
      fmt::format("{} {:5} {} {} [{}]", time, to_string_view(severity), to_string_view(part), what.text, what.id);
  for (const auto& one : fields) {
    out += ' ';
    append_key(out, one.key());
    out += '=';
    append_value(out, one);
  }
  out += '\n';
  return out;
}

std::string json_line(std::string_view time, level severity, component part, const event& what,
                      std::span<const field> fields) {
  std::string out = fmt::format(R"({{"timestamp":"{}","level":"{}","component":"{}","event":"{}","message":")", time,
                                to_string_view(severity), to_string_view(part), what.id);
  append_escaped(out, what.text);
  out += '"';
  for (const auto& one : fields) {
    out += ",\"";
    append_escaped(out, one.key());
    out += "\":";
    append_value(out, one);
  }
  out += "}\n";
  return out;
}

std::string rfc3339(wall_time time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time - whole).count();
  const std::time_t seconds = whole.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, millis);
}

std::string line_of(const writer* target, level severity, component part, const event& what,
                    std::span<const field> fields) {
  const auto& clock = target && target->clock ? *target->clock : hedwig::clock::system();
  const auto time = rfc3339(clock.wall());
  return target && target->format == log_format::json ? json_line(time, severity, part, what, fields)
                                                      : text_line(time, severity, part, what, fields);
}

void write_early(level severity, component part, const event& what, std::span<const field> fields) {
  if (severity < level::warn)
    return;
  const auto line = line_of(nullptr, severity, part, what, fields);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool must_arrive(level severity) noexcept { return severity >= level::warn; }

// spdlog 1.10 can overrun the oldest line, which may be a warning, but not refuse the newest; so a place is taken here
// first, and spdlog's queue, being longer, always has room for what got one.
void post(writer& target, level severity, std::string_view line) {
  if (target.waiting.fetch_add(1, std::memory_order_relaxed) >= target.queue_size && !must_arrive(severity)) {
    target.waiting.fetch_sub(1, std::memory_order_relaxed);
    dropped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  target.logger->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
}

std::shared_ptr<writer> make_writer(log_options& options) {
  auto made = std::make_shared<writer>();
  made->format = options.format;
  made->clock = options.clock;
  made->queue_size = options.queue_size ? options.queue_size : 1;
  made->pool = std::make_shared<spdlog::details::thread_pool>(made->queue_size + reserved_lines, 1);
  auto sink = std::make_shared<line_sink>(options.sink ? std::move(options.sink) : to_standard_output, made->waiting);
  made->logger = std::make_shared<spdlog::async_logger>("hedwig", std::move(sink), made->pool,
                                                        spdlog::async_overflow_policy::block);
  return made;
}

} // namespace

namespace detail {

void write(level severity, component part, const event& what, std::span<const field> fields) noexcept {
  try {
    if (const auto target = std::atomic_load(&the_writer))
      post(*target, severity, line_of(target.get(), severity, part, what, fields));
    else
      write_early(severity, part, what, fields);
  } catch (...) {
    // Out of memory while logging: the line is lost and counted, the caller goes on.
    dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

} // namespace detail

void start_log(log_options options) {
  const std::lock_guard lock{control};
  set_levels(options.levels);
  // The old writer ends when its last user lets go; its destructor writes what waits.
  std::atomic_store(&the_writer, make_writer(options));
}

void stop_log() noexcept {
  const std::lock_guard lock{control};
  std::atomic_store(&the_writer, std::shared_ptr<writer>{});
}

void flush_log() noexcept {
  // The pool's single thread takes lines in order: once a mark posted now has gone through, all before it have.
  const auto target = std::atomic_load(&the_writer);
  if (!target)
    return;
  try {
    const auto reached = std::make_shared<std::promise<void>>();
    auto done = reached->get_future();
    target->waiting.fetch_add(1, std::memory_order_relaxed);
    auto mark = std::make_shared<line_sink>([reached](std::string_view) { reached->set_value(); }, target->waiting);
    std::make_shared<spdlog::async_logger>("flush", std::move(mark), target->pool, spdlog::async_overflow_policy::block)
        ->log(spdlog::level::info, spdlog::string_view_t{"", 0});
    done.wait();
  } catch (...) {
    return;
  }
}

void set_levels(const level_filter& filter) noexcept {
  for (std::size_t at = 0; at < component_count; ++at)
    detail::levels[at].store(filter.of(static_cast<component>(at)), std::memory_order_relaxed);
}

level_filter current_levels() {
  // The most common level is the fallback; that gives the shortest text.
  std::map<level, std::size_t> uses;
  for (const auto& one : detail::levels)
    ++uses[one.load(std::memory_order_relaxed)];
  level_filter out;
  std::size_t most = 0;
  for (const auto& [value, count] : uses)
    if (count > most) {
      most = count;
      out.fallback = value;
    }
  for (std::size_t at = 0; at < component_count; ++at)
    if (const auto value = detail::levels[at].load(std::memory_order_relaxed); value != out.fallback)
      out.exceptions[static_cast<component>(at)] = value;
  return out;
}

std::uint64_t dropped_lines() noexcept { return dropped.load(std::memory_order_relaxed); }

void log_delivery(const delivery_event& what) noexcept {
  if (!enabled(level::info, component::delivery))
    return;
  try {
    const auto queued = rfc3339(what.queued_at);
    const auto logged = rfc3339(what.logged_at);
    const auto delay = fmt::to_string(what.delay.count());
    const auto attempt = fmt::to_string(what.attempt);
    log(level::info, component::delivery, {"delivery.outcome", "email delivery"},
        {{"job_id", what.job_id},
         {"from_email", what.from_email},
         {"recipient", what.recipient},
         {"subject", what.subject},
         {"status", what.status},
         {"smtp_response", what.smtp_response},
         {"dest_ip", what.dest_ip},
         {"queued_at", queued},
         {"logged_at", logged},
         {"delay_ms", delay},
         {"attempt", attempt}});
  } catch (...) {
    dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

} // namespace hedwig::telemetry
