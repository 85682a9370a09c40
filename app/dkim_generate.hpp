// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "app/command_line.hpp"

namespace hedwig::app {

/// `hedwig dkim-generate`: writes a new private key (PKCS#8 PEM, mode 0600, never over an existing file) and prints the
/// TXT record. Returns the exit status.
[[nodiscard]] int dkim_generate(const command_line& wanted);

} // namespace hedwig::app
