// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "sdk/check/rule.hpp"

namespace hedwig::check {

/// What lies behind the growing structs that the kit shows to a plugin.
enum class shape {
  plain,  ///< whatever
  exact,  ///< memory that nobody may touch: of a host that knows no more fields
  longer, ///< fields of a newer host, full of garbage
};

namespace detail {

/// Room for `size` bytes that stays until the process ends. Throws unusable.
void* room_for(shape how, std::size_t size);
constexpr std::size_t newer_fields = 64;

} // namespace detail

/// A copy of a growing struct in that shape, with its struct_size. It stays until the process ends.
template <class T>
T* show(shape how, const T& one) {
  auto* copy = static_cast<T*>(detail::room_for(how, sizeof one));
  std::memcpy(copy, &one, sizeof one);
  copy->struct_size = static_cast<std::uint32_t>(sizeof one + (how == shape::longer ? detail::newer_fields : 0));
  return copy;
}

/// From now on a look behind a struct of the shape `exact` ends the test's process, with `report` written to
/// `descriptor`.
void report_looks_behind(int descriptor, std::string_view report);

} // namespace hedwig::check
