// SPDX-License-Identifier: Apache-2.0
// filter-headers from its real file: rules in, edits out.
#include "tests/component/filters/running_filter.hpp"

namespace hedwig::plugin::testing {
namespace {

config::node headers_rules(std::vector<members> all) {
  std::vector<config::node> rules;
  for (auto& one : all)
    rules.push_back(table(one));
  return table({{"rule", list(std::move(rules))}});
}

using fields = std::vector<std::pair<std::string, std::string>>;

struct headers_run : running_filter {
  explicit headers_run(std::vector<members> all) : running_filter{"headers", headers_rules(std::move(all))} {}

  /// What the rules do to a message, as "add X: value", "replace 2 X: value".
  std::vector<std::string> edits(const fields& header, filter_session_view view = {},
                                 const std::string& sender = "ada@example.com") {
    auto session = filter->open(view);
    EXPECT_TRUE(session->on_auth(view, {sink, 1, {}}));
    EXPECT_TRUE(session->on_mail({sender, {}}, {sink, 1, {}}));
    std::uint32_t index = 0;
    for (auto& [name, value] : header)
      EXPECT_TRUE(session->on_header({++index, name, value, name + ": " + value + "\r\n"}, {sink, 1, {}}));
    auto end = session->on_end({{}, sender, {"bob@example.net"}, 100}, {sink, 1, {}});
    if (!end || !*end)
      return {"failed: " + (end ? end->error().text() : "")};
    std::vector<std::string> out;
    for (auto& one : (*end)->edits)
      out.push_back(describe(one));
    return out;
  }

  static std::string describe(const edit& one) {
    static constexpr const char* words[] = {"add", "insert", "replace", "delete"};
    auto out = std::string{words[static_cast<std::size_t>(one.kind)]} + " ";
    if (one.kind == edit_kind::replace_header || one.kind == edit_kind::delete_header)
      out += std::to_string(one.index) + " ";
    return out + one.name + (one.kind == edit_kind::delete_header ? "" : ": " + one.value);
  }
};

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(filter_headers, adds_at_the_end_and_at_the_top_with_variables) {
  headers_run on{{{{"action", text("add")}, {"field", text("X-By")}, {"value", text("{identity} of {sender_domain}")}},
                  {{"action", text("insert")}, {"field", text("X-Top")}, {"value", text("{{{listener}}}")}}}};
  EXPECT_THAT(on.edits({}, {.listener = "inside", .identity = "ada"}),
              ElementsAre("add X-By: ada of example.com", "insert X-Top: {inside}"));
}

TEST(filter_headers, has_rules_for_members_of_a_group_in_any_spelling) {
  headers_run on{{{{"action", text("add")},
                   {"field", text("X-Org")},
                   {"value", text("staff")},
                   {"groups", texts({"Staff", "board"})}}}};
  auto of = [](std::vector<std::string> groups) {
    return std::make_shared<const user_facts>(std::move(groups), decltype(user_facts::attributes){});
  };
  EXPECT_THAT(on.edits({}, {.identity = "ada", .user = of({"guests", "STAFF"})}), ElementsAre("add X-Org: staff"));
  EXPECT_THAT(on.edits({}, {.identity = "ada", .user = of({"staffing", "staf"})}), IsEmpty());
  EXPECT_THAT(on.edits({}, {.identity = "staff"}), IsEmpty());
}

TEST(filter_headers, removes_by_name_prefix_and_expression) {
  headers_run on{{{{"action", text("remove")}, {"field", text("x-internal-*")}},
                  {{"action", text("remove")}, {"field", text("X-Flag")}, {"matches", text("^no$")}}}};
  EXPECT_THAT(on.edits({{"X-Internal-A", "1"}, {"X-Flag", "no"}, {"X-Flag", "yes"}, {"X-flag", "no"}}),
              ElementsAre("delete 0 X-Internal-A", "delete 3 X-flag", "delete 1 X-Flag"));
  EXPECT_THAT(on.edits({{"X-Flag", "no"}, {"X-Flag", "no"}}), ElementsAre("delete 0 X-Flag"));
}

TEST(filter_headers, rewrites_values_with_what_the_expression_matched) {
  headers_run on{{{{"action", text("replace")},
                   {"field", text("Subject")},
                   {"matches", text("^\\[ext\\] *(.*)$")},
                   {"value", text("{1} (was: {value})")}}}};
  EXPECT_THAT(on.edits({{"Subject", "plain"}, {"Subject", "[ext] hello"}}),
              ElementsAre("replace 2 Subject: hello (was: [ext] hello)"));
}

TEST(filter_headers, lets_each_rule_see_what_those_before_it_have_done) {
  headers_run on{
      {{{"action", text("remove")}, {"field", text("X-A")}, {"matches", text("1")}},
       {{"action", text("replace")}, {"field", text("X-A")}, {"value", text("new")}},
       {{"action", text("add")}, {"field", text("X-A")}, {"value", text("more")}, {"unless_field", text("X-A")}},
       {{"action", text("insert")},
        {"field", text("X-A")},
        {"value", text("top")},
        {"if_field", text("X-A")},
        {"if_matches", text("new")}},
       {{"action", text("replace")}, {"field", text("X-A")}, {"matches", text("new")}, {"value", text("newer")}}}};
  EXPECT_THAT(on.edits({{"X-A", "1"}, {"X-A", "2"}}),
              ElementsAre("delete 1 X-A", "replace 1 X-A: new", "insert X-A: top", "replace 2 X-A: newer"));
  EXPECT_THAT(on.edits({}), ElementsAre("add X-A: more"));
}

TEST(filter_headers, speaks_only_of_mail_by_listener_identity_and_sender_domain) {
  headers_run on{
      {{{"action", text("add")}, {"field", text("X-L")}, {"value", text("1")}, {"listeners", texts({"inside"})}},
       {{"action", text("add")}, {"field", text("X-I")}, {"value", text("1")}, {"identities", texts({"*@a.test"})}},
       {{"action", text("add")}, {"field", text("X-N")}, {"value", text("1")}, {"identities", texts({""})}},
       {{"action", text("add")},
        {"field", text("X-D")},
        {"value", text("1")},
        {"sender_domains", texts({"*.b.test"})}}}};
  EXPECT_THAT(on.edits({}, {.listener = "inside"}), ElementsAre("add X-L: 1", "add X-N: 1"));
  EXPECT_THAT(on.edits({}, {.identity = "ada@a.test"}), ElementsAre("add X-I: 1"));
  EXPECT_THAT(on.edits({}, {.identity = "ada"}, "x@c.B.test"), ElementsAre("add X-D: 1"));
  EXPECT_THAT(on.edits({}, {.identity = "ada"}, "x@b.test"), IsEmpty());
  EXPECT_THAT(on.edits({}, {.identity = "ada"}, ""), IsEmpty());
}

TEST(filter_headers, never_lets_a_peer_write_a_line_or_a_long_one) {
  headers_run on{{{{"action", text("add")}, {"field", text("X-H")}, {"value", text("from {helo}")}}}};
  EXPECT_THAT(on.edits({}, {.helo = std::string{"a\r\nBcc: b\0c", 11}}), ElementsAre("add X-H: from a  Bcc: b c"));
  auto long_one = on.edits({}, {.helo = std::string(5000, 'x')});
  EXPECT_EQ(long_one.at(0).size(), 1000 + std::string{"add X-H: from "}.size());
}

TEST(filter_headers, gives_up_on_a_message_that_needs_too_many_changes) {
  headers_run on{{{{"action", text("remove")}, {"field", text("X-*")}}}};
  fields many;
  for (int i = 0; i < 2000; ++i)
    many.push_back({"X-" + std::to_string(i), "x"});
  EXPECT_THAT(on.edits(many), ElementsAre(HasSubstr("more than 900 fields")));
}

TEST(filter_headers, takes_new_rules_for_the_next_message) {
  headers_run on{{{{"action", text("add")}, {"field", text("X-A")}, {"value", text("1")}}}};
  on.reload(headers_rules({{{"action", text("remove")}, {"field", text("X-A")}}}));
  EXPECT_THAT(on.edits({{"X-A", "2"}}), ElementsAre("delete 0 X-A"));
}

TEST(filter_headers, names_what_is_wrong_with_a_rule) {
  auto fault = [](members rule) { return headers_run{{std::move(rule)}}.error(); };
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X A")}, {"value", text("1")}}),
              HasSubstr("rule 1: field is wrong: \"X A\" is not the name of a header field"));
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X-*")}, {"value", text("1")}}),
              HasSubstr("not the name"));
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X")}}), HasSubstr("value is missing"));
  EXPECT_THAT(fault({{"action", text("remove")}, {"field", text("X")}, {"value", text("1")}}),
              HasSubstr("makes no sense"));
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X")}, {"value", text("{nobody}")}}),
              HasSubstr("no variable is called {nobody}"));
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X")}, {"value", text("a\r\nb: c")}}),
              HasSubstr("one line"));
  EXPECT_THAT(fault({{"action", text("remove")}, {"field", text("X")}, {"matches", text("(")}}),
              HasSubstr("matches is no expression: missing )"));
  EXPECT_THAT(fault({{"action", text("add")}, {"field", text("X")}, {"value", text("1")}, {"matches", text("1")}}),
              HasSubstr("goes with replace and remove"));
  EXPECT_THAT(fault({{"action", text("remove")}, {"field", text("X")}, {"if_matches", text("1")}}),
              HasSubstr("if_matches needs if_field"));
  EXPECT_THAT(fault({{"action", text("remove")}, {"field", text("X")}, {"sender_domains", texts({"a@b"})}}),
              HasSubstr("write \"example.com\""));
}

} // namespace
} // namespace hedwig::plugin::testing
