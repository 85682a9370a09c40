// SPDX-License-Identifier: Apache-2.0
#include "runtime/dkim/key.hpp"

#include <botan/auto_rng.h>
#include <botan/base64.h>
#include <botan/ber_dec.h>
#include <botan/data_src.h>
#include <botan/ed25519.h>
#include <botan/pem.h>
#include <botan/pk_keys.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <botan/x509_key.h>
#include <fmt/format.h>

#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hedwig::dkim {

namespace {

constexpr std::size_t rsa_bits_max = 8192;
constexpr std::string_view what_to_write =
    "DKIM keys are PEM files with an unencrypted RSA (PKCS#8 or PKCS#1) or Ed25519 "
    "(PKCS#8) private key";

std::unexpected<error> refused(std::string_view where, std::string message) {
  return std::unexpected{error{HEDWIG_E_CONFIG, std::move(message), std::string{where}}};
}

// "RSA PRIVATE KEY" of "-----BEGIN RSA PRIVATE KEY-----"; empty when there is none.
std::string_view pem_label(std::string_view pem) {
  constexpr std::string_view begin = "-----BEGIN ";
  auto start = pem.find(begin);
  if (start == std::string_view::npos)
    return {};
  pem.remove_prefix(start + begin.size());
  auto end = pem.find("-----");
  return end == std::string_view::npos ? std::string_view{} : pem.substr(0, end);
}

std::unique_ptr<Botan::Private_Key> read_pkcs8(std::string_view pem) {
  Botan::DataSource_Memory source{std::string{pem}};
  return Botan::PKCS8::load_key(source);
}

std::unique_ptr<Botan::Private_Key> read_pkcs1(std::string_view pem) {
  std::string label;
  auto der = Botan::PEM_Code::decode(std::string{pem}, label);
  Botan::AlgorithmIdentifier rsa{"RSA", Botan::AlgorithmIdentifier::USE_NULL_PARAM};
  return std::make_unique<Botan::RSA_PrivateKey>(rsa, der);
}

std::string why_label_is_wrong(std::string_view label) {
  if (label.empty())
    return fmt::format("no PEM key found; {}", what_to_write);
  if (label == "ENCRYPTED PRIVATE KEY")
    return fmt::format("the key is encrypted with a passphrase; {}", what_to_write);
  if (label == "PUBLIC KEY" || label == "RSA PUBLIC KEY" || label == "CERTIFICATE")
    return fmt::format("holds a {}, not a private key", label == "CERTIFICATE" ? "certificate" : "public key");
  return fmt::format("\"{}\" is not a key DKIM can sign with; {}", label.substr(0, 64), what_to_write);
}

result<std::string> read_all(int descriptor, std::string_view path) {
  std::string text(key_file_size_max + 1, '\0');
  std::size_t used = 0;
  while (used < text.size()) {
    auto got = ::read(descriptor, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return refused(path, system_error(errno, "cannot read the key").message);
    if (got == 0)
      break;
    used += static_cast<std::size_t>(got);
  }
  if (used > key_file_size_max)
    return refused(path, fmt::format("larger than {} bytes: not a key file", key_file_size_max));
  text.resize(used);
  return text;
}

std::string why_open_failed(int os_errno) {
  switch (os_errno) {
  case ENOENT:
    return "no such file: make one with `hedwig dkim-generate`";
  case EACCES:
  case EPERM:
    return fmt::format("no permission to read the key as user id {}: make the file, and its folders, readable for the "
                       "user the relay runs as",
                       ::geteuid());
  default:
    return system_error(os_errno, "cannot open the key").message;
  }
}

class descriptor {
public:
  explicit descriptor(int number) noexcept : number_{number} {}
  ~descriptor() {
    if (number_ >= 0)
      ::close(number_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

private:
  int number_;
};

} // namespace

std::string_view to_string_view(key_type type) noexcept { return type == key_type::rsa ? "rsa" : "ed25519"; }

result<key_type> parse_key_type(std::string_view text) {
  if (text == "rsa")
    return key_type::rsa;
  if (text == "ed25519")
    return key_type::ed25519;
  return refused({}, fmt::format("\"{}\" is no DKIM key type: write rsa or ed25519", text));
}

/// The key, and signers that were made for it: making one costs more than an Ed25519 signature, and one may serve only
/// one thread at a time. There are never more than threads that signed at once.
struct signing_key::state {
  struct worker {
    Botan::AutoSeeded_RNG random;
    Botan::PK_Signer signer;
    explicit worker(const state& of)
      : signer{*of.key, random, of.type == key_type::rsa ? "EMSA3(Raw,SHA-256)" : "Pure"} {}
  };

  std::unique_ptr<Botan::Private_Key> key;
  key_type type = key_type::rsa;
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<worker>> idle;

  std::unique_ptr<worker> take() const {
    {
      std::lock_guard guard{mutex};
      if (!idle.empty()) {
        auto one = std::move(idle.back());
        idle.pop_back();
        return one;
      }
    }
    return std::make_unique<worker>(*this);
  }
  void give_back(std::unique_ptr<worker> one) const {
    std::lock_guard guard{mutex};
    idle.push_back(std::move(one));
  }
};

namespace {

// Empty when the key is one we sign with.
std::string why_key_is_wrong(const Botan::Private_Key& key) {
  if (key.algo_name() != "RSA" && key.algo_name() != "Ed25519")
    return fmt::format("is a {} key; {}", key.algo_name(), what_to_write);
  if (key.algo_name() == "RSA" && key.key_length() < rsa_bits_min)
    return fmt::format(
        "the RSA key has {} bits; receivers refuse less than {}: make one of {} with `hedwig dkim-generate`",
        key.key_length(), rsa_bits_min, rsa_bits_advised);
  if (key.algo_name() == "RSA" && key.key_length() > rsa_bits_max)
    return fmt::format("the RSA key has {} bits; receivers need not check more than 4096: make one of {}",
                       key.key_length(), rsa_bits_advised);
  Botan::AutoSeeded_RNG random;
  return key.check_key(random, false) ? "" : "the numbers of the key do not fit together: the file is damaged";
}

} // namespace

result<signing_key> signing_key::from_pem(std::string_view pem, std::string_view where,
                                          std::vector<std::string>& warnings) {
  auto label = pem_label(pem);
  if (label != "PRIVATE KEY" && label != "RSA PRIVATE KEY")
    return refused(where, why_label_is_wrong(label));
  if (pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos)
    return refused(where, why_label_is_wrong("ENCRYPTED PRIVATE KEY"));
  auto made = std::make_shared<state>();
  try {
    made->key = label == "PRIVATE KEY" ? read_pkcs8(pem) : read_pkcs1(pem);
    if (auto wrong = why_key_is_wrong(*made->key); !wrong.empty())
      return refused(where, std::move(wrong));
  } catch (const std::exception& failure) {
    return refused(where, fmt::format("the key cannot be read ({}); {}", failure.what(), what_to_write));
  }
  made->type = made->key->algo_name() == "RSA" ? key_type::rsa : key_type::ed25519;
  if (made->type == key_type::rsa && made->key->key_length() < rsa_bits_advised)
    warnings.push_back(
        fmt::format("{}: the RSA key has {} bits; {} are advised", where, made->key->key_length(), rsa_bits_advised));
  return signing_key{std::move(made)};
}

result<signing_key> signing_key::load(const std::filesystem::path& file, std::vector<std::string>& warnings) {
  auto path = file.string();
  // Without O_NONBLOCK a fifo in place of the key would hang the start.
  descriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (opened.number() < 0)
    return refused(path, why_open_failed(errno));
  struct stat facts {};
  if (::fstat(opened.number(), &facts) != 0 || !S_ISREG(facts.st_mode))
    return refused(path, "is not a regular file");
  auto pem = read_all(opened.number(), path);
  if (!pem)
    return std::unexpected{std::move(pem).error()};
  auto key = from_pem(*pem, path, warnings);
  if (key && (facts.st_mode & S_IROTH) != 0)
    warnings.push_back(fmt::format("{}: everybody on this machine can read the key: chmod o-r", path));
  return key;
}

signing_key signing_key::generate(key_type type, std::size_t rsa_bits) {
  auto made = std::make_shared<state>();
  Botan::AutoSeeded_RNG random;
  made->type = type;
  if (type == key_type::rsa)
    made->key = std::make_unique<Botan::RSA_PrivateKey>(random, rsa_bits);
  else
    made->key = std::make_unique<Botan::Ed25519_PrivateKey>(random);
  return signing_key{std::move(made)};
}

key_type signing_key::type() const noexcept { return state_->type; }
std::size_t signing_key::bits() const noexcept {
  return state_->type == key_type::rsa ? state_->key->key_length() : 256;
}
std::string signing_key::private_pem() const { return Botan::PKCS8::PEM_encode(*state_->key); }

std::string signing_key::public_base64() const {
  if (auto* ed25519 = dynamic_cast<const Botan::Ed25519_PublicKey*>(state_->key.get()))
    return Botan::base64_encode(ed25519->get_public_key());
  return Botan::base64_encode(state_->key->subject_public_key());
}

result<std::string> signing_key::sign(std::string_view sha256) const {
  try {
    auto one = state_->take();
    auto raw =
        one->signer.sign_message(reinterpret_cast<const std::uint8_t*>(sha256.data()), sha256.size(), one->random);
    state_->give_back(std::move(one));
    return std::string{raw.begin(), raw.end()};
  } catch (const std::exception& failure) {
    return std::unexpected{error{HEDWIG_E_INTERNAL, fmt::format("signing failed: {}", failure.what()), {}}};
  }
}

std::string dns_value(const signing_key& key) {
  return fmt::format("v=DKIM1; k={}; p={}", to_string_view(key.type()), key.public_base64());
}

std::string dns_record(const signing_key& key, std::string_view selector, std::string_view domain) {
  constexpr std::size_t string_max = 255;
  auto value = dns_value(key);
  auto out = fmt::format("{}._domainkey.{}. IN TXT (", selector, domain);
  for (std::size_t at = 0; at < value.size(); at += string_max)
    out += fmt::format(" \"{}\"", value.substr(at, string_max));
  return out + " )";
}

} // namespace hedwig::dkim
