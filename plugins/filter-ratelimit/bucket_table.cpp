// SPDX-License-Identifier: Apache-2.0
#include "bucket_table.hpp"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace hedwig::filter_ratelimit {

namespace {

/// SipHash-2-4 of Aumasson and Bernstein: a hash whose collisions nobody finds without the key.
class siphash {
public:
  siphash(std::uint64_t k0, std::uint64_t k1)
    : v_{k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU, k0 ^ 0x6c7967656e657261U, k1 ^ 0x7465646279746573U} {}

  std::uint64_t of(std::string_view text) {
    for (std::size_t i = 0; i + 8 <= text.size(); i += 8)
      word(load(text.substr(i, 8)));
    word(load(text.substr(text.size() / 8 * 8)) | static_cast<std::uint64_t>(text.size()) << 56);
    v_[2] ^= 0xFF;
    for (int i = 0; i < 4; ++i)
      round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

private:
  static std::uint64_t load(std::string_view part) {
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < part.size(); ++i)
      out |= static_cast<std::uint64_t>(static_cast<unsigned char>(part[i])) << (8 * i);
    return out;
  }
  void word(std::uint64_t m) {
    v_[3] ^= m;
    round();
    round();
    v_[0] ^= m;
  }
  void round() {
    auto& [a, b, c, d] = v_;
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }
  std::array<std::uint64_t, 4> v_;
};

std::size_t index_of(token kind) { return static_cast<std::size_t>(kind); }

} // namespace

rate rate::of(std::int64_t count, time_ns period, std::int64_t burst) {
  auto per_token = std::max<time_ns>(period / count, 1);
  return {per_token, per_token * burst};
}

bucket_table::bucket_table(std::size_t buckets)
  : sets_{std::max<std::size_t>((buckets + ways - 1) / ways, 1)}, places_{std::make_unique<set[]>(sets_)} {
  auto* at = reinterpret_cast<char*>(secret_.data());
  if (getrandom(at, sizeof secret_, 0) != static_cast<ssize_t>(sizeof secret_))
    throw std::system_error{errno, std::generic_category(), "getrandom"};
}

bucket_key bucket_table::key(std::size_t kind, std::string_view limit, std::string_view value) const {
  std::string text{limit};
  text += '\0';
  text += static_cast<char>(kind);
  text += value;
  return {siphash{secret_[0], secret_[1]}.of(text), siphash{secret_[2], secret_[3]}.of(text)};
}

double bucket_table::bucket::used(time_ns now) const noexcept {
  double most = 0;
  for (std::size_t i = 0; i < full_at.size(); ++i)
    if (full_at[i] > now)
      most = std::max(most, static_cast<double>(full_at[i] - now) / std::max(depth[i], 1.0F));
  return most;
}

bucket_table::bucket* bucket_table::find(const bucket_key& key) noexcept {
  for (auto& one : places_[set_of(key)])
    if (one.key == key)
      return &one;
  return nullptr;
}

bucket_table::bucket& bucket_table::room(const bucket_key& key, time_ns now) noexcept {
  if (auto* there = find(key))
    return *there;
  auto& among = places_[set_of(key)];
  auto* fullest = std::ranges::min_element(among, {}, [now](auto& one) { return one.used(now); });
  if (fullest->used(now) > 0)
    evicted_.fetch_add(1, std::memory_order_relaxed);
  *fullest = {key, {}, {}};
  return *fullest;
}

time_ns bucket_table::wait(const bucket_key& key, token kind, const rate& at, std::int64_t count, time_ns now) {
  std::lock_guard lock{lock_of(key)};
  auto* there = find(key);
  auto full_at = there == nullptr ? now : std::max(there->full_at[index_of(kind)], now);
  return std::max<time_ns>(full_at - now + count * at.per_token - at.depth, 0);
}

time_ns bucket_table::take(const bucket_key& key, token kind, const rate& at, std::int64_t count, time_ns now) {
  std::lock_guard lock{lock_of(key)};
  auto& mine = room(key, now);
  auto& full_at = mine.full_at[index_of(kind)];
  auto next = std::max(full_at, now) + count * at.per_token;
  if (next - now > at.depth)
    return next - now - at.depth;
  full_at = next;
  mine.depth[index_of(kind)] = static_cast<float>(at.depth);
  return 0;
}

void bucket_table::give_back(const bucket_key& key, token kind, const rate& at, std::int64_t count) {
  std::lock_guard lock{lock_of(key)};
  if (auto* there = find(key))
    there->full_at[index_of(kind)] -= count * at.per_token;
}

} // namespace hedwig::filter_ratelimit
