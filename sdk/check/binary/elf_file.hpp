// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>

#include <elf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::check::binary {

/// A shared object as it stands in its file: nothing of it runs, and no offset or size in it is believed.
class elf_file {
public:
  /// Throws broken when it is no whole shared object for this machine, unusable when it cannot be read.
  explicit elf_file(const std::string& path);

  struct symbol {
    std::string name;
    std::string version; ///< that it needs; empty: any
    unsigned binding;    ///< STB_GLOBAL and so on
    unsigned type;
    unsigned section; ///< SHN_UNDEF: from elsewhere
  };

  const std::vector<Elf64_Phdr>& segments() const { return segments_; }
  const Elf64_Phdr* segment(std::uint32_t type) const;
  /// Values of one tag of the dynamic table, in order.
  std::vector<std::uint64_t> dynamic(std::int64_t tag) const;
  /// Texts of one tag, such as DT_NEEDED.
  std::vector<std::string> texts(std::int64_t tag) const;
  /// Of the dynamic table; without the null symbol.
  std::vector<symbol> symbols() const;
  /// Every Hedwig note there is, each cut or padded to its full size.
  std::vector<hedwig_note> notes() const;

private:
  template <class T>
  T at(std::uint64_t offset, const char* what) const;
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const;
  std::uint64_t place_of(std::int64_t tag, const char* what) const;
  std::string_view text_at(std::uint64_t index) const;
  std::size_t symbol_count() const;
  std::vector<std::string> needed_versions() const;
  void read_notes(const Elf64_Phdr& segment, std::vector<hedwig_note>& into) const;
  [[noreturn]] void malformed(const char* what) const;

  std::string bytes_;
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Dyn> dynamic_;
};

} // namespace hedwig::check::binary
