// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/config/values.hpp"
#include "runtime/net/address.hpp"
#include "runtime/smtp/client_limits.hpp"
#include "runtime/smtp/reply.hpp"
#include "runtime/smtp/server_session.hpp"
#include "runtime/smtp/session_clock.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace hedwig::config {
struct server_settings;
}

namespace hedwig {

class relay_context;
struct relay_policy;

/// What a client may do. Immutable and shared.
struct client_rules {
  std::shared_ptr<const smtp::server_settings> protocol;
  std::array<smtp::counted_limits, smtp::counted_by_size> counted{}; ///< by counted_by; of sender_domain always none
  smtp::session_times times;

  [[nodiscard]] const smtp::counted_limits& of(smtp::counted_by by) const noexcept {
    return counted[static_cast<std::size_t>(by)];
  }
};

/// Those of a listener where no policy fits. `known`: the client lies in relay_from.
[[nodiscard]] std::shared_ptr<const client_rules>
make_client_rules(const config::server_settings& server, std::shared_ptr<const smtp::server_settings> protocol,
                  bool known);

/// A client that was looked at when it came. Where `refused` is set it must hear that and go, and nothing was counted.
struct client_admission {
  std::shared_ptr<const client_rules> rules;
  std::vector<smtp::counted> counted; ///< address, network, listener, as far as anything of them is limited
  const smtp::standard_reply* refused = nullptr;
};
/// Counts the connection where it is let in; client_limits::leave(counted) at its end. Any thread.
[[nodiscard]] client_admission admit_client(relay_context& relay, const relay_policy& policy, std::size_t listener,
                                            const net::address& client, bool known);

/// What messages from this domain may, by policies that fit the client.
[[nodiscard]] smtp::counted_limits sender_domain_limits(const relay_policy& policy, std::size_t listener,
                                                        const net::address& client, std::string_view domain);

/// Counts and, now and then, logs it.
void report_client_limit(relay_context& relay, std::string_view listener, std::string_view peer,
                         const smtp::client_limits::refusal& found);
[[nodiscard]] const smtp::standard_reply& client_limit_reply(smtp::counted_what what) noexcept;

} // namespace hedwig
