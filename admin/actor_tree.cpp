// SPDX-License-Identifier: Apache-2.0
#include "admin/actor_tree.hpp"

#include "admin/table.hpp"
#include "admin/terminal_text.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

namespace hedwig::admin {

namespace {

struct totals {
  std::uint64_t actors = 0;
  std::uint64_t mailbox = 0;
  std::uint64_t handled = 0;
  std::uint64_t busy_us = 0;
  std::uint64_t restarts = 0;
};

class tree_writer {
public:
  tree_writer(const std::vector<actor_info>& actors, bool all) : all_{all} {
    std::set<std::uint64_t> known;
    for (auto& one : actors)
      known.insert(one.id);
    for (auto& one : actors)
      children_[known.contains(one.parent) && one.parent != one.id ? one.parent : 0].push_back(&one);
  }

  std::string text() {
    add_children(0, "", true);
    return table_.text();
  }

private:
  using siblings = std::vector<const actor_info*>;

  void add_children(std::uint64_t parent, const std::string& indent, bool roots) {
    auto found = children_.find(parent);
    if (found == children_.end() || (parent == 0) != roots)
      return;
    siblings shown;
    std::vector<std::pair<std::string, siblings>> summed; // by name, in the order they come
    std::map<std::string, std::size_t> seen;
    for (auto* one : found->second) {
      if (all_ || ++seen[one->name] <= siblings_max) {
        shown.push_back(one);
        continue;
      }
      if (seen[one->name] == siblings_max + 1)
        summed.emplace_back(one->name, siblings{});
      for (auto& [name, group] : summed)
        if (name == one->name)
          group.push_back(one);
    }
    for (std::size_t i = 0; i < shown.size(); ++i)
      add_actor(*shown[i], indent, roots, i + 1 == shown.size() && summed.empty());
    for (std::size_t i = 0; i < summed.size(); ++i)
      add_sum(summed[i].first, summed[i].second, indent, roots, i + 1 == summed.size());
  }

  void add_actor(const actor_info& one, const std::string& indent, bool root, bool last) {
    auto text = indent + branch(root, last) + escaped(one.name) + (one.label.empty() ? "" : " " + escaped(one.label));
    add_row(std::move(text), escaped(one.state), {1, one.mailbox, one.handled, one.busy_us, one.restarts});
    add_children(one.id, indent + (root ? "" : last ? "   " : "│  "), false);
  }

  void add_sum(const std::string& name, const siblings& group, const std::string& indent, bool root, bool last) {
    totals sum;
    for (auto* one : group)
      add_up(*one, sum);
    auto below = sum.actors - group.size();
    auto text = fmt::format("{}{}{} more: {}{}", indent, branch(root, last), group.size(), escaped(name),
                            below == 0 ? "" : fmt::format(" with {} below", below));
    add_row(std::move(text), "", sum);
  }

  // A parent is older than its children, so this ends; a cycle hangs from no root and is never reached.
  void add_up(const actor_info& one, totals& sum) {
    ++sum.actors;
    sum.mailbox += one.mailbox;
    sum.handled += one.handled;
    sum.busy_us += one.busy_us;
    sum.restarts += one.restarts;
    if (auto found = children_.find(one.id); found != children_.end() && one.id != 0)
      for (auto* child : found->second)
        add_up(*child, sum);
  }

  void add_row(std::string text, std::string state, const totals& sum) {
    table_.add({std::move(text), std::move(state), std::to_string(sum.mailbox), std::to_string(sum.handled),
                seconds_text(static_cast<double>(sum.busy_us) / 1e6), std::to_string(sum.restarts)});
  }

  static const char* branch(bool root, bool last) { return root ? "" : last ? "└─ " : "├─ "; }

  bool all_;
  std::map<std::uint64_t, siblings> children_; // by parent; 0: the roots
  table table_{{{.title = "ACTOR", .width_max = 76},
                {.title = "STATE"},
                {.title = "MAILBOX", .side = align::right},
                {.title = "HANDLED", .side = align::right},
                {.title = "BUSY", .side = align::right},
                {.title = "RESTARTS", .side = align::right}}};
};

} // namespace

std::string actor_tree(const std::vector<actor_info>& actors, bool all) { return tree_writer{actors, all}.text(); }

} // namespace hedwig::admin
