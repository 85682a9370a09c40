// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <functional>
#include <memory>
#include <vector>

#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/op_table.hpp"

// The structs hooks are shown, each with the values it points at. `raw` points into its owner: none may be moved.
namespace hedwig::plugin {

struct session_shown {
  session_shown() = default;
  session_shown(const session_shown&) = delete;
  session_shown& operator=(const session_shown&) = delete;
  void assign(filter_session_view view);

  filter_session_view owned;
  hedwig_filter_session raw{};
};

struct address_shown {
  explicit address_shown(filter_address address);
  address_shown(const address_shown&) = delete;
  address_shown& operator=(const address_shown&) = delete;

  filter_address owned;
  std::vector<hedwig_pair> parameters;
  hedwig_filter_address raw{};
};

struct header_shown {
  explicit header_shown(filter_header header);
  header_shown(const header_shown&) = delete;
  header_shown& operator=(const header_shown&) = delete;

  filter_header owned;
  hedwig_filter_header raw{};
};

struct slice_shown {
  explicit slice_shown(slice chunk);
  slice_shown(const slice_shown&) = delete;
  slice_shown& operator=(const slice_shown&) = delete;

  slice owned;
  hedwig_slice raw{};
};

struct message_shown {
  explicit message_shown(filter_message message);
  message_shown(const message_shown&) = delete;
  message_shown& operator=(const message_shown&) = delete;

  filter_message owned;
  std::vector<hedwig_str> recipients;
  hedwig_filter_message raw{};
};

struct delivery_shown {
  explicit delivery_shown(filter_delivery delivery);
  delivery_shown(const delivery_shown&) = delete;
  delivery_shown& operator=(const delivery_shown&) = delete;

  std::string destination;
  message_shown message;
  hedwig_filter_delivery raw{};
};

/// One call of a hook; answers with a checked verdict.
class filter_op : public pending_op {
public:
  explicit filter_op(hook which) noexcept : which_{which} { kind = static_cast<std::uint8_t>(which); }
  result<outcome> decode(const void* answer) override {
    auto checked = check_verdict(static_cast<const hedwig_verdict*>(answer), which_);
    if (!checked)
      return std::unexpected{std::move(checked.error())};
    return outcome{std::move(*checked)};
  }
  /// Calls the plugin; owns what it is shown.
  std::move_only_function<void(void* state, hedwig_op* handle)> make;

private:
  hook which_;
};

/// Calls a hook on this stack and takes its answer when it is there at the return. `state` is called first and may say
/// why the hook cannot be called.
[[nodiscard]] hook_answer run_hook(instance& owner, std::unique_ptr<filter_op> op,
                                   const std::function<result<void*>()>& state);

} // namespace hedwig::plugin
