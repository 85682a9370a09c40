// SPDX-License-Identifier: Apache-2.0
// A filter that blocks, so that the host asks it on a thread of its own and every answer comes later. It marks what it
// lets through, asks no more of mail for accepted@*, and refuses mail of refused@* at the end and for refused@*, and
// the users "refused" and "ended".
#include <hedwig/hedwig.hpp>

#include <string_view>

namespace {

class later_filter {
public:
  later_filter(hedwig::sdk::host, const hedwig::sdk::config&) {}

  class session {
  public:
    session(later_filter&, const hedwig_filter_session&) {}

    hedwig::sdk::verdict on_auth(const hedwig_filter_session& shown) {
      auto user = hedwig::sdk::view(shown.identity);
      if (user == "ended")
        return {HEDWIG_DISCONNECT, {}, "not you"};
      return user == "refused" ? hedwig::sdk::verdict{HEDWIG_REJECT, "5.7.1", "not you"} : hedwig::sdk::verdict{};
    }

    hedwig::sdk::verdict on_recipient(const hedwig_filter_address& to) {
      if (hedwig::sdk::view(to.address).starts_with("refused@"))
        return {HEDWIG_REJECT, "5.7.1", "not to them"};
      if (hedwig::sdk::view(to.address).starts_with("accepted@"))
        return {HEDWIG_ACCEPT};
      return {};
    }

    hedwig::sdk::verdict on_end(const hedwig_filter_message& message) {
      if (hedwig::sdk::view(message.sender).starts_with("refused@"))
        return {HEDWIG_REJECT, "5.7.1", "not from them"};
      return {HEDWIG_CONTINUE, {}, {}, {{HEDWIG_EDIT_ADD_HEADER, "X-Later", "seen"}}};
    }
  };
};

constexpr auto provider =
    hedwig::sdk::filter_provider<later_filter>::make("later", "Answers later.", nullptr, HEDWIG_PROVIDER_BLOCKING);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test-later", "1.0.0", "Hedwig", "Apache-2.0", &provider)
