// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/dsn.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>

#include "runtime/mail/dsn_advice.hpp"
#include "runtime/mail/dsn_text.hpp"

namespace hedwig::mail {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr wall_time start{std::chrono::sys_days{std::chrono::year{2026} / 5 / 1}};

dsn_report failure() {
  dsn_report r;
  r.reporting_mta = "relay.example.test";
  r.sender = "sender@example.org";
  r.unique = "01J0ABCDEF";
  r.now = start + 2h;
  r.arrival = start;
  r.queue_id = "01J0QUEUE";
  r.original_headers = "From: sender@example.org\r\nMessage-ID: <one@example.org>\r\nSubject: hello\r\n\r\nbody\r\n";
  dsn_recipient to;
  to.final_recipient = "nobody@example.com";
  to.original_recipient = "rfc822;no+2Bbody@example.com";
  to.status = "5.1.1";
  to.remote_mta = "mx.example.com";
  to.remote_ip = "192.0.2.1";
  to.reply_code = 550;
  to.text = "No such user";
  to.last_attempt = start + 1h;
  r.recipients.push_back(to);
  return r;
}

/// What Python's email package makes of it, as "key=value" lines; fails the test when it finds a defect.
std::string judged(const dsn_message& m) {
  std::string path = "/tmp/hedwig-dsn-XXXXXX";
  const int fd = ::mkstemp(path.data());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::write(fd, m.text.data(), m.text.size()), static_cast<ssize_t>(m.text.size()));
  ::close(fd);
  std::FILE* pipe =
      ::popen(("PYTHONIOENCODING=utf-8 /usr/bin/python3 -B tests/unit/mail/dsn/judge.py 2>&1 < " + path).c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string out;
  std::array<char, 4096> chunk{};
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe))
    out.append(chunk.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << out << "\n" << m.text;
  ::unlink(path.c_str());
  return out;
}

TEST(dsn, says_all_that_a_failure_report_must) {
  const std::string seen = judged(make_dsn(failure()));
  for (const char* expected : {"type=multipart/report\n",
                               "report-type=delivery-status\n",
                               "From=Mail Delivery System <MAILER-DAEMON@relay.example.test>\n",
                               "To=sender@example.org\n",
                               "Auto-Submitted=auto-replied\n",
                               "In-Reply-To=<one@example.org>\n",
                               "References=<one@example.org>\n",
                               "Message-ID=<01J0ABCDEF@relay.example.test>\n",
                               "Date=Fri, 01 May 2026 02:00:00 +0000\n",
                               "parts=text/plain,message/delivery-status,text/rfc822-headers\n",
                               "text-charset=us-ascii\n",
                               "0.Reporting-MTA=dns; relay.example.test\n",
                               "0.Arrival-Date=Fri, 01 May 2026 00:00:00 +0000\n",
                               "1.Original-Recipient=rfc822;no+body@example.com\n",
                               "1.Final-Recipient=rfc822; nobody@example.com\n",
                               "1.Action=failed\n",
                               "1.Status=5.1.1\n",
                               "1.Remote-MTA=dns; mx.example.com\n",
                               "1.Diagnostic-Code=smtp; 550 5.1.1 No such user\n",
                               "1.Last-Attempt-Date=Fri, 01 May 2026 01:00:00 +0000\n"})
    EXPECT_THAT(seen, HasSubstr(expected));
  EXPECT_THAT(seen, Not(HasSubstr("Will-Retry-Until")));
}

TEST(dsn, tells_people_what_happened_and_what_to_do) {
  const std::string text = make_dsn(failure()).text;
  EXPECT_THAT(text, HasSubstr("<nobody@example.com>"));
  EXPECT_THAT(text, HasSubstr("The server mx.example.com (192.0.2.1) answered: 550 5.1.1 No"));
  EXPECT_THAT(text, HasSubstr("There is no such mailbox"));
  EXPECT_THAT(text, HasSubstr("What you can do: Check the address"));
  EXPECT_THAT(text, HasSubstr("01J0QUEUE"));
}

TEST(dsn, says_until_when_it_keeps_trying_in_a_delay_report) {
  dsn_report r = failure();
  r.kind = dsn_kind::delay;
  r.recipients[0].status = "4.4.1";
  r.recipients[0].reply_code = 0;
  r.recipients[0].text = "cannot connect: connection refused";
  r.recipients[0].will_retry_until = start + 24h * 5;
  r.recipients[0].attempts = 4;
  const dsn_message m = make_dsn(r);
  const std::string seen = judged(m);
  EXPECT_THAT(seen, HasSubstr("1.Action=delayed\n"));
  EXPECT_THAT(seen, HasSubstr("1.Will-Retry-Until=Wed, 06 May 2026 00:00:00 +0000\n"));
  EXPECT_THAT(seen, HasSubstr("1.Diagnostic-Code=X-Hedwig; cannot connect: connection refused\n"));
  EXPECT_THAT(m.text, HasSubstr("not delivered yet to the recipient"));
  EXPECT_THAT(m.text, HasSubstr("Tried 4 times so far."));
}

TEST(dsn, says_that_a_server_without_reports_has_the_message) {
  dsn_report r = failure();
  r.kind = dsn_kind::relayed;
  r.recipients[0].status = "";
  r.recipients[0].reply_code = 250;
  r.recipients[0].text = "queued as 1";
  r.original = r.original_headers;
  const dsn_message m = make_dsn(r);
  const std::string seen = judged(m);
  EXPECT_THAT(seen, HasSubstr("1.Action=relayed\n"));
  EXPECT_THAT(seen, HasSubstr("1.Status=2.0.0\n"));
  EXPECT_THAT(m.text, HasSubstr("handed over for the recipient named below"));
  EXPECT_THAT(m.text, HasSubstr("text/rfc822-headers"));
  EXPECT_THAT(m.text, Not(HasSubstr("What you can do")));
}

TEST(dsn, lists_each_recipient_in_a_block_of_its_own) {
  dsn_report r = failure();
  r.recipients.push_back(r.recipients[0]);
  r.recipients[1].final_recipient = "full@example.com";
  r.recipients[1].status = "5.2.2";
  const std::string seen = judged(make_dsn(r));
  EXPECT_THAT(seen, HasSubstr("1.Final-Recipient=rfc822; nobody@example.com\n"));
  EXPECT_THAT(seen, HasSubstr("2.Final-Recipient=rfc822; full@example.com\n"));
  EXPECT_THAT(seen, HasSubstr("2.Status=5.2.2\n"));
}

TEST(dsn, uses_the_global_forms_for_addresses_outside_ascii) {
  dsn_report r = failure();
  r.recipients[0].final_recipient = "j\xc3\xb6rg@example.com";
  r.recipients[0].original_recipient.clear();
  r.original_headers = "From: sender@example.org\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n";
  const dsn_message m = make_dsn(r);
  EXPECT_TRUE(m.is_8bit);
  EXPECT_FALSE(m.needs_smtputf8);
  const std::string seen = judged(m);
  EXPECT_THAT(seen, HasSubstr("parts=text/plain,message/global-delivery-status,message/global-headers\n"));
  EXPECT_THAT(seen, HasSubstr("text-charset=utf-8\n"));
  EXPECT_THAT(m.text, HasSubstr("Final-Recipient: utf-8; j\xc3\xb6rg@example.com\r\n"));
}

TEST(dsn, needs_smtputf8_for_a_sender_outside_ascii) {
  dsn_report r = failure();
  r.sender = "j\xc3\xb6rg@example.org";
  const dsn_message m = make_dsn(r);
  EXPECT_TRUE(m.needs_smtputf8);
  EXPECT_TRUE(m.is_8bit);
  judged(m);
}

TEST(dsn, is_seven_bit_for_a_utf8_reply_text_in_the_status_part) {
  dsn_report r = failure();
  r.recipients[0].text = "Benutzer \xc3\xbc"
                         "berall unbekannt";
  const dsn_message m = make_dsn(r);
  EXPECT_THAT(judged(m), HasSubstr("1.Diagnostic-Code=smtp; 550 5.1.1 Benutzer ?berall unbekannt\n"));
  EXPECT_TRUE(m.is_8bit) << "the text for people keeps the letters";
}

TEST(dsn, lets_nothing_a_peer_said_become_a_field_or_a_part) {
  dsn_report r = failure();
  const std::string evil = "x\r\nBcc: victim@example.com\r\n\r\n--=_report_01J0ABCDEF--\r\n\0\x1b[2J"s;
  r.recipients[0].text = evil;
  r.recipients[0].remote_mta = evil;
  r.recipients[0].final_recipient = "a@b" + evil;
  r.recipients[0].original_recipient = "rfc822;" + evil + "+0D+0ABcc: x";
  r.envelope_id = evil + "+0D+0AX: y";
  r.queue_id = evil;
  r.sender = "s@example.org\r\nX-Evil: 1";
  r.original_headers = "Subject: a\r\n --=_report_01J0ABCDEF--\r\n";
  const dsn_message m = make_dsn(r);
  EXPECT_THAT(m.text, Not(HasSubstr("\nBcc:")));
  EXPECT_THAT(m.text, Not(HasSubstr("\nX-Evil:")));
  EXPECT_THAT(m.text, Not(HasSubstr("\nX: y")));
  EXPECT_THAT(m.text, Not(HasSubstr("\n--=_report_01J0ABCDEF--\r\n")));
  EXPECT_THAT(m.text, HasSubstr("boundary=\"=_report_01J0ABCDEFA\""));
}

TEST(dsn, keeps_every_line_within_998_bytes) {
  dsn_report r = failure();
  r.recipients[0].text = std::string(5000, 'x');
  r.recipients[0].final_recipient = std::string(2000, 'y') + "@example.com";
  r.recipients[0].remote_mta = std::string(3000, 'z');
  std::string headers = "Subject: " + std::string(5000, 's') + "\r\n";
  r.original_headers = headers;
  judged(make_dsn(r));
}

TEST(dsn, returns_the_whole_message_of_a_failure_and_its_header_of_a_delay) {
  dsn_report r = failure();
  r.from = "postmaster@example.test";
  r.original = "From: sender@example.org\r\nSubject: hello\r\n\r\n.body\r\n\r\n--=_report_01J0ABCDEF--\r\n";
  const std::string seen = judged(make_dsn(r));
  EXPECT_THAT(seen, HasSubstr("parts=text/plain,message/delivery-status,message/rfc822"));
  EXPECT_THAT(seen, HasSubstr("From=Mail Delivery System <postmaster@example.test>"));
  EXPECT_THAT(make_dsn(r).text, HasSubstr(r.original));
  r.kind = dsn_kind::delay;
  EXPECT_THAT(judged(make_dsn(r)), HasSubstr("parts=text/plain,message/delivery-status,text/rfc822-headers"));
}

TEST(dsn, returns_the_header_of_a_message_that_no_report_can_carry) {
  for (const std::string& body : {"bare\nline"s, "nul\0"s, std::string(999, 'x'), "bare\rreturn"s}) {
    dsn_report r = failure();
    const std::string whole = "Subject: hello\r\n\r\n" + body + "\r\n";
    r.original = whole;
    EXPECT_THAT(judged(make_dsn(r)), HasSubstr("text/rfc822-headers")) << body;
  }
  dsn_report r = failure();
  const std::string whole = "Subject: hello\r\n\r\n" + std::string(998, 'x') + "\r\n\xc3\xa9";
  r.original = whole;
  const dsn_message m = make_dsn(r);
  EXPECT_THAT(judged(m), HasSubstr("message/rfc822"));
  EXPECT_TRUE(m.is_8bit);
}

TEST(dsn, limits_the_header_of_the_original) {
  dsn_report r = failure();
  std::string headers;
  for (int i = 0; i < 10'000; ++i)
    headers += "X-Field-" + std::to_string(i) + ": some text\r\n";
  r.original_headers = headers;
  const dsn_message m = make_dsn(r);
  EXPECT_THAT(m.text, HasSubstr("X-Field-0: some text\r\n"));
  EXPECT_LT(m.text.size(), r.headers_max + 8192);
  judged(m);
}

TEST(dsn, leaves_out_the_body_and_odd_bytes_of_the_original) {
  dsn_report r = failure();
  const std::string headers = "Subject: a\nX: b\xff\0c\rd\n folded\n\t \n\nsecret body\n"s;
  r.original_headers = headers;
  const std::string text = make_dsn(r).text;
  EXPECT_THAT(text, HasSubstr("Subject: a\r\nX: b? c d\r\n folded\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("secret body")));
}

TEST(dsn, finds_the_message_id_in_a_folded_field_of_any_case) {
  dsn_report r = failure();
  r.original_headers = "From: x\r\nMESSAGE-id :\r\n <two@example.org>\r\n\r\n";
  EXPECT_THAT(judged(make_dsn(r)), HasSubstr("In-Reply-To=<two@example.org>\n"));
}

TEST(dsn, does_without_a_message_id_that_is_none) {
  for (const std::string_view id : {"", "<a b@c>", "no brackets", "<unclosed", "<\xc3\xbc@x>"}) {
    dsn_report r = failure();
    const std::string headers = "Message-ID: " + std::string{id} + "\r\n\r\n";
    r.original_headers = headers;
    EXPECT_THAT(make_dsn(r).text, Not(HasSubstr("In-Reply-To:"))) << id;
  }
}

TEST(dsn, counts_the_recipients_it_does_not_list) {
  dsn_report r = failure();
  r.recipients.resize(30, r.recipients[0]);
  r.recipients_max = 10;
  const dsn_message m = make_dsn(r);
  EXPECT_THAT(m.text, HasSubstr("... and 20 more that are not listed."));
  const std::string seen = judged(m);
  EXPECT_THAT(seen, HasSubstr("10.Status=5.1.1\n"));
  EXPECT_THAT(seen, Not(HasSubstr("11.Status=")));
}

TEST(dsn, replaces_a_status_that_is_none) {
  for (const char* status : {"", "x", "5.1", "5..1", "9.1.1", "5.1.1.1", "5.1.", "5.1.1\r\nX: y"}) {
    dsn_report r = failure();
    r.recipients[0].status = status;
    EXPECT_THAT(make_dsn(r).text, HasSubstr("Status: 5.0.0\r\n")) << status;
  }
}

TEST(dsn, works_without_anything_known_about_the_server) {
  dsn_report r = failure();
  r.recipients[0] = {};
  r.recipients[0].final_recipient = "a@example.com";
  r.recipients[0].status = "5.1.2";
  r.recipients[0].text = "the domain does not exist";
  r.original_headers = {};
  r.reporting_mta.clear();
  r.unique.clear();
  const std::string seen = judged(make_dsn(r));
  EXPECT_THAT(seen, Not(HasSubstr("Remote-MTA")));
  EXPECT_THAT(seen, HasSubstr("0.Reporting-MTA=dns; localhost\n"));
}

TEST(dsn, gives_advice_for_every_status) {
  for (int subject = 0; subject < 10; ++subject)
    for (int detail = 0; detail < 40; ++detail) {
      const dsn_advice advice = advice_for("5." + std::to_string(subject) + "." + std::to_string(detail));
      EXPECT_FALSE(advice.meaning.empty() || advice.action.empty());
    }
  EXPECT_THAT(std::string{advice_for("4.1.10").meaning}, HasSubstr("takes no mail at all"));
  EXPECT_THAT(std::string{advice_for("5.1.1").meaning}, HasSubstr("no such mailbox"));
}

// ---- texts of peers

TEST(peer_text, turns_controls_into_one_space) {
  EXPECT_EQ(sanitise_peer_text("  a\r\n\t b\0c\x7f"s, 100), "a b c");
  EXPECT_EQ(sanitise_peer_text("a\xc2\x85"
                               "b\xe2\x80\xa8"
                               "c\xe2\x80\xae"
                               "d",
                               100),
            "a b c d");
}

TEST(peer_text, replaces_what_is_not_utf8) {
  EXPECT_EQ(sanitise_peer_text("\xff\xfe", 100), "??");
  EXPECT_EQ(sanitise_peer_text("\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82", 100), "?? ??? ???? ??");
  EXPECT_EQ(sanitise_peer_text("\xe2\x82\xac \xf0\x9f\x92\xa9", 100), "\xe2\x82\xac \xf0\x9f\x92\xa9");
}

TEST(peer_text, cuts_between_characters) {
  EXPECT_EQ(sanitise_peer_text("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(sanitise_peer_text("abcdefghijk", 10), "abcdefg...");
  EXPECT_EQ(sanitise_peer_text("abcdef\xc3\xbc\xc3\xbc\xc3\xbc", 10), "abcdef...");
  EXPECT_EQ(sanitise_peer_text("abcdef", 2), "..");
  EXPECT_EQ(sanitise_peer_text("abcdef", 0), "");
}

TEST(peer_text, folds_long_fields_at_spaces) {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += (i == 0 ? "word" : " word");
  const std::string field = folded_field("X-Long", text);
  std::size_t begin = 0;
  std::string unfolded;
  while (begin < field.size()) {
    const std::size_t end = field.find("\r\n", begin);
    EXPECT_LE(end - begin, 78U);
    EXPECT_TRUE(begin == 0 || field[begin] == ' ');
    unfolded += field.substr(begin, end - begin);
    begin = end + 2;
  }
  EXPECT_EQ(unfolded, "X-Long: " + text);
}

TEST(peer_text, breaks_words_that_no_line_can_hold) {
  const std::string field = folded_field("X", std::string(2500, 'w'));
  std::size_t begin = 0;
  while (begin < field.size()) {
    const std::size_t end = field.find("\r\n", begin);
    EXPECT_LE(end - begin, 998U);
    begin = end + 2;
  }
}

} // namespace
} // namespace hedwig::mail
