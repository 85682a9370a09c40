// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/binary/elf_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "sdk/check/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::binary {

namespace {

constexpr std::uintmax_t file_max = std::uintmax_t{1} << 30;
constexpr std::size_t segments_max = 64;
constexpr std::size_t dynamic_max = 4096;
constexpr std::size_t symbols_max = 1 << 20;
constexpr std::size_t versions_max = 1 << 16;

#if defined(__x86_64__)
constexpr auto this_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr auto this_machine = EM_AARCH64;
#else
#error "name the machine of this build"
#endif

constexpr std::uint64_t rounded_up(std::uint64_t size, std::uint64_t to) { return (size + to - 1) / to * to; }

std::string content_of(const std::string& path) {
  std::error_code failed;
  auto size = std::filesystem::file_size(path, failed);
  std::ifstream in{path, std::ios::binary};
  if (failed || !in)
    throw unusable{fmt::format("{}: cannot be read", path)};
  expect(size <= file_max, rules::is_shared_object, "the file has {} bytes", size);
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

} // namespace

void elf_file::malformed(const char* what) const {
  throw broken{rules::is_shared_object, fmt::format("its {} cannot be read: the file is damaged or cut short", what)};
}

template <class T>
T elf_file::at(std::uint64_t offset, const char* what) const {
  if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T))
    malformed(what);
  T read;
  std::memcpy(&read, bytes_.data() + offset, sizeof read);
  return read;
}

elf_file::elf_file(const std::string& path) : bytes_{content_of(path)} {
  auto head = at<Elf64_Ehdr>(0, "head");
  expect(std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == ELFCLASS64 &&
             head.e_ident[EI_DATA] == ELFDATA2LSB && head.e_type == ET_DYN && head.e_machine == this_machine,
         rules::is_shared_object, "the file is not a shared object for this machine");
  if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum > segments_max || head.e_phoff > bytes_.size())
    malformed("table of segments");
  for (std::size_t i = 0; i < head.e_phnum; ++i)
    segments_.push_back(at<Elf64_Phdr>(head.e_phoff + i * sizeof(Elf64_Phdr), "table of segments"));
  auto* dynamic = segment(PT_DYNAMIC);
  if (dynamic == nullptr || dynamic->p_offset > bytes_.size())
    malformed("dynamic table");
  for (std::size_t i = 0; i < std::min(dynamic->p_filesz / sizeof(Elf64_Dyn), dynamic_max); ++i) {
    auto one = at<Elf64_Dyn>(dynamic->p_offset + i * sizeof(Elf64_Dyn), "dynamic table");
    if (one.d_tag == DT_NULL)
      break;
    dynamic_.push_back(one);
  }
}

const Elf64_Phdr* elf_file::segment(std::uint32_t type) const {
  auto found = std::ranges::find(segments_, type, &Elf64_Phdr::p_type);
  return found == segments_.end() ? nullptr : &*found;
}

std::vector<std::uint64_t> elf_file::dynamic(std::int64_t tag) const {
  std::vector<std::uint64_t> all;
  for (auto& one : dynamic_)
    if (one.d_tag == tag)
      all.push_back(one.d_un.d_val);
  return all;
}

/// Where in the file stands what is loaded at `address`.
std::optional<std::uint64_t> elf_file::offset_of(std::uint64_t address) const {
  for (auto& one : segments_)
    if (one.p_type == PT_LOAD && address >= one.p_vaddr && address - one.p_vaddr < one.p_filesz &&
        one.p_offset <= bytes_.size())
      return one.p_offset + (address - one.p_vaddr);
  return std::nullopt;
}

std::uint64_t elf_file::place_of(std::int64_t tag, const char* what) const {
  auto values = dynamic(tag);
  auto place = values.empty() ? std::nullopt : offset_of(values.front());
  if (!place || *place > bytes_.size())
    malformed(what);
  return *place;
}

std::string_view elf_file::text_at(std::uint64_t index) const {
  auto begin = place_of(DT_STRTAB, "table of names");
  auto sizes = dynamic(DT_STRSZ);
  auto size = std::min<std::uint64_t>(sizes.empty() ? 0 : sizes.front(), bytes_.size() - begin);
  if (index >= size)
    malformed("table of names");
  auto rest = std::string_view{bytes_}.substr(begin + index, size - index);
  auto end = rest.find('\0');
  if (end == rest.npos)
    malformed("table of names");
  return rest.substr(0, end);
}

std::vector<std::string> elf_file::texts(std::int64_t tag) const {
  std::vector<std::string> all;
  for (auto index : dynamic(tag))
    all.emplace_back(text_at(index));
  return all;
}

std::size_t elf_file::symbol_count() const {
  constexpr auto* what = "table of symbols";
  if (!dynamic(DT_HASH).empty())
    return at<std::uint32_t>(place_of(DT_HASH, what) + 4, what);
  auto table = place_of(DT_GNU_HASH, what);
  auto buckets = at<std::uint32_t>(table, what), first = at<std::uint32_t>(table + 4, what);
  auto words = at<std::uint32_t>(table + 8, what);
  auto bucket = table + 16 + std::uint64_t{words} * 8;
  auto chain = bucket + std::uint64_t{buckets} * 4;
  std::uint32_t last = 0;
  for (std::uint64_t i = 0; i < buckets; ++i)
    last = std::max(last, at<std::uint32_t>(bucket + i * 4, what));
  if (last < first)
    return first; // it defines none
  while ((at<std::uint32_t>(chain + std::uint64_t{last - first} * 4, what) & 1) == 0)
    ++last;
  return std::size_t{last} + 1;
}

/// Names of versions by the number that symbols have.
std::vector<std::string> elf_file::needed_versions() const {
  constexpr auto* what = "table of versions";
  std::vector<std::string> names;
  if (dynamic(DT_VERNEED).empty())
    return names;
  auto place = place_of(DT_VERNEED, what);
  std::size_t seen = 0;
  for (auto more = true; more;) {
    auto library = at<Elf64_Verneed>(place, what);
    auto entry = place + library.vn_aux;
    for (unsigned i = 0; i < library.vn_cnt; ++i) {
      if (++seen > versions_max)
        malformed(what);
      auto one = at<Elf64_Vernaux>(entry, what);
      auto number = one.vna_other & 0x7FFFU;
      names.resize(std::max<std::size_t>(names.size(), number + 1));
      names[number] = text_at(one.vna_name);
      entry += one.vna_next;
    }
    more = library.vn_next != 0 && ++seen <= versions_max;
    place += library.vn_next;
  }
  return names;
}

std::vector<elf_file::symbol> elf_file::symbols() const {
  constexpr auto* what = "table of symbols";
  auto count = symbol_count();
  if (count > symbols_max)
    malformed(what);
  auto table = place_of(DT_SYMTAB, what);
  auto versions = needed_versions();
  auto numbers = dynamic(DT_VERSYM).empty() ? 0 : place_of(DT_VERSYM, what);
  std::vector<symbol> all;
  for (std::size_t i = 1; i < count; ++i) {
    auto raw = at<Elf64_Sym>(table + i * sizeof(Elf64_Sym), what);
    auto number = numbers == 0 ? 0U : at<std::uint16_t>(numbers + i * 2, what) & 0x7FFFU;
    all.push_back({std::string{text_at(raw.st_name)}, number < versions.size() ? versions[number] : std::string{},
                   static_cast<unsigned>(ELF64_ST_BIND(raw.st_info)), static_cast<unsigned>(ELF64_ST_TYPE(raw.st_info)),
                   raw.st_shndx});
  }
  return all;
}

void elf_file::read_notes(const Elf64_Phdr& segment, std::vector<hedwig_note>& into) const {
  if (segment.p_offset > bytes_.size() || bytes_.size() - segment.p_offset < segment.p_filesz)
    malformed("notes");
  auto rest = std::string_view{bytes_}.substr(segment.p_offset, segment.p_filesz);
  std::uint64_t align = segment.p_align == 8 ? 8 : 4;
  constexpr auto body = offsetof(hedwig_note, abi_major);
  while (rest.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr head;
    std::memcpy(&head, rest.data(), sizeof head);
    rest.remove_prefix(sizeof head);
    auto name_size = rounded_up(head.n_namesz, align);
    if (name_size > rest.size() || head.n_descsz > rest.size() - name_size)
      malformed("notes");
    if (head.n_type == HEDWIG_NOTE_TYPE && head.n_namesz == 7 && rest.starts_with("Hedwig")) {
      hedwig_note one{};
      one.name_size = head.n_namesz;
      one.desc_size = head.n_descsz;
      one.type = head.n_type;
      std::memcpy(reinterpret_cast<char*>(&one) + body, rest.data() + name_size,
                  std::min<std::size_t>(head.n_descsz, sizeof one - body));
      into.push_back(one);
    }
    rest.remove_prefix(std::min<std::size_t>(rest.size(), name_size + rounded_up(head.n_descsz, align)));
  }
}

std::vector<hedwig_note> elf_file::notes() const {
  std::vector<hedwig_note> all;
  for (auto& one : segments_)
    if (one.p_type == PT_NOTE)
      read_notes(one, all);
  return all;
}

} // namespace hedwig::check::binary
