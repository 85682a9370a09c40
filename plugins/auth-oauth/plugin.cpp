// SPDX-License-Identifier: Apache-2.0
// The auth provider "oauth": bearer tokens, by their signature or by asking who made them. It blocks where it asks, so
// the host calls it on worker threads.
#include <hedwig/auth.hpp>
#include <hedwig/reloadable.hpp>
#include <hedwig/services.hpp>

#include <algorithm>
#include <memory>

#include "claims.hpp"
#include "introspection.hpp"
#include "jwt.hpp"
#include "key_source.hpp"
#include "token_cache.hpp"

namespace {

using hedwig::sdk::failure;
using hedwig::sdk::op;
using hedwig::sdk::view;
using namespace hedwig::auth_oauth;
using nanoseconds = std::chrono::nanoseconds;

constexpr std::size_t token_octets_max = 8192;

struct oauth_counters {
  explicit oauth_counters(const hedwig::sdk::host& host)
    : hits{hedwig::sdk::counter(host, "cache_hits_total", "", "Tokens that were known to be good.")},
      good{hedwig::sdk::counter(host, "tokens_accepted_total", "", "Tokens found good, those in the cache left out.")},
      bad{hedwig::sdk::counter(host, "tokens_refused_total", "", "Tokens found bad.")},
      reads{hedwig::sdk::counter(host, "key_reads_total", "", "Times the keys were read.")},
      failures{hedwig::sdk::counter(host, "key_read_failures_total", "", "Times the keys could not be read.")},
      questions{hedwig::sdk::counter(host, "introspections_total", "", "Times the server was asked about a token.")} {}
  hedwig::sdk::metric hits, good, bad, reads, failures, questions;
};

/// Settings and what was made of them; a reload makes new ones, and calls under way end with the old.
struct in_force {
  in_force(hedwig::sdk::host host, settings read, const oauth_counters& count)
    : from{std::make_shared<const settings>(std::move(read))}, https{*from}, cache{from->cache_entries} {
    if (!from->introspects())
      keys = std::make_shared<key_source>(host, from,
                                          [count](bool done) { done ? count.reads.add() : count.failures.add(); });
  }
  ~in_force() {
    if (keys)
      keys->end();
  }
  std::shared_ptr<const settings> from;
  std::shared_ptr<key_source> keys; // null: the server is asked
  https_client https;
  token_cache cache;
};

class oauth_users {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_settings(config)); }

  oauth_users(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : host_{host}, count_{host}, now_{make(read_settings(config))} {}

  void start() { begin(*current()); }
  void stop() { now_.replace(nullptr); }
  void reload(const hedwig::sdk::config& config) {
    auto next = make(read_settings(config));
    if (auto before = now_.current(); before && before->keys && next->keys)
      next->keys->inherit(*before->keys);
    begin(*next);
    now_.replace(std::move(next));
  }

  void verify_token(const hedwig_auth_request& request, op done) {
    try {
      hedwig::sdk::finish(done, *verify(request, done.deadline()));
    } catch (...) {
      done.fail_with_current_exception();
    }
  }

private:
  std::shared_ptr<in_force> make(settings read) const {
    return std::make_shared<in_force>(host_, std::move(read), count_);
  }

  static void begin(in_force& next) {
    if (next.keys)
      next.keys->begin();
  }

  std::shared_ptr<const hedwig::sdk::identity> verify(const hedwig_auth_request& request, hedwig_time_ns deadline) {
    auto token = view(request.secret);
    auto login = view(request.username);
    if (token.empty() || token.size() > token_octets_max)
      throw failure{HEDWIG_E_DENIED, "this can be no token"};
    auto state = current();
    auto generation = generation_of(*state);
    auto digest = state->cache.digest_of(login, token);
    auto who = state->cache.find(digest, generation, host_.wall());
    if (who)
      count_.hits.add();
    else
      who = look(*state, token, login, digest, deadline);
    // A token opens the account of its own user.
    if (auto other = view(request.authorize_as); !other.empty() && other != who->name)
      throw failure{HEDWIG_E_DENIED, "may not act for another user"};
    return who;
  }

  static std::uint64_t generation_of(const in_force& state) {
    auto keys = state.keys ? state.keys->current() : nullptr;
    return keys ? keys->generation : 0;
  }

  std::shared_ptr<const hedwig::sdk::identity> look(in_force& state, std::string_view token, std::string_view login,
                                                    const std::string& digest, hedwig_time_ns deadline) {
    try {
      auto claims = state.keys ? claims_of(state, token, deadline) : ask(state, token, deadline);
      auto now = host_.wall();
      auto judged = judge(*state.from, claims, login, now);
      auto who = std::make_shared<const hedwig::sdk::identity>(std::move(judged.who));
      count_.good.add();
      if (auto keep = state.from->cache_time.count(); keep > 0)
        state.cache.remember(digest, generation_of(state), who, std::min(judged.until, now + keep));
      return who;
    } catch (const failure& why) {
      if (why.status() == HEDWIG_E_DENIED || why.status() == HEDWIG_E_NOT_FOUND) {
        count_.bad.add();
        host_.log(HEDWIG_LOG_INFO, "a token is refused", {{"user", login}, {"reason", why.what()}});
      }
      throw;
    }
  }

  nanoseconds patience(hedwig_time_ns deadline) const {
    return nanoseconds{std::max<hedwig_time_ns>(deadline - host_.steady(), 1)};
  }

  json_object ask(in_force& state, std::string_view token, hedwig_time_ns deadline) {
    count_.questions.add();
    return introspect(state.https, *state.from, token, patience(deadline));
  }

  json_object claims_of(in_force& state, std::string_view token, hedwig_time_ns deadline) {
    auto apart = take_apart(token);
    // Not believed yet; but one that is another issuer's by its own word is not ours to refuse.
    if (apart.claims.text("iss") != state.from->issuer)
      throw failure{HEDWIG_E_NOT_FOUND, "its issuer (iss) is another one"};
    auto how = signing_of(apart, state.from->algorithms);
    auto verdict = check(state, apart, how);
    if (verdict == signature_verdict::unknown_key) {
      auto sure = state.keys->look_again(patience(deadline));
      verdict = check(state, apart, how);
      if (verdict == signature_verdict::unknown_key && !sure)
        // Not UNAVAILABLE: made-up tokens would open the breaker for those whose keys are known.
        throw failure{HEDWIG_E_BUSY, "the key of a token is not known, and the keys cannot be read"};
    }
    if (verdict == signature_verdict::unknown_key)
      throw failure{HEDWIG_E_DENIED, "no key of the issuer has signed it"};
    if (verdict == signature_verdict::wrong)
      throw failure{HEDWIG_E_DENIED, "its signature is wrong"};
    return std::move(apart.claims);
  }

  static signature_verdict check(const in_force& state, const unverified_token& token, const signing& how) {
    auto keys = state.keys->current();
    return keys ? check_signature(token, how, keys->keys) : signature_verdict::unknown_key;
  }

  /// What is in force; a call may still come from a worker's queue while the provider stops.
  std::shared_ptr<in_force> current() const {
    if (auto now = now_.current())
      return now;
    throw failure{HEDWIG_E_UNAVAILABLE, "the provider stops"};
  }

  hedwig::sdk::host host_;
  oauth_counters count_;
  hedwig::sdk::reloadable<in_force> now_;
};

constexpr auto provider = hedwig::sdk::auth_provider<oauth_users>::make(
    "oauth", "Bearer tokens: JWT against keys of a file or a server, or by introspection.", &schema,
    HEDWIG_PROVIDER_BLOCKING | HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.auth-oauth", "1.0.0", "Hedwig", "Apache-2.0", &provider)
