// SPDX-License-Identifier: Apache-2.0
// Reads what a file says of itself: the file is not trusted yet, so every offset and size in it is checked.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

#include "runtime/plugin/loader.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::size_t segments_max = 64;
constexpr std::size_t notes_max = 64 * 1024;

class file_reader {
public:
  explicit file_reader(const std::filesystem::path& file)
    : fd_{open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)} {}
  ~file_reader() {
    if (fd_ >= 0)
      close(fd_);
  }
  file_reader(const file_reader&) = delete;
  file_reader& operator=(const file_reader&) = delete;

  [[nodiscard]] bool is_regular() const {
    struct stat info {};
    return fd_ >= 0 && fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  }
  [[nodiscard]] bool read(std::uint64_t offset, void* out, std::size_t size) const {
    return offset <= INT64_MAX && pread(fd_, out, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  }

private:
  int fd_;
};

std::size_t padded(std::size_t size, std::size_t alignment) { return (size + alignment - 1) / alignment * alignment; }

std::string text_of(const char* field, std::size_t size) { return {field, strnlen(field, size)}; }

/// The note of ours among the notes of one segment.
std::optional<plugin_note> find_note(std::span<const char> notes, std::size_t alignment) {
  constexpr std::size_t wanted = sizeof(hedwig_note) - offsetof(hedwig_note, abi_major);
  while (notes.size() >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr head;
    std::memcpy(&head, notes.data(), sizeof head);
    notes = notes.subspan(sizeof head);
    auto name_size = padded(head.n_namesz, alignment);
    auto desc_size = padded(head.n_descsz, alignment);
    if (name_size > notes.size() || head.n_descsz > notes.size() - name_size)
      return std::nullopt;
    if (head.n_type == HEDWIG_NOTE_TYPE && head.n_namesz == 7 && std::memcmp(notes.data(), "Hedwig", 7) == 0 &&
        head.n_descsz >= wanted) {
      hedwig_note raw{};
      std::memcpy(reinterpret_cast<char*>(&raw) + offsetof(hedwig_note, abi_major), notes.data() + name_size, wanted);
      return plugin_note{raw.abi_major, raw.abi_minor, raw.needs_minor, text_of(raw.id, sizeof raw.id),
                         text_of(raw.version, sizeof raw.version)};
    }
    notes = notes.subspan(std::min(notes.size(), name_size + desc_size));
  }
  return std::nullopt;
}

bool readable_elf(const Elf64_Ehdr& head) {
#if defined(__x86_64__)
  constexpr auto machine = EM_X86_64;
#elif defined(__aarch64__)
  constexpr auto machine = EM_AARCH64;
#else
#error "name the machine of this build"
#endif
  return std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == ELFCLASS64 &&
         head.e_ident[EI_DATA] == ELFDATA2LSB && head.e_type == ET_DYN && head.e_machine == machine &&
         head.e_phentsize == sizeof(Elf64_Phdr) && head.e_phnum <= segments_max;
}

std::unexpected<error> refuse(const std::filesystem::path& file, std::string message) {
  return std::unexpected{error{HEDWIG_E_INVALID, std::move(message), file.string(), 0}};
}

} // namespace

result<plugin_note> read_note(const std::filesystem::path& file) {
  file_reader in{file};
  if (!in.is_regular())
    return refuse(file, "is not a readable regular file");
  Elf64_Ehdr head;
  if (!in.read(0, &head, sizeof head) || !readable_elf(head))
    return refuse(file, "is not a shared object for this machine: remove it from the plugin folder");
  for (std::size_t i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!in.read(head.e_phoff + i * sizeof segment, &segment, sizeof segment))
      return refuse(file, "is cut short: install it again");
    if (segment.p_type != PT_NOTE || segment.p_filesz > notes_max)
      continue;
    std::vector<char> notes(segment.p_filesz);
    if (!in.read(segment.p_offset, notes.data(), notes.size()))
      return refuse(file, "is cut short: install it again");
    if (auto found = find_note(notes, segment.p_align == 8 ? 8 : 4))
      return *found;
  }
  return refuse(file, "has no Hedwig note: build it with HEDWIG_PLUGIN() or HEDWIG_NOTE() of the SDK");
}

} // namespace hedwig::plugin
