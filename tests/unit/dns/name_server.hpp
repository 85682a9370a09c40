// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>

namespace hedwig::dns {

/// An nsd on a free loopback port, with the zone "example.test." as given and "broken.test." that answers SERVFAIL.
/// Ends with the object. Throws when nsd does not answer in ten seconds.
class name_server {
public:
  explicit name_server(const std::string& zone);
  ~name_server();
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;

  /// "127.0.0.1:34567"
  [[nodiscard]] std::string address() const;

private:
  void start();
  [[nodiscard]] bool answers() const;

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

/// A UDP socket on loopback that never answers.
class silent_server {
public:
  silent_server();
  ~silent_server();
  silent_server(const silent_server&) = delete;
  silent_server& operator=(const silent_server&) = delete;
  [[nodiscard]] std::string address() const;

private:
  std::uint16_t port_ = 0; // first: making the socket sets it
  int socket_ = -1;
};

} // namespace hedwig::dns
