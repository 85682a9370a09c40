// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/options.hpp"

#include <charconv>
#include <functional>
#include <map>

#include "sdk/check/test.hpp"

namespace hedwig::check {

namespace {

std::uint64_t number(const std::string& name, const std::string& text) {
  std::uint64_t value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    throw unusable{fmt::format("{} needs a number, not \"{}\"", name, text)};
  return value;
}

} // namespace

std::string usage() {
  return R"(hedwig-plugin-check PLUGIN.so [options]: judges a plugin by the contract of the SDK

  --config FILE       the plugin's settings in TOML; {folder} is an empty folder for each test
  --provider NAME     which provider of the file; otherwise the first that a suite is for
  --suite NAME        only this suite; otherwise all that fit
  --only NAME         only this test, or all whose names begin so; may be repeated
  --list              the names of the tests, and what each shows
  --short, --long     less and more of what is random or large
  --seed N            of what is random; each report says which it had
  --keep-going        also run tests that cannot be judged since an earlier one failed
  --time-limit S      seconds for each test
  --folder DIR        where the tests' folders are made (TMPDIR, /tmp)
  --tap               TAP on standard output: the default
  --junit FILE        JUnit's XML besides
  --in-process        run one test in this process, for a debugger

Exit status: 0 all passed, 1 a test failed, 2 the plugin or the command line is unusable.
)";
}

options read_options(int count, char** words) {
  options read;
  const std::map<std::string, std::function<void()>> flags{{"--list", [&] { read.list = true; }},
                                                           {"--short", [&] { read.how_much = effort::brief; }},
                                                           {"--long", [&] { read.how_much = effort::thorough; }},
                                                           {"--keep-going", [&] { read.keep_going = true; }},
                                                           {"--in-process", [&] { read.in_process = true; }},
                                                           {"--tap", [] {}},
                                                           {"--help", [&] { read.help = true; }}};
  const std::map<std::string, std::function<void(const std::string&)>> values{
      {"--config", [&](auto& text) { read.config = text; }},
      {"--provider", [&](auto& text) { read.provider = text; }},
      {"--suite", [&](auto& text) { read.suite = text; }},
      {"--only", [&](auto& text) { read.only.push_back(text); }},
      {"--junit", [&](auto& text) { read.junit = text; }},
      {"--folder", [&](auto& text) { read.folder = text; }},
      {"--seed", [&](auto& text) { read.seed = number("--seed", text); }},
      {"--time-limit", [&](auto& text) { read.time_limit = static_cast<int>(number("--time-limit", text)); }},
      {"--child", [&](auto& text) { read.child = text; }},
      {"--role", [&](auto& text) { read.role = text; }},
      {"--role-number", [&](auto& text) { read.role_number = number("--role-number", text); }},
      {"--unique", [&](auto& text) { read.unique = text; }},
      {"--report", [&](auto& text) { read.report = static_cast<int>(number("--report", text)); }}};
  for (int i = 1; i < count; ++i) {
    std::string word{words[i]};
    if (auto flag = flags.find(word); flag != flags.end())
      flag->second();
    else if (auto value = values.find(word); value != values.end() && i + 1 < count)
      value->second(words[++i]);
    else if (word.starts_with('-') || !read.plugin.empty())
      throw unusable{fmt::format("\"{}\" is not understood, or lacks its value; see --help", word)};
    else
      read.plugin = word;
  }
  if (read.plugin.empty() && !read.help && !read.list)
    throw unusable{"which plugin? See --help"};
  return read;
}

} // namespace hedwig::check
