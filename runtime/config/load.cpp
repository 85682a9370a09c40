// SPDX-License-Identifier: Apache-2.0
#include "runtime/config/load.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "runtime/base/error.hpp"
#include "runtime/config/check.hpp"
#include "runtime/config/read.hpp"

namespace hedwig::config {
namespace {

namespace fs = std::filesystem;

using read_result = std::expected<node, std::vector<diagnostic>>;

std::unexpected<std::vector<diagnostic>> whole_file(const std::string& path, std::string message) {
  return std::unexpected{std::vector{diagnostic{path, 0, 0, std::move(message)}}};
}

std::string machine_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0 || !parse_hostname(name))
    return "localhost";
  return *parse_hostname(name);
}

load_options completed(load_options options) {
  if (options.machine_name.empty())
    options.machine_name = machine_name();
  if (options.processors == 0)
    options.processors = std::max(1u, std::thread::hardware_concurrency());
  return options;
}

std::string folder_of(const std::string& path) {
  std::error_code failed;
  const auto absolute = fs::absolute(path, failed);
  return failed ? std::string{} : absolute.parent_path().string();
}

bool ends_with(std::string_view path, std::string_view extension) { return path.ends_with(extension); }

} // namespace

std::vector<diagnostic> report::sorted(std::vector<diagnostic> list) const {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  if (list.size() > errors_max) {
    const auto more = list.size() - errors_max;
    list.resize(errors_max);
    list.push_back({file_, 0, 0, fmt::format("{} more of these: mend the first ones", more)});
  }
  return list;
}

namespace {

read_result read_text(std::string_view text, const std::string& path) {
  if (text.size() > file_size_max)
    return whole_file(path, fmt::format("the file is longer than {} bytes: is it the right one?", file_size_max));
  if (ends_with(path, ".huml"))
    return whole_file(path, "HUML is not read: convert the file to TOML, with the same tables and keys");
  auto root = ends_with(path, ".json") ? read_json(text, path) : read_toml(text, path);
  if (!root)
    return std::unexpected{std::vector{root.error()}};
  return std::move(*root);
}

read_result read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), &std::fclose};
  if (!file)
    return whole_file(path, system_error(errno, "cannot open").message);
  std::string text(file_size_max + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()))
    return whole_file(path, system_error(errno, "cannot read").message);
  return read_text(text, path);
}

looked_at look_at(node root, const std::string& path, const load_options& options) {
  report found{path};
  draft what;
  auto all = completed(options);
  check_table(&root, {}, &what, folder_of(path), found);
  // Rules compare values: with a bad one among them they would tell things that are not so.
  report unreliable{path};
  apply_rules(what, root, all, found.failed() ? unreliable : found);
  return {loaded{std::move(what.settings), found.warnings(), path, std::move(root), std::move(all)}, found.errors()};
}

std::expected<loaded, std::vector<diagnostic>> sound(looked_at all) {
  if (!all.errors.empty())
    return std::unexpected{std::move(all.errors)};
  return std::move(*all.file);
}

} // namespace

std::expected<loaded, std::vector<diagnostic>> load_text(std::string_view text, const std::string& path,
                                                         const load_options& options) {
  auto root = read_text(text, path);
  if (!root)
    return std::unexpected{std::move(root.error())};
  return load_root(std::move(*root), path, options);
}

std::expected<loaded, std::vector<diagnostic>> load_root(node root, const std::string& path,
                                                         const load_options& options) {
  return sound(look_at(std::move(root), path, options));
}

looked_at look(const std::string& path, const load_options& options) {
  auto root = read_file(path);
  if (!root)
    return {std::nullopt, std::move(root.error())};
  return look_at(std::move(*root), path, options);
}

std::expected<loaded, std::vector<diagnostic>> load(const std::string& path, const load_options& options) {
  return sound(look(path, options));
}

diagnostic diagnostic_at(const loaded& file, std::string_view key_path, std::string_view message) {
  const auto& at = nearest_node(file.root, key_path);
  std::string line{message};
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return {file.path, at.line, at.column, std::move(line)};
}

settings defaults(const std::string& machine_name) {
  report unused{"defaults"};
  draft what;
  check_table(nullptr, {}, &what, {}, unused);
  auto& out = what.settings;
  out.server.hostname = machine_name;
  out.server.helo_hostname = machine_name;
  out.server.postmaster = "postmaster@" + machine_name;
  out.dsn.from = "MAILER-DAEMON@" + machine_name;
  out.storage.provider = std::make_shared<const node>();
  out.process.io_loops = 1;
  out.process.scheduler_threads = 2;
  return out;
}

listener_settings default_listener() {
  report unused{"defaults"};
  listener_settings out;
  check_table(nullptr, "server.listeners[]", &out, {}, unused);
  return out;
}

} // namespace hedwig::config
