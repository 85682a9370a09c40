// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "app/sink/certificate.hpp"
#include "app/sink/options.hpp"
#include "app/sink/server.hpp"

namespace {

using namespace hedwig;

constexpr int exit_cannot_start = 1;
constexpr int exit_usage = 2;

int complain(const error& what, int status) {
  fmt::print(stderr, "hedwig-sink: {}\n", what.text());
  return status;
}

/// SIGTERM and SIGINT are taken by a thread that waits for them: nothing has to be safe inside a handler.
void stop_on_signals(net::loop& loop) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread{[set, &loop] {
    int received = 0;
    sigwait(&set, &received);
    loop.stop();
  }}.detach();
}

void report(const sink::options& options, const sink::totals& totals) {
  if (options.summary)
    fmt::print("{}", sink::summary_text(totals));
  if (!options.stats_file.empty())
    std::ofstream{options.stats_file} << sink::summary_json(totals) << '\n';
  std::fflush(stdout);
}

int run(sink::options& options) {
  std::shared_ptr<const net::tls_context> tls;
  if (options.starttls || options.implicit_tls) {
    auto made = sink::make_tls(options.certificate_file, options.key_file, options.hostname, clock::system().wall());
    if (!made)
      return complain(made.error(), exit_cannot_start);
    tls = std::move(*made);
  }
  std::optional<sink::message_store> store;
  if (!options.store_directory.empty()) {
    auto opened = sink::message_store::open(options.store_directory);
    if (!opened)
      return complain(opened.error(), exit_cannot_start);
    store = std::move(*opened);
  }
  auto loop = net::make_epoll_loop(clock::system());
  if (!loop)
    return complain(loop.error(), exit_cannot_start);
  stop_on_signals(**loop);
  sink::server server{options, **loop, std::move(tls), std::move(store)};
  if (auto listening = server.listen(); !listening)
    return complain(listening.error(), exit_cannot_start);
  fmt::print(stderr, "hedwig-sink: listening on {}\n", fmt::join(server.addresses(), ", "));
  (*loop)->run();
  report(options, server.counted());
  // The thread that waits for signals may still hold the loop: leave without destroying it.
  std::fflush(nullptr);
  std::_Exit(0);
}

} // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  auto line = sink::parse_command_line({argv + 1, argv + argc});
  if (!line) {
    complain(line.error(), exit_usage);
    fmt::print(stderr, "hedwig-sink --help says more\n");
    return exit_usage;
  }
  if (line->help) {
    fmt::print("{}", sink::help_text());
    return 0;
  }
  if (line->version) {
    fmt::print("hedwig-sink {}\n", HEDWIG_VERSION);
    return 0;
  }
  return run(line->options);
}
