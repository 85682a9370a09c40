// SPDX-License-Identifier: Apache-2.0
// Our client against a hostile server. Whatever it says, every recipient of every transaction has exactly one outcome,
// nothing but commands of ours goes out, and how its bytes are cut changes nothing.
// Input: options, seed of the cuts, then what the server says in parts (see parts_of()): behind each our output is
// taken and the owner acts. T: the handshake is done; N: it failed; L: the connection is lost; O: a timeout; Q: quit.
#include "runtime/smtp/client_session.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <fmt/format.h>

namespace hedwig::fuzz {

namespace {

using smtp::client_session;

smtp::client_options client_options_of(std::uint8_t bits) {
  smtp::client_options options{
      .helo_name = "relay.example.test", .remote_host = "mx.example.test", .remote_ip = "192.0.2.9"};
  options.tls = static_cast<smtp::tls_mode>(bits & 3);
  options.pipelining = (bits & 4) == 0;
  if ((bits & 8) != 0)
    options.credentials = smtp::client_credentials{"user", "secret", (bits & 16) != 0};
  options.replies = {.line_max = 200, .lines_max = 10, .bytes_max = 1000, .text_max = 100};
  return options;
}

class client_player {
public:
  client_player(std::uint8_t bits, unsigned cuts) : bits_{bits}, cuts_{cuts}, session_{client_options_of(bits)} {}

  std::string play(std::string_view input) {
    for (auto& part : parts_of(input)) {
      in_pieces(part.bytes, cuts_, [this](std::string_view piece) { session_.feed(piece); });
      step(part.event);
    }
    step('L');
    demand(session_.is_closed() && !running_, "a lost connection leaves nothing open");
    return transcript_;
  }

private:
  void step(char event) {
    take_events();
    take_output();
    take_events();
    if (event == 'T' && wants_tls_) {
      wants_tls_ = false;
      session_.tls_started({"TLSv1.3", "TLS_AES_256_GCM_SHA384", (bits_ & 32) == 0});
    } else if (event == 'N' && wants_tls_) {
      wants_tls_ = false;
      session_.tls_failed("no common cipher");
    } else if (event == 'L') {
      session_.connection_lost("reset by peer");
    } else if (event == 'O') {
      session_.timed_out();
    } else if (event == 'Q') {
      session_.quit();
    }
    take_events();
    take_output();
  }

  void take_events() {
    while (auto event = session_.next_event())
      std::visit([this](auto& what) { on(what); }, *event);
  }
  void on(smtp::client_start_tls&) {
    demand(!session_.tls_active(), "TLS begins once");
    wants_tls_ = true;
    transcript_ += "{start tls}\n";
  }
  void on(smtp::client_ready&) {
    auto mode = static_cast<smtp::tls_mode>(bits_ & 3);
    demand(session_.tls_active() || (mode != smtp::tls_mode::require && mode != smtp::tls_mode::verify),
           "what must be encrypted is");
    transcript_ += "{ready}\n";
    if (session_.is_idle()) // else its end is the next event
      begin();
  }
  void on(smtp::client_transaction_done& done) {
    demand(running_, "a transaction ends once");
    running_ = false;
    demand(done.outcomes.size() == 3, "each recipient has an outcome");
    for (std::size_t i = 0; i < done.outcomes.size(); ++i) {
      auto& one = done.outcomes[i];
      demand(one.recipient == i + 10, "outcomes come in order");
      demand(one.disposition != smtp::disposition::delivered || body_sent_, "nothing is delivered that was not sent");
      for (auto c : one.text)
        demand(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "no control byte in a text");
      transcript_ += fmt::format("{{{} {}}}\n", to_string_view(one.disposition), one.summary());
    }
    if (begun_ < 3 && session_.is_idle())
      begin();
  }
  void on(smtp::client_must_close& close) {
    demand(!std::exchange(closed_, true), "a connection is closed once");
    demand(!running_, "and after its transaction has ended");
    transcript_ += fmt::format("{{close {} {}}}\n", close.clean, close.cause.text);
  }

  void begin() {
    running_ = true;
    body_sent_ = false;
    ++begun_;
    smtp::client_transaction what{.reverse_path = "sender@example.org", .parameters = "RET=HDRS"};
    what.recipients = {{10, "one@example.test", "NOTIFY=NEVER"},
                       {11, begun_ == 2 ? "j\xC3\xBCrgen@example.test" : "two@example.test", ""},
                       {12, "three@example.test", ""}};
    what.body.append_copy("Subject: x\r\n\r\n.dot\r\n..\r\nbare\nline");
    what.is_8bit = begun_ == 1;
    what.is_binary = begun_ == 3;
    session_.begin(std::move(what));
  }

  void take_output() {
    for (;;) {
      std::vector<slice> out;
      auto was_body = session_.stage() == smtp::client_stage::body;
      if (session_.next_output(out, 17) == 0)
        break;
      for (auto& piece : out)
        transcript_ += piece.view();
      body_sent_ = body_sent_ || was_body || transcript_.find("BDAT") != std::string::npos;
    }
  }

  std::uint8_t bits_;
  unsigned cuts_;
  client_session session_;
  std::string transcript_;
  bool wants_tls_ = false;
  bool running_ = false;
  bool closed_ = false;
  bool body_sent_ = false;
  int begun_ = 0;
};

} // namespace

void client(std::string_view input) {
  auto bits = take_octet(input);
  auto seed = 2u + take_octet(input);
  auto whole = client_player{bits, cut_nowhere}.play(input);
  demand(client_player(bits, cut_everywhere).play(input) == whole, "the same byte by byte");
  demand(client_player(bits, seed).play(input) == whole, "the same in pieces");
}

} // namespace hedwig::fuzz
