// SPDX-License-Identifier: Apache-2.0
// hedwig/dns.hpp - C++20 face of "hedwig.host.dns/1".
#pragma once

#include <span>

#include "dns.h"
#include "plugin.hpp"
#include "services.hpp"

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

  explicit dns(const host& h) : api_{h.service<hedwig_host_dns>(HEDWIG_HOST_DNS)}, calls_{std::make_shared<calls>(h)} {}
  dns(dns&&) = default;
  dns& operator=(dns&&) = delete;
  /// Forgets what is under way: after stop() the host calls nobody back.
  ~dns() {
    if (calls_)
      calls_->clear([this](std::uint64_t id) { api_->cancel(calls_->owner.raw(), id); });
  }

  /// False where the host has no resolver: ask() throws then.
  bool available() const noexcept { return api_ != nullptr; }

  /// Asks for the records of `type` (HEDWIG_DNS_A and so on) at `name`; for HEDWIG_DNS_PTR `name` may be an address.
  /// `done` is called once, never inside ask(). `deadline` is on the steady clock; 0: the host's own limit. Throws
  /// failure: BUSY when too many are under way, INVALID for a name that the DNS could not carry, UNAVAILABLE.
  /// Returns an id for cancel().
  std::uint64_t ask(int type, std::string_view name, callback done, hedwig_time_ns deadline = 0) {
    if (!available())
      throw failure{HEDWIG_E_UNAVAILABLE, "the host has no resolver"};
    auto* ticket = calls_->add(std::move(done));
    auto number = ticket->number;
    const hedwig_dns_request request{sizeof request, type, str(name), deadline, &answered, ticket};
    std::uint64_t id = 0;
    auto status = api_->look_up(calls_->owner.raw(), &request, &id);
    if (status == HEDWIG_OK) {
      calls_->named(number, id);
      return id;
    }
    static_cast<void>(calls_->take(number));
    throw failure{status, status == HEDWIG_E_BUSY      ? "too many look-ups are under way"
                          : status == HEDWIG_E_INVALID ? "not a name that the DNS could carry"
                                                       : "the host takes no look-ups"};
  }
  /// True: the call-back will not be called and is not running.
  bool cancel(std::uint64_t id) {
    if (!available() || id == 0 || api_->cancel(calls_->owner.raw(), id) == 0)
      return false;
    static_cast<void>(calls_->take_named(id));
    return true;
  }

private:
  using calls = detail::owed_calls<callback>;
  static void answered(void* context, const hedwig_dns_answer* raw) noexcept {
    auto mine = *static_cast<calls::ticket*>(context);
    if (auto done = mine.owner->take(mine.number))
      detail::run_logged(mine.owner->owner, "a DNS answer could not be handled", [&] { done(dns_answer{raw}); });
  }
  const hedwig_host_dns* api_;
  std::shared_ptr<calls> calls_;
};

} // namespace hedwig::sdk
