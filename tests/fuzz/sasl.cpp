// SPDX-License-Identifier: Apache-2.0
// SASL exchanges. Input: mechanism and channel binding, then the client's responses (see parts_of()); an event `n` in
// front of the first one says that there was no initial response.
#include "runtime/smtp/sasl.hpp"
#include "runtime/smtp/sasl_scram.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <array>

namespace hedwig::fuzz {

namespace {

constexpr int responses_max = 8;

void check_name(std::string_view name) {
  demand(name.size() <= smtp::credential_octets_max, "names have their limit");
  for (auto c : name)
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in a name");
}

/// What follows is what the client would be told; false at the end of the exchange.
class sasl_owner {
public:
  sasl_owner(smtp::sasl_exchange& exchange, std::uint8_t options) : exchange_{exchange}, options_{options} {}

  bool goes_on(smtp::sasl_step step) {
    return std::visit([this](auto& what) { return on(what); }, step);
  }

private:
  bool on(smtp::sasl_challenge& what) {
    demand(what.text.size() <= 2 * smtp::scram_message_octets_max, "a challenge has its limit");
    return true;
  }
  bool on(smtp::credentials& who) {
    check_name(who.username);
    check_name(who.authorize_as);
    demand(who.password.view().size() <= smtp::token_octets_max, "secrets have their limit");
    if (who.question != smtp::sasl_question::scram) {
      demand(!who.password.view().empty(), "no question without a secret");
      return exchange_.failure_notice().has_value();
    }
    return goes_on(exchange_.keys_found(smtp::scram_pretender{"secret"}.keys_for(who.username),
                                        (options_ & 64) != 0 ? "bound" : ""));
  }
  bool on(smtp::sasl_proved&) {
    demand(false, "nobody proves to know the secret of a user who does not exist");
    return false;
  }
  bool on(smtp::sasl_refused& what) {
    check_name(what.username);
    return false;
  }
  bool on(smtp::sasl_heard&) { return false; }
  bool on(smtp::sasl_malformed&) { return false; }

  smtp::sasl_exchange& exchange_;
  std::uint8_t options_;
};

} // namespace

void sasl(std::string_view input) {
  static constexpr std::array mechanisms{"PLAIN",       "LOGIN",  "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                                         "OAUTHBEARER", "XOAUTH2"};
  auto options = take_octet(input);
  smtp::sasl_scene scene{.offers_channel_binding = (options & 128) != 0,
                         .make_nonce = [] { return std::string{"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"}; }};
  auto exchange = smtp::make_sasl_exchange(mechanisms[(options & 63) % mechanisms.size()], scene);
  demand(exchange != nullptr, "the mechanism is known");
  sasl_owner owner{*exchange, options};
  auto parts = parts_of(input);
  if (parts[0].event == 'n' && !owner.goes_on(exchange->step(std::nullopt)))
    return;
  int seen = 0;
  for (auto& part : parts) {
    if (part.event == 'n')
      continue;
    demand(++seen <= responses_max || seen > 1, "counted");
    if (!owner.goes_on(exchange->step(part.bytes)))
      return;
    demand(seen < responses_max, "an exchange comes to an end");
  }
}

} // namespace hedwig::fuzz
