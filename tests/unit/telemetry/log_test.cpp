// SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/log.hpp"
#include "runtime/telemetry/log_throttle.hpp"

#include <Poco/Dynamic/Var.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace {

using namespace hedwig;
using namespace std::chrono_literals;
using telemetry::component;
using telemetry::level;
using testing::HasSubstr;

struct fixed_clock final : hedwig::clock {
  wall_time wall() const noexcept override { return wall_time{1767323045s + 7ms}; } // 2026-01-02T03:04:05.007Z
  steady_time steady() const noexcept override { return {}; }
};

class log_test : public testing::Test {
protected:
  void start(telemetry::log_format format, std::string_view levels = "info", std::size_t queue_size = 100) {
    telemetry::log_options options;
    options.levels = *telemetry::parse_level_filter(levels);
    options.format = format;
    options.queue_size = queue_size;
    options.clock = &clock_;
    options.sink = [this](std::string_view line) { lines_.emplace_back(line); };
    telemetry::start_log(std::move(options));
  }
  void TearDown() override { telemetry::stop_log(); }

  const std::vector<std::string>& lines() {
    telemetry::flush_log();
    return lines_;
  }
  Poco::JSON::Object::Ptr json(std::size_t at) {
    return Poco::JSON::Parser{}.parse(lines().at(at)).extract<Poco::JSON::Object::Ptr>();
  }

private:
  fixed_clock clock_;
  std::vector<std::string> lines_; // written by the writer's thread, read after flush_log() only
};

TEST_F(log_test, text_lines_carry_time_level_part_text_id_and_fields) {
  start(telemetry::log_format::text);
  telemetry::log(level::warn, component::session, {"test.refused", "client refused"},
                 {{"client", "192.0.2.1"}, {"count", 3}, {"secure", false}, {"ratio", 0.5}, {"waited", 1500us}});
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_EQ(lines()[0], "2026-01-02T03:04:05.007Z warn  session client refused [test.refused] "
                        "client=\"192.0.2.1\" count=3 secure=false ratio=0.5 waited=1\n");
}

TEST_F(log_test, json_lines_are_read_by_a_foreign_parser_with_types_kept) {
  start(telemetry::log_format::json);
  telemetry::log(level::error, component::spooler, {"test.failed", "commit failed"},
                 {{"reason", "a \"quoted\" \\ thing"}, {"errno", 28}, {"retry", true}, {"nan", 0.0 / 0.0}});
  const auto line = json(0);
  EXPECT_EQ(line->getValue<std::string>("event"), "test.failed");
  EXPECT_EQ(line->getValue<std::string>("message"), "commit failed");
  EXPECT_EQ(line->getValue<std::string>("level"), "error");
  EXPECT_EQ(line->getValue<std::string>("component"), "spooler");
  EXPECT_EQ(line->getValue<std::string>("reason"), "a \"quoted\" \\ thing");
  EXPECT_TRUE(line->get("errno").isInteger());
  EXPECT_TRUE(line->get("retry").isBoolean());
  EXPECT_TRUE(line->isNull("nan"));
}

TEST_F(log_test, nothing_a_peer_says_ends_a_line_or_forges_a_field) {
  const std::string evil = "x\r\n2026-01-01T00:00:00Z error main forged \" status=\"delivered\x1b[2J\x07 \x7f";
  for (const auto format : {telemetry::log_format::text, telemetry::log_format::json}) {
    start(format);
    const auto before = lines().size();
    telemetry::log(level::info, component::session, {"test.said", "client said"}, {{"text", evil}});
    ASSERT_EQ(lines().size(), before + 1);
    const auto& line = lines().back();
    EXPECT_EQ(line.find_first_of("\r\n"), line.size() - 1);
    EXPECT_EQ(line.find('\x1b'), line.npos);
    EXPECT_EQ(line.find('\x7f'), line.npos);
    EXPECT_THAT(line, HasSubstr(R"(forged \" status=\"delivered\u001b[2J\u0007 \u007f")"));
  }
}

TEST_F(log_test, no_key_of_a_plugins_ends_a_line_or_forges_a_field) {
  start(telemetry::log_format::text);
  const auto before = lines().size();
  telemetry::log(level::info, component::session, {"test.said", "plugin said"}, {{"a\nforged status=", "x"}});
  ASSERT_EQ(lines().size(), before + 1);
  EXPECT_THAT(lines().back(), HasSubstr(R"( a?forged?status?="x")"));
}

TEST(log_escape, keeps_utf_8_and_replaces_what_is_none) {
  const auto escaped = [](std::string_view text) {
    std::string out;
    telemetry::append_escaped(out, text);
    return out;
  };
  EXPECT_EQ(escaped("grüße 猫 😀"), "grüße 猫 😀");
  EXPECT_EQ(escaped("\xff"), "\\ufffd");
  EXPECT_EQ(escaped("a\xc3"), "a\\ufffd");                                // cut short
  EXPECT_EQ(escaped("\xc0\xaf"), "\\ufffd\\ufffd");                       // overlong '/'
  EXPECT_EQ(escaped("\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");            // surrogate
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd"); // above U+10FFFF
  EXPECT_EQ(escaped("\xc2\x85"), "\\u0085");                              // C1: next line
  EXPECT_EQ(escaped("\xe2\x80\xa8"), "\\u2028");                          // line separator
  EXPECT_EQ(escaped("\xe2\x80\xae"), "\\u202e");                          // right-to-left override
  EXPECT_EQ(escaped(std::string_view{"\0", 1}), "\\u0000");
}

TEST(log_escape, cuts_long_values_between_characters_and_says_so) {
  std::string out;
  telemetry::append_escaped(out, "aé猫b", 4);
  EXPECT_EQ(out, "aé…");
  out.clear();
  telemetry::append_escaped(out, std::string(5000, 'x'));
  EXPECT_EQ(out, std::string(2048, 'x') + "…");
}

TEST_F(log_test, levels_hold_by_component_and_change_while_running) {
  start(telemetry::log_format::text, "warn,session=debug");
  EXPECT_FALSE(telemetry::enabled(level::info, component::main));
  EXPECT_TRUE(telemetry::enabled(level::debug, component::session));
  telemetry::log(level::info, component::main, {"test.unseen", "unseen"});
  telemetry::log(level::debug, component::session, {"test.seen", "seen"});
  EXPECT_EQ(telemetry::current_levels().text(), "warn,session=debug");
  telemetry::set_levels(*telemetry::parse_level_filter("off,main=info"));
  telemetry::log(level::info, component::main, {"test.seen", "seen"});
  telemetry::log(level::error, component::session, {"test.unseen", "unseen"});
  EXPECT_EQ(lines().size(), 2u);
}

TEST(log_level_filter, names_what_is_wrong_and_what_is_known) {
  EXPECT_EQ(telemetry::parse_level_filter("warn, session = debug")->text(), "warn,session=debug");
  const auto no_level = telemetry::parse_level_filter("loud");
  ASSERT_FALSE(no_level);
  EXPECT_EQ(no_level.error().message, "unknown log level \"loud\": write one of trace, debug, info, warn, error, off");
  const auto no_part = telemetry::parse_level_filter("info,sessions=debug");
  ASSERT_FALSE(no_part);
  EXPECT_THAT(no_part.error().message, testing::StartsWith("unknown log component \"sessions\": write one of main,"));
  EXPECT_FALSE(telemetry::parse_level_filter(""));
  EXPECT_FALSE(telemetry::parse_level_filter("info,"));
}

TEST(log_level_filter, the_environment_wins_over_the_configuration) {
  ::unsetenv("HEDWIG_LOG_LEVEL");
  EXPECT_EQ(telemetry::level_filter_from_environment("warn")->text(), "warn");
  ::setenv("HEDWIG_LOG_LEVEL", "debug", 1);
  EXPECT_EQ(telemetry::level_filter_from_environment("warn")->text(), "debug");
  ::setenv("HEDWIG_LOG_LEVEL", "noise", 1);
  EXPECT_EQ(telemetry::level_filter_from_environment("warn").error().where, "HEDWIG_LOG_LEVEL");
  ::unsetenv("HEDWIG_LOG_LEVEL");
}

TEST_F(log_test, the_delivery_event_has_the_fields_of_hedwig_0_10_all_strings) {
  const telemetry::delivery_event event{.job_id = "01JABC",
                                        .from_email = "a@example.com",
                                        .recipient = "b@example.org",
                                        .subject = "hello",
                                        .status = "delivered",
                                        .smtp_response = "250 2.0.0 ok\nqueued",
                                        .dest_ip = "mx.example.org",
                                        .queued_at = wall_time{1767323000s},
                                        .logged_at = wall_time{1767323045s + 7ms},
                                        .delay = 45007ms,
                                        .attempt = 2};
  start(telemetry::log_format::json);
  telemetry::log_delivery(event);
  const auto line = json(0);
  EXPECT_EQ(line->getValue<std::string>("message"), "email delivery");
  EXPECT_EQ(line->getValue<std::string>("level"), "info");
  const std::pair<const char*, const char*> wanted[] = {{"job_id", "01JABC"},
                                                        {"from_email", "a@example.com"},
                                                        {"recipient", "b@example.org"},
                                                        {"subject", "hello"},
                                                        {"status", "delivered"},
                                                        {"smtp_response", "250 2.0.0 ok\nqueued"},
                                                        {"dest_ip", "mx.example.org"},
                                                        {"queued_at", "2026-01-02T03:03:20.000Z"},
                                                        {"delay_ms", "45007"},
                                                        {"logged_at", "2026-01-02T03:04:05.007Z"},
                                                        {"attempt", "2"}};
  for (const auto& [key, value] : wanted) {
    ASSERT_TRUE(line->get(key).isString()) << key;
    EXPECT_EQ(line->getValue<std::string>(key), value);
  }
  start(telemetry::log_format::text);
  telemetry::log_delivery(event);
  EXPECT_THAT(lines().back(),
              HasSubstr("email delivery [delivery.outcome] job_id=\"01JABC\" from_email=\"a@example.com\""));
  EXPECT_THAT(lines().back(), HasSubstr("delay_ms=\"45007\" attempt=\"2\"\n"));
}

/// A sink that stands still until it is let go.
struct gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  bool reached = false;
  std::vector<std::string> lines;

  void write(std::string_view line) {
    std::unique_lock lock{mutex};
    reached = true;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
    lines.emplace_back(line);
  }
  void wait_until_reached() {
    std::unique_lock lock{mutex};
    changed.wait(lock, [this] { return reached; });
  }
  void let_go() {
    const std::lock_guard lock{mutex};
    open = true;
    changed.notify_all();
  }
};

TEST(log_queue, a_full_queue_costs_info_lines_which_are_counted_but_never_a_warning) {
  gate outlet;
  telemetry::log_options options;
  options.queue_size = 4;
  options.sink = [&outlet](std::string_view line) { outlet.write(line); };
  telemetry::start_log(std::move(options));
  const auto before = telemetry::dropped_lines();
  telemetry::log(level::info, component::main, {"test.first", "first"});
  outlet.wait_until_reached();
  for (int n = 0; n < 10; ++n)
    telemetry::log(level::info, component::main, {"test.line", "line"}, {{"n", n}});
  for (int n = 0; n < 10; ++n)
    telemetry::log(level::warn, component::main, {"test.warning", "warning"}, {{"n", n}});
  EXPECT_EQ(telemetry::dropped_lines() - before, 7u);
  outlet.let_go();
  telemetry::flush_log();
  telemetry::stop_log();
  EXPECT_EQ(outlet.lines.size(), 1u + 3u + 10u);
}

TEST(log_queue, many_threads_lose_nothing_while_there_is_room) {
  std::vector<std::string> lines;
  telemetry::log_options options;
  options.queue_size = 10000;
  options.sink = [&lines](std::string_view line) { lines.emplace_back(line); };
  telemetry::start_log(std::move(options));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int n = 0; n < 500; ++n)
        telemetry::log(level::info, component::main, {"test.line", "line"}, {{"n", n}});
    });
  threads.clear();
  telemetry::stop_log();
  EXPECT_EQ(lines.size(), 2000u);
}

TEST(log_throttle, lets_the_first_through_and_then_one_in_a_while_with_the_number_of_those_between) {
  telemetry::log_throttle throttle{10s};
  steady_time start{5s};
  EXPECT_EQ(throttle.happened(start), 1u);
  for (int i = 1; i < 1000; ++i)
    EXPECT_EQ(throttle.happened(start + i * 10ms), 0u);
  EXPECT_EQ(throttle.happened(start + 10s), 1000u);
  EXPECT_EQ(throttle.happened(start + 11s), 0u);
  EXPECT_EQ(throttle.happened(start + 100s), 2u);
  EXPECT_EQ(throttle.happened(start + 200s), 1u);
}

} // namespace
