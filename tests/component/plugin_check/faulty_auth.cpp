// SPDX-License-Identifier: Apache-2.0
// An auth provider that knows ada and bob, and has one fault, named by its setting `fault`, or none:
// hedwig-plugin-check must find it.
#include <hedwig/auth.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::key;
using hedwig::sdk::view;

constexpr auto fault_key = key(HEDWIG_CONFIG_STRING, "fault", "What is wrong with this provider.", 0, "none");
constexpr auto reachable_key = key(HEDWIG_CONFIG_BOOLEAN, "reachable", "Whether its backend can be asked.", 0, "true");
constexpr const hedwig_config_key* keys[] = {&fault_key, &reachable_key};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

struct person {
  std::string_view name, password, token, salt, stored_key, server_key;
};

// 4096 rounds.
constexpr person people[] = {
    {"ada",
     "in wonderland",
     "ada's token",
     "salt of ada",
     {"\xcb\xdd\xb5\x41\x0d\x4a\xea\x0d\x52\x8a\xfe\x5f\xf4\xc8\xc2\x76\x1f\x10\xeb\xc9\xf8\x4a\xeb\x5a\x79\x7d\x52\x30"
      "\x74\x3f\xc2\xdf",
      32},
     {"\x48\x4d\xd2\xc7\xea\x67\x6e\xb3\x31\xe3\x9e\x4f\x92\x3f\x36\x5e\xdb\x4b\xc0\xf2\x4b\xa0\x8d\xc9\xd9\x7d\x35\xac"
      "\x98\xec\x71\x05",
      32}},
    {"bob",
     "lovelace",
     "bob's token",
     "salt of bob",
     {"\x54\xed\x86\xa3\x20\xcc\x9c\xa9\x08\xbb\x5c\xd6\x0b\xcd\x92\x0d\x7e\x98\x3b\x7d\xea\xa7\xed\xda\x6e\xc7\xd4\x4f"
      "\xd0\xf0\x10\xde",
      32},
     {"\xed\x8c\x86\xc5\xf2\x51\x65\xe2\x21\x3d\x6e\x6e\x8f\x82\x9c\xae\xa2\xd0\x08\xf4\xd8\xe0\x2d\xa1\x53\x73\x8c\x0e"
      "\xe2\xf7\xb0\x65",
      32}}};

/// Completes what it was given 3 seconds later, or when it ends.
class held_back {
public:
  ~held_back() {
    {
      std::lock_guard guard{mutex_};
      ending_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable())
      thread_.join();
  }
  void hold(std::function<void()> completion) {
    std::lock_guard guard{mutex_};
    held_.push_back(std::move(completion));
    if (!thread_.joinable())
      thread_ = std::thread{[this] { wait(); }};
  }

private:
  void wait() {
    std::unique_lock guard{mutex_};
    while (!ending_) {
      changed_.wait_for(guard, std::chrono::seconds{3}, [this] { return ending_; });
      for (auto& one : held_)
        one();
      held_.clear();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> held_;
  bool ending_ = false;
  std::thread thread_;
};

class faulty_users {
public:
  faulty_users(hedwig::sdk::host h, const hedwig::sdk::config& config)
    : host_{h}, fault_{config.string("fault")}, reachable_{config.boolean("reachable")},
      later_{std::make_unique<held_back>()}, state_{std::make_unique<counts>()} {}

  void stop() {
    if (!has("stops-early"))
      later_.reset();
  }

  void verify_password(const hedwig_auth_request& request, hedwig::sdk::op op) {
    answer(request, std::move(op), [this, &request] { return by_password(request); });
  }
  void verify_token(const hedwig_auth_request& request, hedwig::sdk::op op) {
    answer(request, std::move(op), [this, &request] {
      auto& who = find(request);
      auto token = view(request.secret);
      if (token != who.token && !(has("token-prefixes") && !token.empty() && who.token.starts_with(token)))
        throw failure{HEDWIG_E_DENIED, "wrong token"};
      return identity_of(who);
    });
  }
  void lookup(const hedwig_auth_request& request, hedwig::sdk::op op) {
    answer(request, std::move(op), [this, &request] {
      if (has("looks-up-anybody") && reachable_ && request.username.size > 0 &&
          view(request.username).starts_with("hedwig"))
        return hedwig::sdk::identity{.name = std::string{view(request.username)}};
      return identity_of(find(request));
    });
  }
  void fetch_scram(const hedwig_auth_request& request, hedwig::sdk::op op) {
    answer(request, std::move(op), [this, &request] {
      auto name = view(request.username);
      if (has("scram-for-anybody") && reachable_ && name.starts_with("hedwig"))
        return hedwig::sdk::scram_secret{
            4096, "salt", std::string(32, 'x'), std::string(32, 'y'), {.name = std::string{name}}};
      auto& who = find(request);
      hedwig::sdk::scram_secret made{4096, std::string{who.salt}, std::string{who.stored_key},
                                     std::string{who.server_key}, identity_of(who)};
      if (has("scram-few-iterations"))
        made.iterations = 1000;
      if (has("scram-no-salt"))
        made.salt.clear();
      if (has("scram-wrong-key"))
        made.stored_key[7] = static_cast<char>(made.stored_key[7] ^ 1);
      if (has("scram-long-key"))
        made.server_key += "x";
      return made;
    });
  }

private:
  struct counts {
    std::atomic<int> calls{0};
    std::atomic<int> yes{0};
  };

  bool has(std::string_view name) const { return fault_ == name; }

  const person& find(const hedwig_auth_request& request) const {
    auto name = view(request.username);
    if (!reachable_)
      throw failure{has("outage-denies") ? HEDWIG_E_DENIED : HEDWIG_E_UNAVAILABLE, "the backend is down"};
    if (has("dies-of-length") && (name.size() > 65536 || request.secret.size > 65536))
      std::abort();
    if (has("stops-at-nul"))
      name = name.substr(0, name.find('\0'));
    for (auto& one : people)
      if (one.name == name || (has("expands-stars") && name.ends_with("*") && one.name.starts_with(name.substr(0, 1))))
        return one;
    throw failure{HEDWIG_E_NOT_FOUND, "no such user"};
  }

  hedwig::sdk::identity by_password(const hedwig_auth_request& request) const {
    auto secret = view(request.secret);
    if (has("unknown-is-temporary") && view(request.username).starts_with("hedwig"))
      throw failure{HEDWIG_E_IO, "no such user"};
    auto& who = find(request);
    if (has("logs-secrets"))
      host_.log(HEDWIG_LOG_DEBUG, "a login", {{"with", secret}});
    auto right = secret == who.password ||
                 (has("compares-prefixes") && secret.size() > 3 && who.password.starts_with(secret)) ||
                 (has("blank-is-right") && secret.empty());
    if (!right && has("quotes-secrets"))
      throw failure{HEDWIG_E_DENIED, "wrong password: " + std::string{secret}};
    if (!right)
      throw failure{has("wrong-is-temporary") ? HEDWIG_E_UNAVAILABLE : HEDWIG_E_DENIED, "wrong password"};
    auto other = view(request.authorize_as);
    if (!other.empty() && other != who.name && !has("ignores-authorize-as"))
      throw failure{HEDWIG_E_DENIED, "may not act for another user"};
    return identity_of(who);
  }

  hedwig::sdk::identity identity_of(const person& who) const {
    auto name = who.name;
    if (has("mixes-answers") && ++state_->yes % 41 == 0)
      name = name == "ada" ? "bob" : "ada";
    if (has("same-identity"))
      name = "somebody";
    hedwig::sdk::identity made{
        .name = std::string{name}, .groups = {"staff"}, .senders = {std::string{name} + "@example.org"}};
    if (has("no-identity"))
      made.name.clear();
    if (has("empty-group"))
      made.groups.emplace_back();
    if (has("bad-senders"))
      made.senders = {"example.org"};
    if (has("negative-cache"))
      made.cache_for = std::chrono::seconds{-1};
    return made;
  }

  template <class Find>
  void answer(const hedwig_auth_request& request, hedwig::sdk::op op, Find find_answer) {
    if (has("forgets-cancelled") && op.cancelled()) {
      op.release();
      return;
    }
    if (has("never-completes") && view(request.username).starts_with("hedwig")) {
      op.release();
      return;
    }
    auto call = ++state_->calls;
    if (has("stops-early") && call > 150 && call <= 160) {
      auto kept = std::make_shared<hedwig::sdk::op>(std::move(op));
      return later_->hold([this, kept, find_answer, &request] { complete(request, *kept, find_answer); });
    }
    complete(request, op, find_answer);
  }

  template <class Find>
  void complete(const hedwig_auth_request& request, hedwig::sdk::op& op, Find find_answer) {
    auto* raw = op.raw();
    const auto* name = request.username.data;
    auto is_named = request.username.size > 0;
    try {
      finish(op, find_answer());
    } catch (const failure& e) {
      op.fail(has("unknown-status") && e.status() == HEDWIG_E_NOT_FOUND ? 7 : e.status(), e.what());
      if (has("completes-twice")) {
        const hedwig_completion again{raw, e.status(), 0, nullptr, nullptr};
        host_.raw()->complete(host_.raw(), &again, 1);
      }
    }
    if (has("looks-later") && is_named)
      seen_ = static_cast<unsigned char>(*name);
  }

  hedwig::sdk::host host_;
  std::string fault_;
  bool reachable_;
  std::unique_ptr<held_back> later_;
  std::unique_ptr<counts> state_;
  static inline volatile unsigned char seen_ = 0;
};

constexpr auto provider =
    hedwig::sdk::auth_provider<faulty_users>::make("faulty", "Two users, and a fault for the asking.", &schema, 0);

constexpr hedwig_auth no_questions{sizeof no_questions, 0, nullptr, nullptr, nullptr, nullptr};
constexpr auto silent = hedwig::sdk::detail::life<faulty_users>::make(HEDWIG_AUTH, &no_questions, "silent",
                                                                      "Answers no question.", &schema, 0);

} // namespace

HEDWIG_PLUGIN("org.hedwig.test.auth-faulty", "1.0", "Hedwig", "Apache-2.0", &provider, &silent)
