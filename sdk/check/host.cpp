// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/host.hpp"

#include <hedwig/plugin.hpp>
#include <hedwig/testing/buffers.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sdk/check/rules.hpp"
#include "sdk/check/test.hpp"

void hedwig_op::called(const char* text) noexcept {
  name = text;
  if (hedwig::check::last_call != nullptr)
    std::strncpy(hedwig::check::last_call, text, hedwig::check::last_call_size - 1);
}

namespace hedwig::check {

namespace buffers = sdk::testing::buffers;

host::host(host_kind kind) : services_{std::make_unique<host_services>(clock_, kind)} {
  table_.struct_size = sizeof table_;
  table_.abi_major = HEDWIG_ABI_MAJOR;
  table_.abi_minor = HEDWIG_ABI_MINOR;
  table_.host_data = this;
  table_.product = "hedwig-plugin-check";
  table_.version = HEDWIG_VERSION;
  table_.get_interface = [](const hedwig_host* raw, const char* id) { return self(raw).services_->find(id); };
  table_.log_level = [](const hedwig_host* raw) -> std::int32_t { return self(raw).log_level_; };
  table_.log = &host::log;
  table_.complete = &host::complete;
  table_.op_deadline = [](const hedwig_host*, const hedwig_op*) -> hedwig_time_ns { return INT64_MAX; };
  table_.op_cancelled = [](const hedwig_host*, const hedwig_op* op) -> std::int32_t { return op->cancelled ? 1 : 0; };
  table_.buf_alloc = buffers::allocate;
  table_.buf_wrap = buffers::wrap;
  table_.buf_retain = buffers::retain;
  table_.buf_release = buffers::release;
  table_.wall_clock = [](const hedwig_host* raw) { return self(raw).clock_.wall(); };
  table_.steady_clock = [](const hedwig_host* raw) { return self(raw).clock_.steady(); };
  if (kind.structs == shape::longer)
    ++table_.abi_minor;
  if (kind.structs != shape::plain)
    shown_ = show(kind.structs, table_);
}

host::~host() = default;

void host::log(const hedwig_host* raw, const hedwig_log_record* record) {
  std::string text{sdk::view(record->message)};
  for (std::size_t i = 0; i < record->field_count; ++i)
    text += fmt::format(" {}={}", sdk::view(record->fields[i].key), sdk::view(record->fields[i].value));
  std::fprintf(stderr, "log: %s\n", text.c_str());
  auto& me = self(raw);
  std::lock_guard guard{me.mutex_};
  if (me.logs_.size() < me.logs_max_)
    me.logs_.push_back(std::move(text));
}

void host::complete(const hedwig_host* raw, const hedwig_completion* done, std::size_t count) {
  auto& me = self(raw);
  std::lock_guard guard{me.mutex_};
  for (std::size_t i = 0; i < count; ++i)
    me.take(done[i]);
  me.changed_.notify_all();
}

void host::take(const hedwig_completion& done) {
  auto& op = *done.op;
  auto note = [this](const rule& which, std::string saw) {
    if (!breach_)
      breach_ = {&which, std::move(saw)};
  };
  if (op.completions++ != 0)
    return note(rules::exactly_once, fmt::format("{} was completed a second time, first with {}, now with {}", op.name,
                                                 name_of(op.status), name_of(done.status)));
  if (done.status > HEDWIG_OK || done.status < HEDWIG_E_INTERNAL)
    note(rules::known_status,
         fmt::format("{} was completed with {}, which base.h does not define", op.name, done.status));
  op.status = done.status;
  if (done.error != nullptr) {
    op.error.assign(done.error->message, ::strnlen(done.error->message, sizeof done.error->message));
    op.os_errno = done.error->os_errno;
  }
  try {
    op.take(done);
  } catch (const broken& e) {
    note(e.which(), e.what());
  }
  op.let_go();
}

void host::breach(const rule& which, std::string saw) {
  std::lock_guard guard{mutex_};
  if (!breach_)
    breach_ = {&which, std::move(saw)};
  changed_.notify_all();
}

void host::judge() {
  if (buffers::released_too_often)
    throw broken{rules::buffer_references, "a buffer was released more often than it was retained"};
  std::lock_guard guard{mutex_};
  if (breach_)
    throw broken{*breach_->which, breach_->saw};
}

namespace {
constinit std::chrono::seconds longest_wait{60};
}

std::chrono::seconds host::wait_max() { return longest_wait; }
void host::test_ends_in(std::chrono::seconds limit) {
  longest_wait = std::clamp(limit / 2, std::chrono::seconds{1}, std::chrono::seconds{60});
}

bool host::wait_until(const std::function<bool()>& holds) {
  std::unique_lock guard{mutex_};
  return changed_.wait_for(guard, wait_max(), holds);
}

void host::wait(const hedwig_op& op) {
  bool done = wait_until([&] { return op.completions > 0; });
  judge();
  expect(done, rules::exactly_once, "{} was not completed within {} seconds", op.name, wait_max().count());
}

std::vector<std::string> host::logs() {
  std::lock_guard guard{mutex_};
  return logs_;
}

std::int64_t host::buffers_alive() { return buffers::alive; }

hedwig_slice host::copy(std::string_view text) const {
  std::uint8_t* data = nullptr;
  auto* buffer = buffers::allocate(&table_, text.size(), &data);
  std::memcpy(data, text.data(), text.size());
  return {buffer, data, text.size()};
}

} // namespace hedwig::check
