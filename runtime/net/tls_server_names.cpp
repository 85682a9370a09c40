// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/ascii.hpp"
#include "runtime/net/tls_server_side.hpp"

#include <algorithm>

namespace hedwig::net {

namespace {

/// RFC 6125, section 6.4.3: "*.example.test" is for one label more, no less and no others.
std::string wildcard_for(std::string_view name) {
  auto dot = name.find('.');
  return dot == std::string_view::npos || dot == 0 ? std::string{} : "*" + std::string{name.substr(dot)};
}

bool holds_name(const std::vector<std::string>& names, std::string_view wanted) {
  return !wanted.empty() && std::ranges::find(names, wanted) != names.end();
}

} // namespace

tls_server_names::tls_server_names(const std::vector<std::vector<std::string>>& names,
                                   const std::vector<std::string>& kinds) {
  auto add_if_new_kind = [&](std::vector<std::size_t>& set, std::size_t one) {
    if (std::ranges::none_of(set, [&](auto other) { return kinds[other] == kinds[one]; }))
      set.push_back(one);
  };
  std::vector<std::size_t> first{0};
  for (std::size_t i = 1; i < names.size(); ++i)
    if (std::ranges::all_of(names[0], [&](auto& name) { return holds_name(names[i], name); }) && !names[0].empty())
      add_if_new_kind(first, i);
  static_cast<void>(number_of(std::move(first)));
  for (auto& list : names)
    for (auto& name : list) {
      if (by_name_.contains(name))
        continue;
      std::vector<std::size_t> set;
      for (std::size_t i = 0; i < names.size(); ++i)
        if (holds_name(names[i], name))
          add_if_new_kind(set, i);
      for (std::size_t i = 0; i < names.size(); ++i)
        if (holds_name(names[i], wildcard_for(name)))
          add_if_new_kind(set, i);
      by_name_.emplace(name, number_of(std::move(set)));
    }
}

std::size_t tls_server_names::number_of(std::vector<std::size_t> set) {
  auto [found, fresh] = numbers_.try_emplace(set, sets_.size());
  if (fresh)
    sets_.push_back(std::move(set));
  return found->second;
}

std::size_t tls_server_names::find(std::string_view name) const {
  std::string wanted{name};
  std::ranges::transform(wanted, wanted.begin(), ascii::lower);
  if (wanted.ends_with('.'))
    wanted.pop_back();
  if (auto found = by_name_.find(wanted); found != by_name_.end())
    return found->second;
  auto found = by_name_.find(wildcard_for(wanted));
  return found == by_name_.end() ? 0 : found->second;
}

} // namespace hedwig::net
