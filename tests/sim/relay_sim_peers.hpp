// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/loop.hpp"
#include "tests/sim/network/sim_world.hpp"
#include "tests/sim/relay_sim_oracle.hpp"

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hedwig::sim {

/// How the next hops behave, as probabilities from 0 to 1. May be changed while they run.
struct server_faults {
  double refuses = 0;     ///< a stage is answered with 4xx
  double rejects = 0;     ///< and with 5xx
  double drops = 0;       ///< the connection ends at a command, or in the middle of the data
  double loses_reply = 0; ///< the message is taken, and the connection ends before the reply
  double slow = 0;        ///< a reply comes late
  std::chrono::nanoseconds slow_max = std::chrono::minutes{12};
  double plain = 0; ///< knows HELO only
};

struct server_site;

/// One connection of a next hop.
class sim_server_session final : public net::stream_handler {
public:
  sim_server_session(server_site& site, std::unique_ptr<net::connection> accepted);
  [[nodiscard]] bool over() const noexcept { return over_; }

private:
  std::size_t on_data(std::string_view data) override;
  void on_tls(const net::tls_info&) override;
  void on_end() override { stream_->close(); }
  void on_closed(std::optional<error>) override { over_ = true; }

  void work();
  void on_line(std::string line);
  void on_greeting();
  void on_ehlo(bool extended);
  void on_mail();
  void on_rcpt(const std::string& line);
  void on_data_command();
  void on_dot();
  void reply(std::string text);
  [[nodiscard]] bool drop();
  /// A failure of this stage, or nothing.
  [[nodiscard]] std::optional<std::string> failing();

  server_site& site_;
  net::address peer_;
  std::unique_ptr<net::stream> stream_;
  std::unique_ptr<net::timer> pause_;
  std::string input_;
  std::string later_; // a reply that waits
  std::string data_;
  std::vector<std::string> recipients_;
  std::size_t transactions_ = 0; // MAIL commands seen
  bool in_mail_ = false;
  bool in_data_ = false;
  bool waiting_ = false;
  bool leaving_ = false;
  bool over_ = false;
  bool tls_ = false;
};

/// What all next hops share.
struct server_site final : net::acceptor_handler {
  server_site(sim_world& in_world, net::loop& on_loop, oracle& with_judge)
    : world{in_world}, loop{on_loop}, judge{with_judge} {}
  void listen(const net::address& at);
  void on_connection(std::unique_ptr<net::connection> accepted) override;
  void sweep();
  void repeat();

  sim_world& world;
  net::loop& loop;
  oracle& judge;
  server_faults faults;
  bool offers_tls = false;
  /// For self-checks: acts as if all that was taken came once more, with every later MAIL command.
  bool repeats_itself = false;
  struct taken {
    std::string text;
    std::vector<std::string> recipients;
  };
  std::vector<taken> memory; ///< where it repeats itself
  std::size_t repeated = 0;
  std::vector<std::unique_ptr<net::acceptor>> acceptors;
  std::list<std::unique_ptr<sim_server_session>> sessions;
};

/// What one client is to send in one message.
struct client_message {
  std::string key;
  std::string reverse_path;
  std::vector<std::string> recipients;
  std::string text; ///< with CRLF line ends
};

/// A client with a script; leaves when it is through, or at the point drawn for it.
class sim_client final : public net::stream_handler {
public:
  struct script {
    std::vector<client_message> messages;
    bool pipelined = false;
    /// Replies after which it leaves without a word; none: it stays to the end.
    std::optional<std::size_t> leaves_after;
    bool leaves_rudely = false;
  };
  sim_client(sim_world& world, net::loop& loop, oracle& judge, const net::address& relay, script what);
  [[nodiscard]] bool over() const noexcept { return over_; }

private:
  enum class step : std::uint8_t { greeting, ehlo, mail, rcpt, data, dot, quit };
  std::size_t on_data(std::string_view data) override;
  void on_end() override;
  void on_closed(std::optional<error>) override { over_ = true; }

  void on_reply(int code);
  void send(step what, std::string_view text);
  void begin_message();
  void send_next();
  void send_body();
  void end_message();
  void leave(bool rudely);
  [[nodiscard]] client_message& message() { return script_.messages[at_]; }

  sim_world& world_;
  oracle& oracle_;
  script script_;
  std::unique_ptr<net::stream> stream_;
  std::unique_ptr<net::timer> patience_;
  std::string input_;
  std::deque<step> expected_;
  std::size_t at_ = 0;
  std::size_t next_rcpt_ = 0; // to be sent
  std::size_t answered_ = 0;  // RCPTs
  std::vector<std::string> taken_;
  std::size_t replies_ = 0;
  bool failed_ = false; // this message
  bool over_ = false;
};

} // namespace hedwig::sim
