// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "runtime/base/error.hpp"
#include "runtime/net/tls.hpp"

namespace hedwig::sink {

/// The server's TLS from two PEM files or, when `certificate_file` is empty, from a new self-signed certificate for
/// `hostname` and localhost, good for a year. Its key touches the disk in a private temporary folder only, for the
/// moment of loading.
[[nodiscard]] result<std::shared_ptr<const net::tls_context>>
make_tls(const std::string& certificate_file, const std::string& key_file, const std::string& hostname, wall_time now);

} // namespace hedwig::sink
