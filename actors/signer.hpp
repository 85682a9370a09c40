// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "actors/messages.hpp"
#include "actors/observed_actor.hpp"
#include "runtime/dkim/signer.hpp"

#include <map>

namespace hedwig {

/// Signs one message once for all its destinations and gives the signature back. A message that is not in memory is
/// read for that, part by part. One of a pool.
class signer final : public observed_actor {
public:
  signer(caf::actor_config& config, relay_context& context, const actor_place& place)
    : observed_actor{config, context, "signer", place} {}

private:
  /// A message that is not in memory, as far as it was read.
  struct reading {
    sign_work work;
    dkim::message_digest digest;
    std::uint64_t done = 0;
    double seconds = 0; ///< spent on it
    bool asked = false; ///< for the first part
  };

  caf::behavior make_behavior() override;
  void on_exit() override;
  void on_rewire(const rewire& fresh);
  void on_body(const body_loaded& part);
  void sign(const sign_work& work);
  void read_on(std::uint64_t number, reading& of);
  void finish(const sign_work& work, result<std::string> fields, double spent);
  void count_signatures(std::string_view fields);

  caf::actor spooler_;
  std::map<std::uint64_t, reading> readings_; ///< by a number of our own; bounded by the active messages
  std::uint64_t last_reading_ = 0;
  telemetry::counter* rsa_ = nullptr; ///< looked up once
  telemetry::counter* ed25519_ = nullptr;
};

} // namespace hedwig
