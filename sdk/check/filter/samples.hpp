// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "sdk/check/context.hpp"

namespace hedwig::check::filter {

/// A message with a name for failures' texts.
struct sample {
  std::string name;
  known_message message;
};

/// An ordinary message of a few lines.
known_message ordinary_message();
/// Ordinary ones, and those of check.messages.
std::vector<sample> plain_samples(const context& run);
/// Messages without header or body, with any bytes, with much of everything.
std::vector<sample> odd_messages();
/// Senders, recipients and clients as they may be.
std::vector<sample> odd_envelopes();

} // namespace hedwig::check::filter
