// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

namespace hedwig::filter_ratelimit {

/// Nanoseconds of the host's steady clock.
using time_ns = std::int64_t;

/// How fast tokens come, and how many wait at most.
struct rate {
  time_ns per_token = 0; ///< 0: no limit
  time_ns depth = 0;     ///< what a full bucket holds, as the time in which it fills

  /// `count` tokens every `period`, `burst` at once at most.
  [[nodiscard]] static rate of(std::int64_t count, time_ns period, std::int64_t burst);
  [[nodiscard]] bool limits() const noexcept { return per_token > 0; }
};

enum class token : std::uint8_t { message, recipient };

/// A bucket's name: a hash of the limit and of what it counts, keyed so that no peer can aim at one.
struct bucket_key {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const bucket_key&) const = default;
};

/// All buckets of an instance in a memory that is taken once and never grows. Every function is callable from every
/// thread.
///
/// A bucket is two times: when it would be full again, of messages and of recipients. One that is full says no more
/// than none at all, so its place is free. Keys fall into sets of 16 places; when all places of a set are in use, the
/// fullest bucket, by the share of its depth, makes room. So a bucket that is used up is dropped only when 15 others
/// of its set are as empty: whoever wants to be rid of his own has to use up about 15 times as many buckets as the
/// table has sets, and cannot know which fall into his.
class bucket_table {
public:
  static constexpr std::size_t ways = 16;

  /// For at least `buckets` of them.
  explicit bucket_table(std::size_t buckets);

  /// `kind` is what the limit of that name counts by.
  [[nodiscard]] bucket_key key(std::size_t kind, std::string_view limit, std::string_view value) const;

  /// How long until `count` tokens are there; 0: they are.
  [[nodiscard]] time_ns wait(const bucket_key& key, token kind, const rate& at, std::int64_t count, time_ns now);
  /// The same, and takes them when they are.
  [[nodiscard]] time_ns take(const bucket_key& key, token kind, const rate& at, std::int64_t count, time_ns now);
  /// What take() took, when something else stood against it.
  void give_back(const bucket_key& key, token kind, const rate& at, std::int64_t count);

  /// Buckets that were not full and had to make room.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t capacity() const noexcept { return sets_ * ways; }

private:
  struct bucket {
    bucket_key key;
    std::array<time_ns, 2> full_at{};
    std::array<float, 2> depth{}; ///< in nanoseconds, of what last took from it

    [[nodiscard]] double used(time_ns now) const noexcept;
  };
  using set = std::array<bucket, ways>;

  [[nodiscard]] std::size_t set_of(const bucket_key& key) const noexcept { return key.low % sets_; }
  [[nodiscard]] std::mutex& lock_of(const bucket_key& key) noexcept { return locks_[set_of(key) % locks_.size()]; }
  [[nodiscard]] bucket* find(const bucket_key& key) noexcept;
  [[nodiscard]] bucket& room(const bucket_key& key, time_ns now) noexcept;

  std::size_t sets_;
  std::unique_ptr<set[]> places_;
  std::array<std::mutex, 64> locks_;
  std::array<std::uint64_t, 4> secret_;
  std::atomic<std::uint64_t> evicted_{0};
};

} // namespace hedwig::filter_ratelimit
