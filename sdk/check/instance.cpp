// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/instance.hpp"

#include <cstring>
#include <utility>

#include "sdk/check/rules.hpp"
#include "sdk/check/test.hpp"
#include "sdk/check/thread_class.hpp"

namespace hedwig::check {

namespace {

/// Of stop: what holds from the moment of its completion.
struct stop_op : hedwig_op {
  stop_op(host& at, std::set<pid_t>& threads) : at_{at}, threads_{threads} {}
  void take(const hedwig_completion&) override {
    at_.services().forget_timers();
    threads_ = foreign_threads();
  }

private:
  host& at_;
  std::set<pid_t>& threads_;
};

} // namespace

instance::instance(context& run) : instance{run, run.config()} {}

instance::instance(context& run, std::shared_ptr<const hedwig_config> config, host_kind kind)
  : run_{run}, host_{kind}, config_{std::move(config)} {}

// A test that failed leaves its instance as it is: the process ends, and stop() might wait for ever.
instance::~instance() = default;

hedwig_status instance::try_create() {
  as_thread control{thread_class::control};
  hedwig_error error{};
  auto status = HEDWIG_OK;
  if (provider().validate != nullptr)
    status = provider().validate(host_.raw(), config_.get(), &error);
  if (status == HEDWIG_OK)
    status = provider().create(host_.raw(), config_.get(), &raw_, &error);
  error_.assign(error.message, ::strnlen(error.message, sizeof error.message));
  where_.assign(error.where, ::strnlen(error.where, sizeof error.where));
  return status;
}

hedwig_status instance::try_begin() {
  as_thread control{thread_class::control};
  hedwig_error error{};
  if (provider().validate != nullptr && provider().validate(host_.raw(), config_.get(), &error) != HEDWIG_OK)
    throw unusable{fmt::format("validate() refuses the settings: {}", error.message)};
  auto status = provider().create(host_.raw(), config_.get(), &raw_, &error);
  expect(status == HEDWIG_OK, rules::creates, "create() gave {}: {}", name_of(status), error.message);
  return try_start();
}

hedwig_status instance::try_start() {
  as_thread control{thread_class::control};
  auto* op = new hedwig_op; // NOLINT: it outlives a test that fails
  op->called("start()");
  provider().start(raw_, op);
  host_.wait(*op);
  error_ = op->error;
  running_ = op->status == HEDWIG_OK;
  return op->status;
}

void instance::drop() {
  as_thread control{thread_class::control};
  provider().destroy(std::exchange(raw_, nullptr));
  host_.judge();
}

void instance::begin() {
  auto status = try_begin();
  expect(status == HEDWIG_OK, rules::completes_start, "start() completed with {}: {}", name_of(status), error_);
}

hedwig_status instance::reload(std::shared_ptr<const hedwig_config> config) {
  as_thread control{thread_class::control};
  old_configs_.push_back(std::move(config));
  auto* op = new hedwig_op; // NOLINT: see above
  op->called("reload()");
  provider().reload(raw_, op, old_configs_.back().get());
  host_.wait(*op);
  error_ = op->error;
  return op->status;
}

void instance::end(const std::function<void()>& stopped) {
  as_thread control{thread_class::control};
  if (running_) {
    auto* op = new stop_op{host_, threads_at_stop_}; // NOLINT: see above
    op->called("stop()");
    provider().stop(raw_, op);
    host_.wait(*op);
    expect(op->status == HEDWIG_OK, rules::completes_stop, "stop() completed with {}: {}", name_of(op->status),
           op->error);
    if (stopped)
      stopped();
  }
  running_ = false;
  if (raw_ != nullptr)
    provider().destroy(std::exchange(raw_, nullptr));
  host_.judge();
}

} // namespace hedwig::check
