// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/dns/resolver.hpp"
#include "tests/sim/network/sim_world.hpp"

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace hedwig::sim {

/// A DNS whose answers are steps of the world. Knows the zones it was given; everything else does not exist.
class sim_dns final : public dns::resolver {
public:
  explicit sim_dns(sim_world& world) : world_{world} {}

  void add_domain(const std::string& domain, std::vector<dns::mx_record> hosts) {
    mail_hosts_[domain] = std::move(hosts);
  }
  void add_host(const std::string& name, std::vector<dns::ip_address> addresses) {
    addresses_[name] = std::move(addresses);
  }
  /// How likely a look-up ends with a temporary failure.
  void set_failing(double probability) noexcept { failing_ = probability; }

  void mx(std::string_view domain, dns::mx_callback done) override {
    asked_.push_back(mx_question{std::string{domain}, std::move(done)});
  }
  void addresses(std::string_view host, dns::address_callback done) override {
    asked_.push_back(address_question{std::string{host}, std::move(done)});
  }

  [[nodiscard]] std::size_t ready() const noexcept { return asked_.size(); }
  /// Answers one question, in any order.
  void step();
  /// The relay died: nobody waits any more.
  void forget() { asked_.clear(); }

private:
  struct mx_question {
    std::string domain;
    dns::mx_callback done;
  };
  struct address_question {
    std::string host;
    dns::address_callback done;
  };
  [[nodiscard]] std::chrono::seconds some_ttl() { return std::chrono::seconds{world_.random(600)}; }
  [[nodiscard]] dns::lookup_status some_failure();
  void answer(mx_question& question);
  void answer(address_question& question);

  sim_world& world_;
  double failing_ = 0;
  std::map<std::string, std::vector<dns::mx_record>, std::less<>> mail_hosts_;
  std::map<std::string, std::vector<dns::ip_address>, std::less<>> addresses_;
  std::vector<std::variant<mx_question, address_question>> asked_;
};

} // namespace hedwig::sim
