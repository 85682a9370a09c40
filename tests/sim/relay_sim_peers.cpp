// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/relay_sim_peers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hedwig::sim {

// ---- next hops

void server_site::listen(const net::address& at) {
  if (auto made = loop.listen(at, {}, *this))
    acceptors.push_back(std::move(*made));
}

void server_site::on_connection(std::unique_ptr<net::connection> accepted) {
  sessions.push_back(std::make_unique<sim_server_session>(*this, std::move(accepted)));
}

void server_site::sweep() {
  std::erase_if(sessions, [](auto& one) { return one->over(); });
}

sim_server_session::sim_server_session(server_site& site, std::unique_ptr<net::connection> accepted)
  : site_{site}, peer_{accepted->peer()} {
  pause_ = std::make_unique<net::timer>(site.loop, [this] {
    waiting_ = false;
    stream_->write(std::exchange(later_, {}));
    if (leaving_)
      stream_->close();
    else
      work();
  });
  stream_ = site.loop.adopt(std::move(accepted), *this);
  on_greeting();
}

void sim_server_session::on_greeting() {
  if (auto failure = failing()) {
    leaving_ = true;
    return reply(*failure);
  }
  reply("220 sim ESMTP\r\n");
}

std::size_t sim_server_session::on_data(std::string_view data) {
  if (leaving_)
    return data.size();
  input_ += data;
  work();
  return data.size();
}

void sim_server_session::on_tls(const net::tls_info&) {
  tls_ = true;
  in_mail_ = false;
}

void sim_server_session::work() {
  while (!waiting_ && !leaving_ && !over_) {
    auto end = input_.find("\r\n");
    if (end == std::string::npos)
      return;
    auto line = input_.substr(0, end);
    input_.erase(0, end + 2);
    on_line(std::move(line));
  }
}

void sim_server_session::reply(std::string text) {
  if (site_.world.chance(site_.faults.slow)) {
    waiting_ = true;
    later_ = std::move(text);
    pause_->start(
        std::chrono::nanoseconds{site_.world.random(static_cast<std::uint64_t>(site_.faults.slow_max.count()))});
    return;
  }
  stream_->write(text);
  if (leaving_)
    stream_->close();
}

bool sim_server_session::drop() {
  if (!site_.world.chance(site_.faults.drops))
    return false;
  leaving_ = true;
  if (site_.world.random(2) == 0)
    stream_->abort();
  else
    stream_->close();
  return true;
}

std::optional<std::string> sim_server_session::failing() {
  if (site_.world.chance(site_.faults.refuses)) {
    if (site_.world.random(6) == 0) {
      leaving_ = true;
      return "421 4.3.2 not now\r\n";
    }
    return "451 4.3.0 later\r\n";
  }
  if (site_.world.chance(site_.faults.rejects))
    return site_.world.random(2) == 0 ? "550 5.7.1 no\r\n" : "554-5.0.0 never\r\n554 5.0.0 ever\r\n";
  return std::nullopt;
}

void sim_server_session::on_line(std::string line) {
  if (in_data_) {
    if (line == ".")
      return on_dot();
    // RFC 5321 section 4.5.2
    data_ += line.starts_with('.') ? line.substr(1) : line;
    data_ += "\r\n";
    if (site_.world.chance(site_.faults.drops / 8))
      static_cast<void>(drop());
    return;
  }
  auto verb = line.substr(0, 4);
  transactions_ += verb == "MAIL";
  if (drop())
    return;
  if (verb == "EHLO" || verb == "HELO")
    on_ehlo(verb == "EHLO");
  else if (verb == "MAIL")
    on_mail();
  else if (verb == "RCPT")
    on_rcpt(line);
  else if (verb == "DATA")
    on_data_command();
  else if (verb == "STAR" && site_.offers_tls && !tls_) {
    stream_->write("220 go ahead\r\n");
    input_.clear();
    stream_->start_tls(nullptr, net::tls_role::server);
  } else if (verb == "RSET") {
    in_mail_ = false;
    reply("250 ok\r\n");
  } else if (verb == "QUIT") {
    leaving_ = true;
    reply("221 bye\r\n");
  } else
    reply("502 what\r\n");
}

void sim_server_session::on_ehlo(bool extended) {
  if (extended && site_.world.chance(site_.faults.plain))
    return reply("502 5.5.1 what\r\n");
  if (auto failure = failing())
    return reply(*failure);
  auto pipelining = site_.world.random(4) != 0;
  reply(extended
            ? fmt::format("250-sim\r\n{}{}250-SIZE 0\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
                          pipelining ? "250-PIPELINING\r\n" : "", site_.offers_tls && !tls_ ? "250-STARTTLS\r\n" : "")
            : "250 sim\r\n");
}

void server_site::repeat() {
  auto nobody = net::address::v4({10, 255, 255, 255}, 1);
  for (auto& one : memory) {
    judge.written(nobody, "MAIL FROM:<");
    judge.accepted(nobody, repeated++, one.text, one.recipients);
  }
}

void sim_server_session::on_mail() {
  site_.repeat();
  recipients_.clear();
  in_mail_ = false;
  if (auto failure = failing())
    return reply(*failure);
  in_mail_ = true;
  reply("250 2.1.0 ok\r\n");
}

void sim_server_session::on_rcpt(const std::string& line) {
  if (!in_mail_)
    return reply("503 5.5.1 MAIL first\r\n");
  auto begin = line.find('<') + 1;
  auto address = line.substr(begin, line.find('>') - begin);
  if (address.starts_with("nobody"))
    return reply("550 5.1.1 unknown\r\n");
  if (auto failure = failing())
    return reply(*failure);
  recipients_.push_back(address);
  reply("250 2.1.5 ok\r\n");
}

void sim_server_session::on_data_command() {
  if (recipients_.empty() || !in_mail_)
    return reply("554 5.5.1 no valid recipients\r\n");
  if (auto failure = failing())
    return reply(*failure);
  in_data_ = true;
  data_.clear();
  reply("354 go on\r\n");
}

void sim_server_session::on_dot() {
  in_data_ = in_mail_ = false;
  if (drop())
    return;
  if (auto failure = failing())
    return reply(*failure);
  site_.judge.accepted(peer_, transactions_ - 1, data_, recipients_);
  if (site_.repeats_itself)
    site_.memory.push_back({data_, recipients_});
  if (site_.world.chance(site_.faults.loses_reply)) {
    leaving_ = true;
    stream_->abort();
    return;
  }
  reply("250 2.0.0 taken\r\n");
}

// ---- clients

sim_client::sim_client(sim_world& world, net::loop& loop, oracle& judge, const net::address& relay, script what)
  : world_{world}, oracle_{judge}, script_{std::move(what)} {
  patience_ = std::make_unique<net::timer>(loop, [this] { leave(true); });
  patience_->start(std::chrono::minutes{20});
  expected_.push_back(step::greeting);
  auto made = loop.connect(relay, {}, *this, {});
  if (made)
    stream_ = std::move(*made);
  else
    over_ = true;
}

std::size_t sim_client::on_data(std::string_view data) {
  input_ += data;
  for (auto end = input_.find("\r\n"); end != std::string::npos && !over_; end = input_.find("\r\n")) {
    auto line = input_.substr(0, end);
    input_.erase(0, end + 2);
    if (line.size() > 3 && line[3] == '-')
      continue;
    on_reply(std::atoi(line.substr(0, 3).c_str()));
  }
  return data.size();
}

void sim_client::on_end() { stream_->close(); }

void sim_client::leave(bool rudely) {
  script_.leaves_after = 0;
  if (rudely)
    stream_->abort();
  else
    stream_->close();
}

void sim_client::send(step what, std::string_view text) {
  expected_.push_back(what);
  stream_->write(text);
}

void sim_client::begin_message() {
  if (at_ == script_.messages.size())
    return send(step::quit, "QUIT\r\n");
  next_rcpt_ = answered_ = 0;
  failed_ = false;
  taken_.clear();
  oracle_.offered(message().key, message().reverse_path, message().text);
  send(step::mail, fmt::format("MAIL FROM:<{}>\r\n", message().reverse_path));
  if (script_.pipelined)
    while (next_rcpt_ <= message().recipients.size())
      send_next();
}

void sim_client::send_next() {
  auto& all = message().recipients;
  if (next_rcpt_ < all.size())
    send(step::rcpt, fmt::format("RCPT TO:<{}>\r\n", all[next_rcpt_]));
  else
    send(step::data, "DATA\r\n");
  ++next_rcpt_;
}

void sim_client::send_body() {
  std::string out;
  std::string_view text = message().text;
  while (!text.empty()) {
    auto end = text.find("\r\n") + 2;
    if (text.starts_with('.'))
      out += '.';
    out += text.substr(0, end);
    text.remove_prefix(end);
  }
  out += ".\r\n";
  if (script_.leaves_after && replies_ + 1 >= *script_.leaves_after && world_.random(2) == 0) {
    stream_->write(std::string_view{out}.substr(0, world_.random(out.size() + 1)));
    return leave(script_.leaves_rudely);
  }
  send(step::dot, out);
}

void sim_client::end_message() {
  ++at_;
  begin_message();
}

void sim_client::on_reply(int code) {
  if (script_.leaves_after && ++replies_ > *script_.leaves_after)
    return leave(script_.leaves_rudely);
  if (expected_.empty())
    return leave(false); // 421: the relay ends the session
  auto what = expected_.front();
  expected_.pop_front();
  auto good = code / 100 == 2;
  switch (what) {
  case step::greeting:
    return good ? send(step::ehlo, "EHLO client.sim\r\n") : leave(false);
  case step::ehlo:
    return good ? begin_message() : leave(false);
  case step::mail:
    failed_ = !good;
    break;
  case step::rcpt:
    if (good)
      taken_.push_back(message().recipients[answered_]);
    ++answered_;
    break;
  case step::data:
    if (code == 354)
      return send_body();
    return code == 421 ? leave(false) : end_message();
  case step::dot:
    if (good)
      oracle_.acknowledged(message().key, taken_);
    return code == 421 ? leave(false) : end_message();
  case step::quit:
    return leave(false);
  }
  if (code == 421 || failed_)
    return leave(false);
  if (!script_.pipelined)
    send_next();
}

} // namespace hedwig::sim
