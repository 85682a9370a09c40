// SPDX-License-Identifier: Apache-2.0
// Every kept input through its fuzzer, without an engine: what was found once stays a test everywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> inputs_of(std::string_view name) {
  std::vector<fs::path> found;
  for (auto& entry : fs::recursive_directory_iterator{fs::path{"tests/fuzz"} / name})
    if (entry.is_regular_file())
      found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

std::string read(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

class kept_inputs : public testing::TestWithParam<named_target> {};

TEST_P(kept_inputs, keep_their_promises) {
  auto inputs = inputs_of(GetParam().name);
  EXPECT_FALSE(inputs.empty());
  for (auto& file : inputs) {
    SCOPED_TRACE(file.string());
    GetParam().run(read(file));
  }
  GetParam().run({});
}

INSTANTIATE_TEST_SUITE_P(of, kept_inputs, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& named) { return std::string{named.param.name}; });

TEST(demand, ends_the_process_where_a_promise_is_broken) {
  demand(true, "this holds");
  EXPECT_DEATH(demand(false, "one is one"), "broken promise: one is one");
}

TEST(pieces, are_the_whole_however_it_is_cut) {
  std::string text(1000, 'x');
  for (unsigned how = 0; how < 10; ++how) {
    std::string seen;
    in_pieces(text, how, [&](std::string_view piece) { seen += piece; });
    EXPECT_EQ(seen, text);
  }
}

TEST(parts, end_with_their_events) {
  auto parts = parts_of("one\x1eTtwo\x1e");
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].bytes, "one");
  EXPECT_EQ(parts[0].event, 'T');
  EXPECT_EQ(parts[1].bytes, "two");
}

} // namespace
} // namespace hedwig::fuzz
