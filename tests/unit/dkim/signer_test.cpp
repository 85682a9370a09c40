// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/canonical.hpp"
#include "runtime/dkim/signer.hpp"
#include "tests/unit/dkim/rfc8463_key.hpp"

#include <botan/base64.h>
#include <botan/hash.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <regex>

namespace hedwig::dkim {
namespace {

using testing::HasSubstr;
using testing::Not;

const wall_time now{std::chrono::seconds{1'528'637'909}};

// RFC 8463, appendix A.3.
const std::string rfc8463_message = "From: Joe SixPack <joe@football.example.com>\r\n"
                                    "To: Suzie Q <suzie@shopping.example.net>\r\n"
                                    "Subject: Is dinner ready?\r\n"
                                    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                                    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                                    "\r\n"
                                    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

signing_key rfc_key() {
  std::vector<std::string> warnings;
  return *signing_key::from_pem(rfc8463_pem, "rfc", warnings);
}

rope rope_of(std::string_view text, std::size_t piece = std::string_view::npos) {
  rope out;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
    out.append_copy(text.substr(0, piece));
  return out;
}

signer_settings for_domain(std::string domain, std::vector<std::string> applies_to = {}, std::string selector = "s") {
  return {std::move(domain), std::move(selector), rfc_key(), std::move(applies_to), {}, std::chrono::hours{1}};
}

std::string sign(const signer& by, std::string_view message, std::vector<std::string> from,
                 std::string_view envelope = "") {
  auto fields = by.sign(rope_of(message), from, envelope, now);
  return fields ? *fields : "error: " + fields.error().message;
}

std::string domains_of(const std::string& fields) {
  std::string out;
  std::regex tag{" d=([^;]*);\\s+s=([^;]*);"};
  for (std::sregex_iterator at{fields.begin(), fields.end(), tag}, end; at != end; ++at)
    out += (out.empty() ? "" : " ") + (*at)[1].str() + "/" + (*at)[2].str();
  return out;
}

TEST(signing_key, makes_the_signature_of_rfc_8463) {
  std::string input;
  for (auto field : {"from:Joe SixPack <joe@football.example.com>", "to:Suzie Q <suzie@shopping.example.net>",
                     "subject:Is dinner ready?", "date:Fri, 11 Jul 2003 21:00:37 -0700 (PDT)",
                     "message-id:<20030712040037.46341.5F8J@football.example.com>"})
    input += std::string{field} + "\r\n";
  input += relaxed_field("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                         " d=football.example.com; i=@football.example.com;\r\n"
                         " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                         " subject : date : message-id : from : subject : date;\r\n"
                         " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                         " b=");
  auto hash = Botan::HashFunction::create_or_throw("SHA-256");
  auto digest = hash->process(input);
  auto signature = rfc_key().sign({reinterpret_cast<const char*>(digest.data()), digest.size()});
  ASSERT_TRUE(signature);
  EXPECT_EQ(Botan::base64_encode(reinterpret_cast<const std::uint8_t*>(signature->data()), signature->size()),
            "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
}

TEST(signer, hashes_the_body_as_rfc_8463_does_wherever_the_slices_end) {
  auto by = signer::make({for_domain("football.example.com")});
  ASSERT_TRUE(by);
  auto whole = sign(*by, rfc8463_message, {"football.example.com"});
  EXPECT_THAT(whole, HasSubstr("bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="));
  for (std::size_t piece : {1u, 3u, 64u, 4096u}) {
    auto fields = by->sign(rope_of(rfc8463_message, piece), std::vector<std::string>{"football.example.com"}, "", now);
    ASSERT_TRUE(fields);
    EXPECT_EQ(*fields, whole) << "Ed25519 signatures are deterministic";
  }
}

TEST(signer, signs_a_message_that_is_read_in_parts_as_if_it_were_whole) {
  auto by = *signer::make({for_domain("football.example.com")});
  auto from = std::vector<std::string>{"football.example.com"};
  for (auto& text : {rfc8463_message, std::string{"From: x@football.example.com\r\n"},
                     std::string{"From: x@football.example.com\r\n\r\n"}, std::string{"To: nobody\r\n\r\nbody\r\n"}}) {
    auto whole = by.sign(rope_of(text), from, "", now);
    for (std::size_t part : {1u, 2u, 7u, 200u}) {
      message_digest read;
      for (std::size_t at = 0; at < text.size(); at += part)
        read.add(rope_of(text.substr(at, part)));
      auto fields = by.sign(std::move(read), from, "", now);
      ASSERT_EQ(fields.has_value(), whole.has_value());
      if (whole)
        EXPECT_EQ(*fields, *whole);
      else
        EXPECT_EQ(fields.error().message, whole.error().message);
    }
  }
}

TEST(signer, refuses_a_header_without_end_that_is_read_in_parts) {
  auto by = *signer::make({for_domain("a.test")});
  message_digest read;
  for (int i = 0; i < 20; ++i)
    read.add(rope_of("From: x@a.test\r\n" + std::string(65536, 'x') + "\r\n"));
  auto fields = by.sign(std::move(read), std::vector<std::string>{"a.test"}, "", now);
  ASSERT_FALSE(fields);
  EXPECT_THAT(fields.error().message, HasSubstr("header longer than"));
}

TEST(signer, hashes_an_empty_body_to_the_digest_of_nothing) {
  auto by = *signer::make({for_domain("a.test")});
  for (auto message : {"From: x@a.test\r\n", "From: x@a.test\r\n\r\n", "From: x@a.test\r\n\r\n\r\n"})
    EXPECT_THAT(sign(by, message, {"a.test"}), HasSubstr("bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"));
}

TEST(signer, oversigns_the_main_fields_and_sets_an_expiry_and_no_length) {
  auto field = sign(*signer::make({for_domain("a.test")}), "From: x@a.test\r\nTo: b\r\nList-Id: l\r\n\r\n", {"a.test"});
  auto flat = std::regex_replace(field, std::regex{"\\s+"}, "");
  EXPECT_THAT(flat,
              HasSubstr("h=From:From:To:To:Cc:Subject:Date:Message-ID:Reply-To:In-Reply-To:References:MIME-Version:"
                        "Content-Type:Content-Transfer-Encoding:List-Id;"));
  EXPECT_THAT(flat, HasSubstr("t=1528637909;x=1528641509;"));
  EXPECT_THAT(flat, Not(HasSubstr("l=")));
  EXPECT_TRUE(field.ends_with("\r\n"));
}

TEST(signer, takes_own_field_names_and_signs_from_among_them) {
  auto settings = for_domain("a.test");
  settings.fields = {"Subject", "X-Own", "subject"};
  settings.expiry = {};
  auto flat = std::regex_replace(sign(*signer::make({settings}), "From: x@a.test\r\nX-Own: 1\r\n\r\n", {"a.test"}),
                                 std::regex{"\\s+"}, "");
  EXPECT_THAT(flat, HasSubstr("h=From:From:Subject:X-Own:X-Own;"));
  EXPECT_THAT(flat, Not(HasSubstr("x=")));
}

TEST(signer, folds_its_lines_below_78) {
  auto rsa = for_domain("a.test");
  rsa.key = signing_key::generate(key_type::rsa);
  auto fields = sign(*signer::make({rsa, for_domain("a.test")}), "From: x@a.test\r\n\r\nhello\r\n", {"a.test"});
  for (std::size_t at = 0; at < fields.size();) {
    auto end = fields.find("\r\n", at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LT(end - at, 78u);
    EXPECT_TRUE(fields[at] == '\t' || fields.substr(at).starts_with("DKIM-Signature: "));
    at = end + 2;
  }
}

TEST(signer, chooses_by_header_from_then_by_the_envelope) {
  auto by = *signer::make({for_domain("a.test"), for_domain("b.test")});
  const std::string message = "From: x@a.test\r\n\r\n";
  EXPECT_EQ(domains_of(sign(by, message, {"a.test"}, "b.test")), "a.test/s");
  EXPECT_EQ(domains_of(sign(by, message, {"c.test", "B.test"}, "a.test")), "b.test/s");
  EXPECT_EQ(domains_of(sign(by, message, {"c.test"}, "b.test")), "b.test/s");
  EXPECT_EQ(domains_of(sign(by, message, {}, "b.test")), "b.test/s");
  EXPECT_EQ(sign(by, message, {"c.test"}, "d.test"), "");
  EXPECT_EQ(sign(by, message, {"sub.a.test"}, ""), "");
  EXPECT_TRUE(by.applies(std::vector<std::string>{"a.test"}, ""));
  EXPECT_FALSE(by.applies({}, ""));
}

TEST(signer, the_closest_pattern_wins_and_all_that_share_it_sign) {
  auto by = *signer::make({for_domain("any.test", {"*"}), for_domain("wide.test", {"*.example.com"}),
                           for_domain("close.test", {"*.mail.example.com"}, "one"),
                           for_domain("close.test", {"*.mail.example.com"}, "two"),
                           for_domain("exact.test", {"x.mail.example.com"})});
  const std::string message = "From: x@example.com\r\n\r\n";
  EXPECT_EQ(domains_of(sign(by, message, {"x.mail.example.com"})), "exact.test/s");
  EXPECT_EQ(domains_of(sign(by, message, {"y.mail.example.com"})), "close.test/one close.test/two");
  EXPECT_EQ(domains_of(sign(by, message, {"mail.example.com"})), "wide.test/s");
  EXPECT_EQ(domains_of(sign(by, message, {"example.com"})), "any.test/s");
}

TEST(signer, puts_no_more_than_its_limit_of_signatures) {
  std::vector<signer_settings> many(signatures_max + 3, for_domain("a.test"));
  auto fields = sign(*signer::make(many), "From: x@a.test\r\n\r\n", {"a.test"});
  EXPECT_EQ(std::ranges::count(fields, ';') / 8, static_cast<std::ptrdiff_t>(signatures_max));
}

TEST(signer, refuses_what_it_cannot_sign_soundly) {
  auto by = *signer::make({for_domain("a.test")});
  EXPECT_THAT(sign(by, "To: b\r\n\r\n", {"a.test"}), HasSubstr("error: no From"));
  EXPECT_THAT(sign(by, "\r\nFrom: x@a.test\r\n\r\n", {"a.test"}), HasSubstr("error: no From"))
      << "that From is in the body";
  EXPECT_THAT(sign(by, "", {"a.test"}), HasSubstr("error"));
  EXPECT_THAT(sign(by, "From: x\r\nX: " + std::string(header_size_max, 'x') + "\r\n\r\n", {"a.test"}),
              HasSubstr("longer than"));
  std::string many = "From: x\r\n";
  for (std::size_t i = 0; i < signed_fields_max; ++i)
    many += "Cc: c\r\n";
  EXPECT_THAT(sign(by, many + "\r\n", {"a.test"}), HasSubstr("more than"));
}

TEST(signer, signs_nothing_without_settings) {
  EXPECT_TRUE(signer{}.empty());
  EXPECT_EQ(sign(signer{}, "From: x\r\n\r\n", {"a.test"}), "");
}

TEST(signer, names_the_setting_that_is_wrong) {
  auto where = [](signer_settings bad) {
    auto made = signer::make({for_domain("fine.test"), std::move(bad)});
    return made ? "fine" : made.error().where;
  };
  EXPECT_EQ(where(for_domain("a b")), "dkim[1].domain");
  EXPECT_EQ(where(for_domain("a.test;x")), "dkim[1].domain");
  EXPECT_EQ(where(for_domain("")), "dkim[1].domain");
  EXPECT_EQ(where(for_domain("a.test", {}, "s\r\nX: y")), "dkim[1].selector");
  EXPECT_EQ(where(for_domain("a.test", {"**"})), "dkim[1].applies_to");
  auto named = for_domain("a.test");
  named.fields = {"Sub:ject"};
  EXPECT_EQ(where(named), "dkim[1].headers");
}

TEST(signer, takes_linear_time_for_hostile_headers) {
  auto by = *signer::make({for_domain("a.test")});
  std::string folded = "From: x@a.test\r\nSubject: a";
  while (folded.size() < header_size_max - 100)
    folded += "\r\n ";
  std::string colons = "From: x@a.test\r\n";
  while (colons.size() < header_size_max - 100)
    colons += ":\r\n";
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(sign(by, folded + "\r\n\r\nbody", {"a.test"}), HasSubstr("b="));
    EXPECT_THAT(sign(by, colons + "\r\nbody", {"a.test"}), HasSubstr("b="));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds{10});
}

} // namespace
} // namespace hedwig::dkim
