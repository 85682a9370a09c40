// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/context.hpp"
#include "runtime/base/buffer.hpp"
#include "runtime/mail/header.hpp"
#include "runtime/plugin/filter_provider.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace hedwig {

/// The filters of one session, asked in the operator's order. A member of its session, on the same thread: a filter
/// that answers at once costs no hop, and a relay without filters nothing at all. One stage at a time; each gives its
/// verdict at once or, after nothing was returned, through answered().
class filter_chain {
public:
  /// `sink` brings what comes later back to the session.
  void open(const relay_plugins& plugins, plugin::filter_session_view view,
            std::shared_ptr<plugin::completion_sink> sink, relay_metrics& counts);
  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
  /// Some filter looks at the message itself, or may change it: it is needed as a whole.
  [[nodiscard]] bool want_content() const noexcept {
    return wanted(plugin::hook::header) || wanted(plugin::hook::body) || wanted(plugin::hook::end);
  }

  [[nodiscard]] std::optional<plugin::verdict> connect();
  [[nodiscard]] std::optional<plugin::verdict> helo(const plugin::filter_session_view& view);
  [[nodiscard]] std::optional<plugin::verdict> auth(const plugin::filter_session_view& view);
  [[nodiscard]] std::optional<plugin::verdict> mail(plugin::filter_address sender);
  [[nodiscard]] std::optional<plugin::verdict> recipient(plugin::filter_address recipient);
  /// Header fields, body and end. The verdict carries the edits of all filters, in order; they are applied together.
  [[nodiscard]] std::optional<plugin::verdict> message(plugin::filter_message message, const rope& content);

  /// Goes on with an answer that came later; a stale one changes nothing.
  [[nodiscard]] std::optional<plugin::verdict> answered(plugin::completion& done);
  /// The transaction is over, however it ended.
  void reset();

private:
  struct member {
    std::shared_ptr<plugin::filter_provider> provider;
    config::failure_action on_failure;
    std::unique_ptr<plugin::filter_session> session;
    bool satisfied = false;   ///< said ACCEPT: not asked again about this message
    bool told = false;        ///< its failure was logged once for this message
    std::uint64_t passed = 0; ///< answers that let the message go on and are not counted yet
  };
  struct stage {
    plugin::hook which;
    std::size_t owner; ///< in shown_: who keeps `raw`
    const void* raw;
  };

  [[nodiscard]] bool wanted(plugin::hook which) const noexcept;
  void add_content_stages(const rope& content);
  void add_stage(plugin::hook which, plugin::hook_argument what);
  void clear_stages();
  [[nodiscard]] std::optional<plugin::verdict> begin(plugin::hook which, plugin::hook_argument what);
  [[nodiscard]] std::optional<plugin::verdict> run();
  [[nodiscard]] std::optional<plugin::verdict> run_stages();
  /// The verdict that ends the chain, if this answer does.
  [[nodiscard]] std::optional<plugin::verdict> judge(member& of, result<plugin::verdict> answer);
  /// Nothing: it gave no usable answer.
  void count(const member& of, std::optional<plugin::verdict_action> action, std::uint64_t times = 1) const;
  [[nodiscard]] std::optional<plugin::verdict> on_failure(member& of, const error& why);

  std::vector<member> members_;
  plugin::reply_to reply_; ///< of the call that was made last
  relay_metrics* counts_ = nullptr;
  plugin::hook_argument opened_as_;
  std::vector<std::shared_ptr<const void>> shown_;
  std::vector<stage> stages_;
  bool in_transaction_ = false; ///< since MAIL
  std::size_t stage_ = 0;
  std::size_t member_ = 0;
  plugin::verdict gathered_; ///< edits so far, and quarantine once someone asked for it
};

} // namespace hedwig
