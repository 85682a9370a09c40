// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/auth.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/check/blemish.hpp"
#include "sdk/check/host.hpp"
#include "sdk/check/lent_memory.hpp"

namespace hedwig::check::auth {

enum class slot { password, scram, token, lookup };
const char* name_of(slot which);

/// What the plugin is asked.
struct asked {
  slot which = slot::password;
  std::string username;
  std::string secret;
  std::string authorize_as = {};
  bool cancelled = false; ///< from the start
};

/// Who a user is, as the result has it, with memory of its own.
struct identity_copy {
  std::string name;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::string> senders;
  std::int64_t cache_for = 0;
  bool operator==(const identity_copy&) const = default;
};

struct answer {
  hedwig_status status = 1;
  std::string error;
  identity_copy who;
  std::uint32_t iterations = 0;
  std::string salt, stored_key, server_key;
  std::optional<blemish> empty;   ///< a yes that says not to whom
  std::optional<blemish> strange; ///< what is wrong with it otherwise
};

/// A question with the memory it is asked with, which goes the moment it is completed.
class auth_op : public hedwig_op {
public:
  auth_op(asked what, bool watched);
  void take(const hedwig_completion& done) override;
  void let_go() override { memory_.take_back(); }

  const asked what;
  const hedwig_auth_request* request = nullptr;
  answer got;

private:
  void take_identity(const hedwig_auth_result* raw);
  void take_secret(const hedwig_scram_result* raw);
  lent_memory memory_;
};

using op_pointer = std::shared_ptr<auth_op>;

} // namespace hedwig::check::auth
