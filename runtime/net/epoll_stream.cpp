// SPDX-License-Identifier: Apache-2.0
// The handle of a stream: forwards to the core, while there is one.
#include "runtime/net/epoll_stream.hpp"

namespace hedwig::net {

epoll_stream::epoll_stream(epoll_loop& on, stream_core& core, const address& peer, const address& local)
  : loop_{on}, core_{&core}, peer_{peer}, local_{local} {
  core.set_handle(this);
}

std::unique_ptr<stream> epoll_stream::open(epoll_loop& on, descriptor socket, const address& peer, const address& local,
                                           stream_handler& handler) {
  auto& core = on.keep(std::make_unique<stream_core>(on, std::move(socket), peer, handler, false));
  std::unique_ptr<stream> made{new epoll_stream{on, core, peer, local}};
  core.start({});
  return made;
}

std::unique_ptr<stream> epoll_stream::connecting(epoll_loop& on, descriptor socket, const address& to,
                                                 const std::optional<address>& source, stream_handler& handler,
                                                 const connect_options& options) {
  auto& core = on.keep(std::make_unique<stream_core>(on, std::move(socket), to, handler, true));
  std::unique_ptr<stream> made{new epoll_stream{on, core, to, source.value_or(address{})}};
  core.start(options.timeout);
  return made;
}

epoll_stream::~epoll_stream() {
  if (core_ == nullptr)
    return;
  loop_.check_thread();
  core_->leave();
}

void epoll_stream::write(std::string_view text) {
  if (core_ != nullptr)
    core_->write(text);
}

void epoll_stream::write(slice part) {
  if (core_ != nullptr)
    core_->write(std::move(part));
}

void epoll_stream::write(const rope& text) {
  for (auto& part : text.parts())
    write(part);
}

void epoll_stream::flush() {
  if (core_ != nullptr)
    core_->send_output();
}

std::size_t epoll_stream::pending_output() const noexcept { return core_ != nullptr ? core_->pending_output() : 0; }

bool epoll_stream::writable() const noexcept { return core_ != nullptr && core_->writable(); }

void epoll_stream::pause_reading() {
  if (core_ != nullptr)
    core_->set_paused(true);
}

void epoll_stream::resume_reading() {
  if (core_ != nullptr)
    core_->set_paused(false);
}

bool epoll_stream::reading_paused() const noexcept { return core_ != nullptr && core_->paused(); }

void epoll_stream::start_tls(std::shared_ptr<const tls_context> context, tls_role role, std::string_view server_name) {
  if (core_ != nullptr)
    core_->start_tls(std::move(context), role, server_name);
}

void epoll_stream::start_tls_behind(std::shared_ptr<const tls_context> context) {
  if (core_ != nullptr)
    core_->start_tls_behind(std::move(context));
}

const tls_info* epoll_stream::tls() const noexcept { return core_ != nullptr ? core_->tls() : nullptr; }

std::string epoll_stream::channel_binding(std::string_view type) const {
  return core_ != nullptr ? core_->channel_binding(type) : std::string{};
}

void epoll_stream::close() {
  loop_.check_thread();
  if (core_ != nullptr)
    core_->close();
}

void epoll_stream::abort() {
  loop_.check_thread();
  if (core_ != nullptr)
    core_->abort();
}

} // namespace hedwig::net
