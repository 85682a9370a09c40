// SPDX-License-Identifier: Apache-2.0
// Every file in broken/ stands beside the exact errors it must produce. UPDATE_EXPECTED=1 writes them anew: read the
// difference before it is committed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/config/load.hpp"
#include "tests/unit/config/file_contents.hpp"

namespace {

using namespace hedwig;
namespace fs = std::filesystem;

const fs::path folder = "tests/unit/config/broken";

std::vector<std::string> files() {
  std::vector<std::string> out;
  if (!fs::exists(folder))
    return out; // listed by another folder's run; `there_are_many` fails then
  for (const auto& entry : fs::directory_iterator{folder})
    if (entry.path().extension() != ".expected")
      out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST(broken_configs, there_are_many) { EXPECT_GE(files().size(), 30u); }

class broken_config : public testing::TestWithParam<std::string> {};

TEST_P(broken_config, gives_exactly_its_errors) {
  const auto read =
      config::load_text(hedwig::test::file_contents(folder / GetParam()), GetParam(), {"machine.example.test", 2});
  ASSERT_FALSE(read) << "it loads";
  const auto text = config::to_text(read.error());
  const auto expected = folder / (fs::path{GetParam()}.stem().string() + ".expected");
  if (std::getenv("UPDATE_EXPECTED"))
    std::ofstream{expected, std::ios::binary} << text;
  EXPECT_EQ(text, hedwig::test::file_contents(expected));
}

INSTANTIATE_TEST_SUITE_P(all, broken_config, testing::ValuesIn(files()), [](const auto& one) {
  std::string name = one.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

} // namespace
