// SPDX-License-Identifier: Apache-2.0
#include "app/certificate_watch.hpp"

#include "runtime/net/tls_tickets.hpp"
#include "runtime/telemetry/log.hpp"

#include <sys/stat.h>

namespace hedwig::app {

using telemetry::component;
using telemetry::level;

namespace {

constexpr auto expiry_look_interval = std::chrono::minutes{1};
constexpr auto expiry_told_again = std::chrono::hours{24};

std::array<std::uint64_t, 5> stamp_of(const std::string& file) {
  struct stat is {};
  if (::stat(file.c_str(), &is) != 0)
    return {};
  auto nanoseconds = [](const timespec& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
  };
  return {is.st_dev, is.st_ino, static_cast<std::uint64_t>(is.st_size), nanoseconds(is.st_mtim),
          nanoseconds(is.st_ctim)};
}

} // namespace

void certificate_watch::start_anew() {
  listeners_.clear();
  next_expiry_look_ = {};
}

void certificate_watch::look() {
  auto now = context_.time.steady();
  auto interval = context_.policy()->settings.server.tls.watch_interval;
  if (interval > config::duration{0} && now >= next_look_) {
    next_look_ = now + interval;
    look_at_files();
  }
  if (now >= next_expiry_look_) {
    next_expiry_look_ = now + expiry_look_interval;
    look_at_expiry();
  }
  context_.tls.tickets->look();
}

void certificate_watch::look_at_files() {
  auto policy = context_.policy();
  auto& listeners = policy->settings.server.listeners;
  for (std::size_t i = 0; i < listeners.size(); ++i)
    if (listeners[i].tls)
      look_at(i, listeners_[i]);
}

void certificate_watch::look_at(std::size_t listener, watched& files) {
  std::vector<stamp> now;
  for (auto& file : tls_files_of(*context_.policy()->settings.server.listeners[listener].tls))
    now.push_back(stamp_of(file));
  // What is not the same twice is still being written.
  bool settled = now == files.seen;
  files.seen = std::move(now);
  if (!settled || files.seen == files.tried)
    return;
  files.tried = files.seen;
  read_again(listener);
}

void certificate_watch::read_again(std::size_t listener) {
  auto policy = context_.policy();
  auto& server = policy->settings.server;
  auto& name = server.listeners[listener].name;
  auto fresh = make_listener_tls(server, listener, context_.time.wall(), context_.tls);
  if (!fresh) {
    context_.metrics.counter("hedwig_tls_certificate_reloads_total", "refused").add();
    telemetry::log(level::error, component::config,
                   {"tls.refused", "the files of a listener's certificates have changed and do not fit: what was read "
                                   "before stays in use"},
                   {{"listener", name}, {"error", fresh.error().text()}});
    return;
  }
  auto& in_use = policy->listeners[listener].tls;
  if (in_use && in_use->contents() == (*fresh)->contents())
    return;
  for (auto& one : (*fresh)->certificates()) {
    for (auto& warning : one.warnings)
      telemetry::log(level::warn, component::config, {"tls.warning", "a certificate is doubtful"},
                     {{"listener", name}, {"warning", warning}});
    telemetry::log(level::info, component::config,
                   {"tls.certificate", "a certificate was read again and is in use for new connections"},
                   {{"listener", name}, {"file", one.file}, {"names", one.names}, {"kind", one.kind}});
  }
  context_.replace_policy(with_listener_tls(*policy, listener, std::move(*fresh)));
  context_.metrics.counter("hedwig_tls_certificate_reloads_total", "applied").add();
  next_expiry_look_ = {};
}

void certificate_watch::look_at_expiry() {
  show_expiry();
  auto policy = context_.policy();
  auto now = context_.time.wall();
  auto tick = context_.time.steady();
  std::erase_if(told_, [&](auto& one) { return tick - one.second >= expiry_told_again; });
  for (auto& listener : policy->listeners) {
    if (!listener.tls)
      continue;
    for (auto& one : listener.tls->certificates())
      if (one.expires - now < policy->settings.server.tls.expiry_warning && told_.try_emplace(one.file, tick).second)
        telemetry::log(one.expires <= now ? level::error : level::warn, component::config,
                       {"tls.expires", "a certificate runs out: put a new one in its place, it is taken up by itself"},
                       {{"what", net::expiry_text(one, now)}});
  }
}

void certificate_watch::show_expiry() {
  std::map<std::string, wall_time> now;
  auto policy = context_.policy();
  for (auto& listener : policy->listeners)
    if (listener.tls)
      for (auto& one : listener.tls->certificates())
        now[one.file] = one.expires;
  auto show = [&](const std::string& file, wall_time when) {
    context_.metrics.gauge("hedwig_tls_certificate_expires_seconds", file)
        .set(std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count());
  };
  for (auto& [file, when] : now)
    show(file, when);
  for (auto& [file, when] : shown_)
    if (!now.contains(file))
      show(file, {});
  // A new one runs out for itself.
  for (auto& [file, when] : now)
    if (auto before = shown_.find(file); before != shown_.end() && before->second != when)
      told_.erase(file);
  shown_ = std::move(now);
}

} // namespace hedwig::app
