// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/metadata.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace hedwig::queue {
namespace {

using namespace std::chrono_literals;

const message_id id = *message_id::parse("01ARYZ6S41TSV4RRFFQ69G5FAV");

stored sample() {
  stored all;
  all.message.id = id;
  auto& envelope = all.message.envelope;
  envelope.reverse_path = "bounce+ann=example.com@sender.test";
  envelope.recipients = {{"Ann@Example.com", "rfc822;ann@example.com", notify_failure | notify_delay},
                         {"\"b b\"@[192.0.2.1]", "", 0}};
  envelope.body = body_type::eight_bit_mime;
  envelope.smtputf8 = true;
  envelope.returns = return_type::headers;
  envelope.envelope_id = "QQ314159";
  all.message.received = {wall_time{1'795'000'000'123'456'789ns},
                          "2001:db8::1",
                          54321,
                          "client\r\nX: y",
                          "127.0.0.1:2525",
                          "ann",
                          "ESMTPSA"};
  all.message.from_domains = {"sender.test", "other.test"};
  all.message.subject = "Gr\xc3\xbc\xc3\x9f";
  all.message.size = 26'214'400;
  all.record = make_record(all.message, wall_time{1'795'000'000s});
  all.record.attempts = 3;
  all.record.held = true;
  all.record.last_error = "451 4.3.0 later";
  auto& first = all.record.recipients[0];
  first = {recipient_status::delivered,
           2,
           1,
           {250, "2.0.0", "queued"},
           "mx.test[192.0.2.9]:25",
           wall_time{5s},
           wall_time{-1s},
           true,
           true,
           true,
           false};
  return all;
}

void expect_same(const stored& got, const stored& wanted) {
  EXPECT_EQ(got.message.id, wanted.message.id);
  EXPECT_EQ(got.message.envelope, wanted.message.envelope);
  EXPECT_EQ(got.message.received, wanted.message.received);
  EXPECT_EQ(got.message.from_domains, wanted.message.from_domains);
  EXPECT_EQ(got.message.subject, wanted.message.subject);
  EXPECT_EQ(got.message.size, wanted.message.size);
  EXPECT_EQ(got.record, wanted.record);
}

TEST(metadata, keep_what_of_the_message_is_to_come_back) {
  for (auto returns : {return_type::unsaid, return_type::full, return_type::headers}) {
    auto wanted = sample();
    wanted.message.envelope.returns = returns;
    auto bytes = encode_metadata(wanted.message, wanted.record);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(decode_metadata(*bytes, id)->message.envelope.returns, returns);
  }
}

TEST(metadata, keep_what_the_sender_asked_for) {
  for (auto priority : {-9, -1, 0, 1, 9})
    for (auto by_return : {true, false})
      for (auto trace : {true, false}) {
        auto wanted = sample();
        auto& envelope = wanted.message.envelope;
        envelope.priority = static_cast<std::int8_t>(priority);
        envelope.deliver_by = deliver_by{wall_time{1'795'000'100s}, by_return, trace};
        envelope.held_until = wall_time{1'795'000'050s};
        envelope.require_tls = by_return;
        envelope.tls_not_required = trace;
        take_limits(wanted.record, envelope);
        auto bytes = encode_metadata(wanted.message, wanted.record);
        ASSERT_TRUE(bytes);
        auto read = decode_metadata(*bytes, id);
        ASSERT_TRUE(read);
        expect_same(*read, wanted);
        EXPECT_EQ(by_return ? read->record.return_at : read->record.warn_at, wall_time{1'795'000'100s});
      }
}

TEST(metadata, without_what_later_versions_added_has_none_of_it) {
  auto all = sample();
  auto read = decode_metadata(*encode_metadata(all.message, all.record), id);
  ASSERT_TRUE(read);
  auto& envelope = read->message.envelope;
  EXPECT_FALSE(envelope.priority);
  EXPECT_FALSE(envelope.deliver_by);
  EXPECT_EQ(envelope.held_until, wall_time{});
  EXPECT_FALSE(envelope.require_tls || envelope.tls_not_required);
}

TEST(metadata, comes_back_as_it_was_written) {
  auto all = sample();
  auto bytes = encode_metadata(all.message, all.record);
  ASSERT_TRUE(bytes);
  auto read = decode_metadata(*bytes, id);
  ASSERT_TRUE(read) << read.error().text();
  expect_same(*read, all);
}

TEST(metadata, of_one_plain_recipient_is_small) {
  stored all;
  all.message.id = id;
  all.message.envelope.reverse_path = "a@example.com";
  all.message.envelope.recipients = {{"b@example.com", "", 0}};
  all.record = make_record(all.message, wall_time{1'795'000'000s});
  EXPECT_LT(encode_metadata(all.message, all.record)->size(), 120u);
}

TEST(metadata, what_is_in_flight_is_pending_after_a_restart) {
  auto all = sample();
  all.record.recipients[1].in_flight = true;
  auto read = decode_metadata(*encode_metadata(all.message, all.record), id);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->record.recipients[1].in_flight);
  EXPECT_EQ(read->record.recipients[1].status, recipient_status::pending);
}

TEST(metadata, fields_of_a_later_version_are_skipped) {
  auto all = sample();
  auto bytes = *encode_metadata(all.message, all.record);
  bytes.append("\xc8\x05hello", 7);
  auto read = decode_metadata(bytes, id);
  ASSERT_TRUE(read);
  expect_same(*read, all);
}

TEST(metadata, of_a_newer_format_is_named_as_such) {
  auto all = sample();
  auto bytes = *encode_metadata(all.message, all.record);
  bytes[3] = 2;
  EXPECT_EQ(decode_metadata(bytes, id).error().status, HEDWIG_E_UNSUPPORTED);
}

TEST(metadata, an_address_with_a_line_end_is_neither_written_nor_read) {
  auto all = sample();
  all.message.envelope.recipients[0].address = "a@b>\r\nRCPT TO:<c@d";
  EXPECT_EQ(encode_metadata(all.message, all.record).error().status, HEDWIG_E_INVALID);
  all.message.envelope.recipients[0].address = "a@b>xxRCPT TO:<c@d";
  auto bytes = *encode_metadata(all.message, all.record);
  bytes.replace(bytes.find("xxRCPT"), 2, "\r\n");
  EXPECT_EQ(decode_metadata(bytes, id).error().status, HEDWIG_E_CORRUPT);
}

TEST(metadata, whatever_is_written_can_be_read) {
  auto all = sample();
  all.record.recipients[1].last_reply.code = 65535;
  all.message.from_domains.assign(1000, "a.test");
  all.message.subject.assign(10'000, 's');
  auto read = decode_metadata(*encode_metadata(all.message, all.record), id);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->record.recipients[1].last_reply.code, 999);
}

TEST(metadata, of_a_thousand_recipients_with_long_replies_fits_the_store) {
  stored all;
  all.message.envelope.recipients.assign(recipients_max, {std::string(60, 'a') + "@example.com", "", 0});
  all.record = make_record(all.message, wall_time{1'795'000'000s});
  for (auto& state : all.record.recipients)
    state.last_reply = {451, "4.3.0", std::string(reply_text_size_max, 'x')};
  auto bytes = encode_metadata(all.message, all.record);
  ASSERT_TRUE(bytes);
  EXPECT_LE(bytes->size(), metadata_size_max);
  EXPECT_EQ(decode_metadata(*bytes, id)->record.recipients.size(), recipients_max);
}

TEST(metadata, too_much_for_the_store_is_an_error_and_not_a_cut) {
  stored all;
  all.message.envelope.recipients.assign(recipients_max, {std::string(300, 'a'), "", 0});
  all.record = make_record(all.message, {});
  EXPECT_EQ(encode_metadata(all.message, all.record).error().status, HEDWIG_E_INVALID);
  all.record.recipients.pop_back();
  EXPECT_EQ(encode_metadata(all.message, all.record).error().status, HEDWIG_E_INVALID);
}

TEST(metadata, every_truncation_is_an_error_or_a_shorter_truth) {
  auto all = sample();
  auto bytes = *encode_metadata(all.message, all.record);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto read = decode_metadata(std::string_view{bytes}.substr(0, size), id);
    if (read) {
      EXPECT_LE(read->record.recipients.size(), all.record.recipients.size());
    }
  }
}

TEST(metadata, any_mutation_of_good_bytes_is_read_or_refused) {
  auto all = sample();
  const auto good = *encode_metadata(all.message, all.record);
  std::mt19937 random{11};
  int read = 0;
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = good;
    for (auto changes = 1 + random() % 4; changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (auto got = decode_metadata(bytes, id)) {
      ++read;
      EXPECT_EQ(got->message.envelope.recipients.size(), got->record.recipients.size());
      if (auto again = encode_metadata(got->message, got->record)) {
        EXPECT_TRUE(decode_metadata(*again, id));
      }
    } else {
      ++refused;
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

TEST(metadata, any_random_bytes_are_read_or_refused) {
  std::mt19937 random{12};
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = i % 2 == 0 ? "HWM\x01" : "HEDWIG1 {";
    for (auto size = random() % 200; size > 0; --size)
      bytes.push_back(static_cast<char>(random()));
    (void)decode_metadata(bytes, id);
  }
}

TEST(metadata, a_huge_length_allocates_nothing) {
  std::string bytes{"HWM\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15};
  EXPECT_EQ(decode_metadata(bytes, id).error().status, HEDWIG_E_CORRUPT);
}

TEST(metadata, more_recipients_than_allowed_are_refused_at_the_limit) {
  std::string bytes = "HWM\x01";
  for (std::size_t i = 0; i <= recipients_max; ++i)
    bytes.append("\x06\x00", 2);
  EXPECT_EQ(decode_metadata(bytes, id).error().status, HEDWIG_E_CORRUPT);
}

// ---- Hedwig 0.10

TEST(metadata_v0_10, the_first_line_of_a_message_file_becomes_envelope_and_record) {
  auto read = decode_metadata(R"(HEDWIG1 {"message_id":"01ARYZ6S41TSV4RRFFQ69G5FAV","from":"<ann@example.com>",)"
                              R"("to":["<bob@example.org>","eve@example.net"],"queued_at":"2024-05-06T07:08:09.250Z"})",
                              id);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->message.envelope.reverse_path, "ann@example.com");
  ASSERT_EQ(read->message.envelope.recipients.size(), 2u);
  EXPECT_EQ(read->message.envelope.recipients[0].address, "bob@example.org");
  EXPECT_EQ(read->message.envelope.recipients[1].address, "eve@example.net");
  EXPECT_EQ(read->record.first_queued, wall_time{1'714'979'289'250ms});
  EXPECT_EQ(read->record.recipients[1].status, recipient_status::pending);
}

TEST(metadata_v0_10, without_a_time_takes_the_one_in_the_ulid) {
  auto read = decode_metadata(R"({"message_id":"x","from":"","to":["b@example.org"]})", id);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_TRUE(read->message.envelope.null_sender());
  EXPECT_EQ(read->record.first_queued, wall_time{1'469'918'176'385ms});
}

TEST(metadata_v0_10, the_deferral_beside_it_gives_attempts_and_due_time) {
  std::string line = R"(HEDWIG1 {"from":"a@b.test","to":["c@d.test"],"queued_at":1714979289})";
  for (auto next : {R"("2024-05-06T08:08:09Z")", "1714982889", "1714982889000",
                    R"({"secs_since_epoch":1714982889,"nanos_since_epoch":0})"}) {
    auto read = decode_metadata(line + "\n" +
                                    fmt::format(R"({{"attempts":2,"last_attempt":"2024-05-06T07:08:09Z",)"
                                                R"("next_attempt":{},"msg_id":"x","last_error":"451 no"}})",
                                                next),
                                id);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(read->record.attempts, 2u);
    EXPECT_EQ(read->record.recipients[0].attempts, 2u);
    EXPECT_EQ(read->record.next_due, wall_time{1'714'982'889s}) << next;
    EXPECT_EQ(read->record.recipients[0].due, wall_time{1'714'982'889s});
    EXPECT_EQ(read->record.last_error, "451 no");
  }
}

TEST(metadata_v0_10, what_it_cannot_be_is_refused_with_a_reason) {
  for (auto bad :
       {"HEDWIG1 ", "HEDWIG1 []", "HEDWIG1 {}", R"({"from":"a","to":[]})", R"({"from":"a","to":"b"})",
        R"({"from":["a"],"to":["b"]})", R"({"from":"a\r\nDATA","to":["b"]})", R"({"from":"a","to":["b\u0000"]})",
        R"({"from":"a","to":[{"x":1}],)", R"({"from":"a","to":["b"]} trailing)"}) {
    auto read = decode_metadata(bad, id);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().status, HEDWIG_E_CORRUPT);
    EXPECT_GT(read.error().message.size(), 20u);
  }
}

TEST(metadata_v0_10, a_time_outside_of_the_clock_counts_as_none) {
  for (auto time :
       {R"("0019-05-06T07:08:09Z")", R"("9999-05-06T07:08:09Z")", "1e300", "-1e300", R"({"secs_since_epoch":1e30})"}) {
    auto read = decode_metadata(fmt::format(R"(HEDWIG1 {{"from":"a","to":["b"],"queued_at":{}}})", time), id);
    ASSERT_TRUE(read) << time;
    EXPECT_EQ(read->record.first_queued, wall_time{1'469'918'176'385ms}) << time;
  }
}

TEST(metadata_v0_10, deep_nesting_is_refused) {
  EXPECT_FALSE(decode_metadata("HEDWIG1 {\"to\":" + std::string(100'000, '['), id));
}

TEST(metadata_v0_10, mutations_are_read_or_refused) {
  const std::string good =
      R"(HEDWIG1 {"message_id":"01ARYZ6S41TSV4RRFFQ69G5FAV","from":"ann@example.com","to":["b@c.d"],)"
      R"("queued_at":"2024-05-06T07:08:09Z"})"
      "\n"
      R"({"attempts":2,"next_attempt":1714982889})";
  std::mt19937 random{13};
  for (int i = 0; i < 10'000; ++i) {
    auto bytes = good;
    for (auto changes = 1 + random() % 3; changes > 0; --changes)
      bytes[8 + random() % (bytes.size() - 8)] = static_cast<char>(random());
    (void)decode_metadata(bytes, id);
  }
}

TEST(damaged_metadata, of_a_record_that_can_be_read_keep_it_and_say_why) {
  auto whole = encode_metadata(sample().message, sample().record);
  ASSERT_TRUE(whole);
  auto aside = damaged_metadata(*whole, id, "its body failed its checksum");
  EXPECT_EQ(damage_of(aside, id), "its body failed its checksum");
  auto read = decode_metadata(aside, id);
  ASSERT_TRUE(read) << read.error().text();
  auto wanted = sample();
  wanted.record.last_error = "damaged: its body failed its checksum";
  expect_same(*read, wanted);
  EXPECT_FALSE(damage_of(*whole, id));
}

TEST(damaged_metadata, that_cannot_be_read_stand_behind_the_reason) {
  auto aside = damaged_metadata(std::string{"HWM\1 rubbish\n\0", 15}, id, "one\nline\r\x7f");
  EXPECT_EQ(damage_of(aside, id), "one line  ");
  EXPECT_TRUE(aside.ends_with(std::string{"\nHWM\1 rubbish\n\0", 16}));
  EXPECT_EQ(damaged_metadata(aside, id, "again"), aside) << "the first reason stands";
  auto read = decode_metadata(aside, id);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().status, HEDWIG_E_CORRUPT);
  EXPECT_EQ(read.error().message, "one line  ");
}

TEST(damaged_metadata, stay_within_what_a_store_takes) {
  EXPECT_LE(damaged_metadata(std::string(metadata_size_max, 'x'), id, std::string(5000, 'y')).size(),
            metadata_size_max);
}

} // namespace
} // namespace hedwig::queue
