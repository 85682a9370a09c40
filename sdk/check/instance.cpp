// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/instance.hpp"

#include <utility>

#include "sdk/check/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check {

instance::instance(context& run) : instance{run, run.config()} {}

instance::instance(context& run, std::shared_ptr<const hedwig_config> config) : run_{run}, config_{std::move(config)} {}

// A test that failed leaves its instance as it is: the process ends, and stop() might wait for ever.
instance::~instance() = default;

hedwig_status instance::try_begin() {
  hedwig_error error{};
  if (provider().validate != nullptr && provider().validate(host_.raw(), config_.get(), &error) != HEDWIG_OK)
    throw unusable{fmt::format("validate() refuses the settings: {}", error.message)};
  auto status = provider().create(host_.raw(), config_.get(), &raw_, &error);
  expect(status == HEDWIG_OK, rules::creates, "create() gave {}: {}", name_of(status), error.message);
  auto* op = new hedwig_op; // NOLINT: it outlives a test that fails
  provider().start(raw_, op);
  host_.wait(*op);
  error_ = op->error;
  running_ = op->status == HEDWIG_OK;
  return op->status;
}

void instance::begin() {
  auto status = try_begin();
  expect(status == HEDWIG_OK, rules::completes_start, "start() completed with {}: {}", name_of(status), error_);
}

void instance::end(const std::function<void()>& stopped) {
  if (running_) {
    auto* op = new hedwig_op; // NOLINT: see above
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
