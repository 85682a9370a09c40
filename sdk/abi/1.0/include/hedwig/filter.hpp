// SPDX-License-Identifier: Apache-2.0
// hedwig/filter.hpp - C++20 face of "hedwig.filter/1".
#pragma once

#include <span>

#include "filter.h"
#include "plugin.hpp"

namespace hedwig::sdk {

/// One change to a message; see hedwig_edit. `slices` are borrowed until the verdict is delivered.
struct edit {
  int kind;
  std::string name;
  std::string value;
  std::uint32_t index = 0;
  std::vector<hedwig_slice> slices = {};
  std::uint32_t flags = 0;
};

/// What a hook answers; see hedwig_verdict.
struct verdict {
  int action = HEDWIG_CONTINUE;
  std::string enhanced_code = {};
  std::string reply = {};
  std::vector<edit> edits = {};
  std::uint32_t reply_code = 0;
};

/// The groups that the provider gave with the identity, as it wrote them; none before AUTH, or from a host that does
/// not tell. They live as long as what was shown.
inline std::span<const hedwig_str> groups_of(const hedwig_filter_session& shown) noexcept {
  if (!HEDWIG_HAS(hedwig_filter_session, &shown, group_count))
    return {};
  return {shown.groups, shown.group_count};
}

/// And its attributes, such as "role"; a key may repeat.
inline std::span<const hedwig_pair> attributes_of(const hedwig_filter_session& shown) noexcept {
  if (!HEDWIG_HAS(hedwig_filter_session, &shown, attribute_count))
    return {};
  return {shown.attributes, shown.attribute_count};
}

/// Completes `o` with OK and `v`.
inline void finish(op& o, const verdict& v) {
  if (v.action == HEDWIG_CONTINUE && v.edits.empty())
    return o.finish();
  std::vector<hedwig_edit> edits;
  for (auto& e : v.edits)
    edits.push_back(
        {sizeof(hedwig_edit), e.kind, str(e.name), str(e.value), e.index, e.flags, e.slices.data(), e.slices.size()});
  std::vector<const hedwig_edit*> pointers;
  for (auto& e : edits)
    pointers.push_back(&e);
  const hedwig_verdict result{sizeof result,        v.action,     v.reply_code,    0,
                              str(v.enhanced_code), str(v.reply), pointers.data(), pointers.size()};
  o.finish(&result);
}

namespace detail {

template <class Session>
struct session_state {
  const hedwig_host* host;
  Session session;
};

template <auto Method>
struct hook;

template <class Session, class View, verdict (Session::*Method)(const View&)>
struct hook<Method> {
  static void call(void* state, hedwig_op* raw, const View* shown) noexcept {
    auto& me = *static_cast<session_state<Session>*>(state);
    op o{me.host, raw};
    try {
      finish(o, (me.session.*Method)(*shown));
    } catch (...) {
      o.fail_with_current_exception();
    }
  }
};

template <class Session, class View, void (Session::*Method)(const View&, op)>
struct hook<Method> {
  static void call(void* state, hedwig_op* raw, const View* shown) noexcept {
    auto& me = *static_cast<session_state<Session>*>(state);
    try {
      (me.session.*Method)(*shown, op{me.host, raw});
    } catch (...) { // the op completed itself when the stack unwound
    }
  }
};

} // namespace detail

/// Builds the C tables for a class whose nested `session` has a constructor
/// `session(Provider&, const hedwig_filter_session&)` and any of the hooks of filter.h, each either
///   verdict on_recipient(const hedwig_filter_address&)       or
///   void on_recipient(const hedwig_filter_address&, op)      completing the op later; what it was shown lives till
///   then.
/// The provider itself may have on_delivery, in the same two forms. Hooks are called on an event thread, where they
/// must not block, unless the provider is made with HEDWIG_PROVIDER_BLOCKING; those of one session never overlap.
template <class Provider>
struct filter_provider {
  using session = typename Provider::session;
  using state = detail::session_state<session>;

  static hedwig_status open(void* self, const hedwig_filter_session* shown, void** out) noexcept {
    auto& me = *static_cast<detail::instance<Provider>*>(self);
    try {
      *out = new state{me.host.raw(), session(me.provider, *shown)};
      return HEDWIG_OK;
    } catch (...) {
      hedwig_error error;
      auto status = detail::describe(error);
      me.host.log(HEDWIG_LOG_ERROR, "a session could not be opened", {{"reason", error.message}});
      return status;
    }
  }
  static void close(void*, void* raw) noexcept { delete static_cast<state*>(raw); }

  static constexpr hedwig_filter interface() {
    hedwig_filter t{};
    t.struct_size = sizeof t;
    t.open = &open;
    t.close = &close;
    if constexpr (requires { &session::on_connect; })
      t.on_connect = &detail::hook<&session::on_connect>::call;
    if constexpr (requires { &session::on_helo; })
      t.on_helo = &detail::hook<&session::on_helo>::call;
    if constexpr (requires { &session::on_auth; })
      t.on_auth = &detail::hook<&session::on_auth>::call;
    if constexpr (requires { &session::on_mail; })
      t.on_mail = &detail::hook<&session::on_mail>::call;
    if constexpr (requires { &session::on_recipient; })
      t.on_recipient = &detail::hook<&session::on_recipient>::call;
    if constexpr (requires { &session::on_header; })
      t.on_header = &detail::hook<&session::on_header>::call;
    if constexpr (requires { &session::on_body; })
      t.on_body = &detail::hook<&session::on_body>::call;
    if constexpr (requires { &session::on_end; })
      t.on_end = &detail::hook<&session::on_end>::call;
    if constexpr (requires { &Provider::on_delivery; })
      t.on_delivery = [](void* self, hedwig_op* raw, const hedwig_filter_delivery* shown) {
        detail::guarded<Provider>(self, raw, [shown](auto& me, op& o) {
          if constexpr (std::invocable<decltype(&Provider::on_delivery), Provider&, const hedwig_filter_delivery&>)
            finish(o, me.provider.on_delivery(*shown));
          else
            me.provider.on_delivery(*shown, std::move(o));
        });
      };
    if constexpr (requires(session & s) { s.on_reset(); }) {
      static_assert(
          requires(session & s) {
            { s.on_reset() }
            noexcept;
          },
          "on_reset cannot fail: make it noexcept");
      t.on_reset = [](void* raw) { static_cast<state*>(raw)->session.on_reset(); };
    }
    return t;
  }
  static constexpr hedwig_filter table = interface();
  static constexpr hedwig_provider make(const char* name, const char* summary, const hedwig_config_schema* schema,
                                        std::uint32_t flags) {
    return detail::life<Provider>::make(HEDWIG_FILTER, &table, name, summary, schema, flags);
  }
};

} // namespace hedwig::sdk
