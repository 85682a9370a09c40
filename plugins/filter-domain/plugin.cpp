// SPDX-License-Identifier: Apache-2.0
// The filter provider "domain": who may send, and to whom, by domain.
#include <hedwig/filter.hpp>
#include <hedwig/reloadable.hpp>

#include <memory>

#include "domain_rules.hpp"

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::key;
using hedwig::sdk::key_of_choices;
using namespace hedwig::filter_domain;

constexpr const char* types[] = {"from_domain_filter", "to_domain_filter", nullptr};
constexpr const char* actions[] = {"allow", "deny", nullptr};
constexpr auto rule_type = key_of_choices("type", "Which side of the envelope the rule looks at.",
                                          HEDWIG_CONFIG_REQUIRED | HEDWIG_CONFIG_RELOADABLE, nullptr, types);
constexpr auto rule_domain = key(HEDWIG_CONFIG_STRINGS, "domain",
                                 "Domains: \"example.com\" is that one, \"*.example.com\" those below it, \"*\" all.",
                                 HEDWIG_CONFIG_REQUIRED | HEDWIG_CONFIG_RELOADABLE);
constexpr auto rule_action =
    key_of_choices("action", "What happens to mail of these domains; any allow rule refuses all others.",
                   HEDWIG_CONFIG_RELOADABLE, "allow", actions);
constexpr const hedwig_config_key* rule_keys[] = {&rule_type, &rule_domain, &rule_action};
constexpr hedwig_config_schema rule_schema{sizeof rule_schema, std::size(rule_keys), rule_keys};

constexpr auto rules_key = key(HEDWIG_CONFIG_TABLES, "rule", "One table for each rule; deny rules are asked first.",
                               HEDWIG_CONFIG_REQUIRED | HEDWIG_CONFIG_RELOADABLE, nullptr, &rule_schema);
constexpr auto null_sender = key(HEDWIG_CONFIG_BOOLEAN, "allow_null_sender",
                                 "Accept the null sender of delivery status notifications whatever the rules say.",
                                 HEDWIG_CONFIG_RELOADABLE, "true");
constexpr const hedwig_config_key* keys[] = {&rules_key, &null_sender};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

struct rule_set {
  domain_rules senders;
  domain_rules recipients;
  bool allow_null_sender = true;
};

std::shared_ptr<const rule_set> read_rules(const hedwig::sdk::config& config) {
  auto made = std::make_shared<rule_set>();
  made->allow_null_sender = config.boolean("allow_null_sender");
  for (std::size_t i = 0; i < config.count("rule"); ++i) {
    auto rule = config.table("rule", i);
    auto& side = rule.string("type") == "from_domain_filter" ? made->senders : made->recipients;
    auto& list = rule.string("action") == "allow" ? side.allow : side.deny;
    for (auto& domain : rule.strings("domain")) {
      if (auto fault = fault_of_pattern(domain); !fault.empty())
        throw failure{HEDWIG_E_CONFIG, "rule " + std::to_string(i + 1) + ": " + fault, "rule.domain"};
      list.add(domain);
    }
  }
  return made;
}

class domain_filter {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_rules(config)); }

  domain_filter(hedwig::sdk::host, const hedwig::sdk::config& config) : rules_{read_rules(config)} {}

  void reload(const hedwig::sdk::config& config) { rules_.replace(read_rules(config)); }

  /// A session keeps the rules it began with.
  class session {
  public:
    session(domain_filter& owner, const hedwig_filter_session&) : rules_{owner.rules_.current()} {}

    hedwig::sdk::verdict on_mail(const hedwig_filter_address& sender) {
      auto address = hedwig::sdk::view(sender.address);
      // RFC 5321, section 4.5.5: notifications come from the null reverse-path.
      if ((address.empty() && rules_->allow_null_sender) || rules_->senders.accepts(domain_of(address)))
        return {};
      return {HEDWIG_REJECT, "5.7.1", "sender domain not accepted here", {}, 550};
    }

    hedwig::sdk::verdict on_recipient(const hedwig_filter_address& recipient) {
      if (rules_->recipients.accepts(domain_of(hedwig::sdk::view(recipient.address))))
        return {};
      return {HEDWIG_REJECT, "5.7.1", "recipient domain not accepted here", {}, 550};
    }

  private:
    std::shared_ptr<const rule_set> rules_;
  };

private:
  hedwig::sdk::reloadable<const rule_set> rules_;
};

constexpr auto provider = hedwig::sdk::filter_provider<domain_filter>::make(
    "domain", "Accepts or refuses senders and recipients by domain.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.filter-domain", "1.0.0", "Hedwig", "Apache-2.0", &provider)
