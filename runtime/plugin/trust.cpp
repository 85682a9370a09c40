// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <memory>
#include <span>

#include "runtime/plugin/loader.hpp"

namespace hedwig::plugin {

namespace {

result<void> check_info(const struct stat& info, const std::filesystem::path& path, bool pardon_sticky,
                        const trust_policy& policy) {
  auto deny = [&](std::string message) -> result<void> {
    return std::unexpected{error{HEDWIG_E_DENIED, std::move(message), path.string(), 0}};
  };
  auto owned = info.st_uid == 0 || info.st_uid == geteuid() ||
               std::ranges::find(policy.owners, info.st_uid) != policy.owners.end();
  if (!owned)
    return deny(fmt::format("belongs to user {}, so its owner could make Hedwig run anything: chown root '{}'",
                            info.st_uid, path.string()));
  // In a sticky folder only the owner of an entry may replace it. Yet everybody may add one.
  if (pardon_sticky && S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0)
    return {};
  if ((info.st_mode & S_IWOTH) != 0)
    return deny(fmt::format("may be written by everyone: chmod o-w '{}'", path.string()));
  if ((info.st_mode & S_IWGRP) != 0 && !policy.allow_group_writable)
    return deny(fmt::format("may be written by its group: chmod g-w '{}'", path.string()));
  return {};
}

/// `path` and all folders above; it has no links in it.
result<void> check_upwards(std::filesystem::path path, const trust_policy& policy) {
  for (int steps = 0;; path = path.parent_path(), ++steps) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0)
      return std::unexpected{system_error(errno, "look at " + path.string())};
    if (auto one = check_info(info, path, steps > 1, policy); !one)
      return one;
    if (path == path.root_path())
      return {};
  }
}

std::string hex(std::span<const unsigned char> bytes) {
  std::string out;
  for (auto byte : bytes)
    out += fmt::format("{:02x}", byte);
  return out;
}

} // namespace

result<void> check_trust(const std::filesystem::path& file, const trust_policy& policy) {
  std::error_code unreadable;
  auto real = std::filesystem::canonical(file, unreadable);
  if (unreadable)
    return std::unexpected{system_error(unreadable.value(), "open " + file.string())};
  auto folder = std::filesystem::canonical(std::filesystem::absolute(file).parent_path(), unreadable);
  if (unreadable)
    return std::unexpected{system_error(unreadable.value(), "open " + file.string())};
  if (folder != real.parent_path())
    if (auto well = check_upwards(folder / ".", policy); !well)
      return well;
  return check_upwards(real, policy);
}

result<void> check_trust(int descriptor, const std::filesystem::path& file, const trust_policy& policy) {
  struct stat info {};
  if (fstat(descriptor, &info) != 0)
    return std::unexpected{system_error(errno, "look at " + file.string())};
  if (!S_ISREG(info.st_mode))
    return std::unexpected{error{HEDWIG_E_INVALID, "is not a regular file", file.string(), 0}};
  return check_info(info, file, false, policy);
}

result<std::string> sha256_of(int descriptor, const std::filesystem::path& file) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  auto failed = [&] { return std::unexpected{error{HEDWIG_E_INTERNAL, "SHA-256 failed", file.string(), 0}}; };
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
    return failed();
  std::vector<char> part(256 * 1024);
  for (off_t at = 0;;) {
    auto got = pread(descriptor, part.data(), part.size(), at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return std::unexpected{system_error(errno, "read " + file.string())};
    if (got == 0)
      break;
    at += got;
    if (EVP_DigestUpdate(context.get(), part.data(), static_cast<std::size_t>(got)) != 1)
      return failed();
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1)
    return failed();
  return hex({digest.data(), size});
}

result<std::string> sha256_of(const std::filesystem::path& file) {
  auto descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return std::unexpected{system_error(errno, "open " + file.string())};
  auto sum = sha256_of(descriptor, file);
  close(descriptor);
  return sum;
}

} // namespace hedwig::plugin
