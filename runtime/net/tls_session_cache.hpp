// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/tls.hpp"

#include <openssl/ssl.h>

#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace hedwig::net {

struct ssl_session_free {
  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
};
using ssl_session_ptr = std::unique_ptr<SSL_SESSION, ssl_session_free>;

/// Sessions of servers, to be taken up by the next connection to the same one. Bounded; the one unused longest goes
/// first. Used from the threads of all loops.
class tls_context::session_cache {
public:
  explicit session_cache(std::size_t size_max) : size_max_{size_max} {}

  void put(const std::string& server, ssl_session_ptr session) {
    std::lock_guard guard{mutex_};
    if (size_max_ == 0)
      return;
    drop(server);
    sessions_.emplace_front(server, std::move(session));
    index_[server] = sessions_.begin();
    if (sessions_.size() > size_max_) {
      index_.erase(sessions_.back().first);
      sessions_.pop_back();
    }
  }

  /// Takes it out: a ticket of TLS 1.3 is used once (RFC 8446, appendix C.4), and the handshake brings the next.
  [[nodiscard]] ssl_session_ptr take(const std::string& server) {
    std::lock_guard guard{mutex_};
    auto at = index_.find(server);
    if (at == index_.end())
      return nullptr;
    auto session = std::move(at->second->second);
    drop(server);
    return session;
  }

private:
  using entry = std::pair<std::string, ssl_session_ptr>;

  void drop(const std::string& server) {
    auto at = index_.find(server);
    if (at == index_.end())
      return;
    sessions_.erase(at->second);
    index_.erase(at);
  }

  std::size_t size_max_;
  std::mutex mutex_;
  std::list<entry> sessions_;
  std::unordered_map<std::string, std::list<entry>::iterator> index_;
};

} // namespace hedwig::net
