// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"

#include <Poco/Util/HelpFormatter.h>
#include <Poco/Util/Option.h>
#include <Poco/Util/OptionException.h>
#include <Poco/Util/OptionProcessor.h>
#include <Poco/Util/OptionSet.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace hedwig::app {

namespace {

using Poco::Util::Option;
using command = command_line::command;

const std::map<std::string, command, std::less<>>& commands() {
  static const std::map<std::string, command, std::less<>> all{{"server", command::server},
                                                               {"check", command::check},
                                                               {"dkim-generate", command::dkim_generate},
                                                               {"hash-password", command::hash_password},
                                                               {"config-reference", command::config_reference},
                                                               {"version", command::version},
                                                               {"help", command::help}};
  return all;
}

Poco::Util::OptionSet options() {
  Poco::Util::OptionSet set;
  set.addOption(Option{"config", "c", "configuration file", false, "FILE", true});
  set.addOption(Option{"domain", "", "dkim-generate: the signing domain", false, "DOMAIN", true});
  set.addOption(Option{"selector", "", "dkim-generate: name of the key in the DNS", false, "NAME", true});
  set.addOption(Option{"private-key", "", "dkim-generate: the file to write", false, "FILE", true});
  set.addOption(Option{"key-type", "", "dkim-generate: rsa (default) or ed25519", false, "TYPE", true});
  set.addOption(Option{"help", "h", "this text"});
  set.addOption(Option{"version", "V", "the version"});
  return set;
}

void take(command_line& into, const std::string& name, const std::string& value) {
  if (name == "config")
    into.config = value;
  else if (name == "domain")
    into.domain = value;
  else if (name == "selector")
    into.selector = value;
  else if (name == "private-key")
    into.private_key = value;
  else if (name == "key-type")
    into.key_type = value;
  else if (name == "help")
    into.what = command::help;
  else if (name == "version")
    into.what = command::version;
}

} // namespace

std::expected<command_line, std::string> parse_command_line(const std::vector<std::string>& arguments) {
  command_line parsed;
  auto known = options();
  Poco::Util::OptionProcessor processor{known};
  processor.setUnixStyle(true);
  bool named = false;
  try {
    for (auto& argument : arguments) {
      std::string name; // stays empty while the processor waits for the value, the next argument
      std::string value;
      if (processor.process(argument, name, value)) {
        take(parsed, name, value);
        continue;
      }
      auto found = commands().find(argument);
      if (found == commands().end() || std::exchange(named, true))
        return std::unexpected{"unknown command \"" + argument + "\": see hedwig help"};
      parsed.what = found->second;
    }
    processor.checkRequired(); // a value that never came
  } catch (const Poco::Util::OptionException& e) {
    return std::unexpected{e.displayText() + ": see hedwig help"};
  }
  return parsed;
}

std::string usage() {
  std::ostringstream text;
  auto known = options();
  Poco::Util::HelpFormatter help{known};
  help.setUnixStyle(true);
  help.setCommand("hedwig");
  help.setUsage("[COMMAND] [OPTIONS]");
  help.setHeader(
      "\nAn outbound SMTP relay. Commands:\n"
      "  server            run the relay (the default)\n"
      "  check             check the configuration and the files it names, then end\n"
      "  dkim-generate     make a DKIM key and print its DNS record\n"
      "  hash-password     read a password from standard input, print its hash for [[server.auth]]\n"
      "  spool             verify, list, show, export, import, migrate the spool of a relay that is stopped;\n"
      "                    see hedwig spool --help\n"
      "  plugin list       what the plugins in the folders say of themselves, and which are unusable and why\n"
      "  config-reference  print every configuration key, in Markdown\n"
      "  version           print the version\n"
      "\nThe running relay is steered with hedwig-admin.\n\nOptions:");
  help.setFooter("\nWithout -c: config.toml in this folder, else " HEDWIG_SYSCONFDIR "/hedwig/hedwig.toml.\n"
                 "HEDWIG_LOG_LEVEL, such as \"info\" or \"warn,session=debug\", wins over log.level.\n"
                 "Exit status: 0 well, 1 could not start or had to stop, 2 wrong command line or configuration.");
  help.format(text);
  return text.str();
}

std::string default_config_path() {
  return std::filesystem::exists("config.toml") ? "config.toml" : HEDWIG_SYSCONFDIR "/hedwig/hedwig.toml";
}

std::string advice_on_config(const std::string& path) {
  std::ifstream file{path};
  file.peek(); // a folder can be opened
  return file.is_open() && !file.bad() ? std::string{}
                                       : "Give the path of a configuration with -c; hedwig help says where it is "
                                         "looked for without.\n";
}

} // namespace hedwig::app
