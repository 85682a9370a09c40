// SPDX-License-Identifier: Apache-2.0
#include "admin/commands.hpp"
#include "admin/render.hpp"
#include "admin/trace.hpp"

#include <Poco/JSON/Parser.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace hedwig::admin {
namespace {

Poco::JSON::Object object_of(const std::string& text) {
  Poco::JSON::Parser parser;
  return *parser.parse(text).extract<Poco::JSON::Object::Ptr>();
}

command_line aimed_at_nothing(command what) {
  command_line made;
  made.what = what;
  made.place.socket = "/nonexistent/admin.sock";
  return made;
}

/// 2026-05-01T10:00:00Z
constexpr time_point now{std::chrono::seconds{1777629600}};

TEST(admin_render, lists_messages_in_a_table) {
  auto text = render_list(object_of(R"({"cursor":"","messages":[
    {"id":"01J0000000000000000000000A","state":"deferred","queued_at":"2026-05-01T09:00:00Z","due":"2026-05-01T10:04:10Z",
     "size":2048,"attempts":3,"from":"ann@example.com","first_recipient":"bob@example.net","recipients":3,"last_error":"451 later"},
    {"id":"01J0000000000000000000000B","state":"held","queued_at":"2026-05-01T09:59:30Z","due":"",
     "size":10,"attempts":0,"from":"","first_recipient":"eve@example.net","recipients":1,"last_error":""}]})"),
                          now);
  EXPECT_EQ(
      text,
      "ID                          STATE       AGE     SIZE  TRIES       NEXT  FROM               TO                   "
      " LAST ERROR\n"
      "01J0000000000000000000000A  deferred  1h 0m  2.0 KiB      3  in 4m 10s  <ann@example.com>  bob@example.net (+2) "
      " 451 later\n"
      "01J0000000000000000000000B  held        30s     10 B      0          -  <>                 eve@example.net\n");
}

TEST(admin_render, gives_nothing_for_an_empty_list) {
  EXPECT_EQ(render_list(object_of(R"({"cursor":"","messages":[]})"), now), "");
}

TEST(admin_render, shows_a_message_with_the_last_reply_of_each_recipient) {
  auto text = render_message(
      object_of(R"({"id":"ID","state":"deferred","queued_at":"2026-05-01T09:00:00Z","due":"2026-05-01T09:00:00Z",
    "attempts":1,"from":"ann@example.com","subject":"hi","size":10,"peer":"192.0.2.1","helo":"client","protocol":"ESMTP",
    "listener":"default","user":"","last_error":"","recipient_states":[
    {"address":"bob@example.net","status":"pending","in_delivery":false,"attempts":1,"due":"2026-05-01T09:00:00Z","last_code":451,
     "last_status":"4.7.1","last_text":"later","remote":"mx.example.net[192.0.2.9]:25"},
    {"address":"eve@example.net","status":"pending","in_delivery":true,"attempts":0,"due":"","last_code":0,
     "last_status":"","last_text":"","remote":""}]})"),
      now);
  EXPECT_NE(text.find("next attempt  2026-05-01T09:00:00Z, now\n"), std::string::npos) << text;
  EXPECT_NE(text.find("came from     192.0.2.1 (client) by ESMTP at default\n"), std::string::npos) << text;
  EXPECT_NE(text.find("451 4.7.1 later  mx.example.net[192.0.2.9]:25\n"), std::string::npos) << text;
  EXPECT_NE(text.find("eve@example.net  in delivery"), std::string::npos) << text;
}

TEST(admin_render, escapes_all_that_a_peer_said) {
  auto evil = R"(\u001b[31m\u009b\u202e)";
  std::string fields;
  for (auto* key :
       {"id", "state", "from", "subject", "peer", "helo", "protocol", "listener", "user", "last_error", "address",
        "status", "last_status", "last_text", "remote", "first_recipient", "version", "why_not_ready", "when"})
    fields += "\"" + std::string{key} + "\":\"" + evil + "\",";
  fields += R"("store":{"name":")" + std::string{evil} + R"(","health":")" + evil + R"("},)";
  auto whole = object_of("{" + fields + R"("messages":[{)" + fields + R"("size":1}],"listeners":[{"listener":")" +
                         evil + R"("}],"recipient_states":[{)" + fields + R"("attempts":1}]})");
  for (auto& text :
       {render_list(whole, now), render_message(whole, now), render_status(whole), render_change(whole, "hold")}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos) << text;
    EXPECT_EQ(text.find("\u202E"), std::string::npos) << text;
    EXPECT_NE(text.find("\\x1b[31m"), std::string::npos) << text;
  }
}

TEST(admin_render, says_what_became_of_a_message) {
  auto said = [](const char* verb, const char* when) {
    return render_change(object_of(R"({"id":"X","when":")" + std::string{when} + R"("})"), verb);
  };
  EXPECT_EQ(said("hold", "now"), "X: held\n");
  EXPECT_EQ(said("bounce", "now"), "X: bounced\n");
  EXPECT_EQ(said("delete", "now"), "X: deleted\n");
  EXPECT_EQ(said("retry", "now"), "X: is tried now\n");
  EXPECT_EQ(said("release", "once deliveries are resumed"), "X: released, is tried once deliveries are resumed\n");
  EXPECT_EQ(said("bounce", "after the attempt that is under way"),
            "X: is bounced after the attempt that is under way\n");
  EXPECT_EQ(said("hold", "it was held already"), "X: it was held already\n");
}

TEST(admin_render, survives_members_that_are_missing_or_of_another_type) {
  for (auto* answer :
       {"{}", R"({"messages":{},"recipient_states":3,"store":[],"listeners":"x","actors":null})",
        R"({"messages":[1,null,"x",{"size":-1,"attempts":"3","from":null,"due":5}],"actors":[{"id":"x"}]})"}) {
    auto object = object_of(answer);
    EXPECT_NE(render_status(object).find("NOT READY"), std::string::npos);
    EXPECT_FALSE(render_message(object, now).empty());
    EXPECT_NO_THROW(std::ignore = render_list(object, now));
    EXPECT_NO_THROW(std::ignore = actors_of(object));
  }
}

TEST(admin_render, shows_sessions_escaped_and_with_brackets_around_ipv6) {
  auto text = render_sessions(object_of(
      R"({"sessions":[{"id":7,"client":"2001:db8::9","port":25,"listener":"in","tls":"TLSv1.3","user":"a\u001b[31m",)"
      R"("helo":"h","state":"idle","messages":2,"refused":1,"received_bytes":2048,"age_seconds":70,"idle_seconds":3}]})"));
  EXPECT_NE(text.find("7  [2001:db8::9]:25  in        TLSv1.3  a\\x1b[31m  h     idle       2        1  2.0 KiB"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("1m 10s    3s\n"), std::string::npos) << text;
  EXPECT_EQ(render_sessions(object_of(R"({"sessions":[]})")), "");
  EXPECT_NO_THROW(std::ignore = render_sessions(object_of(R"({"sessions":[1,{"id":"x","age_seconds":-5}]})")));
}

TEST(admin_render, says_how_many_sessions_it_ended) {
  auto said = [](const char* answer) { return render_kill(object_of(answer)); };
  EXPECT_EQ(said(R"({"killed":1,"after_commit":0})"), "1 session ended\n");
  EXPECT_EQ(said(R"({"killed":0,"after_commit":0})"), "0 sessions ended\n");
  EXPECT_EQ(said(R"({"killed":0,"after_commit":2})"),
            "2 sessions end when the client has heard of the message being committed\n");
  EXPECT_EQ(said(R"({"killed":3,"after_commit":1})"),
            "3 sessions ended, 1 session ends when the client has heard of the message being committed\n");
}

TEST(admin_render, shows_a_line_of_a_trace_escaped) {
  EXPECT_EQ(render_trace_line(object_of(R"({"number":1,"at":"2026-11-22T13:30:48.123Z","session":42,)"
                                        R"("client":"192.0.2.1:4242","who":"client","text":"EHLO \u001b[31m"})")),
            "13:30:48.123 42 192.0.2.1:4242 C: EHLO \\x1b[31m\n");
  EXPECT_NO_THROW(std::ignore = render_trace_line(object_of(R"({"at":1,"text":null})")));
}

TEST(admin_render, shows_what_was_refused_with_the_most_frequent_first) {
  auto text = render_status(object_of(R"({"refusals":{"early_talker":3,"relay":12,"syntax":3}})"));
  EXPECT_NE(text.find("refused       relay 12, early_talker 3, syntax 3\n"), std::string::npos) << text;
  EXPECT_EQ(render_status(object_of(R"({"refusals":{}})")).find("refused"), std::string::npos);
}

TEST(admin_render, says_when_deliveries_are_paused) {
  auto text = render_status(object_of(R"({"ready":true,"paused":true})"));
  EXPECT_NE(text.find("ready, deliveries PAUSED"), std::string::npos) << text;
}

TEST(admin_commands, tell_a_missing_socket_and_end_with_1) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  auto wanted = aimed_at_nothing(command::status);
  EXPECT_EQ(run(wanted, in, out, err), 1);
  EXPECT_NE(err.str().find("is the relay running"), std::string::npos) << err.str();
  EXPECT_EQ(out.str(), "");
}

TEST(admin_commands, ask_once_about_many_messages_when_nobody_is_there) {
  std::istringstream in{"C\nD\n"};
  std::ostringstream out;
  std::ostringstream err;
  auto wanted = aimed_at_nothing(command::queue_change);
  wanted.verb = "retry";
  wanted.ids = {"A", "B", "-"};
  EXPECT_EQ(run(wanted, in, out, err), 1);
  EXPECT_EQ(std::ranges::count(err.str(), '\n'), 1);
}

} // namespace
} // namespace hedwig::admin
