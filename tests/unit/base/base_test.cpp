// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/buffer.hpp"
#include "runtime/base/error.hpp"
#include "runtime/base/message_id.hpp"
#include "runtime/base/onward_clock.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace hedwig {
namespace {

TEST(message_id, text_and_back_is_the_same_id) {
  for (std::uint64_t random :
       {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{0x0123456789abcdef}}) {
    auto id = message_id::make(wall_time{std::chrono::nanoseconds{1'795'000'000'123'456'789}}, random);
    EXPECT_EQ(message_id::parse(id.text()), id);
  }
}

TEST(message_id, a_ulid_of_the_specification_has_its_known_bytes) {
  // The ULID specification's example: timestamp 1469918176385 ms is 01ARYZ6S41.
  auto id = message_id::parse("01ARYZ6S41TSV4RRFFQ69G5FAV");
  ASSERT_TRUE(id);
  std::uint64_t ms = 0;
  for (int i = 0; i < 6; ++i)
    ms = ms << 8 | id->raw.bytes[i];
  EXPECT_EQ(ms, 1469918176385u);
  EXPECT_EQ(id->text(), "01ARYZ6S41TSV4RRFFQ69G5FAV");
}

TEST(message_id, text_order_is_time_order) {
  auto older = message_id::make(wall_time{std::chrono::seconds{1000}}, ~std::uint64_t{0});
  auto newer = message_id::make(wall_time{std::chrono::seconds{1001}}, 0);
  EXPECT_LT(older, newer);
  EXPECT_LT(older.text(), newer.text());
}

TEST(message_id, refuses_what_is_not_an_id) {
  EXPECT_FALSE(message_id::parse(""));
  EXPECT_FALSE(message_id::parse("01ARYZ6S41TSV4RRFFQ69G5FA"));
  EXPECT_FALSE(message_id::parse("01ARYZ6S41TSV4RRFFQ69G5FA!"));
  EXPECT_FALSE(message_id::parse("81ARYZ6S41TSV4RRFFQ69G5FAV")); // more than 128 bits
  EXPECT_FALSE(message_id::parse("../../etc/passwd0000000000"));
}

TEST(buffer, counts_its_bytes_and_frees_them_with_the_last_reference) {
  auto before = buffer_bytes_live();
  {
    rope body;
    body.append_copy("hello ");
    body.append_copy("world");
    auto shared = body;
    EXPECT_EQ(shared.flatten(), "hello world");
    EXPECT_EQ(buffer_bytes_live(), before + 11);
  }
  EXPECT_EQ(buffer_bytes_live(), before);
}

TEST(buffer, wrapped_memory_is_dropped_once) {
  int dropped = 0;
  {
    static const std::uint8_t data[] = {'x'};
    auto owner = buffer::wrap(
        data, 1, [](void* count) { ++*static_cast<int*>(count); }, &dropped);
    slice window{owner, "x"};
    auto second = window.sub(0, 1);
    EXPECT_EQ(dropped, 0);
  }
  EXPECT_EQ(dropped, 1);
}

TEST(buffer, from_four_kib_up_is_aligned_for_direct_writes) {
  std::uint8_t* data = nullptr;
  auto owner = buffer::allocate(4096, &data);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(data) % 4096, 0u);
}

TEST(rope, prepending_keeps_the_order_of_the_parts) {
  rope text;
  text.append_copy("b");
  text.prepend(slice::copy_of("a"));
  text.append_copy("");
  EXPECT_EQ(text.flatten(), "ab");
  EXPECT_EQ(text.parts().size(), 2u);
}

TEST(error, a_full_disk_has_the_status_that_becomes_452) {
  EXPECT_EQ(system_error(ENOSPC, "write").status, HEDWIG_E_NO_SPACE);
  EXPECT_EQ(system_error(EDQUOT, "write").status, HEDWIG_E_NO_SPACE);
}

/// Both clocks by hand.
class set_clock final : public clock {
public:
  wall_time wall() const noexcept override { return wall_; }
  steady_time steady() const noexcept override { return steady_; }
  void pass(std::chrono::nanoseconds by) {
    wall_ += by;
    steady_ += by;
  }
  void set(std::chrono::nanoseconds by) { wall_ += by; }

private:
  wall_time wall_{std::chrono::seconds{1'800'000'000}};
  steady_time steady_{std::chrono::hours{5}};
};

TEST(onward_clock, goes_on_where_the_wall_clock_is_set_back) {
  using namespace std::chrono_literals;
  set_clock machine;
  onward_clock due{machine};
  auto start = due.now();
  EXPECT_EQ(start, machine.wall());
  machine.pass(10s);
  machine.set(-24h);
  EXPECT_EQ(due.now(), start + 10s);
  EXPECT_EQ(due.set_back(), 24h);
  machine.pass(60s);
  EXPECT_EQ(due.now(), start + 70s);
}

TEST(onward_clock, goes_on_from_where_an_earlier_one_had_come) {
  using namespace std::chrono_literals;
  set_clock machine;
  onward_clock due{machine};
  auto start = due.now();
  due.advance_to(start - 1h);
  EXPECT_EQ(due.now(), start);
  due.advance_to(start + 24h);
  EXPECT_EQ(due.now(), start + 24h);
  EXPECT_EQ(due.set_back(), 24h);
  machine.pass(10s);
  EXPECT_EQ(due.now(), start + 24h + 10s);
  machine.set(30h);
  EXPECT_EQ(due.now(), machine.wall());
}

TEST(onward_clock, follows_the_wall_clock_forward) {
  using namespace std::chrono_literals;
  set_clock machine;
  onward_clock due{machine};
  machine.set(24h);
  EXPECT_EQ(due.now(), machine.wall());
  EXPECT_EQ(due.set_back(), 0s);
  machine.set(-24h);
  machine.set(30h);
  EXPECT_EQ(due.now(), machine.wall());
}

} // namespace
} // namespace hedwig
