// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/metadata_v0_10.hpp"

#include "runtime/queue/address_text.hpp"

#include <Poco/DateTime.h>
#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeParser.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace hedwig::queue {

namespace {

using Poco::Dynamic::Var;
using Poco::JSON::Object;

constexpr std::string_view mark = "HEDWIG1 ";
constexpr int depth_max = 16;

error corrupt(const message_id& id, std::string what) {
  return {HEDWIG_E_CORRUPT, "Hedwig 0.10 metadata: " + std::move(what), id.text()};
}

Object::Ptr parse(std::string_view text) {
  Poco::JSON::Parser parser;
  parser.setDepth(depth_max);
  return parser.parse(std::string{text}).extract<Object::Ptr>();
}

wall_time time_in_ulid(const message_id& id) {
  std::int64_t ms = 0;
  for (int i = 0; i < 6; ++i)
    ms = ms << 8 | id.raw.bytes[i];
  return wall_time{std::chrono::milliseconds{std::min<std::int64_t>(ms, 9'000'000'000'000)}};
}

std::optional<wall_time> from_seconds(double seconds) {
  if (!(seconds > 0 && seconds < 9e9))
    return std::nullopt;
  return wall_time{std::chrono::nanoseconds{static_cast<std::int64_t>(seconds * 1e9)}};
}

std::optional<wall_time> from_text(const std::string& text) {
  int offset = 0;
  Poco::DateTime parsed;
  // The years are those that nanoseconds of wall_time can hold.
  if (!Poco::DateTimeParser::tryParse(Poco::DateTimeFormat::ISO8601_FRAC_FORMAT, text, parsed, offset) ||
      parsed.year() < 1970 || parsed.year() > 2200)
    return std::nullopt;
  parsed.makeUTC(offset);
  return wall_time{std::chrono::microseconds{parsed.timestamp().epochMicroseconds()}};
}

// RFC 3339 text, a number of seconds or milliseconds, or Rust's {secs_since_epoch, nanos_since_epoch}.
std::optional<wall_time> time_of(const Object& in, const std::string& name) {
  if (!in.has(name) || in.isNull(name))
    return std::nullopt;
  auto value = in.get(name);
  if (value.isString())
    return from_text(value.convert<std::string>());
  if (in.isObject(name)) {
    auto parts = in.getObject(name);
    return from_seconds(parts->optValue<double>("secs_since_epoch", 0) +
                        parts->optValue<double>("nanos_since_epoch", 0) / 1e9);
  }
  auto number = value.convert<double>();
  return from_seconds(number > 1e11 ? number / 1e3 : number);
}

std::string without_brackets(std::string text) {
  if (text.size() >= 2 && text.front() == '<' && text.back() == '>')
    text = text.substr(1, text.size() - 2);
  if (!is_path_text(text))
    throw Poco::DataFormatException("an address holds control characters or is too long");
  return text;
}

void read_message(const Object& in, stored& out) {
  out.message.envelope.reverse_path = without_brackets(in.optValue<std::string>("from", ""));
  auto to = in.getArray("to");
  if (to.isNull() || to->size() == 0 || to->size() > recipients_max)
    throw Poco::DataFormatException("`to` is no list of recipients");
  for (std::size_t i = 0; i < to->size(); ++i)
    out.message.envelope.recipients.push_back(
        {without_brackets(to->getElement<std::string>(static_cast<unsigned>(i))), {}, 0});
  auto queued = time_of(in, "queued_at").value_or(time_in_ulid(out.message.id));
  out.message.received.time = queued;
  out.record = make_record(out.message, queued);
}

// 0.10 knows attempts of a message only: they become those of each recipient.
void read_deferral(const Object& in, stored& out) {
  auto attempts = std::min<std::uint64_t>(in.optValue<std::uint64_t>("attempts", 0), 1'000'000);
  auto due = time_of(in, "next_attempt").value_or(out.record.next_due);
  out.record.attempts = static_cast<std::uint32_t>(attempts);
  out.record.next_due = due;
  out.record.last_error = in.optValue<std::string>("last_error", "").substr(0, reply_text_size_max);
  for (auto& state : out.record.recipients) {
    state.attempts = out.record.attempts;
    state.last_attempt = time_of(in, "last_attempt").value_or(wall_time{});
    state.due = due;
    state.last_reply.text = out.record.last_error;
  }
}

} // namespace

bool is_v0_10(std::string_view bytes) noexcept { return bytes.starts_with(mark) || bytes.starts_with('{'); }

result<stored> decode_v0_10(std::string_view bytes, const message_id& id) {
  if (bytes.size() > metadata_v0_10_size_max)
    return std::unexpected{corrupt(id, "too long")};
  if (bytes.starts_with(mark))
    bytes.remove_prefix(mark.size());
  auto line_end = bytes.find('\n');
  stored out;
  out.message.id = id;
  try {
    read_message(*parse(bytes.substr(0, line_end)), out);
    auto rest = line_end == std::string_view::npos ? std::string_view{} : bytes.substr(line_end + 1);
    if (rest.find_first_not_of(" \r\n\t") != std::string_view::npos)
      read_deferral(*parse(rest), out);
  } catch (const Poco::Exception& failure) {
    return std::unexpected{corrupt(id, failure.displayText())};
  } catch (const std::exception& failure) {
    return std::unexpected{corrupt(id, failure.what())};
  }
  return out;
}

} // namespace hedwig::queue
