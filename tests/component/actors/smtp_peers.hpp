// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hedwig::test {

/// A blocking socket that speaks lines; every wait ends after half a minute.
class line_socket {
public:
  explicit line_socket(int fd) noexcept;
  ~line_socket();
  line_socket(line_socket&& other) noexcept;
  line_socket& operator=(line_socket&&) = delete;

  /// Without CR LF; false at the end of the connection.
  [[nodiscard]] bool read_line(std::string& line);
  bool write(std::string_view text);
  [[nodiscard]] int fd() const noexcept { return fd_; }

private:
  int fd_;
  std::string pending_;
};

/// A listening socket on a free port of 127.0.0.1.
[[nodiscard]] int listen_anywhere(std::uint16_t& port);

/// A server that takes mail and remembers it by the subject. Thread-safe.
class mail_sink {
public:
  mail_sink();
  ~mail_sink();

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  /// While held, the answer to the end of each message is kept back.
  void hold();
  void release();
  /// Messages whose answer is kept back now.
  [[nodiscard]] std::size_t held() const;
  /// Answers the next `count` RCPT with 451.
  void defer_next(std::size_t count);
  /// How often a message of that subject was taken.
  [[nodiscard]] std::size_t taken(const std::string& subject) const;
  /// The text of the last message of that subject.
  [[nodiscard]] std::string text_of(const std::string& subject) const;
  /// How many notifications (from the null reverse-path) speak of that subject.
  [[nodiscard]] std::size_t notifications_about(const std::string& subject) const;
  /// Recipients that were refused: all of the domain gone.example.
  [[nodiscard]] std::size_t refused() const;

private:
  void accept_all();
  void serve(int fd);
  [[nodiscard]] std::string answer_recipient(const std::string& line);
  void take(const std::string& from, const std::string& text);

  std::uint16_t port_ = 0;
  int listening_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  bool holding_ = false;
  std::size_t held_ = 0;
  std::size_t to_defer_ = 0;
  std::size_t refused_ = 0;
  std::map<std::string, std::vector<std::string>> taken_; ///< texts by subject
  std::vector<std::string> notifications_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// A client that submits mail.
class mail_client {
public:
  /// Connects and reads the greeting; connected() tells whether there was one.
  explicit mail_client(std::uint16_t port);

  [[nodiscard]] bool connected() const noexcept { return greeted_; }
  /// Sends one line and gives the last line of the reply; empty when the connection ended.
  std::string command(std::string_view line);
  /// The last line of the next reply.
  std::string reply();
  bool write(std::string_view text) { return socket_.write(text); }
  /// Submits one message; its id when it was acknowledged, else nothing.
  std::string submit(std::string_view subject, std::string_view from = "ann@sender.example",
                     std::string_view to = "bob@there.example");

private:
  line_socket socket_;
  bool greeted_ = false;
};

} // namespace hedwig::test
