// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace hedwig::app {

/// What `hedwig spool …` asks for; `hedwig queue …`, as Hedwig 0.10 has it, is put into the same terms.
struct spool_options {
  enum class command { verify, stats, list, show, export_, import_, migrate } what = command::verify;
  std::string config;             ///< path; empty: the default one
  bool config_named = false;      ///< on the command line
  std::string spool;              ///< folder in place of storage.base_path
  std::string store;              ///< provider in place of storage.storage_type
  std::vector<std::string> words; ///< ids, or files and folders to import
  std::vector<std::string> from;  ///< import: the sender; migrate: a provider
  std::vector<std::string> to;    ///< import: recipients; migrate: a provider
  std::string from_path;          ///< migrate
  std::string to_path;            ///< migrate
  std::string out;                ///< export: a folder
  std::string state;              ///< name of a state, or "all"
  std::string domain;             ///< of a recipient
  std::string sender;             ///< an address, "@domain", or "<>"
  std::string older;              ///< a time, such as "2d"
  std::string newer;              ///< likewise
  std::string cursor;             ///< of an earlier list
  std::uint32_t limit = 0;        ///< 0: no bound
  bool set_aside = false;         ///< verify
  bool all = false;               ///< export: every message
  bool body = false;              ///< show
  bool json = false;              ///< list, show, stats, verify
  bool retire = false;            ///< migrate: rename the folders of the source when all is verified
};

/// `arguments` begin with "spool" or "queue". An error is a text for the user.
[[nodiscard]] std::expected<spool_options, std::string> parse_spool_options(const std::vector<std::string>& arguments);
[[nodiscard]] std::string spool_usage();

} // namespace hedwig::app
