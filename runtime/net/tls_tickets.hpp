// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"

#include <openssl/ssl.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

namespace hedwig::net {

/// What session tickets (RFC 5077, RFC 8446 section 4.6.1) are sealed with. One for all listeners, loops and reloads of
/// a process; never written anywhere. A key seals for one interval and opens for one more, then it is overwritten: who
/// takes the process' memory later cannot read what was sent before. Any thread.
class tls_ticket_keys {
public:
  static constexpr std::size_t name_octets = 16; // RFC 5077, section 4
  static constexpr std::size_t secret_octets = 32;
  using name_view = std::span<const unsigned char, name_octets>;

  struct key {
    std::array<unsigned char, name_octets> name{};
    std::array<unsigned char, secret_octets> cipher{};
    std::array<unsigned char, secret_octets> mac{};
    ~key();
  };
  struct opening {
    std::shared_ptr<const key> with;
    bool renew = false; ///< an older key: the client is to get a new ticket
  };

  /// `time` outlives this. `interval` 0: no tickets.
  tls_ticket_keys(hedwig::clock& time, std::chrono::nanoseconds interval);

  void set_interval(std::chrono::nanoseconds interval);
  [[nodiscard]] std::chrono::nanoseconds interval() const;

  /// What seals now; null: the system gives no randomness.
  [[nodiscard]] std::shared_ptr<const key> sealing();
  [[nodiscard]] std::optional<opening> find(name_view name);
  /// Drops what is too old also where nobody connects.
  void look();

  /// Keys made since the start.
  [[nodiscard]] std::uint64_t made() const noexcept { return made_.load(std::memory_order_relaxed); }

  /// For SSL_CTX_set_tlsext_ticket_key_evp_cb, and what it returns.
  static constexpr int failed = -1, unknown = 0, good = 1, good_but_renew = 2;
  [[nodiscard]] int arm(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal);

private:
  void rotate_when_due();

  hedwig::clock& time_;
  mutable std::mutex mutex_;
  std::chrono::nanoseconds interval_;
  std::shared_ptr<const key> current_;
  std::shared_ptr<const key> previous_;
  steady_time current_since_{};
  std::atomic<std::uint64_t> made_{0};
};

} // namespace hedwig::net
