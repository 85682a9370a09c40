// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/clock.hpp"
#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/wire.hpp"

namespace hedwig::plugin {

class isolated_provider;

/// The relay's end of one isolated instance: the calls under way, what is yet to be sent, and the thread that keeps a
/// process running and completes calls as it answers. Thread-safe; made and destroyed through the provider's functions.
class isolated_instance {
public:
  isolated_instance(const hedwig_host* host, std::shared_ptr<isolated_provider> spec, hedwig_config config);
  ~isolated_instance();
  isolated_instance(const isolated_instance&) = delete;
  isolated_instance& operator=(const isolated_instance&) = delete;

  void start(hedwig_op* op);
  void reload(hedwig_op* op, const hedwig_config& config);
  void stop(hedwig_op* op);

  /// A session of the process that runs now: its number and that process's generation.
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> open(std::string_view payload);
  /// Sends what has no answer, unless that process is gone.
  void tell(wire::frame kind, std::uint64_t number, std::uint64_t generation);
  /// Sends a call, which only `expected` or a failure may answer; the op is completed once, whatever happens.
  /// `generation` 0: any process will do.
  void ask(wire::frame kind, wire::answer_kind expected, hedwig_op* op, std::string_view payload,
           std::uint64_t generation, const hedwig_config* reloading = nullptr);
  /// Nanoseconds until its deadline.
  [[nodiscard]] std::int64_t left(const hedwig_op* op) const;

private:
  enum class phase : std::uint8_t { starting, running, resting, stopping, ended };
  struct pending {
    hedwig_op* op;
    wire::answer_kind expected;
    steady_time give_up; ///< the process is ended when it has not answered by then
  };

  void run();
  [[nodiscard]] bool spawn();
  [[nodiscard]] std::string hello();
  void serve();
  [[nodiscard]] bool send_some();
  [[nodiscard]] bool receive_some();
  [[nodiscard]] bool take(wire::received& frame);
  [[nodiscard]] bool answer(wire::received& frame);
  [[nodiscard]] bool log(const wire::received& frame) const;
  [[nodiscard]] bool faults(const wire::received& frame) const;
  [[nodiscard]] bool metric(const wire::received& frame);
  [[nodiscard]] bool too_late();
  void bury();
  [[nodiscard]] bool rest();
  void queue(std::unique_lock<std::mutex>& held, wire::frame kind, std::uint64_t number, std::string_view payload);
  void complete(hedwig_op* op, hedwig_status status, const void* result = nullptr, const error* why = nullptr) const;
  void fail(hedwig_op* op, hedwig_status status, std::string why) const;

  const hedwig_host* host_;
  std::shared_ptr<isolated_provider> spec_;
  std::mutex mutex_;
  hedwig_config config_;
  phase phase_ = phase::starting;
  std::uint64_t generation_ = 0;
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, pending> open_;
  std::map<std::uint64_t, hedwig_config> reloading_;
  std::string outgoing_;
  std::size_t sent_ = 0;
  int socket_ = -1;
  int wake_ = -1;
  int pid_ = 0;
  hedwig_op* start_op_ = nullptr;
  hedwig_op* stop_op_ = nullptr;
  steady_time stop_by_{};
  // The thread's own.
  wire::frame_reader incoming_;
  std::string why_;      ///< it was ended by us
  bool stopped_ = false; ///< it said so
  error start_error_;
  std::chrono::nanoseconds pause_{};
  steady_time next_look_{}; ///< for calls that are too late
  steady_time began_{};
  std::map<std::uint64_t, std::uint64_t> metrics_;       ///< its number, the host's
  std::map<std::string, std::uint64_t> metrics_by_name_; ///< kept when it is started again
  std::thread thread_;
};

} // namespace hedwig::plugin
