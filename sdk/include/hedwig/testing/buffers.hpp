// SPDX-License-Identifier: Apache-2.0
// hedwig/testing/buffers.hpp - the host's buffers as test hosts have them: counted, and watched for misuse.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <hedwig/host.h>

// Never freed, only emptied: a release too many is then seen and not undefined.
struct hedwig_buf {
  std::atomic<int> references{1};
  const std::uint8_t* data = nullptr;
  void (*drop)(void*) = nullptr;
  void* context = nullptr;
};

namespace hedwig::sdk::testing::buffers {

inline std::atomic<std::int64_t> alive{0};          ///< that somebody holds, in the whole process
inline std::atomic<bool> released_too_often{false}; ///< or retained after the last release

inline void retain(const hedwig_host*, hedwig_buf* buffer) {
  if (buffer->references++ <= 0)
    released_too_often = true;
}

inline void release(const hedwig_host*, hedwig_buf* buffer) {
  auto left = --buffer->references;
  if (left < 0)
    released_too_often = true;
  if (left != 0)
    return;
  buffer->drop(buffer->context);
  --alive;
}

inline hedwig_buf* wrap(const hedwig_host*, const std::uint8_t* data, std::size_t, void (*drop)(void*), void* context) {
  ++alive;
  auto* buffer = new hedwig_buf; // see above
  buffer->data = data;
  buffer->drop = drop;
  buffer->context = context;
  return buffer;
}

struct host_memory {
  std::uint8_t* data;
  std::size_t size;
};

inline void free_memory(void* raw) {
  std::unique_ptr<host_memory> memory{static_cast<host_memory*>(raw)};
  std::memset(memory->data, 0xDD, memory->size); // who still looks shall not see what was there
  std::free(memory->data);
}

inline hedwig_buf* allocate(const hedwig_host* raw, std::size_t size, std::uint8_t** data) {
  constexpr std::size_t page = 4096;
  *data = static_cast<std::uint8_t*>(size >= page ? std::aligned_alloc(page, (size + page - 1) / page * page)
                                                  : std::malloc(size + 1));
  return wrap(raw, *data, size, free_memory, new host_memory{*data, size});
}

} // namespace hedwig::sdk::testing::buffers
