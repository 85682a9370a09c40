// SPDX-License-Identifier: Apache-2.0
// Shows the signer to foreign judges:
//   dkim_sign_for_test sign DOMAIN SELECTOR=KEYFILE... < message   prints the DKIM-Signature fields
//   dkim_sign_for_test key KEYFILE                                  prints the TXT value and warnings, or why not
//   dkim_sign_for_test generate rsa|ed25519                         prints PEM and TXT value
//   dkim_sign_for_test cost rsa|ed25519 BODY_BYTES                  prints microseconds a signature
#include "runtime/dkim/signer.hpp"

#include <fmt/format.h>

#include <iostream>
#include <iterator>

namespace {

using namespace hedwig;

int fail(const error& why) {
  std::cout << why.text() << '\n';
  return 1;
}

int sign(int argc, char** argv) {
  std::vector<dkim::signer_settings> settings;
  for (int i = 3; i < argc; ++i) {
    std::string_view pair = argv[i];
    auto equals = pair.find('=');
    std::vector<std::string> warnings;
    auto key = dkim::signing_key::load(pair.substr(equals + 1), warnings);
    if (!key)
      return fail(key.error());
    settings.push_back({argv[2], std::string{pair.substr(0, equals)}, *key, {}, {}});
  }
  auto by = dkim::signer::make(std::move(settings));
  if (!by)
    return fail(by.error());
  std::string text{std::istreambuf_iterator<char>{std::cin}, {}};
  rope message;
  for (std::size_t at = 0; at < text.size(); at += 1021) // a prime: slices end anywhere
    message.append_copy(std::string_view{text}.substr(at, 1021));
  auto fields = by->sign(message, std::vector<std::string>{argv[2]}, "", clock::system().wall());
  if (!fields)
    return fail(fields.error());
  std::cout << *fields;
  return 0;
}

int show_key(const char* file) {
  std::vector<std::string> warnings;
  auto key = dkim::signing_key::load(file, warnings);
  if (!key)
    return fail(key.error());
  std::cout << dkim::dns_value(*key) << '\n';
  for (auto& warning : warnings)
    std::cout << "warning: " << warning << '\n';
  return 0;
}

int generate(const char* type) {
  auto key = dkim::signing_key::generate(*dkim::parse_key_type(type));
  std::cout << key.private_pem() << dkim::dns_value(key) << '\n';
  return 0;
}

int cost(const char* type, std::size_t body) {
  auto by = dkim::signer::make({{"a.test", "s", dkim::signing_key::generate(*dkim::parse_key_type(type)), {}, {}}});
  std::string text = "From: x@a.test\r\nTo: y@b.test\r\nSubject: hello\r\nDate: now\r\nMessage-ID: <1@a.test>\r\n\r\n";
  while (text.size() < body)
    text += "The quick brown fox jumps over the lazy dog, and does so once again.\r\n";
  rope message;
  message.append_copy(text);
  constexpr int rounds = 200;
  auto began = clock::system().steady();
  for (int i = 0; i < rounds; ++i)
    if (!by->sign(message, std::vector<std::string>{"a.test"}, "", clock::system().wall()))
      return 1;
  std::chrono::duration<double, std::micro> spent = clock::system().steady() - began;
  std::cout << fmt::format("{} {} bytes: {:.1f} us a message\n", type, body, spent.count() / rounds);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string_view command = argc > 2 ? argv[1] : "";
  if (command == "sign" && argc > 3)
    return sign(argc, argv);
  if (command == "key")
    return show_key(argv[2]);
  if (command == "generate")
    return generate(argv[2]);
  if (command == "cost" && argc > 3)
    return cost(argv[2], std::stoul(argv[3]));
  return 2;
}
