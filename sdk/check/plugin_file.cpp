// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/plugin_file.hpp"

#include <filesystem>
#include <sstream>

#include <dlfcn.h>

#include "sdk/check/host.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check {

decltype(&hedwig_plugin_v1) entry_of(const std::string& file) {
  std::error_code failed;
  auto path = std::filesystem::absolute(file, failed); // a bare name would be looked for in the system's folders
  auto* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    throw unusable{::dlerror()};
  auto entry = reinterpret_cast<decltype(&hedwig_plugin_v1)>(::dlsym(handle, HEDWIG_ENTRY_SYMBOL));
  if (entry == nullptr)
    throw unusable{fmt::format("{}: no function " HEDWIG_ENTRY_SYMBOL ": built for another ABI than {}, or no plugin",
                               file, HEDWIG_ABI_MAJOR)};
  return entry;
}

namespace {

const hedwig_plugin* load(const std::string& file) {
  auto entry = entry_of(file);
  static host loader; // it outlives everything: the plugin may have kept it
  auto* plugin = entry(loader.raw());
  if (plugin == nullptr)
    throw unusable{fmt::format("{}: the plugin cannot live with ABI {}.{}", file, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR)};
  if (plugin->abi_major != HEDWIG_ABI_MAJOR || plugin->needs_minor > HEDWIG_ABI_MINOR)
    throw unusable{fmt::format("{}: needs ABI {}.{}, this kit speaks {}.{}", file, plugin->abi_major,
                               plugin->needs_minor, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR)};
  return plugin;
}

} // namespace

provider_choice load_provider(const std::string& file, std::string_view name, std::string_view interface_id) {
  auto* plugin = load(file);
  auto chosen = summary_of(file).choose(name, interface_id);
  for (std::uint32_t i = 0; i < plugin->provider_count; ++i)
    if (chosen.name == plugin->providers[i]->name &&
        (interface_id.empty() || interface_id == plugin->providers[i]->interface_id))
      return {file, chosen.name, plugin, plugin->providers[i]};
  throw unusable{fmt::format("{}: its table changes from call to call", file)};
}

provider_choice plugin_summary::choose(std::string_view name, std::string_view interface_id) const {
  std::string known;
  for (auto& one : providers) {
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", one.name, one.interface_id);
    if (name.empty() ? interface_id.empty() || interface_id == one.interface_id : name == one.name)
      return {file, one.name, nullptr, nullptr};
  }
  throw unusable{fmt::format("{}: no provider {}; it offers {}", file, name.empty() ? interface_id : name,
                             known.empty() ? "none" : known)};
}

plugin_summary summary_of(const std::string& file) {
  auto* plugin = load(file);
  auto text = [](const char* one) { return std::string{one == nullptr ? "" : one}; };
  plugin_summary made{file, text(plugin->id), text(plugin->version), {}, {}};
  for (std::uint32_t i = 0; i < plugin->provider_count; ++i)
    made.providers.push_back({text(plugin->providers[i]->name), text(plugin->providers[i]->interface_id)});
  if (made.providers.empty())
    throw unusable{fmt::format("{}: it offers no provider", file)};
  return made;
}

std::string write_down(const plugin_summary& one) {
  auto text = fmt::format("{}\n{}\n", one.id, one.version);
  for (auto& [name, interface_id] : one.providers)
    text += fmt::format("{}\n{}\n", name, interface_id);
  return text;
}

plugin_summary read_summary(const std::string& file, const std::string& text) {
  std::istringstream in{text};
  plugin_summary made{file, {}, {}, {}, {}};
  std::getline(in, made.id);
  std::getline(in, made.version);
  for (plugin_summary::offer one; std::getline(in, one.name) && std::getline(in, one.interface_id);)
    made.providers.push_back(one);
  return made;
}

} // namespace hedwig::check
