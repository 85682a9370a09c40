// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/relay_sim_dns.hpp"

#include <utility>

namespace hedwig::sim {

dns::lookup_status sim_dns::some_failure() {
  constexpr dns::lookup_status all[] = {dns::lookup_status::servfail, dns::lookup_status::timeout,
                                        dns::lookup_status::bogus, dns::lookup_status::overload};
  return all[world_.random(std::size(all))];
}

void sim_dns::step() {
  auto at = asked_.begin() + static_cast<std::ptrdiff_t>(world_.random(asked_.size()));
  auto question = std::move(*at);
  asked_.erase(at);
  std::visit([this](auto& which) { answer(which); }, question);
}

void sim_dns::answer(mx_question& question) {
  auto found = mail_hosts_.find(question.domain);
  dns::mx_answer made{.status = dns::lookup_status::ok, .records = {}, .ttl = some_ttl(), .secure = false, .why = {}};
  if (world_.chance(failing_))
    made.status = some_failure();
  else if (found != mail_hosts_.end() && !found->second.empty())
    made.records = found->second;
  else
    made.status = found != mail_hosts_.end() || addresses_.contains(question.domain) ? dns::lookup_status::no_data
                                                                                     : dns::lookup_status::nxdomain;
  question.done(std::move(made));
}

void sim_dns::answer(address_question& question) {
  auto found = addresses_.find(question.host);
  dns::address_answer made{
      .status = dns::lookup_status::ok, .addresses = {}, .ttl = some_ttl(), .secure = false, .why = {}};
  if (world_.chance(failing_))
    made.status = some_failure();
  else if (found == addresses_.end())
    made.status = dns::lookup_status::nxdomain;
  else
    made.addresses = found->second;
  question.done(std::move(made));
}

} // namespace hedwig::sim
