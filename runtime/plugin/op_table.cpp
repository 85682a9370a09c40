// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/op_table.hpp"

#include <algorithm>
#include <thread>

namespace hedwig::plugin {

namespace {

// A slot's word: the generation above, the phase in the low two bits.
constexpr std::uint64_t free_phase = 0;
constexpr std::uint64_t pending_phase = 1;
constexpr std::uint64_t busy_phase = 2; // someone is taking the op out, or giving it up; lasts microseconds
constexpr std::uint64_t given_up_phase = 3;
constexpr std::uint64_t phase_mask = 3;

// A handle: the generation above, the slot number in the low 24 bits. Generations start at 1, so no handle is null.
constexpr unsigned index_bits = 24;
constexpr std::uint64_t generation_mask = (std::uint64_t{1} << (64 - index_bits)) - 1;

std::uint64_t number(const hedwig_op* handle) { return reinterpret_cast<std::uint64_t>(handle); }
std::uint32_t index_of(const hedwig_op* handle) {
  return static_cast<std::uint32_t>(number(handle) & ((1U << index_bits) - 1));
}
std::uint64_t generation_of(const hedwig_op* handle) { return number(handle) >> index_bits; }

hedwig_op* make_handle(std::uint64_t generation, std::uint32_t index) {
  return reinterpret_cast<hedwig_op*>((generation << index_bits) | index);
}

} // namespace

struct op_table::slot {
  std::atomic<std::uint64_t> word{(std::uint64_t{1} << 2) | free_phase};
  std::atomic<std::int64_t> deadline{0};
  std::atomic<const instance*> owner{nullptr};
  std::unique_ptr<pending_op> op; // touched by whoever made the phase busy
};

struct op_table::chunk {
  std::array<slot, chunk_size> slots;
};

op_table::op_table(std::size_t ops_max) : ops_max_{std::min(ops_max, chunk_size * chunks_max)} {}

op_table::~op_table() {
  for (auto& part : chunks_)
    delete part.load();
}

op_table::slot& op_table::at(std::uint32_t index) const noexcept {
  return chunks_[index / chunk_size].load(std::memory_order_acquire)->slots[index % chunk_size];
}

op_table::slot* op_table::find(const hedwig_op* handle) const noexcept {
  auto index = index_of(handle);
  return index < made_.load(std::memory_order_acquire) ? &at(index) : nullptr;
}

std::uint32_t op_table::take_index() {
  std::lock_guard lock{mutex_};
  if (!free_.empty()) {
    auto index = free_.back();
    free_.pop_back();
    return index;
  }
  auto index = made_.load(std::memory_order_relaxed);
  if (index >= ops_max_)
    return ~std::uint32_t{0};
  if (index % chunk_size == 0)
    chunks_[index / chunk_size].store(new chunk, std::memory_order_release);
  made_.store(index + 1, std::memory_order_release);
  return index;
}

op_table::kept_slot op_table::slot_of(const hedwig_op* handle) noexcept { return kept_slot{index_of(handle)}; }

void op_table::give_back(kept_slot slot) {
  std::lock_guard lock{mutex_};
  free_.push_back(static_cast<std::uint32_t>(slot));
}

hedwig_op* op_table::open(std::unique_ptr<pending_op>& op, steady_time deadline) {
  auto index = take_index();
  return index == ~std::uint32_t{0} ? nullptr : open(op, deadline, kept_slot{index});
}

hedwig_op* op_table::open(std::unique_ptr<pending_op>& op, steady_time deadline, kept_slot where) noexcept {
  auto index = static_cast<std::uint32_t>(where);
  auto& s = at(index);
  auto generation = s.word.load(std::memory_order_relaxed) >> 2;
  s.owner.store(op->owner.get(), std::memory_order_relaxed);
  s.deadline.store(deadline.time_since_epoch().count(), std::memory_order_relaxed);
  s.op = std::move(op);
  s.word.store((generation << 2) | pending_phase, std::memory_order_release);
  return make_handle(generation, index);
}

op_table::claimed op_table::claim(const hedwig_op* handle, const instance* owner, bool keep_slot) noexcept {
  auto* s = find(handle);
  if (s == nullptr || s->owner.load(std::memory_order_relaxed) != owner)
    return {};
  auto generation = generation_of(handle);
  auto word = s->word.load(std::memory_order_acquire);
  for (;;) {
    if (word >> 2 != generation || (word & phase_mask) == free_phase)
      return {};
    if ((word & phase_mask) == busy_phase) {
      std::this_thread::yield();
      word = s->word.load(std::memory_order_acquire);
      continue;
    }
    if (s->word.compare_exchange_weak(word, (generation << 2) | busy_phase, std::memory_order_acq_rel))
      break;
  }
  claimed out{std::move(s->op), (word & phase_mask) == given_up_phase};
  auto next = (generation + 1) & generation_mask;
  s->word.store(((next == 0 ? 1 : next) << 2) | free_phase, std::memory_order_release);
  if (!keep_slot)
    give_back(slot_of(handle));
  return out;
}

pending_op* op_table::begin(hedwig_op* handle) {
  auto* s = find(handle);
  if (s == nullptr)
    return nullptr;
  if (given_up(handle)) {
    if (auto gone = claim(handle, s->owner.load(std::memory_order_relaxed)); gone.op)
      gone.op->settled(true);
    return nullptr;
  }
  // Only the plugin's answer ends the op from here on, and the plugin has not seen it yet.
  return s->op.get();
}

hedwig_time_ns op_table::deadline(const hedwig_op* handle) const noexcept {
  auto* s = find(handle);
  return s != nullptr ? s->deadline.load(std::memory_order_relaxed) : 0;
}

bool op_table::given_up(const hedwig_op* handle) const noexcept {
  auto* s = find(handle);
  if (s == nullptr)
    return true;
  for (;;) {
    auto word = s->word.load(std::memory_order_acquire);
    if (word >> 2 != generation_of(handle))
      return true;
    if ((word & phase_mask) != busy_phase)
      return (word & phase_mask) != pending_phase;
    std::this_thread::yield();
  }
}

void op_table::expire(steady_time now, const std::function<void(hedwig_op*, pending_op&)>& expired) {
  auto limit = now.time_since_epoch().count();
  for (std::uint32_t index = 0, end = made_.load(std::memory_order_acquire); index < end; ++index) {
    auto& s = at(index);
    auto word = s.word.load(std::memory_order_acquire);
    if ((word & phase_mask) != pending_phase || s.deadline.load(std::memory_order_relaxed) > limit)
      continue;
    auto busy = (word & ~phase_mask) | busy_phase;
    if (!s.word.compare_exchange_strong(word, busy, std::memory_order_acq_rel))
      continue;
    expired(make_handle(word >> 2, index), *s.op);
    s.word.store((word & ~phase_mask) | given_up_phase, std::memory_order_release);
  }
}

} // namespace hedwig::plugin
