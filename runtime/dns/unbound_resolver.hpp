// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/clock.hpp"
#include "runtime/base/error.hpp"
#include "runtime/dns/resolver.hpp"
#include "runtime/telemetry/metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hedwig::dns {

enum class address_order : std::uint8_t { ipv6_first, ipv4_first, ipv4_only, ipv6_only };

struct resolver_settings {
  std::vector<std::string> servers; ///< "127.0.0.1:5353", "[::1]:53", "192.0.2.1"; empty: the system's
  address_order order = address_order::ipv6_first;
  std::chrono::milliseconds query_timeout{30'000};
  std::size_t outstanding_max = 500; ///< queries given to libunbound at a time
  std::size_t waiting_max = 20'000;  ///< queries that wait for their turn; above: overload
  std::size_t mx_cache_entries = 10'000;
  std::chrono::seconds ttl_max = std::chrono::hours{24}; ///< longer TTLs are cut
  std::size_t cache_bytes = std::size_t{16} << 20;       ///< libunbound's own caches, together
  telemetry::histogram* query_time =
      nullptr;                        ///< observes each query that the MX cache could not answer; outlives the resolver
  std::filesystem::path trust_anchor; ///< "/usr/share/dns/root.key" to validate DNSSEC; empty: no validation
};

struct resolver_stats {
  std::uint64_t queries = 0; ///< given to libunbound
  std::uint64_t mx_cache_hits = 0;
  std::uint64_t mx_cache_entries = 0;
  std::uint64_t outstanding = 0;
  std::uint64_t waiting = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t overloads = 0;
};

/// Longest time a negative answer stays in the MX cache.
inline constexpr std::chrono::seconds negative_ttl_max{900};

/// The resolver over libunbound, with two threads of its own (libunbound's, and one for callbacks and timeouts).
/// Callbacks must not throw.
class unbound_resolver final : public resolver {
public:
  /// HEDWIG_E_CONFIG when a server or the trust anchor is not usable; `clock` times the MX cache and outlives it.
  [[nodiscard]] static result<std::unique_ptr<unbound_resolver>> make(const resolver_settings& settings,
                                                                      clock& time = clock::system());
  ~unbound_resolver() override;
  unbound_resolver(const unbound_resolver&) = delete;
  unbound_resolver& operator=(const unbound_resolver&) = delete;

  void mx(std::string_view domain, mx_callback done) override;
  void addresses(std::string_view host, address_callback done) override;
  void records(std::string_view name, record_type type, record_callback done) override;
  [[nodiscard]] std::size_t remembered() const override;
  [[nodiscard]] resolver_stats stats() const;
  /// Forgets the MX cache. What libunbound keeps stays until its TTL ends; a new resolver starts with nothing.
  void clear_cache();

private:
  class impl;
  explicit unbound_resolver(std::unique_ptr<impl> made) noexcept;
  std::unique_ptr<impl> impl_;
};

} // namespace hedwig::dns
