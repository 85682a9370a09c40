// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/loop.hpp"

#include "tests/unit/net/net_test_support.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

namespace hedwig::net::test {
namespace {

using namespace std::chrono_literals;

using loop_test = net_test;

class counting_client final : public loop_client {
public:
  std::function<bool()> work;
  int runs = 0;
  bool run_ready() override {
    ++runs;
    return work && work();
  }
};

TEST_F(loop_test, runs_its_client_after_each_batch_and_again_while_more_waits) {
  counting_client client;
  int left = 5;
  client.work = [&] { return --left > 0; };
  loop_->set_client(&client);
  for (int i = 0; i < 5; ++i)
    loop_->run_once(i == 0 ? 0ms : -1ms); // would sleep for ever if the loop forgot the work
  EXPECT_EQ(client.runs, 5);
  loop_->set_client(nullptr);
}

TEST_F(loop_test, the_client_runs_again_when_later_work_may_have_fed_it) {
  counting_client client;
  loop_->set_client(&client);
  loop_->defer([] {});
  loop_->run_once(0ms);
  EXPECT_EQ(client.runs, 1);
  loop_->run_once(-1ms);
  EXPECT_EQ(client.runs, 2);
  loop_->set_client(nullptr);
}

TEST_F(loop_test, deferred_work_runs_at_the_end_of_the_iteration_and_may_defer_more) {
  std::string order;
  counting_client client;
  client.work = [&] {
    order += "c";
    return false;
  };
  loop_->set_client(&client);
  loop_->defer([&] {
    order += "1";
    loop_->defer([&] { order += "2"; });
  });
  loop_->run_once(0ms);
  EXPECT_EQ(order, "c1");
  loop_->run_once(-1ms);
  EXPECT_EQ(order, "c1c2");
  loop_->set_client(nullptr);
}

TEST_F(loop_test, a_timer_wakes_a_sleeping_loop) {
  int fired = 0;
  timer once{*loop_, [&] { ++fired; }};
  auto begin = loop_->clock().steady();
  once.start(30ms);
  ASSERT_TRUE(run_until([&] { return fired == 1; }));
  EXPECT_GE(loop_->clock().steady() - begin, 30ms);
}

TEST_F(loop_test, many_wakes_cost_one_system_call) {
  std::atomic<int> runs{0};
  counting_client client;
  client.work = [&] {
    ++runs;
    return false;
  };
  loop_->set_client(&client);
  loop_->run_once(0ms);
  auto before = loop_->counters().wakeups.load();
  std::thread other{[&] {
    for (int i = 0; i < 1000; ++i)
      loop_->wake();
  }};
  other.join();
  EXPECT_EQ(loop_->counters().wakeups, before + 1);
  auto ran = runs.load();
  EXPECT_TRUE(loop_->run_once(-1ms));
  EXPECT_EQ(runs, ran + 1);
  loop_->set_client(nullptr);
}

TEST_F(loop_test, no_wake_is_lost_between_threads) {
  constexpr int messages = 20'000;
  std::mutex mutex;
  std::vector<int> box;
  long sum = 0;
  int got = 0;
  counting_client client;
  client.work = [&] {
    std::vector<int> batch;
    {
      std::lock_guard guard{mutex};
      batch.swap(box);
    }
    for (auto each : batch)
      sum += each;
    got += static_cast<int>(batch.size());
    if (got == 2 * messages)
      loop_->stop();
    return false;
  };
  loop_->set_client(&client);
  auto produce = [&] {
    for (int i = 0; i < messages; ++i) {
      {
        std::lock_guard guard{mutex};
        box.push_back(i);
      }
      loop_->wake();
    }
  };
  std::thread a{produce}, b{produce};
  loop_->run(); // ends only if every message is seen
  a.join();
  b.join();
  EXPECT_EQ(sum, 2L * messages * (messages - 1) / 2);
  loop_->set_client(nullptr);
}

TEST_F(loop_test, knows_its_thread) {
  auto fresh = make_epoll_loop(time_);
  ASSERT_TRUE(fresh);
  EXPECT_FALSE((*fresh)->in_loop_thread()) << "nobody runs it yet";
  bool inside = false;
  std::thread runner{[&] {
    (*fresh)->post([&] {
      inside = (*fresh)->in_loop_thread();
      (*fresh)->stop();
    });
    (*fresh)->run();
  }};
  runner.join();
  EXPECT_TRUE(inside);
  EXPECT_FALSE((*fresh)->in_loop_thread());
}

TEST_F(loop_test, a_connection_accepted_on_one_loop_lives_on_another) {
  auto second = make_epoll_loop(time_);
  ASSERT_TRUE(second);
  auto& other = **second;
  recorder server;
  std::atomic<bool> answered{false};
  server.data = [&](std::string_view data) {
    EXPECT_TRUE(other.in_loop_thread());
    server.own->write(data);
    server.own->close();
    return data.size();
  };
  server.at_closed = [&] { answered = true; };
  accepting_.take = [&](std::unique_ptr<connection> fresh) {
    EXPECT_TRUE(loop_->in_loop_thread());
    EXPECT_TRUE(fresh->peer().is_loopback());
    EXPECT_EQ(fresh->local(), acceptor_->local());
    other.post([&, moved = std::move(fresh)]() mutable { server.own = other.adopt(std::move(moved), server); });
  };
  std::thread runner{[&] { other.run(); }};
  recorder client;
  client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
  client.own->write("over there");
  client.at_end = [&] { client.own->close(); };
  ASSERT_TRUE(run_until([&] { return client.closed && answered; }));
  other.stop();
  runner.join();
  server.own.reset();
  EXPECT_EQ(client.received, "over there");
  EXPECT_EQ(other.counters().streams_open, 0u);
}

TEST_F(loop_test, listens_on_ipv6_beside_ipv4_with_rules_of_its_own) {
  accepting six;
  auto listening = loop_->listen(*address::parse("[::1]:0"), {}, six);
  if (!listening && listening.error().os_errno == EADDRNOTAVAIL)
    GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(listening) << listening.error().text();
  recorder client;
  client.own = std::move(*loop_->connect((*listening)->local(), {}, client));
  ASSERT_TRUE(run_until([&] { return !six.waiting.empty(); }));
  EXPECT_EQ(six.waiting.front()->peer().ip_text(), "::1");
  // [::] does not take the IPv4 port of the same number.
  auto port = acceptor_->local().port();
  accepting any;
  EXPECT_TRUE(loop_->listen(address::parse("[::]:0")->with_port(port), {}, any));
}

TEST_F(loop_test, an_address_in_use_is_an_error_that_names_it) {
  accepting other;
  auto again = loop_->listen(acceptor_->local(), {}, other);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().text().find("cannot bind to " + acceptor_->local().text()), std::string::npos);
  EXPECT_EQ(again.error().os_errno, EADDRINUSE);
}

TEST_F(loop_test, listens_again_at_once_where_connections_were_closed_by_us) {
  recorder client, server;
  connect_pair(client, server);
  auto at = acceptor_->local();
  server.own->close(); // our side ends in TIME_WAIT
  client.at_end = [&] { client.own->close(); };
  ASSERT_TRUE(run_until([&] { return client.closed && server.closed; }));
  acceptor_.reset();
  accepting again;
  auto listening = loop_->listen(at, {}, again);
  EXPECT_TRUE(listening) << listening.error().text();
}

TEST_F(loop_test, a_paused_acceptor_leaves_connections_in_the_backlog) {
  acceptor_->pause();
  EXPECT_TRUE(acceptor_->paused());
  recorder client;
  client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
  ASSERT_TRUE(run_until([&] { return client.trace == "connected "; }));
  settle();
  EXPECT_TRUE(accepting_.waiting.empty());
  acceptor_->resume();
  EXPECT_TRUE(run_until([&] { return accepting_.waiting.size() == 1; }));
}

TEST_F(loop_test, accepts_a_bounded_number_of_connections_an_event_and_none_after_a_pause) {
  listen_options options;
  options.accepts_per_event = 4;
  accepting handler;
  auto listening = loop_->listen(*address::parse("127.0.0.1:0"), options, handler);
  ASSERT_TRUE(listening);
  std::vector<std::unique_ptr<recorder>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<recorder>());
    clients.back()->own = std::move(*loop_->connect((*listening)->local(), {}, *clients.back()));
  }
  std::size_t most = 0;
  ASSERT_TRUE(run_until([&, before = std::size_t{0}]() mutable {
    most = std::max(most, handler.waiting.size() - before);
    before = handler.waiting.size();
    return before >= 8;
  }));
  EXPECT_LE(most, 4u);
  std::size_t seen = handler.waiting.size();
  handler.take = [&](std::unique_ptr<connection>) {
    ++seen;
    (*listening)->pause();
  };
  for (int i = 0; i < 10; ++i)
    loop_->run_once(0ms);
  EXPECT_EQ(seen, 9u);
}

TEST_F(loop_test, an_acceptor_may_be_destroyed_inside_its_callback) {
  accepting_.take = [&](std::unique_ptr<connection>) { acceptor_.reset(); };
  auto at = acceptor_->local();
  recorder first, second;
  first.own = std::move(*loop_->connect(at, {}, first));
  second.own = std::move(*loop_->connect(at, {}, second));
  ASSERT_TRUE(run_until([&] { return acceptor_ == nullptr; }));
  settle();
  EXPECT_EQ(loop_->counters().acceptors_open, 0u);
}

TEST_F(loop_test, a_refused_connection_gets_its_text) {
  accepting_.take = [](std::unique_ptr<connection> fresh) { fresh->refuse("421 too many connections\r\n"); };
  recorder client;
  client.own = std::move(*loop_->connect(acceptor_->local(), {}, client));
  client.own->write("EHLO impatient\r\n");
  ASSERT_TRUE(run_until([&] { return client.ended || client.closed; }));
  EXPECT_EQ(client.received, "421 too many connections\r\n");
}

TEST_F(loop_test, takes_over_an_inherited_listening_socket) {
  auto fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage raw;
  auto size = address::parse("127.0.0.1:0")->to_sockaddr(raw);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&raw), size), 0);
  ASSERT_EQ(::listen(fd, 8), 0);
  accepting handler;
  auto adopted = loop_->adopt_listener(fd, {}, handler);
  ASSERT_TRUE(adopted) << adopted.error().text();
  EXPECT_NE((*adopted)->local().port(), 0);
  recorder client;
  client.own = std::move(*loop_->connect((*adopted)->local(), {}, client));
  EXPECT_TRUE(run_until([&] { return handler.waiting.size() == 1; }));
}

TEST_F(loop_test, refuses_inherited_descriptors_that_do_not_listen) {
  accepting handler;
  auto plain = loop_->adopt_listener(::socket(AF_INET, SOCK_STREAM, 0), {}, handler);
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().message.find("does not listen: pass a listening TCP socket"), std::string::npos);
  auto file = loop_->adopt_listener(::open("/dev/null", O_RDONLY), {}, handler);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("is not a socket"), std::string::npos);
  auto local = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr raw{};
  raw.sa_family = AF_UNIX;
  ::bind(local, &raw, sizeof raw.sa_family); // an abstract name of the kernel's choice
  ::listen(local, 1);
  EXPECT_FALSE(loop_->adopt_listener(local, {}, handler));
}

int descriptors_open() {
  int count = 0;
  for (auto& each : std::filesystem::directory_iterator{"/proc/self/fd"})
    count += each.is_symlink() ? 1 : 0;
  return count;
}

/// Runs in a child, since it takes away the process's descriptors. 0: as it should be.
int run_out_of_descriptors() {
  auto made = make_epoll_loop(hedwig::clock::system());
  auto& loop = **made;
  accepting handler;
  listen_options options;
  options.exhausted_pause = 50ms;
  auto listening = loop.listen(*address::parse("127.0.0.1:0"), options, handler);
  if (!listening)
    return 1;
  auto client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage raw;
  auto size = (*listening)->local().to_sockaddr(raw);
  if (::connect(client, reinterpret_cast<sockaddr*>(&raw), size) != 0)
    return 2;
  rlimit none{0, 0};
  none.rlim_cur = none.rlim_max = static_cast<rlim_t>(client) + 1; // every number below is taken or never freed
  for (int fd = 0; fd < client; ++fd)
    if (::fcntl(fd, F_GETFD) < 0)
      ::fcntl(client, F_DUPFD, fd);
  ::setrlimit(RLIMIT_NOFILE, &none);
  auto end = std::chrono::steady_clock::now() + 400ms;
  auto before = loop.counters().iterations.load();
  while (std::chrono::steady_clock::now() < end)
    loop.run_once(100ms);
  auto turns = loop.counters().iterations.load() - before;
  if (handler.exhausted < 2 || loop.counters().accept_errors != static_cast<std::uint64_t>(handler.exhausted))
    return 3; // said and counted, and tried again
  if (turns > 100)
    return 4; // spins
  if (!handler.waiting.empty())
    return 5;
  ::close(0); // room for one
  for (int i = 0; i < 100 && handler.waiting.empty(); ++i)
    loop.run_once(100ms);
  return handler.waiting.size() == 1 ? 0 : 6;
}

TEST_F(loop_test, out_of_descriptors_it_rests_instead_of_spinning_and_recovers) {
  auto child = ::fork();
  if (child == 0)
    ::_exit(run_out_of_descriptors());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

/// Clients that come, talk a little and leave in every way there is, as fast as they can.
void storm(const address& at, unsigned seed, int rounds) {
  sockaddr_storage raw;
  auto size = at.to_sockaddr(raw);
  std::string body(30'000, 'z');
  for (int i = 0; i < rounds; ++i) {
    auto fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&raw), size) != 0) {
      ::close(fd);
      continue;
    }
    auto how = (seed + static_cast<unsigned>(i)) % 6;
    if (how >= 1)
      (void)!::send(fd, "EHLO x\r\nMAIL\r\nDATA\r\n", 20, MSG_NOSIGNAL);
    if (how >= 4)
      (void)!::send(fd, body.data(), body.size(), MSG_NOSIGNAL);
    char room[128];
    if (how == 2 || how == 5) {
      ::shutdown(fd, SHUT_WR);
      (void)!::recv(fd, room, sizeof room, 0);
    }
    if (how == 3 || how == 4) {
      linger now{1, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    ::close(fd);
  }
}

/// A session that answers each line, ends on its own account now and then, and destroys itself when it is over.
class storm_session final : public stream_handler {
public:
  storm_session(loop& on, std::unique_ptr<connection> fresh, std::atomic<int>& alive, unsigned fate)
    : alive_{alive}, fate_{fate}, stream_{on.adopt(std::move(fresh), *this)}, idle_{on, [this] { stream_->abort(); }} {
    ++alive_;
    idle_.start(5s);
    stream_->write("220 ready\r\n");
  }
  ~storm_session() override { --alive_; }
  std::size_t on_data(std::string_view data) override {
    idle_.start(5s);
    for (auto c : data)
      if (c == '\n')
        stream_->write("250 ok\r\n");
    if (fate_ == 0)
      stream_->close();
    else if (fate_ == 1)
      stream_->abort();
    else if (fate_ == 2) {
      delete this;
      return 0;
    }
    return data.rfind('\n') == std::string_view::npos ? data.size() : data.rfind('\n') + 1;
  }
  void on_end() override { stream_->close(); }
  void on_closed(std::optional<error>) override { delete this; }

private:
  std::atomic<int>& alive_;
  unsigned fate_;
  std::unique_ptr<stream> stream_;
  timer idle_;
};

TEST_F(loop_test, thousands_of_clients_that_leave_in_every_way_leave_nothing_behind) {
  auto before = descriptors_open();
  constexpr unsigned clients = 8, rounds = 400;
  std::atomic<int> alive{0};
  std::atomic<unsigned> begun{0};
  auto second = make_epoll_loop(time_);
  ASSERT_TRUE(second);
  auto& other = **second;
  unsigned count = 0;
  accepting_.take = [&](std::unique_ptr<connection> fresh) {
    auto fate = ++count % 7;
    auto begin = [&, fate](loop& on, std::unique_ptr<connection> taken) {
      new storm_session{on, std::move(taken), alive, fate};
      ++begun;
    };
    if (count % 2 == 0)
      begin(*loop_, std::move(fresh));
    else
      other.post([&, begin, moved = std::move(fresh)]() mutable { begin(other, std::move(moved)); });
  };
  std::thread runner{[&] { other.run(); }};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < clients; ++i)
    threads.emplace_back([&, i] { storm(acceptor_->local(), i, rounds); });
  EXPECT_TRUE(run_until([&] { return begun == clients * rounds; }));
  for (auto& each : threads)
    each.join();
  EXPECT_TRUE(run_until(
      [&] { return alive == 0 && loop_->counters().streams_open == 0 && other.counters().streams_open == 0; }));
  other.stop();
  runner.join();
  second->reset();
  EXPECT_EQ(descriptors_open(), before);
}

} // namespace
} // namespace hedwig::net::test
