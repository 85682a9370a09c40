// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <sys/wait.h>
#include <unistd.h>

#include "sdk/check/context.hpp"
#include "sdk/check/test.hpp"

extern char** environ;

namespace hedwig::check {

namespace {

std::vector<std::string> environment_with(const std::string& preload) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one)
    all.emplace_back(*one);
  if (!preload.empty()) {
    all.push_back("LD_PRELOAD=" + preload);
    // A sanitizer wants to be the first library; before these few functions it need not be.
    auto* given = std::getenv("ASAN_OPTIONS");
    all.push_back(fmt::format("ASAN_OPTIONS={}{}verify_asan_link_order=0", given != nullptr ? given : "",
                              given != nullptr ? ":" : ""));
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (auto& one : words)
    all.push_back(one.data());
  all.push_back(nullptr);
  return all;
}

/// The child's number, or 0 in the child.
pid_t branch_off(const start_of_self& what) {
  std::fflush(nullptr); // what waits there is not the child's to write
  auto parent = ::getpid();
  auto child = ::fork();
  if (child < 0)
    throw unusable{fmt::format("fork: {}", std::strerror(errno))};
  if (child > 0)
    return child;
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(127);
  if (what.output >= 0)
    ::dup2(what.output, STDOUT_FILENO);
  if (what.output >= 0 && what.errors)
    ::dup2(what.output, STDERR_FILENO);
  if (what.passed >= 0)
    ::fcntl(what.passed, F_SETFD, 0);
  return 0;
}

} // namespace

pid_t start_copy(const start_of_self& what, const std::function<int()>& run) {
  if (auto child = branch_off(what); child > 0)
    return child;
  int status = 2;
  try {
    status = run();
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

pid_t start(const start_of_self& what) {
  auto words = what.words;
  words.insert(words.begin(), "hedwig-plugin-check");
  auto environment = environment_with(what.preload);
  auto arguments = pointers(words);
  auto variables = pointers(environment);
  if (auto child = branch_off(what); child > 0)
    return child;
  ::execve("/proc/self/exe", arguments.data(), variables.data());
  ::_exit(127);
}

std::optional<int> wait_for(pid_t child, std::chrono::seconds limit) {
  // Debian 12 declares pidfd_open() for C alone.
  int handle = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  pollfd ended{handle, POLLIN, 0};
  int ready = 0;
  auto until = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    ready = ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready >= 0 || errno != EINTR)
      break;
  }
  ::close(handle);
  ::kill(-child, SIGKILL); // what it may have left behind, too
  int status = 0;
  ::waitpid(child, &status, 0);
  return ready > 0 ? std::optional{status} : std::nullopt;
}

std::vector<std::string> words_for(const context& run) {
  std::vector<std::string> words{run.chosen().file, "--provider", run.chosen().name,
                                 "--folder",        run.folder(), "--unique",
                                 run.unique(),      "--seed",     std::to_string(run.seed())};
  if (!run.settings().file().empty())
    words.insert(words.end(), {"--config", run.settings().file()});
  if (run.how_much() != effort::normal)
    words.emplace_back(run.how_much() == effort::brief ? "--short" : "--long");
  return words;
}

void run_command(const std::string& command, const char* what) {
  if (command.empty())
    return;
  if (int status = std::system(command.c_str()); status != 0) // NOLINT: the user's own command
    throw unusable{fmt::format("{}: \"{}\" {}", what, command, end_of(status))};
}

std::string end_of(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

} // namespace hedwig::check
