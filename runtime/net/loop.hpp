// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/net/address.hpp"
#include "runtime/net/stream.hpp"
#include "runtime/net/timer.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace hedwig::net {

/// Limits of each stream of a loop. Bytes.
struct stream_limits {
  /// Copied output above which a stream stops reading from its peer.
  std::size_t output_max = std::size_t{1} << 20;
  /// Copied output above which a stream gives up: its owner goes on writing to a peer that does not read.
  std::size_t output_refuse = std::size_t{4} << 20;
  /// Output below which a stream is writable().
  std::size_t low_water = 128 * 1024;
  /// Input that a handler did not consume, above which the stream stops reading until resume_reading().
  /// At most loop_options::read_buffer counts.
  std::size_t leftover_max = 64 * 1024;
  /// How long close() may take.
  std::chrono::milliseconds linger{10'000};
};

struct loop_options {
  stream_limits limits;
  /// Shared by all streams of the loop: what one read takes at most. Bytes.
  std::size_t read_buffer = 64 * 1024;
  /// Socket events handled before the client and the timers get their turn.
  int events_per_turn = 128;
  /// Resolution of timers.
  std::chrono::milliseconds tick{20};
};

struct listen_options {
  int backlog = 1024;
  /// Connections accepted per event, so that a flood does not starve the streams of the loop.
  int accepts_per_event = 32;
  /// An address in use by TIME_WAIT does not prevent a restart.
  bool reuse_address = true;
  /// Several loops may listen on one address; the kernel spreads the connections.
  bool reuse_port = false;
  /// How long accepting rests when the process is out of descriptors.
  std::chrono::milliseconds exhausted_pause{100};
};

struct connect_options {
  std::chrono::milliseconds timeout{30'000};
};

/// Counters of one loop, read from any thread. All but streams_open and acceptors_open only grow.
struct loop_counters {
  std::atomic<std::uint64_t> streams_open{0}; ///< sockets of streams, lingering ones included
  std::atomic<std::uint64_t> acceptors_open{0};
  std::atomic<std::uint64_t> streams_total{0};
  std::atomic<std::uint64_t> bytes_in{0};  ///< from sockets
  std::atomic<std::uint64_t> bytes_out{0}; ///< to sockets
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> accept_errors{0}; ///< out of descriptors or memory
  std::atomic<std::uint64_t> connect_errors{0};
  std::atomic<std::uint64_t> tls_handshakes{0};
  std::atomic<std::uint64_t> tls_failures{0};
  std::atomic<std::uint64_t> output_refused{0}; ///< streams given up for stream_limits::output_refuse
  std::atomic<std::uint64_t> linger_timeouts{0};
  std::atomic<std::uint64_t> iterations{0};
  std::atomic<std::uint64_t> wakeups{0}; ///< writes of wake() to the event descriptor
};

/// A part of the program that runs on the loop's thread beside the sockets: the execution unit of pinned actors.
class loop_client {
public:
  virtual ~loop_client() = default;
  /// Runs what is ready, after each batch of socket events and on wake(); true while more waits, so that the loop comes
  /// back without sleeping.
  [[nodiscard]] virtual bool run_ready() = 0;
};

class acceptor_handler {
public:
  virtual ~acceptor_handler() = default;
  /// On the loop's thread. The connection may be moved to another loop. The acceptor may be destroyed in here.
  virtual void on_connection(std::unique_ptr<connection> accepted) = 0;
  /// No descriptor or memory for a connection: accepting rests for listen_options::exhausted_pause, then goes on by
  /// itself.
  virtual void on_exhausted(const error&) {}
};

/// A listening socket on one loop. Loop thread only; destroying it stops listening.
class acceptor {
public:
  virtual ~acceptor() = default;
  acceptor() = default;
  acceptor(const acceptor&) = delete;
  acceptor& operator=(const acceptor&) = delete;
  /// New connections wait in the backlog until resume(); also ends the current batch.
  virtual void pause() = 0;
  virtual void resume() = 0;
  [[nodiscard]] virtual bool paused() const noexcept = 0;
  /// With the port that the kernel chose, where 0 was asked for.
  [[nodiscard]] virtual const address& local() const noexcept = 0;
};

/// One thread's sockets and timers. Real loops come from make_epoll_loop(); tests have a simulated one. Everything but
/// wake(), post(), stop(), in_loop_thread(), clock() and counters() is for the loop's thread, or for the thread that
/// sets it up before run(). Order within one iteration: socket events, timers, the client, deferred work, output.
/// The loop outlives its acceptors, streams and timers; streams that it finds alive at its end are dropped unreported.
class loop {
public:
  virtual ~loop() = default;
  loop() = default;
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  [[nodiscard]] virtual hedwig::clock& clock() const noexcept = 0;
  /// clock().steady() as of the start of this iteration.
  [[nodiscard]] virtual steady_time now() const noexcept = 0;
  [[nodiscard]] virtual timer_queue& timers() noexcept = 0;
  [[nodiscard]] virtual const loop_counters& counters() const noexcept = 0;

  /// Null for none; must outlive the loop's running.
  virtual void set_client(loop_client* client) = 0;
  /// Any thread: the loop runs its client soon. Many calls before it does cost one system call.
  virtual void wake() noexcept = 0;
  /// Any thread: `what` runs on the loop's thread.
  virtual void post(std::move_only_function<void()> what) = 0;
  /// `what` runs at the end of this iteration.
  virtual void defer(std::move_only_function<void()> what) = 0;

  /// Until stop().
  virtual void run() = 0;
  /// One iteration by the calling thread, which waits up to `wait` for something to do (negative: without end).
  /// True when something was done. For tests and programs that drive the loop themselves.
  virtual bool run_once(std::chrono::milliseconds wait) = 0;
  /// Any thread: run() returns after its current iteration.
  virtual void stop() noexcept = 0;
  /// False before run() or run_once() was called for the first time.
  [[nodiscard]] virtual bool in_loop_thread() const noexcept = 0;

  [[nodiscard]] virtual result<std::unique_ptr<acceptor>> listen(const address& at, const listen_options& options,
                                                                 acceptor_handler& handler) = 0;
  /// Takes over a listening socket of someone else (systemd's socket activation), also where it fails.
  [[nodiscard]] virtual result<std::unique_ptr<acceptor>> adopt_listener(int fd, const listen_options& options,
                                                                         acceptor_handler& handler) = 0;
  /// From `source` (its port may be 0), where given. Errors that are known at once (no route, no descriptor, source not
  /// ours) come back here, later ones through on_closed().
  [[nodiscard]] virtual result<std::unique_ptr<stream>> connect(const address& to, const std::optional<address>& source,
                                                                stream_handler& handler,
                                                                const connect_options& options = {}) = 0;
  /// Makes an accepted connection a stream of this loop. One whose peer is gone already is reported by on_closed().
  [[nodiscard]] virtual std::unique_ptr<stream> adopt(std::unique_ptr<connection> accepted,
                                                      stream_handler& handler) = 0;
};

/// A loop on epoll. Fails when the process is out of descriptors.
[[nodiscard]] result<std::unique_ptr<loop>> make_epoll_loop(hedwig::clock& time, const loop_options& options = {});

} // namespace hedwig::net
