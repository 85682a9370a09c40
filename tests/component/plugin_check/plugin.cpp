// SPDX-License-Identifier: Apache-2.0
// The provider of the store with a fault. Faults in how it speaks to its host are made between the two: the store is
// given a host whose table goes through here.
#include "tests/component/plugin_check/journal_store.hpp"

#include <cstring>
#include <memory>
#include <set>

namespace {

using hedwig::sdk::key;
using base = hedwig::sdk::store_provider<hedwig::test::journal_store>;

constexpr auto path = key(HEDWIG_CONFIG_PATH, "path", "File of the journal.", HEDWIG_CONFIG_REQUIRED);
constexpr auto fault = key(HEDWIG_CONFIG_STRING, "fault", "What is wrong with this store.", 0, "none");
constexpr const hedwig_config_key* keys[] = {&path, &fault};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};
constexpr hedwig_provider sound = base::make("journal", "A simple store with a fault for the asking.", &schema, 0);

/// The host as the store sees it.
struct crooked_host {
  hedwig_host table;
  const hedwig_host* real;
  std::string fault;
  std::uint64_t completions = 0;
  std::int64_t jump_seen = 0;
};

struct crooked_instance {
  std::unique_ptr<crooked_host> host;
  void* inner = nullptr;
};

crooked_host& self(const hedwig_host* raw) {
  return *reinterpret_cast<crooked_host*>(const_cast<hedwig_host*>(raw)); // the table is its first member
}
crooked_instance& instance_of(void* raw) { return *static_cast<crooked_instance*>(raw); }

void complete(const hedwig_host* raw, const hedwig_completion* done, std::size_t count) {
  auto& me = self(raw);
  for (std::size_t i = 0; i < count; ++i) {
    auto one = done[i];
    ++me.completions;
    if (me.fault == "never-completes" && one.status == HEDWIG_E_UNSUPPORTED)
      continue;
    if (me.fault == "unknown-status" && one.status == HEDWIG_E_NOT_FOUND)
      one.status = 7;
    me.real->complete(me.real, &one, 1);
    if (me.fault == "completes-twice" && one.status == HEDWIG_E_UNSUPPORTED)
      me.real->complete(me.real, &one, 1);
  }
}

/// The wall clock's jumps reach leases that are measured with it.
hedwig_time_ns steady_clock(const hedwig_host* raw) {
  auto& me = self(raw);
  return me.fault == "leases-by-wall-clock" ? me.real->wall_clock(me.real) : me.real->steady_clock(me.real);
}

hedwig_status create(const hedwig_host* real, const hedwig_config* config, void** out, hedwig_error* error) {
  auto made = std::make_unique<crooked_instance>();
  auto fault_name = hedwig::sdk::config{hedwig::sdk::host{real}, config}.string("fault");
  made->host = std::make_unique<crooked_host>(crooked_host{*real, real, fault_name});
  made->host->table.complete = &complete;
  made->host->table.steady_clock = &steady_clock;
  auto status = sound.create(&made->host->table, config, &made->inner, error);
  if (status == HEDWIG_OK)
    *out = made.release();
  return status;
}

void start(void* raw, hedwig_op* op) { sound.start(instance_of(raw).inner, op); }
void stop(void* raw, hedwig_op* op) { sound.stop(instance_of(raw).inner, op); }
void destroy(void* raw) {
  std::unique_ptr<crooked_instance> one{&instance_of(raw)};
  sound.destroy(one->inner);
}

const hedwig_storage& table() { return *static_cast<const hedwig_storage*>(sound.interface); }
const hedwig_storage_limits* limits(void* raw) { return table().limits(instance_of(raw).inner); }
hedwig_status health(void* raw) { return table().health(instance_of(raw).inner); }
void submit(void* raw, const hedwig_storage_request* const* requests, std::size_t count) {
  table().submit(instance_of(raw).inner, requests, count);
}

constexpr hedwig_storage crooked_table{sizeof(hedwig_storage), 0, &limits, &submit, &health};

constexpr hedwig_provider make_provider() {
  auto made = sound;
  made.interface = &crooked_table;
  made.validate = nullptr;
  made.create = &create;
  made.start = &start;
  made.stop = &stop;
  made.destroy = &destroy;
  return made;
}
constexpr hedwig_provider provider = make_provider();

} // namespace

HEDWIG_PLUGIN("org.hedwig.test.storage-journal", "1.0", "Hedwig", "Apache-2.0", &provider)
