// SPDX-License-Identifier: Apache-2.0
#include "runtime/smtp/trace_board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hedwig::smtp {

bool session_filter::fits(const net::address& peer, std::string_view of_user, std::string_view of_listener) const {
  return (!client || client->contains(peer)) && (user.empty() || user == of_user) &&
         (listener.empty() || listener == of_listener);
}

void trace::add(trace_line line) {
  std::lock_guard guard{mutex_};
  if (closed_)
    return;
  // One place is kept for the line that tells of a gap.
  if (lines_.size() + 1 >= limits_.lines_max) {
    ++gap_;
    ++dropped_;
    gap_since_ = gap_ == 1 ? line.when : gap_since_;
    return;
  }
  tell_gap();
  keep(std::move(line));
}

void trace::tell_gap() {
  if (auto missing = std::exchange(gap_, 0); missing != 0)
    keep({.when = gap_since_,
          .who = '!',
          .text = missing == 1 ? "a line was dropped here" : fmt::format("{} lines were dropped here", missing)});
}

void trace::keep(trace_line line) {
  if (line.text.size() > limits_.line_octets_max) {
    line.text.resize(limits_.line_octets_max);
    line.text += "...";
  }
  line.number = ++last_number_;
  lines_.push_back(std::move(line));
}

std::vector<trace_line> trace::fetch(std::uint64_t from, steady_time now) {
  std::lock_guard guard{mutex_};
  asked_ = now;
  while (!lines_.empty() && lines_.front().number < from)
    lines_.pop_front();
  if (lines_.size() + 1 < limits_.lines_max)
    tell_gap();
  return {lines_.begin(), lines_.end()};
}

bool trace::over(steady_time now) const {
  std::lock_guard guard{mutex_};
  return closed_ || now >= end_ || now - asked_ >= limits_.patience;
}

void trace::close() {
  std::lock_guard guard{mutex_};
  closed_ = true;
  lines_ = {};
}

std::uint64_t trace::dropped() const {
  std::lock_guard guard{mutex_};
  return dropped_;
}

std::shared_ptr<trace> trace_board::begin(session_filter whose, std::chrono::nanoseconds length, steady_time now) {
  std::lock_guard guard{mutex_};
  tend_locked(now);
  if (traces_.size() >= limits_.traces_max)
    return nullptr;
  auto made = std::make_shared<trace>(++last_id_, std::move(whose), limits_, now, now + length);
  traces_.emplace(made->id(), made);
  changed();
  return made;
}

std::shared_ptr<trace> trace_board::find(std::uint64_t id, steady_time now) {
  std::lock_guard guard{mutex_};
  tend_locked(now);
  auto found = traces_.find(id);
  return found == traces_.end() ? nullptr : found->second;
}

bool trace_board::end(std::uint64_t id) {
  std::lock_guard guard{mutex_};
  auto found = traces_.find(id);
  if (found == traces_.end())
    return false;
  found->second->close();
  traces_.erase(found);
  changed();
  return true;
}

void trace_board::tend(steady_time now) {
  std::lock_guard guard{mutex_};
  tend_locked(now);
}

std::vector<std::shared_ptr<trace>> trace_board::fitting(const net::address& peer, std::string_view user,
                                                         std::string_view listener, steady_time now) {
  std::lock_guard guard{mutex_};
  tend_locked(now);
  std::vector<std::shared_ptr<trace>> found;
  for (auto& [id, one] : traces_)
    if (one->whose().fits(peer, user, listener))
      found.push_back(one);
  return found;
}

std::vector<std::shared_ptr<trace>> trace_board::all(steady_time now) {
  std::lock_guard guard{mutex_};
  tend_locked(now);
  std::vector<std::shared_ptr<trace>> found;
  for (auto& [id, one] : traces_)
    found.push_back(one);
  return found;
}

void trace_board::tend_locked(steady_time now) {
  auto ended = std::erase_if(traces_, [&](auto& entry) {
    auto over = entry.second->over(now);
    if (over)
      entry.second->close();
    return over;
  });
  if (ended != 0)
    changed();
}

void trace_board::changed() {
  ++version_;
  epoch_.store(traces_.empty() ? 0 : version_, std::memory_order_relaxed);
}

void trace_writer::we_said(std::string_view output) {
  while (!output.empty()) {
    auto end = std::min(output.find('\n'), output.size() - 1);
    auto line = output.substr(0, end);
    write('S', shown_reply(line.substr(0, line.find_last_not_of('\r') + 1)));
    output.remove_prefix(end + 1);
  }
}

void trace_writer::write_to(std::vector<std::shared_ptr<trace>> traces, std::string_view introduction) {
  for (auto& one : traces)
    if (std::ranges::find(traces_, one) == traces_.end())
      one->add(line('*', introduction));
  traces_ = std::move(traces);
}

void trace_writer::write(char who, std::string_view text) {
  for (auto& one : traces_)
    one->add(line(who, text));
}

trace_line trace_writer::line(char who, std::string_view text) const {
  return {.when = time_.wall(), .session = session_, .client = client_, .who = who, .text = std::string{text}};
}

} // namespace hedwig::smtp
