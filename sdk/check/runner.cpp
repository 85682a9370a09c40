// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/runner.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sdk/check/host.hpp"
#include "sdk/check/process.hpp"
#include "sdk/check/rules.hpp"
#include "sdk/check/shown.hpp"

namespace hedwig::check {

namespace {

/// Text between two processes, in memory.
class shared_text {
public:
  explicit shared_text(const char* name) : descriptor_{::memfd_create(name, MFD_CLOEXEC)} {}
  ~shared_text() { ::close(descriptor_); }
  shared_text(const shared_text&) = delete;
  shared_text& operator=(const shared_text&) = delete;
  int descriptor() const { return descriptor_; }
  /// Its last `most` bytes.
  std::string tail(std::size_t most) const {
    auto size = static_cast<std::size_t>(std::max<off_t>(::lseek(descriptor_, 0, SEEK_END), 0));
    std::string text(std::min(size, most), '\0');
    auto got = ::pread(descriptor_, text.data(), text.size(), static_cast<off_t>(size - text.size()));
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return text;
  }

private:
  int descriptor_;
};

constexpr std::size_t output_max = 4096;
constexpr std::size_t report_max = 65536;

/// What a child process asked of the plugin last, in memory of both.
class shared_call {
public:
  shared_call() {
    auto* made = ::mmap(nullptr, last_call_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    last_call = made != MAP_FAILED ? static_cast<char*>(made) : nullptr;
  }
  ~shared_call() {
    if (last_call != nullptr)
      ::munmap(std::exchange(last_call, nullptr), last_call_size);
  }
  shared_call(const shared_call&) = delete;
  shared_call& operator=(const shared_call&) = delete;
  /// ", ...", or nothing.
  std::string told() const {
    std::string text(last_call, last_call != nullptr ? ::strnlen(last_call, last_call_size) : 0);
    return text.empty() ? text : "; it was asked last: " + text;
  }
};

/// A fresh folder, gone with everything in it.
class test_folder {
public:
  explicit test_folder(const std::string& below) {
    auto* temporary = std::getenv("TMPDIR");
    path_ = fmt::format("{}/hedwig-check-XXXXXX", !below.empty() ? below : temporary != nullptr ? temporary : "/tmp");
    if (::mkdtemp(path_.data()) == nullptr)
      throw unusable{fmt::format("{}: {}", path_, std::strerror(errno))};
  }
  ~test_folder() {
    ::umount2(path_.c_str(), MNT_DETACH); // of a test that was killed with a small disk of its own
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  test_folder(const test_folder&) = delete;
  test_folder& operator=(const test_folder&) = delete;
  const std::string& path() const { return path_; }
  /// The letters and digits that make the folder's name another one each time; in lower case, since servers fold names.
  std::string unique() const {
    auto name = fmt::format("hedwig_check_{}_{}", ::getpid(), path_.substr(path_.size() - 6));
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return name;
  }

private:
  std::string path_;
};

std::string write_down(const verdict& one) {
  auto flat = [](std::string text) {
    std::ranges::replace(text, '\n', ' ');
    return text;
  };
  return fmt::format("{}\n{}\n{}\n{}\n", static_cast<int>(one.what), flat(one.saw), flat(one.rule),
                     flat(one.rule_place));
}

/// False when there is no whole report: the process died before.
bool read_back(const std::string& text, verdict& one) {
  std::istringstream in{text};
  std::string what;
  if (!std::getline(in, what) || what.size() != 1)
    return false;
  one.what = static_cast<verdict::kind>(what[0] - '0');
  return std::getline(in, one.saw) && std::getline(in, one.rule) && std::getline(in, one.rule_place);
}

int limit_of(const options& chosen) {
  if (chosen.time_limit)
    return *chosen.time_limit;
  return chosen.how_much == effort::brief ? 120 : chosen.how_much == effort::normal ? 600 : 3600;
}

std::string again(const planned& one, const provider_choice& provider, const settings_file& settings,
                  const options& chosen) {
  auto text = fmt::format("hedwig-plugin-check {} {}{} --only {} --seed {}", provider.file,
                          provider.name.empty() ? "" : "--provider ", provider.name, one.name(), *chosen.seed);
  if (!settings.file().empty())
    text += " --config " + settings.file();
  if (chosen.how_much != effort::normal)
    text += chosen.how_much == effort::brief ? " --short" : " --long";
  return text;
}

/// The library stands beside the program, in the build tree as when installed.
std::string fault_library() {
  std::error_code failed;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  auto file = program.parent_path().parent_path() / "lib/hedwig/hedwig-check-faults.so";
  return std::filesystem::exists(file, failed) ? file.string() : std::string{};
}

verdict judged(const planned& one, const std::optional<int>& end, const shared_text& report, int limit,
               const shared_call& asked) {
  verdict out{verdict::kind::failed, one.name(), std::string{one.what->title}};
  if (!end)
    out.saw = fmt::format("the test had not ended after {} seconds{}", limit, asked.told());
  else if (!read_back(report.tail(report_max), out))
    out.saw = fmt::format("the process of the test was {}{}", end_of(*end), asked.told());
  return out;
}

} // namespace

plugin_summary describe_apart(const options& chosen) {
  constexpr int load_max = 60; // seconds
  shared_text output{"output"}, report{"report"};
  auto looks = chosen;
  looks.describe = true;
  looks.report = report.descriptor();
  auto child = start_copy({{}, output.descriptor(), true, report.descriptor(), {}}, [&] { return run_child(looks); });
  auto limit = std::min(chosen.time_limit.value_or(load_max), load_max);
  auto end = wait_for(child, std::chrono::seconds{limit});
  if (end && WIFEXITED(*end) && WEXITSTATUS(*end) == 0)
    return read_summary(chosen.plugin, report.tail(report_max));
  plugin_summary none{chosen.plugin, {}, {}, {}, {}};
  if (!end)
    none.trouble = fmt::format("it was still being loaded after {} seconds", limit);
  else if (WIFSIGNALED(*end))
    none.trouble = fmt::format("the process that loaded it was {}", end_of(*end));
  else
    none.trouble = report.tail(report_max);
  return none;
}

std::vector<planned> plan(const options& chosen, const plugin_summary* plugin) {
  std::vector<planned> all;
  auto wanted = [&](const std::string& name) {
    return chosen.only.empty() || std::ranges::any_of(chosen.only, [&](auto& one) { return name.starts_with(one); });
  };
  for (auto& suite : all_suites()) {
    bool fits =
        plugin == nullptr || (suite.interface_id.empty() && (plugin->trouble.empty() || suite.of_the_file)) ||
        std::ranges::any_of(plugin->providers, [&](auto& one) { return one.interface_id == suite.interface_id; });
    if (!fits || (!chosen.suite.empty() && chosen.suite != suite.name))
      continue;
    for (auto& one : suite.tests)
      if (planned each{&suite, &one}; wanted(each.name()) || wanted(std::string{one.name}))
        all.push_back(each);
  }
  if (all.empty() && plugin != nullptr && !plugin->trouble.empty())
    throw unusable{plugin->trouble};
  if (all.empty())
    throw unusable{"no test has that name and fits this plugin; --list shows all"};
  return all;
}

verdict run_here(const planned& one, context& run) {
  verdict out{verdict::kind::passed, one.name(), std::string{one.what->title}};
  try {
    one.what->run(run);
  } catch (const broken& e) {
    out.what = verdict::kind::failed;
    out.saw = e.what();
    out.rule = e.which().words;
    out.rule_place = place_of(e.which());
  } catch (const skipped& e) {
    out.what = verdict::kind::skipped;
    out.saw = e.what();
  } catch (const std::exception& e) {
    out.what = verdict::kind::failed;
    out.saw = e.what();
  }
  return out;
}

namespace {

pid_t start_test(const context& run, const planned& one, start_of_self how, int limit) {
  if (one.what->faults) {
    how.words.insert(how.words.end(), {"--child", one.name(), "--report", std::to_string(how.passed)});
    how.preload = fault_library();
    return start(how);
  }
  options child;
  child.plugin = run.chosen().file;
  child.provider = run.chosen().name;
  child.config = run.settings().file();
  child.folder = run.folder();
  child.unique = run.unique();
  child.seed = run.seed();
  child.how_much = run.how_much();
  child.child = one.name();
  child.report = how.passed;
  child.time_limit = limit;
  return start_copy(how, [&] { return run_child(child); });
}

} // namespace

verdict run_apart(const planned& one, const provider_choice& provider, const settings_file& settings,
                  const options& chosen) {
  auto began = std::chrono::steady_clock::now();
  test_folder folder{chosen.folder};
  run_command(settings.prepare(folder.path(), folder.unique()), "check.prepare");
  shared_call asked;
  shared_text output{"output"}, report{"report"};
  context run{provider, settings, folder.path(), folder.unique(), *chosen.seed, chosen.how_much};
  auto limit = limit_of(chosen);
  auto child = start_test(run, one, {words_for(run), output.descriptor(), true, report.descriptor(), {}}, limit);
  auto out = judged(one, wait_for(child, std::chrono::seconds{limit}), report, limit, asked);
  out.output = output.tail(output_max);
  out.repeat = again(one, provider, settings, chosen);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  run_command(settings.cleanup(folder.path(), folder.unique()), "check.cleanup");
  return out;
}

namespace {

/// No destructors: a plugin's threads may still run after a failure.
[[noreturn]] void hand_in(const options& chosen, const std::string& text, int status) {
  auto written = ::write(chosen.report, text.data(), text.size());
  ::_exit(written == static_cast<ssize_t>(text.size()) ? status : 2);
}

[[noreturn]] void describe_here(const options& chosen) {
  std::string text;
  int status = 0;
  try {
    text = write_down(summary_of(chosen.plugin));
  } catch (const std::exception& e) {
    text = e.what();
    status = 2;
  }
  hand_in(chosen, text, status);
}

/// The test of --child, or null.
std::optional<planned> child_test(const options& chosen) {
  for (auto& suite : all_suites())
    for (auto& one : suite.tests)
      if (planned each{&suite, &one}; chosen.child == each.name())
        return each;
  return std::nullopt;
}

} // namespace

int run_child(const options& chosen) {
  if (chosen.report >= 0)
    ::fcntl(chosen.report, F_SETFD, FD_CLOEXEC);
  if (chosen.describe)
    describe_here(chosen);
  if (chosen.time_limit)
    host::test_ends_in(std::chrono::seconds{*chosen.time_limit});
  settings_file settings = chosen.config.empty() ? settings_file{} : settings_file{chosen.config};
  auto test = child_test(chosen);
  auto provider = test && test->what->unloaded ? provider_choice{chosen.plugin, chosen.provider, nullptr, nullptr}
                                               : load_provider(chosen.plugin, chosen.provider, {});
  context run{provider, settings, chosen.folder, chosen.unique, chosen.seed.value_or(1), chosen.how_much};
  if (test)
    report_looks_behind(chosen.report, write_down({verdict::kind::failed,
                                                   {},
                                                   {},
                                                   "it looked behind the end that a struct of the host's states",
                                                   std::string{rules::tests_before_use.words},
                                                   place_of(rules::tests_before_use)}));
  if (test)
    hand_in(chosen, write_down(run_here(*test, run)), 0);
  for (auto& suite : all_suites())
    for (auto& one : suite.roles)
      if (chosen.role == one.name)
        return one.run(run, chosen.role_number);
  return 2;
}

} // namespace hedwig::check
