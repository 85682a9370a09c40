// SPDX-License-Identifier: Apache-2.0
#include "rules.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <stdexcept>

namespace hedwig::filter_headers {

namespace {

/// "example.com", "*.example.com" or "*".
bool domain_matches(const std::string& pattern, std::string_view domain) {
  if (pattern == "*")
    return true;
  if (pattern.starts_with("*."))
    return domain.size() > pattern.size() - 1 && domain.ends_with(std::string_view{pattern}.substr(1));
  return domain == pattern;
}

/// A name, "*@example.com" or "*" for whoever has authenticated; "" for whoever has not.
bool identity_matches(const std::string& pattern, std::string_view identity) {
  if (pattern.starts_with("*"))
    return !identity.empty() && identity.ends_with(std::string_view{pattern}.substr(1));
  return identity == pattern;
}

/// Whether the expression is found; what it matched goes to `values`.
bool matches_value(const re2::RE2& expression, const field& one, template_values& values) {
  std::array<re2::StringPiece, 10> groups;
  auto count = std::min(expression.NumberOfCapturingGroups() + 1, static_cast<int>(groups.size()));
  if (!expression.Match(one.value, 0, one.value.size(), re2::RE2::UNANCHORED, groups.data(), count))
    return false;
  for (std::size_t i = 0; i < groups.size(); ++i)
    values.groups[i].assign(groups[i].data() == nullptr ? "" : groups[i].data(), groups[i].size());
  return true;
}

} // namespace

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

name_pattern::name_pattern(std::string_view pattern, bool star_allowed) : text_{pattern} {
  prefix_ = star_allowed && pattern.ends_with('*');
  if (prefix_)
    pattern.remove_suffix(1);
  key_ = lower(pattern);
  // RFC 5322, section 2.2: printable US-ASCII but the colon.
  auto good = [](char c) { return c > ' ' && c < 0x7F && c != ':' && c != '*'; };
  if (pattern.empty() || pattern.size() > 76 || !std::ranges::all_of(pattern, good))
    throw std::invalid_argument{"\"" + text_ + "\" is not the name of a header field"};
}

bool rule::concerns(const template_values& facts, const group_names& of_user) const {
  auto fact = [&](variable which) -> const std::string& { return facts.of[static_cast<std::size_t>(which)]; };
  auto listed = [](auto& list, auto test) { return list.empty() || std::ranges::any_of(list, test); };
  return listed(listeners, [&](auto& one) { return one == fact(variable::listener); }) &&
         listed(identities, [&](auto& one) { return identity_matches(one, fact(variable::identity)); }) &&
         listed(groups, [&](auto& one) { return of_user.contains(one); }) &&
         listed(sender_domains, [&](auto& one) { return domain_matches(one, fact(variable::sender_domain)); });
}

bool rule::holds(const std::vector<field>& fields, template_values& values) const {
  if (unless_field && std::ranges::any_of(fields, [&](auto& one) { return unless_field->matches(one.key); }))
    return false;
  if (!if_field)
    return true;
  return std::ranges::any_of(fields, [&](auto& one) {
    return if_field->matches(one.key) && (!if_value || matches_value(*if_value, one, values));
  });
}

bool rule_set::looks_at(const std::string& key) const {
  return keys.contains(key) || std::ranges::any_of(prefixes, [&](auto& one) { return one.matches(key); });
}

void rule_set::watch(const name_pattern& pattern) {
  if (pattern.is_prefix())
    prefixes.push_back(pattern);
  else
    keys.insert(pattern.key());
}

std::vector<sdk::edit> rule_run::apply(const rule_set& rules) {
  for (auto& one : rules.rules)
    if (one.concerns(facts_, groups_))
      apply(one);
  return std::move(edits_);
}

void rule_run::apply(const rule& one) {
  facts_.groups = {};
  facts_[variable::value].clear();
  if (!one.holds(fields_, facts_))
    return;
  if (one.action == rule_action::remove)
    return remove(one);
  if (one.action == rule_action::replace)
    return change(one);
  field made{one.target.text(), one.target.key(), one.value.expand(facts_)};
  auto on_top = one.action == rule_action::insert;
  emit({on_top ? HEDWIG_EDIT_INSERT_HEADER : HEDWIG_EDIT_ADD_HEADER, made.name, made.value, on_top ? 1U : 0U});
  fields_.insert(on_top ? fields_.begin() : fields_.end(), std::move(made));
}

void rule_run::change(const rule& one) {
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    auto& now = fields_[i];
    if (!one.target.matches(now.key) || (one.target_value && !matches_value(*one.target_value, now, facts_)))
      continue;
    facts_[variable::value] = now.value;
    auto next = one.value.expand(facts_);
    if (next == now.value)
      continue;
    now.value = std::move(next);
    emit({HEDWIG_EDIT_REPLACE_HEADER, now.name, now.value, rank(i)});
  }
}

std::vector<std::size_t> rule_run::targets(const rule& one) const {
  std::vector<std::size_t> found;
  template_values unused;
  for (std::size_t i = 0; i < fields_.size(); ++i)
    if (one.target.matches(fields_[i].key) &&
        (!one.target_value || matches_value(*one.target_value, fields_[i], unused)))
      found.push_back(i);
  return found;
}

void rule_run::remove(const rule& one) {
  auto found = targets(one);
  auto all_of_name = [&](const std::string& key) {
    auto is_named = [&](std::size_t i) { return fields_[i].key == key; };
    return std::ranges::count(fields_, key, &field::key) == std::ranges::count_if(found, is_named);
  };
  std::unordered_set<std::string> gone; // names whose fields go all at once
  std::unordered_set<std::string> some; // and those of which some stay
  for (auto place : found)
    if (auto& key = fields_[place].key; !gone.contains(key) && !some.contains(key)) {
      auto all = all_of_name(key);
      (all ? gone : some).insert(key);
      if (all)
        emit({HEDWIG_EDIT_DELETE_HEADER, fields_[place].name, {}, 0});
    }
  // From the last one up, so that the ranks of those before it stand.
  for (auto place = found.rbegin(); place != found.rend(); ++place) {
    if (some.contains(fields_[*place].key))
      emit({HEDWIG_EDIT_DELETE_HEADER, fields_[*place].name, {}, rank(*place)});
    fields_.erase(fields_.begin() + static_cast<std::ptrdiff_t>(*place));
  }
}

std::uint32_t rule_run::rank(std::size_t place) const {
  auto end = fields_.begin() + static_cast<std::ptrdiff_t>(place);
  auto is_named = [&](const field& one) { return one.key == end->key; };
  return static_cast<std::uint32_t>(std::count_if(fields_.begin(), end, is_named) + 1);
}

void rule_run::emit(sdk::edit edit) {
  if (edits_.size() >= edits_max)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "the rules change more than 900 fields of this message"};
  edits_.push_back(std::move(edit));
}

} // namespace hedwig::filter_headers
