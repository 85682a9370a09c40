// SPDX-License-Identifier: Apache-2.0
// The filter provider "headers": adds, removes and rewrites header fields by rules.
#include <hedwig/filter.hpp>
#include <hedwig/reloadable.hpp>

#include <memory>

#include "rule_config.hpp"
#include "rules.hpp"

namespace {

using namespace hedwig::filter_headers;
using hedwig::sdk::view;

class headers_filter {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_rules(config)); }

  headers_filter(hedwig::sdk::host, const hedwig::sdk::config& config) : rules_{read_rules(config)} {}

  void reload(const hedwig::sdk::config& config) { rules_.replace(read_rules(config)); }

  /// A message keeps the rules it began with.
  class session {
  public:
    session(headers_filter& owner, const hedwig_filter_session& shown) : owner_{owner} { learn(shown); }

    hedwig::sdk::verdict on_helo(const hedwig_filter_session& shown) { return learn(shown); }
    hedwig::sdk::verdict on_auth(const hedwig_filter_session& shown) { return learn(shown); }

    hedwig::sdk::verdict on_mail(const hedwig_filter_address& sender) {
      rules_ = owner_.rules_.current();
      fields_.clear();
      facts_[variable::sender] = view(sender.address);
      return {};
    }

    hedwig::sdk::verdict on_header(const hedwig_filter_header& header) {
      auto key = lower(view(header.name));
      if (rules_ && rules_->looks_at(key))
        fields_.push_back({std::string{view(header.name)}, std::move(key), std::string{view(header.value)}});
      return {};
    }

    hedwig::sdk::verdict on_end(const hedwig_filter_message& message) {
      if (!rules_)
        return {};
      auto sender = view(message.sender);
      auto at = sender.rfind('@');
      auto facts = facts_;
      facts[variable::sender] = sender;
      facts[variable::sender_domain] = at == sender.npos ? std::string{} : lower(sender.substr(at + 1));
      facts[variable::recipients] = std::to_string(message.recipient_count);
      rule_run run{std::exchange(fields_, {}), std::move(facts), groups_};
      return {HEDWIG_CONTINUE, {}, {}, run.apply(*rules_)};
    }

    void on_reset() noexcept {
      rules_.reset();
      fields_.clear();
    }

  private:
    hedwig::sdk::verdict learn(const hedwig_filter_session& shown) {
      facts_[variable::listener] = view(shown.listener);
      facts_[variable::peer] = view(shown.peer);
      facts_[variable::peer_name] = view(shown.peer_name);
      facts_[variable::helo] = view(shown.helo);
      facts_[variable::identity] = view(shown.identity);
      facts_[variable::tls] = view(shown.tls_version);
      groups_.clear();
      for (auto& one : hedwig::sdk::groups_of(shown))
        groups_.insert(lower(view(one)));
      return {};
    }

    headers_filter& owner_;
    std::shared_ptr<const rule_set> rules_;
    template_values facts_;
    group_names groups_;
    std::vector<field> fields_;
  };

private:
  hedwig::sdk::reloadable<const rule_set> rules_;
};

constexpr auto provider = hedwig::sdk::filter_provider<headers_filter>::make(
    "headers", "Adds, removes and rewrites header fields by rules.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.filter-headers", "1.0.0", "Hedwig", "Apache-2.0", &provider)
