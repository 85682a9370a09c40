// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string_view>

namespace hedwig::check {

/// Memory that a plugin is lent until its op is completed. take_back() writes it over, or, of `watched` memory, takes
/// it away, so that each later look at it is noticed. Filled on one thread; take_back() is legal on every one.
class lent_memory {
public:
  /// Room for `size` bytes of texts and a few structs. Throws std::bad_alloc.
  lent_memory(std::size_t size, bool watched);
  /// Watched memory stays taken away until the process ends.
  ~lent_memory();
  lent_memory(const lent_memory&) = delete;
  lent_memory& operator=(const lent_memory&) = delete;

  std::string_view keep(std::string_view text);
  /// `count` of a type that needs no destructor, zeroed.
  template <class T>
  T* make(std::size_t count = 1) {
    return static_cast<T*>(take(sizeof(T) * count));
  }
  void take_back() noexcept;

  /// Whether anybody has looked at watched memory that was taken back.
  static bool looked_at_later();

private:
  void* take(std::size_t size);

  std::byte* begin_;
  std::size_t size_;
  std::size_t used_ = 0;
  bool watched_;
};

} // namespace hedwig::check
