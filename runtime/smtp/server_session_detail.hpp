// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "runtime/base/error.hpp"
#include "runtime/smtp/server_session.hpp"

// Shared by the two source files of server_session; nobody else includes it.
namespace hedwig::smtp {

template <class Question, class... Fields>
void server_session::ask_owner(Fields&&... fields) {
  question_.emplace(Question{std::forward<Fields>(fields)...});
}

// Closes the open question if it is of this kind.
template <class Question>
bool server_session::answers() {
  if (!question_ || !std::holds_alternative<Question>(*question_))
    return false;
  question_.reset();
  return true;
}

} // namespace hedwig::smtp
