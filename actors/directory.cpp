// SPDX-License-Identifier: Apache-2.0
#include "actors/directory.hpp"

#include <algorithm>

namespace hedwig {

namespace {

actor_info describe(const actor_node& node) {
  constexpr auto relaxed = std::memory_order_relaxed;
  // Handled is read first: the mailbox depth may then only be shown too large, never negative.
  auto handled = node.handled.load(relaxed);
  auto received = node.received.load(relaxed);
  return {.id = node.id,
          .parent = node.parent,
          .name = node.name,
          .label = node.label,
          .state = node.state.load(relaxed),
          .handled = handled,
          .mailbox = received > handled ? received - handled : 0,
          .busy_microseconds = node.busy_nanoseconds.load(relaxed) / 1000,
          .restarts = node.restarts.load(relaxed),
          .address = node.address};
}

} // namespace

std::shared_ptr<actor_node> actor_directory::add(std::string_view name, std::string_view label, std::uint64_t parent,
                                                 const caf::actor_addr& address) {
  auto node = std::make_shared<actor_node>();
  node->name = name;
  node->label = label;
  node->parent = parent;
  node->address = address;
  std::lock_guard guard{mutex_};
  node->id = ++last_id_;
  nodes_.emplace(node->id, node);
  return node;
}

void actor_directory::rename(actor_node& node, std::string_view label) {
  std::lock_guard lock{mutex_};
  node.label = label;
}

void actor_directory::remove(const actor_node& node) {
  std::lock_guard guard{mutex_};
  nodes_.erase(node.id);
}

std::vector<actor_info> actor_directory::snapshot() const {
  std::vector<std::shared_ptr<actor_node>> nodes;
  {
    std::lock_guard guard{mutex_};
    nodes.reserve(nodes_.size());
    for (auto& [id, node] : nodes_)
      nodes.push_back(node);
  }
  std::vector<actor_info> infos;
  infos.reserve(nodes.size());
  for (auto& node : nodes)
    infos.push_back(describe(*node));
  return infos;
}

std::map<std::string, std::size_t> actor_directory::counts() const {
  std::map<std::string, std::size_t> found;
  std::lock_guard guard{mutex_};
  for (auto& [id, node] : nodes_)
    ++found[node->name];
  return found;
}

std::size_t actor_directory::count(std::string_view name) const {
  std::lock_guard guard{mutex_};
  return static_cast<std::size_t>(
      std::count_if(nodes_.begin(), nodes_.end(), [&](auto& entry) { return entry.second->name == name; }));
}

} // namespace hedwig
