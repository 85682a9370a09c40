// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "runtime/smtp/server_session.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

/// How a session is played: what its listener is like, where its bytes are cut.
struct session_scene {
  smtp::server_settings settings;
  smtp::connection_facts facts;
  unsigned cuts = cut_nowhere;
  bool staged = false; ///< what came of a message is taken away after every piece
};

/// Settings from two octets, so that an input can reach each of them.
[[nodiscard]] session_scene scene_of(std::uint8_t options, std::uint8_t switched_off);

/// A client's bytes against a session whose owner decides by what it is asked, and never by when.
class session_player {
public:
  explicit session_player(const session_scene& scene);

  void feed(std::string_view bytes);
  /// T: TLS is up, if it was asked for; B: the body so far is staged; A: the message is given up; O, D, F: the session
  /// times out, is shut down, fails.
  void event(char which);

  /// Everything that can be seen from outside: replies, questions, stored messages, the end.
  [[nodiscard]] const std::string& transcript() const noexcept { return transcript_; }
  [[nodiscard]] const smtp::server_session& session() const noexcept { return session_; }

private:
  void settle();
  void take_replies();
  void note(std::string_view what, std::string_view detail);
  void check_message(const smtp::ask::take_message& what, const std::string& text) const;
  void accept_or_refuse(std::string_view about);
  void on(smtp::ask::check_connect&);
  void on(smtp::ask::check_helo& what);
  void on(smtp::ask::start_tls&) {}
  void on(smtp::ask::xclient& what);
  void on(smtp::ask::authenticate& what);
  void on(smtp::ask::settle_login& what);
  void on(smtp::ask::check_mail& what);
  void on(smtp::ask::check_recipient& what);
  void on(smtp::ask::check_data& what);
  void on(smtp::ask::take_message& what);
  void on(smtp::ask::end&) {}

  session_scene scene_;
  smtp::server_session session_;
  std::string transcript_;
  std::string staged_;
  bool end_noted_ = false;
};

/// The whole of it, with the events in `input` (see parts_of()).
[[nodiscard]] std::string play_session(const session_scene& scene, std::string_view input);

} // namespace hedwig::fuzz
