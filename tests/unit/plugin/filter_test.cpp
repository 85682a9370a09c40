// SPDX-License-Identifier: Apache-2.0
#include <hedwig/filter.hpp>
#include <hedwig/plugin.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "runtime/plugin/filter_provider.hpp"
#include "runtime/plugin/timer_queue.hpp"
#include "runtime/plugin/worker_pool.hpp"
#include "tests/unit/plugin/support.hpp"

namespace hedwig::plugin::testing {
namespace {

using sdk::str;
using std::chrono::seconds;

hedwig_verdict raw(int action, std::uint32_t code = 0, const char* enhanced = "", std::string_view text = "") {
  return {sizeof(hedwig_verdict), action, code, 0, str(enhanced), str(text), nullptr, 0};
}

TEST(verdicts, get_the_usual_reply_when_the_filter_gives_none) {
  auto v = raw(HEDWIG_REJECT);
  auto checked = check_verdict(&v, hook::mail);
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->code, 550);
  EXPECT_EQ(checked->enhanced_code, "5.7.1");
  EXPECT_FALSE(checked->text.empty());
  v = raw(HEDWIG_DISCONNECT, 554);
  EXPECT_EQ(check_verdict(&v, hook::mail)->enhanced_code, "5.7.0");
  EXPECT_EQ(check_verdict(nullptr, hook::mail)->action, verdict_action::proceed);
}

TEST(verdicts, are_failures_when_malformed) {
  std::string long_text(2000, 'x');
  for (auto& v :
       {raw(7), raw(-1), raw(HEDWIG_REJECT, 450), raw(HEDWIG_TEMPFAIL, 550), raw(HEDWIG_REJECT, 99),
        raw(HEDWIG_REJECT, 599), raw(HEDWIG_CONTINUE, 250), raw(HEDWIG_REJECT, 550, "4.7.1"),
        raw(HEDWIG_REJECT, 550, "5.7"), raw(HEDWIG_REJECT, 550, "5.7.1x"), raw(HEDWIG_REJECT, 550, "5.7000.1"),
        raw(HEDWIG_REJECT, 0, "", "two\r\n250 lines"), raw(HEDWIG_REJECT, 0, "", "\xff"),
        raw(HEDWIG_REJECT, 0, "", "\xed\xa0\x80"), raw(HEDWIG_REJECT, 0, "", "\xc0\xaf"),
        raw(HEDWIG_QUARANTINE, 0, "", "\x1b[2J"), raw(HEDWIG_REJECT, 0, "", long_text)}) {
    auto checked = check_verdict(&v, hook::end);
    ASSERT_FALSE(checked) << v.action << " " << v.reply_code;
    EXPECT_EQ(checked.error().status, HEDWIG_E_INVALID);
  }
}

result<verdict> with_edit(hedwig_edit edit, hook at = hook::end, std::size_t times = 1) {
  edit.struct_size = sizeof edit;
  std::vector<const hedwig_edit*> edits(times, &edit);
  auto v = raw(HEDWIG_CONTINUE);
  v.edits = edits.data();
  v.edit_count = edits.size();
  return check_verdict(&v, at);
}

TEST(edits, keep_the_folds_of_a_value_that_says_so_and_refuse_bad_ones) {
  auto value = [](const std::string& text, std::int32_t kind = HEDWIG_EDIT_INSERT_HEADER) {
    return with_edit({0, kind, str("X-A"), str(text), 1, HEDWIG_EDIT_FOLDED | 1u << 31, nullptr, 0});
  };
  auto good = value("a;\r\n\tb\r\n c");
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->edits.at(0).folded);
  EXPECT_EQ(good->edits.at(0).value, "a;\r\n\tb\r\n c");
  for (auto* bad : {"a\r\nBcc: b", "a\r\n \r\n b", "a\r\n", "a\r\n ", "a\n b", "a\r b", "\r\n\r\nbody"})
    EXPECT_FALSE(value(bad)) << bad;
  EXPECT_FALSE(value(std::string{"a\0b", 3}));
  EXPECT_FALSE(value(std::string(1000, 'x')));
  EXPECT_FALSE(value("a\r\n b", HEDWIG_EDIT_DELETE_HEADER));
}

TEST(edits, are_checked_and_copied) {
  auto good = with_edit({0, HEDWIG_EDIT_ADD_HEADER, str("X-A"), str("1"), 0, 0, nullptr, 0});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->edits.at(0).name, "X-A");
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_HEADER, str("X-A"), str("1"), 0, 0, nullptr, 0}, hook::mail));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_HEADER, str("X A"), str("1"), 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_HEADER, str("X-A"), str("1\r\nBcc: x"), 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_REPLACE_HEADER, str("X-A"), str("1"), 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_RECIPIENT, {}, str("a@b> SIZE=1"), 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_RECIPIENT, {}, {}, 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, 77, {}, {}, 0, 0, nullptr, 0}));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_REPLACE_BODY, {}, {}, 0, 0, nullptr, 0}, hook::end, 2));
  EXPECT_FALSE(with_edit({0, HEDWIG_EDIT_ADD_HEADER, str("X-A"), str("1"), 0, 0, nullptr, 0}, hook::end, 1001));
}

/// A filter that answers when the test says so, except on_helo, which answers at once.
struct scripted {
  static inline int opened = 0, closed = 0, resets = 0;
  static inline hedwig_status open_status = HEDWIG_OK;
  static hedwig_status open(void* self, const hedwig_filter_session*, void** state) {
    ++opened;
    *state = self;
    return open_status;
  }
  static void close(void*, void*) { ++closed; }
  static void at_once(void* self, hedwig_op* op, const hedwig_filter_session*) {
    auto v = raw(HEDWIG_REJECT, 0, "", "no");
    static_cast<puppet*>(self)->finish(op, HEDWIG_OK, &v);
  }
  static void pass(void* self, hedwig_op* op, const hedwig_filter_session*) {
    auto& filter = *static_cast<puppet*>(self);
    filter.ops.push_back(op);
    filter.finish(op);
  }
  static void later(void* self, hedwig_op* op, const hedwig_filter_address*) {
    static_cast<puppet*>(self)->ops.push_back(op);
  }
  static void reset(void*) { ++resets; }
};

const hedwig_filter filter_table{
    sizeof filter_table, 0,       scripted::open, scripted::close, scripted::pass, scripted::at_once, nullptr,
    scripted::later,     nullptr, nullptr,        nullptr,         nullptr,        scripted::reset,   nullptr};
const auto filter_puppet = puppet_provider(HEDWIG_FILTER, &filter_table);
const auto blocking_filter_puppet = puppet_provider(HEDWIG_FILTER, &filter_table, HEDWIG_PROVIDER_BLOCKING);

struct filter_bench : bench {
  explicit filter_bench(const hedwig_provider& which = filter_puppet)
    : bench{which}, provider{*filter_provider::make(owner)} {
    scripted::opened = scripted::closed = scripted::resets = 0;
    scripted::open_status = HEDWIG_OK;
    session = provider->open({});
  }
  std::shared_ptr<filter_provider> provider;
  std::unique_ptr<filter_session> session;
};

TEST(shown, sessions_have_the_groups_and_attributes_of_who_has_logged_in) {
  filter_session_view view;
  view.user = std::make_shared<const user_facts>(user_facts{{"staff", "board"}, {{"role", "reader"}}});
  auto made = shown(view);
  auto& raw = *static_cast<const hedwig_filter_session*>(made.raw);
  ASSERT_EQ(sdk::groups_of(raw).size(), 2U);
  EXPECT_EQ(sdk::view(sdk::groups_of(raw)[1]), "board");
  ASSERT_EQ(sdk::attributes_of(raw).size(), 1U);
  EXPECT_EQ(sdk::view(sdk::attributes_of(raw)[0].value), "reader");
  auto before = shown(filter_session_view{});
  EXPECT_TRUE(sdk::groups_of(*static_cast<const hedwig_filter_session*>(before.raw)).empty());
  auto from_an_old_host = raw;
  from_an_old_host.struct_size = offsetof(hedwig_filter_session, groups);
  EXPECT_TRUE(sdk::groups_of(from_an_old_host).empty());
  EXPECT_TRUE(sdk::attributes_of(from_an_old_host).empty());
}

TEST(filter_session, takes_an_answer_given_at_once_from_the_stack) {
  filter_bench b;
  auto answer = b.session->on_helo({}, b.reply(1));
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->action, verdict_action::reject);
  EXPECT_EQ((*answer)->text, "no");
  EXPECT_TRUE(b.sink->by_tag.empty());
}

TEST(filter_session, uses_one_place_for_call_after_call_and_each_call_is_another_for_the_filter) {
  filter_bench b;
  for (std::uint64_t i = 0; i < 3; ++i) {
    auto answer = b.session->on_connect({}, b.reply(i));
    ASSERT_TRUE(answer && *answer);
    EXPECT_EQ((*answer)->action, verdict_action::proceed);
  }
  auto& ops = puppet::last->ops;
  ASSERT_EQ(ops.size(), 3U);
  EXPECT_EQ(op_table::slot_of(ops[0]), op_table::slot_of(ops[2]));
  EXPECT_NE(ops[0], ops[1]);
  EXPECT_NE(ops[1], ops[2]);
  auto seen = b.owner->counters();
  EXPECT_EQ(seen.in_flight, 0U);
  EXPECT_EQ(seen.false_completions, 0U);
  EXPECT_EQ(seen.answered, seen.calls);
  puppet::last->finish(ops[0]);
  puppet::last->finish(ops[2]);
  EXPECT_EQ(b.owner->counters().false_completions, 2U);
  EXPECT_TRUE(b.sink->by_tag.empty());
}

TEST(filter_session, goes_on_after_a_call_that_is_answered_later_and_one_that_is_answered_with_more) {
  filter_bench b;
  EXPECT_TRUE(b.session->on_connect({}, b.reply(1)));
  EXPECT_FALSE(b.session->on_mail({}, b.reply(2)));
  puppet::last->finish(puppet::last->ops.back());
  EXPECT_EQ(b.sink->status(2), HEDWIG_OK);
  auto refused = b.session->on_helo({}, b.reply(3));
  ASSERT_TRUE(refused && *refused);
  EXPECT_EQ((*refused)->action, verdict_action::reject);
  auto passed = b.session->on_connect({}, b.reply(4));
  ASSERT_TRUE(passed && *passed);
  EXPECT_EQ((*passed)->action, verdict_action::proceed);
  b.session.reset();
  EXPECT_EQ(scripted::closed, 1);
  EXPECT_EQ(b.owner->counters().in_flight, 0U);
}

TEST(shown, fields_of_a_whole_header_are_as_those_shown_one_by_one) {
  std::string text =
      "From: a@example.test\r\nX-Folded: one\r\n\ttwo \r\nX-Odd:\t \x01 b\t\r\nX-Empty:\r\nX-Spaces:   \r\n\r\nbody";
  rope message;
  message.append_copy(text);
  auto block = *mail::header_block::parse(message);
  auto single = block.fields();
  auto whole = shown(std::move(block));
  ASSERT_EQ(whole.fields.size(), 5U);
  for (std::size_t i = 0; i < single.size(); ++i) {
    auto& raw = whole.fields[i];
    EXPECT_EQ(raw.index, i + 1);
    EXPECT_EQ(sdk::view(raw.name), single[i].name);
    EXPECT_EQ(sdk::view(raw.value), mail::unfold(single[i].value));
    EXPECT_EQ((std::string_view{reinterpret_cast<const char*>(raw.raw.data), raw.raw.size}),
              text.substr(single[i].offset, single[i].size));
  }
}

TEST(filter_session, passes_hooks_the_filter_does_not_have) {
  filter_bench b;
  EXPECT_FALSE(b.provider->wants(hook::end));
  auto answer = b.session->on_end({}, b.reply(1));
  EXPECT_EQ((*answer)->action, verdict_action::proceed);
  EXPECT_EQ(scripted::opened, 0);
}

TEST(filter_session, hears_later_through_the_sink) {
  filter_bench b;
  EXPECT_FALSE(b.session->on_mail({}, b.reply(1)));
  puppet::last->finish(puppet::last->ops.at(0));
  ASSERT_EQ(b.sink->status(1), HEDWIG_OK);
  EXPECT_EQ(as<verdict>(**b.sink->find(1)).action, verdict_action::proceed);
}

TEST(filter_session, lets_go_of_what_was_shown_once_it_is_answered_and_the_transaction_over) {
  filter_bench b;
  auto sender = shown(filter_address{"alice@example.test", {}});
  std::weak_ptr<const void> seen = sender.owner;
  EXPECT_FALSE(b.session->ask(hook::mail, sender, b.reply(1)));
  sender = {};
  EXPECT_FALSE(seen.expired()) << "the filter still looks at it";
  puppet::last->finish(puppet::last->ops.at(0));
  b.session->on_reset();
  EXPECT_TRUE(seen.expired());
}

TEST(filter_session, is_lost_after_a_timeout_and_closed_after_the_late_answer) {
  filter_bench b;
  EXPECT_FALSE(b.session->on_mail({}, {b.sink, 1, seconds{1}}));
  b.pass(seconds{2});
  EXPECT_EQ(b.sink->status(1), HEDWIG_E_TIMEOUT);
  auto next = b.session->on_helo({}, b.reply(2));
  ASSERT_TRUE(next && !*next);
  EXPECT_EQ(next->error().status, HEDWIG_E_UNAVAILABLE);
  b.session.reset();
  EXPECT_EQ(scripted::closed, 0); // the hook is still running
  puppet::last->finish(puppet::last->ops.at(0));
  b.services->run_due();
  EXPECT_EQ(scripted::closed, 1);
}

TEST(filter_session, fails_when_the_filter_cannot_open_it) {
  filter_bench b;
  scripted::open_status = HEDWIG_E_UNAVAILABLE;
  for (int i = 0; i < 2; ++i) {
    auto answer = b.session->on_helo({}, b.reply(1));
    ASSERT_TRUE(answer && !*answer);
    EXPECT_EQ(answer->error().status, HEDWIG_E_UNAVAILABLE);
  }
  EXPECT_EQ(scripted::opened, 1);
  b.session.reset();
  EXPECT_EQ(scripted::closed, 0);
}

TEST(filter_session, of_a_blocking_filter_runs_its_hooks_in_order_on_a_worker) {
  filter_bench b{blocking_filter_puppet};
  EXPECT_FALSE(b.session->on_helo({}, b.reply(1)));
  EXPECT_EQ(scripted::opened, 0);
  b.services->run_due();
  ASSERT_EQ(b.sink->status(1), HEDWIG_OK);
  b.session->on_reset();
  b.session.reset();
  b.services->run_due();
  EXPECT_EQ(scripted::resets, 1);
  EXPECT_EQ(scripted::closed, 1);
}

TEST(worker_pool, bounds_its_threads_and_its_queue) {
  std::latch release{1};
  std::atomic<int> ran{0};
  worker_pool pool{2, 3, "test"};
  int accepted = 0;
  for (int i = 0; i < 20; ++i)
    accepted += pool.submit([&] {
      release.wait();
      ++ran;
    })
                    ? 1
                    : 0;
  EXPECT_GE(accepted, 5 - 2); // three wait; the two threads may not have come to theirs yet
  EXPECT_LE(accepted, 2 * 2 + 3);
  EXPECT_LE(pool.threads(), 2U);
  std::latch last{1};
  EXPECT_TRUE(pool.submit([&] { last.count_down(); }, true)); // never refused
  release.count_down();
  last.wait();
  EXPECT_GE(ran, accepted - 1);
}

TEST(timer_queue, fires_in_order_and_forgets_what_is_cancelled) {
  timer_queue timers{3};
  std::string fired;
  int owner = 0;
  auto at = [](int s) { return steady_time{seconds{s}}; };
  auto b = timers.start(at(2), &owner, [&] { fired += 'b'; });
  ASSERT_NE(timers.start(at(1), &owner, [&] { fired += 'a'; }), 0U);
  auto c = timers.start(at(3), nullptr, [&] { fired += 'c'; });
  EXPECT_EQ(timers.start(at(4), nullptr, [] {}), 0U);
  EXPECT_FALSE(timers.cancel(c, &owner)); // of another
  EXPECT_EQ(timers.fire_due(at(1)), 1U);
  EXPECT_TRUE(timers.cancel(b, &owner));
  EXPECT_FALSE(timers.cancel(b, &owner));
  EXPECT_EQ(timers.fire_due(at(9)), 1U);
  EXPECT_EQ(fired, "ac");
}

} // namespace
} // namespace hedwig::plugin::testing
