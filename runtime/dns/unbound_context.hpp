// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/base/error.hpp"
#include "runtime/dns/unbound_resolver.hpp"

#include <memory>
#include <optional>
#include <string_view>

struct ub_ctx;
struct ub_result;

namespace hedwig::dns {

struct delete_context {
  void operator()(ub_ctx* context) const noexcept;
};
using context_ptr = std::unique_ptr<ub_ctx, delete_context>;

/// A libunbound context as the settings want it, asynchronous with a thread of its own.
[[nodiscard]] result<context_ptr> make_context(const resolver_settings& settings);

/// The records of one look-up, still in wire format.
struct raw_answer {
  lookup_status status = lookup_status::servfail;
  std::vector<std::string> records;
  std::chrono::seconds ttl{0};
  bool secure = false;
  std::string why;
};

/// Copies what libunbound found, at most records_max records. `failure` is its error code, `found` may be null then.
[[nodiscard]] raw_answer copy_answer(int failure, const ub_result* found);

/// Preference and target of the wire format of an MX record; a byte that no host name holds comes as '?'.
/// nullopt when the record is broken.
[[nodiscard]] std::optional<mx_record> parse_mx(std::string_view wire);

/// The wire format of a record of `type`; nullopt when it is broken. Names are read as by parse_mx().
[[nodiscard]] std::optional<dns_record> parse_record(record_type type, std::string_view wire);

} // namespace hedwig::dns
