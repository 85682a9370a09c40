// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/plugin_file.hpp"

#include <filesystem>

#include <dlfcn.h>

#include "sdk/check/host.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check {

namespace {

const hedwig_plugin* load(const std::string& file) {
  std::error_code failed;
  auto path = std::filesystem::absolute(file, failed); // a bare name would be looked for in the system's folders
  auto* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    throw unusable{::dlerror()};
  auto entry = reinterpret_cast<decltype(&hedwig_plugin_v1)>(::dlsym(handle, HEDWIG_ENTRY_SYMBOL));
  if (entry == nullptr)
    throw unusable{fmt::format("{}: no function " HEDWIG_ENTRY_SYMBOL ": built for another ABI than {}, or no plugin",
                               file, HEDWIG_ABI_MAJOR)};
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
  std::string known;
  for (std::uint32_t i = 0; i < plugin->provider_count; ++i) {
    auto* one = plugin->providers[i];
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", one->name, one->interface_id);
    if (name.empty() ? interface_id.empty() || interface_id == one->interface_id : name == one->name)
      return {file, plugin, one};
  }
  throw unusable{fmt::format("{}: no provider {}; it offers {}", file, name.empty() ? interface_id : name,
                             known.empty() ? "none" : known)};
}

} // namespace hedwig::check
