// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/loop.hpp"
#include "runtime/net/socket.hpp"
#include "runtime/net/timer_wheel.hpp"

#include <sys/epoll.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace hedwig::net {

class epoll_loop;
class stream_core;

/// A registered descriptor. The loop owns it, so that events of a batch never name freed memory: one that is buried is
/// skipped at once and freed at the end of the iteration.
class event_sink {
public:
  explicit event_sink(epoll_loop& on) noexcept : loop_{on} {}
  event_sink(const event_sink&) = delete;
  event_sink& operator=(const event_sink&) = delete;
  virtual ~event_sink() = default;
  virtual void on_events(std::uint32_t events) = 0;
  /// The loop goes away: tell the handle, and no one else.
  virtual void on_loop_end() noexcept = 0;
  /// Stands in a list of the loop, and must not be freed yet.
  [[nodiscard]] virtual bool listed() const noexcept { return false; }

protected:
  epoll_loop& loop_;

private:
  friend class epoll_loop;
  std::size_t index_ = 0;
  bool buried_ = false;
};

class epoll_loop final : public loop {
public:
  epoll_loop(hedwig::clock& time, const loop_options& options, descriptor epoll, descriptor event);
  ~epoll_loop() override;

  [[nodiscard]] hedwig::clock& clock() const noexcept override { return clock_; }
  [[nodiscard]] steady_time now() const noexcept override { return wheel_.now(); }
  [[nodiscard]] timer_queue& timers() noexcept override { return wheel_; }
  [[nodiscard]] const loop_counters& counters() const noexcept override { return counters_; }
  void set_client(loop_client* client) override { client_ = client; }
  void wake() noexcept override;
  void post(std::move_only_function<void()> what) override;
  void defer(std::move_only_function<void()> what) override;
  void run() override;
  bool run_once(std::chrono::milliseconds wait) override;
  void stop() noexcept override;
  [[nodiscard]] bool in_loop_thread() const noexcept override {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  [[nodiscard]] result<std::unique_ptr<acceptor>> listen(const address& at, const listen_options& options,
                                                         acceptor_handler& handler) override;
  [[nodiscard]] result<std::unique_ptr<acceptor>> adopt_listener(int fd, const listen_options& options,
                                                                 acceptor_handler& handler) override;
  [[nodiscard]] result<std::unique_ptr<stream>> connect(const address& to, const std::optional<address>& source,
                                                        stream_handler& handler,
                                                        const connect_options& options) override;
  [[nodiscard]] std::unique_ptr<stream> adopt(std::unique_ptr<connection> accepted, stream_handler& handler) override;

  // For the sinks.
  [[nodiscard]] const loop_options& options() const noexcept { return options_; }
  [[nodiscard]] loop_counters& counts() noexcept { return counters_; }
  [[nodiscard]] result<void> watch(int fd, event_sink& sink, std::uint32_t events);
  void change(int fd, event_sink& sink, std::uint32_t events) noexcept;
  void unwatch(int fd) noexcept;
  template <class Sink>
  Sink& keep(std::unique_ptr<Sink> sink) {
    auto& kept = *sink;
    kept.index_ = sinks_.size();
    sinks_.push_back(std::move(sink));
    return kept;
  }
  /// No more events; freed at the end of the iteration.
  void bury(event_sink& sink);
  /// stream_core::attend() is called at the end of this iteration, or in the next one.
  void request_attention(stream_core& core) { attention_.push_back(&core); }
  /// stream_core::flush_listed() is called at the end of this iteration.
  void request_flush(stream_core& core) { dirty_.push_back(&core); }
  /// Room for what is kept and one read, shared by all streams: valid until the next read.
  [[nodiscard]] std::span<char> clear_buffer() noexcept { return clear_buffer_; }
  [[nodiscard]] std::span<char> wire_buffer() noexcept { return wire_buffer_; }
  /// Streams and acceptors belong to one thread.
  void check_thread() const noexcept;

private:
  [[nodiscard]] int wait_time(std::chrono::milliseconds wait) const noexcept;
  bool run_events(int count);
  bool run_posted();
  bool run_deferred();
  bool run_attention();
  void run_flushes();

  hedwig::clock& clock_;
  loop_options options_;
  loop_counters counters_;
  descriptor epoll_;
  descriptor event_;
  timer_wheel wheel_;
  loop_client* client_ = nullptr;
  std::atomic<std::thread::id> thread_{};
  std::atomic<bool> stop_{false};
  std::atomic<bool> woken_{false};
  bool again_ = false; // something waits: do not sleep

  std::vector<epoll_event> events_;
  std::vector<char> clear_buffer_;
  std::vector<char> wire_buffer_;
  std::vector<std::unique_ptr<event_sink>> sinks_;
  std::vector<std::unique_ptr<event_sink>> graveyard_;
  std::vector<stream_core*> attention_;
  std::vector<stream_core*> dirty_;
  std::vector<stream_core*> batch_;
  std::vector<std::move_only_function<void()>> deferred_;
  std::mutex posted_mutex_;
  std::vector<std::move_only_function<void()>> posted_; // guarded by posted_mutex_
};

} // namespace hedwig::net
