// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hedwig::app {

/// Takes up certificates, keys and client authorities of listeners whose files have changed, for new connections, and
/// tells of certificates that run out. A pair that is half written, or wrong, is not taken: the one in use stays. Owned
/// by the engine, on its thread; blocks while it reads files.
class certificate_watch {
public:
  explicit certificate_watch(relay_context& context) : context_{context} {}

  /// Does what is due by the relay's clock; cheap when nothing is.
  void look();
  /// After a reload of the configuration: other files, perhaps, and just read.
  void start_anew();

private:
  /// Device, inode, size, times of change; all zero where there is no file.
  using stamp = std::array<std::uint64_t, 5>;
  struct watched {
    std::vector<stamp> seen;  ///< at the last look
    std::vector<stamp> tried; ///< when it was last read
  };

  void look_at_files();
  void look_at(std::size_t listener, watched& files);
  void read_again(std::size_t listener);
  void look_at_expiry();
  void show_expiry();

  relay_context& context_;
  std::map<std::size_t, watched> listeners_;
  steady_time next_look_{};
  steady_time next_expiry_look_{};
  std::map<std::string, steady_time> told_; ///< by file: when it was last said to run out
  std::map<std::string, wall_time> shown_;  ///< in the metric, by file
};

} // namespace hedwig::app
