// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/dns.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "runtime/dns/resolver.hpp"

namespace hedwig::plugin {

class host;
class instance;
class instance_host;

/// The DNS look-ups of plugins that are under way. Answers are handed over on the host's own thread. Every function is
/// callable from every thread.
class lookup_desk {
public:
  explicit lookup_desk(host& services) : services_{services} {}
  lookup_desk(const lookup_desk&) = delete;
  lookup_desk& operator=(const lookup_desk&) = delete;

  /// See host::use_resolver(). The resolver goes before this does.
  void use(dns::resolver* resolver);
  [[nodiscard]] bool available() const;

  /// What hedwig_host_dns.look_up() promises; `owner` is the instance of `asker`, alive while it is called back.
  [[nodiscard]] hedwig_status open(const instance_host& asker, std::weak_ptr<instance> owner,
                                   const hedwig_dns_request& request, std::uint64_t* id);
  /// True: the asker will not be called back and is not being called.
  bool cancel(const instance_host& asker, std::uint64_t id);
  /// Cancels what `asker` has under way.
  void drop_all(const instance_host& asker);

private:
  struct lookup {
    const instance_host* asker;
    std::weak_ptr<instance> owner;
    void (*answered)(void* context, const hedwig_dns_answer* answer);
    void* context;
    dns::record_type type;
    std::uint64_t timer = 0; // of its deadline
  };
  using lookups = std::map<std::uint64_t, lookup>;

  /// 0 when `asker` has too many.
  [[nodiscard]] std::uint64_t enter(lookup made);
  void set_deadline(std::uint64_t id, const instance_host& asker, hedwig_time_ns deadline);
  lookups::node_type leave(std::uint64_t id, const instance_host* asker = nullptr);
  void finish(std::uint64_t id, const dns::record_answer& answer);

  host& services_;
  mutable std::shared_mutex resolver_mutex_; // held while the resolver is asked
  dns::resolver* resolver_ = nullptr;
  std::mutex mutex_;
  lookups open_;
  std::map<const instance_host*, std::size_t> counts_;
  std::uint64_t last_id_ = 0;
};

} // namespace hedwig::plugin
