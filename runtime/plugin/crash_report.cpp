// SPDX-License-Identifier: Apache-2.0
// What runs in the handler is async-signal-safe: system calls and arithmetic on memory of its own, no allocation, no
// locale, no lock.
#include "runtime/plugin/crash_report.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "runtime/plugin/current_call.hpp"

namespace hedwig::plugin {

namespace {

constexpr int fatal_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
constexpr std::size_t crash_stack_size = 64 * 1024;

std::atomic<const char*> crash_program{nullptr};
std::atomic<bool> crash_reported{false};
std::atomic<bool> crash_is_apart{false};

/// One line at a time, cut at its size.
class crash_line {
public:
  crash_line& text(std::string_view what) noexcept {
    for (char c : what)
      if (size_ < sizeof line_ - 1)
        line_[size_++] = c >= ' ' && c < 0x7F ? c : '?';
    return *this;
  }
  crash_line& number(std::uint64_t value, unsigned base = 10) noexcept {
    char digits[24];
    std::size_t at = sizeof digits;
    do
      digits[--at] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    return text({digits + at, sizeof digits - at});
  }
  crash_line& address(std::uint64_t value) noexcept { return text("0x").number(value, 16); }
  /// Not the log: its queue may be what is broken.
  void end() noexcept {
    line_[size_++] = '\n';
    for (std::size_t done = 0; done < size_;) {
      auto wrote = ::write(STDERR_FILENO, line_ + done, size_ - done);
      if (wrote <= 0)
        break;
      done += static_cast<std::size_t>(wrote);
    }
    size_ = 0;
  }

private:
  char line_[1024];
  std::size_t size_ = 0;
};

std::string_view signal_name(int number) noexcept {
  switch (number) {
  case SIGSEGV:
    return "SIGSEGV, a bad address";
  case SIGBUS:
    return "SIGBUS, a file that shrank or a bad address";
  case SIGILL:
    return "SIGILL, an illegal instruction";
  case SIGFPE:
    return "SIGFPE, arithmetic such as a division by zero";
  case SIGABRT:
    return "SIGABRT, the code gave up itself, perhaps by an exception that nobody caught";
  default:
    return "SIGSYS, a forbidden system call";
  }
}

/// Reads /proc/self/maps a line at a time without allocating.
class maps_reader {
public:
  maps_reader() noexcept : fd_{::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)} {}
  ~maps_reader() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  maps_reader(const maps_reader&) = delete;
  maps_reader& operator=(const maps_reader&) = delete;

  /// The next line, cut; false at the end.
  bool next(std::string_view& line) noexcept {
    std::size_t size = 0;
    for (char c = 0; take(c);) {
      if (c == '\n') {
        line = {line_, size};
        return true;
      }
      if (size < sizeof line_)
        line_[size++] = c;
    }
    return false;
  }

private:
  bool take(char& c) noexcept {
    if (at_ == filled_) {
      auto got = fd_ < 0 ? 0 : ::read(fd_, part_, sizeof part_);
      if (got <= 0)
        return false;
      filled_ = static_cast<std::size_t>(got);
      at_ = 0;
    }
    c = part_[at_++];
    return true;
  }
  int fd_;
  char part_[1024];
  char line_[600];
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

std::uint64_t take_hex(std::string_view& from) noexcept {
  std::uint64_t value = 0;
  for (; !from.empty(); from.remove_prefix(1)) {
    auto c = from.front();
    auto digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0)
      break;
    value = value * 16 + static_cast<std::uint64_t>(digit);
  }
  return value;
}

/// "7f00-7f10 r-xp 00001000 08:01 42    /path": where `code` lies.
bool describes(std::string_view line, std::uint64_t code, crash_line& out) noexcept {
  auto first = take_hex(line);
  if (!line.starts_with('-'))
    return false;
  line.remove_prefix(1);
  auto last = take_hex(line);
  if (code < first || code >= last)
    return false;
  auto path = line.find('/');
  if (line.size() < 6 || path == std::string_view::npos)
    return false;
  line.remove_prefix(6); // " r-xp "
  auto offset = take_hex(line);
  out.text("the code is in ").text(line.substr(line.find('/'))).text(" at ").address(code - first + offset);
  return true;
}

std::uint64_t code_address(void* context) noexcept {
  auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uint64_t>(machine->gregs[REG_RIP]);
#elif defined(__aarch64__)
  return machine->pc;
#else
  static_cast<void>(machine);
  return 0;
#endif
}

void write_report(int number, const siginfo_t& info, void* context) noexcept {
  crash_line line;
  auto begin = [&]() -> crash_line& { return line.text(crash_program.load()).text(": "); };
  begin().text("CRASHED by signal ").number(static_cast<std::uint64_t>(number));
  line.text(" (").text(signal_name(number)).text(")");
  auto by_fault = info.si_code > 0;
  if (by_fault && number != SIGABRT)
    line.text(", address ").address(reinterpret_cast<std::uint64_t>(info.si_addr));
  line.end();
  auto in = current_call();
  char thread[17]{};
  ::prctl(PR_GET_NAME, thread);
  begin();
  if (in.instance != nullptr)
    line.text("the thread was in the plugin ").text(in.instance).text(", call ").text(in.call);
  else
    line.text("the thread was in no plugin's call");
  line.text(" (thread ").text(thread).text(")").end();
  if (by_fault) {
    maps_reader maps;
    crash_line where;
    where.text(crash_program.load()).text(": ");
    for (std::string_view one; maps.next(one);)
      if (describes(one, code_address(context), where)) {
        where.end();
        break;
      }
  }
  begin();
  if (crash_is_apart.load())
    line.text("the relay goes on without it, by on_failure, and starts it again; see docs/plugins/containment.md");
  else if (in.instance != nullptr)
    line.text("what was acknowledged is on disk: start again. If it comes back, take the plugin out, or give it "
              "isolation = \"process\" where it allows that; see docs/plugins/containment.md");
  else
    line.text("what was acknowledged is on disk: start again. If the code above is a plugin's, see "
              "docs/plugins/containment.md");
  line.end();
}

void on_fatal_signal(int number, siginfo_t* info, void* context) {
  if (crash_reported.exchange(true))
    for (;;) // another thread is writing, and ends the process
      ::pause();
  write_report(number, *info, context);
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(number, &usual, nullptr);
  if (info->si_code <= 0) // sent, not met again by going back
    ::raise(number);
}

/// Unmapped with its thread.
struct crash_stack {
  crash_stack() noexcept {
    memory =
        ::mmap(nullptr, crash_stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      return;
    stack_t use{};
    use.ss_sp = memory;
    use.ss_size = crash_stack_size;
    ::sigaltstack(&use, nullptr);
  }
  ~crash_stack() {
    if (memory == MAP_FAILED)
      return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
    ::munmap(memory, crash_stack_size);
  }
  crash_stack(const crash_stack&) = delete;
  crash_stack& operator=(const crash_stack&) = delete;
  void* memory = MAP_FAILED;
};

constinit thread_local bool crash_stack_there = false;

} // namespace

void prepare_crash_stack() noexcept {
  if (crash_stack_there || crash_program.load(std::memory_order_relaxed) == nullptr)
    return;
  static thread_local crash_stack stack;
  crash_stack_there = true;
}

void install_crash_report(const char* program, bool for_another) noexcept {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  crash_program.store(program);
  crash_is_apart.store(for_another);
  prepare_crash_stack();
  struct sigaction ours {};
  ours.sa_sigaction = on_fatal_signal;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  // A fault of the report's own, with any of these signals, ends the process at once instead of waiting for itself.
  for (int number : fatal_signals)
    ::sigaddset(&ours.sa_mask, number);
  for (int number : fatal_signals)
    ::sigaction(number, &ours, nullptr);
#else
  static_cast<void>(program);
  static_cast<void>(for_another);
  static_cast<void>(on_fatal_signal);
  static_cast<void>(fatal_signals);
#endif
}

} // namespace hedwig::plugin
