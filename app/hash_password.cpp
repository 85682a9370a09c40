// SPDX-License-Identifier: Apache-2.0
#include "app/hash_password.hpp"

#include "app/command_line.hpp"

#include <botan/argon2.h>
#include <botan/auto_rng.h>
#include <botan/mem_ops.h>
#include <termios.h>
#include <unistd.h>

#include <iostream>
#include <optional>
#include <string>
#include <string_view>

namespace hedwig::app {

namespace {

// What OWASP asks of argon2id at the least is 19 MiB and two passes; a login may cost more than that, but not much.
constexpr std::size_t memory_kib = 32 * 1024;
constexpr std::size_t passes = 2;
constexpr std::size_t lanes = 1;
/// What an AUTH command can carry (smtp::sasl) is far below.
constexpr std::size_t password_max = 1024;

/// A terminal that does not show what is typed, while this lives. Does nothing to anything else.
class unseen {
public:
  unseen() {
    if (!::isatty(STDIN_FILENO) || ::tcgetattr(STDIN_FILENO, &before_) != 0)
      return;
    auto quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  ~unseen() {
    if (changed_)
      ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  unseen(const unseen&) = delete;
  unseen& operator=(const unseen&) = delete;

private:
  termios before_{};
  bool changed_ = false;
};

/// A text that is wiped.
struct password {
  std::string text;
  ~password() { Botan::secure_scrub_memory(text.data(), text.size()); }
};

bool ask(const char* prompt, password& into) {
  unseen typing;
  auto terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal)
    std::cerr << prompt << std::flush;
  auto got = static_cast<bool>(std::getline(std::cin, into.text));
  if (terminal)
    std::cerr << '\n';
  if (into.text.ends_with('\r'))
    into.text.pop_back();
  return got;
}

int refuse(std::string_view why) {
  std::cerr << "hedwig hash-password: " << why << '\n';
  return exit_usage;
}

} // namespace

int hash_password() {
  password first;
  if (!ask("Password: ", first) || first.text.empty())
    return refuse("no password: write one line to standard input");
  if (first.text.size() > password_max || first.text.find('\0') != std::string::npos)
    return refuse("not a password that a mail client could send: at most 1024 bytes, without NUL");
  if (::isatty(STDIN_FILENO)) {
    password second;
    if (!ask("Again: ", second) || second.text != first.text)
      return refuse("the two are not the same: try again");
  }
  Botan::AutoSeeded_RNG random;
  std::cout << Botan::argon2_generate_pwhash(first.text.data(), first.text.size(), random, lanes, memory_kib, passes)
            << '\n';
  return exit_ok;
}

} // namespace hedwig::app
