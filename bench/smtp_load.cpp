// SPDX-License-Identifier: Apache-2.0
// Sends mail over connections that stay open and measures what a client sees: messages a second, and the time from the
// end of the data to the 250. One thread, no library of the relay, so that nothing here is faster by knowing it. The
// envelope goes out in one piece where PIPELINING is offered.
//
//   smtp_load ADDRESS PORT CONNECTIONS MESSAGES OCTETS [SENDER RECIPIENT]
//
// Prints one line of JSON: seconds, messages_per_second, p50_us, p99_us, p999_us, max_us, cpu_seconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "smtp_load: %s\n", what.c_str());
  std::exit(1);
}

struct plan {
  sockaddr_in to{};
  std::size_t messages = 0;
  std::string envelope_in_one; // MAIL, RCPT, DATA
  std::vector<std::string> envelope;
  std::string data; // with its end
};

struct account {
  std::size_t begun = 0;
  std::size_t done = 0;
  std::vector<std::uint32_t> waits_us;
};

/// One client: sends when it may, counts the replies it waits for, and takes the next message when one is done.
class client {
public:
  client(const plan& what, account& all) : plan_{what}, all_{all} {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&plan_.to), sizeof plan_.to) != 0)
      fail(std::string{"cannot connect: "} + std::strerror(errno));
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() { ::close(fd_); }

  [[nodiscard]] int descriptor() const { return fd_; }
  [[nodiscard]] bool wants_to_write() const { return sent_ < out_.size(); }
  [[nodiscard]] bool ready() const { return stage_ == stage::ready; }

  void begin() {
    if (all_.begun == plan_.messages)
      return;
    ++all_.begun;
    if (pipelining_) {
      expect(stage::envelope, 3, plan_.envelope_in_one);
    } else {
      next_command_ = 1;
      expect(stage::envelope, 1, plan_.envelope[0]);
    }
  }

  void on_writable() {
    while (wants_to_write()) {
      const auto sent = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN)
        return;
      if (sent < 0)
        fail(std::string{"cannot send: "} + std::strerror(errno));
      sent_ += static_cast<std::size_t>(sent);
    }
    if (stage_ == stage::data)
      data_sent_at_ = steady::now();
  }

  void on_readable() {
    char piece[4096];
    for (;;) {
      const auto got = ::recv(fd_, piece, sizeof piece, 0);
      if (got < 0 && errno == EAGAIN)
        break;
      if (got <= 0)
        fail("the server closed a connection");
      in_.append(piece, static_cast<std::size_t>(got));
    }
    for (std::size_t end; (end = in_.find("\r\n")) != std::string::npos; in_.erase(0, end + 2))
      on_line(std::string_view{in_}.substr(0, end));
  }

private:
  enum class stage { greeting, ehlo, ready, envelope, data };

  void expect(stage next, std::size_t replies, std::string_view text) {
    stage_ = next;
    awaited_ = replies;
    out_ = text;
    sent_ = 0;
    on_writable();
  }

  void on_line(std::string_view line) {
    if (stage_ == stage::ehlo && line.substr(4) == "PIPELINING")
      pipelining_ = true;
    if (line.size() > 3 && line[3] == '-')
      return;
    if (line.empty() || (line[0] != '2' && line[0] != '3'))
      fail("refused: " + std::string{line});
    if (--awaited_ == 0)
      on_reply();
  }

  void on_reply() {
    switch (stage_) {
    case stage::greeting:
      return expect(stage::ehlo, 1, "EHLO load.example.test\r\n");
    case stage::ehlo:
      stage_ = stage::ready;
      return;
    case stage::envelope:
      if (!pipelining_ && next_command_ < plan_.envelope.size())
        return expect(stage::envelope, 1, plan_.envelope[next_command_++]);
      return expect(stage::data, 1, plan_.data);
    case stage::data:
      all_.waits_us.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - data_sent_at_).count()));
      ++all_.done;
      stage_ = stage::ready;
      return begin();
    case stage::ready:
      fail("a reply to nothing");
    }
  }

  const plan& plan_;
  account& all_;
  int fd_ = -1;
  stage stage_ = stage::greeting;
  bool pipelining_ = false;
  std::size_t awaited_ = 1;
  std::size_t next_command_ = 0;
  std::string_view out_;
  std::size_t sent_ = 0;
  std::string in_;
  steady::time_point data_sent_at_;
};

class loop {
public:
  explicit loop(std::vector<std::unique_ptr<client>>& clients)
    : clients_{clients}, epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
    for (auto& one : clients_) {
      epoll_event event{EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = one.get()}};
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, one->descriptor(), &event);
    }
  }
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;
  ~loop() { ::close(epoll_); }

  template <class Condition>
  void until(Condition done) {
    while (!done()) {
      epoll_event events[256];
      const int count = ::epoll_wait(epoll_, events, 256, 60'000);
      if (count <= 0)
        fail("nothing came for a minute");
      for (int i = 0; i < count; ++i) {
        auto& one = *static_cast<client*>(events[i].data.ptr);
        if (events[i].events & EPOLLOUT && one.wants_to_write())
          one.on_writable();
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
          one.on_readable();
      }
    }
  }

private:
  std::vector<std::unique_ptr<client>>& clients_;
  int epoll_;
};

std::string message_of(std::size_t octets) {
  std::string text = "From: <load@example.test>\r\nTo: <sink@example.net>\r\nSubject: load\r\n"
                     "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <load@example.test>\r\n\r\n";
  const std::string line = std::string(70, 'x') + "\r\n";
  while (text.size() + line.size() <= octets)
    text += line;
  return text + ".\r\n";
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

std::uint32_t at_part(const std::vector<std::uint32_t>& sorted, double part) {
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 8)
    fail("smtp_load ADDRESS PORT CONNECTIONS MESSAGES OCTETS [SENDER RECIPIENT]");
  plan what;
  what.to.sin_family = AF_INET;
  what.to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[2])));
  if (::inet_pton(AF_INET, argv[1], &what.to.sin_addr) != 1)
    fail(std::string{argv[1]} + " is no IPv4 address");
  const auto connections = static_cast<std::size_t>(std::atoll(argv[3]));
  what.messages = static_cast<std::size_t>(std::atoll(argv[4]));
  if (connections == 0 || what.messages == 0)
    fail("at least one connection and one message");
  what.data = message_of(static_cast<std::size_t>(std::atoll(argv[5])));
  what.envelope = {std::string{"MAIL FROM:<"} + (argc == 8 ? argv[6] : "load@example.test") + ">\r\n",
                   std::string{"RCPT TO:<"} + (argc == 8 ? argv[7] : "sink@example.net") + ">\r\n", "DATA\r\n"};
  for (auto& command : what.envelope)
    what.envelope_in_one += command;

  account all;
  all.waits_us.reserve(what.messages);
  std::vector<std::unique_ptr<client>> clients;
  for (std::size_t i = 0; i < connections; ++i)
    clients.push_back(std::make_unique<client>(what, all));
  loop events{clients};
  events.until([&] { return std::all_of(clients.begin(), clients.end(), [](auto& one) { return one->ready(); }); });

  const auto started = steady::now();
  const auto cpu_before = cpu_seconds();
  for (auto& one : clients)
    one->begin();
  events.until([&] { return all.done == what.messages; });
  const auto seconds = std::chrono::duration<double>(steady::now() - started).count();
  std::sort(all.waits_us.begin(), all.waits_us.end());
  std::printf("{\"seconds\": %.3f, \"messages_per_second\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"p999_us\": %u, "
              "\"max_us\": %u, \"cpu_seconds\": %.3f}\n",
              seconds, static_cast<double>(what.messages) / seconds, at_part(all.waits_us, 0.5),
              at_part(all.waits_us, 0.99), at_part(all.waits_us, 0.999), all.waits_us.back(),
              cpu_seconds() - cpu_before);
}
