// SPDX-License-Identifier: Apache-2.0
// The filter provider "milter": asks milters, each over its own connection.
//
// The provider does not block: header fields and bodies are only gathered, on the caller's stack, and what talks to a
// milter runs on the host's workers. A milter's conversation is a strict dialogue with waits inside, so a thread of
// its own for as long as it lasts is what it takes; gathering costs no hop a field.
#include <hedwig/filter.hpp>
#include <hedwig/services.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "conversation.hpp"
#include "settings.hpp"

namespace {

using namespace hedwig::filter_milter;
using hedwig::sdk::verdict;
using hedwig::sdk::view;

/// Counts the ops that are owed, so that stop() is completed after them.
class owed_ops {
public:
  void add() {
    std::lock_guard lock{mutex_};
    ++count_;
  }
  void remove() {
    std::unique_lock lock{mutex_};
    if (--count_ > 0 || !then_)
      return;
    auto then = std::exchange(then_, {});
    lock.unlock();
    then();
  }
  /// Calls `then` once none is owed: here, or where the last one was completed.
  void when_none(std::function<void()> then) {
    add();
    {
      std::lock_guard lock{mutex_};
      then_ = std::move(then);
    }
    remove();
  }

private:
  std::mutex mutex_;
  std::size_t count_ = 0;
  std::function<void()> then_;
};

/// What all sessions of one instance share.
struct instance_state {
  instance_state(hedwig::sdk::host h, const hedwig::sdk::config& config)
    : host{h}, workers{h}, failures{h, HEDWIG_METRIC_COUNTER, "failures", "",
                                    "Milters that failed, were late or broke the protocol."} {
    auto settings = read_settings(config);
    hostname = settings.hostname;
    for (auto& one : settings.milters)
      milters.push_back(std::make_shared<milter>(std::move(one), h, stop, settings.max_body));
  }

  hedwig::sdk::host host;
  hedwig::sdk::workers workers;
  hedwig::sdk::metric failures;
  stop_signal stop;
  owed_ops owed;
  std::string hostname;
  std::vector<std::shared_ptr<milter>> milters;
};

class milter_filter {
public:
  static void validate(const hedwig::sdk::config& config) { static_cast<void>(read_settings(config)); }

  milter_filter(hedwig::sdk::host host, const hedwig::sdk::config& config)
    : shared_{std::make_shared<instance_state>(host, config)} {}

  void start() { shared_->stop.open(); }
  void stop(hedwig::sdk::op op) {
    shared_->stop.raise();
    auto last = std::make_shared<hedwig::sdk::op>(std::move(op));
    shared_->owed.when_none([shared = shared_.get(), last] {
      for (auto& one : shared->milters)
        one->pool.clear();
      last->finish();
    });
  }

  class session {
  public:
    session(milter_filter& owner, const hedwig_filter_session& shown) : shared_{owner.shared_} {
      for (auto& one : shared_->milters)
        asked_.emplace_back(one);
      learn(shown);
    }
    session(session&&) = default;
    session& operator=(session&&) = delete;
    /// Says goodbye to the milters, on a worker.
    ~session() {
      if (std::ranges::none_of(asked_, [](auto& one) { return one.talk.connected(); }))
        return;
      auto left = std::make_shared<std::vector<party>>(std::move(asked_));
      static_cast<void>(shared_->workers.submit([left, keep = shared_] {
        for (auto& one : *left)
          one.talk.leave();
      }));
    }

    verdict on_helo(const hedwig_filter_session& shown) { return learn(shown); }
    verdict on_auth(const hedwig_filter_session& shown) { return learn(shown); }

    void on_mail(const hedwig_filter_address& sender, hedwig::sdk::op op) {
      on_reset();
      run(std::move(op), [this, &sender](hedwig_time_ns deadline) {
        return ask_all([&](conversation& talk) { return talk.mail(who_, sender, deadline); });
      });
    }

    void on_recipient(const hedwig_filter_address& to, hedwig::sdk::op op) {
      run(std::move(op), [this, &to](hedwig_time_ns deadline) {
        return ask_all([&](conversation& talk) { return talk.recipient(to, deadline); });
      });
    }

    verdict on_header(const hedwig_filter_header& header) {
      message_.add_received_field(header);
      return {};
    }

    verdict on_body(const hedwig_slice& part) {
      message_.add_body(held_slice{shared_->host, part});
      return {};
    }

    void on_end(const hedwig_filter_message& shown, hedwig::sdk::op op) {
      run(std::move(op), [this, &shown](hedwig_time_ns deadline) {
        std::optional<verdict> quarantined;
        auto out = ask_all([&](conversation& talk) {
          auto one = talk.message(shown, message_, deadline);
          if (one.action == HEDWIG_QUARANTINE)
            quarantined = std::exchange(one, {});
          return one;
        });
        if (out.action != HEDWIG_CONTINUE)
          return out;
        if (quarantined)
          out = std::move(*quarantined);
        out.edits = message_.edits();
        return out;
      });
    }

    void on_reset() noexcept {
      message_ = {};
      for (auto& one : asked_) {
        one.failed = false;
        one.talk.reset();
      }
    }

  private:
    struct party {
      explicit party(std::shared_ptr<milter> with) : talk{std::move(with)} {}
      conversation talk;
      bool failed = false; ///< in this transaction
    };

    verdict learn(const hedwig_filter_session& shown) {
      who_ = {shared_->hostname,
              std::string{view(shown.listener)},
              std::string{view(shown.peer)},
              std::string{view(shown.peer_name)},
              std::string{view(shown.local)},
              std::string{view(shown.helo)},
              std::string{view(shown.identity)},
              std::string{view(shown.tls_version)},
              std::string{view(shown.tls_cipher)}};
      return {};
    }

    /// Completes `op` with what `work` gives on a worker. What hooks are shown lives until then, and so does this
    /// session: nothing of it may be touched after the completion.
    template <class Work>
    void run(hedwig::sdk::op op, Work work) {
      auto owed = std::make_shared<hedwig::sdk::op>(std::move(op));
      auto shared = shared_;
      shared->owed.add();
      auto taken = shared->workers.submit([owed, work, shared] {
        try {
          auto answer = work(owed->deadline());
          hedwig::sdk::finish(*owed, answer);
        } catch (...) {
          owed->fail_with_current_exception();
        }
        shared->owed.remove();
      });
      if (taken)
        return;
      owed->fail(HEDWIG_E_BUSY, "too many messages wait for a worker; see workers and max_pending");
      shared->owed.remove();
    }

    /// Asks one milter after the other, until one of them does not want to go on.
    template <class Ask>
    verdict ask_all(Ask ask) {
      for (auto& one : asked_) {
        verdict answer = one.failed ? of_failure(one) : guarded(one, ask);
        if (answer.action != HEDWIG_CONTINUE)
          return answer;
      }
      return {};
    }

    template <class Ask>
    verdict guarded(party& one, Ask& ask) {
      try {
        return ask(one.talk);
      } catch (const milter_failure& e) {
        shared_->failures.add();
        shared_->host.log(HEDWIG_LOG_WARN, "a milter failed; its on_failure decides",
                          {{"milter", one.talk.with().settings.name}, {"reason", e.what()}});
        one.talk.drop();
        one.failed = true;
        return of_failure(one);
      }
    }

    static verdict of_failure(const party& one) {
      switch (one.talk.with().settings.on_failure) {
      case failure_policy::accept:
        return {};
      case failure_policy::reject:
        return {HEDWIG_REJECT, "5.3.0", "Message content could not be checked", {}, 550};
      default:
        return {HEDWIG_TEMPFAIL, "4.3.0", "Message content could not be checked, try again later", {}, 451};
      }
    }

    std::shared_ptr<instance_state> shared_;
    std::vector<party> asked_;
    client_facts who_;
    message_model message_;
  };

private:
  std::shared_ptr<instance_state> shared_;
};

constexpr auto provider = hedwig::sdk::filter_provider<milter_filter>::make(
    "milter", "Asks milters: spam filters, virus scanners, signers.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.filter-milter", "1.0.0", "Hedwig", "Apache-2.0", &provider)
