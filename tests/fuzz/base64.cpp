// SPDX-License-Identifier: Apache-2.0
// base64 is strict: a text that decodes is the only one that stands for its bytes. Input: the text, and bytes.
#include "runtime/smtp/command.hpp"
#include "runtime/smtp/sasl.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

void base64(std::string_view input) {
  if (auto bytes = smtp::decode_base64(input))
    demand(smtp::encode_base64(*bytes) == input, "a text that decodes is canonical");
  auto text = smtp::encode_base64(input);
  auto back = smtp::decode_base64(text);
  demand(back && *back == input, "bytes come back");
  if (auto name = smtp::detail::decode_saslname(input))
    demand(name->find('\0') == std::string::npos && name->size() <= input.size(),
           "a name has no NUL and does not grow");
  if (smtp::detail::is_sasl_name(input))
    demand(input.size() <= smtp::credential_octets_max, "names have their limit");
  if (auto octets = smtp::decode_xtext(input))
    demand(octets->size() <= input.size(), "xtext does not grow");
}

} // namespace hedwig::fuzz
