// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "runtime/config/report.hpp"
#include "runtime/config/schema.hpp"

namespace hedwig::config {

/// One value against the kind, range and choices of its key; what is wrong goes to `out`. `folder` is where relative
/// paths start.
[[nodiscard]] std::optional<value> check_value(const schema_key& key, const node& from, place at,
                                               const std::string& folder, report& out);

/// Reads a table, and all tables in it, into the struct behind `owner` by the entries of the schema below `prefix`
/// (empty for the whole file). Absent keys get their defaults; with `root` null everything does and nothing is
/// required.
void check_table(const node* root, std::string_view prefix, void* owner, const std::string& folder, report& out);

/// "server.listeners.tls.mode" of "server.listeners[].tls.mode": as people name a key.
[[nodiscard]] std::string display(std::string_view path);

/// "server.hostnam is not a known key: write hostname instead", or what else helps.
[[nodiscard]] std::string unknown_key(std::string_view table, std::string_view name);

/// The rules between keys, and what load() fills in: only for drafts without errors so far.
void apply_rules(draft& what, const node& root, const load_options& options, report& out);

} // namespace hedwig::config
