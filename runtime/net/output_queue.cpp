// SPDX-License-Identifier: Apache-2.0
#include "runtime/net/output_queue.hpp"

#include <algorithm>

namespace hedwig::net {

void output_queue::append(std::string_view text) {
  if (text.empty())
    return;
  size_ += text.size();
  copied_ += text.size();
  if (head_ < segments_.size()) {
    auto& last = segments_.back();
    if (last.is_copy() && last.text.size() + text.size() <= run_together_max) {
      last.text.append(text);
      return;
    }
  }
  segments_.push_back({std::string{text}, {}, 0});
}

void output_queue::append(slice part) {
  if (part.size() == 0)
    return;
  size_ += part.size();
  segments_.push_back({{}, std::move(part), 0});
}

std::size_t output_queue::gather(std::span<iovec> out) const noexcept {
  std::size_t count = 0;
  for (auto at = head_; at < segments_.size() && count < out.size(); ++at) {
    auto rest = segments_[at].rest();
    out[count++] = {const_cast<char*>(rest.data()), rest.size()}; // sendmsg only reads, but POSIX has no const here
  }
  return count;
}

std::string_view output_queue::front() const noexcept { return empty() ? std::string_view{} : segments_[head_].rest(); }

void output_queue::consume(std::size_t count) noexcept {
  while (count > 0 && head_ < segments_.size()) {
    auto& first = segments_[head_];
    auto taken = std::min(count, first.rest().size());
    first.done += taken;
    size_ -= taken;
    if (first.is_copy())
      copied_ -= taken;
    count -= taken;
    if (!first.rest().empty())
      return;
    first = {};
    ++head_;
  }
  drop_sent();
}

void output_queue::drop_sent() noexcept {
  if (head_ == segments_.size())
    clear();
  else if (head_ >= 64 && head_ * 2 > segments_.size()) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void output_queue::clear() noexcept {
  constexpr std::size_t kept_segments = 2;
  segments_.clear();
  if (segments_.capacity() > kept_segments)
    segments_.shrink_to_fit();
  head_ = size_ = copied_ = 0;
}

} // namespace hedwig::net
