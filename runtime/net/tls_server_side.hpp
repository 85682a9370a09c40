// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/tls.hpp"
#include "runtime/net/tls_certificate.hpp"
#include "runtime/net/tls_tickets.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hedwig::net {

/// Which set of certificates answers to a name. Sets are numbered; 0 is the default one.
class tls_server_names {
public:
  /// `names[i]`: those of certificate i, lower case, wildcards as "*.example.test"; `kinds[i]`: its key's. Certificate
  /// 0 is the default.
  tls_server_names(const std::vector<std::vector<std::string>>& names, const std::vector<std::string>& kinds);

  /// Certificates of each set, the preferred first.
  [[nodiscard]] const std::vector<std::vector<std::size_t>>& sets() const noexcept { return sets_; }
  /// The name itself, else a wildcard for its first label, else 0. Any case.
  [[nodiscard]] std::size_t find(std::string_view name) const;

private:
  [[nodiscard]] std::size_t number_of(std::vector<std::size_t> set);

  std::vector<std::vector<std::size_t>> sets_;
  std::map<std::vector<std::size_t>, std::size_t> numbers_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

/// What a server's context has beside its SSL_CTX, which is that of the default set and refers to this.
struct tls_context::server_side {
  std::optional<tls_server_names> names;
  std::vector<ssl_ctx_ptr> further; ///< of the sets from 1 on
  std::set<std::string> fingerprints;
  bool certificate_required = false;
  std::shared_ptr<tls_ticket_keys> tickets;
};

} // namespace hedwig::net
