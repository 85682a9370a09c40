// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/check/filter/hook.hpp"
#include "sdk/check/instance.hpp"
#include "sdk/check/settings.hpp"

namespace hedwig::check::filter {

class session;

/// A filter's instance as the relay has it. Never destroyed before a test is good: what a hook was shown may still be
/// in use.
class desk {
public:
  /// `watched`: looks at what hooks were shown, once they are completed, are noticed.
  explicit desk(context& run, bool watched = false);
  void open(); ///< create, start. Throws broken.
  /// stop, destroy, `stopped` between them. Throws broken.
  void close(const std::function<void()>& stopped = {}) { instance_.end(stopped); }

  const hedwig_filter& table() const { return table_; }
  host& services() { return instance_.services(); }
  instance& life() { return instance_; }
  bool is_completed(const hook_op& op);
  bool watched() const { return watched_; }
  /// on_delivery of the message; CONTINUE where the filter has none.
  op_pointer deliver(const known_message& what);

private:
  const hedwig_filter& table_;
  instance instance_;
  bool watched_;
  std::vector<op_pointer> all_; ///< so that a second completion finds its op
};

/// A desk that is open.
desk& open_desk(context& run, bool watched = false);

/// One call of a session, as the relay makes it.
struct step {
  hook which;
  std::string name, value; ///< address, or field, or bytes of the body in `value`
};

/// All steps of a client that sends one message, its body in pieces of `piece` bytes (0: in one).
std::vector<step> steps_of(const known_message& what, std::size_t piece = 0);

/// One client's session. What it is not told is not known: recipients and size come from the steps that were made.
/// Calls on one thread at a time; any.
class session {
public:
  session(desk& at, const known_message& client);
  /// Not closed: of a test that failed.
  ~session() = default;

  /// Makes the call and waits; without effect where the filter has no such hook, has accepted the message, or the
  /// message was refused before.
  void play(const step& one);
  void play(const std::vector<step>& all);
  /// Makes the call and does not wait; null where there is none to be made. Nothing may follow before it is completed.
  op_pointer begin(const step& one, bool cancelled = false);
  /// The message is over; the next one may follow.
  void reset();
  void close();

  /// What was said, CONTINUE of on_body left out: how many pieces there were is no matter.
  const std::vector<verdict_copy>& said() const { return said_; }
  const std::vector<blemishes>& wrong() const { return wrong_; }
  /// Forgets said() and wrong(), and the ops behind them.
  void forget();

private:
  void open();
  void conclude(const step& one, const op_pointer& op);
  const void* shown(const step& one, hook_op& op);
  void call(const step& one, hook_op& op);
  hedwig_filter_session* shown_session(hook_op& op, bool greeted, bool authenticated) const;

  desk& at_;
  known_message client_;
  void* state_ = nullptr;
  bool open_ = false;
  bool over_ = false; ///< the message in hand was refused, or accepted without more hooks
  bool greeted_ = false;
  bool authenticated_ = false;
  std::string sender_;
  std::vector<std::string> recipients_;
  std::uint32_t fields_ = 0;
  std::uint64_t size_ = 0;
  std::vector<op_pointer> ops_;
  std::vector<verdict_copy> said_;
  std::vector<blemishes> wrong_;
};

/// Throws broken unless the hook's status is one of a filter that works: HEDWIG_OK, or temporary.
void expect_sound(const session& one, const rule& which, std::string_view asked_what);
/// Throws broken unless both said the same.
void expect_the_same(const std::vector<verdict_copy>& wanted, const std::vector<verdict_copy>& got, const rule& which,
                     std::string_view asked_what);

} // namespace hedwig::check::filter
