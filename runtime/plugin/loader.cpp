// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/loader.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/instance_host.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::uint32_t providers_max = 64;

std::unexpected<error> fail(hedwig_status status, std::string message, std::string where) {
  return std::unexpected{error{status, std::move(message), std::move(where), 0}};
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() != '-' && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// What a plugin says of itself must be whole before anything of it is used. Empty: it is.
std::string fault_of(const hedwig_provider& p) {
  if (p.struct_size < sizeof(hedwig_provider) || p.interface_id == nullptr || p.name == nullptr || p.summary == nullptr)
    return "a provider is incomplete";
  if (!good_name(p.name))
    return fmt::format("the provider name \"{}\" is not lower-case letters, digits and hyphens", p.name);
  if (p.interface == nullptr || p.create == nullptr || p.start == nullptr || p.stop == nullptr || p.destroy == nullptr)
    return fmt::format("the provider {} lacks a function", p.name);
  if (auto faults = schema_faults(p.schema); !faults.empty())
    return fmt::format("the provider {} has a broken config schema: {}", p.name, fmt::join(faults, "; "));
  return {};
}

std::string fault_of(const hedwig_plugin* plugin) {
  if (plugin == nullptr)
    return "it refused to work with this host";
  if (plugin->struct_size < sizeof(hedwig_plugin) || plugin->id == nullptr || plugin->version == nullptr)
    return "its description is incomplete";
  if (plugin->abi_major != HEDWIG_ABI_MAJOR)
    return fmt::format("its description says ABI {}, this host speaks {}", plugin->abi_major, HEDWIG_ABI_MAJOR);
  if (plugin->provider_count == 0 || plugin->provider_count > providers_max || plugin->providers == nullptr)
    return "it offers no providers, or more than 64";
  for (auto* provider : std::span{plugin->providers, plugin->provider_count}) {
    if (auto fault = provider == nullptr ? "a provider is missing" : fault_of(*provider); !fault.empty())
      return fault;
  }
  return {};
}

std::vector<std::filesystem::path> shared_objects(const std::string& directory) {
  std::vector<std::filesystem::path> out;
  std::error_code ignored;
  for (auto& entry : std::filesystem::directory_iterator{directory, ignored}) {
    if (entry.path().extension() == ".so")
      out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

} // namespace

result<void> check_abi(const plugin_note& note) {
  if (note.abi_major != HEDWIG_ABI_MAJOR)
    return fail(
        HEDWIG_E_UNSUPPORTED,
        fmt::format("was built for plugin ABI {}, this Hedwig speaks {}: install the plugin's release for ABI {}",
                    note.abi_major, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MAJOR),
        note.id);
  if (note.needs_minor > HEDWIG_ABI_MINOR)
    return fail(
        HEDWIG_E_UNSUPPORTED,
        fmt::format("needs plugin ABI {}.{}, this Hedwig speaks {}.{}: install a newer Hedwig or an older plugin",
                    note.abi_major, note.needs_minor, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR),
        note.id);
  return {};
}

std::string_view kind_of(std::string_view interface_id) noexcept {
  auto first = interface_id.find('.');
  if (first == std::string_view::npos)
    return interface_id;
  auto rest = interface_id.substr(first + 1);
  return rest.substr(0, rest.find('/'));
}

std::string provider_ref::label() const { return fmt::format("{}.{}", kind_of(interface_id()), name()); }

catalogue::catalogue(std::shared_ptr<host> services, std::vector<std::string> directories, trust_policy trust)
  : services_{std::move(services)}, directories_{std::move(directories)}, trust_{std::move(trust)} {}

result<std::filesystem::path> catalogue::locate(const std::string& stem) const {
  for (auto& directory : directories_) {
    auto file = std::filesystem::path{directory} / (stem + ".so");
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored))
      return file;
  }
  return fail(HEDWIG_E_NOT_FOUND,
              fmt::format("there is no {}.so in {}: install the plugin or set plugins.directories", stem,
                          fmt::join(directories_, ", ")),
              stem);
}

result<void> catalogue::load(std::string_view file_name, std::string_view sha256) {
  if (file_name.ends_with(".so"))
    file_name.remove_suffix(3);
  if (!good_name(file_name))
    return fail(HEDWIG_E_INVALID, "is not the name of a plugin: write it without folder, such as \"storage-fs\"",
                std::string{file_name});
  auto file = locate(std::string{file_name});
  return file ? load_file(*file, sha256) : std::unexpected{file.error()};
}

result<void> catalogue::check_place(const std::filesystem::path& file, const std::filesystem::path& real) const {
  if (auto trusted = check_trust(file, trust_); !trusted)
    return trusted;
  for (auto& directory : directories_) {
    std::error_code absent;
    auto allowed = std::filesystem::canonical(directory, absent);
    if (!absent && std::ranges::mismatch(allowed, real).in1 == allowed.end())
      return {};
  }
  return fail(HEDWIG_E_DENIED,
              fmt::format("is a link to {}, which is in no plugin folder: add {} to plugins.directories, or copy it",
                          real.string(), real.parent_path().string()),
              file.string());
}

namespace {

/// What a file must say of itself before it is opened.
result<void> check_note(const std::filesystem::path& real) {
  auto note = read_note(real);
  if (!note)
    return std::unexpected{note.error()};
  auto fits = check_abi(*note);
  if (!fits)
    fits.error().where = real.string();
  return fits;
}

result<void> check_sum(int descriptor, const std::filesystem::path& real, std::string_view wanted) {
  if (wanted.empty())
    return {};
  auto sum = sha256_of(descriptor, real);
  if (!sum)
    return std::unexpected{sum.error()};
  if (*sum == wanted)
    return {};
  return fail(
      HEDWIG_E_DENIED,
      fmt::format("has the SHA-256 {}, the configuration asks for {}: if the file was changed on purpose, write "
                  "the new one",
                  *sum, wanted),
      real.string());
}

} // namespace

result<void> catalogue::load_file(const std::filesystem::path& file, std::string_view sha256) {
  std::error_code unreadable;
  auto real = std::filesystem::canonical(file, unreadable);
  if (unreadable)
    return std::unexpected{system_error(unreadable.value(), "open " + file.string())};
  std::lock_guard lock{mutex_};
  if (auto there = std::ranges::find(files_, real.string(), &loaded_file::path); there != files_.end())
    return check_sum(there->descriptor, real, sha256);
  if (auto well = check_place(file, real); !well)
    return well;
  auto descriptor = open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return std::unexpected{system_error(errno, "open " + real.string())};
  if (auto well = check_content(real, descriptor, sha256); !well) {
    close(descriptor);
    return well;
  }
  auto added = open_and_add(real, descriptor, sha256);
  if (added)
    files_.push_back({real.string(), descriptor, !sha256.empty()});
  else if (sha256.empty())
    close(descriptor); // else dlopen() may have seen it
  return added;
}

result<void> catalogue::check_content(const std::filesystem::path& real, int descriptor,
                                      std::string_view sha256) const {
  if (auto trusted = check_trust(descriptor, real, trust_); !trusted)
    return trusted;
  if (auto same = check_sum(descriptor, real, sha256); !same)
    return same;
  return check_note(real);
}

result<void> catalogue::open_and_add(const std::filesystem::path& real, int descriptor, std::string_view sha256) {
  auto itself = fmt::format("/proc/self/fd/{}", descriptor);
  // Never closed: threads and thread-locals of a plugin may outlive everything we could wait for.
  void* handle = dlopen(sha256.empty() ? real.c_str() : itself.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    return fail(HEDWIG_E_INVALID, dlerror(), real.string());
  auto entry = reinterpret_cast<decltype(&hedwig_plugin_v1)>(dlsym(handle, HEDWIG_ENTRY_SYMBOL));
  if (entry == nullptr)
    return fail(HEDWIG_E_INVALID,
                "does not export " HEDWIG_ENTRY_SYMBOL ": build it with hedwig_add_plugin() and HEDWIG_PLUGIN()",
                real.string());
  auto& face = faces_.emplace_back(std::make_shared<instance_host>(services_, real.stem().string(), nullptr));
  call_scope scope{face->name().c_str(), HEDWIG_ENTRY_SYMBOL};
  return add_locked(entry(face->raw()), real.string());
}

result<void> catalogue::add(const hedwig_plugin* plugin, std::string file) {
  std::lock_guard lock{mutex_};
  return add_locked(plugin, std::move(file));
}

result<void> catalogue::add_locked(const hedwig_plugin* plugin, std::string file) {
  auto where = file.empty() ? std::string{"built-in plugin"} : file;
  if (auto fault = fault_of(plugin); !fault.empty())
    return fail(HEDWIG_E_INVALID, fault, where);
  for (auto* provider : std::span{plugin->providers, plugin->provider_count}) {
    if (const auto* other = known(provider->interface_id, provider->name))
      return fail(HEDWIG_E_EXISTS,
                  fmt::format("offers {} \"{}\", which {} offers already: remove one of the two",
                              provider->interface_id, provider->name,
                              other->file.empty() ? "the program" : other->file),
                  where);
  }
  for (auto* provider : std::span{plugin->providers, plugin->provider_count})
    providers_.push_back({plugin, provider, file});
  return {};
}

const provider_ref* catalogue::known(std::string_view interface_id, std::string_view name) const {
  auto found =
      std::ranges::find_if(providers_, [&](auto& p) { return p.interface_id() == interface_id && p.name() == name; });
  return found == providers_.end() ? nullptr : &*found;
}

catalogue::~catalogue() {
  // Those that dlopen() knows by their descriptor's name stay open.
  for (auto& one : files_)
    if (!one.pinned)
      close(one.descriptor);
}

result<provider_ref> catalogue::find(std::string_view interface_id, std::string_view name, std::string_view sha256) {
  {
    std::lock_guard lock{mutex_};
    if (const auto* there = known(interface_id, name)) {
      auto loaded = std::ranges::find(files_, there->file, &loaded_file::path);
      if (loaded == files_.end())
        return *there;
      if (auto same = check_sum(loaded->descriptor, there->file, sha256); !same)
        return std::unexpected{same.error()};
      return *there;
    }
  }
  if (!good_name(name))
    return std::unexpected{not_found(interface_id, name)};
  auto stem = fmt::format("{}-{}", kind_of(interface_id), name);
  if (!locate(stem))
    return std::unexpected{not_found(interface_id, name)};
  if (auto loaded = load(stem, sha256); !loaded)
    return std::unexpected{loaded.error()};
  std::lock_guard lock{mutex_};
  if (const auto* there = known(interface_id, name))
    return *there;
  std::vector<std::string> offers;
  for (auto& one : providers_)
    if (std::filesystem::path{one.file}.stem() == stem)
      offers.push_back(fmt::format("{0} provider \"{1}\", which is looked for in {0}-{1}.so",
                                   kind_of(one.interface_id()), one.name()));
  return fail(HEDWIG_E_NOT_FOUND,
              fmt::format("{}.so offers no {} provider \"{}\" (it offers the {}): rename the file, or ask its author",
                          stem, kind_of(interface_id), name, fmt::join(offers, "; the ")),
              stem);
}

error catalogue::not_found(std::string_view interface_id, std::string_view name) const {
  std::vector<std::string> there;
  auto prefix = fmt::format("{}-", kind_of(interface_id));
  for (auto& directory : directories_) {
    for (auto& file : shared_objects(directory)) {
      if (auto stem = file.stem().string(); stem.starts_with(prefix))
        there.push_back(stem.substr(prefix.size()));
    }
  }
  return {HEDWIG_E_NOT_FOUND,
          fmt::format("there is no {} provider \"{}\" in {} (there are: {}): install it or set plugins.directories",
                      kind_of(interface_id), name, fmt::join(directories_, ", "),
                      there.empty() ? "none" : fmt::format("{}", fmt::join(there, ", "))),
          std::string{name}, 0};
}

std::vector<provider_ref> catalogue::providers() const {
  std::lock_guard lock{mutex_};
  return providers_;
}

std::vector<plugin_file> catalogue::scan() const {
  std::vector<plugin_file> out;
  for (auto& directory : directories_) {
    for (auto& file : shared_objects(directory)) {
      std::error_code broken;
      auto real = std::filesystem::canonical(file, broken);
      auto usable = check_place(file, broken ? file : real);
      auto note = read_note(file);
      if (usable)
        usable = check_note(file);
      out.push_back({file.string(), std::move(note), std::move(usable)});
    }
  }
  return out;
}

} // namespace hedwig::plugin
