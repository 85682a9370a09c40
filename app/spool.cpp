// SPDX-License-Identifier: Apache-2.0
#include "app/spool.hpp"

#include "actors/console_json.hpp"
#include "app/command_line.hpp"
#include "app/spool_export.hpp"
#include "app/spool_import.hpp"
#include "app/spool_kinds.hpp"
#include "app/spool_list.hpp"
#include "app/spool_migrate.hpp"
#include "app/spool_show.hpp"
#include "app/spool_stats.hpp"
#include "app/spool_verify.hpp"
#include "runtime/config/values.hpp"

#include <Poco/JSON/Array.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <sstream>

#include <sys/stat.h>
#include <unistd.h>

namespace hedwig::app {

namespace {

/// The least that the checks of a configuration ask for, around a folder that the command line named.
std::string config_around(const std::string& path) {
  Poco::JSON::Object listener;
  listener.set("addr", "127.0.0.1:25");
  Poco::JSON::Array listeners;
  listeners.add(listener);
  Poco::JSON::Object server;
  server.set("listeners", listeners);
  Poco::JSON::Object storage;
  storage.set("storage_type", "fs");
  storage.set("base_path", path);
  Poco::JSON::Object all;
  all.set("server", server);
  all.set("storage", storage);
  std::ostringstream text;
  all.stringify(text);
  return std::move(text).str();
}

/// Why this user is the wrong one for the spool; empty: he is not. What root writes into the spool of another user that
/// one could not read.
std::string wrong_user(const std::string& path, spool_access access) {
  struct stat folder {};
  if (::stat(path.c_str(), &folder) != 0)
    return errno == EACCES ? "this user may not look at " + path + ": run it as the user of the relay" : "";
  if (::geteuid() == 0 && folder.st_uid != 0 && access == spool_access::write)
    return fmt::format("{0} belongs to user id {1}, who could not read what root writes there: run it as that user, by "
                       "setpriv --reuid {1} --regid {2} --init-groups, say",
                       path, folder.st_uid, folder.st_gid);
  return ::access(path.c_str(), R_OK | X_OK) == 0
             ? ""
             : fmt::format("this user may not read {}, which belongs to user id {}: run it as that user", path,
                           folder.st_uid);
}

std::expected<spool_setting, std::string> find_spool(const spool_options& wanted, const std::string& config_path) {
  auto alone = !wanted.spool.empty() && !wanted.config_named;
  auto loaded = alone ? config::load_text(config_around(wanted.spool), "command-line.json") : config::load(config_path);
  if (!loaded)
    return std::unexpected{config::to_text(loaded.error()) + advice_on_config(config_path)};
  spool_setting made{std::move(*loaded), {}};
  auto& storage = made.file.settings.storage;
  made.place.path = wanted.spool.empty() ? storage.base_path : wanted.spool;
  made.place.type = storage.storage_type;
  if (!wanted.store.empty()) {
    made.place.type = wanted.store;
  } else if (!wanted.spool.empty()) {
    if (auto wrong = wrong_user(wanted.spool, spool_access::read); !wrong.empty())
      return std::unexpected{wrong};
    auto found = stores_in(wanted.spool);
    if (found.size() > 1)
      return std::unexpected{wanted.spool + ": spools of " + found[0] + " and " + found[1] +
                             " are there; name one with --store"};
    made.place.type = found.empty() ? "" : found.front();
    std::error_code none;
    auto old_log = std::filesystem::exists(std::filesystem::path{wanted.spool} / "format-version", none);
    if (made.place.type.empty())
      return std::unexpected{wanted.spool + (old_log
                                                 ? ": the log of Hedwig 0.10, which this program does not read: let "
                                                   "0.10 deliver what is in it"
                                                 : ": no spool is there; name its store with --store")};
  }
  return made;
}

int run(const spool_setting& where, const spool_options& wanted) {
  using command = spool_options::command;
  switch (wanted.what) {
  case command::verify:
    return spool_verify(where, wanted);
  case command::stats:
    return spool_stats(where, wanted);
  case command::list:
    return spool_list(where, wanted);
  case command::show:
    return spool_show(where, wanted);
  case command::export_:
    return spool_export(where, wanted);
  case command::import_:
    return spool_import(where, wanted);
  case command::migrate:
    return spool_migrate(where, wanted);
  }
  return exit_usage;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

} // namespace

std::optional<int> spool(const std::vector<std::string>& arguments) {
  auto word = std::ranges::find_if(arguments, [](auto& one) { return one == "spool" || one == "queue"; });
  std::string config;
  if (word != arguments.begin()) { // -c FILE may stand before it, and FILE may have any name
    auto before = parse_command_line({arguments.begin(), word});
    if (word == arguments.end() || !before || before->what != command_line::command::server || before->config.empty())
      return std::nullopt;
    config = before->config;
  }
  if (word == arguments.end())
    return std::nullopt;
  auto wanted = parse_spool_options({word, arguments.end()});
  if (!wanted && wanted.error().empty()) {
    std::cout << spool_usage();
    return exit_ok;
  }
  if (!wanted)
    return spool_refused(wanted.error());
  if (wanted->config.empty())
    wanted->config = config;
  wanted->config_named = !wanted->config.empty();
  auto where = find_spool(*wanted, wanted->config_named ? wanted->config : default_config_path());
  if (!where)
    return spool_refused(where.error());
  where->place.file = &where->file;
  return run(*where, *wanted);
}

std::unique_ptr<spool_store> open_spool(const spool_place& place, spool_access access, int& status) {
  if (auto wrong = wrong_user(place.path, access); !wrong.empty()) {
    status = spool_refused(wrong);
    return nullptr;
  }
  auto opened = spool_store::open(place, access);
  if (opened)
    return std::move(*opened);
  auto& why = opened.error();
  status = exit_usage;
  if (why.status == HEDWIG_E_UNAVAILABLE) {
    std::cerr
        << "hedwig spool: " << place.path
        << " is in use, so a relay runs: look at its queue with hedwig-admin (queue list, queue show), or stop it "
           "first\n";
    return nullptr;
  }
  if (why.status == HEDWIG_E_CORRUPT || why.status == HEDWIG_E_IO)
    status = exit_failed;
  std::cerr << "hedwig spool: cannot open " << place.path << " as " << place.type << ": " << why.text() << '\n';
  return nullptr;
}

int spool_failed(const error& why) {
  std::cerr << "hedwig spool: " << why.text() << '\n';
  return exit_failed;
}

int spool_refused(std::string_view why) {
  std::cerr << "hedwig spool: " << why << (why.ends_with('\n') ? "" : "\n");
  return exit_usage;
}

std::expected<spool_filter, std::string> spool_filter::make(const spool_options& wanted, wall_time now) {
  spool_filter made;
  made.states_ = console::mask_of_states(wanted.state.empty() ? "all" : wanted.state);
  if (made.states_ == 0)
    return std::unexpected{"--state takes queued, deferred, held, bounced, quarantined or all"};
  made.domain_ = lower(wanted.domain);
  made.sender_ = wanted.sender;
  for (auto* text : {&wanted.older, &wanted.newer}) {
    if (text->empty())
      continue;
    auto age = config::parse_duration(*text);
    if (!age)
      return std::unexpected{(text == &wanted.older ? "--older: " : "--newer: ") + age.error()};
    (text == &wanted.older ? made.before_ : made.after_) = now - *age;
  }
  return made;
}

bool spool_filter::wants(const spool_message& one) const {
  auto narrow = !domain_.empty() || !sender_.empty() || before_ != wall_time::max() || after_ != wall_time::min();
  if (!one.known)
    return !narrow;
  auto& [message, record] = *one.known;
  auto& sender = message.envelope.reverse_path;
  if (sender_.starts_with('@') ? queue::domain_of(sender) != lower(sender_.substr(1))
                               : !sender_.empty() && (sender.empty() ? "<>" : lower(sender)) != lower(sender_))
    return false;
  auto there = [&](auto& to) { return queue::domain_of(to.address) == domain_; };
  return (domain_.empty() || std::ranges::any_of(message.envelope.recipients, there)) &&
         record.first_queued <= before_ && record.first_queued >= after_;
}

} // namespace hedwig::app
