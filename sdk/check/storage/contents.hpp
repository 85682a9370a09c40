// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hedwig/storage.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace hedwig::check::storage {

constexpr std::uint32_t every_state = (HEDWIG_STATE_MASK(HEDWIG_STATE_COUNT) - 1) & ~UINT32_C(1);

/// An id that sorts by `number`.
hedwig_msg_id id_of(std::uint64_t number);
/// The number of such an id.
std::uint64_t number_of(const hedwig_msg_id& id);

inline bool same(const hedwig_msg_id& a, const hedwig_msg_id& b) { return std::memcmp(&a, &b, sizeof a) == 0; }
inline bool before(const hedwig_msg_id& a, const hedwig_msg_id& b) { return std::memcmp(&a, &b, sizeof a) < 0; }

/// Repeatable bytes of every value, others for each number.
std::string body_of(std::uint64_t number, std::size_t size);
/// Where two texts differ first, for a person: "equal", "17 bytes instead of 20", "the same size, differing from byte
/// 3".
std::string difference(std::string_view got, std::string_view wanted);

/// A well-mixed number of `number`; the kit's only randomness besides the seed.
std::uint64_t mixed(std::uint64_t number);

/// Pseudo-random numbers that depend on the seed alone, on every machine.
class dice {
public:
  explicit dice(std::uint64_t seed) : state_{mixed(seed)} {}
  std::uint64_t roll() { return mixed(state_++); }
  /// 0 to sides - 1.
  std::uint64_t below(std::uint64_t sides) { return sides == 0 ? 0 : roll() % sides; }
  bool chance(unsigned percent) { return below(100) < percent; }

private:
  std::uint64_t state_;
};

} // namespace hedwig::check::storage
