// SPDX-License-Identifier: Apache-2.0
// hedwig/dns.hpp - C++20 face of "hedwig.host.dns/1".
#pragma once

#include <map>
#include <mutex>
#include <span>

#include "dns.h"
#include "plugin.hpp"

namespace hedwig::sdk {

/// A look-up's answer as a call-back sees it; borrowed until the call-back returns.
class dns_answer {
public:
  explicit dns_answer(const hedwig_dns_answer* raw) noexcept : raw_{raw} {}
  const hedwig_dns_answer* raw() const noexcept { return raw_; }

  /// HEDWIG_DNS_FOUND and so on.
  int outcome() const noexcept { return raw_->outcome; }
  bool found() const noexcept { return raw_->outcome == HEDWIG_DNS_FOUND; }
  /// The DNS says that there is no such record: NXDOMAIN or no data.
  bool absent() const noexcept { return raw_->outcome == HEDWIG_DNS_NXDOMAIN || raw_->outcome == HEDWIG_DNS_NO_DATA; }
  /// Nobody could tell now; outcomes that this header does not know are temporary, too.
  bool temporary() const noexcept { return !found() && !absent(); }
  bool secure() const noexcept { return (raw_->flags & HEDWIG_DNS_SECURE) != 0; }
  std::chrono::nanoseconds ttl() const noexcept { return std::chrono::nanoseconds{raw_->ttl}; }
  std::span<const hedwig_dns_record> records() const noexcept { return {raw_->records, raw_->record_count}; }
  std::string_view why() const noexcept { return view(raw_->why); }

private:
  const hedwig_dns_answer* raw_;
};

/// The host's resolver. Owns the call-backs under way: keep one in the provider, for its whole life. Every function is
/// legal on every thread.
class dns {
public:
  /// Called on one of the host's event threads: it must not block. What it throws is logged and dropped.
  using callback = std::function<void(const dns_answer&)>;

  explicit dns(const host& h) : shared_{std::make_shared<shared>(h)} {}
  dns(dns&&) = default;
  dns& operator=(dns&&) = delete;
  /// Forgets what is under way: after stop() the host calls nobody back.
  ~dns() {
    if (shared_)
      shared_->cancel_all();
  }

  /// False where the host has no resolver: ask() throws then.
  bool available() const noexcept { return shared_->api != nullptr; }

  /// Asks for the records of `type` (HEDWIG_DNS_A and so on) at `name`; for HEDWIG_DNS_PTR `name` may be an address.
  /// `done` is called once, never inside ask(). `deadline` is on the steady clock; 0: the host's own limit. Throws
  /// failure: BUSY when too many are under way, INVALID for a name that the DNS could not carry, UNAVAILABLE.
  void ask(int type, std::string_view name, callback done, hedwig_time_ns deadline = 0) {
    if (!available())
      throw failure{HEDWIG_E_UNAVAILABLE, "the host has no resolver"};
    auto [number, ticket] = shared_->add(std::move(done), shared_);
    const hedwig_dns_request request{sizeof request, type, str(name), deadline, &answered, ticket};
    std::uint64_t id = 0;
    auto status = shared_->api->look_up(shared_->owner.raw(), &request, &id);
    if (status == HEDWIG_OK)
      return shared_->named(number, id); // unless it was answered meanwhile
    shared_->take(number);
    throw failure{status, status == HEDWIG_E_BUSY      ? "too many look-ups are under way"
                          : status == HEDWIG_E_INVALID ? "not a name that the DNS could carry"
                                                       : "the host takes no look-ups"};
  }

private:
  struct shared;
  struct ticket {
    std::shared_ptr<shared> owner;
    std::uint64_t number;
  };
  struct question {
    callback done;
    std::unique_ptr<ticket> context; // what the host hands back
    std::uint64_t id = 0;            // the host's; 0: not known yet
  };
  using questions = std::map<std::uint64_t, question>;

  struct shared {
    explicit shared(const host& h) : owner{h}, api{h.service<hedwig_host_dns>(HEDWIG_HOST_DNS)} {}

    std::pair<std::uint64_t, ticket*> add(callback done, std::shared_ptr<shared> self) {
      std::lock_guard guard{mutex};
      auto number = ++last;
      auto made = std::make_unique<ticket>(std::move(self), number);
      auto* context = made.get();
      open.emplace(number, question{std::move(done), std::move(made)});
      return {number, context};
    }
    void named(std::uint64_t number, std::uint64_t id) {
      std::lock_guard guard{mutex};
      if (auto at = open.find(number); at != open.end())
        at->second.id = id;
    }
    questions::node_type take(std::uint64_t number) {
      std::lock_guard guard{mutex};
      return open.extract(number);
    }
    void cancel_all() noexcept {
      questions left;
      {
        std::lock_guard guard{mutex};
        left.swap(open);
      }
      for (auto& [number, one] : left)
        if (one.id != 0)
          api->cancel(owner.raw(), one.id);
    }

    host owner;
    const hedwig_host_dns* api;
    std::mutex mutex;
    questions open;
    std::uint64_t last = 0;
  };

  static void answered(void* context, const hedwig_dns_answer* raw) noexcept {
    auto mine = *static_cast<ticket*>(context);
    auto taken = mine.owner->take(mine.number);
    if (taken.empty())
      return;
    try {
      taken.mapped().done(dns_answer{raw});
    } catch (const std::exception& e) {
      mine.owner->owner.log(HEDWIG_LOG_ERROR, "a DNS answer could not be handled", {{"reason", e.what()}});
    } catch (...) {
      mine.owner->owner.log(HEDWIG_LOG_ERROR, "a DNS answer could not be handled");
    }
  }

  std::shared_ptr<shared> shared_;
};

} // namespace hedwig::sdk
