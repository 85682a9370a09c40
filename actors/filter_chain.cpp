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
  reply_.sink = std::move(sink);
  counts_ = &counts;
  if (plugins.filters.empty())
    return;
  members_.reserve(plugins.filters.size());
  auto shown = std::make_shared<const plugin::session_shown>(std::move(view));
  opened_as_ = {shown, &shown->raw};
  for (auto& filter : plugins.filters)
    members_.push_back({filter.provider, filter.on_failure, filter.provider->open_shown(shown), false, false});
}

std::optional<verdict> filter_chain::connect() {
  return wanted(hook::connect) ? begin(hook::connect, opened_as_) : verdict{};
}

std::optional<verdict> filter_chain::helo(const plugin::filter_session_view& view) {
  return wanted(hook::helo) ? begin(hook::helo, plugin::shown(view)) : verdict{};
}

std::optional<verdict> filter_chain::auth(const plugin::filter_session_view& view) {
  return wanted(hook::auth) ? begin(hook::auth, plugin::shown(view)) : verdict{};
}

std::optional<verdict> filter_chain::mail(plugin::filter_address sender) {
  reset(); // of a message that ended with RSET
  in_transaction_ = true;
  return wanted(hook::mail) ? begin(hook::mail, plugin::shown(std::move(sender))) : verdict{};
}

std::optional<verdict> filter_chain::recipient(plugin::filter_address recipient) {
  return wanted(hook::recipient) ? begin(hook::recipient, plugin::shown(std::move(recipient))) : verdict{};
}

std::optional<verdict> filter_chain::message(plugin::filter_message message, const rope& content) {
  clear_stages();
  if (wanted(hook::header) || wanted(hook::body))
    add_content_stages(content);
  if (wanted(hook::end))
    add_stage(hook::end, plugin::shown(std::move(message)));
  return run();
}

void filter_chain::add_content_stages(const rope& content) {
  auto block = mail::header_block::parse(content);
  if (!block)
    return; // refused elsewhere for the same reason
  auto skip = block->body_offset();
  stages_.reserve(block->fields().size() + content.parts().size() + 1);
  shown_.reserve(content.parts().size() + 2);
  if (wanted(hook::header)) {
    auto header = plugin::shown(std::move(*block));
    for (auto& field : header.fields)
      stages_.push_back({hook::header, shown_.size(), &field});
    shown_.push_back(std::move(header.owner));
  }
  if (!wanted(hook::body))
    return;
  for (auto& part : content.parts()) {
    auto from = std::min(skip, part.size());
    skip -= from;
    if (from < part.size())
      add_stage(hook::body, plugin::shown(part.sub(from)));
  }
}

bool filter_chain::wanted(hook which) const noexcept {
  return std::ranges::any_of(members_, [&](auto& one) { return one.provider->wants(which); });
}

std::optional<verdict> filter_chain::begin(hook which, plugin::hook_argument what) {
  clear_stages();
  add_stage(which, std::move(what));
  return run();
}

void filter_chain::clear_stages() {
  stages_.clear();
  shown_.clear();
  stage_ = member_ = 0;
}

void filter_chain::add_stage(hook which, plugin::hook_argument what) {
  stages_.push_back({which, shown_.size(), what.raw});
  shown_.push_back(std::move(what.owner));
}

std::optional<verdict> filter_chain::run() {
  reply_.now = {};
  auto out = run_stages();
  for (auto& one : members_)
    if (auto times = std::exchange(one.passed, 0); times != 0)
      count(one, verdict_action::proceed, times);
  return out;
}

std::optional<verdict> filter_chain::run_stages() {
  for (; stage_ < stages_.size(); ++stage_, member_ = 0) {
    for (; member_ < members_.size(); ++member_) {
      auto& now = members_[member_];
      auto& at = stages_[stage_];
      if (now.satisfied || !now.provider->wants(at.which))
        continue;
      plugin::hook_answer answer;
      ++reply_.tag;
      if (now.session->passes(at.which, {shown_[at.owner], at.raw}, reply_, answer)) {
        ++now.passed;
        continue;
      }
      if (!answer)
        return std::nullopt;
      if (auto last = judge(now, std::move(*answer)))
        return last;
    }
  }
  return std::exchange(gathered_, {});
}

std::optional<verdict> filter_chain::answered(plugin::completion& done) {
  if (done.tag != reply_.tag || stage_ >= stages_.size() || member_ >= members_.size())
    return std::nullopt;
  auto answer = done.value ? result<verdict>{std::move(plugin::as<verdict>(*done.value))}
                           : result<verdict>{std::unexpected{std::move(done.value.error())}};
  if (auto last = judge(members_[member_], std::move(answer)))
    return last;
  ++member_;
  return run();
}

void filter_chain::count(const member& of, std::optional<verdict_action> action, std::uint64_t times) const {
  constexpr std::string_view words[] = {"proceed", "accept",     "reject",     "tempfail",
                                        "discard", "quarantine", "disconnect", "failed"};
  auto which = action ? static_cast<std::size_t>(*action) : std::size(words) - 1;
  auto place = static_cast<std::size_t>(&of - members_.data());
  counts_->verdicts(place, of.provider->owner()->name(), which, words[which]).add(times);
}

std::optional<verdict> filter_chain::judge(member& of, result<verdict> answer) {
  count(of, answer ? std::optional{answer->action} : std::nullopt);
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
  clear_stages();
  ++reply_.tag; // an answer still under way is stale
  for (auto& one : members_) {
    one.satisfied = false;
    one.told = false;
    if (in_transaction_)
      one.session->on_reset();
  }
  in_transaction_ = false;
}

} // namespace hedwig
