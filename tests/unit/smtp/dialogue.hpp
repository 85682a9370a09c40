// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/smtp/server_session.hpp"

namespace hedwig::smtp::test {

/// One line of a dialogue file. tests/dialogues/README.md tells the format.
struct step {
  enum class kind { client, server, message, body, tls, end, owner };
  kind what;
  std::string text; // unescaped where it stands for bytes
  int line = 0;
};

/// A refusal that the owner gives when asked about something that contains `match`.
struct refusal {
  std::string stage;
  std::string match;
  reply with;
};

struct dialogue {
  std::string name;
  server_settings settings;
  connection_facts facts;
  std::vector<refusal> refusals;
  int priority_max = 0; ///< of clients that have not logged in
  std::vector<step> steps;
};

/// Throws std::runtime_error with file and line.
[[nodiscard]] dialogue read_dialogue(const std::filesystem::path& file);

/// Gives the next piece's length for `left` bytes; at least 1.
using cutter = std::function<std::size_t(std::size_t left)>;

/// Plays the client and the owner. Returns what went otherwise than the file says; empty when all is well.
/// Every 4xx and 5xx must be counted by a reason.
[[nodiscard]] std::string play(const dialogue& what, const cutter& cut, dialogue_tap* tap = nullptr);
/// The reasons that its refusals were counted by.
[[nodiscard]] std::vector<refusal_reason> refusals_in(const dialogue& what);

} // namespace hedwig::smtp::test
