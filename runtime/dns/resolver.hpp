// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/dns/ip_address.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hedwig::dns {

/// How a look-up ended. Permanent ones are facts of the DNS; temporary ones are worth another try.
enum class lookup_status : std::uint8_t {
  ok,
  nxdomain,     ///< permanent: the name does not exist
  no_data,      ///< permanent: it exists, without such records
  null_mx,      ///< permanent: MX only; RFC 7505, takes no mail
  invalid_name, ///< permanent: not a domain name that DNS could carry
  servfail,     ///< temporary: a server failed, or refused
  timeout,      ///< temporary: no answer in time
  bogus,        ///< temporary: DNSSEC validation failed
  overload      ///< temporary: our own limit of look-ups waiting is reached
};

[[nodiscard]] bool is_temporary(lookup_status status) noexcept;
/// "ok", "nxdomain", "no data", "null mx", ...
[[nodiscard]] std::string_view to_string_view(lookup_status status) noexcept;

/// Names are lower case, without the trailing dot.
struct mx_record {
  std::uint16_t preference = 0;
  std::string host;

  friend auto operator<=>(const mx_record&, const mx_record&) = default;
};

struct mx_answer {
  lookup_status status = lookup_status::servfail;
  std::vector<mx_record> records; ///< in the answer's order, at most records_max; only when ok
  std::chrono::seconds ttl{0};
  bool secure = false; ///< DNSSEC-validated
  std::string why;     ///< for the log when not ok: "SERVFAIL", "no answer within 30 s"
};

struct address_answer {
  lookup_status status = lookup_status::servfail;
  std::vector<ip_address> addresses; ///< at most records_max, in the order of the address_order chosen; only when ok
  std::chrono::seconds ttl{0};
  bool secure = false;
  std::string why;
};

/// The types that records() looks up, by their numbers in the DNS.
enum class record_type : std::uint16_t { a = 1, ptr = 12, mx = 15, txt = 16, aaaa = 28 };

struct dns_record {
  std::uint16_t preference = 0; ///< of an MX
  /// A, AAAA: 4 or 16 bytes in network order. MX, PTR: the name, lower case, without the trailing dot, "" for the root.
  /// TXT: its strings joined, any bytes.
  std::string value;

  friend auto operator<=>(const dns_record&, const dns_record&) = default;
};

struct record_answer {
  lookup_status status = lookup_status::servfail; ///< never null_mx
  std::vector<dns_record> records;                ///< in the answer's order, at most records_max; only when ok
  std::chrono::seconds ttl{0};
  bool secure = false;
  std::string why;
};

/// Most records taken from one answer; the rest is dropped.
inline constexpr std::size_t records_max = 64;

using mx_callback = std::function<void(mx_answer)>;
using address_callback = std::function<void(address_answer)>;
using record_callback = std::function<void(record_answer)>;

/// Asks the DNS without blocking. Each callback is called exactly once, on any thread, and from within the call itself
/// when the answer is known already; it must not block. An actor's callback sends the actor a message, nothing more.
/// After the resolver is destroyed no callback is called any more. All methods may be called by every thread.
class resolver {
public:
  virtual ~resolver() = default;
  /// MX records of `domain` (any case, trailing dot allowed). CNAMEs are followed.
  virtual void mx(std::string_view domain, mx_callback done) = 0;
  /// A and AAAA records of `host`, merged: ok when either has one; temporary when neither has and either failed so.
  virtual void addresses(std::string_view host, address_callback done) = 0;
  /// Records of one type at `name` (any case, trailing dot allowed). CNAMEs are followed. This class answers servfail.
  virtual void records(std::string_view name, record_type type, record_callback done);
  /// Answers that it remembers.
  [[nodiscard]] virtual std::size_t remembered() const { return 0; }
};

} // namespace hedwig::dns
