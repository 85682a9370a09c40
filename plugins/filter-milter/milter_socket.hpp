// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "protocol.hpp"
#include "settings.hpp"

namespace hedwig::filter_milter {

/// Wakes whoever waits for a milter when the instance is to stop. Callable from every thread.
class stop_signal {
public:
  stop_signal() = default;
  ~stop_signal();
  stop_signal(const stop_signal&) = delete;
  stop_signal& operator=(const stop_signal&) = delete;
  /// Once, before anybody waits. Throws sdk::failure.
  void open();
  void raise() noexcept;
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
  int descriptor_ = -1;
};

/// A connection to a milter with packets in and out. Waits, so belongs on a worker thread; one thread at a time.
/// Every function that fails throws milter_failure, and the connection is of no more use then.
class milter_socket {
public:
  /// Deadlines are on the host's steady clock.
  milter_socket(const sdk::host& host, const stop_signal& stop, const milter_address& address, hedwig_time_ns deadline);
  ~milter_socket();
  milter_socket(const milter_socket&) = delete;
  milter_socket& operator=(const milter_socket&) = delete;

  /// Sends with the next flush, or before where there is much.
  void put(packet one, hedwig_time_ns deadline);
  void flush(hedwig_time_ns deadline);
  /// Flushes, then waits for one packet.
  [[nodiscard]] reply get(hedwig_time_ns deadline);
  /// Nothing has come that nobody asked for, and the other side is there.
  [[nodiscard]] bool is_quiet() const noexcept;

private:
  void connect_to(const milter_address& address, hedwig_time_ns deadline);
  [[nodiscard]] bool try_connect(int family, const void* address, unsigned size, hedwig_time_ns deadline);
  void wait(short events, hedwig_time_ns deadline) const;
  void receive(std::size_t octets, hedwig_time_ns deadline);
  void close() noexcept;

  sdk::host host_;
  const stop_signal& stop_;
  int socket_ = -1;
  std::string out_;
  std::string in_;
};

} // namespace hedwig::filter_milter
