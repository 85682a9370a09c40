// SPDX-License-Identifier: Apache-2.0
#include "admin/actor_tree.hpp"

#include <gtest/gtest.h>

namespace hedwig::admin {
namespace {

actor_info node(std::uint64_t id, std::uint64_t parent, std::string name, std::string label = {}) {
  return {.id = id,
          .parent = parent,
          .name = std::move(name),
          .label = std::move(label),
          .state = "ready",
          .mailbox = 1,
          .handled = 10,
          .busy_us = 1000,
          .restarts = 0};
}

std::vector<actor_info> listener_with_sessions(std::uint64_t count) {
  std::vector<actor_info> all{node(1, 0, "supervisor"), node(2, 1, "listener", "127.0.0.1:25")};
  for (std::uint64_t i = 0; i < count; ++i)
    all.push_back(node(100 + i, 2, "session", "192.0.2.1:" + std::to_string(i)));
  return all;
}

std::size_t lines_with(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

TEST(actor_tree, hangs_children_under_their_parents_in_order) {
  auto text = actor_tree({node(1, 0, "supervisor"), node(2, 1, "spooler"), node(3, 1, "dispatcher"),
                          node(4, 3, "destination", "mx:a"), node(5, 4, "delivery", "mx:a"), node(6, 1, "bouncer")},
                         false);
  EXPECT_EQ(text, "ACTOR                   STATE  MAILBOX  HANDLED    BUSY  RESTARTS\n"
                  "supervisor              ready        1       10  1.0 ms         0\n"
                  "├─ spooler              ready        1       10  1.0 ms         0\n"
                  "├─ dispatcher           ready        1       10  1.0 ms         0\n"
                  "│  └─ destination mx:a  ready        1       10  1.0 ms         0\n"
                  "│     └─ delivery mx:a  ready        1       10  1.0 ms         0\n"
                  "└─ bouncer              ready        1       10  1.0 ms         0\n");
}

TEST(actor_tree, sums_up_siblings_beyond_the_limit) {
  auto text = actor_tree(listener_with_sessions(siblings_max + 5), false);
  EXPECT_EQ(lines_with(text, "session 192.0.2.1"), siblings_max);
  EXPECT_NE(text.find("└─ 5 more: session"), std::string::npos) << text;
  EXPECT_NE(text.find("5       50  5.0 ms"), std::string::npos) << text;
}

TEST(actor_tree, shows_exactly_the_limit_without_a_sum) {
  auto text = actor_tree(listener_with_sessions(siblings_max), false);
  EXPECT_EQ(lines_with(text, "more:"), 0u) << text;
}

TEST(actor_tree, shows_all_when_asked) {
  auto text = actor_tree(listener_with_sessions(siblings_max + 5), true);
  EXPECT_EQ(lines_with(text, "session 192.0.2.1"), siblings_max + 5);
  EXPECT_EQ(lines_with(text, "more:"), 0u);
}

TEST(actor_tree, counts_what_hangs_below_the_summed_ones) {
  std::vector<actor_info> all{node(1, 0, "dispatcher")};
  for (std::uint64_t i = 0; i <= siblings_max; ++i)
    all.push_back(node(10 + i, 1, "destination", std::to_string(i)));
  all.push_back(node(90, 10 + siblings_max, "delivery"));
  auto text = actor_tree(all, false);
  EXPECT_NE(text.find("1 more: destination with 1 below"), std::string::npos) << text;
}

TEST(actor_tree, takes_actors_whose_parent_has_ended_for_roots) {
  auto text = actor_tree({node(7, 5, "session", "late")}, false);
  EXPECT_NE(text.find("\nsession late"), std::string::npos) << text;
}

TEST(actor_tree, ends_on_parents_in_a_circle) {
  auto text = actor_tree({node(1, 2, "a"), node(2, 1, "b"), node(3, 3, "c")}, false);
  EXPECT_EQ(lines_with(text, "\n"), 2u) << "the titles and the one that names itself\n" << text;
}

TEST(actor_tree, escapes_labels) {
  auto text = actor_tree({node(1, 0, "session", "\x1b[31m")}, false);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\x1b[31m"), std::string::npos);
}

} // namespace
} // namespace hedwig::admin
