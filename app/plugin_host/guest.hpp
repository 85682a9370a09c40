// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/loader.hpp"
#include "runtime/plugin/wire.hpp"

namespace hedwig::plugin_host {

/// The socket to the relay, for sending. Thread-safe; a relay that is gone ends the process.
class line {
public:
  explicit line(int socket) noexcept : socket_{socket} {}
  void send(plugin::wire::frame kind, std::uint64_t number, std::string_view payload);

private:
  int socket_;
  std::mutex mutex_;
};

/// The instance that this process is for: does what the relay's frames say and answers them. One thread calls handle();
/// answers go from any.
class guest {
public:
  /// `trusted`: the user whose plugin files are trusted besides root's and our own.
  guest(line& to, uid_t trusted) : to_{to}, trusted_{trusted} {}

  /// False: it is over, well or with what was said to the relay.
  [[nodiscard]] bool handle(const plugin::wire::received& frame);

private:
  [[nodiscard]] bool begin(const plugin::wire::received& frame);
  [[nodiscard]] result<void> make(plugin::wire::reader& from);
  [[nodiscard]] bool refuse(const error& why);
  [[nodiscard]] bool hook(const plugin::wire::received& frame);
  [[nodiscard]] bool delivery(const plugin::wire::received& frame);
  [[nodiscard]] bool ask(const plugin::wire::received& frame);
  [[nodiscard]] bool open(const plugin::wire::received& frame);
  [[nodiscard]] bool reload(const plugin::wire::received& frame);
  void end();
  void watch();
  void tell_faults();
  [[nodiscard]] plugin::reply_to reply(std::uint64_t number, std::int64_t left) const;
  void answer(std::uint64_t number, const plugin::hook_answer& given);

  line& to_;
  uid_t trusted_;
  std::shared_ptr<plugin::host> services_;
  std::unique_ptr<plugin::catalogue> catalogue_;
  std::shared_ptr<plugin::instance> instance_;
  std::shared_ptr<plugin::filter_provider> filter_;
  std::shared_ptr<plugin::auth_provider> auth_;
  std::shared_ptr<plugin::completion_sink> sink_;
  std::map<std::uint64_t, std::unique_ptr<plugin::filter_session>> sessions_;
  std::chrono::nanoseconds call_timeout_{};
  steady_time owed_since_{};
  plugin::instance_counters told_;
};

} // namespace hedwig::plugin_host
