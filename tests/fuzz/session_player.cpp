// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/session_player.hpp"

#include <fmt/format.h>

#include "runtime/smtp/sasl_scram.hpp"

namespace hedwig::fuzz {

namespace {

constexpr std::size_t small_body_octets_max = 1000;

void check_line(std::string_view line) {
  demand(line.size() >= 4 && line.size() <= 2000, "a reply line is neither empty nor endless");
  for (auto at : {0, 1, 2})
    demand(line[static_cast<std::size_t>(at)] >= '0' && line[static_cast<std::size_t>(at)] <= '9',
           "a reply has a code");
  demand(line[3] == ' ' || line[3] == '-', "a reply's code ends");
  for (auto c : line)
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in a reply");
  demand(mail::is_utf8(line), "replies are UTF-8");
}

void check_replies(std::string_view output) {
  while (!output.empty()) {
    auto end = output.find("\r\n");
    demand(end != std::string_view::npos, "replies are whole lines");
    check_line(output.substr(0, end));
    output.remove_prefix(end + 2);
  }
}

std::string parameters_of(const smtp::mail_parameters& of) {
  demand(of.envelope_id.size() <= smtp::envelope_id_octets_max, "ENVID has its limit");
  demand(of.envelope_id.empty() || smtp::decode_xtext(of.envelope_id), "ENVID is xtext");
  return fmt::format("{} {} {} {} {}", of.size ? *of.size : 0, static_cast<int>(of.body), of.smtputf8,
                     static_cast<int>(of.returns), of.envelope_id);
}

std::string parameters_of(const smtp::rcpt_parameters& of) {
  demand((of.notify & smtp::notify_never) == 0 || of.notify == smtp::notify_never, "NEVER stands alone");
  for (auto c : of.original_recipient)
    demand(c > 0x20 && c < 0x7f, "ORCPT is printable");
  return fmt::format("{} {}", of.notify, of.original_recipient);
}

void check_address(const mail::address& what, bool smtputf8) {
  for (auto c : what.text())
    demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in an address");
  demand(what.text().size() <= mail::address_octets_max, "addresses have their limit");
  demand(smtputf8 || !what.needs_smtputf8(), "no UTF-8 without SMTPUTF8");
  if (!what.empty() && !what.domain().empty())
    demand(mail::address::parse(what.text()).has_value(), "an address stays one");
}

} // namespace

session_scene scene_of(std::uint8_t options, std::uint8_t switched_off) {
  session_scene scene;
  auto& s = scene.settings;
  s.hostname = "relay.example.test";
  s.make_nonce = [] { return std::string{"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"}; };
  s.starttls = true;
  s.mechanisms = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"};
  s.limits = {.data = {.body_octets_max = small_body_octets_max, .line_octets_max = 200},
              .recipients_max = 3,
              .messages_max = 4,
              .bad_commands_max = 10,
              .auth_failures_max = 2,
              .command_octets_max = 20'000,
              .swallowed_octets_max = 4'000};
  s.limits.data.endings = (options & 1) != 0 ? smtp::line_endings::normalize : smtp::line_endings::strict;
  if ((options & 2) != 0)
    scene.facts.tls = smtp::tls_facts{"TLSv1.3", "TLS_AES_256_GCM_SHA384", {}};
  s.require_tls = (options & 4) != 0;
  s.require_auth = (options & 8) != 0;
  s.auth_in_clear = (options & 16) != 0;
  scene.facts.can.channel_binding = (options & 32) != 0;
  scene.facts.peer_ip = (options & 64) != 0 ? "2001:db8::1" : "192.0.2.1";
  s.xclient = scene.facts.may_xclient = scene.facts.may_xclient_login = (options & 64) != 0;
  if ((options & 128) != 0)
    s.limits.bad_commands_max = 1000;
  auto on = [switched_off](unsigned bit) { return (switched_off >> bit & 1) == 0; };
  s.pipelining = on(0);
  s.size = on(1);
  s.eight_bit_mime = on(2);
  s.smtputf8 = on(3);
  s.dsn = on(4);
  s.chunking = on(5);
  s.binary_mime = on(6);
  s.tell_limits = on(7);
  return scene;
}

session_player::session_player(const session_scene& scene)
  : scene_{scene}, session_{std::make_shared<smtp::server_settings>(scene.settings), scene.facts} {
  session_.start();
  settle();
}

void session_player::feed(std::string_view bytes) {
  in_pieces(bytes, scene_.cuts, [this](std::string_view piece) {
    while (!piece.empty() && !session_.ended() && session_.pending() == nullptr) {
      auto bound = session_.receiving() ? session_.body_octets_held_after(piece.size()) : std::string::npos;
      auto used = session_.feed(piece);
      demand(used != 0, "a session that asks nothing takes bytes");
      demand(used <= piece.size(), "a session takes no more than there is");
      demand(session_.body_octets_held() <= bound, "a session holds no more than it announced");
      piece.remove_prefix(used);
      settle();
    }
    if (scene_.staged)
      event('B');
  });
}

void session_player::event(char which) {
  auto* asked = session_.pending();
  switch (which) {
  case 'T':
    if (asked != nullptr && std::holds_alternative<smtp::ask::start_tls>(*asked))
      session_.tls_started({"TLSv1.3", "TLS_AES_256_GCM_SHA384", {}});
    break;
  case 'B':
    if (session_.receiving())
      staged_ += session_.take_body().flatten();
    break;
  case 'A':
    if (session_.receiving())
      session_.abandon_message({451, {4, 3, 1}, "out of room"});
    break;
  case 'O':
    session_.timed_out();
    break;
  case 'D':
    session_.shut_down();
    break;
  case 'F':
    session_.fail();
    break;
  default:
    break;
  }
  settle();
}

void session_player::settle() {
  take_replies();
  for (auto* asked = session_.pending(); asked != nullptr; asked = session_.pending()) {
    if (std::holds_alternative<smtp::ask::start_tls>(*asked))
      break;
    if (auto* end = std::get_if<smtp::ask::end>(asked)) {
      if (!std::exchange(end_noted_, true))
        note("end", smtp::to_string_view(end->reason));
      break;
    }
    std::visit([this](auto& what) { on(what); }, *asked);
    take_replies();
  }
}

void session_player::take_replies() {
  auto output = session_.take_output();
  demand(output.empty() || !end_noted_, "nothing is said behind the end");
  check_replies(output);
  transcript_ += output;
}

void session_player::note(std::string_view what, std::string_view detail) {
  transcript_ += fmt::format("{{{}: {}}}\n", what, detail);
}

void session_player::accept_or_refuse(std::string_view about) {
  if (about.find("refuse") != std::string_view::npos)
    session_.refuse({550, {5, 7, 1}, fmt::format("not {}", about)});
  else if (about.find("later") != std::string_view::npos)
    session_.refuse({451, {4, 7, 1}, "later"});
  else if (about.find("away") != std::string_view::npos)
    session_.refuse({421, {4, 7, 0}, "go away"});
  else
    session_.accept();
}

void session_player::on(smtp::ask::check_connect&) { session_.accept(); }

void session_player::on(smtp::ask::check_helo& what) {
  demand(what.name.size() <= smtp::helo_octets_max, "a name in EHLO has its limit");
  note(what.extended ? "ehlo" : "helo", what.name);
  accept_or_refuse(what.name);
}

void session_player::on(smtp::ask::xclient& what) {
  auto facts = session_.facts();
  auto text_of = [](auto& from) { return from ? from->text : std::string{}; };
  if (what.who.addr)
    facts.peer_ip = what.who.addr->text;
  note("xclient", facts.peer_ip);
  session_.client_changed(std::make_shared<smtp::server_settings>(session_.settings()), facts, text_of(what.who.login),
                          text_of(what.who.helo), what.who.extended.value_or(true));
}

void session_player::on(smtp::ask::check_mail& what) {
  check_address(what.reverse_path, what.parameters.smtputf8);
  note("mail", fmt::format("{} {}", what.reverse_path.text(), parameters_of(what.parameters)));
  accept_or_refuse(what.reverse_path.text());
}

void session_player::on(smtp::ask::check_recipient& what) {
  check_address(what.forward_path, what.so_far.parameters.smtputf8);
  demand(!what.forward_path.empty(), "no recipient is the null path");
  demand(what.so_far.recipients.size() < scene_.settings.limits.recipients_max, "recipients have their limit");
  note("rcpt", fmt::format("{} {}", what.forward_path.text(), parameters_of(what.parameters)));
  accept_or_refuse(what.forward_path.text());
}

void session_player::on(smtp::ask::check_data& what) {
  staged_.clear();
  demand(!what.envelope.recipients.empty(), "no DATA without a recipient");
  accept_or_refuse(what.envelope.recipients[0].forward_path.text().find("nodata") != std::string::npos ? "refuse" : "");
}

void session_player::on(smtp::ask::authenticate& what) {
  auto& who = what.who;
  demand(who.username.size() <= smtp::credential_octets_max && who.authorize_as.size() <= smtp::credential_octets_max,
         "names have their limit");
  demand(who.password.view().size() <= smtp::token_octets_max, "secrets have their limit");
  note("authenticate", fmt::format("{} {} {} {} {}", what.mechanism, who.username, who.authorize_as,
                                   who.password.view(), who.channel_binding));
  if (who.username == "down")
    session_.auth_unavailable();
  else if (who.question == smtp::sasl_question::scram)
    session_.scram_keys_found(smtp::scram_pretender{"secret"}.keys_for(who.username),
                              who.channel_binding == "tls-exporter" ? "bound" : "");
  else if (who.password.view() == "secret" && !who.username.empty())
    session_.authenticated(std::string{who.username});
  else if (who.password.view() == "good-token")
    session_.authenticated("user@example.org");
  else
    session_.auth_failed();
}

void session_player::on(smtp::ask::settle_login& what) {
  note("settle", fmt::format("{} {} {} {}", what.mechanism, what.username, what.right, what.why));
  what.right ? session_.authenticated(std::move(what.username)) : session_.auth_failed();
}

void session_player::check_message(const smtp::ask::take_message& what, const std::string& text) const {
  demand(text.size() == what.body_octets, "octets are counted right");
  demand(text.size() <= small_body_octets_max, "no message is over the limit");
  demand(!what.envelope.recipients.empty(), "a message goes to somebody");
  if (what.envelope.parameters.body == smtp::body_type::binary)
    return;
  for (std::size_t i = 0; i < text.size(); ++i) {
    demand(text[i] != '\0', "no NUL in a message");
    demand(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'), "no bare LF in a message");
    demand(text[i] != '\r' || (i + 1 < text.size() && text[i + 1] == '\n'), "no bare CR in a message");
  }
}

void session_player::on(smtp::ask::take_message& what) {
  auto text = std::exchange(staged_, {}) + what.body.flatten();
  check_message(what, text);
  auto about =
      fmt::format("{} <{}> {} as '{}'", session_.protocol_keyword(what.envelope.parameters.smtputf8),
                  what.envelope.reverse_path.text(), parameters_of(what.envelope.parameters), session_.identity());
  for (auto& to : what.envelope.recipients)
    about += fmt::format(" <{}> {}", to.forward_path.text(), parameters_of(to.parameters));
  note("message", about);
  note("stored", text);
  if (text.find("refuse-me") != std::string::npos)
    session_.refuse({554, {5, 6, 0}, "no"});
  else
    session_.message_taken("M");
}

std::string play_session(const session_scene& scene, std::string_view input) {
  session_player player{scene};
  for (auto& part : parts_of(input)) {
    player.feed(part.bytes);
    player.event(part.event);
  }
  return player.transcript();
}

} // namespace hedwig::fuzz
