// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/binary/suite.hpp"

#include <array>
#include <cstring>
#include <filesystem>

#include <dlfcn.h>

#include "sdk/check/binary/elf_file.hpp"
#include "sdk/check/context.hpp"
#include "sdk/check/rules.hpp"

namespace hedwig::check {

namespace {

using binary::elf_file;

elf_file file_of(context& run) { return elf_file{run.chosen().file}; }

void is_whole(context& run) {
  auto file = file_of(run);
  static_cast<void>(file.symbols());
  static_cast<void>(file.texts(DT_NEEDED));
  static_cast<void>(file.notes());
}

template <std::size_t Size>
std::string_view note_text(const char (&field)[Size], const char* which) {
  auto size = ::strnlen(field, Size);
  expect(size != 0 && size != Size, rules::one_note, "the note's {} is empty or has no end", which);
  return {field, size};
}

void has_one_note(context& run) {
  auto notes = file_of(run).notes();
  expect(!notes.empty(), rules::has_note,
         "the file has no ELF note of a plugin: HEDWIG_NOTE or HEDWIG_PLUGIN makes it");
  expect(notes.size() == 1, rules::one_note, "the file has {} of the notes", notes.size());
  auto& note = notes.front();
  constexpr auto size = sizeof(hedwig_note) - offsetof(hedwig_note, abi_major);
  expect(note.desc_size >= size, rules::one_note, "the note has {} bytes instead of {}", note.desc_size, size);
  expect(note.abi_major == HEDWIG_ABI_MAJOR && note.needs_minor <= note.abi_minor, rules::has_note,
         "the note says ABI {}.{} and that {}.{} is needed; this kit is of major {}", note.abi_major, note.abi_minor,
         note.abi_major, note.needs_minor, HEDWIG_ABI_MAJOR);
  note_text(note.id, "id");
  note_text(note.version, "version");
}

void exports_the_entry(context& run) {
  bool has_entry = false;
  for (auto& one : file_of(run).symbols()) {
    bool local = one.binding == STB_LOCAL, version_node = one.section == SHN_ABS;
    if (one.section == SHN_UNDEF || local || version_node)
      continue;
    if (one.name == HEDWIG_ENTRY_SYMBOL && one.type == STT_FUNC)
      has_entry = true;
    else
      throw broken{
          rules::exports_entry,
          fmt::format("it exports {}: a version script with hedwig_plugin_v1 alone as `global` hides the rest, "
                      "-fno-gnu-unique what such a script cannot",
                      one.name)};
  }
  expect(has_entry, rules::one_entry,
         "it exports no function " HEDWIG_ENTRY_SYMBOL ": built for another ABI than {}, or no plugin",
         HEDWIG_ABI_MAJOR);
}

bool has_flag(const elf_file& file, std::int64_t tag, std::uint64_t flag) {
  for (auto value : file.dynamic(tag))
    if ((value & flag) != 0)
      return true;
  return false;
}

void stays_loaded(context& run) {
  expect(has_flag(file_of(run), DT_FLAGS_1, DF_1_NODELETE), rules::never_unloaded,
         "it may be unloaded, with its threads and call-backs under way: link with -Wl,-z,nodelete");
}

void has_read_only_tables(context& run) {
  auto file = file_of(run);
  expect(file.segment(PT_GNU_RELRO) != nullptr, rules::read_only_tables,
         "its tables of addresses stay writable: link with -Wl,-z,relro");
  bool now = has_flag(file, DT_FLAGS, DF_BIND_NOW) || has_flag(file, DT_FLAGS_1, DF_1_NOW) ||
             !file.dynamic(DT_BIND_NOW).empty();
  expect(now, rules::read_only_tables,
         "addresses of functions are filled in late, and stay writable: link with -Wl,-z,now");
}

void leaves_its_code_alone(context& run) {
  auto file = file_of(run);
  expect(file.dynamic(DT_TEXTREL).empty() && !has_flag(file, DT_FLAGS, DF_TEXTREL), rules::code_stays,
         "its code is written to while it is loaded (text relocations): compile everything with -fPIC");
  for (auto& one : file.segments())
    expect(one.p_type != PT_LOAD || (one.p_flags & (PF_W | PF_X)) != (PF_W | PF_X), rules::code_stays,
           "a segment is writable and executable at once");
}

void wants_a_plain_stack(context& run) {
  auto* stack = file_of(run).segment(PT_GNU_STACK);
  constexpr auto* help = "assembler sources need a section .note.GNU-stack, or -Wl,-z,noexecstack";
  expect(stack != nullptr, rules::plain_stack, "it does not say what stack it needs, which means an executable one: {}",
         help);
  expect((stack->p_flags & PF_X) == 0, rules::plain_stack, "it asks for an executable stack: {}", help);
}

void needs_no_host_library(context& run) {
  for (auto& one : file_of(run).texts(DT_NEEDED))
    expect(!one.starts_with("libcaf") && !one.starts_with("libhedwig"), rules::no_host_library,
           "it needs {}: a library of the relay's, of whichever version that has", one);
}

/// A library as the loader would find it for the plugin; null when there is none.
void* open_library(const elf_file& file, const std::string& plugin, const std::string& name) {
  auto origin = std::filesystem::absolute(plugin).parent_path().string();
  for (auto tag : {DT_RUNPATH, DT_RPATH})
    for (auto& folders : file.texts(tag)) {
      for (std::size_t at = 0; at <= folders.size();) {
        auto end = std::min(folders.find(':', at), folders.size());
        auto folder = folders.substr(at, end - at);
        if (folder.starts_with("$ORIGIN"))
          folder.replace(0, 7, origin);
        if (auto* handle = ::dlopen((folder + "/" + name).c_str(), RTLD_LAZY | RTLD_LOCAL))
          return handle;
        at = end + 1;
      }
    }
  return ::dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
}

/// What the sanitizers' run-time libraries bring is in the program, not in the plugin.
bool is_of_a_sanitizer(std::string_view name) {
  for (auto* start : {"__asan_", "__ubsan_", "__tsan_", "__lsan_", "__sanitizer_"})
    if (name.starts_with(start))
      return true;
  return false;
}

void names_its_libraries(context& run) {
  auto file = file_of(run);
  std::vector<void*> libraries;
  for (auto& one : file.texts(DT_NEEDED)) {
    libraries.push_back(open_library(file, run.chosen().file, one));
    expect(libraries.back() != nullptr, rules::named_libraries, "it needs {}, which is not here", one);
  }
  for (auto& one : file.symbols()) {
    if (one.section != SHN_UNDEF || one.binding == STB_WEAK || is_of_a_sanitizer(one.name))
      continue;
    bool found = false;
    for (auto* library : libraries)
      found = found || (one.version.empty() ? ::dlsym(library, one.name.c_str())
                                            : ::dlvsym(library, one.name.c_str(), one.version.c_str())) != nullptr;
    expect(found, rules::named_libraries,
           "no library that it names gives {}{}{}: link with -Wl,-z,defs, which says so at once", one.name,
           one.version.empty() ? "" : "@", one.version);
  }
}

void can_be_loaded(context& run) {
  try {
    static_cast<void>(summary_of(run.chosen().file));
  } catch (const unusable& e) {
    throw broken{rules::one_entry, e.what()};
  }
}

void says_the_same_twice(context& run) {
  auto& plugin = *run.chosen().plugin;
  auto notes = file_of(run).notes();
  expect(!notes.empty(), rules::has_note, "the file has no note");
  auto& note = notes.front();
  auto id = note_text(note.id, "id"), version = note_text(note.version, "version");
  expect(plugin.id != nullptr && plugin.version != nullptr && id == plugin.id && version == plugin.version,
         rules::note_equals_table, "the note says {} {}, the table {} {}", id, version,
         plugin.id == nullptr ? "nothing" : plugin.id, plugin.version == nullptr ? "nothing" : plugin.version);
  expect(note.abi_major == plugin.abi_major && note.abi_minor == plugin.abi_minor &&
             note.needs_minor == plugin.needs_minor,
         rules::note_equals_table, "the note says ABI {}.{} (needs {}), the table {}.{} (needs {})", note.abi_major,
         note.abi_minor, note.needs_minor, plugin.abi_major, plugin.abi_minor, plugin.needs_minor);
}

// Level 1: without that there is no file to look into. 2: what keeps it from being loaded. 5: how it was linked.
constexpr std::array binary_tests{
    test{"file", "it is a whole shared object for this machine", 1, is_whole, false, true},
    test{"note", "one ELF note says who it is, without any of its code", 2, has_one_note, false, true},
    test{"exports", "it exports the entry and nothing else", 2, exports_the_entry, false, true},
    test{"libraries", "it needs no library of the relay's", 2, needs_no_host_library, false, true},
    test{"symbols", "the libraries that it names are there and give all it needs", 2, names_its_libraries, false, true},
    test{"loads", "it can be loaded, and its entry gives a table with a provider", 3, can_be_loaded, false, true},
    test{"table", "ELF note and table say the same", 4, says_the_same_twice},
    test{"nodelete", "it is never unloaded", 5, stays_loaded, false, true},
    test{"relro", "what the loader writes is read-only from then on", 5, has_read_only_tables, false, true},
    test{"code", "no code is written to", 5, leaves_its_code_alone, false, true},
    test{"stack", "it asks for no executable stack", 5, wants_a_plain_stack, false, true},
};

} // namespace

suite binary_suite() { return {"binary", {}, binary_tests, {}, true}; }

} // namespace hedwig::check
