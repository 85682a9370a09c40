// SPDX-License-Identifier: Apache-2.0
// How long a session waits for its client, and the other uses of its timer.
#include "actors/session.hpp"

#include "runtime/smtp/session_clock.hpp"

namespace hedwig {

using smtp::overdue;

void session::watch_time() {
  if (closing_ || denying_ || handshaking_ || halted_ == halt::memory) { // which have the timer
    clock_.rest();
    return;
  }
  auto now = loop().now();
  if (halted_ == halt::store)
    clock_.rest();
  else if (clock_.look(*protocol_, now))
    return clock_.judge(*protocol_, now) == overdue::session ? out_of_time()
                                                             : timer_->start_at(clock_.deadline(*protocol_, now));
  timer_->cancel(); // the client waits for us
}

void session::out_of_time() {
  auto late_with = clock_.judge(*protocol_, loop().now());
  if (late_with == overdue::nothing)
    return watch_time(); // the session is too old, and its transaction may end
  relay().counts.limit_hit(limit_name(late_with)).add();
  if (late_with == overdue::session)
    protocol_->expire();
  else
    protocol_->timed_out();
  answer_questions();
}

void session::on_timeout() {
  if (awaiting_proxy_) {
    relay().counts.limit_hit("server.proxy_timeout").add();
    refuse_proxy("no whole header in time");
  } else if (halted_ == halt::memory) {
    look_for_room();
  } else if (std::exchange(denying_, false)) {
    protocol_->auth_failed();
    go_on();
  } else if (std::exchange(delaying_, false)) {
    start_protocol(false);
    stream_->resume_reading(); // what came meanwhile, where that is allowed
  } else if (handshaking_) {
    relay().counts.limit_hit("server.tls.handshake_timeout").add();
    stream_->abort(); // in between there are no words
  } else {
    out_of_time();
  }
}

} // namespace hedwig
