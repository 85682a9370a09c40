// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/net/net_test_support.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace hedwig::net::test {
namespace {

using namespace std::chrono_literals;

/// Closes with RST.
void reset(int fd) {
  linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

std::string read_all(int fd) {
  std::string all;
  char room[65536];
  for (ssize_t count; (count = ::recv(fd, room, sizeof room, 0)) > 0;)
    all.append(room, static_cast<std::size_t>(count));
  return all;
}

using stream_test = net_test;

TEST_F(stream_test, carries_bytes_both_ways_and_closes_cleanly) {
  recorder client, server;
  connect_pair(client, server);
  EXPECT_EQ(client.own->peer(), acceptor_->local());
  EXPECT_EQ(client.own->local(), server.own->peer());
  EXPECT_EQ(server.own->local(), acceptor_->local());
  client.own->write("EHLO relay.test\r\n");
  server.own->write("220 ");
  server.own->write("ready\r\n");
  EXPECT_EQ(server.own->pending_output(), 11u);
  ASSERT_TRUE(run_until([&] { return !server.received.empty() && !client.received.empty(); }));
  EXPECT_EQ(server.received, "EHLO relay.test\r\n");
  EXPECT_EQ(client.received, "220 ready\r\n");
  server.own->close();
  client.at_end = [&] { client.own->close(); };
  ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
  EXPECT_EQ(client.trace, "connected end closed ");
  EXPECT_EQ(server.trace, "closed ");
  EXPECT_EQ(loop_->counters().streams_open, 0u);
  EXPECT_EQ(loop_->counters().bytes_in, loop_->counters().bytes_out);
}

TEST_F(stream_test, output_of_one_turn_goes_out_in_one_segment) {
  recorder server;
  auto fd = connect_raw(server);
  auto before = loop_->counters().bytes_out.load();
  for (int i = 0; i < 100; ++i)
    server.own->write("250 ok\r\n");
  EXPECT_EQ(loop_->counters().bytes_out, before) << "nothing is sent before the turn ends";
  loop_->run_once(0ms);
  char room[4096];
  EXPECT_EQ(::recv(fd, room, sizeof room, 0), 800);
  server.own->write("221 bye\r\n");
  server.own->flush();
  EXPECT_EQ(::recv(fd, room, sizeof room, 0), 9);
  ::close(fd);
}

TEST_F(stream_test, nagle_is_off_on_accepted_and_own_connections) {
  recorder server;
  auto fd = connect_raw(server);
  auto accepted_fd = -1;
  // The accepted socket is the one whose peer is ours.
  for (int other = 3; other < 256 && accepted_fd < 0; ++other) {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    if (::getpeername(other, reinterpret_cast<sockaddr*>(&raw), &size) == 0)
      if (address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size) == server.own->peer())
        accepted_fd = other;
  }
  int flag = 0;
  socklen_t size = sizeof flag;
  ASSERT_EQ(::getsockopt(accepted_fd, IPPROTO_TCP, TCP_NODELAY, &flag, &size), 0);
  EXPECT_EQ(flag, 1);
  ::close(fd);
}

TEST_F(stream_test, what_is_not_consumed_is_offered_again_in_front_of_what_follows) {
  recorder server;
  std::vector<std::string> offers;
  server.data = [&](std::string_view data) {
    offers.emplace_back(data);
    auto end = data.rfind("\r\n");
    return end == std::string_view::npos ? 0 : end + 2;
  };
  auto fd = connect_raw(server);
  for (std::string_view part : {"EH", "LO x\r\nMAIL", " FROM\r\n"}) {
    auto seen = offers.size();
    ASSERT_EQ(::send(fd, part.data(), part.size(), 0), static_cast<ssize_t>(part.size()));
    ASSERT_TRUE(run_until([&] { return offers.size() > seen; }));
  }
  EXPECT_EQ(offers, (std::vector<std::string>{"EH", "EHLO x\r\nMAIL", "MAIL FROM\r\n"}));
  ::close(fd);
}

TEST_F(stream_test, a_pause_within_a_callback_keeps_the_rest_until_resumed) {
  recorder server;
  std::vector<std::string> offers;
  server.data = [&](std::string_view data) -> std::size_t {
    offers.emplace_back(data);
    server.own->pause_reading();
    return 6; // one command of six bytes, then wait for its answer
  };
  auto fd = connect_raw(server);
  ASSERT_EQ(::send(fd, "NOOP\r\nRSET\r\nQUIT\r\n", 18, 0), 18);
  ASSERT_TRUE(run_until([&] { return offers.size() == 1; }));
  settle();
  EXPECT_EQ(offers.size(), 1u);
  EXPECT_TRUE(server.own->reading_paused());
  server.own->resume_reading();
  EXPECT_EQ(offers.size(), 1u) << "no callback from within a call";
  ASSERT_TRUE(run_until([&] { return offers.size() == 2; }));
  server.own->resume_reading();
  ASSERT_TRUE(run_until([&] { return offers.size() == 3; }));
  EXPECT_EQ(offers, (std::vector<std::string>{"NOOP\r\nRSET\r\nQUIT\r\n", "RSET\r\nQUIT\r\n", "QUIT\r\n"}));
  ::close(fd);
}

TEST_F(stream_test, a_handler_that_consumes_nothing_stops_the_reading_at_the_limit) {
  loop_options options;
  options.limits.leftover_max = 4096;
  options.read_buffer = 8192;
  make_loop(options);
  recorder server;
  std::size_t longest = 0;
  bool eat = false;
  std::size_t eaten = 0;
  server.data = [&](std::string_view data) -> std::size_t {
    longest = std::max(longest, data.size());
    eaten += eat ? data.size() : 0;
    return eat ? data.size() : 0;
  };
  auto fd = connect_raw(server);
  std::string flood(100'000, 'x');
  ASSERT_EQ(::send(fd, flood.data(), flood.size(), 0), static_cast<ssize_t>(flood.size()));
  ASSERT_TRUE(run_until([&] { return longest >= 4096; }));
  settle();
  EXPECT_LE(longest, 8192u);
  auto read = loop_->counters().bytes_in.load();
  settle();
  EXPECT_EQ(loop_->counters().bytes_in, read);
  eat = true;
  server.own->resume_reading();
  ASSERT_TRUE(run_until([&] { return eaten == flood.size(); }));
  ::close(fd);
}

TEST_F(stream_test, a_paused_stream_still_reports_a_reset) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->pause_reading();
  settle();
  reset(fd);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  ASSERT_TRUE(server.reason);
  EXPECT_EQ(server.reason->os_errno, ECONNRESET);
  EXPECT_EQ(loop_->counters().streams_open, 0u);
}

TEST_F(stream_test, the_end_of_a_paused_peer_is_reported_after_its_last_bytes) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->pause_reading();
  ASSERT_EQ(::send(fd, "QUIT\r\n", 6, 0), 6);
  ::shutdown(fd, SHUT_WR);
  settle();
  EXPECT_EQ(server.trace, "");
  server.own->resume_reading();
  ASSERT_TRUE(run_until([&] { return server.ended; }));
  EXPECT_EQ(server.received, "QUIT\r\n");
  ::close(fd);
}

TEST_F(stream_test, after_the_peers_fin_what_we_write_still_goes_out) {
  recorder server;
  server.at_end = [&] {
    server.own->write("250 queued\r\n");
    server.own->close();
  };
  auto fd = connect_raw(server);
  ASSERT_EQ(::send(fd, ".\r\n", 3, 0), 3);
  ::shutdown(fd, SHUT_WR);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_EQ(read_all(fd), "250 queued\r\n");
  EXPECT_EQ(server.trace, "end closed ");
  ::close(fd);
}

TEST_F(stream_test, an_open_stream_does_not_spin_after_the_peers_fin) {
  recorder server;
  auto fd = connect_raw(server);
  ::shutdown(fd, SHUT_WR);
  ASSERT_TRUE(run_until([&] { return server.ended; }));
  for (int i = 0; i < 5; ++i)
    loop_->run_once(0ms);
  EXPECT_FALSE(loop_->run_once(0ms));
  EXPECT_FALSE(server.closed);
  ::close(fd);
}

TEST_F(stream_test, close_sends_megabytes_that_are_pending) {
  recorder server;
  auto fd = connect_raw(server);
  rope body;
  auto block = slice::copy_of(std::string(1 << 20, 'b'));
  for (int i = 0; i < 8; ++i)
    body.append(block);
  server.own->write("354 go\r\n");
  server.own->write(body);
  server.own->write("bye");
  server.own->close();
  EXPECT_EQ(server.own->pending_output(), 8u + (8u << 20) + 3u);
  server.own.reset(); // the loop does the rest
  std::size_t got = 0;
  char room[65536];
  ASSERT_TRUE(run_until([&] {
    for (ssize_t count; (count = ::recv(fd, room, sizeof room, MSG_DONTWAIT)) > 0;)
      got += static_cast<std::size_t>(count);
    return got == 8u + (8u << 20) + 3u;
  }));
  ::close(fd);
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
  EXPECT_FALSE(server.closed) << "an owner that has gone hears nothing";
}

TEST_F(stream_test, close_with_unread_input_does_not_lose_the_last_reply) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->pause_reading();
  std::string more(50'000, 'x');
  ASSERT_EQ(::send(fd, more.data(), more.size(), 0), static_cast<ssize_t>(more.size()));
  settle();
  server.own->write("421 closing\r\n");
  server.own->close();
  settle();
  ASSERT_EQ(::send(fd, more.data(), more.size(), 0), static_cast<ssize_t>(more.size())) << "no reset yet";
  settle();
  ::shutdown(fd, SHUT_WR);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_EQ(read_all(fd), "421 closing\r\n");
  EXPECT_FALSE(server.reason);
  ::close(fd);
}

class linger_test : public net_test {
protected:
  void SetUp() override {
    loop_options options;
    options.limits.linger = 10s;
    auto made = make_epoll_loop(frozen_, options);
    ASSERT_TRUE(made);
    loop_ = std::move(*made);
    auto listening = loop_->listen(*address::parse("127.0.0.1:0"), {}, accepting_);
    ASSERT_TRUE(listening);
    acceptor_ = std::move(*listening);
  }
  void TearDown() override {
    acceptor_.reset();
    loop_.reset();
  }
  manual_clock frozen_;
};

TEST_F(linger_test, a_peer_that_never_reads_is_reset_when_the_linger_time_is_over) {
  recorder server;
  auto fd = connect_raw(server, 4096);
  server.own->write(slice::copy_of(std::string(16 << 20, 'z')));
  server.own->close();
  settle();
  frozen_.advance(9s);
  settle();
  EXPECT_FALSE(server.closed);
  EXPECT_EQ(loop_->counters().streams_open, 1u);
  frozen_.advance(2s);
  settle();
  ASSERT_TRUE(server.closed);
  EXPECT_EQ(server.reason->status, HEDWIG_E_TIMEOUT);
  EXPECT_EQ(loop_->counters().streams_open, 0u);
  EXPECT_EQ(loop_->counters().linger_timeouts, 1u);
  EXPECT_EQ(buffer_bytes_live(), 0u) << "the body is let go";
  ::close(fd);
}

TEST_F(linger_test, a_peer_that_never_reads_does_not_leak_when_the_owner_has_gone) {
  std::vector<int> peers;
  for (int i = 0; i < 20; ++i) {
    recorder server;
    peers.push_back(connect_raw(server, 4096));
    server.own->write(slice::copy_of(std::string(4 << 20, 'z')));
    server.own->close();
  }
  settle();
  EXPECT_EQ(loop_->counters().streams_open, 20u);
  frozen_.advance(11s);
  settle();
  EXPECT_EQ(loop_->counters().streams_open, 0u);
  EXPECT_EQ(buffer_bytes_live(), 0u);
  for (auto fd : peers)
    ::close(fd);
}

TEST_F(linger_test, a_peer_that_never_says_fin_is_let_go_without_an_error) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->write("221 bye\r\n");
  server.own->close();
  settle();
  EXPECT_FALSE(server.closed);
  frozen_.advance(11s);
  settle();
  ASSERT_TRUE(server.closed);
  EXPECT_FALSE(server.reason);
  EXPECT_EQ(read_all(fd), "221 bye\r\n");
  ::close(fd);
}

TEST_F(linger_test, a_connection_that_never_comes_about_times_out) {
  // A listener with a full backlog leaves further attempts unanswered.
  acceptor_->pause();
  listen_options one;
  one.backlog = 0;
  accepting full;
  auto narrow = loop_->listen(*address::parse("127.0.0.1:0"), one, full);
  ASSERT_TRUE(narrow);
  (*narrow)->pause();
  std::vector<std::unique_ptr<recorder>> filling;
  for (int i = 0; i < 4; ++i) {
    filling.push_back(std::make_unique<recorder>());
    auto made = loop_->connect((*narrow)->local(), {}, *filling.back(), {.timeout = 30s});
    ASSERT_TRUE(made);
    filling.back()->own = std::move(*made);
  }
  settle();
  frozen_.advance(31s);
  settle();
  int timed_out = 0;
  for (auto& each : filling)
    if (each->closed) {
      EXPECT_EQ(each->reason->status, HEDWIG_E_TIMEOUT);
      EXPECT_EQ(each->trace, "error ");
      ++timed_out;
    }
  EXPECT_GT(timed_out, 0);
}

TEST_F(stream_test, abort_resets_the_peer_and_is_reported_once) {
  recorder server;
  auto fd = connect_raw(server);
  server.own->write("never sent");
  server.own->abort();
  EXPECT_FALSE(server.closed) << "no callback from within a call";
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_FALSE(server.reason);
  char room[16];
  EXPECT_EQ(::recv(fd, room, sizeof room, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  server.own->abort();
  server.own->close();
  server.own->write("ignored");
  settle();
  ::close(fd);
}

TEST_F(stream_test, a_refused_connection_is_reported) {
  auto gone = acceptor_->local();
  acceptor_.reset();
  recorder client;
  auto made = loop_->connect(gone, {}, client);
  if (made) {
    client.own = std::move(*made);
    ASSERT_TRUE(run_until([&] { return client.closed; }));
    EXPECT_EQ(client.trace, "error ");
  } else
    client.reason = made.error();
  ASSERT_TRUE(client.reason);
  EXPECT_EQ(client.reason->os_errno, ECONNREFUSED);
  EXPECT_EQ(client.reason->status, HEDWIG_E_UNAVAILABLE);
  EXPECT_NE(client.reason->text().find(gone.text()), std::string::npos);
  EXPECT_EQ(loop_->counters().streams_open, 0u);
}

TEST_F(stream_test, connects_from_the_chosen_source) {
  recorder client;
  auto made = loop_->connect(acceptor_->local(), *address::parse("127.0.0.9:0"), client);
  ASSERT_TRUE(made) << made.error().text();
  client.own = std::move(*made);
  ASSERT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
  EXPECT_EQ(accepting_.waiting.front()->peer().ip_text(), "127.0.0.9");
}

TEST_F(stream_test, a_source_that_is_not_ours_is_an_error_at_once) {
  recorder client;
  auto made = loop_->connect(acceptor_->local(), *address::parse("192.0.2.1:0"), client);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("cannot send from 192.0.2.1"), std::string::npos);
  EXPECT_FALSE(loop_->connect(acceptor_->local(), *address::parse("[::1]:0"), client));
}

TEST_F(stream_test, what_is_written_before_the_connection_is_there_goes_out_then) {
  recorder client;
  auto made = loop_->connect(acceptor_->local(), {}, client);
  ASSERT_TRUE(made);
  client.own = std::move(*made);
  client.own->write("early");
  ASSERT_TRUE(run_until([&] { return !accepting_.waiting.empty(); }));
  recorder server;
  server.own = loop_->adopt(std::move(accepting_.waiting.front()), server);
  ASSERT_TRUE(run_until([&] { return server.received == "early"; }));
}

TEST_F(stream_test, a_body_by_reference_waits_for_the_peer_and_says_when_it_drains) {
  recorder server;
  auto fd = connect_raw(server);
  rope body;
  auto block = slice::copy_of(std::string(256 * 1024, 'b'));
  for (int i = 0; i < 64; ++i)
    body.append(block);
  EXPECT_TRUE(server.own->writable());
  server.own->write(body);
  EXPECT_FALSE(server.own->writable());
  settle();
  EXPECT_EQ(server.drained, 0);
  EXPECT_GT(server.own->pending_output(), 1u << 20);
  EXPECT_FALSE(server.closed) << "bytes by reference do not count for the limit";
  EXPECT_EQ(buffer_bytes_live(), 256u * 1024) << "nothing was copied";
  std::size_t got = 0;
  char room[65536];
  ASSERT_TRUE(run_until([&] {
    for (ssize_t count; (count = ::recv(fd, room, sizeof room, MSG_DONTWAIT)) > 0;)
      got += static_cast<std::size_t>(count);
    return got == body.size();
  }));
  ASSERT_TRUE(run_until([&] { return server.drained > 0; }));
  EXPECT_EQ(server.drained, 1);
  EXPECT_TRUE(server.own->writable());
  EXPECT_EQ(server.own->pending_output(), 0u);
  ::close(fd);
}

TEST_F(stream_test, bytes_arrive_in_order_whatever_they_were_written_as) {
  recorder client, server;
  connect_pair(client, server);
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    auto text = "line " + std::to_string(i) + std::string(static_cast<std::size_t>(i % 700), 'x') + "\r\n";
    expected += text;
    if (i % 3 == 0)
      client.own->write(slice::copy_of(text));
    else
      client.own->write(text);
    if (i % 500 == 0)
      loop_->run_once(0ms);
  }
  ASSERT_TRUE(run_until([&] { return server.received.size() == expected.size(); }));
  EXPECT_TRUE(server.received == expected);
}

TEST_F(stream_test, a_peer_that_sends_but_does_not_read_is_no_longer_read_from) {
  loop_options options;
  options.limits.output_max = 64 * 1024;
  options.limits.low_water = 16 * 1024;
  options.read_buffer = 4096;
  make_loop(options);
  recorder server;
  std::size_t commands = 0;
  server.data = [&](std::string_view data) {
    // Each byte is a command with a reply.
    commands += data.size();
    for (std::size_t i = 0; i < data.size(); ++i)
      server.own->write("250 ok\r\n");
    return data.size();
  };
  auto fd = connect_raw(server, 64 * 1024);
  std::string flood(10'000, 'N');
  std::size_t sent = 0;
  int full = 0;
  for (int turn = 0; turn < 20'000 && full < 5; ++turn) {
    auto count = ::send(fd, flood.data(), flood.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += count > 0 ? static_cast<std::size_t>(count) : 0;
    full = count < 0 ? full + 1 : 0;
    settle();
  }
  ASSERT_EQ(full, 5) << "the flood ends because nobody reads it";
  EXPECT_FALSE(server.closed);
  EXPECT_LT(commands, sent);
  std::size_t replies = 0;
  std::thread reader{[&] {
    char room[65536];
    while (replies < 8 * sent) {
      auto count = ::recv(fd, room, sizeof room, 0);
      if (count <= 0)
        return;
      replies += static_cast<std::size_t>(count);
    }
  }};
  EXPECT_TRUE(run_until([&] { return commands == sent && server.own->pending_output() == 0; }))
      << "and goes on once the peer reads";
  server.own->close();
  reader.join();
  EXPECT_EQ(replies, 8 * sent);
  ::close(fd);
}

TEST_F(stream_test, an_owner_that_writes_without_end_is_cut_off) {
  recorder server;
  auto fd = connect_raw(server, 4096);
  std::string text(1 << 20, 'x');
  for (int i = 0; i < 40; ++i)
    server.own->write(text);
  ASSERT_TRUE(run_until([&] { return server.closed; }));
  EXPECT_EQ(server.reason->status, HEDWIG_E_BUSY);
  EXPECT_EQ(loop_->counters().output_refused, 1u);
  ::close(fd);
}

TEST_F(stream_test, the_reply_before_a_reset_is_heard_by_who_was_sending) {
  recorder client;
  auto listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage raw;
  auto size = address::parse("127.0.0.1:0")->to_sockaddr(raw);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&raw), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  size = sizeof raw;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&raw), &size);
  auto made = loop_->connect(*address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size), {}, client);
  ASSERT_TRUE(made);
  client.own = std::move(*made);
  ASSERT_TRUE(run_until([&] { return client.trace == "connected "; }));
  auto fd = ::accept(listener, nullptr, nullptr);
  client.own->pause_reading();
  client.own->write(slice::copy_of(std::string(8 << 20, 'b')));
  settle();
  ASSERT_EQ(::send(fd, "554 too big\r\n", 13, 0), 13);
  client.own->resume_reading();
  ::close(fd); // with our bytes unread: a reset
  ASSERT_TRUE(run_until([&] { return client.closed; }));
  EXPECT_EQ(client.received, "554 too big\r\n");
  EXPECT_TRUE(client.reason);
  ::close(listener);
}

TEST_F(stream_test, may_be_destroyed_inside_each_of_its_callbacks) {
  {
    recorder client;
    client.at_connected = [&] { client.own.reset(); };
    client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
    ASSERT_TRUE(run_until([&] { return client.own == nullptr; }));
  }
  accepting_.waiting.clear();
  {
    recorder client, server;
    connect_pair(client, server);
    server.data = [&](std::string_view data) {
      server.own.reset();
      return data.size() / 2;
    };
    client.own->write("hello");
    ASSERT_TRUE(run_until([&] { return client.closed || client.ended; }));
  }
  {
    recorder client, server;
    connect_pair(client, server);
    server.at_end = [&] { server.own.reset(); };
    client.own->close();
    ASSERT_TRUE(run_until([&] { return server.own == nullptr && client.closed; }));
  }
  {
    recorder server;
    auto fd = connect_raw(server);
    server.at_closed = [&] { server.own.reset(); };
    reset(fd);
    ASSERT_TRUE(run_until([&] { return server.own == nullptr; }));
  }
  {
    recorder server;
    auto fd = connect_raw(server);
    server.at_drained = [&] { server.own.reset(); };
    server.own->write(slice::copy_of(std::string(200'000, 'x')));
    char room[65536];
    ASSERT_TRUE(run_until([&] {
      while (::recv(fd, room, sizeof room, MSG_DONTWAIT) > 0) {
      }
      return server.own == nullptr;
    }));
    ::close(fd);
  }
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
}

TEST_F(stream_test, events_of_one_batch_skip_a_stream_that_an_earlier_one_ended) {
  recorder first, second;
  auto a = connect_raw(first), b = connect_raw(second);
  auto kill_other = [](recorder& other) {
    return [&other](std::string_view data) {
      other.own.reset();
      return data.size();
    };
  };
  first.data = kill_other(second);
  second.data = kill_other(first);
  ASSERT_EQ(::send(a, "x", 1, 0), 1);
  ASSERT_EQ(::send(b, "x", 1, 0), 1);
  ASSERT_TRUE(run_until([&] { return !first.own || !second.own; }));
  settle();
  EXPECT_NE(first.own == nullptr, second.own == nullptr) << "only one of them was called";
  ::close(a);
  ::close(b);
}

TEST_F(stream_test, a_stream_ended_while_it_waits_for_attention_is_not_touched) {
  recorder first, second;
  auto a = connect_raw(first), b = connect_raw(second);
  second.own->pause_reading();
  first.data = [&](std::string_view data) {
    second.own->resume_reading(); // listed
    loop_->defer([&] { second.own.reset(); });
    return data.size();
  };
  ASSERT_EQ(::send(a, "x", 1, 0), 1);
  ASSERT_EQ(::send(b, "y", 1, 0), 1);
  ASSERT_TRUE(run_until([&] { return !second.own; }));
  settle();
  EXPECT_EQ(second.received, "");
  ::close(a);
  ::close(b);
}

TEST_F(stream_test, outliving_its_loop_it_is_silent) {
  recorder client, server;
  connect_pair(client, server);
  acceptor_.reset();
  loop_.reset();
  EXPECT_EQ(client.trace, "connected ");
  client.own->write("nobody");
  EXPECT_EQ(client.own->pending_output(), 0u);
  EXPECT_FALSE(client.own->writable());
}

TEST_F(stream_test, disconnects_in_every_state_leave_nothing_behind) {
  enum what { keep, fin, rst, own_close, own_abort, own_drop, what_count };
  for (int how = keep; how < what_count; ++how)
    for (bool paused : {false, true})
      for (bool pending : {false, true})
        for (bool unread : {false, true}) {
          auto server = std::make_unique<recorder>();
          auto fd = connect_raw(*server, 4096);
          if (paused)
            server->own->pause_reading();
          if (unread) {
            ASSERT_EQ(::send(fd, "hello", 5, 0), 5);
          }
          if (pending)
            server->own->write(slice::copy_of(std::string(1 << 20, 'p')));
          loop_->run_once(0ms);
          switch (how) {
          case fin:
            ::shutdown(fd, SHUT_WR);
            break;
          case rst:
            reset(fd), fd = -1;
            break;
          case own_close:
            server->own->close();
            break;
          case own_abort:
            server->own->abort();
            break;
          case own_drop:
            server->own.reset();
            break;
          default:
            break;
          }
          settle();
          if (fd >= 0)
            reset(fd);
          if (server->own)
            server->own->resume_reading();
          settle();
          ASSERT_TRUE(run_until([&] { return !server->own || server->closed; }))
              << how << paused << pending << unread << " " << server->trace;
        }
  ASSERT_TRUE(run_until([&] { return loop_->counters().streams_open == 0; }));
  EXPECT_EQ(buffer_bytes_live(), 0u);
}

} // namespace
} // namespace hedwig::net::test
