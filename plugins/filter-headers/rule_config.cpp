// SPDX-License-Identifier: Apache-2.0
#include "rule_config.hpp"

#include <re2/re2.h>

#include <stdexcept>

#include "rules.hpp"

namespace hedwig::filter_headers {

namespace {

using sdk::failure;
using sdk::key;
using sdk::key_of_choices;

constexpr std::size_t rules_max = 200;
constexpr std::int64_t expression_memory_max = 1 << 20;
constexpr std::size_t expression_octets_max = 1000;

constexpr auto reloadable = HEDWIG_CONFIG_RELOADABLE;
constexpr const char* action_names[] = {"add", "insert", "replace", "remove", nullptr};
constexpr auto action_key =
    key_of_choices("action",
                   "add: a field at the end of the header. insert: at its top. replace: the value of fields that are "
                   "there. remove: such fields.",
                   HEDWIG_CONFIG_REQUIRED | reloadable, nullptr, action_names);
constexpr auto field_key = key(HEDWIG_CONFIG_STRING, "field",
                               "Name of the field the action is about; replace and remove take \"X-Spam-*\" for all "
                               "names that begin so.",
                               HEDWIG_CONFIG_REQUIRED | reloadable);
constexpr auto matches_key =
    key(HEDWIG_CONFIG_STRING, "matches",
        "Only fields in whose value this expression (RE2) is found are replaced or removed.", reloadable);
constexpr auto value_key =
    key(HEDWIG_CONFIG_STRING, "value",
        "The value for add, insert and replace, with variables in braces such as {sender}.", reloadable);
constexpr auto if_field_key = key(HEDWIG_CONFIG_STRING, "if_field",
                                  "The rule holds only for messages that have a field of this name.", reloadable);
constexpr auto if_matches_key = key(HEDWIG_CONFIG_STRING, "if_matches",
                                    "And in the value of such a field this expression (RE2) is found.", reloadable);
constexpr auto unless_field_key = key(HEDWIG_CONFIG_STRING, "unless_field",
                                      "The rule holds only for messages without a field of this name.", reloadable);
constexpr auto listeners_key = key(HEDWIG_CONFIG_STRINGS, "listeners",
                                   "Names of listeners; mail that came over others is left alone.", reloadable);
constexpr auto identities_key =
    key(HEDWIG_CONFIG_STRINGS, "identities",
        "Who has authenticated: a name, \"*@example.com\", \"*\" for everybody, \"\" for clients that have not.",
        reloadable);
constexpr auto groups_key = key(
    HEDWIG_CONFIG_STRINGS, "groups",
    "Who has authenticated and is, as the provider says, in one of these groups; case does not matter.", reloadable);
constexpr auto sender_domains_key =
    key(HEDWIG_CONFIG_STRINGS, "sender_domains",
        "Domains of the envelope's sender: \"example.com\" is that one, \"*.example.com\" those below it, \"*\" all.",
        reloadable);
constexpr const hedwig_config_key* rule_keys[] = {&action_key,     &field_key,      &matches_key,       &value_key,
                                                  &if_field_key,   &if_matches_key, &unless_field_key,  &listeners_key,
                                                  &identities_key, &groups_key,     &sender_domains_key};
constexpr hedwig_config_schema rule_schema{sizeof rule_schema, std::size(rule_keys), rule_keys};
constexpr auto rules_key =
    key(HEDWIG_CONFIG_TABLES, "rule", "One table for each rule; each sees the header as those before it have left it.",
        HEDWIG_CONFIG_REQUIRED | reloadable, nullptr, &rule_schema);
constexpr const hedwig_config_key* keys[] = {&rules_key};

/// Reads one table; faults are told with its number.
class rule_reader {
  failure fault(const char* name, const std::string& what) const {
    return {HEDWIG_E_CONFIG, "rule " + std::to_string(number_) + ": " + name + " " + what, std::string{"rule."} + name};
  }

  template <class Make>
  auto checked(const char* name, Make make) const {
    try {
      return make();
    } catch (const std::invalid_argument& e) {
      throw fault(name, std::string{"is wrong: "} + e.what());
    }
  }

public:
  rule_reader(sdk::config table, std::size_t number) : table_{table}, number_{number} {}

  rule read() {
    rule out;
    auto action = table_.string("action");
    while (action != action_names[static_cast<std::size_t>(out.action)])
      out.action = static_cast<rule_action>(static_cast<std::size_t>(out.action) + 1);
    auto on_existing = out.action == rule_action::replace || out.action == rule_action::remove;
    out.target = *pattern("field", on_existing);
    if (!on_existing && table_.is_set("matches"))
      throw fault("matches", "goes with replace and remove; add and insert have if_field and if_matches");
    out.target_value = expression("matches");
    if (table_.is_set("value") != (out.action != rule_action::remove))
      throw fault("value", out.action == rule_action::remove ? "makes no sense with remove" : "is missing");
    out.value = checked("value", [&] { return value_template{table_.string("value")}; });
    out.if_field = pattern("if_field", true);
    out.if_value = expression("if_matches");
    if (out.if_value && !out.if_field)
      throw fault("if_matches", "needs if_field");
    out.unless_field = pattern("unless_field", true);
    out.listeners = table_.strings("listeners");
    out.identities = table_.strings("identities");
    for (auto& one : table_.strings("groups"))
      out.groups.push_back(lower(one));
    out.sender_domains = domains();
    return out;
  }

private:
  std::optional<name_pattern> pattern(const char* name, bool star_allowed) const {
    if (!table_.is_set(name))
      return std::nullopt;
    return checked(name, [&] { return name_pattern{table_.string(name), star_allowed}; });
  }

  std::shared_ptr<const re2::RE2> expression(const char* name) const {
    if (!table_.is_set(name))
      return nullptr;
    auto text = table_.string(name);
    if (text.size() > expression_octets_max)
      throw fault(name, "is longer than 1000 octets");
    re2::RE2::Options options{re2::RE2::Latin1}; // header values are octets
    options.set_log_errors(false);
    options.set_max_mem(expression_memory_max);
    auto made = std::make_shared<const re2::RE2>(text, options);
    if (!made->ok())
      throw fault(name, "is no expression: " + made->error());
    return made;
  }

  std::vector<std::string> domains() const {
    std::vector<std::string> out;
    for (auto& one : table_.strings("sender_domains")) {
      auto rest = std::string_view{one}.substr(one.starts_with("*.") ? 2 : 0);
      if (one != "*" && (rest.empty() || rest.find_first_of("*@ \t") != std::string_view::npos))
        throw fault("sender_domains", "has \"" + one + "\": write \"example.com\" or \"*.example.com\"");
      out.push_back(lower(one));
    }
    return out;
  }

  sdk::config table_;
  std::size_t number_;
};

} // namespace

constinit const hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

std::shared_ptr<const rule_set> read_rules(const sdk::config& config) {
  auto count = config.count("rule");
  if (count > rules_max)
    throw failure{HEDWIG_E_CONFIG, "there are more than 200 rules", "rule"};
  auto made = std::make_shared<rule_set>();
  for (std::size_t i = 0; i < count; ++i) {
    auto one = rule_reader{config.table("rule", i), i + 1}.read();
    made->watch(one.target);
    if (one.if_field)
      made->watch(*one.if_field);
    if (one.unless_field)
      made->watch(*one.unless_field);
    made->rules.push_back(std::move(one));
  }
  return made;
}

} // namespace hedwig::filter_headers
