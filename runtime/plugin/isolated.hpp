// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.h>
#include <hedwig/filter.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/plugin/host.hpp"
#include "runtime/plugin/loader.hpp"

namespace hedwig::plugin {

struct instance_settings;

/// What is known of the process of an isolated instance.
struct isolation_view {
  int pid = 0; ///< 0: it is not running
  std::uint64_t deaths = 0;
  std::string last_death; ///< "died of signal 11 (Segmentation fault)"
};

/// A provider that runs in a process of its own. To the instance it is one like any other: its functions send what they
/// are asked to hedwig-plugin-host, which has the same file loaded, and a thread of its own completes the calls as the
/// answers come. A process that dies, is too late by far or says what cannot be read fails the calls it had, and is
/// started again, after a pause that grows while it keeps dying. Thread-safe.
class isolated_provider : public std::enable_shared_from_this<isolated_provider> {
public:
  /// UNSUPPORTED where the provider is neither a filter nor a directory or does not declare itself ISOLATABLE;
  /// NOT_FOUND where the program is not there.
  [[nodiscard]] static result<std::shared_ptr<isolated_provider>>
  make(std::shared_ptr<host> services, provider_ref real, const instance_settings& settings);

  /// What the instance calls; lives as long as this.
  [[nodiscard]] provider_ref ref() const { return {real_.plugin, &provider_, real_.file}; }
  /// While it lives, a create() on this thread makes an instance of this provider.
  class creating {
  public:
    explicit creating(isolated_provider* of) noexcept;
    ~creating();
    creating(const creating&) = delete;
    creating& operator=(const creating&) = delete;
  };
  [[nodiscard]] isolation_view look() const;

  static constexpr std::chrono::milliseconds first_pause{100};
  static constexpr std::chrono::seconds longest_pause{30};
  static constexpr std::chrono::minutes start_wait{10};              ///< a directory may be slow to connect to
  static constexpr std::chrono::seconds stop_wait{10};               ///< for an orderly end, then it is killed
  static constexpr std::size_t outgoing_max = std::size_t{64} << 20; ///< bytes that it has not read; BUSY above

private:
  friend class isolated_instance;
  friend struct isolated_table;
  isolated_provider(std::shared_ptr<host> services, provider_ref real, const instance_settings& settings,
                    std::string program);
  void died(const std::string& how);

  std::shared_ptr<host> services_;
  provider_ref real_;
  std::string program_;
  std::string name_;
  std::string user_;
  std::string sha256_;
  std::chrono::nanoseconds call_timeout_;
  std::uint32_t workers_;
  std::uint64_t max_pending_;
  hedwig_provider provider_{};
  hedwig_filter filter_{};
  hedwig_auth auth_{};
  std::atomic<int> pid_{0};
  std::atomic<std::uint64_t> deaths_{0};
  mutable std::mutex mutex_;
  std::string last_death_;
};

/// Where hedwig-plugin-host is: beside this program, or in bin/ of the folder above. Empty: neither.
[[nodiscard]] std::string plugin_host_program();

} // namespace hedwig::plugin
