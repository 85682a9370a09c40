// SPDX-License-Identifier: Apache-2.0
#include "app/dkim_generate.hpp"

#include "runtime/config/values.hpp"
#include "runtime/dkim/key.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

namespace hedwig::app {

namespace {

result<void> write_new_file(const std::string& path, std::string_view text) {
  auto fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return std::unexpected{system_error(errno, "create " + path)};
  auto written = ::write(fd, text.data(), text.size());
  auto synced = ::fsync(fd);
  auto saved = errno;
  ::close(fd);
  if (written != static_cast<ssize_t>(text.size()) || synced != 0)
    return std::unexpected{system_error(saved, "write " + path)};
  return {};
}

int refuse(const std::string& why, int status) {
  std::cerr << "hedwig dkim-generate: " << why << '\n';
  return status;
}

} // namespace

int dkim_generate(const command_line& wanted) {
  if (wanted.domain.empty() || wanted.selector.empty())
    return refuse("which key? Write --domain example.com --selector s1", exit_usage);
  auto domain = config::parse_hostname(wanted.domain);
  auto selector = config::parse_hostname(wanted.selector);
  if (!domain || !selector)
    return refuse(!domain ? "--domain " + config::quoted(wanted.domain) + " " + domain.error()
                          : "--selector " + config::quoted(wanted.selector) + " " + selector.error(),
                  exit_usage);
  auto type = dkim::parse_key_type(wanted.key_type.empty() ? "rsa" : wanted.key_type);
  if (!type)
    return refuse(type.error().text(), exit_usage);
  auto path = wanted.private_key.empty() ? *selector + "." + *domain + ".pem" : wanted.private_key;
  auto key = dkim::signing_key::generate(*type);
  if (auto written = write_new_file(path, key.private_pem()); !written)
    return refuse(written.error().text() +
                      (written.error().os_errno == EEXIST ? ": name another file, or move it away" : ""),
                  exit_failed);
  std::cout << "Private key: " << path
            << " (mode 0600)\n\nPut this into the configuration:\n\n[[server.dkim]]\ndomain = \"" << *domain
            << "\"\nselector = \"" << *selector << "\"\nprivate_key = \"" << path << "\"\nkey_type = \""
            << dkim::to_string_view(*type) << "\"\n\nPublish this record, then reload the relay:\n\n"
            << dkim::dns_record(key, *selector, *domain) << "\n";
  return exit_ok;
}

} // namespace hedwig::app
