// SPDX-License-Identifier: Apache-2.0
#include "actors/pinned_actor.hpp"

namespace hedwig {

caf::behavior pinned_actor::make_behavior() {
  unit_.attach(*this);
  attached_ = true;
  return begin();
}

void pinned_actor::on_exit() {
  if (!std::exchange(attached_, false))
    return;
  try {
    end();
  } catch (...) {
    report_current_exception();
  }
  unit_.detach(*this);
}

void pinned_actor::end_soon() {
  if (!std::exchange(ending_, true))
    send(this, caf::exit_msg{address(), caf::exit_reason::user_shutdown});
}

} // namespace hedwig
