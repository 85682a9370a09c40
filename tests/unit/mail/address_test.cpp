// SPDX-License-Identifier: Apache-2.0
#include "runtime/mail/address.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace hedwig::mail {
namespace {

using namespace std::string_literals;

struct good_address {
  std::string text, local_part, domain, canonical, key;
};

class good : public testing::TestWithParam<good_address> {};

TEST_P(good, address_is_taken_apart_and_kept_as_given) {
  auto& want = GetParam();
  auto got = address::parse(want.text);
  ASSERT_TRUE(got) << want.text << ": " << to_string_view(got.error());
  EXPECT_EQ(got->text(), want.text);
  EXPECT_EQ(got->local_part(), want.local_part);
  EXPECT_EQ(got->domain(), want.domain);
  EXPECT_EQ(got->canonical_local_part(), want.canonical);
  EXPECT_EQ(got->domain_key(), want.key);
}

INSTANTIATE_TEST_SUITE_P(
    all, good,
    testing::Values(good_address{"a@b", "a", "b", "a", "b"}, //
                    good_address{"Bob@Example.COM", "Bob", "Example.COM", "Bob", "example.com"},
                    good_address{"a.b.c@d-e.f", "a.b.c", "d-e.f", "a.b.c", "d-e.f"},
                    good_address{"!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x", "!#$%&'*+-/=?^_`{|}~", "x"},
                    good_address{"user%inner.example@outer.example", "user%inner.example", "outer.example",
                                 "user%inner.example", "outer.example"},
                    good_address{"inner.example!user@outer.example", "inner.example!user", "outer.example",
                                 "inner.example!user", "outer.example"},
                    good_address{"\"a@b\"@c", "\"a@b\"", "c", "a@b", "c"},
                    good_address{"\"a b\"@c", "\"a b\"", "c", "a b", "c"},
                    good_address{"\"a\\\"b\\\\\"@c", "\"a\\\"b\\\\\"", "c", "a\"b\\", "c"},
                    good_address{"\"plain\"@c", "\"plain\"", "c", "plain", "c"},
                    good_address{"\"\"@c", "\"\"", "c", "", "c"},
                    good_address{"a@1.2.3.4", "a", "1.2.3.4", "a", "1.2.3.4"},
                    good_address{"a@[192.0.2.1]", "a", "[192.0.2.1]", "a", "[192.0.2.1]"},
                    good_address{"a@[IPv6:2001:DB8:0:0::1]", "a", "[IPv6:2001:DB8:0:0::1]", "a", "[ipv6:2001:db8::1]"},
                    good_address{"a@[ipv6:::1]", "a", "[ipv6:::1]", "a", "[ipv6:::1]"},
                    good_address{"a@xn--bcher-kva.example", "a", "xn--bcher-kva.example", "a", "xn--bcher-kva.example"},
                    good_address{"j\xC3\xBCrgen@b\xC3\xBC"
                                 "cher.example",
                                 "j\xC3\xBCrgen",
                                 "b\xC3\xBC"
                                 "cher.example",
                                 "j\xC3\xBCrgen", "xn--bcher-kva.example"},
                    good_address{"a@B\xC3\xBC"
                                 "CHER.Example",
                                 "a",
                                 "B\xC3\xBC"
                                 "CHER.Example",
                                 "a", "xn--bcher-kva.example"},
                    good_address{std::string(64, 'a') + "@b", std::string(64, 'a'), "b", std::string(64, 'a'), "b"},
                    good_address{"a@" + std::string(63, 'b'), "a", std::string(63, 'b'), "a", std::string(63, 'b')}));

struct bad_address {
  std::string text;
  address_fault fault;
};

class bad : public testing::TestWithParam<bad_address> {};

TEST_P(bad, address_is_refused_for_what_it_is) {
  auto got = address::parse(GetParam().text);
  ASSERT_FALSE(got) << GetParam().text;
  EXPECT_EQ(to_string_view(got.error()), to_string_view(GetParam().fault)) << GetParam().text;
}

using enum address_fault;
INSTANTIATE_TEST_SUITE_P(
    all, bad,
    testing::Values(
        bad_address{"", syntax}, bad_address{"a", syntax}, bad_address{"a@", bad_domain},
        bad_address{"@b", source_route}, bad_address{"@a,@b:c@d", source_route}, bad_address{"a@b@c", syntax},
        bad_address{".a@b", syntax}, bad_address{"a.@b", syntax}, bad_address{"a..b@c", syntax},
        bad_address{"a b@c", syntax}, bad_address{"a@b c", syntax}, bad_address{"a@b.", bad_domain},
        bad_address{"a@.b", bad_domain}, bad_address{"a@b..c", bad_domain}, bad_address{"a@-b", bad_domain},
        bad_address{"a@b-", bad_domain}, bad_address{"a@b-.c", bad_domain}, bad_address{"a@b_c", syntax},
        bad_address{"<a@b>", syntax}, bad_address{"a@b>", syntax}, bad_address{"a\x01@b", syntax},
        bad_address{"a\0@b"s, syntax}, bad_address{"a@b\0c"s, syntax}, bad_address{"a\r\n@b", syntax},
        bad_address{"a@b\r\n", syntax}, bad_address{"\"a\r\nb\"@c", syntax}, bad_address{"\"a\\\nb\"@c", syntax},
        bad_address{"\"a\0\"@c"s, syntax}, bad_address{"\"a@b", syntax}, bad_address{"\"a\\\"@b", syntax},
        bad_address{"\"a\"b@c", syntax}, bad_address{"a\"b\"@c", syntax}, bad_address{"\"a\".b@c", syntax},
        bad_address{"a,b@c", syntax}, bad_address{"a;b@c", syntax}, bad_address{"a(b)@c", syntax},
        bad_address{"a\\@b@c", syntax}, bad_address{"a@[1.2.3]", bad_domain}, bad_address{"a@[1.2.3.256]", bad_domain},
        bad_address{"a@[01.2.3.4]", bad_domain}, bad_address{"a@[1.2.3.4", bad_domain}, bad_address{"a@[]", bad_domain},
        bad_address{"a@[IPv6:]", bad_domain}, bad_address{"a@[IPv6:1::2::3]", bad_domain},
        bad_address{"a@[::1]", bad_domain}, bad_address{"a@[x400:foo]", bad_domain},
        bad_address{"a@[1.2.3.4]b", syntax}, bad_address{"a@[1.2.3.4\0]"s, bad_domain},
        bad_address{"a\xEF\xBC\xA0"
                    "b@c",
                    syntax}, // full-width @
        bad_address{"a@b\xEF\xBC\xA0"
                    "c",
                    bad_domain},
        bad_address{"a\xEF\xBC\xA0"
                    "b",
                    syntax},
        bad_address{"a@B\xC3\x9C"
                    "CHER.example",
                    bad_domain},                           // no U-label: capital
        bad_address{"a@\xE2\x91\xA0.example", bad_domain}, // circled one
        bad_address{"a@b\xC3\xBC\xEF\xBC\xA0"
                    "c",
                    bad_domain},
        bad_address{"a@b\xE3\x80\x82"
                    "c",
                    bad_domain}, // ideographic full stop
        bad_address{"a@b\xEF\xBC\x8E"
                    "c",
                    bad_domain}, // full-width full stop
        bad_address{"a\xC0\xAE@b", syntax}, bad_address{"a\xFF@b", syntax}, bad_address{"a@\xFF", bad_domain},
        bad_address{"a\xC2\x85@b", syntax}, bad_address{"a\xE2\x80\xA8@b", syntax},
        bad_address{std::string(65, 'a') + "@b", local_part_too_long},
        bad_address{"a@" + std::string(64, 'b'), domain_too_long},
        bad_address{"a@" + std::string(256, 'b'), domain_too_long},
        bad_address{std::string(64, 'a') + "@" + std::string(63, 'b') + "." + std::string(63, 'c') + "." +
                        std::string(62, 'd'),
                    too_long}));

TEST(address, take_stops_behind_the_address) {
  std::string_view rest = "a@b.c> SIZE=1";
  auto got = address::take(rest);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text(), "a@b.c");
  EXPECT_EQ(rest, "> SIZE=1");
}

TEST(address, null_path_and_bare_postmaster_have_no_domain) {
  EXPECT_TRUE(address{}.empty());
  EXPECT_EQ(address{}.domain(), "");
  auto postmaster = address::postmaster("PostMaster");
  EXPECT_FALSE(postmaster.empty());
  EXPECT_EQ(postmaster.text(), "PostMaster");
  EXPECT_EQ(postmaster.local_part(), "PostMaster");
  EXPECT_EQ(postmaster.domain(), "");
  EXPECT_EQ(postmaster.domain_key(), "");
}

TEST(address, needs_smtputf8_tells_ascii_apart) {
  EXPECT_FALSE(address::parse("a@b")->needs_smtputf8());
  EXPECT_TRUE(address::parse("\xC3\xA9@b")->needs_smtputf8());
  EXPECT_TRUE(address::parse("a@\xC3\xA9.example")->needs_smtputf8());
}

TEST(address, hostile_lengths_cost_linear_time) {
  auto begin = std::clock();
  for (auto& piece : {"a."s, "\"\\\""s, "a@"s, "@a,"s, "["s, "\xC3\xA9"s}) {
    std::string text;
    while (text.size() < 1'000'000)
      text += piece;
    EXPECT_FALSE(address::parse(text)) << piece;
  }
  EXPECT_LT(std::clock() - begin, 2 * CLOCKS_PER_SEC);
}

TEST(domain_key, is_the_same_for_the_same_domain) {
  EXPECT_EQ(domain_key("EXAMPLE.com"), "example.com");
  EXPECT_EQ(domain_key("b\xC3\xBC"
                       "cher.example"),
            domain_key("XN--BCHER-KVA.example"));
  EXPECT_FALSE(domain_key("*.example"));
  EXPECT_FALSE(domain_key(""));
  EXPECT_FALSE(domain_key("[]"));
}

TEST(utf8, knows_overlong_forms_and_surrogates) {
  for (auto* text : {"", "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (auto* text : {"\x80", "\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                     "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82",
                     "\xE2\x82"
                     "a",
                     "a\xFF"})
    EXPECT_FALSE(is_utf8(text)) << text;
}

} // namespace
} // namespace hedwig::mail
