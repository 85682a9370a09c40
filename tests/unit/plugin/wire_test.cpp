// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/wire.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hedwig::plugin::wire {
namespace {

template <class Value>
std::string bytes_of(const Value& value) {
  writer out;
  put(out, value);
  return out.bytes();
}

template <class Value>
bool reads(std::string_view bytes) {
  reader from{bytes};
  Value value;
  get(from, value);
  return from.well();
}

verdict rich_verdict() {
  verdict out{verdict_action::proceed, 0, "2.0.0", "text", {}};
  out.edits.push_back({edit_kind::add_header, "X-A", "1", 2, {}, true});
  out.edits.push_back({edit_kind::replace_body, "", "", 0, {}});
  out.edits.back().body.append_copy("new body");
  return out;
}

identity rich_identity() {
  return {"ada",           {"staff", ""},          {{"mail", "ada@example.test"}}, {"*@example.test"},
          {1, 2, 3, 4, 5}, std::chrono::seconds{7}};
}

TEST(wire, gives_back_what_was_put) {
  auto verdict_bytes = bytes_of(rich_verdict());
  reader from{verdict_bytes};
  verdict got;
  get(from, got);
  ASSERT_TRUE(from.well());
  ASSERT_EQ(got.edits.size(), 2U);
  EXPECT_EQ(got.edits[0].name, "X-A");
  EXPECT_EQ(got.edits[0].index, 2U);
  EXPECT_TRUE(got.edits[0].folded);
  EXPECT_FALSE(got.edits[1].folded);
  EXPECT_EQ(got.edits[1].kind, edit_kind::replace_body);
  EXPECT_EQ(got.edits[1].body.flatten(), "new body");
  auto bytes = bytes_of(rich_identity());
  reader again{bytes};
  identity who;
  get(again, who);
  ASSERT_TRUE(again.well());
  EXPECT_EQ(who.groups, (std::vector<std::string>{"staff", ""}));
  EXPECT_EQ(who.limits.recipients_per_day, 5U);
  EXPECT_EQ(who.cache_for, std::chrono::seconds{7});
}

filter_session_view rich_session() {
  filter_session_view out;
  out.helo = "client.example.test";
  out.identity = "ada";
  out.user = std::make_shared<const user_facts>(user_facts{{"staff", ""}, {{"role", "sender"}, {"role", "reader"}}});
  return out;
}

TEST(wire, gives_back_groups_and_attributes_of_who_has_logged_in) {
  auto bytes = bytes_of(rich_session());
  reader from{bytes};
  filter_session_view got;
  get(from, got);
  ASSERT_TRUE(from.well());
  ASSERT_TRUE(got.user);
  EXPECT_EQ(got.user->groups, rich_session().user->groups);
  EXPECT_EQ(got.user->attributes, rich_session().user->attributes);
  EXPECT_EQ(bytes_of(got), bytes);
  auto none = bytes_of(filter_session_view{});
  reader again{none};
  get(again, got = {});
  EXPECT_TRUE(again.well());
  EXPECT_FALSE(got.user);
}

TEST(wire, gives_back_settings_with_tables) {
  hedwig_config config;
  config.values["name"] = std::string{"x"};
  config.values["count"] = std::int64_t{-3};
  config.values["on"] = true;
  config.values["list"] = std::vector<std::string>{"a", "b"};
  auto inner = std::make_shared<hedwig_config>();
  inner->values["deep"] = std::string{"y"};
  config.values["tables"] = hedwig_config::tables{inner};
  auto bytes = bytes_of(config);
  reader from{bytes};
  hedwig_config got;
  get(from, got);
  ASSERT_TRUE(from.well());
  EXPECT_EQ(bytes_of(got), bytes);
}

template <class Value>
void expect_every_cut_to_fail(const Value& value) {
  auto bytes = bytes_of(value);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(reads<Value>(std::string_view{bytes}.substr(0, size))) << size;
  EXPECT_FALSE(reads<Value>(bytes + "x"));
  EXPECT_TRUE(reads<Value>(bytes));
}

TEST(wire, notices_every_cut_and_every_surplus) {
  expect_every_cut_to_fail(rich_verdict());
  expect_every_cut_to_fail(rich_identity());
  expect_every_cut_to_fail(rich_session());
  expect_every_cut_to_fail(error{HEDWIG_E_IO, "message", "where", 5});
}

TEST(wire, survives_any_bytes_without_taking_more_memory_than_they_have) {
  std::mt19937 random{4711};
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = round % 2 == 0 ? bytes_of(rich_verdict()) : bytes_of(rich_identity());
    for (int change = 0; change < 4; ++change)
      bytes[random() % bytes.size()] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
    static_cast<void>(reads<verdict>(bytes));
    static_cast<void>(reads<identity>(bytes));
    static_cast<void>(reads<filter_session_view>(bytes));
    static_cast<void>(reads<scram_secret>(bytes));
    static_cast<void>(reads<hedwig_config>(bytes));
  }
}

TEST(wire, takes_no_more_elements_than_a_provider_may_give) {
  verdict most;
  most.edits.resize(verdict::max_edits);
  EXPECT_TRUE(reads<verdict>(bytes_of(most)));
  most.edits.emplace_back();
  EXPECT_FALSE(reads<verdict>(bytes_of(most)));
  auto fits = [](auto member) {
    identity who{.name = "ada"};
    (who.*member).resize(identity::list_max);
    auto well = reads<identity>(bytes_of(who));
    (who.*member).emplace_back();
    return well && !reads<identity>(bytes_of(who));
  };
  EXPECT_TRUE(fits(&identity::groups));
  EXPECT_TRUE(fits(&identity::attributes));
  EXPECT_TRUE(fits(&identity::senders));
}

TEST(wire, bounds_tables_in_tables) {
  auto config = std::make_shared<hedwig_config>();
  for (int depth = 0; depth < 20; ++depth) {
    auto outer = std::make_shared<hedwig_config>();
    outer->values["t"] = hedwig_config::tables{config};
    config = outer;
  }
  EXPECT_FALSE(reads<hedwig_config>(bytes_of(*config)));
}

TEST(frames, come_out_as_they_went_in_however_they_are_cut) {
  auto bytes = make_frame(frame::log, 7, "hello") + make_frame(frame::ready, 0, {}) +
               make_frame(frame::answer, 9, std::string(100'000, 'x'));
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}, bytes.size()}) {
    frame_reader in;
    std::vector<received> got;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      in.feed(std::string_view{bytes}.substr(at, piece));
      while (auto one = in.next())
        got.push_back(std::move(*one));
    }
    ASSERT_EQ(got.size(), 3U);
    EXPECT_EQ(got[0].number, 7U);
    EXPECT_EQ(got[0].payload, "hello");
    EXPECT_EQ(got[1].kind, frame::ready);
    EXPECT_EQ(got[2].payload.size(), 100'000U);
    EXPECT_FALSE(in.broken());
  }
}

TEST(frames, of_impossible_size_or_kind_end_it) {
  frame_reader huge;
  huge.feed("\xff\xff\xff\xff garbage");
  EXPECT_FALSE(huge.next());
  EXPECT_TRUE(huge.broken());
  frame_reader tiny;
  tiny.feed(std::string_view{"\x01\0\0\0x", 5});
  EXPECT_FALSE(tiny.next());
  EXPECT_TRUE(tiny.broken());
  auto unknown = make_frame(frame::log, 1, "x");
  unknown[4] = 99;
  frame_reader odd;
  odd.feed(unknown);
  EXPECT_FALSE(odd.next());
  EXPECT_TRUE(odd.broken());
}

} // namespace
} // namespace hedwig::plugin::wire
