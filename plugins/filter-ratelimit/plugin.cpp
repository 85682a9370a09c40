// SPDX-License-Identifier: Apache-2.0
// The filter provider "ratelimit": how many messages and recipients a client, user, sender or recipient may have.
#include <hedwig/filter.hpp>
#include <hedwig/reloadable.hpp>
#include <hedwig/services.hpp>

#include <memory>
#include <optional>
#include <unordered_set>

#include "limits.hpp"

namespace {

using namespace hedwig::filter_ratelimit;
using hedwig::sdk::verdict;
using hedwig::sdk::view;

class ratelimit_filter {
  struct shared;

public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_limits(config)); }

  ratelimit_filter(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : shared_{std::make_unique<shared>(host, config)} {}

  void start() { shared_->table.emplace(shared_->buckets); }
  void reload(const hedwig::sdk::config& config) { shared_->limits.replace(read_limits(config)); }

  /// A transaction keeps the limits it began with.
  class session {
  public:
    session(ratelimit_filter& owner, const hedwig_filter_session& shown) : shared_{*owner.shared_} { learn(shown); }

    verdict on_helo(const hedwig_filter_session& shown) { return learn(shown); }
    verdict on_auth(const hedwig_filter_session& shown) { return learn(shown); }

    /// Refuses early what could not go on; nothing is taken before there is a recipient.
    verdict on_mail(const hedwig_filter_address& sender) {
      on_reset();
      limits_ = shared_.limits.current();
      who_.address = view(sender.address);
      exempt_ = is_exempt(*limits_, who_);
      for (auto& one : limits_->limits) {
        if (exempt_ || one.by_recipient())
          continue;
        auto value = counted_value(one, who_, {});
        if (!value)
          continue;
        for (auto kind : {token::message, token::recipient})
          if (auto& at = rate_of(one, kind); at.limits())
            if (auto wait = shared_.table->wait(shared_.key(one, *value), kind, at, 1, shared_.host.steady()); wait > 0)
              return refuse(one, kind, wait);
      }
      return {};
    }

    verdict on_recipient(const hedwig_filter_address& recipient) {
      if (!limits_ || exempt_)
        return {};
      std::vector<taken> all;
      for (auto& one : limits_->limits)
        if (auto wait = take(one, view(recipient.address), all); wait.duration > 0) {
          for (auto& back : all)
            shared_.table->give_back(back.key, back.kind, *back.at, 1);
          return refuse(one, wait.kind, wait.duration);
        }
      for (auto& one : all)
        if (one.kind == token::message)
          counted_.insert(one.key.low);
      return {};
    }

    void on_reset() noexcept {
      limits_.reset();
      counted_.clear();
    }

  private:
    struct taken {
      bucket_key key;
      token kind;
      const rate* at;
    };
    struct waiting {
      token kind;
      time_ns duration;
    };

    static const rate& rate_of(const limit& of, token kind) {
      return kind == token::message ? of.messages : of.recipients;
    }

    verdict learn(const hedwig_filter_session& shown) {
      who_.client = client_address::parse(view(shown.peer));
      who_.user = view(shown.identity);
      who_.groups.clear();
      for (auto& one : hedwig::sdk::groups_of(shown))
        who_.groups.insert(lower(view(one)));
      who_.listener = view(shown.listener);
      return {};
    }

    /// Takes what one limit asks for: a recipient, and a message where this bucket has not counted this one yet.
    waiting take(const limit& one, std::string_view recipient, std::vector<taken>& all) {
      auto value = counted_value(one, who_, recipient);
      if (!value)
        return {};
      auto key = shared_.key(one, *value);
      for (auto kind : {token::message, token::recipient}) {
        auto& at = rate_of(one, kind);
        if (!at.limits() || (kind == token::message && counted_.contains(key.low)))
          continue;
        if (auto wait = shared_.table->take(key, kind, at, 1, shared_.host.steady()); wait > 0)
          return {kind, wait};
        all.push_back({key, kind, &at});
      }
      return {};
    }

    verdict refuse(const limit& at, token kind, time_ns wait) {
      shared_.refused.add();
      shared_.evicted.set(static_cast<double>(shared_.table->evicted()));
      shared_.host.log(HEDWIG_LOG_INFO, "a limit is reached",
                       {{"limit", at.name},
                        {"of", kind == token::message ? "messages" : "recipients"},
                        {"user", who_.user},
                        {"sender", who_.address}});
      return {HEDWIG_TEMPFAIL, "4.7.1", refusal(at, kind, wait), {}, 450};
    }

    shared& shared_;
    std::shared_ptr<const limit_set> limits_;
    sender_facts who_;
    bool exempt_ = false;
    std::unordered_set<std::uint64_t> counted_; ///< buckets that have counted this message
  };

private:
  struct shared {
    shared(hedwig::sdk::host h, const hedwig::sdk::config& config)
      : host{h}, refused{h, HEDWIG_METRIC_COUNTER, "refused", "", "Messages and recipients put off by a limit."},
        evicted{h, HEDWIG_METRIC_GAUGE, "evicted", "", "Counts dropped for want of room since the start."},
        buckets{static_cast<std::size_t>(config.integer("max_buckets"))}, limits{read_limits(config)} {}

    bucket_key key(const limit& one, std::string_view value) const {
      return table->key(static_cast<std::size_t>(one.by), one.name, value);
    }

    hedwig::sdk::host host;
    hedwig::sdk::metric refused;
    hedwig::sdk::metric evicted;
    std::size_t buckets;
    std::optional<bucket_table> table; ///< from start on
    hedwig::sdk::reloadable<const limit_set> limits;
  };

  std::unique_ptr<shared> shared_;
};

constexpr auto provider = hedwig::sdk::filter_provider<ratelimit_filter>::make(
    "ratelimit", "Limits messages and recipients by client, user, sender and recipient.", &schema,
    HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.filter-ratelimit", "1.0.0", "Hedwig", "Apache-2.0", &provider)
