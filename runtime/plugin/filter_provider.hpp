// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "runtime/plugin/filter_shown.hpp"
#include "runtime/plugin/instance.hpp"

namespace hedwig::plugin {

class filter_session;

/// A verdict that was there when the call returned; nothing: the sink will hear.
using hook_answer = std::optional<result<verdict>>;

/// A filter provider as the filter chain sees it. Callable from every thread, never blocks.
class filter_provider : public std::enable_shared_from_this<filter_provider> {
public:
  /// INVALID when the instance is of another interface.
  [[nodiscard]] static result<std::shared_ptr<filter_provider>> make(std::shared_ptr<instance> owner);

  /// A hook that is not wanted need not be called, and costs nothing.
  [[nodiscard]] bool wants(hook which) const noexcept { return wanted_[static_cast<std::size_t>(which)]; }
  [[nodiscard]] bool wants_reset() const noexcept { return table_.on_reset != nullptr; }

  /// State for one SMTP session. The plugin's open() runs with the first hook.
  [[nodiscard]] std::unique_ptr<filter_session> open(filter_session_view session);
  [[nodiscard]] std::unique_ptr<filter_session> open_shown(std::shared_ptr<const session_shown> session);
  /// Before one delivery attempt; outside any session.
  [[nodiscard]] hook_answer on_delivery(filter_delivery delivery, reply_to reply);

  [[nodiscard]] const std::shared_ptr<instance>& owner() const noexcept { return owner_; }
  [[nodiscard]] const hedwig_filter& table() const noexcept { return table_; }

private:
  explicit filter_provider(std::shared_ptr<instance> owner);

  std::shared_ptr<instance> owner_;
  hedwig_filter table_{};
  std::array<bool, 9> wanted_{};
};

/// One SMTP session's state in one filter. Not thread-safe: owned by one session actor. One hook at a time: the next
/// may be called once the last one has answered or timed out. Destroying it closes the plugin's state, after a hook
/// that is still running.
///
/// Each hook returns its verdict when the filter answered at once (then the sink hears nothing); otherwise the sink
/// gets a `verdict`. A malformed answer is an error with status INVALID; the caller applies the operator's on_failure
/// to every error. After a timeout the state is lost: hooks answer UNAVAILABLE until the session ends.
/// A hook that the filter does not have answers `proceed` at once.
class filter_session {
public:
  ~filter_session();
  filter_session(const filter_session&) = delete;
  filter_session& operator=(const filter_session&) = delete;

  /// Any hook; `what` is what it is shown, of the type that belongs to it.
  [[nodiscard]] hook_answer ask(hook which, const hook_argument& what, const reply_to& reply);
  /// The same, for the usual case: true where the filter said CONTINUE and nothing more, on the spot. `reply.now` is
  /// then when that was, for the call that follows.
  [[nodiscard]] bool passes(hook which, shown_here what, reply_to& reply, hook_answer& otherwise);
  [[nodiscard]] hook_answer on_connect(filter_session_view session, const reply_to& reply);
  [[nodiscard]] hook_answer on_helo(filter_session_view session, const reply_to& reply);
  [[nodiscard]] hook_answer on_auth(filter_session_view session, const reply_to& reply);
  [[nodiscard]] hook_answer on_mail(filter_address sender, const reply_to& reply);
  [[nodiscard]] hook_answer on_recipient(filter_address recipient, const reply_to& reply);
  [[nodiscard]] hook_answer on_header(filter_header header, const reply_to& reply);
  [[nodiscard]] hook_answer on_body(slice chunk, const reply_to& reply);
  [[nodiscard]] hook_answer on_end(filter_message message, const reply_to& reply);
  /// RSET, a refusal, a new MAIL. Never fails.
  void on_reset();

  struct core;

private:
  friend class filter_provider;
  explicit filter_session(std::shared_ptr<core> state);

  std::shared_ptr<core> core_;
};

} // namespace hedwig::plugin
