// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/plugin/auth_values.hpp"
#include "runtime/plugin/checked_config.hpp"
#include "runtime/plugin/filter_values.hpp"

// What the relay and hedwig-plugin-host say to each other over a socket pair. Both are of one build, so there is one
// version and no negotiation; a process that says anything else is ended. WARNING: the other side is not trusted: it
// runs code that may be broken or taken over. Every length is checked against what is there.
namespace hedwig::plugin::wire {

inline constexpr std::uint32_t version = 2;
/// Bytes of one frame, the four of its length left out.
inline constexpr std::size_t frame_max = std::size_t{32} << 20;

/// The exit status of a process that ended itself because it owed answers for too long.
inline constexpr int ended_for_owing = 75;

enum class frame : std::uint8_t {
  hello = 1,      ///< relay: version, what to load and how; the first
  ready,          ///< process: created and started
  failed,         ///< process: an error instead; it ends
  open,           ///< relay: a session
  close,          ///< relay: and its end
  reset,          ///< relay: on_reset
  hook,           ///< relay: session, which, remaining time, what it is shown; answered
  delivery,       ///< relay: on_delivery; answered
  ask,            ///< relay: a question to a directory; answered
  answer,         ///< process: to the number of the request
  reload,         ///< relay: new settings; answered
  stop,           ///< relay: the last; answered with stopped
  stopped,        ///< process: an error or none; it ends
  log,            ///< process
  metric_declare, ///< process: number is its own choice
  metric_add,     ///< process
  metric_set,     ///< process
  faults,         ///< process: so many more false completions, so many more malformed answers
};

/// What an answer holds, its first byte. Who asked says which it may be besides a failure.
enum class answer_kind : std::uint8_t { failure, nothing, verdict, identity, scram_secret };

/// Integers are little-endian, texts have their length before them.
class writer {
public:
  template <std::integral Number>
  writer& number(Number value) {
    static_assert(std::endian::native == std::endian::little);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  writer& real(double value) { return number(std::bit_cast<std::uint64_t>(value)); }
  writer& text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const noexcept { return out_; }
  [[nodiscard]] std::string& bytes() noexcept { return out_; }

private:
  std::string out_;
};

/// Reads what a writer wrote. After the first fault everything is zero or empty; ask well() once at the end.
class reader {
public:
  explicit reader(std::string_view from) noexcept : left_{from} {}
  template <std::integral Number>
  [[nodiscard]] Number number() noexcept {
    Number value{};
    if (auto part = take(sizeof value); !part.empty())
      std::memcpy(&value, part.data(), sizeof value);
    return value;
  }
  [[nodiscard]] double real() noexcept { return std::bit_cast<double>(number<std::uint64_t>()); }
  [[nodiscard]] std::string_view text() noexcept { return take(number<std::uint32_t>()); }
  /// The number of elements that follow, each of at least `size` bytes: never more than can be there, nor than `most`.
  /// Elements take far more memory than the least of bytes, so what the other side fills freely needs a `most`.
  [[nodiscard]] std::size_t count(std::size_t size, std::size_t most = ~std::size_t{0}) noexcept {
    std::size_t value = number<std::uint32_t>();
    if (value > left_.size() / size || value > most)
      well_ = false;
    return well_ ? value : 0;
  }
  [[nodiscard]] bool well() const noexcept { return well_ && left_.empty(); }
  void fault() noexcept { well_ = false; }

private:
  std::string_view take(std::size_t size) noexcept {
    if (!well_ || size > left_.size()) {
      well_ = false;
      return {};
    }
    auto part = left_.substr(0, size);
    left_.remove_prefix(size);
    return part;
  }
  std::string_view left_;
  bool well_ = true;
};

/// One frame, ready to be sent.
[[nodiscard]] std::string make_frame(frame kind, std::uint64_t number, std::string_view payload);

struct received {
  frame kind{};
  std::uint64_t number = 0;
  std::string payload;
};

/// Cuts what comes from a socket into frames.
class frame_reader {
public:
  void feed(std::string_view bytes) { buffer_ += bytes; }
  /// Nothing: not there yet, or broken().
  [[nodiscard]] std::optional<received> next();
  /// A length that cannot be, or an unknown kind: nothing after it means anything.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

private:
  std::string buffer_;
  std::size_t at_ = 0;
  bool broken_ = false;
};

void put(writer& to, const error& value);
void put(writer& to, const filter_session_view& value);
void put(writer& to, const filter_address& value);
void put(writer& to, const filter_header& value);
void put(writer& to, const filter_message& value);
void put(writer& to, const filter_delivery& value);
void put(writer& to, const verdict& value);
void put(writer& to, const auth_request& value);
void put(writer& to, const identity& value);
void put(writer& to, const scram_secret& value);
void put(writer& to, const hedwig_config& value);

void get(reader& from, error& value);
void get(reader& from, filter_session_view& value);
void get(reader& from, filter_address& value);
void get(reader& from, filter_header& value);
void get(reader& from, filter_message& value);
void get(reader& from, filter_delivery& value);
void get(reader& from, verdict& value);
void get(reader& from, auth_request& value);
void get(reader& from, identity& value);
void get(reader& from, scram_secret& value);
/// `depth` bounds tables in tables.
void get(reader& from, hedwig_config& value, int depth = 0);

} // namespace hedwig::plugin::wire
