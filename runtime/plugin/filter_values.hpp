// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/filter.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/buffer.hpp"
#include "runtime/base/error.hpp"
#include "runtime/base/message_id.hpp"
#include "runtime/plugin/auth_values.hpp"

namespace hedwig::plugin {

enum class hook : std::uint8_t { connect, helo, auth, mail, recipient, header, body, end, delivery };

/// "on_connect": for logs.
[[nodiscard]] const char* to_string(hook which) noexcept;

enum class verdict_action : std::uint8_t { proceed, accept, reject, tempfail, discard, quarantine, disconnect };

enum class edit_kind : std::uint8_t {
  add_header,
  insert_header,
  replace_header,
  delete_header,
  replace_body,
  add_recipient,
  delete_recipient,
  change_sender,
};

/// One change; see hedwig_edit. Names and values are checked: no CR, LF or NUL, names are RFC 5322 field names. Only
/// the value of a field that is `folded` has CR LF, each followed by white space and something more.
struct edit {
  edit_kind kind{};
  std::string name;
  std::string value;
  std::uint32_t index = 0;
  rope body; ///< of replace_body
  bool folded = false;

  /// RFC 5322, section 2.1.1, less the longest name and its colon.
  static constexpr std::size_t folded_line_max = 920;
};

/// A checked answer. For reject, tempfail and disconnect the three reply members are always filled in, with the host's
/// choice where the filter left them empty; for quarantine `text` is the reason.
struct verdict {
  verdict_action action = verdict_action::proceed;
  int code = 0;
  std::string enhanced_code; ///< "5.7.1"
  std::string text;          ///< printable UTF-8, one line, at most max_reply_text bytes
  std::vector<edit> edits;   ///< to be applied together

  static constexpr std::size_t max_reply_text = 1024;
  static constexpr std::size_t max_edits = 1000;
  static constexpr std::size_t max_edit_value = 64 * 1024;
};

/// Checks what a filter answered at `at` and copies it; INVALID with what was wrong with it otherwise.
[[nodiscard]] result<verdict> check_verdict(const hedwig_verdict* raw, hook at);

/// What hooks are shown of the session; grows as the session does.
struct filter_session_view {
  bool tls = false;
  bool client_certificate = false;
  std::string session;
  std::string listener;
  std::string peer;
  std::string peer_name;
  std::string local;
  std::string tls_version;
  std::string tls_cipher;
  std::string helo;
  std::string identity;
  std::shared_ptr<const user_facts> user = nullptr; ///< of the identity; null: nothing is known
};

struct filter_address {
  std::string address; ///< without <>; empty for the null sender
  std::vector<std::pair<std::string, std::string>> parameters;
};

struct filter_header {
  std::uint32_t index = 0; ///< among all fields, from 1
  std::string name;
  std::string value; ///< unfolded
  std::string raw;   ///< as received, with the CRLF
};

struct filter_message {
  message_id id;
  std::string sender;
  std::vector<std::string> recipients;
  std::uint64_t size = 0;
};

struct filter_delivery {
  filter_message message;
  std::uint32_t attempt = 1;
  std::string destination;
};

} // namespace hedwig::plugin
