// SPDX-License-Identifier: Apache-2.0
// What dialogues cannot show of SASL: channel binding, and users that nobody knows.
#include "runtime/smtp/sasl_scram.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace hedwig::smtp {
namespace {

std::string hmac_of(std::string_view key, std::string_view text) {
  std::string out(32, '\0');
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr);
  return out;
}

std::string sha256_of(std::string_view text) {
  std::string out(32, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

/// A client of SCRAM-SHA-256-PLUS whose salted password is "key".
class scram_client {
public:
  explicit scram_client(std::string header) : header_{std::move(header)} {}
  [[nodiscard]] std::string first() const { return header_ + "n=user,r=abc"; }
  [[nodiscard]] static scram_keys keys() {
    return {4096, "salt", sha256_of(hmac_of("key", "Client Key")), hmac_of("key", "Server Key")};
  }
  [[nodiscard]] std::string final(const std::string& server_first, std::string_view binding) const {
    auto without_proof = "c=" + encode_base64(header_ + std::string{binding}) + ",r=abcdef";
    auto key = hmac_of("key", "Client Key");
    auto signature = hmac_of(sha256_of(key), "n=user,r=abc," + server_first + "," + without_proof);
    for (std::size_t i = 0; i < key.size(); ++i)
      key[i] = static_cast<char>(key[i] ^ signature[i]);
    return without_proof + ",p=" + encode_base64(key);
  }

private:
  std::string header_;
};

class channel_binding : public testing::Test {
protected:
  sasl_step run(std::string_view server_side, std::string_view client_side) {
    auto asked = exchange_->step(client_.first());
    EXPECT_EQ(std::get<credentials>(asked).channel_binding, "tls-exporter");
    auto found = exchange_->keys_found(scram_client::keys(), server_side);
    auto* challenge = std::get_if<sasl_challenge>(&found);
    return challenge == nullptr ? std::move(found) : exchange_->step(client_.final(challenge->text, client_side));
  }

  scram_client client_{"p=tls-exporter,,"};
  std::unique_ptr<sasl_exchange> exchange_ =
      make_sasl_exchange("scram-sha-256-plus", {true, [] { return std::string{"def"}; }});
};

TEST_F(channel_binding, of_the_same_connection_lets_the_user_in) {
  EXPECT_TRUE(std::holds_alternative<sasl_challenge>(run("bytes", "bytes")));
  EXPECT_EQ(std::get<sasl_proved>(exchange_->step("")).username, "user");
}

TEST_F(channel_binding, of_another_connection_is_refused) {
  EXPECT_EQ(std::get<sasl_refused>(run("bytes", "other bytes")).why, "the channel binding is of another connection");
}

TEST_F(channel_binding, left_out_is_refused) { EXPECT_TRUE(std::holds_alternative<sasl_refused>(run("bytes", ""))); }

TEST_F(channel_binding, that_the_connection_does_not_have_is_refused) {
  EXPECT_TRUE(std::holds_alternative<sasl_refused>(run("", "")));
}

TEST(keys_of_nobody, are_the_same_for_a_name_and_others_for_another) {
  scram_pretender pretender{"secret"};
  auto one = pretender.keys_for("alice");
  EXPECT_EQ(one.salt, pretender.keys_for("alice").salt);
  EXPECT_NE(one.salt, pretender.keys_for("bob").salt);
  EXPECT_NE(one.salt, scram_pretender{"another secret"}.keys_for("alice").salt);
  EXPECT_EQ(scram_pretender{}.keys_for("alice").salt, scram_pretender{}.keys_for("alice").salt);
  EXPECT_EQ(one.salt.size(), 16U);
  EXPECT_EQ(one.iterations, 4096U);
  EXPECT_TRUE(one.of_nobody);
}

TEST(keys_of_nobody, look_like_those_of_the_first_real_user) {
  scram_pretender pretender{"secret"};
  pretender.learn({.iterations = 10'000, .salt = "twenty-four octets long."});
  pretender.learn({.iterations = 5'000, .salt = "short"});
  EXPECT_EQ(pretender.keys_for("alice").iterations, 10'000U);
  EXPECT_EQ(pretender.keys_for("alice").salt.size(), 24U);
}

TEST(keys_of_nobody, let_nobody_in_whatever_he_proves) {
  auto keys = scram_client::keys();
  keys.of_nobody = true;
  scram_client client{"n,,"};
  auto exchange = make_sasl_exchange("SCRAM-SHA-256", {false, [] { return std::string{"def"}; }});
  static_cast<void>(exchange->step(client.first()));
  auto challenge = std::get<sasl_challenge>(exchange->keys_found(keys, ""));
  EXPECT_TRUE(std::holds_alternative<sasl_refused>(exchange->step(client.final(challenge.text, ""))));
}

TEST(mechanisms, make_a_new_nonce_each_time) {
  auto challenge = [] {
    auto exchange = make_sasl_exchange("SCRAM-SHA-256");
    static_cast<void>(exchange->step("n,,n=user,r=abc"));
    return std::get<sasl_challenge>(exchange->keys_found(scram_client::keys(), "")).text;
  };
  EXPECT_NE(challenge(), challenge());
}

TEST(mechanisms, are_known_by_their_question) {
  EXPECT_EQ(question_of_mechanism("PLAIN"), sasl_question::password);
  EXPECT_EQ(question_of_mechanism("XOAUTH2"), sasl_question::token);
  EXPECT_EQ(question_of_mechanism("SCRAM-SHA-256-PLUS"), sasl_question::scram);
  EXPECT_FALSE(question_of_mechanism("CRAM-MD5"));
}

} // namespace
} // namespace hedwig::smtp
