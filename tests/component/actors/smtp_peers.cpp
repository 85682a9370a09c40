// SPDX-License-Identifier: Apache-2.0
#include "tests/component/actors/smtp_peers.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace hedwig::test {

namespace {

constexpr timeval patience{30, 0};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return at;
}

int connect_to(std::uint16_t port) {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto at = loopback(port);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0)
    return fd;
  ::close(fd);
  return -1;
}

std::string subject_of(const std::string& text) {
  constexpr std::string_view name = "Subject: ";
  auto at = text.find(name);
  if (at == std::string::npos)
    return {};
  at += name.size();
  return text.substr(at, text.find("\r\n", at) - at);
}

} // namespace

// ---- lines

line_socket::line_socket(int fd) noexcept : fd_{fd} {
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

line_socket::line_socket(line_socket&& other) noexcept
  : fd_{std::exchange(other.fd_, -1)}, pending_{std::move(other.pending_)} {}

line_socket::~line_socket() {
  if (fd_ >= 0)
    ::close(fd_);
}

bool line_socket::read_line(std::string& line) {
  for (;;) {
    if (auto end = pending_.find("\r\n"); end != std::string::npos) {
      line = pending_.substr(0, end);
      pending_.erase(0, end + 2);
      return true;
    }
    char octets[4096];
    auto got = fd_ < 0 ? 0 : ::recv(fd_, octets, sizeof octets, 0);
    if (got <= 0)
      return false;
    pending_.append(octets, static_cast<std::size_t>(got));
  }
}

bool line_socket::write(std::string_view text) {
  while (!text.empty()) {
    auto sent = fd_ < 0 ? -1 : ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0)
      return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

int listen_anywhere(std::uint16_t& port) {
  auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto at = loopback(0);
  socklen_t size = sizeof at;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(fd, SOMAXCONN) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    throw std::runtime_error{"no port of 127.0.0.1 can be listened on"};
  port = ntohs(at.sin_port);
  return fd;
}

// ---- the server

mail_sink::mail_sink() : listening_{listen_anywhere(port_)}, acceptor_{[this] { accept_all(); }} {}

mail_sink::~mail_sink() {
  {
    std::lock_guard guard{mutex_};
    ending_ = true;
    for (auto fd : open_)
      ::shutdown(fd, SHUT_RDWR);
  }
  changed_.notify_all();
  ::shutdown(listening_, SHUT_RDWR);
  acceptor_.join();
  for (auto& one : threads_)
    one.join();
  ::close(listening_);
}

void mail_sink::accept_all() {
  for (;;) {
    auto fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0)
      return;
    std::lock_guard guard{mutex_};
    if (ending_) {
      ::close(fd);
      return;
    }
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void mail_sink::serve(int fd) {
  line_socket peer{fd};
  peer.write("220 sink.example\r\n");
  std::string line;
  std::string from;
  while (peer.read_line(line)) {
    if (line.starts_with("MAIL")) {
      from = line;
      peer.write("250 OK\r\n");
    } else if (line.starts_with("RCPT")) {
      peer.write(answer_recipient(line));
    } else if (line.starts_with("DATA")) {
      peer.write("354 Go on\r\n");
      std::string text;
      while (peer.read_line(line) && line != ".")
        text += line + "\r\n";
      if (line != ".")
        break;
      take(from, text);
      peer.write("250 Taken\r\n");
    } else if (line.starts_with("QUIT")) {
      peer.write("221 Bye\r\n");
      break;
    } else {
      peer.write("250 OK\r\n");
    }
  }
  std::lock_guard guard{mutex_};
  std::erase(open_, fd);
}

std::string mail_sink::answer_recipient(const std::string& line) {
  std::lock_guard guard{mutex_};
  if (line.find("@gone.example>") != std::string::npos) {
    ++refused_;
    return "550 5.1.1 No such person\r\n";
  }
  if (to_defer_ == 0)
    return "250 OK\r\n";
  --to_defer_;
  return "451 4.2.1 Not now\r\n";
}

void mail_sink::take(const std::string& from, const std::string& text) {
  std::unique_lock guard{mutex_};
  if (from.find("<>") != std::string::npos)
    notifications_.push_back(text);
  else
    taken_[subject_of(text)].push_back(text);
  ++held_;
  changed_.wait(guard, [this] { return !holding_ || ending_; });
  --held_;
}

void mail_sink::hold() {
  std::lock_guard guard{mutex_};
  holding_ = true;
}

void mail_sink::release() {
  {
    std::lock_guard guard{mutex_};
    holding_ = false;
  }
  changed_.notify_all();
}

std::size_t mail_sink::held() const {
  std::lock_guard guard{mutex_};
  return holding_ ? held_ : 0;
}

void mail_sink::defer_next(std::size_t count) {
  std::lock_guard guard{mutex_};
  to_defer_ = count;
}

std::size_t mail_sink::taken(const std::string& subject) const {
  std::lock_guard guard{mutex_};
  auto found = taken_.find(subject);
  return found == taken_.end() ? 0 : found->second.size();
}

std::string mail_sink::text_of(const std::string& subject) const {
  std::lock_guard guard{mutex_};
  auto found = taken_.find(subject);
  return found == taken_.end() ? "" : found->second.back();
}

std::size_t mail_sink::notifications_about(const std::string& subject) const {
  std::lock_guard guard{mutex_};
  return static_cast<std::size_t>(std::ranges::count_if(
      notifications_, [&](auto& text) { return text.find("Subject: " + subject + "\r\n") != std::string::npos; }));
}

std::size_t mail_sink::refused() const {
  std::lock_guard guard{mutex_};
  return refused_;
}

// ---- the client

mail_client::mail_client(std::uint16_t port) : socket_{connect_to(port)} {
  greeted_ = reply().starts_with("220");
  if (greeted_)
    greeted_ = command("EHLO client.example").starts_with("250");
}

std::string mail_client::reply() {
  std::string line;
  do {
    if (!socket_.read_line(line))
      return {};
  } while (line.size() > 3 && line[3] == '-');
  return line;
}

std::string mail_client::command(std::string_view line) {
  return socket_.write(std::string{line} + "\r\n") ? reply() : std::string{};
}

std::string mail_client::submit(std::string_view subject, std::string_view from, std::string_view to) {
  auto sender = std::string{from};
  if (!command("MAIL FROM:<" + sender + ">").starts_with("250") ||
      !command("RCPT TO:<" + std::string{to} + ">").starts_with("250") || !command("DATA").starts_with("354"))
    return {};
  auto last = command("From: <" + sender + ">\r\nTo: <" + std::string{to} + ">\r\nSubject: " + std::string{subject} +
                      "\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <" + std::string{subject} +
                      "@client.example>\r\n\r\nHello.\r\n.");
  if (!last.starts_with("250"))
    return {};
  // The id is the one word of 26 capitals and digits.
  for (std::size_t at = 0; at < last.size();) {
    auto end = std::min(last.find_first_of(" <>()[];=\r", at), last.size());
    if (end - at == 26)
      return last.substr(at, 26);
    at = end + 1;
  }
  return "acknowledged";
}

} // namespace hedwig::test
