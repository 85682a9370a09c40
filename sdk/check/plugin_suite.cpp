// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/plugin_suite.hpp"

#include <elf.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include "sdk/check/instance.hpp"
#include "sdk/check/rules.hpp"

namespace hedwig::check {

namespace {

template <class T>
const T* at(const std::string& file, std::uint64_t offset) {
  return offset > file.size() || file.size() - offset < sizeof(T) ? nullptr
                                                                  : reinterpret_cast<const T*>(file.data() + offset);
}

/// The note in the segments of an ELF file.
std::optional<hedwig_note> note_of(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  const std::string file{std::istreambuf_iterator<char>{in}, {}};
  auto* head = at<Elf64_Ehdr>(file, 0);
  for (int i = 0; head != nullptr && i < head->e_phnum; ++i) {
    auto* segment = at<Elf64_Phdr>(file, head->e_phoff + static_cast<std::uint64_t>(i) * head->e_phentsize);
    if (segment == nullptr || segment->p_type != PT_NOTE)
      continue;
    auto align = segment->p_align < 8 ? 4 : 8;
    for (auto here = segment->p_offset; here + sizeof(Elf64_Nhdr) <= segment->p_offset + segment->p_filesz;) {
      auto* one = at<Elf64_Nhdr>(file, here);
      auto* whole = at<hedwig_note>(file, here);
      if (whole != nullptr && one->n_namesz == 7 && std::memcmp(whole->name, "Hedwig", 7) == 0)
        return *whole;
      auto up = [align](std::uint64_t size) {
        return (size + static_cast<std::uint64_t>(align) - 1) & ~(static_cast<std::uint64_t>(align) - 1);
      };
      here += sizeof(Elf64_Nhdr) + up(one == nullptr ? 0 : one->n_namesz) + up(one == nullptr ? 0 : one->n_descsz);
    }
  }
  return std::nullopt;
}

template <std::size_t Size>
std::string_view text_of(const char (&field)[Size]) {
  return {field, ::strnlen(field, Size)};
}

void says_who_it_is(context& run) {
  auto& plugin = *run.chosen().plugin;
  auto note = note_of(run.chosen().file);
  expect(note.has_value(), rules::has_note,
         "the file has no ELF note of a plugin: HEDWIG_NOTE or HEDWIG_PLUGIN makes it");
  expect(text_of(note->id) == plugin.id && text_of(note->version) == plugin.version, rules::has_note,
         "the note says {} {}, the table {} {}", text_of(note->id), text_of(note->version), plugin.id, plugin.version);
  expect(note->abi_major == plugin.abi_major && note->abi_minor == plugin.abi_minor &&
             note->needs_minor == plugin.needs_minor,
         rules::has_note, "the note says ABI {}.{} (needs {}), the table {}.{} (needs {})", note->abi_major,
         note->abi_minor, note->needs_minor, plugin.abi_major, plugin.abi_minor, plugin.needs_minor);
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i) {
    auto& one = *plugin.providers[i];
    auto there = [](const char* text) { return text != nullptr && *text != '\0'; };
    expect(there(one.name) && there(one.interface_id) && there(one.summary), rules::names_itself,
           "provider {} lacks its name, its interface or its summary", i);
    expect(one.interface != nullptr && one.create != nullptr && one.start != nullptr && one.stop != nullptr &&
               one.destroy != nullptr,
           rules::names_itself, "{} lacks its interface, create, start, stop or destroy", one.name);
  }
}

void judge_schema(const hedwig_config_schema* schema, const std::string& prefix) {
  for (std::uint32_t i = 0; schema != nullptr && i < schema->key_count; ++i) {
    auto& key = *schema->keys[i];
    expect(key.name != nullptr && *key.name != '\0', rules::documents_keys, "a key below \"{}\" has no name", prefix);
    expect(key.help != nullptr && *key.help != '\0', rules::documents_keys, "{}{} has no help", prefix, key.name);
    expect(key.type >= HEDWIG_CONFIG_STRING && key.type <= HEDWIG_CONFIG_TABLES, rules::documents_keys,
           "{}{} has the type {}, which config.h does not define", prefix, key.name, key.type);
    judge_schema(key.nested, prefix + key.name + ".");
  }
}

void declares_its_settings(context& run) {
  auto& plugin = *run.chosen().plugin;
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i)
    judge_schema(plugin.providers[i]->schema, {});
}

void lives_twice(context& run) {
  for (int i = 0; i < 2; ++i) {
    instance one{run};
    one.begin();
    one.end();
  }
}

constexpr std::array tests{
    test{"identity", "the ELF note and the table say the same, and every provider has what it must", 1, says_who_it_is},
    test{"settings", "every key of the schema has a name, a type and a help text", 1, declares_its_settings},
    test{"life", "it is created, started, stopped and destroyed, twice", 2, lives_twice},
};

} // namespace

suite plugin_suite() { return {"plugin", {}, tests, {}}; }

} // namespace hedwig::check
