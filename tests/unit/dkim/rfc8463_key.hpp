// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hedwig::dkim {

/// The private key of RFC 8463 appendix A, in PKCS#8.
inline constexpr std::string_view rfc8463_pem = "-----BEGIN PRIVATE KEY-----\n"
                                                "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                                "-----END PRIVATE KEY-----\n";

} // namespace hedwig::dkim
