// SPDX-License-Identifier: Apache-2.0
// The examples in C, C++ and Rust, as their authors would test them: with the mock host.
#include <hedwig/testing.hpp>

namespace {

using namespace hedwig::sdk::testing;
namespace sdk = hedwig::sdk;

const hedwig_provider& example(const char* file, const char* name) {
  return provider_of(load(std::string{HEDWIG_EXAMPLES} + file), name);
}

settings users() { return {{"user", tables{{{"name", "alice"}, {"password", "in wonderland"}}}}}; }

void auth_knows_its_users(mock_host& host) {
  instance owner{host, example("auth-example.so", "example"), users()};
  HEDWIG_EXPECT(host.logged("users loaded count=1"));
  auth users{owner};
  auto yes = users.verify_password("alice", "in wonderland");
  HEDWIG_EXPECT(yes->status == HEDWIG_OK && yes->identity == "alice" && yes->groups == strings{"submitters"});
  HEDWIG_EXPECT(users.verify_password("alice", "wrong")->status == HEDWIG_E_DENIED);
  HEDWIG_EXPECT(users.verify_password("bob", "x")->status == HEDWIG_E_NOT_FOUND);
}

void auth_refuses_settings(mock_host& host) {
  try {
    instance twice{host,
                   example("auth-example.so", "example"),
                   {{"user", tables{{{"name", "a"}, {"password", "1"}}, {{"name", "a"}, {"password", "2"}}}}}};
  } catch (const sdk::failure& e) {
    HEDWIG_EXPECT(e.status() == HEDWIG_E_CONFIG && e.where() == "user.name");
    try {
      instance none{host, example("auth-example.so", "example"), {}};
    } catch (const std::invalid_argument& missing) {
      HEDWIG_EXPECT(std::string_view{missing.what()} == "user: required");
      return;
    }
  }
  HEDWIG_EXPECT(false);
}

void filter_in_c_refuses_recipients(mock_host& host) {
  instance owner{host, example("filter-invalid-domain.so", "invalid-domain")};
  session client{owner};
  HEDWIG_EXPECT(client.mail("a@example.org")->passes());
  HEDWIG_EXPECT(client.recipient("b@example.org")->passes());
  auto no = client.recipient("b@some.invalid");
  HEDWIG_EXPECT(no->action == HEDWIG_REJECT && no->enhanced_code == "5.1.2");
}

void filter_counts_per_session(mock_host& host) {
  instance owner{host, example("filter-recipient-limit.so", "recipient-limit"), {{"limit", 1}}};
  session first{owner}, second{owner};
  HEDWIG_EXPECT(first.recipient("b@example.org")->passes());
  HEDWIG_EXPECT(first.recipient("c@example.org")->action == HEDWIG_TEMPFAIL);
  HEDWIG_EXPECT(second.recipient("b@example.org")->passes());
  auto said = second.message("Subject: x\n\nbody\n");
  HEDWIG_EXPECT(said.edits.size() == 1 && said.edits[0].name == "X-Recipient-Count" && said.edits[0].value == "1");
}

#ifdef HEDWIG_HAS_RUST
void filter_in_rust_refuses_senders(mock_host& host) {
  instance owner{host, example("filter-blocked-sender.so", "blocked-sender"), {{"domains", strings{"Spam.example"}}}};
  session client{owner};
  HEDWIG_EXPECT(client.mail("a@spam.EXAMPLE")->action == HEDWIG_REJECT);
  HEDWIG_EXPECT(client.mail("a@mail.spam.example")->action == HEDWIG_REJECT);
  HEDWIG_EXPECT(client.mail("a@notspam.example")->passes());
  auto said = client.message("Subject: x\n\nbody\n");
  HEDWIG_EXPECT(said.edits.size() == 1 && said.edits[0].value == "passed 1 domains");
}
#endif

} // namespace

int main() {
  return run_tests({
      {"auth knows its users", auth_knows_its_users},
      {"auth refuses settings, and names the key", auth_refuses_settings},
      {"a filter in C refuses recipients", filter_in_c_refuses_recipients},
      {"a filter in C++ counts per session", filter_counts_per_session},
#ifdef HEDWIG_HAS_RUST
      {"a filter in Rust refuses senders", filter_in_rust_refuses_senders},
#endif
  });
}
