// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <sys/types.h>

#include "tests/component/auth_ldap/certificates.hpp"

namespace hedwig::test {

/// A folder that goes when the object does.
class scratch_folder {
public:
  scratch_folder();
  ~scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// Debian's slapd as a child, on ports of its own: ldap:// and, with a certificate, ldaps:// and StartTLS.
///
/// Below dc=example,dc=com: ou=people with the test's users (see slapd.cpp), ou=groups, and cn=service (password
/// "service secret"), who alone may search.
class slapd {
public:
  struct options {
    std::optional<authority::pair> tls;
    std::size_t many_users = 0; ///< user0, user1... besides, each with the password "secret of" its name
  };
  explicit slapd(options with);
  ~slapd();
  slapd(const slapd&) = delete;
  slapd& operator=(const slapd&) = delete;

  std::uint16_t port() const { return port_; }
  std::uint16_t tls_port() const { return tls_port_; }
  std::string url() const { return "ldap://127.0.0.1:" + std::to_string(port_); }
  std::string tls_url() const { return "ldaps://127.0.0.1:" + std::to_string(tls_port_); }

  void start();
  void kill();

private:
  void write_config(const options& with) const;
  void load(const std::string& ldif) const;

  scratch_folder folder_;
  std::uint16_t port_ = 0;
  std::uint16_t tls_port_ = 0;
  pid_t child_ = -1;
};

} // namespace hedwig::test
