// SPDX-License-Identifier: Apache-2.0
// The source tree and the documents say the same. Runs in the root of the source tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "runtime/telemetry/metrics.hpp"

namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

bool is_source(const fs::path& path) { return path.extension() == ".cpp" || path.extension() == ".hpp"; }

/// Event ids and the file that uses each: `{"area.what", "text"}` right after the component of a log call, or an
/// event{"area.what", ...} kept for later.
std::map<std::string, std::string> search_sources() {
  const std::regex call{R"re((?:component::\w+\s*,|\bevent(?:\s+\w+)?)\s*\{\s*"([a-z0-9_.\-]+)"\s*,)re"};
  std::map<std::string, std::string> out;
  for (const char* top : {"runtime", "actors", "app", "plugins"}) {
    if (!fs::exists(top))
      continue;
    for (const auto& entry : fs::recursive_directory_iterator{top}) {
      if (!entry.is_regular_file() || !is_source(entry.path()))
        continue;
      const auto text = contents(entry.path());
      for (std::sregex_iterator found{text.begin(), text.end(), call}, end; found != end; ++found)
        out.emplace((*found)[1].str(), entry.path().string());
    }
  }
  return out;
}

const std::map<std::string, std::string>& ids_in_sources() {
  static const auto found = search_sources();
  return found;
}

std::set<std::string> ids_in_document() {
  const auto text = contents("docs/events.md");
  const std::regex row{R"re(\n\| `([a-z0-9_.\-]+)` \|)re"};
  std::set<std::string> out;
  for (std::sregex_iterator found{text.begin(), text.end(), row}, end; found != end; ++found)
    EXPECT_TRUE(out.insert((*found)[1].str()).second) << (*found)[1].str() << " stands twice in docs/events.md";
  return out;
}

TEST(documents, events_md_lists_every_event_id_of_the_sources) {
  const auto& used = ids_in_sources();
  const auto listed = ids_in_document();
  EXPECT_TRUE(used.contains("delivery.outcome")) << "the search finds nothing: run in the root of the source tree";
  for (const auto& [id, file] : used)
    EXPECT_TRUE(listed.contains(id)) << file << " logs " << id << ": add a row to docs/events.md";
}

TEST(documents, event_ids_are_an_area_and_a_word) {
  const std::regex form{R"re([a-z0-9\-]+(\.[a-z0-9_\-]+)+)re"};
  for (const auto& [id, file] : ids_in_sources())
    EXPECT_TRUE(std::regex_match(id, form)) << file << ": " << id;
}

TEST(documents, metrics_md_is_printed_from_the_catalogue) {
  EXPECT_EQ(contents("docs/metrics.md"), hedwig::telemetry::metrics_markdown())
      << "print it again: UPDATE_DOCS=1 in the environment of this test writes docs/metrics.md";
}

class update_docs : public testing::Environment {
  void SetUp() override {
    if (std::getenv("UPDATE_DOCS"))
      std::ofstream{"docs/metrics.md", std::ios::binary} << hedwig::telemetry::metrics_markdown();
  }
};
[[maybe_unused]] const auto* const registered = testing::AddGlobalTestEnvironment(new update_docs);

} // namespace
