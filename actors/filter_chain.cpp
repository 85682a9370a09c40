// SPDX-License-Identifier: Apache-2.0
#include "actors/filter_chain.hpp"

#include "runtime/telemetry/log.hpp"

#include <algorithm>

namespace hedwig {

using plugin::hook;
using plugin::verdict;
using plugin::verdict_action;

void filter_chain::open(const relay_plugins& plugins, plugin::filter_session_view view,
                        std::shared_ptr<plugin::completion_sink> sink, relay_metrics& counts) {
  sink_ = std::move(sink);
  counts_ = &counts;
  for (auto& filter : plugins.filters)
    members_.push_back({filter.provider, filter.on_failure, filter.provider->open(view), false, false});
}

std::optional<verdict> filter_chain::connect(const plugin::filter_session_view& view) {
  return wanted(hook::connect) ? begin(hook::connect, plugin::shown(view)) : verdict{};
}

std::optional<verdict> filter_chain::helo(const plugin::filter_session_view& view) {
  return wanted(hook::helo) ? begin(hook::helo, plugin::shown(view)) : verdict{};
}

std::optional<verdict> filter_chain::auth(const plugin::filter_session_view& view) {
  return wanted(hook::auth) ? begin(hook::auth, plugin::shown(view)) : verdict{};
}

std::optional<verdict> filter_chain::mail(const plugin::filter_address& sender) {
  return wanted(hook::mail) ? begin(hook::mail, plugin::shown(sender)) : verdict{};
}

std::optional<verdict> filter_chain::recipient(const plugin::filter_address& recipient) {
  return wanted(hook::recipient) ? begin(hook::recipient, plugin::shown(recipient)) : verdict{};
}

std::optional<verdict> filter_chain::message(const plugin::filter_message& message, const rope& content) {
  stages_.clear();
  if (wanted(hook::header) || wanted(hook::body))
    add_content_stages(content);
  if (wanted(hook::end))
    stages_.push_back({hook::end, plugin::shown(message)});
  stage_ = member_ = 0;
  return run();
}

void filter_chain::add_content_stages(const rope& content) {
  auto block = mail::header_block::parse(content);
  if (!block)
    return; // refused elsewhere for the same reason
  if (wanted(hook::header))
    add_header_stages(*block);
  if (!wanted(hook::body))
    return;
  auto skip = block->body_offset();
  for (auto& part : content.parts()) {
    auto from = std::min(skip, part.size());
    skip -= from;
    if (from < part.size())
      stages_.push_back({hook::body, plugin::shown(part.sub(from))});
  }
}

void filter_chain::add_header_stages(const mail::header_block& block) {
  std::uint32_t index = 0;
  for (auto& field : block.fields()) {
    plugin::filter_header header{++index, std::string{field.name}, mail::unfold(field.value),
                                 std::string{field.name.data(), field.size}};
    stages_.push_back({hook::header, plugin::shown(std::move(header))});
  }
}

bool filter_chain::wanted(hook which) const noexcept {
  return std::ranges::any_of(members_, [&](auto& one) { return one.provider->wants(which); });
}

std::optional<verdict> filter_chain::begin(hook which, plugin::hook_argument what) {
  stages_.clear();
  stages_.push_back({which, std::move(what)});
  stage_ = member_ = 0;
  return run();
}

std::optional<verdict> filter_chain::run() {
  for (; stage_ < stages_.size(); ++stage_, member_ = 0) {
    for (; member_ < members_.size(); ++member_) {
      auto& now = members_[member_];
      if (now.satisfied || !now.provider->wants(stages_[stage_].which))
        continue;
      auto answer = now.session->ask(stages_[stage_].which, stages_[stage_].what, {sink_, ++tag_, {}});
      if (!answer)
        return std::nullopt;
      if (auto last = judge(now, std::move(*answer)))
        return last;
    }
  }
  return std::exchange(gathered_, {});
}

std::optional<verdict> filter_chain::answered(plugin::completion& done) {
  if (done.tag != tag_ || stage_ >= stages_.size() || member_ >= members_.size())
    return std::nullopt;
  auto answer = done.value ? result<verdict>{std::move(plugin::as<verdict>(*done.value))}
                           : result<verdict>{std::unexpected{std::move(done.value.error())}};
  if (auto last = judge(members_[member_], std::move(answer)))
    return last;
  ++member_;
  return run();
}

void filter_chain::count(const member& of, const result<verdict>& answer) const {
  constexpr std::string_view words[] = {"proceed", "accept",     "reject",     "tempfail",
                                        "discard", "quarantine", "disconnect", "failed"};
  auto which = answer ? static_cast<std::size_t>(answer->action) : std::size(words) - 1;
  auto place = static_cast<std::size_t>(&of - members_.data());
  counts_->verdicts(place, of.provider->owner()->name(), which, words[which]).add();
}

std::optional<verdict> filter_chain::judge(member& of, result<verdict> answer) {
  count(of, answer);
  if (!answer)
    return on_failure(of, answer.error());
  std::ranges::move(answer->edits, std::back_inserter(gathered_.edits));
  switch (answer->action) {
  case verdict_action::proceed:
    return std::nullopt;
  case verdict_action::accept:
    of.satisfied = true;
    return std::nullopt;
  case verdict_action::quarantine:
    gathered_.action = verdict_action::quarantine;
    gathered_.text = std::move(answer->text);
    return std::nullopt;
  default:
    stage_ = stages_.size();
    gathered_ = {};
    return std::move(*answer);
  }
}

std::optional<verdict> filter_chain::on_failure(member& of, const error& why) {
  constexpr std::string_view means[] = {"tempfail", "accept", "reject", "accept"};
  if (!std::exchange(of.told, true))
    telemetry::log(telemetry::level::warn, telemetry::component::filter,
                   {"filter.failed", "a filter gave no usable answer; its on_failure decides"},
                   {{"filter", of.provider->owner()->name()},
                    {"call", plugin::to_string(stages_[stage_].which)},
                    {"error", why.text()},
                    {"on_failure", means[static_cast<std::size_t>(of.on_failure)]}});
  switch (of.on_failure) {
  case config::failure_action::proceed:
    return std::nullopt;
  case config::failure_action::reject:
    return verdict{verdict_action::reject, 554, "5.3.0", "Message content could not be checked", {}};
  default:
    return verdict{verdict_action::tempfail, 451, "4.3.0", "Try again later", {}};
  }
}

void filter_chain::reset() {
  gathered_ = {};
  stages_.clear();
  stage_ = member_ = 0;
  ++tag_; // an answer still under way is stale
  for (auto& one : members_) {
    one.satisfied = false;
    one.told = false;
    one.session->on_reset();
  }
}

} // namespace hedwig
