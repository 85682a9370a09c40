// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/message.hpp"

#include <gtest/gtest.h>

namespace hedwig::queue {
namespace {

TEST(domain_of, is_what_follows_the_last_at_in_lower_case) {
  EXPECT_EQ(domain_of("Ann@Example.COM"), "example.com");
  EXPECT_EQ(domain_of("\"a@b\"@example.com"), "example.com");
  EXPECT_EQ(domain_of("ann@example.com."), "example.com");
  EXPECT_EQ(domain_of("ann@[192.0.2.1]"), "[192.0.2.1]");
}

TEST(domain_of, is_empty_where_there_is_none) {
  EXPECT_EQ(domain_of(""), "");
  EXPECT_EQ(domain_of("postmaster"), "");
  EXPECT_EQ(domain_of("ann@"), "");
}

TEST(message, gets_and_loses_its_body_without_a_copy_of_the_bytes) {
  message known;
  known.subject = "hello";
  rope body;
  body.append_copy("a: b\r\n\r\nc\r\n");
  auto before = buffer_bytes_live();
  auto loaded = with_body(known, body);
  ASSERT_TRUE(loaded->body);
  EXPECT_EQ(loaded->body->flatten(), "a: b\r\n\r\nc\r\n");
  EXPECT_EQ(loaded->subject, "hello");
  EXPECT_FALSE(with_body(*loaded, std::nullopt)->body);
  EXPECT_EQ(buffer_bytes_live(), before);
}

} // namespace
} // namespace hedwig::queue
