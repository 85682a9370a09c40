// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/mail/header.hpp"
#include "runtime/plugin/filter_values.hpp"

// The structs hooks are shown, each with the values it points at. `raw` points into its owner: none may be moved.
namespace hedwig::plugin {

struct session_shown {
  session_shown() = default;
  explicit session_shown(filter_session_view view) { assign(std::move(view)); }
  session_shown(const session_shown&) = delete;
  session_shown& operator=(const session_shown&) = delete;
  void assign(filter_session_view view);

  filter_session_view owned;
  std::vector<hedwig_str> groups;
  std::vector<hedwig_pair> attributes;
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

/// What one hook is shown, made once for all filters that are asked; null: nothing.
struct hook_argument {
  std::shared_ptr<const void> owner;
  const void* raw = nullptr; ///< the struct of the ABI, inside `owner`
};

/// The same, borrowed.
struct shown_here {
  const std::shared_ptr<const void>& owner;
  const void* raw;
};

/// All fields of a header, in order.
struct header_shown_whole {
  std::shared_ptr<const void> owner;
  std::span<const hedwig_filter_header> fields;
};

[[nodiscard]] header_shown_whole shown(mail::header_block block);
[[nodiscard]] hook_argument shown(filter_session_view view);
[[nodiscard]] hook_argument shown(filter_address address);
[[nodiscard]] hook_argument shown(filter_header header);
[[nodiscard]] hook_argument shown(slice chunk);
[[nodiscard]] hook_argument shown(filter_message message);
[[nodiscard]] hook_argument shown(filter_delivery delivery);

} // namespace hedwig::plugin
