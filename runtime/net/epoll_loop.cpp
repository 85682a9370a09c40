// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/epoll_loop.hpp"

#include "runtime/net/epoll_acceptor.hpp"
#include "runtime/net/epoll_stream.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace hedwig::net {

result<std::unique_ptr<loop>> make_epoll_loop(hedwig::clock& time, const loop_options& options) {
  descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return std::unexpected{system_error(errno, "cannot make an I/O loop")};
  descriptor event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!event)
    return std::unexpected{system_error(errno, "cannot make an I/O loop")};
  epoll_event interest{};
  interest.events = EPOLLIN;
  interest.data.ptr = nullptr;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &interest) != 0)
    return std::unexpected{system_error(errno, "cannot make an I/O loop")};
  return std::make_unique<epoll_loop>(time, options, std::move(epoll), std::move(event));
}

epoll_loop::epoll_loop(hedwig::clock& time, const loop_options& options, descriptor epoll, descriptor event)
  : clock_{time}, options_{options}, epoll_{std::move(epoll)}, event_{std::move(event)}, wheel_{time.steady(),
                                                                                                options.tick} {
  options_.read_buffer = std::max(options_.read_buffer, std::size_t{1024});
  options_.events_per_turn = std::max(options_.events_per_turn, 1);
  auto& limits = options_.limits;
  limits.leftover_max = std::clamp(limits.leftover_max, std::size_t{1}, options_.read_buffer);
  limits.output_refuse = std::max(limits.output_refuse, limits.output_max);
  events_.resize(static_cast<std::size_t>(options_.events_per_turn));
  clear_buffer_.resize(options_.read_buffer);
  wire_buffer_.resize(options_.read_buffer);
}

epoll_loop::~epoll_loop() {
  for (auto& sink : sinks_)
    sink->on_loop_end();
  // Deferred work may own streams; their handles know by now that the loop is gone.
  deferred_.clear();
  posted_.clear();
  sinks_.clear();
  graveyard_.clear();
}

void epoll_loop::check_thread() const noexcept {
  auto owner = thread_.load(std::memory_order_relaxed);
  if (owner != std::thread::id{} && owner != std::this_thread::get_id())
    panic("a stream or acceptor is used on another thread than its loop's");
}

void epoll_loop::wake() noexcept {
  if (woken_.exchange(true, std::memory_order_acq_rel))
    return;
  counters_.wakeups.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t one = 1;
  while (::write(event_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void epoll_loop::post(std::move_only_function<void()> what) {
  {
    std::lock_guard guard{posted_mutex_};
    posted_.push_back(std::move(what));
  }
  wake();
}

void epoll_loop::defer(std::move_only_function<void()> what) { deferred_.push_back(std::move(what)); }

void epoll_loop::run() {
  while (!stop_.load(std::memory_order_acquire))
    run_once(std::chrono::milliseconds{-1});
}

void epoll_loop::stop() noexcept {
  stop_.store(true, std::memory_order_release);
  wake();
}

int epoll_loop::wait_time(std::chrono::milliseconds wait) const noexcept {
  if (again_ || !attention_.empty() || !dirty_.empty() || !deferred_.empty())
    return 0;
  auto timer = wheel_.next_wait(clock_.steady());
  auto limit = wait.count() < 0 ? LLONG_MAX : static_cast<long long>(wait.count());
  if (timer)
    limit = std::min<long long>(limit, std::chrono::ceil<std::chrono::milliseconds>(*timer).count());
  return limit == LLONG_MAX ? -1 : static_cast<int>(std::min<long long>(limit, INT_MAX));
}

bool epoll_loop::run_once(std::chrono::milliseconds wait) {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  auto count = ::epoll_wait(epoll_.get(), events_.data(), options_.events_per_turn, wait_time(wait));
  wheel_.set_now(clock_.steady());
  counters_.iterations.fetch_add(1, std::memory_order_relaxed);
  bool did = std::exchange(again_, false);
  did = run_events(count) || did;
  did = wheel_.advance(wheel_.now()) > 0 || did;
  did = run_posted() || did;
  if (client_ != nullptr && client_->run_ready())
    again_ = true;
  bool late = run_deferred();
  late = run_attention() || late;
  // What ran behind the client may have given it work.
  again_ = again_ || late;
  run_flushes();
  std::erase_if(graveyard_, [](auto& sink) { return !sink->listed(); });
  return did || again_;
}

bool epoll_loop::run_events(int count) {
  for (int i = 0; i < count; ++i) {
    auto& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      std::uint64_t ignored = 0;
      (void)!::read(event_.get(), &ignored, sizeof ignored);
      // Before the client looks at its queues: who finds it set here is sure to be seen by that look.
      woken_.store(false, std::memory_order_seq_cst);
      continue;
    }
    auto& sink = *static_cast<event_sink*>(event.data.ptr);
    if (!sink.buried_)
      sink.on_events(event.events);
  }
  return count > 0;
}

bool epoll_loop::run_posted() {
  std::vector<std::move_only_function<void()>> batch;
  {
    std::lock_guard guard{posted_mutex_};
    batch.swap(posted_);
  }
  for (auto& what : batch)
    what();
  return !batch.empty();
}

bool epoll_loop::run_deferred() {
  auto batch = std::move(deferred_);
  deferred_.clear();
  for (auto& what : batch)
    what();
  return !batch.empty();
}

bool epoll_loop::run_attention() {
  batch_.clear();
  batch_.swap(attention_);
  for (auto* core : batch_)
    core->attend();
  return !batch_.empty();
}

void epoll_loop::run_flushes() {
  // Sending asks for attention at most, so the list does not grow under the loop.
  for (std::size_t i = 0; i < dirty_.size(); ++i)
    dirty_[i]->flush_listed();
  dirty_.clear();
}

result<void> epoll_loop::watch(int fd, event_sink& sink, std::uint32_t events) {
  epoll_event interest{};
  interest.events = events;
  interest.data.ptr = &sink;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0)
    return std::unexpected{system_error(errno, "cannot watch a socket")};
  return {};
}

void epoll_loop::change(int fd, event_sink& sink, std::uint32_t events) noexcept {
  epoll_event interest{};
  interest.events = events;
  interest.data.ptr = &sink;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &interest) != 0)
    panic("epoll refuses a socket that it has");
}

void epoll_loop::unwatch(int fd) noexcept {
  // close() alone would leave the registration in place while another process holds a copy of the descriptor.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void epoll_loop::bury(event_sink& sink) {
  if (sink.buried_)
    return;
  sink.buried_ = true;
  auto at = sink.index_;
  graveyard_.push_back(std::move(sinks_[at]));
  if (at + 1 != sinks_.size()) {
    sinks_[at] = std::move(sinks_.back());
    sinks_[at]->index_ = at;
  }
  sinks_.pop_back();
}

result<std::unique_ptr<acceptor>> epoll_loop::listen(const address& at, const listen_options& options,
                                                     acceptor_handler& handler) {
  auto socket = open_listener(at, options);
  if (!socket)
    return std::unexpected{socket.error()};
  return make_epoll_acceptor(*this, std::move(*socket), options, handler);
}

result<std::unique_ptr<acceptor>> epoll_loop::adopt_listener(int fd, const listen_options& options,
                                                             acceptor_handler& handler) {
  return adopt_epoll_acceptor(*this, descriptor{fd}, options, handler);
}

result<std::unique_ptr<stream>> epoll_loop::connect(const address& to, const std::optional<address>& source,
                                                    stream_handler& handler, const connect_options& options) {
  check_thread();
  auto socket = open_connection(to, source);
  if (!socket) {
    counters_.connect_errors.fetch_add(1, std::memory_order_relaxed);
    return std::unexpected{socket.error()};
  }
  return epoll_stream::connecting(*this, std::move(*socket), to, source, handler, options);
}

std::unique_ptr<stream> epoll_loop::adopt(std::unique_ptr<connection> accepted, stream_handler& handler) {
  check_thread();
  auto* real = dynamic_cast<socket_connection*>(accepted.get());
  if (real == nullptr)
    panic("a loop was given a connection of another kind of network");
  return epoll_stream::open(*this, real->take_socket(), real->peer(), real->local(), handler);
}

} // namespace hedwig::net
