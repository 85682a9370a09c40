// SPDX-License-Identifier: Apache-2.0
#include "app/plugin_list.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/providers.hpp"
#include "runtime/config/load.hpp"
#include "runtime/telemetry/log.hpp"

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iostream>

namespace hedwig::app {

namespace {

constexpr std::string_view plugin_usage =
    "usage: hedwig plugin list [-c FILE] [--directory DIR]... [--sha256] [--json]\n\n"
    "Lists the plugins of plugins.directories of the configuration and of the folder that came with this program, "
    "without\n"
    "running any of their code, and says of those that would not be loaded why.\n\n"
    "  -c, --config FILE  the configuration; without it as for hedwig itself\n"
    "  --directory DIR    look here instead; may be repeated; no configuration is read then\n"
    "  --sha256           print the hash of each file too, for sha256 = \"...\" of a provider\n"
    "  --json             one JSON document\n";

struct plugin_options {
  std::string config;
  std::vector<std::string> directories;
  bool sums = false;
  bool json = false;
  bool help = false;
};

std::expected<plugin_options, std::string> read_plugin_options(const std::vector<std::string>& words) {
  plugin_options made;
  std::vector<std::string> commands;
  for (std::size_t i = 1; i < words.size(); ++i) {
    auto& word = words[i];
    auto value = [&](std::string_view name) -> std::optional<std::string> {
      if (word == name)
        return i + 1 < words.size() ? words[++i] : std::string{};
      if (word.starts_with(std::string{name} + "="))
        return word.substr(name.size() + 1);
      return std::nullopt;
    };
    auto config = value("--config");
    if (!config)
      config = value("-c");
    if (config) {
      made.config = *config;
    } else if (auto directory = value("--directory")) {
      if (directory->empty())
        return std::unexpected{"--directory needs a value"};
      made.directories.push_back(*directory);
    } else if (word == "--sha256") {
      made.sums = true;
    } else if (word == "--json") {
      made.json = true;
    } else if (word == "--help" || word == "-h") {
      made.help = true;
    } else {
      commands.push_back(word);
    }
  }
  if (!made.help && (commands.size() != 1 || commands[0] != "list"))
    return std::unexpected{"after plugin comes list" + (commands.empty() ? "" : ", not " + commands.back())};
  return made;
}

/// For a terminal: what a file says of itself may be anything.
std::string plugin_text(std::string_view text) {
  std::string out;
  telemetry::append_escaped(out, text, 512);
  return out;
}

std::string plugin_sum(const plugin::plugin_file& file) {
  auto sum = plugin::sha256_of(std::filesystem::path{file.file});
  return sum ? *sum : std::string{};
}

void print_plugins_json(const std::vector<plugin::plugin_file>& files) {
  Poco::JSON::Array list;
  for (auto& file : files) {
    Poco::JSON::Object object;
    object.set("file", console::utf8_text(file.file));
    if (file.note) {
      object.set("id", console::utf8_text(file.note->id));
      object.set("version", console::utf8_text(file.note->version));
      object.set("abi", fmt::format("{}.{}", file.note->abi_major, file.note->abi_minor));
      object.set("needs", fmt::format("{}.{}", file.note->abi_major, file.note->needs_minor));
    }
    object.set("usable", file.usable.has_value());
    object.set("why_not", file.usable ? std::string{} : console::utf8_text(file.usable.error().text()));
    object.set("sha256", plugin_sum(file));
    list.add(object);
  }
  Poco::JSON::Object all;
  all.set("plugins", list);
  std::cout << console::text_of(all);
}

void print_plugins_table(const std::vector<plugin::plugin_file>& files, bool sums) {
  std::vector<std::array<std::string, 5>> rows{{"PLUGIN", "VERSION", "ABI", "ID", "STATE"}};
  std::array<std::size_t, 5> widths{};
  for (auto& file : files)
    rows.push_back({plugin_text(file.file), file.note ? plugin_text(file.note->version) : "-",
                    file.note ? fmt::format("{}.{}", file.note->abi_major, file.note->abi_minor) : "-",
                    file.note ? plugin_text(file.note->id) : "-", file.usable ? "ok" : "UNUSABLE"});
  for (auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  for (std::size_t at = 0; at < rows.size(); ++at) {
    auto& row = rows[at];
    std::cout << fmt::format("{:<{}}  {:<{}}  {:<{}}  {:<{}}  {}\n", row[0], widths[0], row[1], widths[1], row[2],
                             widths[2], row[3], widths[3], row[4]);
    if (at == 0)
      continue;
    auto& file = files[at - 1];
    if (!file.usable)
      std::cout << "  " << plugin_text(file.usable.error().text()) << '\n';
    if (sums)
      std::cout << "  sha256 = \"" << plugin_sum(file) << "\"\n";
  }
}

} // namespace

std::optional<int> plugin_command(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front() != "plugin")
    return std::nullopt;
  auto wanted = read_plugin_options(arguments);
  if (!wanted) {
    std::cerr << "hedwig plugin: " << wanted.error() << ": see hedwig plugin --help\n";
    return exit_usage;
  }
  if (wanted->help) {
    std::cout << plugin_usage;
    return exit_ok;
  }
  auto directories = wanted->directories;
  if (directories.empty()) {
    auto path = wanted->config.empty() ? default_config_path() : wanted->config;
    auto loaded = config::load(path);
    if (!loaded) {
      std::cerr << config::to_text(loaded.error()) << advice_on_config(path);
      return exit_usage;
    }
    directories = plugin_directories(loaded->settings);
  }
  plugin::host_options quiet;
  quiet.threads = false;
  plugin::catalogue all{std::make_shared<plugin::host>(std::move(quiet)), directories};
  auto files = all.scan();
  if (wanted->json)
    print_plugins_json(files);
  else if (files.empty())
    std::cout << fmt::format("no plugin in {}\n", fmt::join(directories, ", "));
  else
    print_plugins_table(files, wanted->sums);
  return exit_ok;
}

} // namespace hedwig::app
