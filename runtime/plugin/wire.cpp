// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/wire.hpp"

namespace hedwig::plugin::wire {

namespace {

constexpr std::size_t head_size = sizeof(std::uint8_t) + sizeof(std::uint64_t);
constexpr int config_depth_max = 8;

using pairs = std::vector<std::pair<std::string, std::string>>;

void put_texts(writer& to, const std::vector<std::string>& all) {
  to.number(static_cast<std::uint32_t>(all.size()));
  for (auto& one : all)
    to.text(one);
}
std::vector<std::string> get_texts(reader& from, std::size_t most = ~std::size_t{0}) {
  std::vector<std::string> all(from.count(sizeof(std::uint32_t), most));
  for (auto& one : all)
    one = from.text();
  return all;
}
void put_pairs(writer& to, const pairs& all) {
  to.number(static_cast<std::uint32_t>(all.size()));
  for (auto& [key, value] : all)
    to.text(key).text(value);
}
pairs get_pairs(reader& from, std::size_t most = ~std::size_t{0}) {
  pairs all(from.count(2 * sizeof(std::uint32_t), most));
  for (auto& [key, value] : all) {
    key = from.text();
    value = from.text();
  }
  return all;
}

void put_body(writer& to, const rope& body) {
  to.number(static_cast<std::uint32_t>(body.size()));
  for (auto& part : body.parts())
    to.bytes() += part.view();
}

} // namespace

std::string make_frame(frame kind, std::uint64_t number, std::string_view payload) {
  writer out;
  out.bytes().reserve(sizeof(std::uint32_t) + head_size + payload.size());
  out.number(static_cast<std::uint32_t>(head_size + payload.size()))
      .number(static_cast<std::uint8_t>(kind))
      .number(number);
  out.bytes() += payload;
  return std::move(out.bytes());
}

std::optional<received> frame_reader::next() {
  std::string_view there{buffer_.data() + at_, buffer_.size() - at_};
  if (broken_ || there.size() < sizeof(std::uint32_t))
    return std::nullopt;
  std::uint32_t size = 0;
  std::memcpy(&size, there.data(), sizeof size);
  there.remove_prefix(sizeof size);
  if (size < head_size || size > frame_max) {
    broken_ = true;
    return std::nullopt;
  }
  if (there.size() < size)
    return std::nullopt;
  reader head{there.substr(0, head_size)};
  received out;
  auto kind = head.number<std::uint8_t>();
  out.number = head.number<std::uint64_t>();
  if (kind < static_cast<std::uint8_t>(frame::hello) || kind > static_cast<std::uint8_t>(frame::faults)) {
    broken_ = true;
    return std::nullopt;
  }
  out.kind = static_cast<frame>(kind);
  out.payload = there.substr(head_size, size - head_size);
  at_ += sizeof size + size;
  if (at_ == buffer_.size() || at_ > 64 * 1024) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  return out;
}

void put(writer& to, const error& value) {
  to.number(value.status).number(static_cast<std::int32_t>(value.os_errno)).text(value.where).text(value.message);
}
void get(reader& from, error& value) {
  value.status = from.number<hedwig_status>();
  value.os_errno = from.number<std::int32_t>();
  value.where = from.text();
  value.message = from.text();
}

void put(writer& to, const filter_session_view& value) {
  to.number(static_cast<std::uint8_t>(value.tls)).number(static_cast<std::uint8_t>(value.client_certificate));
  for (auto* one : {&value.session, &value.listener, &value.peer, &value.peer_name, &value.local, &value.tls_version,
                    &value.tls_cipher, &value.helo, &value.identity})
    to.text(*one);
  static const user_facts nothing;
  auto& user = value.user ? *value.user : nothing;
  put_texts(to, user.groups);
  put_pairs(to, user.attributes);
}
void get(reader& from, filter_session_view& value) {
  value.tls = from.number<std::uint8_t>() != 0;
  value.client_certificate = from.number<std::uint8_t>() != 0;
  for (auto* one : {&value.session, &value.listener, &value.peer, &value.peer_name, &value.local, &value.tls_version,
                    &value.tls_cipher, &value.helo, &value.identity})
    *one = from.text();
  auto groups = get_texts(from);
  auto attributes = get_pairs(from);
  if (!groups.empty() || !attributes.empty())
    value.user = std::make_shared<const user_facts>(std::move(groups), std::move(attributes));
}

void put(writer& to, const filter_address& value) {
  to.text(value.address);
  put_pairs(to, value.parameters);
}
void get(reader& from, filter_address& value) {
  value.address = from.text();
  value.parameters = get_pairs(from);
}

void put(writer& to, const filter_header& value) {
  to.number(value.index).text(value.name).text(value.value).text(value.raw);
}
void get(reader& from, filter_header& value) {
  value.index = from.number<std::uint32_t>();
  value.name = from.text();
  value.value = from.text();
  value.raw = from.text();
}

void put(writer& to, const filter_message& value) {
  to.text({reinterpret_cast<const char*>(&value.id.raw), sizeof value.id.raw}).text(value.sender);
  put_texts(to, value.recipients);
  to.number(value.size);
}
void get(reader& from, filter_message& value) {
  auto id = from.text();
  if (id.size() == sizeof value.id.raw)
    std::memcpy(&value.id.raw, id.data(), id.size());
  else
    from.fault();
  value.sender = from.text();
  value.recipients = get_texts(from);
  value.size = from.number<std::uint64_t>();
}

void put(writer& to, const filter_delivery& value) {
  put(to, value.message);
  to.number(value.attempt).text(value.destination);
}
void get(reader& from, filter_delivery& value) {
  get(from, value.message);
  value.attempt = from.number<std::uint32_t>();
  value.destination = from.text();
}

void put(writer& to, const verdict& value) {
  to.number(static_cast<std::uint8_t>(value.action)).number(static_cast<std::int32_t>(value.code));
  to.text(value.enhanced_code).text(value.text).number(static_cast<std::uint32_t>(value.edits.size()));
  for (auto& one : value.edits) {
    to.number(static_cast<std::uint8_t>(one.kind)).text(one.name).text(one.value).number(one.index);
    to.number(static_cast<std::uint8_t>(one.folded));
    put_body(to, one.body);
  }
}
void get(reader& from, verdict& value) {
  value.action = static_cast<verdict_action>(from.number<std::uint8_t>()); // judged as any plugin's
  value.code = from.number<std::int32_t>();
  value.enhanced_code = from.text();
  value.text = from.text();
  value.edits.resize(from.count(18, verdict::max_edits));
  for (auto& one : value.edits) {
    one.kind = static_cast<edit_kind>(from.number<std::uint8_t>());
    one.name = from.text();
    one.value = from.text();
    one.index = from.number<std::uint32_t>();
    one.folded = from.number<std::uint8_t>() != 0;
    if (auto body = from.text(); !body.empty())
      one.body.append_copy(body);
  }
}

void put(writer& to, const auth_request& value) {
  to.number(static_cast<std::uint8_t>(value.tls)).number(static_cast<std::uint8_t>(value.client_certificate));
  for (auto* one : {&value.mechanism, &value.username, &value.authorize_as, &value.peer, &value.listener,
                    &value.session, &value.secret})
    to.text(*one);
}
void get(reader& from, auth_request& value) {
  value.tls = from.number<std::uint8_t>() != 0;
  value.client_certificate = from.number<std::uint8_t>() != 0;
  for (auto* one : {&value.mechanism, &value.username, &value.authorize_as, &value.peer, &value.listener,
                    &value.session, &value.secret})
    *one = from.text();
}

void put(writer& to, const identity& value) {
  to.text(value.name);
  put_texts(to, value.groups);
  put_pairs(to, value.attributes);
  put_texts(to, value.senders);
  auto& most = value.limits;
  to.number(most.connections).number(most.message_size).number(most.recipients_per_message);
  to.number(most.messages_per_hour).number(most.recipients_per_day);
  to.number(static_cast<std::int64_t>(value.cache_for.count()));
}
void get(reader& from, identity& value) {
  value.name = from.text();
  value.groups = get_texts(from, identity::list_max);
  value.attributes = get_pairs(from, identity::list_max);
  value.senders = get_texts(from, identity::list_max);
  auto& most = value.limits;
  most.connections = from.number<std::uint32_t>();
  most.message_size = from.number<std::uint64_t>();
  most.recipients_per_message = from.number<std::uint32_t>();
  most.messages_per_hour = from.number<std::uint32_t>();
  most.recipients_per_day = from.number<std::uint32_t>();
  value.cache_for = std::chrono::nanoseconds{from.number<std::int64_t>()};
}

void put(writer& to, const scram_secret& value) {
  to.number(value.iterations).text(value.salt).text(value.stored_key).text(value.server_key);
  put(to, value.who);
}
void get(reader& from, scram_secret& value) {
  value.iterations = from.number<std::uint32_t>();
  value.salt = from.text();
  value.stored_key = from.text();
  value.server_key = from.text();
  get(from, value.who);
}

void put(writer& to, const hedwig_config& value) {
  to.number(static_cast<std::uint32_t>(value.values.size()));
  for (auto& [name, held] : value.values) {
    to.text(name).number(static_cast<std::uint8_t>(held.index()));
    if (auto* text = std::get_if<std::string>(&held))
      to.text(*text);
    else if (auto* integer = std::get_if<std::int64_t>(&held))
      to.number(*integer);
    else if (auto* boolean = std::get_if<bool>(&held))
      to.number(static_cast<std::uint8_t>(*boolean));
    else if (auto* texts = std::get_if<std::vector<std::string>>(&held))
      put_texts(to, *texts);
    else if (auto* tables = std::get_if<hedwig_config::tables>(&held)) {
      to.number(static_cast<std::uint32_t>(tables->size()));
      for (auto& table : *tables)
        put(to, *table);
    }
  }
}
void get(reader& from, hedwig_config& value, int depth) {
  if (depth > config_depth_max)
    return from.fault();
  for (auto left = from.count(6); left > 0; --left) {
    auto& held = value.values[std::string{from.text()}];
    switch (from.number<std::uint8_t>()) {
    case 0:
      held = std::string{from.text()};
      break;
    case 1:
      held = from.number<std::int64_t>();
      break;
    case 2:
      held = from.number<std::uint8_t>() != 0;
      break;
    case 3:
      held = get_texts(from);
      break;
    case 4: {
      hedwig_config::tables tables;
      for (auto more = from.count(sizeof(std::uint32_t)); more > 0; --more) {
        auto table = std::make_shared<hedwig_config>();
        get(from, *table, depth + 1);
        tables.push_back(std::move(table));
      }
      held = std::move(tables);
      break;
    }
    default:
      return from.fault();
    }
  }
}

} // namespace hedwig::plugin::wire
