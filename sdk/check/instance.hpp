// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

#include "sdk/check/context.hpp"
#include "sdk/check/host.hpp"

namespace hedwig::check {

/// One instance of the provider under test, with a host of its own. Calls come on the test's thread, as [control].
class instance {
public:
  explicit instance(context& run);
  /// With other settings than the file's, and at another host.
  instance(context& run, std::shared_ptr<const hedwig_config> config, host_kind kind = {});
  ~instance();

  /// create and start. Throws broken when either fails.
  void begin();
  /// create and start; what start said.
  hedwig_status try_begin();
  /// validate and create; what they said is in error().
  hedwig_status try_create();
  /// start, after try_create(); what it said is in error().
  hedwig_status try_start();
  /// destroy, without a stop.
  void drop();
  /// reload, which the provider must offer; what it said is in error().
  hedwig_status reload(std::shared_ptr<const hedwig_config> config);
  /// stop and destroy. Throws broken when stop fails, or completes before the ops it was given.
  /// `stopped` is called between the two.
  void end(const std::function<void()>& stopped = {});
  bool is_running() const { return running_; }
  const std::string& error() const { return error_; }
  /// What `where` of the last error said.
  const std::string& where() const { return where_; }

  host& services() { return host_; }
  const hedwig_provider& provider() const { return run_.provider(); }
  void* raw() const { return raw_; }
  /// Threads of others than the kit at the moment stop was completed.
  const std::set<pid_t>& threads_at_stop() const { return threads_at_stop_; }

private:
  context& run_;
  host host_;
  std::shared_ptr<const hedwig_config> config_;
  void* raw_ = nullptr;
  std::vector<std::shared_ptr<const hedwig_config>> old_configs_; ///< of reloads: a request may still be at them
  bool running_ = false;
  std::string error_;
  std::string where_;
  std::set<pid_t> threads_at_stop_;
};

} // namespace hedwig::check
