// SPDX-License-Identifier: Apache-2.0
#include "actors/signer.hpp"

#include "runtime/telemetry/log.hpp"

namespace hedwig {

using telemetry::component;
using telemetry::level;

caf::behavior signer::make_behavior() {
  set_state("ready");
  return {[this](const sign_work& work) { sign(work); }, [this](const body_loaded& part) { on_body(part); },
          [this](const rewire& fresh) { on_rewire(fresh); }};
}

void signer::on_exit() {
  spooler_ = nullptr;
  readings_.clear();
}

void signer::on_rewire(const rewire& fresh) {
  spooler_ = fresh.handles->spooler;
  for (auto& [number, one] : readings_)
    if (!one.asked)
      read_on(number, one); // came before we knew whom to ask
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
  auto& message = *work.message;
  if (!message.body) {
    auto& fresh = readings_.emplace(++last_reading_, reading{.work = work, .digest = {}}).first->second;
    if (spooler_)
      read_on(last_reading_, fresh);
    return;
  }
  auto begin = relay().time.steady();
  auto fields = relay().policy()->signer.sign(*message.body, message.from_domains,
                                              queue::domain_of(message.envelope.reverse_path), relay().time.wall());
  finish(work, std::move(fields), std::chrono::duration<double>(relay().time.steady() - begin).count());
}

void signer::read_on(std::uint64_t number, reading& of) {
  of.asked = true;
  auto& message = *of.work.message;
  send(spooler_, load_body{.id = message.id,
                           .reply_to = caf::actor_cast<caf::actor>(this),
                           .token = number,
                           .offset = of.done,
                           .length = relay().policy()->body_part()});
}

void signer::on_body(const body_loaded& part) {
  auto found = readings_.find(part.token);
  if (found == readings_.end())
    return;
  auto& of = found->second;
  if (!part.body) {
    send(of.work.reply_to, work_signed{of.work.number, {}, part.status});
    readings_.erase(found);
    return;
  }
  auto begin = relay().time.steady();
  of.digest.add(*part.body);
  of.done += part.body->size();
  auto spent = [&] { return std::chrono::duration<double>(relay().time.steady() - begin).count(); };
  of.seconds += spent();
  if (of.done < of.work.message->size) {
    read_on(part.token, of);
    return;
  }
  auto last = std::move(found->second);
  readings_.erase(found);
  auto& message = *last.work.message;
  begin = relay().time.steady();
  auto fields = relay().policy()->signer.sign(std::move(last.digest), message.from_domains,
                                              queue::domain_of(message.envelope.reverse_path), relay().time.wall());
  finish(last.work, std::move(fields), last.seconds + spent());
}

void signer::finish(const sign_work& work, result<std::string> fields, double spent) {
  auto& message = *work.message;
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
