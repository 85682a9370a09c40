// SPDX-License-Identifier: Apache-2.0
#include "user_file.hpp"

#include <hedwig/plugin.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "stored_password.hpp"
#include "totp.hpp"

namespace hedwig::auth_static {

namespace {

constexpr std::string_view totp_mark = ":totp=";

std::string_view take_field(std::string_view& rest, char separator) {
  auto field = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), field.size() + 1));
  return field;
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    if (auto item = take_field(text, ','); !item.empty())
      out.emplace_back(item);
  }
  return out;
}

/// Owns a file descriptor.
struct descriptor {
  explicit descriptor(const std::string& path) : fd{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)} {}
  ~descriptor() {
    if (fd >= 0)
      close(fd);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  int fd;
};

[[noreturn]] void fail_with_errno(const std::string& path, const char* doing) {
  auto code = errno;
  throw sdk::failure{HEDWIG_E_CONFIG, std::string{doing} + " " + path + ": " + std::strerror(code), "file", code};
}

} // namespace

std::vector<user_entry> parse_users(std::string_view text, const std::string& path) {
  std::vector<user_entry> out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = take_field(text, '\n');
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty() || line.starts_with('#'))
      continue;
    auto bad = [&](const std::string& why) {
      return sdk::failure{HEDWIG_E_CONFIG, path + ":" + std::to_string(number) + ": " + why, "file"};
    };
    std::string totp;
    if (auto at = line.rfind(totp_mark); at != std::string_view::npos) {
      totp = line.substr(at + totp_mark.size());
      line = line.substr(0, at);
      if (!logins::totp_secret::read(totp))
        throw bad("what stands behind totp= is no secret in base32");
    }
    auto name = take_field(line, ':');
    // A SCRAM secret has two colons of its own.
    std::string password{take_field(line, ':')};
    if (password.starts_with("SCRAM-SHA-256$"))
      for (int i = 0; i < 2; ++i)
        password.append(":").append(take_field(line, ':'));
    auto groups = take_field(line, ':');
    if (name.empty())
      throw bad("the name is missing: write name:hash");
    if (auto fault = logins::stored_password::fault_of(password))
      throw bad(*fault);
    if (out.size() >= users_max)
      throw bad("more than 1000000 users: use another provider");
    out.push_back({std::string{name}, std::move(password), list_of(groups), list_of(line), std::move(totp)});
  }
  return out;
}

loaded_file read_user_file(const std::string& path) {
  descriptor in{path};
  struct stat info {};
  if (in.fd < 0 || fstat(in.fd, &info) != 0)
    fail_with_errno(path, "cannot open");
  if (!S_ISREG(info.st_mode) || static_cast<std::size_t>(info.st_size) > file_size_max)
    throw sdk::failure{HEDWIG_E_CONFIG, path + " is not a regular file of at most 256 MiB", "file"};
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    auto got = read(in.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      fail_with_errno(path, "cannot read");
    if (got == 0)
      break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return {parse_users(text, path), (info.st_mode & S_IROTH) != 0};
}

} // namespace hedwig::auth_static
