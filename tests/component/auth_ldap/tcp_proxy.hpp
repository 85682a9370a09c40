// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hedwig::test {

/// Stands between a client and a server on the loopback and does what networks do. One thread.
class tcp_proxy {
public:
  /// Towards this port; 0: to nowhere, and who connects hears nothing.
  explicit tcp_proxy(std::uint16_t to);
  ~tcp_proxy();
  tcp_proxy(const tcp_proxy&) = delete;
  tcp_proxy& operator=(const tcp_proxy&) = delete;

  std::uint16_t port() const { return port_; }
  /// Passes on so many bytes more from the server, and then nothing until flow().
  void stall_after(long octets) { budget_ = octets; }
  void flow() { budget_ = -1; }
  /// Closes what is open.
  void cut() {
    cut_ = true;
    wake();
  }
  /// Connections taken so far.
  int connections() const { return connections_; }
  /// All that clients sent so far.
  std::string sent() const;

private:
  struct tunnel {
    int client;
    int server;
  };
  void run();
  void wake() const;
  void accept_one();
  /// False: it is over.
  bool pump(int from, int to, bool from_server);

  std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listener_;
  int wake_[2];
  std::vector<tunnel> tunnels_;
  std::atomic<long> budget_{-1};
  std::atomic<bool> cut_{false};
  std::atomic<bool> over_{false};
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::string sent_;
  std::thread thread_;
};

} // namespace hedwig::test
