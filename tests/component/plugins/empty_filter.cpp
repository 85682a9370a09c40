// SPDX-License-Identifier: Apache-2.0
// A filter that has every hook and does nothing in any: what is left is what the host's side costs.
#include <hedwig/filter.h>
#include <hedwig/plugin.hpp>

namespace {

const hedwig_host* host = nullptr;

struct empty_filter {
  empty_filter(hedwig::sdk::host from, const hedwig::sdk::config&) { host = from.raw(); }
};

template <class Shown>
void answer(void*, hedwig_op* op, const Shown*) {
  hedwig_completion done{op, HEDWIG_OK, 0, nullptr, nullptr};
  host->complete(host, &done, 1);
}

constexpr hedwig_filter make_table() {
  hedwig_filter made{};
  made.struct_size = sizeof made;
  made.open = [](void* self, const hedwig_filter_session*, void** state) -> hedwig_status {
    *state = self;
    return HEDWIG_OK;
  };
  made.close = [](void*, void*) {};
  made.on_connect = answer;
  made.on_helo = answer;
  made.on_auth = answer;
  made.on_mail = answer;
  made.on_recipient = answer;
  made.on_header = answer;
  made.on_body = answer;
  made.on_end = answer;
  made.on_reset = [](void*) {};
  return made;
}
constexpr auto table = make_table();
constexpr auto provider = hedwig::sdk::detail::life<empty_filter>::make(
    HEDWIG_FILTER, &table, "empty", "Does nothing at every hook.", nullptr, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test-empty-filter", "1.0.0", "Hedwig", "Apache-2.0", &provider)
