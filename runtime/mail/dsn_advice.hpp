// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hedwig::mail {

/// What a status means to the person who sent the message, in plain words.
struct dsn_advice {
  std::string_view meaning; ///< one sentence
  std::string_view action;  ///< what to do, one or two sentences
};

/// For a well-formed RFC 3463 status ("5.1.1"); the class digit does not matter. Always answers something.
[[nodiscard]] dsn_advice advice_for(std::string_view status) noexcept;

} // namespace hedwig::mail
