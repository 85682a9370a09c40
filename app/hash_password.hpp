// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace hedwig::app {

/// `hedwig hash-password`: reads one line from standard input, from a terminal twice and unseen, and prints its
/// argon2id hash (RFC 9106) as [[server.auth]] and user files take it. Returns the exit status.
[[nodiscard]] int hash_password();

} // namespace hedwig::app
