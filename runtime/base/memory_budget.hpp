// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace hedwig {

/// Who holds bytes of messages in memory.
enum class memory_user : std::uint8_t {
  sessions,   ///< bodies while they are received
  spooler,    ///< bodies that the store has and has not committed yet
  caches,     ///< bodies that stay in memory for their delivery, and could as well be read again
  deliveries, ///< what was read from the store: to be signed, sent or reported on
};
inline constexpr std::size_t memory_user_count = 4;
[[nodiscard]] std::string_view to_string_view(memory_user user) noexcept;

/// What the users together may hold. Of `total`, a quarter is kept for deliveries, so that what was taken can always
/// leave, and at least a quarter for what is received, so that a slow next hop does not end the taking of mail.
struct memory_limits {
  std::uint64_t total = 0;    ///< bytes
  std::uint64_t received = 0; ///< of these, sessions and spooler together
  std::uint64_t kept = 0;     ///< of these, caches; never more than half of `total`
};

/// The ledger at one moment; the figures are read one after the other.
struct memory_ledger {
  std::array<std::uint64_t, memory_user_count> used{};
  std::uint64_t total = 0;
  std::uint64_t limit = 0;
  std::uint64_t peak = 0;    ///< of `total`, since the start
  std::uint64_t refused = 0; ///< reservations that did not fit

  [[nodiscard]] std::uint64_t of(memory_user user) const noexcept { return used[static_cast<std::size_t>(user)]; }
};

/// The bytes of messages that one process (or one simulated relay) may hold in memory, and the account of who holds
/// them. Any thread; no lock. Outlives its reservations.
class memory_budget {
public:
  explicit memory_budget(const memory_limits& limits) { set_limits(limits); }
  memory_budget(const memory_budget&) = delete;
  memory_budget& operator=(const memory_budget&) = delete;

  /// A lower limit takes nothing away from who holds it: it is waited for.
  void set_limits(const memory_limits& limits) noexcept;
  [[nodiscard]] memory_ledger ledger() const noexcept;
  [[nodiscard]] std::uint64_t used(memory_user user) const noexcept {
    return used_[static_cast<std::size_t>(user)].load(std::memory_order_relaxed);
  }

  /// Whether so much more would fit now; not counted as a refusal.
  [[nodiscard]] bool fits(memory_user user, std::uint64_t bytes) const noexcept;
  /// What fits at most while nobody else holds anything.
  [[nodiscard]] std::uint64_t most(memory_user user) const noexcept;

private:
  friend class memory_reservation;
  static constexpr std::size_t group_count = 3;
  [[nodiscard]] static std::size_t group_of(memory_user user) noexcept;
  [[nodiscard]] bool take(memory_user user, std::uint64_t bytes) noexcept;
  void take_anyway(memory_user user, std::uint64_t bytes) noexcept;
  void give(memory_user user, std::uint64_t bytes) noexcept;
  [[nodiscard]] bool move(memory_user from, memory_user to, std::uint64_t bytes) noexcept;
  [[nodiscard]] std::uint64_t total() const noexcept;
  void note_peak() noexcept;

  std::atomic<std::uint64_t> all_but_deliveries_{0};
  std::array<std::atomic<std::uint64_t>, group_count> groups_{};
  std::array<std::atomic<std::uint64_t>, memory_user_count> used_{};
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> limit_{0};
  std::atomic<std::uint64_t> all_but_deliveries_limit_{0};
  std::array<std::atomic<std::uint64_t>, group_count> group_limits_{};
};

/// Bytes of a budget that are somebody's until it ends. Moves; one thread at a time.
class memory_reservation {
public:
  /// Nothing, of no budget.
  memory_reservation() noexcept = default;
  /// Nothing yet.
  memory_reservation(memory_budget& of, memory_user user) noexcept : budget_{&of}, user_{user} {}
  memory_reservation(memory_reservation&& other) noexcept
    : budget_{other.budget_}, user_{other.user_}, bytes_{std::exchange(other.bytes_, 0)} {}
  memory_reservation& operator=(memory_reservation&& other) noexcept {
    if (this != &other) {
      release();
      budget_ = other.budget_;
      user_ = other.user_;
      bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
  }
  ~memory_reservation() { release(); }

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  /// Holds `bytes` at least; false, and nothing changed, where they do not fit.
  [[nodiscard]] bool grow(std::uint64_t bytes) noexcept;
  /// Holds `bytes` at least, whatever the limit says: for what is small and of our own making.
  void grow_anyway(std::uint64_t bytes) noexcept;
  /// Holds `bytes` at most.
  void shrink(std::uint64_t bytes) noexcept;
  void release() noexcept { shrink(0); }
  /// `bytes` of it, at most all, as a reservation of their own.
  [[nodiscard]] memory_reservation split(std::uint64_t bytes) noexcept;
  /// For another user from now on, deliveries apart; false, and nothing changed, where that one has no room. Never
  /// fails from sessions to spooler.
  [[nodiscard]] bool pass_to(memory_user user) noexcept;

private:
  memory_budget* budget_ = nullptr;
  memory_user user_ = memory_user::sessions;
  std::uint64_t bytes_ = 0;
};

/// Shared by all that keep the bytes alive.
using memory_hold = std::shared_ptr<memory_reservation>;

} // namespace hedwig
