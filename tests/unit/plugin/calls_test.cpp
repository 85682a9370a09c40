// SPDX-License-Identifier: Apache-2.0
// One call's life between host and plugin, with a plugin that does what the test says.
#include <hedwig/auth.hpp>
#include <hedwig/storage.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "runtime/plugin/auth_provider.hpp"
#include "runtime/plugin/crash_report.hpp"
#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/storage_client.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

using std::chrono::seconds;

void keep(void* self, hedwig_op* op, const hedwig_auth_request*) { static_cast<puppet*>(self)->ops.push_back(op); }
const hedwig_auth auth_table{sizeof auth_table, 0, keep, nullptr, nullptr, nullptr};
const auto auth_puppet = puppet_provider(HEDWIG_AUTH, &auth_table);

std::vector<std::size_t> submits;
std::vector<std::uint64_t> discarded;
void keep_all(void* self, const hedwig_storage_request* const* requests, size_t count) {
  submits.push_back(count);
  for (size_t i = 0; i < count; ++i) {
    static_cast<puppet*>(self)->ops.push_back(requests[i]->op);
    if (requests[i]->kind == HEDWIG_STORAGE_DISCARD)
      discarded.push_back(reinterpret_cast<const hedwig_append_request*>(requests[i])->stage);
  }
}
const hedwig_storage_limits* small_limits(void*) {
  static const hedwig_storage_limits limits{sizeof limits, 0, 4, 3, 0, 0};
  return &limits;
}
const hedwig_storage storage_table{sizeof storage_table, 0, small_limits, keep_all, nullptr};
const auto storage_puppet = puppet_provider(HEDWIG_STORAGE, &storage_table);

hedwig_auth_result yes(std::string_view name) {
  hedwig_auth_result r{};
  r.struct_size = sizeof r;
  r.identity = {name.data(), name.size()};
  return r;
}

auth_request asking(std::string name) {
  auth_request r;
  r.username = std::move(name);
  return r;
}

struct auth_bench : bench {
  auth_bench() : bench{auth_puppet}, provider{*auth_provider::make(owner)} {}
  std::shared_ptr<auth_provider> provider;
};

TEST(calls, give_what_the_plugin_answered_as_values) {
  auth_bench b;
  b.provider->verify_password(asking("ada"), b.reply(7));
  {
    std::string name{"ada@example.test"}; // gone when the value is looked at
    auto r = yes(name);
    puppet::last->finish(puppet::last->ops[0], HEDWIG_OK, &r);
  }
  ASSERT_EQ(b.sink->status(7), HEDWIG_OK);
  EXPECT_EQ(as<identity>(**b.sink->find(7)).name, "ada@example.test");
}

TEST(calls, are_completed_exactly_once) {
  auth_bench b;
  b.provider->verify_password(asking("ada"), b.reply(1));
  auto* op = puppet::last->ops[0];
  puppet::last->finish(op, HEDWIG_E_DENIED);
  b.provider->verify_password(asking("bob"), b.reply(2)); // takes the slot of the first
  auto r = yes("mallory");
  puppet::last->finish(op, HEDWIG_OK, &r);
  EXPECT_EQ(b.sink->by_tag.size(), 1U);
  EXPECT_EQ(b.sink->status(2), 1);
  EXPECT_EQ(b.owner->counters().false_completions, 1U);
  EXPECT_TRUE(b.log->has("completed a request that is not open"));
  puppet::last->finish(puppet::last->ops[1], HEDWIG_E_DENIED);
}

TEST(calls, cannot_be_completed_by_another_instance) {
  auth_bench victim;
  auto* its = puppet::last;
  auth_bench other;
  victim.provider->verify_password(asking("ada"), victim.reply(1));
  auto r = yes("mallory");
  puppet::last->finish(its->ops[0], HEDWIG_OK, &r);
  EXPECT_EQ(victim.sink->status(1), 1);
  its->finish(its->ops[0], HEDWIG_E_DENIED);
  EXPECT_EQ(victim.sink->status(1), HEDWIG_E_DENIED);
}

TEST(calls, never_say_yes_without_an_identity) {
  auth_bench b;
  for (auto tag : {1, 2})
    b.provider->verify_password(asking("ada"), b.reply(static_cast<std::uint64_t>(tag)));
  puppet::last->finish(puppet::last->ops[0], HEDWIG_OK, nullptr);
  auto empty = yes("");
  puppet::last->finish(puppet::last->ops[1], HEDWIG_OK, &empty);
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_INTERNAL);
  EXPECT_EQ(b.sink->status(2), HEDWIG_E_INTERNAL);
}

TEST(calls, never_take_half_of_what_a_user_has) {
  auth_bench b;
  for (auto tag : {1, 2, 3})
    b.provider->verify_password(asking("ada"), b.reply(static_cast<std::uint64_t>(tag)));
  std::string long_name(256, 'x');
  std::vector<hedwig_str> groups(1024, sdk::str(long_name));
  auto much = yes("ada");
  much.groups = groups.data();
  much.group_count = groups.size();
  puppet::last->finish(puppet::last->ops[0], HEDWIG_OK, &much);
  const hedwig_pair more{sdk::str("a"), {}};
  much.attributes = &more;
  much.attribute_count = 1;
  puppet::last->finish(puppet::last->ops[1], HEDWIG_OK, &much);
  std::vector<hedwig_str> many(10'001, sdk::str("x"));
  auto crowd = yes("ada");
  crowd.groups = many.data();
  crowd.group_count = many.size();
  puppet::last->finish(puppet::last->ops[2], HEDWIG_OK, &crowd);
  EXPECT_EQ(b.sink->status(1), HEDWIG_OK);
  EXPECT_EQ(b.sink->status(2), HEDWIG_E_INTERNAL);
  EXPECT_EQ(b.sink->status(3), HEDWIG_E_INTERNAL);
}

TEST(calls, turn_unknown_statuses_into_internal_errors) {
  auth_bench b;
  for (auto tag : {1, 2})
    b.provider->verify_password(asking("ada"), b.reply(static_cast<std::uint64_t>(tag)));
  puppet::last->finish(puppet::last->ops[0], -99);
  puppet::last->finish(puppet::last->ops[1], 5);
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_INTERNAL);
  EXPECT_EQ(b.sink->status(2), HEDWIG_E_INTERNAL);
}

TEST(deadlines, give_a_call_up_and_drop_the_late_answer) {
  auth_bench b;
  b.provider->verify_password(asking("ada"), {b.sink, 1, seconds{5}});
  b.pass(seconds{4});
  EXPECT_EQ(b.sink->status(1), 1);
  b.pass(seconds{2});
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_TIMEOUT);
  EXPECT_THAT(puppet::last->cancelled, ::testing::ElementsAre(puppet::last->ops[0]));
  EXPECT_NE(puppet::last->host->op_cancelled(puppet::last->host, puppet::last->ops[0]), 0);
  EXPECT_EQ(b.owner->counters().in_flight, 1U);
  auto r = yes("ada");
  puppet::last->finish(puppet::last->ops[0], HEDWIG_OK, &r);
  EXPECT_EQ(b.sink->by_tag.size(), 1U);
  EXPECT_EQ(b.owner->counters().late_completions, 1U);
  EXPECT_EQ(b.owner->counters().in_flight, 0U);
}

TEST(deadlines, default_to_the_instance_settings) {
  auth_bench b;
  b.provider->verify_password(asking("ada"), b.reply(1));
  auto* host = puppet::last->host;
  auto left = host->op_deadline(host, puppet::last->ops[0]) - host->steady_clock(host);
  EXPECT_EQ(std::chrono::nanoseconds{left}, default_call_timeout);
  puppet::last->finish(puppet::last->ops[0], HEDWIG_E_DENIED);
}

TEST(calls, are_refused_when_too_many_are_in_flight) {
  host_options options;
  virtual_clock clock;
  options.time = &clock;
  options.threads = false;
  options.ops_max = 3;
  auto services = std::make_shared<host>(std::move(options));
  auto owner = *instance::create(services, {nullptr, &auth_puppet, {}}, {}, std::make_shared<hedwig_config>());
  ASSERT_TRUE(owner->start_and_wait(seconds{1}));
  auto provider = *auth_provider::make(owner);
  auto sink = std::make_shared<recorded_completions>();
  for (std::uint64_t tag = 0; tag < 4; ++tag)
    provider->verify_password(asking("ada"), {sink, tag, {}});
  EXPECT_EQ(sink->status(3), HEDWIG_E_BUSY);
  for (auto* op : puppet::last->ops)
    puppet::last->finish(op, HEDWIG_E_DENIED);
  ASSERT_TRUE(owner->stop_and_wait(seconds{1}));
}

TEST(calls, are_refused_before_start_and_after_stop) {
  auth_bench b;
  ASSERT_TRUE(b.owner->stop_and_wait(seconds{1}));
  b.started = false;
  b.provider->verify_password(asking("ada"), b.reply(1));
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_UNAVAILABLE);
}

TEST(host, runs_nothing_once_it_was_stopped) {
  auto threads = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, std::filesystem::directory_iterator{});
  };
  auto before = threads();
  host services{host_options{}};
  EXPECT_EQ(threads(), before + 1);
  services.stop();
  services.stop();
  // The kernel may list a joined thread a moment longer.
  for (int i = 0; i < 1000 && threads() != before; ++i)
    std::this_thread::yield();
  EXPECT_EQ(threads(), before);
  bool ran = false;
  services.post([&ran] { ran = true; });
  EXPECT_FALSE(ran);
}

TEST(timers, keep_their_instance_while_they_fire) {
  static bench* b = nullptr;
  static bool gone = false;
  static bool gone_while_firing = true;
  auto provider = puppet_provider(HEDWIG_AUTH, nullptr);
  provider.destroy = [](void* self) {
    gone = true;
    puppet::destroy(self);
  };
  bench made{provider};
  b = &made;
  auto* host = puppet::last->host;
  auto* timers = static_cast<const hedwig_host_timer*>(host->get_interface(host, HEDWIG_HOST_TIMER));
  auto fire = [](void*) { // while another thread stops the instance and drops it
    b->owner->stop(b->reply(1));
    b->services->run_due();
    b->started = false;
    b->owner.reset();
    gone_while_firing = gone;
  };
  ASSERT_NE(timers->start(host, 1, fire, nullptr), 0U);
  made.pass(std::chrono::nanoseconds{1});
  made.pass(std::chrono::nanoseconds{1});
  EXPECT_FALSE(gone_while_firing);
  EXPECT_TRUE(gone);
}

TEST(crash_reports, name_the_plugin_and_the_call) {
  static call_site seen;
  static const hedwig_auth table{sizeof table,
                                 0,
                                 [](void* self, hedwig_op* op, const hedwig_auth_request*) {
                                   seen = current_call();
                                   static_cast<puppet*>(self)->finish(op, HEDWIG_E_DENIED);
                                 },
                                 nullptr,
                                 nullptr,
                                 nullptr};
  auto provider = puppet_provider(HEDWIG_AUTH, &table);
  bench b{provider};
  (*auth_provider::make(b.owner))->verify_password(asking("ada"), b.reply(1));
  EXPECT_STREQ(seen.instance, "auth.puppet");
  EXPECT_STREQ(seen.call, "verify_password");
  EXPECT_EQ(current_call().call, nullptr);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[noreturn]] void crash_where_the_name_of_the_plugin_is_gone() {
  ::alarm(60);
  install_crash_report("tests");
  call_scope scope{reinterpret_cast<const char*>(1), "call"};
  std::abort();
}

TEST(crash_reports, end_the_process_also_when_the_report_itself_faults) {
  EXPECT_EXIT(crash_where_the_name_of_the_plugin_is_gone(), ::testing::KilledBySignal(SIGSEGV),
              "tests: CRASHED by signal 6");
}
#endif

struct storage_bench : bench {
  storage_bench() : bench{storage_puppet}, client{*storage_client::make(owner)} {
    submits.clear();
    discarded.clear();
  }
  void put(std::uint64_t tag) {
    put_request r;
    r.body.append_copy("body");
    client->put(std::move(r), reply(tag));
  }
  void finish_all() {
    std::vector<hedwig_completion> done;
    for (auto* op : std::exchange(puppet::last->ops, {}))
      done.push_back({op, HEDWIG_OK, 0, nullptr, nullptr});
    puppet::last->host->complete(puppet::last->host, done.data(), done.size());
  }
  std::shared_ptr<storage_client> client;
};

TEST(storage_client, hands_the_completions_of_a_group_over_in_one_call) {
  storage_bench b;
  for (std::uint64_t tag = 0; tag < 3; ++tag)
    b.put(tag);
  b.finish_all();
  EXPECT_THAT(b.sink->groups, ::testing::ElementsAre(3));
  EXPECT_EQ(as<storage_commit>(**b.sink->find(2)).revision, 1U);
}

TEST(storage_client, keeps_to_the_limits_of_the_store) {
  storage_bench b;
  {
    storage_client::cork together{*b.client};
    for (std::uint64_t tag = 0; tag < 6; ++tag)
      b.put(tag);
    EXPECT_TRUE(submits.empty());
  }
  EXPECT_THAT(submits, ::testing::ElementsAre(3, 1)); // batch 3, in flight 4
  EXPECT_EQ(b.client->waiting(), 2U);
  b.finish_all();
  EXPECT_THAT(submits, ::testing::ElementsAre(3, 1)); // not on the store's own stack
  b.services->run_due();
  EXPECT_THAT(submits, ::testing::ElementsAre(3, 1, 2));
  b.finish_all();
  EXPECT_EQ(b.sink->by_tag.size(), 6U);
  EXPECT_EQ(b.client->in_flight(), 0U);
}

TEST(storage_client, does_not_submit_what_was_given_up_while_it_waited) {
  storage_bench b;
  for (std::uint64_t tag = 0; tag < 5; ++tag)
    b.put(tag);
  ASSERT_EQ(b.client->waiting(), 1U);
  b.pass(default_call_timeout + seconds{1});
  EXPECT_EQ(b.sink->status(4), HEDWIG_E_TIMEOUT);
  b.finish_all();
  b.services->run_due();
  EXPECT_TRUE(puppet::last->ops.empty());
  EXPECT_EQ(b.client->in_flight(), 0U);
  EXPECT_EQ(b.owner->counters().in_flight, 0U);
}

TEST(storage_client, says_of_a_store_that_answers_no_write_for_long_that_it_hangs) {
  storage_bench b;
  b.pass(storage_client::hang_after);
  EXPECT_EQ(b.client->health(), HEDWIG_OK) << "it has nothing to do";
  b.put(1);
  b.put(2);
  b.pass(storage_client::hang_after - seconds{1});
  EXPECT_EQ(b.client->health(), HEDWIG_OK);
  b.client->stats(b.reply(3));
  b.pass(seconds{1});
  EXPECT_EQ(b.client->health(), HEDWIG_E_TIMEOUT);
  hedwig_storage_stats stats{};
  stats.struct_size = sizeof stats;
  puppet::last->finish(puppet::last->ops[2], HEDWIG_OK, &stats);
  EXPECT_EQ(b.client->health(), HEDWIG_E_TIMEOUT) << "it reads, and writes nothing";
  puppet::last->finish(puppet::last->ops[0], HEDWIG_OK);
  EXPECT_EQ(b.client->health(), HEDWIG_OK);
  b.pass(storage_client::hang_after);
  EXPECT_EQ(b.client->health(), HEDWIG_E_TIMEOUT) << "the second one";
  puppet::last->finish(puppet::last->ops[1], HEDWIG_E_IO);
  EXPECT_EQ(b.client->health(), HEDWIG_OK) << "any answer counts";
  b.pass(storage_client::hang_after);
  EXPECT_EQ(b.client->health(), HEDWIG_OK);
}

TEST(storage_client, discards_a_stage_that_comes_when_nobody_waits_for_it) {
  storage_bench b;
  b.client->stage(0, b.reply(1));
  b.client->stage(0, b.reply(2));
  auto ops = std::exchange(puppet::last->ops, {});
  hedwig_stage_result in_time{sizeof in_time, 0, 7}, late{sizeof late, 0, 8};
  puppet::last->finish(ops.at(0), HEDWIG_OK, &in_time);
  b.pass(default_call_timeout + seconds{1});
  EXPECT_EQ(b.sink->status(2), HEDWIG_E_TIMEOUT);
  puppet::last->finish(ops.at(1), HEDWIG_OK, &late);
  b.services->run_due();
  EXPECT_THAT(discarded, ::testing::ElementsAre(8));
  b.finish_all();
  EXPECT_EQ(b.client->in_flight(), 0U);
  EXPECT_EQ(b.owner->counters().in_flight, 0U);
}

TEST(storage_client, drops_the_stage_of_a_put_that_failed_until_the_store_has_time) {
  storage_bench b;
  put_request with_stage;
  with_stage.stage = 9;
  b.client->put(std::move(with_stage), b.reply(1));
  auto fail_all = [&] {
    for (auto* op : std::exchange(puppet::last->ops, {}))
      puppet::last->finish(op, HEDWIG_E_BUSY);
    b.services->run_due();
  };
  fail_all();
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_BUSY);
  EXPECT_THAT(discarded, ::testing::ElementsAre(9));
  fail_all();
  EXPECT_THAT(discarded, ::testing::ElementsAre(9)) << "not at once again";
  b.pass(seconds{2});
  EXPECT_THAT(discarded, ::testing::ElementsAre(9, 9));
  b.finish_all();
  b.pass(seconds{10});
  EXPECT_THAT(discarded, ::testing::ElementsAre(9, 9));
  EXPECT_EQ(b.client->in_flight(), 0U);
}

TEST(storage_client, leaves_the_stage_of_a_put_alone_that_was_committed_late) {
  storage_bench b;
  put_request with_stage;
  with_stage.stage = 9;
  b.client->put(std::move(with_stage), b.reply(1));
  b.pass(default_call_timeout + seconds{1});
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_TIMEOUT);
  b.finish_all();
  b.services->run_due();
  EXPECT_TRUE(discarded.empty());
}

TEST(storage_client, takes_over_the_buffers_of_a_read) {
  storage_bench b;
  auto before = buffer_bytes_live();
  b.client->read({}, b.reply(1));
  auto* host = puppet::last->host;
  std::uint8_t* data = nullptr;
  auto* buf = host->buf_alloc(host, 5, &data);
  std::memcpy(data, "hello", 5);
  hedwig_slice slice{buf, data, 5};
  hedwig_read_result r{sizeof r, 0, &slice, 1, 5};
  puppet::last->finish(puppet::last->ops[0], HEDWIG_OK, &r);
  EXPECT_EQ(as<storage_body>(**b.sink->find(1)).body.flatten(), "hello");
  b.sink->by_tag.clear();
  EXPECT_EQ(buffer_bytes_live(), before);
}

TEST(storage_client, gives_a_blocking_store_one_group_at_a_time) {
  static std::atomic<int> inside{0};
  static std::atomic<int> most{0};
  static std::atomic<std::size_t> largest{0};
  static const hedwig_storage table{sizeof table, 0,
                                    [](void*) -> const hedwig_storage_limits* {
                                      static const hedwig_storage_limits limits{sizeof limits, 0, 10'000, 1000, 0, 0};
                                      return &limits;
                                    },
                                    [](void* self, const hedwig_storage_request* const* requests, size_t count) {
                                      most = std::max(most.load(), ++inside);
                                      largest = std::max(largest.load(), count);
                                      std::vector<hedwig_completion> done;
                                      for (size_t i = 0; i < count; ++i)
                                        done.push_back({requests[i]->op, HEDWIG_OK, 0, nullptr, nullptr});
                                      --inside;
                                      auto* host = static_cast<puppet*>(self)->host;
                                      host->complete(host, done.data(), done.size());
                                    },
                                    nullptr};
  auto provider = puppet_provider(HEDWIG_STORAGE, &table, HEDWIG_PROVIDER_BLOCKING);
  bench b{provider, {}, true};
  auto client = *storage_client::make(b.owner);
  {
    storage_client::cork together{*client};
    for (std::uint64_t tag = 0; tag < 500; ++tag)
      client->put({}, b.reply(tag));
  }
  for (std::uint64_t tag = 500; tag < 1000; ++tag)
    client->put({}, b.reply(tag));
  ASSERT_TRUE(b.sink->wait_for(1000));
  EXPECT_EQ(most, 1);
  EXPECT_GE(largest, 500U);
}

} // namespace
} // namespace hedwig::plugin::testing
