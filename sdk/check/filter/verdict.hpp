// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "sdk/check/filter/hook.hpp"

namespace hedwig::check::filter {

/// What is wrong with code and text of a verdict of a known action; nothing: it is well-formed.
std::optional<blemish> fault_of_reply(const verdict_copy& said);
/// What is wrong with the edits, each and together.
std::optional<blemish> fault_of_edits(const std::vector<edit_copy>& edits);

} // namespace hedwig::check::filter
