// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hedwig::admin {

/// One actor, as GET /v1/actors describes it; texts unescaped.
struct actor_info {
  std::uint64_t id = 0;
  std::uint64_t parent = 0; ///< 0 or of nobody here: a root
  std::string name;
  std::string label;
  std::string state;
  std::uint64_t mailbox = 0;
  std::uint64_t handled = 0;
  std::uint64_t busy_us = 0;
  std::uint64_t restarts = 0;
};

/// Children of one parent with one name that are shown one by one; those beyond are summed up in one line.
inline constexpr std::size_t siblings_max = 20;

/// The actors as a tree, children under parents in the order given, in columns; escaped. `all`: nothing is summed up.
[[nodiscard]] std::string actor_tree(const std::vector<actor_info>& actors, bool all);

} // namespace hedwig::admin
