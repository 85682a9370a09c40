// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/report.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace hedwig::check {

namespace {

/// A text of several lines, indented for YAML's block style.
std::string block(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(text.find('\n', at), text.size());
    out += fmt::format("\n    {}", text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

/// Fit for YAML and XML: control characters become question marks, broken UTF-8 too.
std::string clean(std::string_view text) {
  std::string out;
  for (char c : text)
    out += (static_cast<unsigned char>(c) < 0x20 && c != '\n') || static_cast<unsigned char>(c) >= 0x7F ? '?' : c;
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : clean(text))
    switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  return out;
}

std::string xml_of(const verdict& one) {
  auto dot = one.name.find('.');
  auto head = fmt::format("  <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", escaped(one.name.substr(0, dot)),
                          escaped(one.name.substr(dot + 1)), one.seconds);
  if (one.what == verdict::kind::passed)
    return head + "/>\n";
  if (one.what == verdict::kind::skipped)
    return fmt::format("{}><skipped message=\"{}\"/></testcase>\n", head, escaped(one.saw));
  return fmt::format("{}>\n    <failure message=\"{}\">{}\n{}\n{}</failure>\n    <system-out>{}</system-out>\n"
                     "  </testcase>\n",
                     head, escaped(one.saw), escaped(one.rule_place), escaped(one.rule), escaped(one.repeat),
                     escaped(one.output));
}

} // namespace

void tap_report::begin(std::size_t tests, const std::vector<std::string>& remarks) {
  fmt::print(to_, "TAP version 14\n");
  for (auto& one : remarks)
    fmt::print(to_, "# {}\n", one);
  fmt::print(to_, "1..{}\n", tests);
}

void tap_report::add(const verdict& one) {
  bool good = one.what != verdict::kind::failed;
  fmt::print(to_, "{} {} - {}: {}", good ? "ok" : "not ok", ++number_, one.name, one.title);
  if (one.what == verdict::kind::skipped)
    fmt::print(to_, " # SKIP {}", clean(one.saw));
  fmt::print(to_, "\n");
  if (!good) {
    fmt::print(to_, "  ---\n  saw: |{}\n", block(clean(one.saw)));
    if (!one.rule.empty())
      fmt::print(to_, "  rule: |{}\n  where: {}\n", block(one.rule), one.rule_place);
    fmt::print(to_, "  again: |{}\n", block(one.repeat));
    if (!one.output.empty())
      fmt::print(to_, "  output: |{}\n", block(clean(one.output)));
    fmt::print(to_, "  ...\n");
  } else if (one.what == verdict::kind::passed) {
    fmt::print(to_, "# {:.2f} s\n", one.seconds);
  }
  std::fflush(to_);
}

bool write_junit(const std::string& file, const std::string& suite, const std::vector<verdict>& all) {
  auto* to = std::fopen(file.c_str(), "w");
  if (to == nullptr)
    return false;
  auto count = [&](verdict::kind what) { return std::ranges::count(all, what, &verdict::what); };
  double seconds = 0;
  for (auto& one : all)
    seconds += one.seconds;
  fmt::print(to,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" "
             "skipped=\"{}\" time=\"{:.3f}\">\n",
             escaped(suite), all.size(), count(verdict::kind::failed), count(verdict::kind::skipped), seconds);
  for (auto& one : all)
    fmt::print(to, "{}", xml_of(one));
  fmt::print(to, "</testsuite>\n");
  return std::fclose(to) == 0;
}

} // namespace hedwig::check
