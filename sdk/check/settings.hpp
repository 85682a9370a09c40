// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/plugin.h>
#include <hedwig/testing/settings.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hedwig::check {

/// What [check] says of the accounts of an auth provider.
struct known_accounts {
  struct account {
    std::string name;
    std::string password; ///< empty: none, or not known
    std::string token;    ///< the same
  };
  std::vector<account> users;
  std::string unknown_user = "hedwig-check-nobody";
  std::vector<std::string> refused_tokens; ///< expired, say, or of other issuers
  bool scram = true;                       ///< whether SCRAM secrets of these users are there
};

/// A message that the filter suite sends, besides its own: one that makes the filter act.
struct known_message {
  std::string peer = "192.0.2.1";
  std::string peer_name;
  std::string helo = "client.example.org";
  std::string identity; ///< empty: the client does not log in
  std::string sender = "sender@example.org";
  std::vector<std::string> recipients;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
};

/// The file of --config: the plugin's settings, as in the relay's configuration, and a table [check] for the kit.
///
///   path = "{folder}/spool"        {folder}: an empty folder for each test; {unique}: a name that no other test has
///
///   [check]
///   provider = "fs"                which one of the file, if it offers several
///   remote = true                  the data are not below {folder}: no full disk, no failing file
///   volatile = true                a store that is empty after each start(), and has no files
///   prepare = "createdb {unique}"  run by /bin/sh before
///   cleanup = "dropdb {unique}"    and after each test
///   users = [{name = "ada", password = "in wonderland", token = "..."}]   who exists, for the auth suite
///   unknown_user = "nobody"        who does not
///   refused_tokens = ["..."]       expired, or of somebody else
///   messages = [{sender = "a@b.example", recipients = ["c@d.example"], header = ["Subject: x"], body = "..."}]
///   scram = false                  the users' SCRAM secrets are not known to the backend
///   outage = {server = "..."}      settings that replace those above: with them the backend cannot be asked
class settings_file {
public:
  /// No file: required paths become "{folder}/<key>", all else its default.
  settings_file();
  /// Throws unusable with file, line and column.
  explicit settings_file(const std::string& file);
  ~settings_file();

  /// Checks and completes the settings by the provider's schema. Throws unusable with the key, or skipped when a key
  /// is required and there is no file.
  std::shared_ptr<const hedwig_config> read(const hedwig_provider& provider, std::string_view folder,
                                            std::string_view unique) const;
  /// The same with check.outage in force; null where there is none.
  std::shared_ptr<const hedwig_config> read_outage(const hedwig_provider& provider, std::string_view folder,
                                                   std::string_view unique) const;
  const known_accounts& accounts() const { return accounts_; }
  const std::vector<known_message>& messages() const { return messages_; }
  const std::string& file() const { return file_; } ///< empty: none
  const std::string& provider() const { return provider_; }
  bool is_remote() const { return remote_; }
  bool is_volatile() const { return volatile_; }
  std::string prepare(std::string_view folder, std::string_view unique) const;
  std::string cleanup(std::string_view folder, std::string_view unique) const;

private:
  struct document;
  std::unique_ptr<document> document_;
  std::string file_;
  std::filesystem::path base_; ///< what a relative path is relative to
  std::string provider_;
  bool remote_ = false;
  bool volatile_ = false;
  std::string prepare_;
  std::string cleanup_;
  known_accounts accounts_;
  std::vector<known_message> messages_;
};

/// Throws unusable when the default of a key cannot be read or breaks what the key demands.
void read_default(const hedwig_config_key& key);

/// `text` with {folder} and {unique} filled in.
std::string fill_in(std::string text, std::string_view folder, std::string_view unique);

} // namespace hedwig::check
