// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bind_answer.hpp"
#include "settings.hpp"

struct ldap;
struct ldapmsg;

namespace hedwig::auth_ldap {

/// A server could not be asked, or could not answer: nothing is known about the user, and another server may do better.
class trouble : public std::runtime_error {
public:
  trouble(std::string text, bool lost) : std::runtime_error{std::move(text)}, lost_{lost} {}
  /// The connection broke, as an old one may where the server is well.
  [[nodiscard]] bool lost() const noexcept { return lost_; }

private:
  bool lost_;
};

/// One entry as a search gave it. Names of attributes are compared in any case.
struct entry {
  std::string dn;
  std::vector<std::pair<std::string, std::vector<std::string>>> attributes;

  [[nodiscard]] std::span<const std::string> values(std::string_view attribute) const;
  /// The first value, or empty.
  [[nodiscard]] std::string_view value(std::string_view attribute) const;
};

struct search_request {
  std::string base;
  enum class depth { entry, one, subtree } scope = depth::entry;
  std::string filter = "(objectClass=*)";
  std::vector<std::string> attributes; ///< none: no attribute at all
  std::size_t entries_max = 1;         ///< more are an answer of their own: see search_answer
};

struct search_answer {
  std::vector<entry> entries;
  bool more = false; ///< than entries_max; the rest was not read
};

/// One connection to one server, under TLS where the settings ask for it. Used by one thread at a time. Each call takes
/// as long as `patience` at most, and throws `trouble`, after which the connection is of no use.
class connection {
public:
  /// Connects and encrypts. Throws.
  connection(const settings& from, const std::string& server, std::chrono::nanoseconds patience);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// A simple bind (RFC 4513 section 5.1.3). The password is never empty: that would be a bind as nobody.
  [[nodiscard]] bind_answer bind(const std::string& name, std::string_view password, std::chrono::nanoseconds patience);
  /// An entry that is not there is an answer without entries. Throws failure(UNAVAILABLE) where the server is well and
  /// does not like the question.
  [[nodiscard]] search_answer search(const search_request& what, std::chrono::nanoseconds patience);

private:
  enum class trust { checked, anybody };
  connection(const settings& from, const std::string& server, std::chrono::nanoseconds patience, trust whom);
  /// What is wrong with the certificate of a server that could not be connected to; empty: nothing that can be seen.
  /// Connects again, trusting anybody, to look at it: nothing but the handshake goes over that connection.
  [[nodiscard]] static std::string certificate_fault(const settings& from, const std::string& server,
                                                     std::chrono::nanoseconds patience);
  struct hook;
  struct freed;
  using message = std::unique_ptr<ldapmsg, freed>;
  [[nodiscard]] message await(int number, int all, std::chrono::nanoseconds patience);
  [[nodiscard]] int result_of(ldapmsg* answer, std::string& text) const;
  [[nodiscard]] entry read_entry(ldapmsg* from) const;
  void set_options(const settings& from, std::chrono::nanoseconds patience);
  void set_tls(const settings& from, trust whom);
  [[noreturn]] void fail(const char* doing, int code) const;
  [[nodiscard]] std::string diagnostic() const;

  struct closes {
    void operator()(ldap* handle) const noexcept;
  };
  std::unique_ptr<hook> hook_; // outlives the handle
  std::unique_ptr<ldap, closes> handle_;
  std::string server_;
};

} // namespace hedwig::auth_ldap
