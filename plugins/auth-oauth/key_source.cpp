// SPDX-License-Identifier: Apache-2.0
#include "key_source.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace hedwig::auth_oauth {

key_source::key_source(sdk::host host, std::shared_ptr<const settings> from, read_counter count)
  : host_{host}, from_{std::move(from)}, count_{std::move(count)}, https_{*from_}, workers_{host},
    timers_{std::make_unique<sdk::timers>(host)} {}

void key_source::begin() {
  if (from_->jwks_file.empty()) {
    plan(std::chrono::nanoseconds{1});
    return;
  }
  try {
    auto text = read_text({});
    publish(read_keys(text), text);
  } catch (const sdk::failure& why) {
    throw sdk::failure{HEDWIG_E_CONFIG, from_->jwks_file + ": " + why.what(), "jwks_file", why.os_errno()};
  }
  plan(from_->refresh_interval);
}

void key_source::inherit(const key_source& before) {
  if (from_->jwks_url.empty() || from_->jwks_url != before.from_->jwks_url)
    return;
  std::scoped_lock lock{mutex_, before.mutex_};
  held_ = before.held_;
  text_ = before.text_;
}

void key_source::end() {
  std::unique_ptr<sdk::timers> last;
  std::lock_guard lock{mutex_};
  last.swap(timers_);
}

std::shared_ptr<const key_source::held_keys> key_source::current() const {
  std::lock_guard lock{mutex_};
  return held_;
}

bool key_source::look_again(std::chrono::nanoseconds patience) {
  std::lock_guard only{reading_};
  if (!tried_ || host_.steady() - *tried_ >= from_->refresh_pause.count())
    read(patience);
  return !failed_;
}

void key_source::plan(std::chrono::nanoseconds delay) {
  // The timer runs on an event thread, which must not wait; and it may be the last to know of this.
  auto later = [self = weak_from_this()] {
    auto mine = self.lock();
    if (!mine)
      return;
    auto work = [mine] {
      std::lock_guard only{mine->reading_};
      mine->read(mine->from_->timeout);
      mine->plan(mine->failed_ ? mine->from_->refresh_pause : mine->from_->refresh_interval);
    };
    if (!mine->workers_.submit(work))
      mine->plan(mine->from_->refresh_pause);
  };
  std::lock_guard lock{mutex_};
  if (timers_)
    timers_->start(delay, std::move(later));
}

void key_source::read(std::chrono::nanoseconds patience) {
  try {
    auto text = read_text(patience);
    publish(read_keys(text), text);
    failed_ = false;
  } catch (const sdk::failure& why) {
    failed_ = true;
    host_.log(HEDWIG_LOG_WARN,
              current() ? "the keys of tokens cannot be read; those that are known serve on"
                        : "the keys of tokens cannot be read, so nobody can log in with one",
              {{"from", from_->jwks_file.empty() ? from_->jwks_url : from_->jwks_file}, {"error", why.what()}});
  }
  count_(!failed_);
  tried_ = host_.steady(); // its end: who waited for it meanwhile does not wait for another
}

void key_source::publish(key_set fresh, const std::string& text) {
  auto made = std::make_shared<held_keys>();
  made->keys = std::move(fresh);
  {
    std::lock_guard lock{mutex_};
    if (held_ && text == text_)
      return;
    made->generation = held_ ? held_->generation + 1 : 1;
    held_ = made;
    text_ = text;
  }
  host_.log(HEDWIG_LOG_INFO, "keys of tokens were read",
            {{"keys", std::to_string(made->keys.keys.size())}, {"left_out", std::to_string(made->keys.left_out)}});
}

std::string key_source::read_text(std::chrono::nanoseconds patience) {
  if (from_->jwks_file.empty())
    return https_.get(from_->jwks_url, patience);
  std::ifstream in{from_->jwks_file, std::ios::binary};
  std::string text(jwks_octets_max + 1, '\0');
  if (!in)
    throw sdk::failure{HEDWIG_E_UNAVAILABLE, std::string{"cannot open: "} + std::strerror(errno), {}, errno};
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

} // namespace hedwig::auth_oauth
