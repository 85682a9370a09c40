// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/loader.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::test {

/// The real clock, which a test may set forward.
class shifted_clock : public hedwig::clock {
public:
  wall_time wall() const noexcept override { return clock::system().wall() + shift_.load(); }
  steady_time steady() const noexcept override { return clock::system().steady() + shift_.load(); }
  void shift(std::chrono::nanoseconds by) { shift_ = shift_.load() + by; }

private:
  std::atomic<std::chrono::nanoseconds> shift_{std::chrono::nanoseconds{0}};
};

/// Log lines with their fields.
class full_log : public plugin::log_sink {
public:
  int level() const noexcept override { return HEDWIG_LOG_TRACE; }
  void log(const plugin::log_record& record) noexcept override;
  /// The lines that hold `part`.
  int count(std::string_view part) const;
  std::string all() const;

private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// An auth provider of ours as the relay loads it, with settings in TOML.
class auth_instance {
public:
  auth_instance(const char* provider, const std::string& toml, unsigned workers = 4, bool own_threads = false);
  ~auth_instance();
  auth_instance(const auth_instance&) = delete;
  auth_instance& operator=(const auth_instance&) = delete;

  /// What it complained of; empty: the new settings are in force.
  std::string reload(const std::string& toml);

  /// HEDWIG_OK or why not; who() is then what came with it.
  hedwig_status ask(const std::string& user, const std::string& password, const std::string& as_user = {},
                    std::chrono::nanoseconds within = {});
  hedwig_status ask_scram(const std::string& user);
  const plugin::identity& who() const { return who_; }
  const plugin::scram_secret& secret() const { return secret_; }
  /// Of the last question that failed.
  const std::string& error() const { return error_; }
  /// What check_provider() or start complained of.
  const std::string& fault() const { return fault_; }
  const full_log& log() const { return *log_; }
  void shift_clock(std::chrono::nanoseconds by) { clock_->shift(by); }
  plugin::auth_provider& face() { return *face_; }

private:
  std::shared_ptr<const hedwig_config> read(const std::string& toml);
  plugin::auth_request request(const std::string& user) const;
  hedwig_status take(plugin::testing::recorded_completions& from, bool scram);

  std::shared_ptr<shifted_clock> clock_ = std::make_shared<shifted_clock>();
  std::shared_ptr<full_log> log_ = std::make_shared<full_log>();
  std::shared_ptr<plugin::host> services_;
  plugin::provider_ref provider_;
  std::shared_ptr<plugin::instance> owner_;
  std::shared_ptr<plugin::auth_provider> face_;
  plugin::identity who_;
  plugin::scram_secret secret_;
  std::string error_;
  std::string fault_;
};

struct ldap_instance : auth_instance {
  explicit ldap_instance(const std::string& toml, unsigned workers = 4, bool own_threads = false)
    : auth_instance{"ldap", toml, workers, own_threads} {}
};

} // namespace hedwig::test
