// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "runtime/plugin/instance.hpp"

namespace hedwig::plugin {

/// An auth provider as the authenticator sees it. Asynchronous, never blocks, callable from every thread. Outcomes are
/// those of <hedwig/auth.h>: an identity; DENIED; NOT_FOUND, ask the next one; everything else is temporary.
class auth_provider {
public:
  /// INVALID when the instance is of another interface.
  [[nodiscard]] static result<std::shared_ptr<auth_provider>> make(std::shared_ptr<instance> owner);

  [[nodiscard]] bool verifies_passwords() const noexcept;
  [[nodiscard]] bool verifies_tokens() const noexcept;
  [[nodiscard]] bool fetches_scram() const noexcept;
  [[nodiscard]] bool looks_up() const noexcept;

  /// Each gives an `identity`, fetch_scram a `scram_secret`; UNSUPPORTED when the provider lacks it.
  void verify_password(auth_request request, reply_to reply);
  void verify_token(auth_request request, reply_to reply);
  void fetch_scram(auth_request request, reply_to reply);
  void lookup(auth_request request, reply_to reply);

  [[nodiscard]] const std::shared_ptr<instance>& owner() const noexcept { return owner_; }

private:
  explicit auth_provider(std::shared_ptr<instance> owner);
  void ask(std::uint8_t kind, hedwig_auth_fn function, const char* call, auth_request request, reply_to reply);

  std::shared_ptr<instance> owner_;
  hedwig_auth table_{};
};

} // namespace hedwig::plugin
