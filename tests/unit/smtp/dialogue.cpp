// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/smtp/dialogue.hpp"

#include "runtime/smtp/sasl_scram.hpp"

#include <fmt/format.h>

#include <cctype>
#include <fstream>
#include <map>
#include <stdexcept>

namespace hedwig::smtp::test {

namespace {

// \r \n \0 \t \\ \xHH, \{N*text} for text N times, \# for the number of a repeated line.
std::string unescape(std::string_view text, int number) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    switch (char c = i + 1 < text.size() ? text[++i] : '\\') {
    case 'r':
      out += '\r';
      break;
    case 'n':
      out += '\n';
      break;
    case 't':
      out += '\t';
      break;
    case '0':
      out += '\0';
      break;
    case '#':
      out += std::to_string(number);
      break;
    case 'x':
      out += static_cast<char>(std::stoi(std::string{text.substr(i + 1, 2)}, nullptr, 16));
      i += 2;
      break;
    case '{': {
      auto star = text.find('*', i);
      auto end = text.find('}', star);
      auto piece = unescape(text.substr(star + 1, end - star - 1), number);
      for (int n = std::stoi(std::string{text.substr(i + 1, star - i - 1)}); n > 0; --n)
        out += piece;
      i = end;
      break;
    }
    default:
      out += c;
    }
  }
  return out;
}

std::string word(std::string_view& rest) {
  auto end = std::min(rest.find(' '), rest.size());
  std::string out{rest.substr(0, end)};
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return out;
}

// "550 5.7.1 text"
reply read_reply(std::string_view text) {
  reply out;
  out.code = std::stoi(word(text));
  unsigned a = 0, b = 0, c = 0;
  if (std::sscanf(std::string{text}.c_str(), "%u.%u.%u", &a, &b, &c) == 3) {
    out.enhanced = {static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b), static_cast<std::uint16_t>(c)};
    word(text);
  }
  out.text = unescape(text, 0);
  out.why = refusal_reason::filter;
  return out;
}

void set(dialogue& out, std::string_view rest) {
  auto key = word(rest);
  auto& s = out.settings;
  auto number = [&] { return static_cast<std::size_t>(std::stoull(std::string{rest})); };
  const std::map<std::string, std::function<void()>> keys{
      {"starttls", [&] { s.starttls = true; }},
      {"require-tls", [&] { s.require_tls = s.starttls = true; }},
      {"implicit-tls",
       [&] {
         out.facts.tls = tls_facts{"TLSv1.3", "TLS_AES_256_GCM_SHA384", {}};
       }},
      {"auth",
       [&] {
         while (!rest.empty())
           s.mechanisms.push_back(word(rest));
       }},
      {"client-certificate",
       [&] {
         out.facts.tls = tls_facts{"TLSv1.3", "TLS_AES_256_GCM_SHA384", {}, true};
       }},
      {"can-bind", [&] { out.facts.can.channel_binding = true; }},
      {"cannot",
       [&] {
         auto& can = out.facts.can;
         (rest == "tokens" ? can.tokens : rest == "scram" ? can.scram : can.passwords) = false;
       }},
      {"auth-in-clear", [&] { s.auth_in_clear = true; }},
      {"xclient",
       [&] {
         s.xclient = true;
         out.facts.may_xclient = rest != "others";
         out.facts.may_xclient_login = rest == "login";
       }},
      {"require-auth", [&] { s.require_auth = true; }},
      {"no-pipelining", [&] { s.pipelining = false; }},
      {"no-size", [&] { s.size = false; }},
      {"no-8bitmime", [&] { s.eight_bit_mime = false; }},
      {"no-smtputf8", [&] { s.smtputf8 = false; }},
      {"no-dsn", [&] { s.dsn = false; }},
      {"no-mt-priority", [&] { s.mt_priority = false; }},
      {"no-deliverby", [&] { s.deliver_by = false; }},
      {"no-futurerelease", [&] { s.future_release = false; }},
      {"no-requiretls", [&] { s.requiretls = false; }},
      {"hold-max", [&] { s.hold_max = std::chrono::seconds{number()}; }},
      {"deliver-by-min", [&] { s.deliver_by_min = std::chrono::seconds{number()}; }},
      {"priority-max", [&] { out.priority_max = static_cast<int>(number()); }},
      {"no-limits", [&] { s.tell_limits = false; }},
      {"no-chunking", [&] { s.chunking = false; }},
      {"no-binarymime", [&] { s.binary_mime = false; }},
      {"normalize", [&] { s.limits.data.endings = line_endings::normalize; }},
      {"message-octets-max", [&] { s.limits.data.body_octets_max = number(); }},
      {"line-octets-max", [&] { s.limits.data.line_octets_max = number(); }},
      {"recipients-max", [&] { s.limits.recipients_max = number(); }},
      {"messages-max", [&] { s.limits.messages_max = number(); }},
      {"bad-commands-max", [&] { s.limits.bad_commands_max = number(); }},
      {"auth-failures-max", [&] { s.limits.auth_failures_max = number(); }},
      {"command-octets-max", [&] { s.limits.command_octets_max = number(); }},
      {"swallowed-octets-max", [&] { s.limits.swallowed_octets_max = number(); }},
  };
  auto found = keys.find(key);
  if (found == keys.end())
    throw std::runtime_error{"unknown setting " + key};
  found->second();
}

// "C: text", "C| text" (no CRLF), "C x3: text"; the same for S.
void read_line(dialogue& out, std::string_view line, int number) {
  auto rest = line;
  auto first = word(rest);
  auto add = [&](step::kind what, std::string text) { out.steps.push_back({what, std::move(text), number}); };
  if (first.empty() || first[0] == '#')
    return;
  if (first == "set")
    return set(out, rest);
  if (first == "refuse") {
    auto stage = word(rest);
    auto match = word(rest);
    out.refusals.push_back({stage, match == "*" ? "" : match, read_reply(rest)});
    return;
  }
  if (first == "C:" || first == "S:")
    return add(first[0] == 'C' ? step::kind::client : step::kind::server, unescape(rest, 1) + "\r\n");
  if (first == "C|")
    return add(step::kind::client, unescape(rest, 1));
  if ((first == "C" || first == "S") && rest.starts_with('x')) {
    auto count = std::stoi(word(rest).substr(1));
    for (int n = 1; n <= count; ++n)
      add(first == "C" ? step::kind::client : step::kind::server, unescape(rest, n) + "\r\n");
    return;
  }
  if (first == "MESSAGE")
    return add(step::kind::message, unescape(rest, 1));
  if (first == "|")
    return add(step::kind::body, unescape(rest, 1) + "\r\n");
  if (first == "|+")
    return add(step::kind::body, unescape(rest, 1));
  if (first == "|*") {
    auto count = std::stoi(word(rest));
    for (int n = 1; n <= count; ++n)
      add(step::kind::body, unescape(rest, n) + "\r\n");
    return;
  }
  if (first == "TLS")
    return add(step::kind::tls, {});
  if (first == "END")
    return add(step::kind::end, std::string{rest});
  if (first == "OWNER")
    return add(step::kind::owner, std::string{rest});
  throw std::runtime_error{"not understood: " + std::string{line}};
}

std::string visible(std::string_view bytes) {
  std::string out;
  for (char c : bytes) {
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n\n";
    else if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

class player {
public:
  player(const dialogue& what, const cutter& cut, dialogue_tap* tap = nullptr)
    : dialogue_{what}, cut_{cut}, tap_{tap}, session_{std::make_shared<server_settings>(what.settings),
                                                      counted(what.facts)} {}

  std::string run() {
    auto problem = talk();
    return problem.empty() ? uncounted() : problem;
  }

  [[nodiscard]] const refusal_tally& refusals() const noexcept { return refusals_; }

private:
  std::string talk() {
    session_.watch(tap_);
    session_.start();
    early_ =
        !dialogue_.steps.empty() && dialogue_.steps[0].what == step::kind::owner && dialogue_.steps[0].text == "early";
    answer();
    for (auto& next : dialogue_.steps)
      if (auto problem = one(next); !problem.empty())
        return fmt::format("{}:{}: {}", dialogue_.name, next.line, problem);
    send();
    if (!output_.empty())
      return "at the end: unexpected reply: " + visible(output_);
    if (!body_left_.empty())
      return "at the end: the message stored has more: " + visible(body_left_.substr(0, 2000));
    if (!messages_.empty())
      return "at the end: a message was stored that nobody expected";
    if (session_.ended() && !end_seen_)
      return "at the end: the session ended, and no END says so";
    return {};
  }

  connection_facts counted(connection_facts facts) {
    facts.refusals = &refusals_;
    return facts;
  }

  // What is wrong with the count of refusals.
  std::string uncounted() const {
    if (!problem_.empty())
      return problem_;
    if (refusals_.of(refusal_reason::other) != 0)
      return "a refusal has no reason";
    if (refusals_.total() != refused_)
      return fmt::format("{} refusals were said and {} counted", refused_, refusals_.total());
    return {};
  }

  void take_output() {
    auto said = session_.take_output();
    for (std::string_view rest{said}; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
      refused_ += (rest[0] == '4' || rest[0] == '5') && rest[3] != '-' ? 1 : 0;
      check_status(rest.substr(0, rest.find('\n')));
    }
    output_ += said;
  }

  // RFC 2034: every reply has a status of its own class, but for the greeting and the answer to EHLO or HELO.
  void check_status(std::string_view line) {
    auto greets = line.starts_with("220 " + dialogue_.settings.hostname);
    in_hello_ = in_hello_ || line.substr(4) == dialogue_.settings.hostname + "\r";
    auto has_status = line.size() > 9 && line[4] == line[0] && line[5] == '.';
    if (line[0] != '3' && has_status == (greets || in_hello_) && problem_.empty())
      problem_ = "a reply with a wrong status: " + visible(line);
    if (line[3] == ' ')
      in_hello_ = false;
  }

  std::string one(const step& next) {
    if (next.what == step::kind::client) {
      if (!body_left_.empty())
        return "the message stored has more: " + visible(body_left_.substr(0, 2000));
      if (!output_.empty())
        return "unexpected reply before this line: " + visible(output_);
      bytes_ += next.text;
      return {};
    }
    if (next.what != step::kind::body) {
      if (!body_left_.empty())
        return "the message stored has more: " + visible(body_left_.substr(0, 2000));
      send();
    }
    switch (next.what) {
    case step::kind::server:
      return expect(next.text);
    case step::kind::message:
      return message(next.text);
    case step::kind::body:
      return body(next.text);
    case step::kind::tls:
      return tls();
    case step::kind::end:
      return end(next.text);
    case step::kind::owner:
      return owner(next.text);
    case step::kind::client:
      break;
    }
    return {};
  }

  void send() {
    auto all = std::exchange(bytes_, {});
    std::string_view rest{all};
    while (!rest.empty() && !session_.ended()) {
      auto piece = rest.substr(0, cut_(rest.size()));
      rest.remove_prefix(piece.size());
      while (!piece.empty() && !session_.ended()) {
        piece.remove_prefix(session_.feed(piece));
        answer();
      }
    }
    answer();
    take_output();
  }

  const refusal* refused(std::string_view stage, std::string_view about) const {
    for (auto& known : dialogue_.refusals)
      if (known.stage == stage && about.find(known.match) != std::string_view::npos)
        return &known;
    return nullptr;
  }

  void accept_or_refuse(std::string_view stage, std::string_view about) {
    if (auto* no = refused(stage, about))
      session_.refuse(no->with);
    else
      session_.accept();
  }

  void answer() {
    while (auto* asked = early_ ? nullptr : session_.pending()) {
      if (std::holds_alternative<ask::end>(*asked) || std::holds_alternative<ask::start_tls>(*asked))
        break;
      std::visit([this](auto& what) { on(what); }, *asked);
    }
    take_output();
  }

  void on(ask::check_connect&) { accept_or_refuse("connect", session_.facts().peer_ip); }
  void on(ask::check_helo& what) {
    session_.tell_time(*parse_date_time("2026-01-01T00:00:00Z"));
    accept_or_refuse("helo", what.name);
  }
  void on(ask::check_mail& what) {
    if (session_.identity().empty())
      session_.limit_priority(dialogue_.priority_max);
    accept_or_refuse("mail", what.reverse_path.text());
  }
  void on(ask::check_recipient& what) { accept_or_refuse("rcpt", what.forward_path.text()); }
  void on(ask::check_data&) { accept_or_refuse("data", ""); }
  void on(ask::start_tls&) {}
  void on(ask::xclient& what) {
    auto facts = session_.facts();
    auto text_of = [](auto& from) { return from ? from->text : std::string{}; };
    if (what.who.addr)
      facts.peer_ip = what.who.addr->text;
    session_.client_changed(std::make_shared<server_settings>(session_.settings()), facts, text_of(what.who.login),
                            text_of(what.who.helo), what.who.extended.value_or(true));
  }
  void on(ask::end&) {}

  void on(ask::authenticate& what) {
    auto known = what.who.username == "user@example.org" || what.who.username == "j\xC3\xBCrgen";
    if (what.who.username == "down")
      session_.auth_unavailable();
    else if (what.who.question == sasl_question::scram)
      session_.scram_keys_found(keys_of(what.who.username), what.who.channel_binding == "tls-exporter" ? "bound" : "");
    else if (what.who.question == sasl_question::external)
      what.who.authorize_as.empty() || what.who.authorize_as == "user@example.org"
          ? session_.authenticated("user@example.org")
          : session_.auth_failed();
    else if (what.who.question == sasl_question::token)
      what.who.password.view() == "good-token" ? session_.authenticated("user@example.org") : session_.auth_failed();
    else if (known && what.who.password.view() == "secret" && what.who.authorize_as.empty())
      session_.authenticated(std::string{what.who.username});
    else
      session_.auth_failed();
  }

  void on(ask::settle_login& what) {
    what.right ? session_.authenticated(std::move(what.username)) : session_.auth_failed();
  }

  // The password of "user" is "pencil", the server's part of the nonce that of RFC 7677.
  static scram_keys keys_of(std::string_view username) {
    if (username != "user")
      return scram_pretender{"secret"}.keys_for(username);
    return {4096, *decode_base64("W22ZaJ0SNY7soEsUEjb6gQ=="),
            *decode_base64("WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="),
            *decode_base64("wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")};
  }

  void on(ask::take_message& what) {
    auto text = staged_ + what.body.flatten();
    staged_.clear();
    if (text.size() != what.body_octets)
      problem_ = "body_octets is wrong";
    if (auto* no = refused("message", text)) {
      session_.refuse(no->with);
      return;
    }
    auto about = fmt::format("{} <{}> to", session_.protocol_keyword(what.envelope.parameters.smtputf8),
                             what.envelope.reverse_path.text());
    for (auto& to : what.envelope.recipients)
      about += fmt::format(" <{}>{}", to.forward_path.text(), notes(to.parameters));
    if (what.envelope.parameters.size)
      about += fmt::format(" SIZE={}", *what.envelope.parameters.size);
    if (what.envelope.parameters.body == body_type::eight_bit)
      about += " 8BITMIME";
    if (what.envelope.parameters.body == body_type::binary)
      about += " BINARYMIME";
    if (what.envelope.parameters.smtputf8)
      about += " SMTPUTF8";
    if (what.envelope.parameters.returns != return_type::unsaid)
      about += what.envelope.parameters.returns == return_type::full ? " RET=FULL" : " RET=HDRS";
    if (!what.envelope.parameters.envelope_id.empty())
      about += " ENVID=" + what.envelope.parameters.envelope_id;
    about += handling(what.envelope.parameters);
    if (!session_.identity().empty())
      about += " AUTH " + session_.identity();
    messages_.emplace_back(about, text);
    session_.message_taken(fmt::format("M{}", ++taken_));
  }

  static std::string handling(const mail_parameters& of) {
    std::string out;
    if (of.priority)
      out += fmt::format(" PRIORITY={}", *of.priority);
    if (auto& by = of.deliver_by)
      out += fmt::format(" BY={};{}{}", by->within.count(), by->return_it ? "R" : "N", by->trace ? "T" : "");
    if (of.hold_for)
      out += fmt::format(" HOLDFOR={}", of.hold_for->count());
    if (of.hold_until)
      out += " HOLDUNTIL=" + date_time_text(*of.hold_until);
    return of.require_tls ? out + " REQUIRETLS" : out;
  }

  static std::string notes(const rcpt_parameters& of) {
    std::string out;
    for (auto [bit, word] : {std::pair{notify_never, " NEVER"}, std::pair{notify_success, " SUCCESS"},
                             std::pair{notify_failure, " FAILURE"}, std::pair{notify_delay, " DELAY"}})
      if ((of.notify & bit) != 0)
        out += word;
    return of.original_recipient.empty() ? out : out + " ORCPT=" + of.original_recipient;
  }

  // "250 ..." stands for a whole reply of that code, whatever it says.
  std::string expect(std::string_view wanted) {
    if (wanted.substr(3) == " ...\r\n") {
      bool more = true;
      while (more) {
        if (!output_.starts_with(wanted.substr(0, 3)))
          return fmt::format("expected a {} reply, got: {}", wanted.substr(0, 3), visible(output_));
        more = output_.size() > 3 && output_[3] == '-';
        output_.erase(0, output_.find('\n') + 1);
      }
      return {};
    }
    if (!output_.starts_with(wanted))
      return fmt::format("expected {}got: {}", visible(wanted), visible(output_));
    output_.erase(0, wanted.size());
    return problem_;
  }

  // What follows it with "|" lines is the whole stored message.
  std::string message(std::string_view about) {
    if (messages_.empty())
      return "no message was stored";
    auto [got_about, got_body] = messages_.front();
    messages_.pop_front();
    if (got_about != about)
      return fmt::format("expected {}, stored {}", about, visible(got_about));
    body_left_ = got_body;
    return {};
  }

  std::string body(std::string_view wanted) {
    if (!body_left_.starts_with(wanted))
      return fmt::format("expected in the message: {}stored: {}", visible(wanted), visible(body_left_.substr(0, 2000)));
    body_left_.erase(0, wanted.size());
    return {};
  }

  std::string tls() {
    auto* asked = session_.pending();
    if (asked == nullptr || !std::holds_alternative<ask::start_tls>(*asked))
      return "the session does not want to start TLS";
    session_.tls_started({"TLSv1.3", "TLS_AES_256_GCM_SHA384", {}});
    return {};
  }

  std::string end(std::string_view reason) {
    end_seen_ = true;
    auto* asked = session_.pending();
    auto* how = asked == nullptr ? nullptr : std::get_if<ask::end>(asked);
    if (how == nullptr || !session_.ended())
      return "the session did not end";
    return to_string_view(how->reason) == reason ? "" : fmt::format("ended by {}", to_string_view(how->reason));
  }

  std::string owner(std::string_view rest) {
    auto what = word(rest);
    early_ = false;
    if (what == "early")
      session_.refuse_early_talker();
    else if (what == "timeout")
      session_.timed_out();
    else if (what == "expire")
      session_.expire();
    else if (what == "room")
      session_.make_room();
    else if (what == "shutdown")
      session_.shut_down();
    else if (what == "kill")
      session_.kill();
    else if (what == "fail")
      session_.fail();
    else if (what == "abandon")
      session_.abandon_message(read_reply(rest));
    else if (what == "stage")
      staged_ += session_.take_body().flatten();
    else if (what == "state")
      return to_string_view(session_.state()) == rest ? ""
                                                      : fmt::format("state is {}", to_string_view(session_.state()));
    else
      return "unknown: OWNER " + std::string{what};
    take_output();
    return {};
  }

  const dialogue& dialogue_;
  const cutter& cut_;
  dialogue_tap* tap_;
  refusal_tally refusals_;
  std::uint64_t refused_ = 0; // as the client counts
  bool in_hello_ = false;
  server_session session_;
  std::string bytes_;
  std::string output_;
  std::string body_left_;
  std::string staged_;
  std::string problem_;
  std::deque<std::pair<std::string, std::string>> messages_;
  int taken_ = 0;
  bool early_ = false;
  bool end_seen_ = false;
};

} // namespace

dialogue read_dialogue(const std::filesystem::path& file) {
  dialogue out;
  out.name = file.stem().string();
  out.settings.hostname = "relay.example.test";
  out.settings.make_nonce = [] { return std::string{"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"}; };
  out.facts.peer_ip = "192.0.2.1";
  std::ifstream in{file};
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    try {
      read_line(out, line, number);
    } catch (const std::exception& e) {
      throw std::runtime_error{fmt::format("{}:{}: {}", file.string(), number, e.what())};
    }
  }
  return out;
}

std::string play(const dialogue& what, const cutter& cut, dialogue_tap* tap) { return player{what, cut, tap}.run(); }

std::vector<refusal_reason> refusals_in(const dialogue& what) {
  cutter whole = [](std::size_t left) { return left; };
  player one{what, whole};
  static_cast<void>(one.run());
  std::vector<refusal_reason> found;
  for (std::size_t i = 0; i < refusal_reasons; ++i)
    if (one.refusals().of(static_cast<refusal_reason>(i)) != 0)
      found.push_back(static_cast<refusal_reason>(i));
  return found;
}

} // namespace hedwig::smtp::test
