// SPDX-License-Identifier: Apache-2.0
#include "runtime/queue/metadata.hpp"

#include "runtime/queue/address_text.hpp"
#include "runtime/queue/fields.hpp"
#include "runtime/queue/metadata_v0_10.hpp"

#include <hedwig/storage.h>

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

namespace hedwig::queue {

namespace {

constexpr std::string_view magic = "HWM";
constexpr char version = 1;
constexpr std::size_t from_domains_max = 64;
constexpr std::uint64_t reply_code_max = 999;

// WARNING: on disk; numbers are never given anew.
namespace tag {
enum : std::uint8_t {
  id = 1,
  reverse_path,
  envelope_flags,
  body,
  envelope_id,
  recipient,
  received,
  from_domain,
  subject,
  size,
  attempts,
  first_queued,
  next_due,
  held,
  last_error,
  priority,      // MT-PRIORITY + 10
  deliver_until, // of BY=
  held_until
};
}
namespace recipient_tag {
enum : std::uint8_t {
  address = 1,
  original_address,
  notify,
  status,
  attempts,
  unknown,
  reply_code,
  reply_status,
  reply_text,
  remote,
  last_attempt,
  due,
  flags
};
}
namespace received_tag {
enum : std::uint8_t { time = 1, peer_address, peer_port, helo, listener, user, protocol };
}
constexpr std::uint64_t flag_smtputf8 = 1;
constexpr std::uint64_t flag_return_headers = 2;
constexpr std::uint64_t flag_return_full = 4;
constexpr std::uint64_t flag_by_return = 8;
constexpr std::uint64_t flag_by_trace = 16;
constexpr std::uint64_t flag_require_tls = 32;
constexpr std::uint64_t flag_tls_not_required = 64;
constexpr int priority_offset = 10; // no zero, which is not written
constexpr std::uint64_t flag_reported = 1;
constexpr std::uint64_t flag_delay_warned = 2;
constexpr std::uint64_t flag_success_due = 4;

std::uint64_t number_of(wall_time time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

std::string encode_recipient(const recipient& to, const recipient_state& state, std::size_t text_max) {
  field_writer out;
  out.text(recipient_tag::address, to.address);
  out.text(recipient_tag::original_address, to.original_address);
  out.number(recipient_tag::notify, to.notify);
  out.number(recipient_tag::status, static_cast<std::uint64_t>(state.status));
  out.number(recipient_tag::attempts, state.attempts);
  out.number(recipient_tag::unknown, state.unknown);
  out.number(recipient_tag::reply_code, std::min<std::uint64_t>(state.last_reply.code, reply_code_max));
  out.text(recipient_tag::reply_status, state.last_reply.status);
  out.text(recipient_tag::reply_text, std::string_view{state.last_reply.text}.substr(0, text_max));
  out.text(recipient_tag::remote, std::string_view{state.remote}.substr(0, text_max));
  out.number(recipient_tag::last_attempt, number_of(state.last_attempt));
  out.number(recipient_tag::due, number_of(state.due));
  out.number(recipient_tag::flags, (state.reported ? flag_reported : 0) | (state.delay_warned ? flag_delay_warned : 0) |
                                       (state.success_due ? flag_success_due : 0));
  return out.bytes();
}

std::string encode_received(const received_facts& facts) {
  field_writer out;
  out.number(received_tag::time, number_of(facts.time));
  out.text(received_tag::peer_address, facts.peer_address);
  out.number(received_tag::peer_port, facts.peer_port);
  out.text(received_tag::helo, facts.helo);
  out.text(received_tag::listener, facts.listener);
  out.text(received_tag::user, facts.user);
  out.text(received_tag::protocol, facts.protocol);
  return out.bytes();
}

std::uint64_t envelope_flags(const envelope& of) {
  auto by = of.deliver_by.value_or(deliver_by{});
  return (of.smtputf8 ? flag_smtputf8 : 0) | (of.returns == return_type::headers ? flag_return_headers : 0) |
         (of.returns == return_type::full ? flag_return_full : 0) | (by.return_it ? flag_by_return : 0) |
         (by.trace ? flag_by_trace : 0) | (of.require_tls ? flag_require_tls : 0) |
         (of.tls_not_required ? flag_tls_not_required : 0);
}

std::string encode(const message& known, const record& state, std::size_t text_max) {
  field_writer out;
  out.element(tag::id, {reinterpret_cast<const char*>(known.id.raw.bytes), sizeof known.id.raw.bytes});
  out.text(tag::reverse_path, known.envelope.reverse_path);
  out.number(tag::envelope_flags, envelope_flags(known.envelope));
  out.number(tag::body, static_cast<std::uint64_t>(known.envelope.body));
  out.text(tag::envelope_id, known.envelope.envelope_id);
  out.text(tag::received, encode_received(known.received));
  for (std::size_t i = 0; i < known.from_domains.size() && i < from_domains_max; ++i)
    out.text(tag::from_domain, known.from_domains[i]);
  out.text(tag::subject, std::string_view{known.subject}.substr(0, subject_size_max));
  out.number(tag::size, known.size);
  out.number(tag::attempts, state.attempts);
  out.number(tag::first_queued, number_of(state.first_queued));
  out.number(tag::next_due, number_of(state.next_due));
  out.number(tag::held, state.held ? 1 : 0);
  out.text(tag::last_error, std::string_view{state.last_error}.substr(0, reply_text_size_max));
  if (known.envelope.priority)
    out.number(tag::priority, static_cast<std::uint64_t>(*known.envelope.priority + priority_offset));
  if (known.envelope.deliver_by)
    out.number(tag::deliver_until, number_of(known.envelope.deliver_by->until));
  if (known.envelope.held_until != wall_time{})
    out.number(tag::held_until, number_of(known.envelope.held_until));
  for (std::size_t i = 0; i < state.recipients.size(); ++i)
    out.element(tag::recipient, encode_recipient(known.envelope.recipients[i], state.recipients[i], text_max));
  return std::string{magic} + version + out.bytes();
}

/// Fills values in from fields, and remembers the first field that was wrong.
class decoder {
public:
  result<stored> run(std::string_view bytes, const message_id& id) {
    out_.message.id = id;
    for_each(bytes, [this](const field_reader& field) { top(field); });
    finish();
    if (!wrong_.empty())
      return std::unexpected{error{HEDWIG_E_CORRUPT, "metadata: " + wrong_, id.text()}};
    return std::move(out_);
  }

private:
  template <class Visit>
  void for_each(std::string_view bytes, Visit visit) {
    field_reader field{bytes};
    while (wrong_.empty() && field.next())
      visit(field);
    if (field.broken())
      reject("a field ends beyond the bytes");
  }

  void reject(std::string what) {
    if (wrong_.empty())
      wrong_ = std::move(what);
  }

  template <class Number>
  void number(const field_reader& field, Number& into, std::uint64_t max) {
    if (auto value = field.number(max))
      into = static_cast<Number>(*value);
    else
      reject(fmt::format("field {} is no number up to {}", field.tag(), max));
  }
  template <class Number>
  void number(const field_reader& field, Number& into) {
    number(field, into, std::numeric_limits<Number>::max());
  }
  void time(const field_reader& field, wall_time& into) {
    std::uint64_t value = 0;
    number(field, value);
    into = wall_time{std::chrono::nanoseconds{static_cast<std::int64_t>(value)}};
  }
  void path(const field_reader& field, std::string& into) {
    if (!is_path_text(field.value()))
      reject("an address holds control characters or is too long");
    else
      into = field.value();
  }

  // What the flags say holds only with the field that they belong to.
  void finish() {
    auto& envelope = out_.message.envelope;
    if (deliver_until_ != wall_time{})
      envelope.deliver_by = {deliver_until_, (flags_ & flag_by_return) != 0, (flags_ & flag_by_trace) != 0};
    take_limits(out_.record, envelope);
  }

  void top(const field_reader& field) {
    auto& taken = out_.message;
    auto& state = out_.record;
    std::uint64_t bits = 0;
    switch (field.tag()) {
    case tag::reverse_path:
      return path(field, taken.envelope.reverse_path);
    case tag::envelope_flags:
      number(field, bits);
      flags_ = bits;
      taken.envelope.require_tls = (bits & flag_require_tls) != 0;
      taken.envelope.tls_not_required = (bits & flag_tls_not_required) != 0;
      taken.envelope.smtputf8 = (bits & flag_smtputf8) != 0;
      taken.envelope.returns = (bits & flag_return_headers) != 0 ? return_type::headers
                               : (bits & flag_return_full) != 0  ? return_type::full
                                                                 : return_type::unsaid;
      return;
    case tag::body:
      return number(field, taken.envelope.body, static_cast<std::uint64_t>(body_type::binary_mime));
    case tag::envelope_id:
      taken.envelope.envelope_id = field.value();
      return;
    case tag::recipient:
      return one_recipient(field.value());
    case tag::received:
      return for_each(field.value(), [this](const field_reader& inner) { facts(inner); });
    case tag::from_domain:
      if (taken.from_domains.size() < from_domains_max)
        taken.from_domains.emplace_back(field.value());
      return;
    case tag::subject:
      taken.subject = field.value().substr(0, subject_size_max);
      return;
    case tag::size:
      return number(field, taken.size);
    case tag::attempts:
      return number(field, state.attempts);
    case tag::first_queued:
      return time(field, state.first_queued);
    case tag::next_due:
      return time(field, state.next_due);
    case tag::held:
      return number(field, state.held, 1);
    case tag::last_error:
      state.last_error = field.value().substr(0, reply_text_size_max);
      return;
    case tag::priority:
      number(field, bits, priority_max + priority_offset);
      if (bits > 0)
        taken.envelope.priority = static_cast<std::int8_t>(static_cast<int>(bits) - priority_offset);
      return;
    case tag::deliver_until:
      return time(field, deliver_until_);
    case tag::held_until:
      return time(field, taken.envelope.held_until);
    default: // of a later version
      return;
    }
  }

  void one_recipient(std::string_view bytes) {
    if (out_.record.recipients.size() == recipients_max)
      return reject("too many recipients");
    auto& to = out_.message.envelope.recipients.emplace_back();
    auto& state = out_.record.recipients.emplace_back();
    for_each(bytes, [&](const field_reader& field) { recipient_field(field, to, state); });
  }

  void recipient_field(const field_reader& field, recipient& to, recipient_state& state) {
    std::uint64_t bits = 0;
    switch (field.tag()) {
    case recipient_tag::address:
      return path(field, to.address);
    case recipient_tag::original_address:
      to.original_address = field.value();
      return;
    case recipient_tag::notify:
      return number(field, to.notify);
    case recipient_tag::status:
      return number(field, state.status, static_cast<std::uint64_t>(recipient_status::expired));
    case recipient_tag::attempts:
      return number(field, state.attempts);
    case recipient_tag::unknown:
      return number(field, state.unknown);
    case recipient_tag::reply_code:
      return number(field, state.last_reply.code, reply_code_max);
    case recipient_tag::reply_status:
      state.last_reply.status = field.value();
      return;
    case recipient_tag::reply_text:
      state.last_reply.text = field.value();
      return;
    case recipient_tag::remote:
      state.remote = field.value();
      return;
    case recipient_tag::last_attempt:
      return time(field, state.last_attempt);
    case recipient_tag::due:
      return time(field, state.due);
    case recipient_tag::flags:
      number(field, bits);
      state.reported = (bits & flag_reported) != 0;
      state.delay_warned = (bits & flag_delay_warned) != 0;
      state.success_due = (bits & flag_success_due) != 0;
      return;
    default:
      return;
    }
  }

  void facts(const field_reader& field) {
    auto& known = out_.message.received;
    switch (field.tag()) {
    case received_tag::time:
      return time(field, known.time);
    case received_tag::peer_address:
      known.peer_address = field.value();
      return;
    case received_tag::peer_port:
      return number(field, known.peer_port);
    case received_tag::helo:
      known.helo = field.value();
      return;
    case received_tag::listener:
      known.listener = field.value();
      return;
    case received_tag::user:
      known.user = field.value();
      return;
    case received_tag::protocol:
      known.protocol = field.value();
      return;
    default:
      return;
    }
  }

  stored out_;
  std::uint64_t flags_ = 0;
  wall_time deliver_until_{};
  std::string wrong_;
};

/// What stands behind the mark, in its line.
std::optional<std::string> marked_damage(std::string_view bytes) {
  constexpr std::string_view damaged_mark = HEDWIG_DAMAGED_MARK;
  if (!bytes.starts_with(damaged_mark))
    return std::nullopt;
  bytes.remove_prefix(damaged_mark.size());
  return std::string{bytes.substr(0, std::min(bytes.find('\n'), reply_text_size_max))};
}

} // namespace

result<std::string> encode_metadata(const message& known, const record& state) {
  auto count = state.recipients.size();
  if (count != known.envelope.recipients.size() || count > recipients_max)
    return std::unexpected{error{HEDWIG_E_INVALID,
                                 fmt::format("{} recipients with {} states; at most {}",
                                             known.envelope.recipients.size(), count, recipients_max),
                                 known.id.text()}};
  // What could not be read back must not be acknowledged.
  auto readable = [](const recipient& to) { return is_path_text(to.address); };
  if (!is_path_text(known.envelope.reverse_path) || !std::ranges::all_of(known.envelope.recipients, readable))
    return std::unexpected{
        error{HEDWIG_E_INVALID, "an address holds control characters or is too long", known.id.text()}};
  for (std::size_t text_max : {reply_text_size_max, std::size_t{64}, std::size_t{0}})
    if (auto bytes = encode(known, state, text_max); bytes.size() <= metadata_size_max)
      return bytes;
  return std::unexpected{error{HEDWIG_E_INVALID,
                               fmt::format("metadata of {} recipients exceeds {} bytes", count, metadata_size_max),
                               known.id.text()}};
}

result<stored> decode_metadata(std::string_view bytes, const message_id& id) {
  if (auto why = marked_damage(bytes))
    return std::unexpected{error{HEDWIG_E_CORRUPT, *why, id.text()}};
  if (is_v0_10(bytes))
    return decode_v0_10(bytes, id);
  if (bytes.size() > metadata_size_max)
    return std::unexpected{error{HEDWIG_E_CORRUPT, "metadata: too long", id.text()}};
  if (!bytes.starts_with(magic) || bytes.size() == magic.size())
    return std::unexpected{error{HEDWIG_E_CORRUPT, "metadata: does not start as Hedwig's", id.text()}};
  if (bytes[magic.size()] != version)
    return std::unexpected{error{HEDWIG_E_UNSUPPORTED, "metadata: written by a newer Hedwig", id.text()}};
  return decoder{}.run(bytes.substr(magic.size() + 1), id);
}

std::string damaged_metadata(std::string_view bytes, const message_id& id, std::string_view why) {
  if (marked_damage(bytes))
    return std::string{bytes};
  auto line = why.substr(0, reply_text_size_max);
  if (auto known = decode_metadata(bytes, id)) {
    known->record.last_error = std::string{damaged_prefix}.append(line);
    if (auto encoded = encode_metadata(known->message, known->record))
      return std::move(*encoded);
  }
  std::string made{HEDWIG_DAMAGED_MARK};
  for (char c : line)
    made += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  made += '\n';
  return made.append(bytes.substr(0, metadata_size_max - made.size()));
}

std::optional<std::string> damage_of(std::string_view bytes, const message_id& id) {
  if (auto why = marked_damage(bytes))
    return why;
  auto known = decode_metadata(bytes, id);
  if (!known || !known->record.last_error.starts_with(damaged_prefix))
    return std::nullopt;
  return known->record.last_error.substr(damaged_prefix.size());
}

} // namespace hedwig::queue
