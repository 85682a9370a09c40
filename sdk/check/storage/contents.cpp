// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/storage/contents.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hedwig::check::storage {

std::uint64_t mixed(std::uint64_t number) {
  number += 0x9E3779B97F4A7C15u; // the finaliser of splitmix64
  number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9u;
  number = (number ^ (number >> 27)) * 0x94D049BB133111EBu;
  return number ^ (number >> 31);
}

hedwig_msg_id id_of(std::uint64_t number) {
  hedwig_msg_id id{};
  // A receipt time in 2025, then bytes as random as a host's.
  std::uint64_t time = UINT64_C(1750000000000000000) + number * 1'000'000;
  std::uint64_t random = mixed(number);
  for (int i = 0; i < 8; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(time >> (56 - 8 * i));
    id.bytes[8 + i] = static_cast<std::uint8_t>(random >> (56 - 8 * i));
  }
  return id;
}

std::uint64_t number_of(const hedwig_msg_id& id) {
  std::uint64_t time = 0;
  for (int i = 0; i < 8; ++i)
    time = time << 8 | id.bytes[i];
  return (time - UINT64_C(1750000000000000000)) / 1'000'000;
}

std::string body_of(std::uint64_t number, std::size_t size) {
  std::string body(size, '\0');
  std::uint64_t state = mixed(number);
  for (std::size_t at = 0; at < size; at += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    auto some = state ^ (state >> 29);
    std::memcpy(body.data() + at, &some, std::min(sizeof some, size - at));
  }
  return body;
}

std::string difference(std::string_view got, std::string_view wanted) {
  auto [at, other] = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end());
  if (at == got.end() && other == wanted.end())
    return "equal";
  if (got.size() != wanted.size())
    return fmt::format("{} bytes instead of {}, the first that differs at {}", got.size(), wanted.size(),
                       at - got.begin());
  return fmt::format("{} bytes as wanted, the first that differs at {}", got.size(), at - got.begin());
}

} // namespace hedwig::check::storage
