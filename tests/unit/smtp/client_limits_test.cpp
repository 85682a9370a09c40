// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "runtime/smtp/client_limits.hpp"

namespace hedwig::smtp {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const steady_time start{hours{1000}};

constexpr counted_limits limits(std::uint32_t connections, std::uint32_t connections_per_minute = 0,
                                std::uint32_t messages_per_minute = 0, std::uint32_t messages_per_day = 0,
                                std::uint32_t recipients_per_minute = 0, std::uint32_t recipients_per_day = 0) {
  return {connections,      connections_per_minute, messages_per_minute,
          messages_per_day, recipients_per_minute,  recipients_per_day};
}

using octets = std::vector<std::uint8_t>;
const octets first_v4{192, 0, 2, 1};
const octets second_v4{192, 0, 2, 2};
const octets v6{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};

counted address(const octets& where, const counted_limits& may) {
  return {counted_by::address, client_limits::key_of(counted_by::address, where), may};
}
counted network(const octets& where, const counted_limits& may) {
  return {counted_by::network, client_limits::key_of(counted_by::network, where), may};
}
counted user(std::string_view name, const counted_limits& may) {
  return {counted_by::user, client_limits::key_of_name(counted_by::user, name), may};
}

std::string said(const std::optional<client_limits::refusal>& refused) {
  return refused ? std::string{to_string_view(refused->by)} + "." + std::string{to_string_view(refused->what)} : "may";
}

TEST(client_limits_keys, hold_a_64_of_ipv6_together_and_families_and_scopes_apart) {
  auto key = [](counted_by by, octets where) { return client_limits::key_of(by, where); };
  auto neighbour = v6;
  neighbour[15] = 9;
  EXPECT_EQ(key(counted_by::address, v6), key(counted_by::address, neighbour));
  neighbour[7] = 3; // another /64 of the same /48
  EXPECT_NE(key(counted_by::address, v6), key(counted_by::address, neighbour));
  EXPECT_EQ(key(counted_by::network, v6), key(counted_by::network, neighbour));
  neighbour[5] = 9;
  EXPECT_NE(key(counted_by::network, v6), key(counted_by::network, neighbour));
  EXPECT_NE(key(counted_by::address, first_v4), key(counted_by::address, second_v4));
  EXPECT_EQ(key(counted_by::network, first_v4), key(counted_by::network, second_v4));
  octets like_a_64{192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_NE(key(counted_by::address, first_v4), key(counted_by::address, like_a_64).substr(0, 6));
  EXPECT_NE(key(counted_by::address, first_v4), key(counted_by::network, first_v4));
  EXPECT_NE(client_limits::key_of_name(counted_by::user, "example.com"),
            client_limits::key_of_name(counted_by::sender_domain, "example.com"));
}

TEST(client_limits, let_so_many_connections_in_at_one_time) {
  client_limits all;
  std::array who{address(first_v4, limits(2))};
  EXPECT_EQ(said(all.enter(who, start)), "may");
  EXPECT_EQ(said(all.enter(who, start)), "may");
  EXPECT_EQ(said(all.enter(who, start)), "address.connections");
  EXPECT_EQ(said(all.enter(std::array{address(second_v4, limits(2))}, start)), "may");
  all.leave(who);
  EXPECT_EQ(said(all.enter(who, start)), "may");
}

TEST(client_limits, count_a_refused_connection_for_nobody) {
  client_limits all;
  std::array one{address(first_v4, limits(1)), network(first_v4, limits(2, 2))};
  std::array two{address(second_v4, limits(1)), network(second_v4, limits(2, 2))};
  EXPECT_EQ(said(all.enter(one, start)), "may");
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(said(all.enter(one, start)), "address.connections");
  EXPECT_EQ(said(all.enter(two, start)), "may") << "the network had but one";
  all.leave(one);
  EXPECT_EQ(said(all.enter(one, start)), "network.connections_per_minute");
}

TEST(client_limits, forget_a_minute_bit_by_bit) {
  client_limits all;
  std::array who{address(first_v4, limits(0, 60))};
  auto enter = [&](steady_time now) {
    auto refused = all.enter(who, now);
    if (!refused)
      all.leave(who);
    return !refused;
  };
  for (int i = 0; i < 60; ++i)
    EXPECT_TRUE(enter(start + seconds{59}));
  EXPECT_FALSE(enter(start + seconds{59}));
  EXPECT_FALSE(enter(start + seconds{60})) << "the last minute still counts whole";
  auto half = 0;
  while (enter(start + seconds{90}))
    ++half;
  EXPECT_EQ(half, 30);
  EXPECT_TRUE(enter(start + minutes{10}));
}

TEST(client_limits, count_messages_and_recipients_a_minute_and_a_day) {
  client_limits all;
  std::array who{user("ann", limits(0, 0, 2, 3, 10, 12))};
  EXPECT_EQ(said(all.look(who, 11, start)), "user.recipients_per_minute");
  EXPECT_EQ(said(all.take(who, 9, start)), "may");
  EXPECT_EQ(said(all.look(who, 1, start)), "may");
  EXPECT_EQ(said(all.take(who, 1, start)), "may");
  EXPECT_EQ(said(all.take(who, 1, start)), "user.messages_per_minute");
  EXPECT_EQ(said(all.take(who, 3, start + minutes{2})), "user.recipients_per_day");
  EXPECT_EQ(said(all.take(who, 2, start + minutes{2})), "may");
  EXPECT_EQ(said(all.take(who, 1, start + minutes{4})), "user.messages_per_day");
  EXPECT_EQ(said(all.take(who, 1, start + hours{48})), "may");
}

TEST(client_limits, count_nothing_by_looking_and_remember_nobody_without_limits) {
  client_limits all;
  std::array free{address(first_v4, limits(0))};
  EXPECT_EQ(said(all.enter(free, start)), "may");
  EXPECT_EQ(said(all.take(free, 1'000'000, start)), "may");
  all.leave(free);
  EXPECT_EQ(all.size(), 0u);
  std::array who{user("ann", limits(0, 0, 1))};
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(said(all.look(who, 1, start)), "may");
}

TEST(client_limits, forget_the_idlest_and_never_one_with_a_connection) {
  client_limits all{3};
  auto named = [](int i) { return std::array{user(std::to_string(i), limits(1, 1))}; };
  EXPECT_EQ(said(all.enter(named(0), start)), "may"); // stays
  for (int i = 1; i < 50; ++i) {
    EXPECT_EQ(said(all.enter(named(i), start)), "may");
    all.leave(named(i));
    EXPECT_LE(all.size(), 3u);
  }
  EXPECT_EQ(said(all.enter(named(0), start)), "user.connections");
  EXPECT_EQ(said(all.enter(named(49), start)), "user.connections_per_minute");
  EXPECT_EQ(said(all.enter(named(1), start)), "may") << "it was forgotten, and starts anew";
}

TEST(client_limits, leave_hurts_nobody_who_was_forgotten) {
  client_limits all;
  all.leave(std::array{user("nobody", limits(1))});
  EXPECT_EQ(all.size(), 0u);
}

TEST(client_limits, do_not_overflow) {
  client_limits all;
  std::array who{user("ann", limits(0, 0, 0, 0, 0, 4'000'000'000u))};
  EXPECT_EQ(said(all.take(who, 3'999'999'999u, start)), "may");
  EXPECT_EQ(said(all.take(who, 0xFFFFFFFFFFu, start)), "user.recipients_per_day");
}

} // namespace
} // namespace hedwig::smtp
