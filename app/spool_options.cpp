// SPDX-License-Identifier: Apache-2.0
#include "app/spool_options.hpp"

#include <Poco/Util/HelpFormatter.h>
#include <Poco/Util/Option.h>
#include <Poco/Util/OptionException.h>
#include <Poco/Util/OptionProcessor.h>
#include <Poco/Util/OptionSet.h>

#include <charconv>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

namespace hedwig::app {

namespace {

using Poco::Util::Option;
using command = spool_options::command;
using names = std::set<std::string, std::less<>>;

struct command_rule {
  command what;
  names options; ///< besides those that all take
  bool words;    ///< takes ids or files
};

const std::map<std::string, command_rule, std::less<>>& commands() {
  static const names filters{"state", "domain", "sender", "older", "newer"};
  static const auto with_filters = [](names more) {
    more.insert(filters.begin(), filters.end());
    return more;
  };
  static const std::map<std::string, command_rule, std::less<>> all{
      {"verify", {command::verify, {"set-aside", "json"}, false}},
      {"stats", {command::stats, {"json"}, false}},
      {"list", {command::list, with_filters({"limit", "cursor", "json", "ready", "deferred"}), false}},
      {"show", {command::show, {"body", "json"}, true}},
      {"export", {command::export_, with_filters({"out", "all"}), true}},
      {"import", {command::import_, {"from", "to", "state"}, true}},
      {"migrate", {command::migrate, {"from", "to", "from-path", "to-path", "retire"}, false}}};
  return all;
}

Poco::Util::OptionSet known_options() {
  Poco::Util::OptionSet set;
  auto flag = [&](const char* name, const char* help) { set.addOption(Option{name, "", help}); };
  auto value = [&](const char* name, const char* help, const char* argument) {
    set.addOption(Option{name, "", help, false, argument, true}.repeatable(true));
  };
  set.addOption(Option{"config", "c", "configuration file", false, "FILE", true});
  set.addOption(Option{"help", "h", "this text"});
  value("spool", "the folder, in place of storage.base_path", "DIR");
  value("store", "the store, in place of storage.storage_type", "NAME");
  flag("set-aside", "verify: move what is damaged to quarantine");
  value("state", "list, export: queued, deferred, held, bounced, quarantined or all; import: queued or held", "STATE");
  value("domain", "list, export: with a recipient there", "DOMAIN");
  value("sender", "list, export: from this address, @domain, or <>", "ADDRESS");
  value("older", "list, export: received longer ago than this, such as 2d", "TIME");
  value("newer", "list, export: received within this time", "TIME");
  value("limit", "list: at most so many", "N");
  value("cursor", "list: go on where an earlier list ended", "CURSOR");
  flag("ready", "list: --state queued");
  flag("deferred", "list: --state deferred");
  flag("json", "list, show, stats, verify: JSON");
  flag("body", "show: the message itself, octet for octet");
  value("out", "export: the folder to write to", "DIR");
  flag("all", "export: every message");
  value("from", "import: the sender; migrate: the store to read", "ADDRESS|NAME");
  value("to", "import: a recipient, may be repeated; migrate: the store to fill", "ADDRESS|NAME");
  value("from-path", "migrate: its folder, in place of storage.base_path", "DIR");
  value("to-path", "migrate: likewise", "DIR");
  flag("retire", "migrate: rename the folders of the source to .migrated-* once all is verified");
  return set;
}

bool take_number(std::uint32_t& into, const std::string& value) {
  auto got = std::from_chars(value.data(), value.data() + value.size(), into);
  return got.ec == std::errc{} && got.ptr == value.data() + value.size() && into > 0;
}

bool take_text(spool_options& into, const std::string& name, const std::string& value) {
  const std::map<std::string_view, std::string spool_options::*> texts{
      {"spool", &spool_options::spool},         {"store", &spool_options::store},    {"state", &spool_options::state},
      {"domain", &spool_options::domain},       {"sender", &spool_options::sender},  {"older", &spool_options::older},
      {"newer", &spool_options::newer},         {"cursor", &spool_options::cursor},  {"out", &spool_options::out},
      {"from-path", &spool_options::from_path}, {"to-path", &spool_options::to_path}};
  auto found = texts.find(name);
  if (found != texts.end())
    into.*found->second = value;
  return found != texts.end();
}

void take_flag(spool_options& into, const std::string& name) {
  const std::map<std::string_view, bool spool_options::*> flags{{"set-aside", &spool_options::set_aside},
                                                                {"json", &spool_options::json},
                                                                {"body", &spool_options::body},
                                                                {"all", &spool_options::all},
                                                                {"retire", &spool_options::retire}};
  auto found = flags.find(name);
  if (found != flags.end())
    into.*found->second = true;
  else if (name == "ready" || name == "deferred")
    into.state = name == "ready" ? "queued" : "deferred";
}

/// What is wrong with the whole; empty: nothing.
std::string complaint(const spool_options& of, const command_rule& rule) {
  if (!rule.words && !of.words.empty())
    return "what is \"" + of.words.front() + "\" for";
  switch (of.what) {
  case command::show:
    return of.words.size() == 1 ? "" : "which message? Write hedwig spool show ID";
  case command::export_:
    if (of.out.empty())
      return "where to? Write --out DIR";
    return of.words.empty() == of.all ? "" : "which messages? Write their ids, or --all";
  case command::import_:
    if (of.words.empty())
      return "what? Write files that end in .json or .eml, or folders of them";
    return of.from.empty() == of.to.empty() ? "" : "--from and --to go together";
  case command::migrate:
    return of.from.size() == 1 && of.to.size() == 1 ? "" : "which stores? Write --from fs --to rocksdb";
  default:
    return {};
  }
}

/// `hedwig queue migrate` of Hedwig 0.10 knows no stores to name: out of `fs`, in place, the old folders renamed.
void put_in_old_terms(spool_options& of) {
  if (of.what != command::migrate || !of.from.empty() || !of.to.empty())
    return;
  of.from = {"fs"};
  of.to = {""}; // as storage.storage_type says, or rocksdb
  of.retire = true;
}

std::expected<spool_options, std::string> gather(const std::vector<std::string>& arguments) {
  spool_options parsed;
  names given;
  const command_rule* rule = nullptr;
  auto known = known_options();
  Poco::Util::OptionProcessor processor{known};
  processor.setUnixStyle(true);
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string name; // stays empty while the processor waits for the value, the next argument
    std::string value;
    if (!processor.process(arguments[i], name, value)) {
      if (rule != nullptr) {
        parsed.words.push_back(arguments[i]);
        continue;
      }
      auto found = commands().find(arguments[i]);
      if (found == commands().end())
        return std::unexpected{"unknown command \"" + arguments[0] + " " + arguments[i] + "\""};
      rule = &found->second;
      parsed.what = rule->what;
      continue;
    }
    if (name.empty())
      continue;
    given.insert(name);
    if (name == "help")
      return std::unexpected{std::string{}};
    if (name == "config")
      parsed.config = value;
    else if (name == "from" || name == "to")
      (name == "from" ? parsed.from : parsed.to).push_back(value);
    else if (name == "limit" && !take_number(parsed.limit, value))
      return std::unexpected{"--limit takes a number from 1"};
    else if (!take_text(parsed, name, value))
      take_flag(parsed, name);
  }
  processor.checkRequired();
  if (rule == nullptr)
    return std::unexpected{"which command? verify, stats, list, show, export, import or migrate"};
  for (auto& name : given)
    if (name != "config" && name != "spool" && name != "store" && !rule->options.contains(name))
      return std::unexpected{"--" + name + " does not belong here"};
  parsed.config_named = given.contains("config");
  if (arguments[0] == "queue")
    put_in_old_terms(parsed);
  if (auto why = complaint(parsed, *rule); !why.empty())
    return std::unexpected{why};
  return parsed;
}

} // namespace

std::expected<spool_options, std::string> parse_spool_options(const std::vector<std::string>& arguments) {
  try {
    auto parsed = gather(arguments);
    if (!parsed && !parsed.error().empty())
      return std::unexpected{parsed.error() + ": see hedwig spool --help"};
    return parsed;
  } catch (const Poco::Util::OptionException& e) {
    return std::unexpected{e.displayText() + ": see hedwig spool --help"};
  }
}

std::string spool_usage() {
  std::ostringstream text;
  auto known = known_options();
  Poco::Util::HelpFormatter help{known};
  help.setUnixStyle(true);
  help.setCommand("hedwig spool");
  help.setUsage("COMMAND [OPTIONS]");
  help.setHeader("\nLooks after the spool of a relay that is stopped. Commands:\n"
                 "  verify              read everything; report each damaged message\n"
                 "  stats               messages, octets and the oldest, by state\n"
                 "  list                what is there, oldest due first\n"
                 "  show ID             one message: envelope, recipients, header\n"
                 "  export ID... --out  messages as ID.eml with the envelope in ID.json beside it\n"
                 "  import FILE...      takes those back; plain .eml with --from and --to\n"
                 "  migrate             copy every message from one store to another, and verify\n"
                 "\nOptions:");
  help.setFooter(
      "\nA running relay keeps its spool to itself: look at it with hedwig-admin.\n"
      "hedwig queue list, show, stats and migrate, as Hedwig 0.10 has them, do the same.\n"
      "Exit status: 0 well, 1 damage was found or something failed, 2 wrong command line or configuration, or\n"
      "the spool is in use.");
  help.format(text);
  return text.str();
}

} // namespace hedwig::app
