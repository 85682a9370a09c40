// SPDX-License-Identifier: Apache-2.0
#include "groups.hpp"

#include <algorithm>
#include <set>

#include "text.hpp"

namespace hedwig::auth_ldap {

namespace {

/// Members asked about by one filter.
constexpr std::size_t members_at_once = 20;

class gatherer {
public:
  gatherer(const settings& from, const searcher& search) : from_{from}, search_{search} {}

  void by_search(const std::string& user_dn, std::string_view login, std::string_view identity) {
    std::vector<std::string> members{user_dn};
    for (std::size_t depth = 0; depth < from_.group_depth && !members.empty(); ++depth) {
      std::vector<std::string> next;
      for (std::size_t at = 0; at < members.size(); at += members_at_once) {
        std::string filter;
        for (std::size_t i = at; i < std::min(at + members_at_once, members.size()); ++i)
          filter += filter_for(members[i], depth == 0 ? login : std::string_view{},
                               depth == 0 ? identity : std::string_view{});
        for (auto& one : find("(|" + filter + ")"))
          if (add({one.dn, name_of(one)}))
            next.push_back(one.dn);
      }
      members = std::move(next);
    }
  }

  void by_attribute(const entry& user) {
    std::vector<std::string> found;
    auto take = [&](const entry& of) {
      for (auto& dn : of.values(from_.member_of_attribute))
        if (add({dn, first_value(dn)}))
          found.push_back(dn);
    };
    take(user);
    for (std::size_t depth = 1; depth < from_.group_depth && !found.empty(); ++depth)
      for (auto& dn : std::exchange(found, {}))
        for (auto& one : search_({.base = dn, .attributes = {from_.member_of_attribute}}).entries)
          take(one);
  }

  void by_chain(const std::string& user_dn) {
    for (auto& one : find("(member:1.2.840.113556.1.4.1941:=" + escape_filter(user_dn) + ")"))
      add({one.dn, name_of(one)});
  }

  std::vector<group> take() { return std::move(groups_); }

private:
  std::string filter_for(const std::string& dn, std::string_view login, std::string_view identity) const {
    auto escaped_dn = escape_filter(dn);
    auto escaped_login = escape_filter(login);
    auto escaped_identity = escape_filter(identity);
    return fill(from_.group_filter, {{"dn", escaped_dn}, {"user", escaped_login}, {"identity", escaped_identity}});
  }

  std::string name_of(const entry& one) const {
    auto name = one.value(from_.group_name);
    return name.empty() ? first_value(one.dn) : std::string{name};
  }

  std::vector<entry> find(std::string filter) {
    auto answer = search_({.base = from_.group_base,
                           .scope = search_request::depth::subtree,
                           .filter = std::move(filter),
                           .attributes = {from_.group_name},
                           .entries_max = from_.groups_max});
    if (answer.more)
      refuse();
    return std::move(answer.entries);
  }

  /// False: it is known already.
  bool add(group one) {
    if (!seen_.insert(lower(one.dn)).second)
      return false;
    if (groups_.size() == from_.groups_max)
      refuse();
    groups_.push_back(std::move(one));
    return true;
  }

  [[noreturn]] void refuse() const {
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, "the user is in more groups than groups_max = " +
                                                 std::to_string(from_.groups_max) + ": raise it"};
  }

  const settings& from_;
  const searcher& search_;
  std::vector<group> groups_;
  std::set<std::string> seen_;
};

} // namespace

std::vector<group> groups_of(const settings& from, const searcher& search, const entry& user, std::string_view login,
                             std::string_view identity) {
  gatherer all{from, search};
  switch (from.groups) {
  case group_source::none:
    break;
  case group_source::search:
    all.by_search(user.dn, login, identity);
    break;
  case group_source::member_of:
    all.by_attribute(user);
    break;
  case group_source::ad_chain:
    all.by_chain(user.dn);
    break;
  }
  return all.take();
}

} // namespace hedwig::auth_ldap
