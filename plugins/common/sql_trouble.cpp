// SPDX-License-Identifier: Apache-2.0
#include "sql_trouble.hpp"

#include <Poco/Data/DataException.h>
#include <Poco/Data/SQLite/SQLiteException.h>

#include <mutex>
#include <vector>

namespace hedwig::sql {

namespace data = Poco::Data;

namespace {

/// Poco 1.11 gives PostgreSQL's SQLSTATE in its text alone: "... State: 53100 Detail: ...".
std::string_view sql_state(std::string_view text) noexcept {
  constexpr std::string_view mark = " State: ";
  auto at = text.rfind(mark);
  if (at == std::string_view::npos)
    return {};
  auto state = text.substr(at + mark.size(), 5);
  return state.starts_with("N/A") ? std::string_view{} : state;
}

} // namespace

trouble meaning_of(std::string_view state, bool connected) noexcept {
  if (state == "53100")
    return trouble::no_space;
  if (state.starts_with("08") || state == "57P01" || state == "57P02" || state == "57P03" || state == "57P05")
    return trouble::lost;
  if (!connected)
    return trouble::lost;
  if (state.starts_with("53"))
    return trouble::busy;
  if (state.starts_with("40"))
    return trouble::retry;
  if (state == "57014" || state == "55P03")
    return trouble::timeout;
  if (state == "25006")
    return trouble::read_only;
  if (state == "XX001" || state == "XX002")
    return trouble::corrupt;
  return state.starts_with("58") ? trouble::io : trouble::other;
}

std::string readable(std::string text) {
  if (auto at = text.find(" Severity: "); at != std::string::npos)
    text.resize(at);
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < ' ')
      c = ' ';
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  return text;
}

std::string escaped_word(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '\'')
      out += '\\';
    out += c;
  }
  return out;
}

void bury(std::unique_ptr<data::Statement> one) {
  static std::mutex mutex;
  static auto* const graveyard = new std::vector<std::unique_ptr<data::Statement>>;
  std::lock_guard guard{mutex};
  graveyard->push_back(std::move(one));
}

sql_error understand(bool connected) noexcept {
  namespace lite = data::SQLite;
  try {
    throw;
  } catch (const sql_error& e) {
    return e;
  } catch (const lite::DatabaseFullException& e) {
    return {trouble::no_space, readable(e.displayText())};
  } catch (const lite::DBLockedException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::TableLockedException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::NoMemoryException& e) {
    return {trouble::busy, readable(e.displayText())};
  } catch (const lite::CorruptImageException& e) {
    return {trouble::corrupt, readable(e.displayText())};
  } catch (const lite::ReadOnlyException& e) {
    return {trouble::read_only, readable(e.displayText())};
  } catch (const lite::SQLiteException& e) {
    return {trouble::io, readable(e.displayText())};
  } catch (const data::ConnectionFailedException& e) {
    return {trouble::lost, readable(e.displayText())};
  } catch (const data::NotConnectedException&) {
    return {trouble::lost, "not connected to the database"}; // its text is the connection string
  } catch (const Poco::Exception& e) {
    auto text = e.displayText();
    return {meaning_of(sql_state(text), connected), readable(text)};
  } catch (const std::bad_alloc&) {
    return {trouble::busy, "out of memory"};
  } catch (const std::exception& e) {
    return {trouble::other, e.what()};
  } catch (...) {
    return {trouble::other, "unknown exception"};
  }
}

} // namespace hedwig::sql
