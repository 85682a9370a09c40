// SPDX-License-Identifier: Apache-2.0
// A filter that does wrong on demand; otherwise it marks the message.
#include "tests/component/plugins/bad_plugin.hpp"

namespace {

using hedwig::sdk::str;

struct bad_filter : bad::provider {
  using provider::provider;
};

const bad_filter& of(void* state) { return static_cast<hedwig::sdk::detail::instance<bad_filter>*>(state)->provider; }

hedwig_verdict answer(std::int32_t action, std::string_view text = {}) {
  return {sizeof(hedwig_verdict), action, 0, 0, {}, str(text), nullptr, 0};
}

void finish_with(const bad_filter& me, hedwig_op* op, hedwig_edit edit) {
  const hedwig_edit* edits[] = {&edit};
  auto with_edit = answer(HEDWIG_CONTINUE);
  with_edit.edits = edits;
  with_edit.edit_count = 1;
  me.finish(op, &with_edit);
}

void on_recipient(void* state, hedwig_op* op, const hedwig_filter_address*) {
  auto& me = of(state);
  if (me.does("edit-too-early"))
    return finish_with(me, op, {sizeof(hedwig_edit), HEDWIG_EDIT_ADD_HEADER, str("X-Bad"), str("1"), 0, 0, nullptr, 0});
  me.finish(op);
}

void on_end(void* state, hedwig_op* op, const hedwig_filter_message*) {
  auto& me = of(state);
  if (me.misbehave(op))
    return;
  auto unknown = answer(99);
  auto malformed = answer(HEDWIG_REJECT, "no\r\n250 yes");
  if (me.does("unknown-verdict"))
    me.finish(op, &unknown);
  else if (me.does("malformed-reply"))
    me.finish(op, &malformed);
  else if (me.does("unknown-edit"))
    finish_with(me, op, {sizeof(hedwig_edit), 77, str("X-Bad"), str("1"), 0, 0, nullptr, 0});
  else
    finish_with(me, op, {sizeof(hedwig_edit), HEDWIG_EDIT_ADD_HEADER, str("X-Filtered"), str("yes"), 0, 0, nullptr, 0});
}

constexpr hedwig_filter make_table() {
  hedwig_filter made{};
  made.struct_size = sizeof made;
  made.on_recipient = on_recipient;
  made.on_end = on_end;
  return made;
}
constexpr auto table = make_table();
constexpr auto filter = hedwig::sdk::detail::life<bad_filter>::make(
    HEDWIG_FILTER, &table, "bad", "Does wrong on demand.", &bad::schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test-bad-filter", "1.0.0", "Hedwig", "Apache-2.0", &filter)
