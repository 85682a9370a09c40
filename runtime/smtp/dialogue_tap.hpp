// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hedwig::smtp {

/// Hears what a client says, as far as it may be shown: no secret and no content of a message. Called on the thread of
/// the session, in the order in which things were said.
class dialogue_tap {
public:
  virtual ~dialogue_tap() = default;
  /// One line without its end, or in angle brackets what stands for something that is not shown. May hold any octet.
  virtual void client_said(std::string_view shown) = 0;
};

/// A command line as it may be shown: of AUTH the mechanism alone, and of what is no command its first word, unless
/// `after_auth`: whoever was refused AUTH may go on with his password.
[[nodiscard]] std::string shown_command(std::string_view line, bool after_auth);
/// The same of a line inside an exchange of AUTH.
[[nodiscard]] std::string shown_response(std::string_view line);
/// The same of a line of ours without its end: challenges are hidden, since a password can be guessed from some of
/// them.
[[nodiscard]] std::string shown_reply(std::string_view line);
/// "<chunk of 42 octets>"
[[nodiscard]] std::string shown_content(std::string_view what, std::uint64_t octets);

} // namespace hedwig::smtp
