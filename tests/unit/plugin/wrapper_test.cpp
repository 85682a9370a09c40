// SPDX-License-Identifier: Apache-2.0
// The C++ wrapper of the SDK, against the relay's host: what auth and filter classes of it answer, and the services.
#include <hedwig/hedwig.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/instance_host.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

/// Answers at once where it can, and later where it was asked by a token.
class wrapped_auth {
public:
  wrapped_auth(sdk::host host, const sdk::config&) : timers_{host}, workers_{host} { last = this; }

  sdk::identity verify_password(const hedwig_auth_request& request) {
    return {.name = std::string{sdk::view(request.username)}, .groups = {"staff", "mail"}, .attributes = {{"k", "v"}}};
  }
  sdk::scram_secret fetch_scram(const hedwig_auth_request& request) {
    if (sdk::view(request.username) != "alice")
      throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such user"};
    return {.iterations = 4096,
            .salt = "salt",
            .stored_key = std::string(32, 's'),
            .server_key = std::string(32, 'k'),
            .who = {.name = "alice"}};
  }
  void verify_token(const hedwig_auth_request& request, sdk::op o) {
    auto held = std::make_shared<sdk::op>(std::move(o));
    timers_.start(seconds{3}, [held, &request] {
      sdk::finish(*held, sdk::identity{.name = std::string{sdk::view(request.username)}});
    });
  }
  void lookup(const hedwig_auth_request&, sdk::op o) {
    auto held = std::make_shared<sdk::op>(std::move(o));
    if (!workers_.submit([held] { throw std::runtime_error{"this work fails, and its op is dropped"}; }))
      held->fail(HEDWIG_E_BUSY, "no thread");
  }
  void cancel(const hedwig_op* which) noexcept { cancelled.insert(which); }

  static inline wrapped_auth* last = nullptr;
  std::set<const hedwig_op*> cancelled;
  sdk::timers timers_;
  sdk::workers workers_;
};
constexpr auto wrapped_auth_provider =
    sdk::auth_provider<wrapped_auth>::make("wrapped", "For tests.", nullptr, HEDWIG_PROVIDER_ISOLATABLE);

auth_request wrapped_request(std::string name) {
  auth_request made;
  made.username = std::move(name);
  return made;
}

struct an_auth_class : bench, ::testing::Test {
  an_auth_class() : bench{wrapped_auth_provider}, provider{*auth_provider::make(owner)} {}
  std::shared_ptr<auth_provider> provider;
};

TEST_F(an_auth_class, answers_by_value_with_groups_and_attributes) {
  provider->verify_password(wrapped_request("alice"), reply(1));
  ASSERT_EQ(sink->status(1), HEDWIG_OK);
  auto& who = as<identity>(**sink->find(1));
  EXPECT_EQ(who.name, "alice");
  EXPECT_THAT(who.groups, ElementsAre("staff", "mail"));
}

TEST_F(an_auth_class, gives_scram_secrets_and_says_whom_it_does_not_know) {
  ASSERT_TRUE(provider->fetches_scram());
  provider->fetch_scram(wrapped_request("alice"), reply(1));
  provider->fetch_scram(wrapped_request("bob"), reply(2));
  ASSERT_EQ(sink->status(1), HEDWIG_OK);
  auto& secret = as<scram_secret>(**sink->find(1));
  EXPECT_EQ(secret.iterations, 4096u);
  EXPECT_EQ(sink->status(2), HEDWIG_E_NOT_FOUND);
}

TEST_F(an_auth_class, answers_later_by_a_timer) {
  provider->verify_token(wrapped_request("alice"), reply(1));
  pass(seconds{2});
  EXPECT_EQ(sink->status(1), 1);
  pass(seconds{1});
  ASSERT_EQ(sink->status(1), HEDWIG_OK);
  EXPECT_EQ(as<identity>(**sink->find(1)).name, "alice");
}

TEST_F(an_auth_class, that_loses_an_op_in_work_that_fails_has_answered_with_an_error) {
  provider->lookup(wrapped_request("alice"), reply(1));
  services->run_due();
  EXPECT_EQ(sink->status(1), HEDWIG_E_INTERNAL);
  EXPECT_TRUE(log->has("work on a worker thread failed"));
}

TEST_F(an_auth_class, hears_that_an_answer_is_not_wanted_any_more) {
  provider->verify_token(wrapped_request("alice"), {sink, 1, seconds{1}});
  pass(seconds{1});
  EXPECT_EQ(sink->status(1), HEDWIG_E_TIMEOUT);
  EXPECT_EQ(wrapped_auth::last->cancelled.size(), 1u);
}

TEST_F(an_auth_class, can_stop_its_timers) {
  auto& timers = wrapped_auth::last->timers_;
  int fired = 0;
  auto kept = std::make_shared<int>(0);
  auto first = timers.start(seconds{1}, [&fired, kept] { ++fired; });
  timers.start(seconds{1}, [&fired, kept] { fired += 10; });
  EXPECT_TRUE(timers.cancel(first));
  EXPECT_FALSE(timers.cancel(first));
  EXPECT_EQ(kept.use_count(), 2) << "what is cancelled is forgotten";
  pass(seconds{2});
  EXPECT_EQ(fired, 10);
  EXPECT_EQ(kept.use_count(), 1);
}

/// Looks at deliveries.
class wrapped_filter {
public:
  wrapped_filter(sdk::host, const sdk::config&) {}
  class session {
  public:
    session(wrapped_filter&, const hedwig_filter_session&) {}
  };
  sdk::verdict on_delivery(const hedwig_filter_delivery& delivery) {
    if (delivery.attempt > 1)
      throw sdk::failure{HEDWIG_E_UNAVAILABLE, "not now"};
    return {HEDWIG_TEMPFAIL, "4.7.0", "later"};
  }
};
constexpr auto wrapped_filter_provider =
    sdk::filter_provider<wrapped_filter>::make("wrapped", "For tests.", nullptr, 0);

TEST(a_filter_class, may_look_at_deliveries) {
  auto& table = *static_cast<const hedwig_filter*>(wrapped_filter_provider.interface);
  EXPECT_EQ(table.on_mail, nullptr) << "a hook that the class lacks costs nothing";
  bench made{wrapped_filter_provider};
  auto provider = *filter_provider::make(made.owner);
  auto first = provider->on_delivery({.message = {}, .attempt = 1, .destination = {}}, made.reply(1));
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->action, verdict_action::tempfail);
  auto second = provider->on_delivery({.message = {}, .attempt = 2, .destination = {}}, made.reply(2));
  ASSERT_TRUE(second && !*second);
  EXPECT_EQ(second->error().message, "not now");
}

/// Where the metrics of a plugin end.
class recorded_metrics : public metric_sink {
public:
  std::uint64_t declare(std::string_view instance, int kind, std::string_view name, std::string_view,
                        std::string_view) noexcept override {
    names.push_back(std::string{instance} + "/" + std::string{name} + "/" + std::to_string(kind));
    return names.size();
  }
  void add(std::uint64_t metric, double value) noexcept override { values[metric] += value; }
  void set(std::uint64_t metric, double value) noexcept override { values[metric] = value; }
  std::vector<std::string> names;
  std::map<std::uint64_t, double> values;
};

TEST(a_metric, is_the_instance_s_own) {
  auto metrics = std::make_shared<recorded_metrics>();
  host_options options;
  options.threads = false;
  options.metrics = metrics;
  auto services = std::make_shared<host>(std::move(options));
  auto owner = *instance::create(services, {nullptr, &wrapped_auth_provider, {}}, {.name = "auth.x"},
                                 std::make_shared<hedwig_config>());
  ASSERT_TRUE(owner->start_and_wait(seconds{5}));
  sdk::host face{owner->face().raw()};
  auto hits = sdk::counter(face, "hits_total", "", "Hits.");
  auto size = sdk::gauge(face, "size", "bytes", "Size.");
  auto bad = sdk::counter(face, "No Such Name", "", "Refused.");
  hits.add();
  hits.add(2);
  size.set(7);
  bad.add();
  sdk::metric{}.add();
  EXPECT_THAT(metrics->names, ElementsAre("auth.x/hits_total/1", "auth.x/size/2"));
  EXPECT_EQ(metrics->values[1], 3);
  EXPECT_EQ(metrics->values[2], 7);
  EXPECT_TRUE(owner->stop_and_wait(seconds{5}));
}

} // namespace
} // namespace hedwig::plugin::testing
