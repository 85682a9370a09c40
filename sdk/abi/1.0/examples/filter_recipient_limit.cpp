// SPDX-License-Identifier: Apache-2.0
// A whole plugin with state per session: limits recipients and marks the message.
#include <hedwig/hedwig.hpp>

namespace {

constexpr auto limit = hedwig::sdk::key(HEDWIG_CONFIG_INTEGER, "limit", "Most recipients per session.", 0, "2");
constexpr const hedwig_config_key* keys[] = {&limit};
constexpr hedwig_config_schema schema{sizeof schema, 1, keys};

class recipient_limit {
public:
  recipient_limit(hedwig::sdk::host, const hedwig::sdk::config& config) {
    if (auto value = config.integer("limit"); value > 0)
      limit_ = value;
  }

  class session {
  public:
    session(recipient_limit& owner, const hedwig_filter_session&) : limit_{owner.limit_} {}

    hedwig::sdk::verdict on_recipient(const hedwig_filter_address&) {
      if (++count_ > limit_)
        return {HEDWIG_TEMPFAIL, "4.5.3", "too many recipients"};
      return {};
    }

    hedwig::sdk::verdict on_end(const hedwig_filter_message&) {
      return {HEDWIG_CONTINUE, {}, {}, {{HEDWIG_EDIT_ADD_HEADER, "X-Recipient-Count", std::to_string(count_)}}};
    }

  private:
    std::int64_t limit_;
    std::int64_t count_ = 0;
  };

private:
  std::int64_t limit_ = 2;
};

constexpr auto provider = hedwig::sdk::filter_provider<recipient_limit>::make(
    "recipient-limit", "Limits recipients per session.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.example-recipient-limit", "1.0.0", "Hedwig", "Apache-2.0", &provider)
