// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Poco/Data/Statement.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

// What plugins that use a database through Poco have in common: what its errors mean, and ways round its faults.
namespace hedwig::sql {

enum class engine { sqlite, postgresql };

/// What an error of the database means for a store.
enum class trouble {
  lost,     ///< the connection is gone, or the server goes down or comes up
  retry,    ///< the transaction lost against another one; it may succeed when repeated
  no_space, ///< SQLITE_FULL, SQLSTATE 53100
  busy,     ///< out of memory, too many connections, another program holds SQLite's lock
  timeout,  ///< statement_timeout; nothing was changed
  held,     ///< another instance runs under our name
  read_only,
  corrupt,
  unreadable, ///< the disk gave an error instead of a page; the connection goes on
  io,
  other
};

class sql_error : public std::runtime_error {
public:
  sql_error(trouble what, const std::string& text) : std::runtime_error{text}, kind{what} {}
  trouble kind;
};

/// What an SQLSTATE of PostgreSQL means; `connected` is whether the session still says it is.
[[nodiscard]] trouble meaning_of(std::string_view state, bool connected) noexcept;

/// What the exception in flight means; `connected` is whether the session still says it is.
[[nodiscard]] sql_error understand(bool connected) noexcept;

/// The first line of an exception's text, without what Poco puts around it.
[[nodiscard]] std::string readable(std::string text);

/// A word of a libpq connection string: quotes and backslashes are escaped. White space cannot be had, Poco splits
/// there.
[[nodiscard]] std::string escaped_word(std::string_view text);

/// Poco 1.11 frees the result of a PostgreSQL statement twice when it fails after it has succeeded. Such a one is never
/// destroyed: a few kilobytes for each connection that breaks.
void bury(std::unique_ptr<Poco::Data::Statement> one);

} // namespace hedwig::sql
