// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sdk/check/context.hpp"
#include "sdk/check/host.hpp"

namespace hedwig::check {

/// One instance of the provider under test, with a host of its own. Calls come on the test's thread, as [control].
class instance {
public:
  explicit instance(context& run);
  /// With other settings than the file's.
  instance(context& run, std::shared_ptr<const hedwig_config> config);
  ~instance();

  /// create and start. Throws broken when either fails.
  void begin();
  /// create and start; what start said.
  hedwig_status try_begin();
  /// stop and destroy. Throws broken when stop fails, or completes before the ops it was given.
  /// `stopped` is called between the two.
  void end(const std::function<void()>& stopped = {});
  bool is_running() const { return running_; }
  const std::string& error() const { return error_; }

  host& services() { return host_; }
  const hedwig_provider& provider() const { return run_.provider(); }
  void* raw() const { return raw_; }

private:
  context& run_;
  host host_;
  std::shared_ptr<const hedwig_config> config_;
  void* raw_ = nullptr;
  bool running_ = false;
  std::string error_;
};

} // namespace hedwig::check
