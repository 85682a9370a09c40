// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/spool_options.hpp"
#include "app/spool_store.hpp"
#include "app/spool_text.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace hedwig::app {

/// The configuration of the commands of `hedwig spool`, and the spool it names.
struct spool_setting {
  config::loaded file;
  spool_place place;
};

/// `hedwig [-c FILE] spool …`, and `queue …` as Hedwig 0.10 has it. Returns the exit status; nothing when the arguments
/// of the program are for another command.
[[nodiscard]] std::optional<int> spool(const std::vector<std::string>& arguments);

// What the commands share.

/// Opens the store, or says on standard error why not; then it is null and `status` the exit status.
[[nodiscard]] std::unique_ptr<spool_store> open_spool(const spool_place& place, spool_access access, int& status);
/// Says on standard error what failed; returns the exit status.
int spool_failed(const error& why);
/// For a wrong command line.
int spool_refused(std::string_view why);

/// Whether a message is one of those that --state, --domain, --sender, --older and --newer ask for.
class spool_filter {
public:
  /// An error is a text for the user.
  [[nodiscard]] static std::expected<spool_filter, std::string> make(const spool_options& wanted, wall_time now);
  [[nodiscard]] std::uint32_t states() const noexcept { return states_; }
  [[nodiscard]] bool wants(const spool_message& one) const;

private:
  std::uint32_t states_ = 0;
  std::string domain_;
  std::string sender_;
  wall_time before_ = wall_time::max();
  wall_time after_ = wall_time::min();
};

} // namespace hedwig::app
