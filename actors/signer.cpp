// SPDX-License-Identifier: Apache-2.0
#include "actors/signer.hpp"

#include "runtime/telemetry/log.hpp"

namespace hedwig {

using telemetry::component;
using telemetry::level;

caf::behavior signer::make_behavior() {
  set_state("ready");
  return {[this](const sign_work& work) { sign(work); }};
}

void signer::count_signatures(std::string_view fields) {
  constexpr std::string_view tag = " a=";
  for (auto at = fields.find(tag); at != std::string_view::npos; at = fields.find(tag, at)) {
    at += tag.size();
    auto algorithm = fields.substr(at, std::min(fields.find(';', at), fields.size()) - at);
    auto& known = algorithm == "rsa-sha256" ? rsa_ : ed25519_;
    if (known == nullptr)
      known = &relay().counts.signatures(algorithm, "signed");
    known->add();
  }
}

void signer::sign(const sign_work& work) {
  auto policy = relay().policy();
  auto& message = *work.message;
  auto begin = relay().time.steady();
  auto fields = policy->signer.sign(*message.body, message.from_domains,
                                    queue::domain_of(message.envelope.reverse_path), relay().time.wall());
  auto spent = std::chrono::duration<double>(relay().time.steady() - begin).count();
  relay().counts.signing_latency.observe(spent);
  slice signature;
  if (fields) {
    signature = slice::copy_of(*fields);
    count_signatures(*fields);
    telemetry::log(
        level::debug, component::signer, {"message.signed", "signed with DKIM"},
        {{"id", message.id.text()}, {"signer", message.from_domains.empty() ? "" : message.from_domains[0]}});
  } else {
    // A message that cannot be signed (no From, a header beyond the limits) is still mail: it goes unsigned.
    relay().counts.signatures("none", "failed").add();
    telemetry::log(level::warn, component::signer, {"message.unsigned", "could not be signed and goes out unsigned"},
                   {{"id", message.id.text()}, {"error", fields.error().text()}});
  }
  send(work.reply_to, work_signed{work.number, std::move(signature)});
}

} // namespace hedwig
