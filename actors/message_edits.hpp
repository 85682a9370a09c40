// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"
#include "runtime/plugin/filter_values.hpp"
#include "runtime/queue/message.hpp"

#include <span>

namespace hedwig {

/// Applies the changes that filters asked for, in order: all of them, or none with HEDWIG_E_INVALID and the reason.
[[nodiscard]] result<void> apply_edits(queue::message& message, std::span<const plugin::edit> edits);

} // namespace hedwig
