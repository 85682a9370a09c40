// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/net/epoll_loop.hpp"

namespace hedwig::net {

[[nodiscard]] result<std::unique_ptr<acceptor>>
make_epoll_acceptor(epoll_loop& on, descriptor socket, const listen_options& options, acceptor_handler& handler);
/// Checks first that `socket` is a listening TCP socket.
[[nodiscard]] result<std::unique_ptr<acceptor>>
adopt_epoll_acceptor(epoll_loop& on, descriptor socket, const listen_options& options, acceptor_handler& handler);

} // namespace hedwig::net
