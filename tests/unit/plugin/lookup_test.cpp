// SPDX-License-Identifier: Apache-2.0
// hedwig.host.dns/1: look-ups of plugins, with a resolver that answers when the test says.
#include <hedwig/auth.h>
#include <hedwig/dns.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/plugin/current_call.hpp"
#include "tests/unit/plugin/support.hpp"

#include "runtime/dns/resolver.hpp"

namespace hedwig::plugin::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::string_literals::operator""s;
using dns::lookup_status;
using dns::record_type;
using ::testing::ElementsAre;

const hedwig_auth lookup_puppet_table{sizeof lookup_puppet_table, 0, nullptr, nullptr, nullptr, nullptr};
const auto lookup_puppet = puppet_provider(HEDWIG_AUTH, &lookup_puppet_table);

class held_resolver : public dns::resolver {
public:
  void mx(std::string_view, dns::mx_callback) override {}
  void addresses(std::string_view, dns::address_callback) override {}
  void records(std::string_view name, record_type type, dns::record_callback done) override {
    asked.push_back(std::string{name} + " " + std::to_string(static_cast<int>(type)));
    open.push_back(std::move(done));
  }
  void answer(dns::record_answer with) {
    auto done = std::move(open.front());
    open.erase(open.begin());
    done(std::move(with));
  }
  std::vector<std::string> asked;
  std::vector<dns::record_callback> open;
};

/// What one look-up heard.
struct heard {
  int calls = 0;
  int outcome = 0;
  std::vector<std::string> texts, data;
  std::vector<unsigned> preferences;
  hedwig_duration_ns ttl = 0;
  unsigned flags = 0;
  std::string why, caller;
  static void take(void* context, const hedwig_dns_answer* answer) {
    auto& me = *static_cast<heard*>(context);
    ++me.calls;
    me.outcome = answer->outcome;
    for (std::uint32_t i = 0; i < answer->record_count; ++i) {
      me.texts.emplace_back(sdk::view(answer->records[i].text));
      me.data.emplace_back(sdk::view(answer->records[i].data));
      me.preferences.push_back(answer->records[i].preference);
    }
    me.ttl = answer->ttl;
    me.flags = answer->flags;
    me.why = sdk::view(answer->why);
    me.caller = current_call().instance;
  }
};

struct a_plugin_that_asks : ::testing::Test {
  a_plugin_that_asks() {
    host_options options;
    options.time = &clock;
    options.log = log;
    options.threads = false;
    options.lookups_max = 3;
    services = std::make_shared<host>(std::move(options));
    services->use_resolver(&resolver);
    owner = *instance::create(services, {nullptr, &lookup_puppet, {}}, {.name = "filter.asks"},
                              std::make_shared<hedwig_config>());
    EXPECT_TRUE(owner->start_and_wait(seconds{5}));
    raw = puppet::last->host;
  }
  ~a_plugin_that_asks() override {
    if (owner)
      stop();
  }
  void stop() {
    EXPECT_TRUE(owner->stop_and_wait(seconds{5}));
    owner.reset();
  }
  const hedwig_host_dns* api() const {
    return static_cast<const hedwig_host_dns*>(raw->get_interface(raw, HEDWIG_HOST_DNS));
  }
  hedwig_status ask(std::string_view name, int type, hedwig_time_ns deadline = 0, std::uint64_t* id = nullptr) {
    const hedwig_dns_request request{sizeof request, type, sdk::str(name), deadline, &heard::take, &got};
    return api()->look_up(raw, &request, id);
  }

  virtual_clock clock;
  std::shared_ptr<recorded_log> log = std::make_shared<recorded_log>();
  held_resolver resolver;
  std::shared_ptr<host> services;
  std::shared_ptr<instance> owner;
  const hedwig_host* raw = nullptr;
  heard got;
};

TEST_F(a_plugin_that_asks, hears_addresses_as_bytes_and_as_text) {
  ASSERT_EQ(ask("Mail.Example.org.", HEDWIG_DNS_A), HEDWIG_OK);
  EXPECT_THAT(resolver.asked, ElementsAre("Mail.Example.org 1"));
  resolver.answer({.status = lookup_status::ok,
                   .records = {{0, "\x7F\0\0\x02"s}, {0, "\xC0\0\x02\x01"s}},
                   .ttl = seconds{60},
                   .secure = true,
                   .why = {}});
  EXPECT_EQ(got.calls, 0) << "never on the resolver's stack";
  services->run_due();
  EXPECT_EQ(got.calls, 1);
  EXPECT_EQ(got.outcome, HEDWIG_DNS_FOUND);
  EXPECT_THAT(got.texts, ElementsAre("127.0.0.2", "192.0.2.1"));
  EXPECT_THAT(got.data, ElementsAre("\x7F\0\0\x02"s, "\xC0\0\x02\x01"s));
  EXPECT_EQ(got.ttl, 60'000'000'000);
  EXPECT_EQ(got.flags, HEDWIG_DNS_SECURE);
  EXPECT_EQ(got.caller, "filter.asks") << "a crash in there would be this instance's";
}

TEST_F(a_plugin_that_asks, hears_names_with_their_preference) {
  ASSERT_EQ(ask("example.org", HEDWIG_DNS_MX), HEDWIG_OK);
  resolver.answer({.status = lookup_status::ok, .records = {{10, "mx.example.org"}}, .why = {}});
  services->run_due();
  EXPECT_THAT(got.texts, ElementsAre("mx.example.org"));
  EXPECT_THAT(got.preferences, ElementsAre(10));
  EXPECT_THAT(got.data, ElementsAre(""));
}

TEST_F(a_plugin_that_asks, may_write_an_address_where_a_pointer_is_wanted) {
  ASSERT_EQ(ask("192.0.2.1", HEDWIG_DNS_PTR), HEDWIG_OK);
  ASSERT_EQ(ask("1.2.0.192.in-addr.arpa", HEDWIG_DNS_PTR), HEDWIG_OK);
  EXPECT_THAT(resolver.asked, ElementsAre("1.2.0.192.in-addr.arpa 12", "1.2.0.192.in-addr.arpa 12"));
}

TEST_F(a_plugin_that_asks, can_tell_no_name_from_no_records_and_from_trouble) {
  const std::pair<lookup_status, int> cases[] = {
      {lookup_status::nxdomain, HEDWIG_DNS_NXDOMAIN}, {lookup_status::no_data, HEDWIG_DNS_NO_DATA},
      {lookup_status::servfail, HEDWIG_DNS_FAILED},   {lookup_status::overload, HEDWIG_DNS_FAILED},
      {lookup_status::timeout, HEDWIG_DNS_TIMEOUT},   {lookup_status::bogus, HEDWIG_DNS_BOGUS}};
  for (auto [status, outcome] : cases) {
    ASSERT_EQ(ask("example.org", HEDWIG_DNS_TXT), HEDWIG_OK);
    resolver.answer({.status = status, .records = {}, .why = "the reason"});
    services->run_due();
    EXPECT_EQ(got.outcome, outcome) << to_string_view(status);
    EXPECT_EQ(got.why, "the reason");
  }
}

TEST_F(a_plugin_that_asks, for_nonsense_is_told_at_once) {
  for (auto* name : {"", ".", "a..b", "b\xc3\xbc.test", "x y"})
    EXPECT_EQ(ask(name, HEDWIG_DNS_A), HEDWIG_E_INVALID) << name;
  EXPECT_EQ(ask("example.org", 99), HEDWIG_E_INVALID);
  const hedwig_dns_request deaf{sizeof deaf, HEDWIG_DNS_A, sdk::str("example.org"), 0, nullptr, nullptr};
  EXPECT_EQ(api()->look_up(raw, &deaf, nullptr), HEDWIG_E_INVALID);
  EXPECT_TRUE(resolver.asked.empty());
}

TEST_F(a_plugin_that_asks, too_much_is_busy_until_an_answer_came) {
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(ask("example.org", HEDWIG_DNS_A), HEDWIG_OK);
  EXPECT_EQ(ask("example.org", HEDWIG_DNS_A), HEDWIG_E_BUSY);
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  services->run_due();
  EXPECT_EQ(ask("example.org", HEDWIG_DNS_A), HEDWIG_OK);
}

TEST_F(a_plugin_that_asks, hears_of_its_deadline_and_not_of_the_answer_after_it) {
  auto deadline = clock.now + seconds{2};
  ASSERT_EQ(ask("example.org", HEDWIG_DNS_A, deadline.count()), HEDWIG_OK);
  clock.now += milliseconds{1999};
  services->run_due();
  EXPECT_EQ(got.calls, 0);
  clock.now += milliseconds{1};
  services->run_due();
  EXPECT_EQ(got.outcome, HEDWIG_DNS_TIMEOUT);
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  services->run_due();
  EXPECT_EQ(got.calls, 1);
}

TEST_F(a_plugin_that_asks, can_take_its_question_back) {
  std::uint64_t id = 0;
  ASSERT_EQ(ask("example.org", HEDWIG_DNS_A, (clock.now + seconds{1}).count(), &id), HEDWIG_OK);
  EXPECT_EQ(api()->cancel(raw, id + 1), 0);
  EXPECT_NE(api()->cancel(raw, id), 0);
  EXPECT_EQ(api()->cancel(raw, id), 0);
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  clock.now += seconds{2};
  services->run_due();
  EXPECT_EQ(got.calls, 0);
}

TEST_F(a_plugin_that_asks, hears_nothing_once_it_has_stopped) {
  ASSERT_EQ(ask("example.org", HEDWIG_DNS_A, (clock.now + seconds{1}).count()), HEDWIG_OK);
  stop();
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  clock.now += seconds{2};
  services->run_due();
  EXPECT_EQ(got.calls, 0);
}

TEST_F(a_plugin_that_asks, hears_a_failure_when_the_resolver_goes) {
  const auto* kept = api();
  ASSERT_EQ(ask("example.org", HEDWIG_DNS_A), HEDWIG_OK);
  services->use_resolver(nullptr);
  services->run_due();
  EXPECT_EQ(got.outcome, HEDWIG_DNS_FAILED);
  EXPECT_EQ(got.why, "the host is ending");
  EXPECT_EQ(api(), nullptr);
  const hedwig_dns_request late{sizeof late, HEDWIG_DNS_A, sdk::str("example.org"), 0, &heard::take, &got};
  EXPECT_EQ(kept->look_up(raw, &late, nullptr), HEDWIG_E_UNAVAILABLE);
}

TEST_F(a_plugin_that_asks, in_cpp_gets_a_call_back_for_each_question) {
  sdk::dns names{sdk::host{raw}};
  ASSERT_TRUE(names.available());
  std::vector<std::string> found;
  names.ask(HEDWIG_DNS_TXT, "example.org", [&](const sdk::dns_answer& answer) {
    for (auto& one : answer.records())
      found.emplace_back(sdk::view(one.text));
    names.ask(HEDWIG_DNS_A, "example.net", [&](const sdk::dns_answer& next) { found.emplace_back(next.why()); });
  });
  EXPECT_THROW(names.ask(HEDWIG_DNS_A, "a..b", [](const sdk::dns_answer&) {}), sdk::failure);
  resolver.answer({.status = lookup_status::ok, .records = {{0, "one"}, {0, "two"}}, .why = {}});
  services->run_due();
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = "NXDOMAIN"});
  services->run_due();
  EXPECT_THAT(found, ElementsAre("one", "two", "NXDOMAIN"));
}

TEST_F(a_plugin_that_asks, in_cpp_and_throws_in_the_call_back_is_logged) {
  sdk::dns names{sdk::host{raw}};
  names.ask(HEDWIG_DNS_A, "example.org", [](const sdk::dns_answer&) { throw std::runtime_error{"no"}; });
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  services->run_due();
  EXPECT_TRUE(log->has("a DNS answer could not be handled"));
}

TEST_F(a_plugin_that_asks, in_cpp_and_goes_takes_its_questions_along) {
  auto kept = std::make_shared<int>(0);
  {
    sdk::dns names{sdk::host{raw}};
    names.ask(HEDWIG_DNS_A, "example.org", [kept](const sdk::dns_answer&) { ++*kept; });
  }
  EXPECT_EQ(kept.use_count(), 1);
  resolver.answer({.status = lookup_status::nxdomain, .records = {}, .why = {}});
  services->run_due();
  EXPECT_EQ(*kept, 0);
}

TEST(a_host_without_a_resolver, offers_no_look_ups) {
  bench made{lookup_puppet};
  auto* raw = puppet::last->host;
  EXPECT_EQ(raw->get_interface(raw, HEDWIG_HOST_DNS), nullptr);
  sdk::dns names{sdk::host{raw}};
  EXPECT_FALSE(names.available());
  EXPECT_THROW(names.ask(HEDWIG_DNS_A, "example.org", [](const sdk::dns_answer&) {}), sdk::failure);
}

} // namespace
} // namespace hedwig::plugin::testing
