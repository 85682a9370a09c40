// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/loop.hpp"
#include "runtime/net/tls.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::net::test {

/// A clock that stands still until it is told to move.
class manual_clock final : public hedwig::clock {
public:
  [[nodiscard]] wall_time wall() const noexcept override { return wall_time{now_.time_since_epoch()}; }
  [[nodiscard]] steady_time steady() const noexcept override { return now_; }
  void advance(std::chrono::nanoseconds by) { now_ += by; }

private:
  steady_time now_{std::chrono::hours{1}};
};

/// Writes down what a stream says, and does what the test wants on top.
class recorder final : public stream_handler {
public:
  std::string received;
  std::string trace; // "connected tls end drained closed"
  std::optional<tls_info> tls;
  std::optional<error> reason;
  bool closed = false;
  bool ended = false;
  int drained = 0;
  std::unique_ptr<stream> own;
  /// Returns how much is consumed; null: everything.
  std::function<std::size_t(std::string_view)> data;
  std::function<void()> at_connected, at_tls, at_end, at_drained, at_closed;

  void on_connected() override {
    trace += "connected ";
    if (at_connected)
      at_connected();
  }
  std::size_t on_data(std::string_view bytes) override {
    auto used = data ? data(bytes) : bytes.size();
    if (!data)
      received += bytes;
    return used;
  }
  void on_tls(const tls_info& info) override {
    trace += "tls ";
    tls = info;
    if (at_tls)
      at_tls();
  }
  void on_end() override {
    trace += "end ";
    ended = true;
    if (at_end)
      at_end();
  }
  void on_drained() override {
    ++drained;
    if (at_drained)
      at_drained();
  }
  void on_closed(std::optional<error> why) override {
    EXPECT_FALSE(closed) << "closed twice";
    trace += why ? "error " : "closed ";
    closed = true;
    reason = std::move(why);
    if (at_closed)
      at_closed();
  }
};

class accepting final : public acceptor_handler {
public:
  std::vector<std::unique_ptr<connection>> waiting;
  std::function<void(std::unique_ptr<connection>)> take;
  int exhausted = 0;
  void on_connection(std::unique_ptr<connection> fresh) override {
    if (take)
      take(std::move(fresh));
    else
      waiting.push_back(std::move(fresh));
  }
  void on_exhausted(const error&) override { ++exhausted; }
};

/// A loop driven by the test, a listener on it, and a way to get connected pairs.
class net_test : public ::testing::Test {
protected:
  void SetUp() override { make_loop({}); }
  void make_loop(const loop_options& options);
  /// Runs the loop until `done`, with a limit that no passing test reaches.
  [[nodiscard]] bool run_until(const std::function<bool()>& done);
  /// A few turns in which nothing is expected to come.
  void settle();
  /// Two streams of our own, connected to each other: client and server.
  void connect_pair(recorder& client, recorder& server);
  /// A plain blocking socket as the peer of a stream of ours.
  [[nodiscard]] int connect_raw(recorder& server, int receive_buffer = 0);

  hedwig::clock& time_ = hedwig::clock::system();
  std::unique_ptr<loop> loop_;
  accepting accepting_;
  std::unique_ptr<acceptor> acceptor_;
};

/// Certificates made once a test program: an authority, a server certificate for relay.test and 127.0.0.1, one that has
/// expired, one that signed itself, and one for a client. The files live in a temporary folder.
struct certificates {
  std::string folder;
  [[nodiscard]] std::string path(std::string_view name) const { return folder + "/" + std::string{name}; }
  [[nodiscard]] static const certificates& get();
};

[[nodiscard]] std::shared_ptr<const tls_context> server_context(std::string_view name = "relay");
/// Trusts the test's authority.
[[nodiscard]] std::shared_ptr<const tls_context>
client_context(tls_client_options::verify_mode verify = tls_client_options::verify_mode::name);

} // namespace hedwig::net::test
