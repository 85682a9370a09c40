// SPDX-License-Identifier: Apache-2.0
// Tests of the filter with a host that is not there: its clock stands still, its DNS says what a test wrote.
#include <hedwig/testing.hpp>

namespace {

using namespace hedwig::sdk::testing;

const hedwig_provider& mine() { return provider_of(load(HEDWIG_PLUGIN_FILE), "mine"); }

void refuses_a_word(mock_host& host) {
  instance filter{host, mine(), {{"words", strings{"Lottery"}}}};
  session client{filter};
  HEDWIG_EXPECT(client.mail("a@example.org")->passes());
  auto said = client.message("From: a@example.org\nSubject: The LOTTERY\n\nYou have won.\n");
  HEDWIG_EXPECT(said.action == HEDWIG_REJECT && said.enhanced_code == "5.7.1");
  HEDWIG_EXPECT(host.logged("a message was refused word=lottery"));
  HEDWIG_EXPECT(host.metric("refused_total") == 1);
}

void marks_the_rest(mock_host& host) {
  instance filter{host, mine(), {{"words", strings{"lottery"}}, {"mark", "X-Seen"}}};
  session client{filter};
  auto said = client.message("Subject: Lunch\n\nAt noon?\n");
  HEDWIG_EXPECT(said.passes() && said.edits.size() == 1 && said.edits[0].name == "X-Seen");
}

void forgets_between_messages(mock_host& host) {
  instance filter{host, mine(), {{"words", strings{"lottery"}}}};
  session client{filter};
  HEDWIG_EXPECT(client.message("Subject: lottery\n\n").action == HEDWIG_REJECT);
  HEDWIG_EXPECT(client.mail("a@example.org")->passes());
  HEDWIG_EXPECT(client.message("To: b@example.org\n\n").passes());
}

} // namespace

int main() {
  return run_tests({{"refuses a word", refuses_a_word},
                    {"marks the rest", marks_the_rest},
                    {"forgets between messages", forgets_between_messages}});
}
