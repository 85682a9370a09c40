// SPDX-License-Identifier: Apache-2.0
// The parts of auth-oauth by the examples of the RFCs, and by what must not get through.
#include <hedwig/auth.hpp>

#include <gtest/gtest.h>

#include "plugins/auth-oauth/claims.hpp"
#include "plugins/auth-oauth/jwt.hpp"
#include "plugins/auth-oauth/text.hpp"
#include "plugins/auth-oauth/token_cache.hpp"

namespace hedwig::auth_oauth {
namespace {

const std::vector<algorithm> all_algorithms{algorithm::rs256, algorithm::ps256, algorithm::es256, algorithm::eddsa};

std::string set_of(const std::string& key) { return R"({"keys":[)" + key + "]}"; }

/// RFC 7515 appendix A.3.
const std::string es256_key = set_of(R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
  "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
const std::string es256_token =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515 appendix A.2.
const std::string rs256_key = set_of(
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR)"
    R"(T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV)"
    R"(MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})");
const std::string rs256_token =
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

signature_verdict verdict_of(const std::string& token, const std::string& keys) {
  auto apart = take_apart(token);
  return check_signature(apart, signing_of(apart, all_algorithms), read_keys(keys));
}

TEST(signatures, of_the_examples_of_rfc_7515_are_right) {
  EXPECT_EQ(verdict_of(es256_token, es256_key), signature_verdict::right);
  EXPECT_EQ(verdict_of(rs256_token, rs256_key), signature_verdict::right);
  EXPECT_EQ(take_apart(rs256_token).claims.text("iss"), "joe");
}

TEST(signatures, are_those_of_one_key_and_one_algorithm) {
  EXPECT_EQ(verdict_of(es256_token, rs256_key), signature_verdict::unknown_key);
  auto changed = es256_token;
  changed[changed.size() - 9] ^= 1;
  EXPECT_EQ(verdict_of(changed, es256_key), signature_verdict::unknown_key) << "no kid, so another key may fit";
  EXPECT_EQ(verdict_of("eyJhbGciOiJQUzI1NiJ9" + rs256_token.substr(rs256_token.find('.')), rs256_key),
            signature_verdict::unknown_key);
}

TEST(key_sets, hold_no_weak_or_broken_keys) {
  for (auto& key : {R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", R"({"kty":"oct","k":"c2VjcmV0"})",
                    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                        "y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})",
                    R"({"kty":"EC","crv":"P-521","x":"AA","y":"AA"})", R"({"kty":"OKP","crv":"Ed25519","x":"AA"})",
                    "{}", "[]", "null", ""})
    EXPECT_THROW(static_cast<void>(read_keys(set_of(key))), sdk::failure) << key;
}

TEST(base64url, is_strict) {
  EXPECT_EQ(decode_base64url("_-8"), "\xFF\xEF");
  EXPECT_EQ(decode_base64url(""), "");
  for (auto* text : {"A", "AB", "AA=", "AA==", "A A", "+/8", "AAAAA"})
    EXPECT_FALSE(decode_base64url(text)) << text;
}

class claims_of_a_token : public testing::Test {
protected:
  claims_of_a_token() {
    from_.issuer = "i";
    from_.audience = {"a"};
    from_.user_claim = "sub";
    from_.leeway = std::chrono::seconds{30};
  }
  [[nodiscard]] std::string outcome(const std::string& more, std::int64_t seconds = 1000) const {
    auto claims = json_object::parse(R"({"iss":"i","aud":"a","sub":"u",)" + more + "}");
    try {
      return judge(from_, claims.value(), {}, seconds * 1'000'000'000).who.name;
    } catch (const sdk::failure& why) {
      EXPECT_EQ(why.status(), HEDWIG_E_DENIED);
      return why.what();
    }
  }
  settings from_;
};

TEST_F(claims_of_a_token, are_good_until_the_end_and_the_leeway) {
  EXPECT_EQ(outcome(R"("exp":971)"), "u");
  EXPECT_EQ(outcome(R"("exp":970)"), "it has expired");
  EXPECT_EQ(outcome(R"("exp":1e300)"), "u");
  EXPECT_EQ(outcome(R"("exp":2000.5,"nbf":1030)"), "u");
  EXPECT_EQ(outcome(R"("exp":2000,"nbf":1031)"), "it is not valid yet (nbf)");
}

TEST_F(claims_of_a_token, have_the_types_that_they_must_have) {
  EXPECT_EQ(outcome(R"("exp":"2000")"), "exp is no date");
  EXPECT_EQ(outcome(R"("exp":true)"), "exp is no date");
  EXPECT_EQ(outcome(R"("exp":-1)"), "exp is no date");
  EXPECT_EQ(outcome(R"("exp":null)"), "exp is no date");
  EXPECT_EQ(outcome(R"("exp":2000,"nbf":{})"), "nbf is no date");
  EXPECT_EQ(outcome(R"("nbf":1)"), "it has no end (exp)");
}

TEST_F(claims_of_a_token, name_scopes_in_each_of_the_ways_that_issuers_have) {
  from_.required_scopes = {"mail.send"};
  for (auto* scope :
       {R"("scope":"x mail.send")", R"("scp":"mail.send")", R"("scp":["x","mail.send"])", R"("scope":["mail.send"])"})
    EXPECT_EQ(outcome(std::string{R"("exp":2000,)"} + scope), "u") << scope;
  EXPECT_EQ(outcome(R"("exp":2000,"scope":"mail.sends,mail.send")"), "it lacks the scope mail.send");
}

TEST(token_cache, forgets_by_time_by_generation_and_for_want_of_room) {
  token_cache cache{2};
  auto who = std::make_shared<const sdk::identity>(sdk::identity{.name = "u"});
  auto one = cache.digest_of("u", "one");
  EXPECT_NE(one, cache.digest_of("v", "one"));
  cache.remember(one, 1, who, 100);
  EXPECT_EQ(cache.find(one, 1, 99), who);
  EXPECT_EQ(cache.find(one, 1, 100), nullptr);
  cache.remember(one, 1, who, 100);
  EXPECT_EQ(cache.find(one, 2, 99), nullptr);
  cache.remember(one, 2, who, 100);
  cache.remember("two", 2, who, 100);
  EXPECT_EQ(cache.find(one, 2, 99), who);
  cache.remember("three", 2, who, 100);
  EXPECT_EQ(cache.find("two", 2, 99), nullptr);
  EXPECT_EQ(cache.find(one, 2, 99), who);
  EXPECT_EQ(cache.find("three", 2, 99), who);
}

} // namespace
} // namespace hedwig::auth_oauth
