// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/network/sim_world.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

namespace hedwig::sim {
namespace {

using namespace std::chrono_literals;

const net::address server_address = *net::address::parse("192.0.2.1:25");

/// Either end of a small dialogue: writes down what it hears and does what the test wants on top.
class talker final : public net::stream_handler {
public:
  std::string received;
  std::string trace;
  std::optional<error> reason;
  bool closed = false;
  int drained = 0;
  std::unique_ptr<net::stream> own;
  std::function<std::size_t(std::string_view)> data;
  std::function<void()> at_connected, at_tls, at_end, at_drained, at_closed;

  void on_connected() override { say("connected", at_connected); }
  std::size_t on_data(std::string_view bytes) override {
    if (data)
      return data(bytes);
    received += bytes;
    return bytes.size();
  }
  void on_tls(const net::tls_info&) override { say("tls", at_tls); }
  void on_end() override { say("end", at_end); }
  void on_drained() override {
    ++drained;
    if (at_drained)
      at_drained();
  }
  void on_closed(std::optional<error> why) override {
    EXPECT_FALSE(closed) << "closed twice";
    closed = true;
    reason = std::move(why);
    say(reason ? "error" : "closed", at_closed);
  }

private:
  void say(std::string_view what, const std::function<void()>& then) {
    trace += std::string{what} + " ";
    if (then)
      then();
  }
};

class listening final : public net::acceptor_handler {
public:
  std::function<void(std::unique_ptr<net::connection>)> take;
  void on_connection(std::unique_ptr<net::connection> fresh) override { take(std::move(fresh)); }
};

/// A world with two loops, a listener on one and a connection from the other.
class pair_of_talkers {
public:
  explicit pair_of_talkers(const network_options& options, const net::loop_options& loops = {})
    : world{options}, near{world.make_loop(loops)}, far{world.make_loop(loops)} {
    handler.take = [this](std::unique_ptr<net::connection> fresh) {
      server.own = far->adopt(std::move(fresh), server);
      if (at_accept)
        at_accept();
    };
    acceptor = std::move(*far->listen(server_address, {}, handler));
  }
  void connect(std::chrono::milliseconds timeout = 30s) {
    client.own = std::move(*near->connect(server_address, {}, client, {.timeout = timeout}));
  }

  sim_world world;
  std::unique_ptr<net::loop> near, far;
  listening handler;
  std::unique_ptr<net::acceptor> acceptor;
  std::function<void()> at_accept;
  talker client, server;
};

std::string long_text(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i)
    text += std::to_string(i) + ",";
  return text;
}

/// A dialogue with everything in it; returns what happened.
std::string whole_dialogue(std::uint64_t seed, const network_faults& faults, std::uint64_t* hash = nullptr) {
  network_options options;
  options.seed = seed;
  options.faults = faults;
  options.keep_trace = true;
  pair_of_talkers both{options};
  both.at_accept = [&] { both.server.own->write("220 ready\r\n"); };
  both.server.at_end = [&] { both.server.own->close(); };
  both.client.at_end = [&] { both.client.own->close(); };
  net::timer patience{*both.near, [&] { both.client.own->close(); }};
  patience.start(60s);
  both.client.at_connected = [&] { both.client.own->write(long_text(3000)); };
  both.connect();
  EXPECT_TRUE(both.world.run_for(10min));
  if (hash != nullptr)
    *hash = both.world.trace_hash();
  return both.world.trace() + both.client.trace + both.server.trace;
}

TEST(sim_network, the_same_seed_does_the_same_and_another_one_something_else) {
  network_faults faults{.refused = 0.1, .unanswered = 0.1, .cut = 0.3, .cut_within = 4000, .slow = 0.3};
  std::set<std::string> different;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::uint64_t first = 0, second = 0;
    auto run = whole_dialogue(seed, faults, &first);
    EXPECT_EQ(whole_dialogue(seed, faults, &second), run) << "seed " << seed;
    EXPECT_EQ(first, second);
    different.insert(run);
  }
  EXPECT_GT(different.size(), 45u);
}

TEST(sim_network, bytes_arrive_complete_and_in_order_without_faults) {
  auto text = long_text(20'000);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    pair_of_talkers both{{.seed = seed}};
    both.at_accept = [&] {
      both.server.own->write(text);
      both.server.own->close();
    };
    both.client.at_connected = [&] {
      EXPECT_EQ(both.client.own->peer(), server_address);
      both.client.own->write(slice::copy_of(text));
    };
    both.client.at_end = [&] { both.client.own->close(); };
    both.connect();
    ASSERT_TRUE(both.world.settle()) << "seed " << seed;
    ASSERT_TRUE(both.client.received == text) << "seed " << seed;
    EXPECT_EQ(both.client.trace, "connected end closed ");
    EXPECT_EQ(both.server.trace, "closed ");
    EXPECT_EQ(both.world.endpoints_open(), 0u);
    EXPECT_EQ(both.near->counters().streams_open, 0u);
  }
}

TEST(sim_network, what_a_cut_connection_delivered_is_a_beginning_of_what_was_sent) {
  auto text = long_text(5000);
  std::set<std::size_t> lengths;
  std::set<std::string> endings;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    pair_of_talkers both{{.seed = seed, .faults = {.cut = 1, .cut_within = 5000}}};
    both.at_accept = [&] { both.server.own->write(text); };
    net::timer patience{*both.near, [&] { both.client.own->abort(); }};
    patience.start(60s);
    net::timer other_patience{*both.far, [&] {
                                if (both.server.own)
                                  both.server.own->abort();
                              }};
    other_patience.start(60s);
    both.connect();
    ASSERT_TRUE(both.world.run_for(10min));
    ASSERT_TRUE(text.starts_with(both.client.received)) << "seed " << seed;
    EXPECT_EQ(both.world.cuts(), 1u);
    lengths.insert(both.client.received.size());
    endings.insert(both.client.trace);
    EXPECT_TRUE(both.client.closed);
    EXPECT_EQ(both.world.endpoints_open(), 0u) << "seed " << seed;
  }
  EXPECT_GT(lengths.size(), 150u) << "every byte may be the last";
  EXPECT_TRUE(endings.contains("connected error ")) << "a reset";
  EXPECT_TRUE(endings.contains("connected closed ")) << "silence, until patience ends";
  EXPECT_TRUE(endings.contains("connected end closed ")) << "a FIN";
}

TEST(sim_network, connection_attempts_are_refused_unanswered_or_find_nobody) {
  {
    pair_of_talkers both{{.faults = {.refused = 1}}};
    both.connect();
    EXPECT_TRUE(both.world.settle());
    ASSERT_TRUE(both.client.reason);
    EXPECT_EQ(both.client.reason->status, HEDWIG_E_UNAVAILABLE);
  }
  {
    pair_of_talkers both{{.faults = {.unanswered = 1}}};
    both.connect(30s);
    EXPECT_TRUE(both.world.settle());
    EXPECT_FALSE(both.client.closed);
    EXPECT_TRUE(both.world.run_for(29s));
    EXPECT_FALSE(both.client.closed);
    EXPECT_TRUE(both.world.run_for(2s));
    ASSERT_TRUE(both.client.reason);
    EXPECT_EQ(both.client.reason->status, HEDWIG_E_TIMEOUT);
  }
  {
    pair_of_talkers both{{}};
    both.acceptor.reset();
    both.connect();
    EXPECT_TRUE(both.world.settle());
    EXPECT_TRUE(both.client.reason);
  }
}

TEST(sim_network, a_wildcard_listener_takes_every_address_of_its_port) {
  sim_world world;
  auto loop = world.make_loop();
  listening handler;
  int accepted = 0;
  handler.take = [&](std::unique_ptr<net::connection> fresh) {
    EXPECT_EQ(fresh->local().text(), "203.0.113.7:25");
    ++accepted;
  };
  auto acceptor = loop->listen(*net::address::parse("0.0.0.0:25"), {}, handler);
  ASSERT_TRUE(acceptor);
  EXPECT_FALSE(loop->listen(*net::address::parse("0.0.0.0:25"), {}, handler));
  talker client;
  client.own = std::move(*loop->connect(*net::address::parse("203.0.113.7:25"), {}, client));
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(accepted, 1);
}

TEST(sim_network, a_paused_acceptor_keeps_connections_waiting) {
  pair_of_talkers both{{}};
  both.acceptor->pause();
  both.connect();
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(both.client.trace, "connected ");
  EXPECT_FALSE(both.server.own);
  both.acceptor->resume();
  EXPECT_TRUE(both.world.settle());
  EXPECT_TRUE(both.server.own);
}

TEST(sim_network, a_refusing_listener_sends_its_text_and_the_end) {
  pair_of_talkers both{{}};
  both.handler.take = [](std::unique_ptr<net::connection> fresh) { fresh->refuse("421 full\r\n"); };
  both.connect();
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(both.client.received, "421 full\r\n");
  EXPECT_EQ(both.client.trace, "connected end ");
}

TEST(sim_network, leftover_pauses_and_resumes_keep_every_byte) {
  auto text = long_text(3000);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    pair_of_talkers both{{.seed = seed}};
    std::string seen;
    both.server.data = [&](std::string_view data) {
      auto used = std::min<std::size_t>(data.size(), 7);
      seen += data.substr(0, used);
      both.server.own->pause_reading();
      both.far->defer([&] { both.server.own->resume_reading(); });
      return used;
    };
    both.client.at_connected = [&] { both.client.own->write(text); };
    both.connect();
    ASSERT_TRUE(both.world.settle());
    ASSERT_TRUE(seen == text) << "seed " << seed;
  }
}

TEST(sim_network, a_peer_that_does_not_read_holds_up_the_writer_until_it_drains) {
  pair_of_talkers both{{.seed = 3, .window_max = 1000}};
  both.at_accept = [&] { both.server.own->pause_reading(); };
  both.connect();
  EXPECT_TRUE(both.world.settle());
  both.client.own->write(slice::copy_of(std::string(300'000, 'b')));
  EXPECT_FALSE(both.client.own->writable());
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(both.client.drained, 0);
  EXPECT_GE(both.client.own->pending_output(), 299'000u);
  both.server.own->resume_reading();
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(both.client.drained, 1);
  EXPECT_EQ(both.server.received.size(), 300'000u);
}

TEST(sim_network, closing_on_a_peer_that_never_reads_ends_with_the_linger_time) {
  pair_of_talkers both{{.window_max = 100}};
  both.at_accept = [&] { both.server.own->pause_reading(); };
  both.connect();
  EXPECT_TRUE(both.world.settle());
  both.client.own->write(std::string(1000, 'x'));
  both.client.own->close();
  both.client.own.reset();
  EXPECT_TRUE(both.world.run_for(9s));
  EXPECT_EQ(both.near->counters().streams_open, 1u);
  EXPECT_TRUE(both.world.run_for(2s));
  EXPECT_EQ(both.near->counters().streams_open, 0u);
  EXPECT_TRUE(both.server.closed) << "told by a reset";
  EXPECT_FALSE(both.client.closed) << "an owner that has gone hears nothing";
}

TEST(sim_network, a_slow_connection_takes_virtual_time) {
  pair_of_talkers both{{.faults = {.slow = 1, .slow_gap = 5s}}};
  both.client.at_connected = [&] { both.client.own->write(long_text(2000)); };
  both.connect();
  auto begin = both.world.clock().steady();
  while (both.server.received.size() < long_text(2000).size())
    ASSERT_TRUE(both.world.run_once() || both.world.advance());
  EXPECT_GT(both.world.clock().steady() - begin, 10s);
  EXPECT_LT(both.world.clock().steady() - begin, 1h);
}

TEST(sim_network, timers_fire_in_order_and_only_when_time_moves) {
  sim_world world;
  auto loop = world.make_loop();
  std::string fired;
  net::timer a{*loop, [&] { fired += "a"; }}, b{*loop, [&] { fired += "b"; }}, c{*loop, [&] { fired += "c"; }};
  a.start(2h);
  b.start(1h);
  c.start(30min);
  c.start(3h);
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(fired, "");
  EXPECT_EQ(*world.next_deadline(), world.clock().steady() + 1h);
  EXPECT_TRUE(world.advance());
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(fired, "b");
  c.cancel();
  EXPECT_TRUE(world.run_for(24h));
  EXPECT_EQ(fired, "ba");
  EXPECT_FALSE(world.advance());
}

TEST(sim_network, the_wall_clock_may_jump_without_waits_noticing) {
  sim_world world;
  auto wall = world.clock().wall();
  auto steady = world.clock().steady();
  world.clock().jump_wall(-24h);
  EXPECT_EQ(world.clock().wall(), wall - 24h);
  EXPECT_EQ(world.clock().steady(), steady);
}

TEST(sim_network, clients_of_a_loop_run_in_steps_of_their_own_on_its_thread) {
  struct client final : net::loop_client {
    net::loop* loop = nullptr;
    int left = 3;
    bool run_ready() override {
      EXPECT_TRUE(loop->in_loop_thread());
      return left > 0 && --left > 0;
    }
  } work;
  sim_world world;
  auto loop = world.make_loop();
  work.loop = loop.get();
  loop->set_client(&work);
  EXPECT_FALSE(loop->in_loop_thread());
  loop->wake();
  EXPECT_TRUE(world.settle());
  EXPECT_EQ(work.left, 0);
  bool posted = false, deferred = false;
  loop->post([&] {
    posted = loop->in_loop_thread();
    loop->defer([&] { deferred = true; });
  });
  EXPECT_TRUE(world.settle());
  EXPECT_TRUE(posted);
  EXPECT_TRUE(deferred);
  loop->set_client(nullptr);
}

/// STARTTLS in both roles; `server_extra` is what follows the 220 in clear, `client_extra` the command.
void starttls(pair_of_talkers& both, std::string client_extra, std::string server_extra) {
  both.at_accept = [&] { both.server.own->write("220 ready\r\n"); };
  both.server.data = [&, server_extra](std::string_view data) -> std::size_t {
    if (both.server.own->tls()) {
      both.server.received += data;
      return data.size();
    }
    if (!data.starts_with("STARTTLS\r\n"))
      return 0;
    both.server.own->write("220 go\r\n" + server_extra);
    both.server.own->start_tls(nullptr, net::tls_role::server);
    return 10;
  };
  both.client.data = [&, client_extra](std::string_view data) -> std::size_t {
    if (both.client.own->tls()) {
      both.client.received += data;
      return data.size();
    }
    auto end = data.find("\r\n");
    if (end == std::string_view::npos)
      return 0;
    if (data.starts_with("220 ready"))
      both.client.own->write("STARTTLS\r\n" + client_extra);
    else
      both.client.own->start_tls(nullptr, net::tls_role::client, "relay.test");
    both.client.own->resume_reading();
    return end + 2;
  };
  both.client.at_tls = [&] { both.client.own->write("EHLO again\r\n"); };
  both.server.at_tls = [&] { both.server.own->write("protected\r\n"); };
  both.connect();
  EXPECT_TRUE(both.world.run_for(1min));
}

TEST(sim_network, starttls_protects_what_follows_whatever_the_order) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    pair_of_talkers both{{.seed = seed}};
    starttls(both, "", "");
    EXPECT_EQ(both.client.trace, "connected tls ") << "seed " << seed;
    EXPECT_EQ(both.server.received, "EHLO again\r\n") << "seed " << seed;
    EXPECT_EQ(both.client.received, "protected\r\n") << "seed " << seed;
    EXPECT_EQ(both.server.own->tls()->server_name, "relay.test");
    EXPECT_TRUE(both.client.own->tls()->peer_verified);
  }
}

TEST(sim_network, clear_text_behind_starttls_is_never_heard) {
  int dropped = 0, broken = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    pair_of_talkers both{{.seed = seed}};
    starttls(both, seed % 2 == 0 ? "MAIL FROM:<injected>\r\n" : "", seed % 2 == 0 ? "" : "250 injected\r\n");
    EXPECT_EQ(both.server.received.find("injected"), std::string::npos);
    EXPECT_EQ(both.client.received.find("injected"), std::string::npos);
    if (both.client.own->tls() && both.server.own->tls())
      ++dropped;
    else
      ++broken;
  }
  EXPECT_GT(dropped, 0) << "in one piece with the command";
  EXPECT_GT(broken, 0) << "later: taken for a handshake";
}

TEST(sim_network, a_handshake_may_fail_at_both_ends) {
  pair_of_talkers both{{.faults = {.tls_failed = 1}}};
  starttls(both, "", "");
  EXPECT_TRUE(both.client.reason);
  EXPECT_TRUE(both.server.reason);
  EXPECT_EQ(both.world.endpoints_open(), 0u);
}

TEST(sim_network, all_connections_may_be_reset_at_once) {
  pair_of_talkers both{{}};
  both.connect();
  EXPECT_TRUE(both.world.settle());
  both.world.reset_connections();
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(both.client.trace, "connected error ");
  EXPECT_EQ(both.server.trace, "error ");
}

TEST(sim_network, a_loop_may_go_away_with_its_connections) {
  pair_of_talkers both{{}};
  both.connect();
  both.client.at_end = [&] { both.client.own->close(); };
  EXPECT_TRUE(both.world.settle());
  both.far.reset();
  EXPECT_TRUE(both.world.settle());
  EXPECT_TRUE(both.client.closed);
  EXPECT_FALSE(both.server.closed);
  both.server.own->write("nobody");
  talker late;
  late.own = std::move(*both.near->connect(server_address, {}, late));
  EXPECT_TRUE(both.world.settle());
  EXPECT_EQ(late.trace, "error ") << "nobody listens any more";
}

TEST(sim_network, streams_may_be_destroyed_inside_each_callback) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    pair_of_talkers both{{.seed = seed}};
    auto drop_server = [&] { both.server.own.reset(); };
    switch (seed % 4) {
    case 0:
      both.client.at_connected = [&] { both.client.own.reset(); };
      break;
    case 1:
      both.server.at_end = drop_server;
      break;
    case 2:
      both.server.at_closed = drop_server;
      break;
    default:
      both.server.data = [&](std::string_view data) {
        drop_server();
        return data.size() / 2;
      };
    }
    if (!both.client.at_connected)
      both.client.at_connected = [&] {
        both.client.own->write(long_text(500));
        if (seed % 4 == 2)
          both.client.own->abort();
        else
          both.client.own->close();
      };
    both.connect();
    EXPECT_TRUE(both.world.run_for(1min));
    both.server.own.reset();
    both.client.own.reset();
    EXPECT_TRUE(both.world.run_for(1min));
    EXPECT_EQ(both.world.endpoints_open(), 0u) << "seed " << seed;
  }
}

TEST(sim_network, thousands_of_faulty_dialogues_leave_nothing_behind) {
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    network_faults faults{
        .refused = 0.05, .unanswered = 0.05, .cut = 0.5, .cut_within = 2000, .slow = 0.2, .tls_failed = 0.1};
    pair_of_talkers both{{.seed = seed, .faults = faults}};
    both.server.at_end = [&] { both.server.own->close(); };
    both.client.at_end = [&] { both.client.own->close(); };
    net::timer near_patience{*both.near, [&] { both.client.own->close(); }};
    net::timer far_patience{*both.far, [&] {
                              if (both.server.own)
                                both.server.own->close();
                            }};
    near_patience.start(5min);
    far_patience.start(6min);
    starttls(both, "", "");
    EXPECT_TRUE(both.world.run_for(10min));
    EXPECT_TRUE(both.client.closed) << "seed " << seed;
    EXPECT_TRUE(!both.server.own || both.server.closed) << "seed " << seed;
    EXPECT_EQ(both.world.endpoints_open(), 0u) << "seed " << seed;
    cuts += both.world.cuts();
  }
  EXPECT_GT(cuts, 100u);
}

} // namespace
} // namespace hedwig::sim
