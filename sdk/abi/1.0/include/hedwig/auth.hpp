// SPDX-License-Identifier: Apache-2.0
// hedwig/auth.hpp - C++20 face of "hedwig.auth/1".
#pragma once

#include "auth.h"
#include "plugin.hpp"

namespace hedwig::sdk {

/// Who a client is and what the session may do from here on; see hedwig_auth_result.
struct identity {
  std::string name;
  std::vector<std::string> groups = {};
  std::vector<std::pair<std::string, std::string>> attributes = {};
  std::vector<std::string> senders = {};
  std::optional<hedwig_auth_limits> limits = {};
  std::chrono::nanoseconds cache_for{0};
};

/// What SCRAM-SHA-256 checks a proof against (RFC 5803); see hedwig_scram_result. For an unknown user throw
/// failure(NOT_FOUND): the host hides the difference.
struct scram_secret {
  std::uint32_t iterations = 0;
  std::string salt = {};       ///< bytes, not base64
  std::string stored_key = {}; ///< 32 bytes
  std::string server_key = {}; ///< 32 bytes
  identity who = {};           ///< used once the proof has matched
};

namespace detail {

/// An identity as the ABI has it; points into what it is made of.
class raw_identity {
public:
  explicit raw_identity(const identity& who) {
    for (auto& g : who.groups)
      groups_.push_back(str(g));
    for (auto& [k, v] : who.attributes)
      attributes_.push_back({str(k), str(v)});
    for (auto& s : who.senders)
      senders_.push_back(str(s));
    raw_.struct_size = sizeof raw_;
    raw_.identity = str(who.name);
    raw_.groups = groups_.data();
    raw_.group_count = groups_.size();
    raw_.attributes = attributes_.data();
    raw_.attribute_count = attributes_.size();
    raw_.senders = senders_.data();
    raw_.sender_count = senders_.size();
    raw_.limits = who.limits ? &*who.limits : nullptr;
    raw_.cache_for = who.cache_for.count();
  }
  raw_identity(const raw_identity&) = delete;
  raw_identity& operator=(const raw_identity&) = delete;
  const hedwig_auth_result* raw() const noexcept { return &raw_; }

private:
  std::vector<hedwig_str> groups_;
  std::vector<hedwig_pair> attributes_;
  std::vector<hedwig_str> senders_;
  hedwig_auth_result raw_{};
};

} // namespace detail

/// Completes `o` with OK and `who`.
inline void finish(op& o, const identity& who) {
  const detail::raw_identity result{who};
  o.finish(result.raw());
}

/// Completes `o`, one of fetch_scram, with OK and `secret`.
inline void finish(op& o, const scram_secret& secret) {
  const detail::raw_identity who{secret.who};
  const hedwig_scram_result result{
      sizeof result, secret.iterations, bytes(secret.salt), bytes(secret.stored_key), bytes(secret.server_key),
      who.raw()};
  o.finish(&result);
}

namespace detail {

template <class Provider, class Method>
void auth_call(void* self, hedwig_op* raw, const hedwig_auth_request* request, Method method) noexcept {
  guarded<Provider>(self, raw, [request, method](auto& me, op& o) {
    if constexpr (std::invocable<Method, Provider&, const hedwig_auth_request&>)
      finish(o, (me.provider.*method)(*request));
    else
      (me.provider.*method)(*request, std::move(o));
  });
}

} // namespace detail

/// Builds the C tables for a class with any of verify_password, verify_token, lookup and fetch_scram, each either
///   identity verify_password(const hedwig_auth_request&)        and throwing failure(DENIED, ...), or
///   void verify_password(const hedwig_auth_request&, op)        completing the op later; the request lives till then.
/// fetch_scram gives a scram_secret. Such a method is called on an event thread, where it must not block, unless the
/// provider is made with HEDWIG_PROVIDER_BLOCKING; several calls run at once. See detail::life for the rest of the
/// class.
template <class Provider>
struct auth_provider {
  static constexpr hedwig_auth interface() {
    hedwig_auth t{};
    t.struct_size = sizeof t;
    if constexpr (requires { &Provider::verify_password; })
      t.verify_password = [](void* self, hedwig_op* o, const hedwig_auth_request* r) {
        detail::auth_call<Provider>(self, o, r, &Provider::verify_password);
      };
    if constexpr (requires { &Provider::fetch_scram; })
      t.fetch_scram = [](void* self, hedwig_op* o, const hedwig_auth_request* r) {
        detail::auth_call<Provider>(self, o, r, &Provider::fetch_scram);
      };
    if constexpr (requires { &Provider::verify_token; })
      t.verify_token = [](void* self, hedwig_op* o, const hedwig_auth_request* r) {
        detail::auth_call<Provider>(self, o, r, &Provider::verify_token);
      };
    if constexpr (requires { &Provider::lookup; })
      t.lookup = [](void* self, hedwig_op* o, const hedwig_auth_request* r) {
        detail::auth_call<Provider>(self, o, r, &Provider::lookup);
      };
    return t;
  }
  static constexpr hedwig_auth table = interface();
  static constexpr hedwig_provider make(const char* name, const char* summary, const hedwig_config_schema* schema,
                                        std::uint32_t flags) {
    return detail::life<Provider>::make(HEDWIG_AUTH, &table, name, summary, schema, flags);
  }
};

} // namespace hedwig::sdk
