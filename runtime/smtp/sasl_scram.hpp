// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/smtp/sasl.hpp"

namespace hedwig::smtp {

/// Keys for users that nobody knows, so that an exchange with them looks like one with a wrong password: a name has the
/// same salt for as long as the process lives. Of one thread.
class scram_pretender {
public:
  /// `process_secret`: empty for one that is made once in this process.
  explicit scram_pretender(std::string process_secret = {});

  /// What keys of real users look like; the first ones tell.
  void learn(const scram_keys& real) noexcept;
  [[nodiscard]] scram_keys keys_for(std::string_view username) const;

private:
  std::string secret_;
  bool learnt_ = false;
  std::uint32_t iterations_ = 4096; // RFC 7677 section 4
  std::size_t salt_octets_ = 16;
};

} // namespace hedwig::smtp
