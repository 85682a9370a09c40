// SPDX-License-Identifier: Apache-2.0
#include "actors/message_edits.hpp"

#include "runtime/mail/address.hpp"
#include "runtime/mail/header.hpp"

#include <algorithm>

namespace hedwig {

namespace {

using plugin::edit;
using plugin::edit_kind;

error misfit(std::string what) { return {HEDWIG_E_INVALID, std::move(what), {}, 0}; }

constexpr std::size_t fold_at = 78;   // RFC 5322, section 2.1.1: the length a line should have
constexpr std::size_t word_max = 900; // and less than what it must not exceed

/// Folds a value of one line at its white space, the first word standing at `column`. A longer word than `word_max` is
/// broken; no line is white space alone.
std::string folded(std::string_view value, std::size_t column) {
  std::string out;
  while (!value.empty()) {
    auto word = value.find_first_not_of(" \t");
    if (word == std::string_view::npos)
      break;
    auto end = std::min(value.find_first_of(" \t", word), value.size());
    auto text = value.substr(word, std::min(end - word, word_max));
    auto space = word == 0 && !out.empty() ? std::string_view{" "} : value.substr(0, std::min<std::size_t>(word, 8));
    if (!out.empty() && column + space.size() + text.size() > fold_at) {
      out += "\r\n";
      column = 0;
    }
    (out += space) += text;
    column += space.size() + text.size();
    value.remove_prefix(word + text.size());
  }
  return out;
}

/// A message taken apart into fields and content, for as long as edits are applied.
class editor {
public:
  explicit editor(queue::message& message) : message_{message}, envelope_{message.envelope} {}

  result<void> open() {
    auto block = mail::header_block::parse(*message_.body);
    if (!block)
      return std::unexpected{misfit("its header cannot be taken apart")};
    for (auto& field : block->fields())
      fields_.emplace_back(field.name.data(), field.size);
    std::size_t skip = block->body_offset();
    for (auto& part : message_.body->parts()) {
      auto from = std::min(skip, part.size());
      skip -= from;
      content_.append(part.sub(from));
    }
    return {};
  }

  result<void> apply(const edit& change) {
    switch (change.kind) {
    case edit_kind::add_header:
      fields_.push_back(line(change));
      return {};
    case edit_kind::insert_header:
      fields_.insert(fields_.begin() +
                         std::clamp<std::ptrdiff_t>(std::ptrdiff_t{change.index} - 1, 0, std::ssize(fields_)),
                     line(change));
      return {};
    case edit_kind::replace_header:
    case edit_kind::delete_header:
      return change_header(change);
    case edit_kind::replace_body:
      content_ = change.body;
      return {};
    default:
      return change_envelope(change);
    }
  }

  void commit() {
    std::string header;
    for (auto& field : fields_)
      header += field;
    rope whole;
    whole.append_copy(header + "\r\n");
    whole.append(content_);
    message_.envelope = std::move(envelope_);
    message_.size = whole.size();
    message_.body = std::move(whole);
  }

private:
  static std::string line(const edit& change) {
    return change.name + ": " + (change.folded ? change.value : folded(change.value, change.name.size() + 2)) + "\r\n";
  }

  static bool is_named(const std::string& field, const std::string& name) {
    auto parsed = std::string_view{field}.substr(0, field.find_first_of(": \t"));
    return std::ranges::equal(
        parsed, name, {}, [](unsigned char c) { return std::tolower(c); },
        [](unsigned char c) { return std::tolower(c); });
  }

  result<void> change_header(const edit& change) {
    auto drop = change.kind == edit_kind::delete_header;
    if (drop && change.index == 0) {
      std::erase_if(fields_, [&](auto& field) { return is_named(field, change.name); });
      return {};
    }
    std::uint32_t seen = 0;
    for (auto it = fields_.begin(); it != fields_.end(); ++it) {
      if (!is_named(*it, change.name) || ++seen != std::max(change.index, 1u))
        continue;
      if (drop)
        fields_.erase(it);
      else
        *it = line(change);
      return {};
    }
    if (!drop)
      fields_.push_back(line(change)); // as milters do: replacing what is not there adds it
    return {};
  }

  result<void> change_envelope(const edit& change) {
    auto parsed = mail::address::parse(change.value);
    if (!parsed && !(change.kind == edit_kind::change_sender && change.value.empty()))
      return std::unexpected{misfit("not an address: " + change.value)};
    auto& recipients = envelope_.recipients;
    auto same = [&](auto& one) { return one.address == change.value; };
    if (change.kind == edit_kind::change_sender)
      envelope_.reverse_path = change.value;
    else if (change.kind == edit_kind::delete_recipient)
      std::erase_if(recipients, same);
    else if (std::ranges::none_of(recipients, same))
      recipients.push_back({change.value, {}, 0});
    if (recipients.empty())
      return std::unexpected{misfit("no recipient is left: discard the message instead")};
    return {};
  }

  queue::message& message_;
  queue::envelope envelope_;
  std::vector<std::string> fields_;
  rope content_;
};

} // namespace

result<void> apply_edits(queue::message& message, std::span<const plugin::edit> edits) {
  if (edits.empty())
    return {};
  editor open{message};
  if (auto opened = open.open(); !opened)
    return opened;
  for (auto& change : edits)
    if (auto applied = open.apply(change); !applied)
      return applied;
  open.commit();
  return {};
}

} // namespace hedwig
