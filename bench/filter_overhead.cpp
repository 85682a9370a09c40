// SPDX-License-Identifier: Apache-2.0
// What a filter costs that has every hook and does nothing: sessions of so many messages through a filter chain, with
// the plugin in this process, on a thread of its own, or in a process of its own. Prints the time that passed and the
// processor time of this process; on a busy machine the latter is what to look at.
//
//   filter_overhead FOLDER-OF-FILTER-EMPTY none|thread|process [SESSIONS [MESSAGES-A-SESSION]]
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <optional>
#include <string>

#include "actors/filter_chain.hpp"
#include "runtime/plugin/loader.hpp"

namespace {

using namespace hedwig;
using steady = std::chrono::steady_clock;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "filter_overhead: %s\n", why.c_str());
  std::exit(1);
}

class waiting_sink : public plugin::completion_sink {
public:
  void on_completions(std::span<plugin::completion> done) noexcept override {
    std::lock_guard lock{mutex_};
    last_ = std::move(done.front());
    there_.notify_one();
  }
  plugin::completion wait() {
    std::unique_lock lock{mutex_};
    there_.wait(lock, [&] { return last_.has_value(); });
    return *std::exchange(last_, std::nullopt);
  }

private:
  std::mutex mutex_;
  std::condition_variable there_;
  std::optional<plugin::completion> last_;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return double(now.tv_sec) + double(now.tv_nsec) / 1e9;
}

rope message_of(std::size_t body_size) {
  rope all;
  all.append_copy("Received: from client.example.test by relay.example.test; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
                  "From: <alice@example.test>\r\nTo: <bob@example.net>\r\nSubject: hello\r\n"
                  "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n");
  all.append_copy(std::string(body_size, 'x') + "\r\n");
  return all;
}

struct run {
  relay_plugins plugins;
  relay_metrics& counts;
  std::shared_ptr<waiting_sink> sink = std::make_shared<waiting_sink>();
  rope content = message_of(10 * 1024);
  plugin::filter_session_view view{
      .session = "0123456789", .listener = "smtp", .peer = "192.0.2.1", .local = "::1", .helo = "client.example.test"};
  plugin::filter_message shown{{}, "alice@example.test", {"bob@example.net"}, 10 * 1024};

  void session(unsigned long long messages) {
    filter_chain chain;
    auto pass = [&](std::optional<plugin::verdict> said) {
      while (!said) {
        auto done = sink->wait();
        said = chain.answered(done);
      }
      if (said->action != plugin::verdict_action::proceed)
        give_up("the filter did not pass the message");
    };
    chain.open(plugins, view, sink, counts);
    pass(chain.connect());
    pass(chain.helo(view));
    for (unsigned long long i = 0; i < messages; ++i) {
      pass(chain.mail({"alice@example.test", {}}));
      pass(chain.recipient({"bob@example.net", {}}));
      pass(chain.message(shown, content));
      chain.reset();
    }
  }
};

} // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    give_up("FOLDER none|thread|process [SESSIONS [MESSAGES-A-SESSION]]");
  std::string mode = argv[2];
  auto sessions = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 200'000;
  auto each = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1;
  auto messages = sessions * each;
  auto services = std::make_shared<plugin::host>(plugin::host_options{});
  plugin::catalogue all{services, {argv[1]}};
  auto provider = all.find(HEDWIG_FILTER, "empty");
  if (!provider)
    give_up(provider.error().text());
  plugin::instance_settings settings;
  settings.name = "filter.empty";
  settings.breaker_failures = 10;
  settings.max_calls = 10'000;
  settings.own_threads = mode == "thread";
  settings.own_process = mode == "process";
  auto owner = plugin::instance::create(services, *provider, settings, std::make_shared<hedwig_config>());
  if (!owner)
    give_up(owner.error().text());
  if (auto started = (*owner)->start_and_wait(std::chrono::seconds{30}); !started)
    give_up(started.error().text());
  telemetry::metrics metrics;
  relay_metrics counts{metrics};
  run one{{}, counts};
  one.session(1); // without filters, the same work is nothing
  auto began = steady::now();
  auto began_cpu = cpu_seconds();
  for (unsigned long long i = 0; i < sessions; ++i)
    one.session(each);
  auto without_cpu = cpu_seconds() - began_cpu;
  one.plugins.filters.push_back({*plugin::filter_provider::make(*owner), config::failure_action::tempfail});
  one.session(1);
  auto calls = (*owner)->counters().calls;
  began = steady::now();
  began_cpu = cpu_seconds();
  for (unsigned long long i = 0; i < sessions; ++i)
    one.session(each);
  auto with = std::chrono::duration<double>(steady::now() - began).count();
  auto with_cpu = cpu_seconds() - began_cpu;
  calls = (*owner)->counters().calls - calls;
  auto per = [&](double seconds) { return seconds * 1e6 / double(messages); };
  std::printf("%s: %.3f us a message of %.0f calls, %.3f us of processor time; without a filter %.3f us\n",
              mode.c_str(), per(with), double(calls) / double(messages), per(with_cpu), per(without_cpu));
  one.plugins.filters.clear();
  static_cast<void>((*owner)->stop_and_wait(std::chrono::seconds{30}));
  owner->reset();
  services->stop();
}
