// SPDX-License-Identifier: Apache-2.0
// An auth provider that does wrong on demand; otherwise everybody is who he says he is if the password is "right".
#include "tests/component/plugins/bad_plugin.hpp"

namespace {

struct bad_auth : bad::provider {
  using provider::provider;
};

void verify_password(void* self, hedwig_op* op, const hedwig_auth_request* request) {
  auto& me = static_cast<hedwig::sdk::detail::instance<bad_auth>*>(self)->provider;
  if (me.misbehave(op))
    return;
  hedwig_auth_result yes{};
  yes.struct_size = sizeof yes;
  if (me.does("nobody"))
    return me.finish(op, &yes);
  yes.identity = request->username;
  if (hedwig::sdk::view(request->secret) != "right")
    return me.finish(op, nullptr, HEDWIG_E_DENIED);
  me.finish(op, &yes);
}

constexpr hedwig_auth make_table() {
  hedwig_auth made{};
  made.struct_size = sizeof made;
  made.verify_password = verify_password;
  return made;
}
constexpr auto table = make_table();
constexpr auto auth = hedwig::sdk::detail::life<bad_auth>::make(HEDWIG_AUTH, &table, "bad", "Does wrong on demand.",
                                                                &bad::schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test-bad-auth", "1.0.0", "Hedwig", "Apache-2.0", &auth)
