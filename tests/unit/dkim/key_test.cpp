// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/key.hpp"
#include "tests/unit/dkim/rfc8463_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

namespace hedwig::dkim {
namespace {

using testing::HasSubstr;

std::string message_of(result<signing_key> key) { return key ? "it loads" : key.error().message; }

struct key_file : testing::Test {
  void write(std::string_view text) { std::ofstream{path} << text; }
  ~key_file() override { std::filesystem::remove(path); }

  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("hedwig_key_" + std::to_string(::getpid()) + ".pem");
  std::vector<std::string> warnings;
};

TEST_F(key_file, of_the_rfc_has_the_public_key_of_the_rfc) {
  write(rfc8463_pem);
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  auto key = signing_key::load(path, warnings);
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(key->type(), key_type::ed25519);
  EXPECT_EQ(key->public_base64(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  EXPECT_EQ(dns_value(*key), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
  EXPECT_TRUE(warnings.empty());
}

TEST_F(key_file, that_everybody_can_read_loads_with_a_warning) {
  write(rfc8463_pem);
  std::filesystem::permissions(path, std::filesystem::perms{0644});
  ASSERT_TRUE(signing_key::load(path, warnings));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("chmod o-r"));
}

TEST_F(key_file, that_is_not_there_says_so_with_its_path) {
  auto key = signing_key::load(path, warnings);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().status, HEDWIG_E_CONFIG);
  EXPECT_EQ(key.error().where, path.string());
  EXPECT_THAT(key.error().message, HasSubstr("no such file"));
}

TEST_F(key_file, that_is_no_file_is_refused) {
  EXPECT_THAT(message_of(signing_key::load(std::filesystem::temp_directory_path(), warnings)),
              HasSubstr("not a regular file"));
  EXPECT_THAT(message_of(signing_key::load("/dev/zero", warnings)), HasSubstr("not a regular file"));
}

TEST_F(key_file, that_is_too_large_is_not_read) {
  write(std::string(key_file_size_max + 1, 'x'));
  EXPECT_THAT(message_of(signing_key::load(path, warnings)), HasSubstr("larger than"));
}

TEST(signing_key, says_why_a_text_is_no_key) {
  std::vector<std::string> warnings;
  auto why = [&](std::string_view pem) { return message_of(signing_key::from_pem(pem, "x", warnings)); };
  EXPECT_THAT(why(""), HasSubstr("no PEM key found"));
  EXPECT_THAT(why("-----BEGIN CERTIFICATE-----\n"), HasSubstr("a certificate, not a private key"));
  EXPECT_THAT(why("-----BEGIN PUBLIC KEY-----\n"), HasSubstr("public key"));
  EXPECT_THAT(why("-----BEGIN EC PRIVATE KEY-----\n"), HasSubstr("\"EC PRIVATE KEY\" is not"));
  EXPECT_THAT(why("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), HasSubstr("passphrase"));
  EXPECT_THAT(why("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"), HasSubstr("passphrase"));
  EXPECT_THAT(why("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), HasSubstr("cannot be read"));
  EXPECT_THAT(why("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"),
              HasSubstr("cannot be read"));
}

TEST(signing_key, of_less_than_2048_bits_loads_with_a_warning) {
  std::vector<std::string> warnings;
  EXPECT_TRUE(signing_key::from_pem(signing_key::generate(key_type::rsa, 1024).private_pem(), "k", warnings));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("2048"));
}

TEST(signing_key, made_new_is_rsa_2048_in_pkcs8_and_comes_back_the_same) {
  auto made = signing_key::generate(key_type::rsa);
  EXPECT_EQ(made.bits(), 2048u);
  EXPECT_THAT(made.private_pem(), testing::StartsWith("-----BEGIN PRIVATE KEY-----"));
  std::vector<std::string> warnings;
  auto read = signing_key::from_pem(made.private_pem(), "k", warnings);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->public_base64(), made.public_base64());
  EXPECT_TRUE(warnings.empty());
}

TEST(signing_key, record_is_split_into_strings_that_dns_takes) {
  auto key = signing_key::generate(key_type::rsa);
  auto record = dns_record(key, "s1", "example.com");
  EXPECT_THAT(record, testing::StartsWith("s1._domainkey.example.com. IN TXT ( \"v=DKIM1; k=rsa; p="));
  std::string joined;
  for (std::size_t at = record.find('"'); at != std::string::npos; at = record.find('"', at + 1)) {
    auto end = record.find('"', at + 1);
    EXPECT_LE(end - at - 1, 255u);
    joined += record.substr(at + 1, end - at - 1);
    at = end;
  }
  EXPECT_EQ(joined, dns_value(key));
}

TEST(signing_key, serves_several_threads_at_once) {
  auto key = signing_key::generate(key_type::ed25519);
  auto expected = *key.sign(std::string(32, 'h'));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n)
        wrong += key.sign(std::string(32, 'h')) != expected;
    });
  for (auto& one : threads)
    one.join();
  EXPECT_EQ(wrong, 0);
}

TEST(key_type, has_two_names) {
  EXPECT_EQ(parse_key_type("rsa"), key_type::rsa);
  EXPECT_EQ(parse_key_type("ed25519"), key_type::ed25519);
  EXPECT_THAT(parse_key_type("dsa").error().message, HasSubstr("rsa or ed25519"));
}

} // namespace
} // namespace hedwig::dkim
