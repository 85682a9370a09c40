// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/filter/hook.hpp"

#include <hedwig/plugin.hpp>

#include <algorithm>
#include <array>

#include "sdk/check/filter/rules.hpp"
#include "sdk/check/filter/verdict.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::filter {

const char* name_of(hook which) {
  constexpr std::array names{"on_connect", "on_helo", "on_auth", "on_mail",    "on_recipient",
                             "on_header",  "on_body", "on_end",  "on_delivery"};
  return names[static_cast<std::size_t>(which)];
}

std::string text_of(const verdict_copy& said) {
  if (said.status != HEDWIG_OK)
    return fmt::format("{}: {} {}", name_of(said.from), check::name_of(said.status), said.error);
  auto text = fmt::format("{}: action {}", name_of(said.from), said.action);
  if (said.reply_code != 0 || !said.reply.empty())
    text += fmt::format(", {} {} {}", said.reply_code, said.enhanced_code, said.reply);
  for (auto& one : said.edits)
    text += fmt::format(", edit {} {} \"{}\"", one.kind, one.name, one.value.substr(0, 60));
  return text;
}

hook_op::hook_op(hook which, const host& owner, std::size_t memory, bool watched)
  : owner_{owner}, watched_{watched}, memory_{memory, watched} {
  said.from = which;
  called(name_of(which));
}

hook_op::~hook_op() { release_slice(); }

const hedwig_slice* hook_op::show_slice(std::string_view text) {
  if (watched_) {
    // Its memory goes with the last reference, and is then watched too.
    auto* lent = new lent_memory{text.size(), true}; // NOLINT: until the process ends
    auto kept = lent->keep(text);
    auto* data = reinterpret_cast<const std::uint8_t*>(kept.data());
    auto* raw = owner_.raw();
    slice_ = {raw->buf_wrap(
                  raw, data, kept.size(), [](void* context) { static_cast<lent_memory*>(context)->take_back(); }, lent),
              data, kept.size()};
  } else {
    slice_ = owner_.copy(text);
  }
  auto* shown = memory_.make<hedwig_slice>();
  *shown = slice_;
  return shown;
}

void hook_op::release_slice() {
  if (auto* buffer = std::exchange(slice_.buf, nullptr))
    owner_.release(buffer);
}

void hook_op::let_go() {
  memory_.take_back();
  release_slice();
}

void hook_op::take(const hedwig_completion& done) {
  said.status = done.status;
  said.error = error;
  if (done.status == HEDWIG_OK && done.result != nullptr)
    judge(*static_cast<const hedwig_verdict*>(done.result));
}

void hook_op::judge(const hedwig_verdict& raw) {
  if (raw.struct_size < sizeof raw) {
    wrong.action = {&rules::sized_structs, fmt::format("hedwig_verdict has struct_size {}", raw.struct_size)};
    return;
  }
  said.action = raw.action;
  said.reply_code = raw.reply_code;
  said.enhanced_code = sdk::view(raw.enhanced_code);
  said.reply = sdk::view(raw.reply_text);
  if (raw.action < HEDWIG_CONTINUE || raw.action > HEDWIG_DISCONNECT)
    wrong.action = {&rules::known_verdicts, fmt::format("{} gave the action {}", name_of(said.from), raw.action)};
  else
    wrong.reply = fault_of_reply(said);
  take_edits(raw);
  if (!said.edits.empty() && said.from != hook::end && said.from != hook::delivery)
    wrong.place = {&rules::edits_at_the_end, fmt::format("{} gave {} edits", name_of(said.from), said.edits.size())};
  else
    wrong.edits = fault_of_edits(said.edits);
}

void hook_op::take_edits(const hedwig_verdict& raw) {
  constexpr std::size_t most = 100'000; // whatever the count says
  for (std::size_t i = 0; i < std::min(raw.edit_count, most); ++i) {
    auto& one = *raw.edits[i];
    edit_copy copy{one.kind, std::string{sdk::view(one.name)}, std::string{sdk::view(one.value)}, one.index, one.flags,
                   {}};
    for (std::size_t k = 0; k < one.slice_count; ++k)
      copy.body += sdk::view(one.slices[k]);
    said.edits.push_back(std::move(copy));
  }
}

} // namespace hedwig::check::filter
