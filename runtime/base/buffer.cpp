// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/buffer.hpp"

#include <atomic>
#include <cstring>
#include <new>

/// The host's side of the opaque SDK type.
struct hedwig_buf {
  std::atomic<std::uint32_t> references{1};
  const std::uint8_t* data;
  std::size_t size;
  void (*drop)(void* context); // null: `data` is ours
  void* context;
};

namespace hedwig {

namespace {

constexpr std::size_t page = 4096;
std::atomic<std::size_t> live_bytes{0};

std::align_val_t alignment_for(std::size_t size) {
  return std::align_val_t{size >= page ? page : alignof(std::max_align_t)};
}

void destroy(hedwig_buf* raw) noexcept {
  if (raw->drop != nullptr) {
    raw->drop(raw->context);
  } else {
    live_bytes.fetch_sub(raw->size, std::memory_order_relaxed);
    ::operator delete(const_cast<std::uint8_t*>(raw->data), alignment_for(raw->size));
  }
  delete raw;
}

} // namespace

void buffer_retain(hedwig_buf* raw) noexcept {
  if (raw != nullptr)
    raw->references.fetch_add(1, std::memory_order_relaxed);
}

void buffer_release(hedwig_buf* raw) noexcept {
  if (raw != nullptr && raw->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy(raw);
}

std::size_t buffer_bytes_live() noexcept { return live_bytes.load(std::memory_order_relaxed); }

buffer::buffer(const buffer& other) noexcept : raw_{other.raw_} { buffer_retain(raw_); }
buffer::~buffer() { buffer_release(raw_); }

buffer buffer::allocate(std::size_t size, std::uint8_t** data) {
  auto* memory = static_cast<std::uint8_t*>(::operator new(size == 0 ? 1 : size, alignment_for(size)));
  *data = memory;
  live_bytes.fetch_add(size, std::memory_order_relaxed);
  return buffer{new hedwig_buf{{1}, memory, size, nullptr, nullptr}};
}

buffer buffer::wrap(const std::uint8_t* data, std::size_t size, void (*drop)(void*), void* context) {
  return buffer{new hedwig_buf{{1}, data, size, drop, context}};
}

slice slice::copy_of(std::string_view text) {
  std::uint8_t* data = nullptr;
  auto owner = buffer::allocate(text.size(), &data);
  if (!text.empty())
    std::memcpy(data, text.data(), text.size());
  return {std::move(owner), {reinterpret_cast<const char*>(data), text.size()}};
}

void rope::append(slice part) {
  if (part.size() == 0)
    return;
  size_ += part.size();
  parts_.push_back(std::move(part));
}

void rope::prepend(slice part) {
  if (part.size() == 0)
    return;
  size_ += part.size();
  parts_.insert(parts_.begin(), std::move(part));
}

void rope::append(const rope& other) {
  for (auto& part : other.parts_)
    append(part);
}

std::string rope::flatten() const {
  std::string text;
  text.reserve(size_);
  for (auto& part : parts_)
    text.append(part.view());
  return text;
}

} // namespace hedwig
