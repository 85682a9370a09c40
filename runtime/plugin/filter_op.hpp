// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <memory>
#include <vector>

#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/op_table.hpp"

namespace hedwig::plugin {

/// One call of a hook; answers with a checked verdict. Owns what the plugin is shown.
class filter_op : public pending_op {
public:
  filter_op(hook which, const hedwig_filter& table, hook_argument what) noexcept
    : which_{which}, table_{table}, what_{std::move(what)} {
    show(which, what_.raw);
  }
  /// For another call: shows what somebody else keeps.
  void show(hook which, const void* raw) noexcept {
    which_ = which;
    what_.raw = raw;
    kind = static_cast<std::uint8_t>(which);
    name = to_string(which);
  }
  result<outcome> decode(const void* answer) override {
    auto checked = check_verdict(static_cast<const hedwig_verdict*>(answer), which_);
    if (!checked)
      return std::unexpected{std::move(checked.error())};
    return outcome{std::move(*checked)};
  }
  /// Calls the plugin.
  void make(void* state, hedwig_op* handle) const;
  /// Keeps the provider, whose table is called, until the plugin is through.
  std::shared_ptr<const void> keep;

private:
  hook which_;
  const hedwig_filter& table_;
  hook_argument what_;
};

/// What came of a hook called on this stack.
struct hook_run {
  bool proceeds = false;            ///< it answered, and said nothing but CONTINUE; nobody called settled()
  hook_answer answer;               ///< otherwise
  std::unique_ptr<pending_op> call; ///< where it answered: for another one, and its slot with it
};

/// Calls a hook on this stack and takes its answer when it is there at the return. `state` is called first and may say
/// why the hook cannot be called.
[[nodiscard]] hook_run run_hook(instance& owner, std::unique_ptr<filter_op> op,
                                std::optional<op_table::kept_slot>& slot, result<void*> (*state)(void* context),
                                void* context);

} // namespace hedwig::plugin
