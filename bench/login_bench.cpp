// SPDX-License-Identifier: Apache-2.0
// What a login costs by the provider "ldap", as the authenticator calls it: from the plugin host's face through a
// worker thread to the completion. CPU is user and system time of this process; slapd runs in another.
//
//   login_bench [LOGINS]
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <latch>

#include "tests/component/auth_ldap/auth_instance.hpp"
#include "tests/component/auth_ldap/slapd.hpp"

namespace hedwig::test {
namespace {

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

class counting_sink : public plugin::completion_sink {
public:
  explicit counting_sink(std::ptrdiff_t count) : left{count} {}
  void on_completions(std::span<plugin::completion> done) noexcept override {
    for (auto& one : done)
      good += one.value.has_value() ? 1 : 0;
    left.count_down(static_cast<std::ptrdiff_t>(done.size()));
  }
  std::latch left;
  std::atomic<int> good{0};
};

/// Microseconds of CPU a login, `at_once` of them under way.
double cost(ldap_instance& on, int logins, int at_once) {
  auto before = cpu_seconds();
  for (int done = 0; done < logins; done += at_once) {
    auto sink = std::make_shared<counting_sink>(at_once);
    for (int i = 0; i < at_once; ++i) {
      plugin::auth_request one;
      one.mechanism = "PLAIN";
      one.username = "ada";
      one.secret = "lovelace";
      on.face().verify_password(std::move(one), {sink, static_cast<std::uint64_t>(i), {}});
    }
    sink->left.wait();
    if (sink->good != at_once) {
      std::fprintf(stderr, "a login failed\n");
      std::exit(1);
    }
  }
  return (cpu_seconds() - before) * 1e6 / logins;
}

int run(int logins) {
  slapd server{{.tls = {}, .many_users = 0}};
  auto settings = [&](const char* cache_time) {
    return "servers = [\"" + server.url() +
           "\"]\ntls = \"none\"\nbase = \"dc=example,dc=com\"\nuser_filter = \"(uid={user})\"\n"
           "bind_dn = \"cn=service,dc=example,dc=com\"\nbind_password = \"service secret\"\n"
           "cache_time = \"" +
           cache_time + "\"\n";
  };
  ldap_instance cached{settings("1h")};
  ldap_instance asking{settings("0s")};
  if (!cached.fault().empty() || cached.ask("ada", "lovelace") != HEDWIG_OK) {
    std::fprintf(stderr, "%s%s\n", cached.fault().c_str(), cached.error().c_str());
    return 1;
  }
  std::printf("| login | under way | CPU of the relay's side |\n|---|---|---|\n");
  for (auto at_once : {1, 16})
    std::printf("| cache hit | %d | %.1f us |\n", at_once, cost(cached, logins, at_once));
  for (auto at_once : {1, 16})
    std::printf("| search and bind | %d | %.1f us |\n", at_once, cost(asking, logins / 20, at_once));
  return 0;
}

} // namespace
} // namespace hedwig::test

int main(int argc, char** argv) { return hedwig::test::run(argc > 1 ? std::atoi(argv[1]) : 100'000); }
