// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"
#include "runtime/net/address.hpp"
#include "runtime/net/loop.hpp"
#include "runtime/net/stream.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace hedwig::net {

/// Owns a file descriptor.
class descriptor {
public:
  descriptor() noexcept = default;
  explicit descriptor(int fd) noexcept : fd_{fd} {}
  descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~descriptor() { reset(); }
  void reset() noexcept;
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

private:
  int fd_ = -1;
};

/// The addresses of both ends; the unspecified address where the kernel gives none.
[[nodiscard]] address local_address(int fd) noexcept;
/// What the kernel holds against the socket, and forgets with this call; 0 for nothing.
[[nodiscard]] int pending_error(int fd) noexcept;
void set_no_delay(int fd) noexcept;
/// The next close() sends RST and drops what is pending.
void set_reset_on_close(int fd) noexcept;

[[nodiscard]] result<descriptor> open_listener(const address& at, const listen_options& options);
/// A socket whose connection attempt is under way.
[[nodiscard]] result<descriptor> open_connection(const address& to, const std::optional<address>& source);

/// An accepted connection of the kernel.
class socket_connection final : public connection {
public:
  socket_connection(descriptor socket, const address& peer, const address& local) noexcept
    : socket_{std::move(socket)}, peer_{peer}, local_{local} {}
  [[nodiscard]] const address& peer() const noexcept override { return peer_; }
  [[nodiscard]] const address& local() const noexcept override { return local_; }
  void refuse(std::string_view text) override;
  [[nodiscard]] bool has_input() const noexcept override;
  [[nodiscard]] descriptor take_socket() noexcept { return std::move(socket_); }

private:
  descriptor socket_;
  address peer_;
  address local_;
};

} // namespace hedwig::net
