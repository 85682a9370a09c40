// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/header.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>

#include "runtime/mail/date.hpp"

namespace hedwig::mail {
namespace {

using namespace std::chrono_literals;
using testing::Test;

// 2025-01-01 00:00:00 UTC, a Wednesday.
constexpr wall_time new_year{std::chrono::seconds{1'735'689'600}};

rope in_pieces(std::string_view text, std::size_t size) {
  rope out;
  for (std::size_t i = 0; i < text.size(); i += size)
    out.append_copy(text.substr(i, size));
  return out;
}

received_info from_client() {
  received_info info;
  info.helo = "client.example";
  info.peer_ip = "192.0.2.1";
  info.by = "relay.example.test";
  info.protocol = "ESMTP";
  info.id = "ID1";
  info.when = new_year;
  return info;
}

const std::string trace = "Received: from client.example ([192.0.2.1])\r\n"
                          "\tby relay.example.test with ESMTP\r\n"
                          "\tid ID1;\r\n"
                          "\tWed, 01 Jan 2025 00:00:00 +0000\r\n";
const std::string added_id = "Message-ID: <ID1@relay.example.test>\r\n";
const std::string added_date = "Date: Wed, 01 Jan 2025 00:00:00 +0000\r\n";

std::string prepared_text(std::string_view message) {
  auto whole = prepare_header(in_pieces(message, 100'000), from_client());
  if (!whole)
    return std::string{to_string_view(whole.error())};
  for (std::size_t piece : {1U, 2U, 3U, 7U, 64U}) {
    auto cut = prepare_header(in_pieces(message, piece), from_client());
    EXPECT_TRUE(cut && cut->message.flatten() == whole->message.flatten()) << "in pieces of " << piece;
  }
  return whole->message.flatten();
}

TEST(date, is_written_as_rfc_5322_says) {
  EXPECT_EQ(date_text(new_year), "Wed, 01 Jan 2025 00:00:00 +0000");
  EXPECT_EQ(date_text(new_year - 1ns), "Tue, 31 Dec 2024 23:59:59 +0000");
  EXPECT_EQ(date_text(wall_time{}), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(date_text(wall_time{std::chrono::seconds{951'782'400}}), "Tue, 29 Feb 2000 00:00:00 +0000");
}

TEST(header_block, gives_fields_with_offsets) {
  std::string_view text = "A: 1\r\nB:\r\n folded\r\n\tagain\r\nc :3\r\n\r\nD: body\r\n";
  auto block = header_block::parse(text);
  ASSERT_TRUE(block);
  ASSERT_EQ(block->fields().size(), 3U);
  EXPECT_EQ(block->fields()[0].value, " 1");
  EXPECT_EQ(block->fields()[1].name, "B");
  EXPECT_EQ(block->fields()[1].value, "\r\n folded\r\n\tagain");
  EXPECT_EQ(block->fields()[2].name, "c");
  EXPECT_EQ(block->fields()[2].offset, text.find("c :3"));
  EXPECT_EQ(block->fields()[2].size, 6U);
  EXPECT_TRUE(block->has_separator());
  EXPECT_EQ(block->body_offset(), text.find("D: body"));
  EXPECT_NE(block->find("C"), nullptr);
  EXPECT_EQ(block->find("D"), nullptr);
}

TEST(header_block, ends_before_what_is_no_field) {
  for (auto* text : {"A: 1\r\nno field\r\nB: 2\r\n\r\n", "A: 1\r\n: no name\r\n\r\n", "A: 1\r\nb c: 2\r\n\r\n",
                     "A: 1\r\n\x80: 2\r\n"}) {
    auto block = header_block::parse(std::string_view{text});
    ASSERT_TRUE(block);
    EXPECT_EQ(block->fields().size(), 1U) << text;
    EXPECT_FALSE(block->has_separator());
    EXPECT_EQ(block->body_offset(), 6U);
  }
  auto folded_start = header_block::parse(std::string_view{" A: 1\r\n\r\n"});
  EXPECT_EQ(folded_start->fields().size(), 0U);
}

TEST(header_block, knows_whether_more_bytes_could_change_it) {
  for (auto text :
       {"", "Subject", "Subject: x", "Subject: x\r\n", "Subject: x\r\n y", "Subject: x\r\nno field", "A: b\r\n\r"})
    EXPECT_FALSE(header_block::parse(std::string_view{text})->ended()) << text;
  for (auto text : {"\r\n", "A: b\r\n\r\n", "A: b\r\n\r\nbody", "A: b\r\nno field\r\n"})
    EXPECT_TRUE(header_block::parse(std::string_view{text})->ended()) << text;
}

TEST(header_block, has_limits) {
  std::string many;
  for (std::size_t i = 0; i <= header_fields_max; ++i)
    many += "A:\r\n";
  EXPECT_EQ(header_block::parse(std::string_view{many}).error(), header_fault::too_many_fields);
  std::string big = "A: ";
  while (big.size() <= header_octets_max)
    big += "x\r\n ";
  EXPECT_EQ(header_block::parse(std::string_view{big}).error(), header_fault::too_long);
  EXPECT_EQ(header_block::parse(in_pieces(big, 65536)).error(), header_fault::too_long);
}

TEST(prepare, adds_trace_date_and_message_id) {
  EXPECT_EQ(prepared_text("From: a@b\r\n\r\nbody\r\n"), trace + added_id + added_date + "From: a@b\r\n\r\nbody\r\n");
  EXPECT_EQ(prepared_text("DATE: x\r\nmessage-id: y\r\n\r\n"), trace + "DATE: x\r\nmessage-id: y\r\n\r\n");
}

TEST(prepare, works_without_a_header_or_a_body) {
  EXPECT_EQ(prepared_text(""), trace + added_id + added_date + "\r\n");
  EXPECT_EQ(prepared_text("\r\nbody\r\n"), trace + added_id + added_date + "\r\nbody\r\n");
  EXPECT_EQ(prepared_text("just text\r\nX: not a field\r\n"),
            trace + added_id + added_date + "\r\njust text\r\nX: not a field\r\n");
  EXPECT_EQ(prepared_text("Date: x\r\nBroken line\r\nBcc: kept, since this is body\r\n\r\n"),
            trace + added_id + "Date: x\r\n\r\nBroken line\r\nBcc: kept, since this is body\r\n\r\n");
}

// Only a binary message, which came by BDAT, can end so.
TEST(prepare, ends_a_header_whose_last_line_has_no_end) {
  EXPECT_EQ(prepared_text("Date: x\r\nTo: a@b"), trace + added_id + "Date: x\r\nTo: a@b\r\n\r\n");
  EXPECT_EQ(prepared_text("Date: x\r\nBcc: a@b"), trace + added_id + "Date: x\r\n\r\n");
  EXPECT_EQ(prepared_text("Bcc: a@b"), trace + added_id + added_date + "\r\n");
}

TEST(prepare, removes_bcc_wherever_it_stands) {
  auto front = trace + added_id + added_date;
  EXPECT_EQ(prepared_text("Bcc: a@b\r\nTo: c@d\r\n\r\nBcc: in body\r\n"), front + "To: c@d\r\n\r\nBcc: in body\r\n");
  EXPECT_EQ(prepared_text("To: c@d\r\nBCC: a@b,\r\n c@d,\r\n\te@f\r\nCc: g@h\r\n\r\n"),
            front + "To: c@d\r\nCc: g@h\r\n\r\n");
  EXPECT_EQ(prepared_text("bcc : a@b\r\nbCc\t: x\r\nTo: c@d\r\nResent-Bcc: x\r\n\r\nb\r\n"),
            front + "To: c@d\r\n\r\nb\r\n");
  EXPECT_EQ(prepared_text("To: c@d\r\nBcc: a@b\r\n\r\n"), front + "To: c@d\r\n\r\n");
  EXPECT_EQ(prepared_text("X-Bcc: stays\r\nBccx: stays\r\n\r\n"), front + "X-Bcc: stays\r\nBccx: stays\r\n\r\n");
}

TEST(prepare, refuses_a_header_over_the_configured_limit) {
  rope message;
  message.append_copy("From: a@b\r\nX: " + std::string(500, 'x') + "\r\n\r\nbody\r\n");
  EXPECT_TRUE(prepare_header(message, from_client(), {.header_max = 600}));
  EXPECT_EQ(prepare_header(message, from_client(), {.header_max = 500}).error(), header_fault::too_long);
}

TEST(prepare, shares_the_body) {
  auto message = in_pieces("From: a@b\r\n\r\n" + std::string(200'000, 'x'), 65536);
  auto before = buffer_bytes_live();
  auto out = prepare_header(message, from_client());
  ASSERT_TRUE(out);
  EXPECT_LT(buffer_bytes_live() - before, 4096U);
  EXPECT_EQ(out->message.size(), message.size() + (trace + added_id + added_date).size());
}

TEST(prepare, stops_loops_at_the_limit) {
  std::string text;
  for (int i = 0; i < 3; ++i)
    text += "Received: from x\r\n\tby y\r\n";
  prepare_options options;
  options.received_max = 3;
  auto allowed = prepare_header(in_pieces(text, 1000), from_client(), options);
  ASSERT_TRUE(allowed);
  EXPECT_EQ(allowed->received_fields, 3U);
  options.received_max = 2;
  EXPECT_EQ(prepare_header(in_pieces(text, 1000), from_client(), options).error(), header_fault::loop);
}

TEST(prepare, reads_subject_and_from) {
  auto out = prepare_header(in_pieces("Subject: a\r\n  folded\tone \r\nFrom: \"X, Y\" <a@B.example>, c@d.example\r\n"
                                      "Subject: second\r\nFrom: e@b.example\r\n\r\n",
                                      11),
                            from_client());
  ASSERT_TRUE(out);
  EXPECT_EQ(out->subject, "a folded one");
  EXPECT_EQ(out->from_fields, 2U);
  EXPECT_EQ(out->from_addresses, (std::vector<std::string>{"a@B.example", "c@d.example", "e@b.example"}));
  EXPECT_EQ(out->from_domains, (std::vector<std::string>{"b.example", "d.example"}));
  EXPECT_EQ(out->senders_without_from, 0U);
}

TEST(prepare, reads_sender_where_there_is_no_from) {
  auto read = [](std::string text) { return *prepare_header(in_pieces(text + "\r\n", 100), from_client()); };
  auto without = read("Sender: a@b.example\r\nSubject: x\r\nSender: two words@c\r\n");
  EXPECT_EQ(without.from_fields, 0U);
  EXPECT_EQ(without.senders_without_from, 2U);
  EXPECT_EQ(without.from_addresses, std::vector<std::string>{"a@b.example"});
  EXPECT_FALSE(without.from_complete);
  EXPECT_TRUE(without.from_domains.empty());
  auto with = read("Sender: a@b.example\r\nFrom: c@d.example\r\n");
  EXPECT_EQ(with.senders_without_from, 0U);
  EXPECT_EQ(with.from_addresses, std::vector<std::string>{"c@d.example"});
  EXPECT_EQ(read("Subject: x\r\n").senders_without_from, 0U);
}

TEST(prepare, sees_that_tls_is_not_required) {
  auto read = [](std::string text) {
    return prepare_header(in_pieces(text + "\r\n", 100), from_client())->tls_not_required;
  };
  EXPECT_TRUE(read("TLS-Required: No\r\n"));
  EXPECT_TRUE(read("tls-required:\r\n no \r\n"));
  for (auto text :
       {"", "TLS-Required: Yes\r\n", "TLS-Required: Nope\r\n", "TLS-Required:\r\n", "X-TLS-Required: No\r\n"})
    EXPECT_FALSE(read(text)) << text;
}

TEST(received, tells_what_is_known) {
  auto info = from_client();
  info.peer_name = "mail.client.example";
  info.peer_ip = "2001:db8::1";
  info.protocol = "ESMTPS";
  info.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
  info.recipient = "b@example.net";
  EXPECT_EQ(received_field(info), "Received: from client.example (mail.client.example [IPv6:2001:db8::1])\r\n"
                                  "\tby relay.example.test with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
                                  "\tid ID1\r\n"
                                  "\tfor <b@example.net>;\r\n"
                                  "\tWed, 01 Jan 2025 00:00:00 +0000\r\n");
}

TEST(received, tells_the_priority_that_was_given) {
  auto info = from_client();
  EXPECT_EQ(received_field(info).find("priority"), std::string::npos);
  info.recipient = "b@example.net";
  info.priority = -3;
  EXPECT_NE(received_field(info).find("\tfor <b@example.net>\r\n\tpriority -3;\r\n"), std::string::npos);
}

TEST(received, nothing_of_a_peer_gets_out_of_its_place) {
  auto info = from_client();
  info.helo = "x\r\nBcc: y (z) <q>; \"\\\x80\x7f";
  info.peer_name = ") by evil (";
  info.recipient = "a\r\nb\xC3\xBC@c";
  EXPECT_EQ(received_field(info), "Received: from x??Bcc:?y??z???q??????? (??by?evil?? [192.0.2.1])\r\n"
                                  "\tby relay.example.test with ESMTP\r\n"
                                  "\tid ID1\r\n"
                                  "\tfor <a??b??@c>;\r\n"
                                  "\tWed, 01 Jan 2025 00:00:00 +0000\r\n");
  info.smtputf8 = true;
  EXPECT_NE(received_field(info).find("for <a??b\xC3\xBC@c>"), std::string::npos);
  std::string all(5000, 'x');
  info.helo = info.peer_name = info.by = info.tls = info.id = info.protocol = info.recipient = all;
  auto field = received_field(info);
  for (std::size_t begin = 0; begin < field.size();) {
    auto end = field.find("\r\n", begin);
    EXPECT_LE(end - begin, 998U);
    begin = end + 2;
  }
}

TEST(unfold, cuts_behind_whole_characters_and_cleans) {
  EXPECT_EQ(unfold(" a\r\n b\r\n\t\tc "), "a b c");
  EXPECT_EQ(unfold("a\x01\x7f"
                   "b\0c"),
            "a??b");
  EXPECT_EQ(unfold("a\xC3\xBC", 2), "a");
  EXPECT_EQ(unfold("a\xC3\xBC", 3), "a\xC3\xBC");
  EXPECT_EQ(unfold("abcdef", 3), "abc");
  EXPECT_EQ(unfold(""), "");
  EXPECT_EQ(unfold("\r\n \r\n "), "");
}

TEST(unfold, needs_no_copy_where_the_value_holds_its_result) {
  for (std::string_view value :
       {" plain", "\t two words \t", "", "   ", "b\xC3\xBC", " a\r\n b", "a\tb", "a\x7f", "\x01"}) {
    auto part = unfolded_already(value);
    EXPECT_EQ(part.has_value(), value.find_first_of("\r\n\x7f\x01") == value.npos && value != "a\tb") << value;
    if (part) {
      EXPECT_EQ(*part, unfold(value));
    }
  }
}

TEST(read_addresses, tells_whether_another_reader_could_find_more) {
  for (auto* whole :
       {"a@b", "A B <a@b>", "\"A, <x@y>\" <a@b>", "a@b (c@d), e@f", "G: a@b, C <c@d>;", "undisclosed:;", "a@b,",
        "x@y <a@b>", "<a@b>, <c@d>", "\"x@y\": a@b;", "[List] A <a@b>", "a@[IPv6:2001:db8::1], <b@[192.0.2.1]>"})
    EXPECT_TRUE(read_addresses(whole).complete) << whole;
  for (auto* part : {"two words@b", "<a@b", "<a@b> c@d", "<a@b><c@d>", "<a@b> <c@d>", "<a@b<c@d>>", "a@b> <c@d>",
                     "a@b (", "\"a@b", "a@b, c@d@e", "a@b\t(c\\", "a@@b",
                     // Python's email.utils takes the name of such a group for an address, and others what looks like
                     // one in brackets.
                     "x@y: a@b;", "a@b, x@y:;", "g x@y: a@b;", "[ <x@y> ] <a@b>", "[x@y] <a@b>", "a [<x@y>,] <a@b>"})
    EXPECT_FALSE(read_addresses(part).complete) << part;
  EXPECT_FALSE(read_addresses("a@b, c@d", 1).complete);
}

TEST(addresses_in, understands_what_people_write) {
  using list = std::vector<std::string>;
  EXPECT_EQ(addresses_in(" a@b"), list{"a@b"});
  EXPECT_EQ(addresses_in("A B <a@b>"), list{"a@b"});
  EXPECT_EQ(addresses_in("\"A, <x@y>\" <a@b>"), list{"a@b"});
  EXPECT_EQ(addresses_in("a@b (c@d, (nested) \\) e@f), g@h"), (list{"a@b", "g@h"}));
  EXPECT_EQ(addresses_in("Group: a@b, C <c@d>;, e@f"), (list{"a@b", "c@d", "e@f"}));
  EXPECT_EQ(addresses_in("undisclosed:;"), list{});
  EXPECT_EQ(addresses_in("a . b @ c . d"), list{"a.b@c.d"});
  EXPECT_EQ(addresses_in("\"a b\"@c"), list{"\"a b\"@c"});
  EXPECT_EQ(addresses_in("a@[192.0.2.1]"), list{"a@[192.0.2.1]"});
  EXPECT_EQ(addresses_in("<a@b>\r\n ,\r\n\t<c@d>"), (list{"a@b", "c@d"}));
  EXPECT_EQ(addresses_in("two words@b"), list{});
  EXPECT_EQ(addresses_in("<a@b"), list{});
  EXPECT_EQ(addresses_in("a@b <c@d>"), list{"c@d"});
  EXPECT_EQ(addresses_in("a@b, c@d, e@f", 2), (list{"a@b", "c@d"}));
}

TEST(addresses_in, is_linear) {
  auto begin = std::clock();
  for (std::string piece : {"(", "<", "\"", ",", "a@b,", "(\\", ":;", "[", " ", "<>"}) {
    std::string text;
    while (text.size() < 1'000'000)
      text += piece;
    EXPECT_LE(addresses_in(text).size(), from_addresses_max);
  }
  EXPECT_LT(std::clock() - begin, 2 * CLOCKS_PER_SEC);
}

} // namespace
} // namespace hedwig::mail
