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

/// Completes `o` with OK and `who`.
inline void finish(op& o, const identity& who) {
  std::vector<hedwig_str> groups;
  for (auto& g : who.groups)
    groups.push_back(str(g));
  std::vector<hedwig_pair> attributes;
  for (auto& [k, v] : who.attributes)
    attributes.push_back({str(k), str(v)});
  std::vector<hedwig_str> senders;
  for (auto& s : who.senders)
    senders.push_back(str(s));
  hedwig_auth_result result{};
  result.struct_size = sizeof result;
  result.identity = str(who.name);
  result.groups = groups.data();
  result.group_count = groups.size();
  result.attributes = attributes.data();
  result.attribute_count = attributes.size();
  result.senders = senders.data();
  result.sender_count = senders.size();
  result.limits = who.limits ? &*who.limits : nullptr;
  result.cache_for = who.cache_for.count();
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

/// Builds the C tables for a class with any of verify_password, verify_token and lookup, each either
///   identity verify_password(const hedwig_auth_request&)        and throwing failure(DENIED, ...), or
///   void verify_password(const hedwig_auth_request&, op)        completing the op later; the request lives till then.
template <class Provider>
struct auth_provider {
  static constexpr hedwig_auth interface() {
    hedwig_auth t{};
    t.struct_size = sizeof t;
    if constexpr (requires { &Provider::verify_password; })
      t.verify_password = [](void* self, hedwig_op* o, const hedwig_auth_request* r) {
        detail::auth_call<Provider>(self, o, r, &Provider::verify_password);
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
