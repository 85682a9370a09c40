// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/filter_op.hpp"

#include "runtime/plugin/current_call.hpp"
#include "runtime/plugin/delivery.hpp"

namespace hedwig::plugin {

namespace {
hedwig_str str(std::string_view text) { return {text.data(), text.size()}; }
hedwig_bytes bytes(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
} // namespace

void session_shown::assign(filter_session_view view) {
  owned = std::move(view);
  groups.clear();
  attributes.clear();
  if (owned.user) {
    for (auto& one : owned.user->groups)
      groups.push_back(str(one));
    for (auto& [key, value] : owned.user->attributes)
      attributes.push_back({str(key), str(value)});
  }
  raw = {.struct_size = sizeof raw,
         .flags =
             (owned.tls ? HEDWIG_SESSION_TLS : 0) | (owned.client_certificate ? HEDWIG_SESSION_CLIENT_CERTIFICATE : 0),
         .session = str(owned.session),
         .listener = str(owned.listener),
         .peer = str(owned.peer),
         .peer_name = str(owned.peer_name),
         .local = str(owned.local),
         .tls_version = str(owned.tls_version),
         .tls_cipher = str(owned.tls_cipher),
         .helo = str(owned.helo),
         .identity = str(owned.identity),
         .groups = groups.data(),
         .group_count = groups.size(),
         .attributes = attributes.data(),
         .attribute_count = attributes.size()};
}

address_shown::address_shown(filter_address address) : owned{std::move(address)} {
  for (auto& [key, value] : owned.parameters)
    parameters.push_back({str(key), str(value)});
  raw = {sizeof raw, 0, str(owned.address), parameters.data(), parameters.size()};
}

header_shown::header_shown(filter_header header) : owned{std::move(header)} {
  raw = {sizeof raw, owned.index, str(owned.name), str(owned.value), bytes(owned.raw)};
}

slice_shown::slice_shown(slice chunk) : owned{std::move(chunk)} {
  raw = {owned.owner().raw(), reinterpret_cast<const std::uint8_t*>(owned.view().data()), owned.size()};
}

message_shown::message_shown(filter_message message) : owned{std::move(message)} {
  for (auto& recipient : owned.recipients)
    recipients.push_back(str(recipient));
  raw = {sizeof raw, static_cast<std::uint32_t>(recipients.size()), owned.id.raw, str(owned.sender), recipients.data(),
         owned.size};
}

delivery_shown::delivery_shown(filter_delivery delivery)
  : destination{std::move(delivery.destination)}, message{std::move(delivery.message)} {
  raw = {sizeof raw, delivery.attempt, &message.raw, str(destination)};
}

namespace {

template <class Shown, class Value>
hook_argument hold(Value value) {
  auto made = std::make_shared<const Shown>(std::move(value));
  const auto* raw = &made->raw;
  return {std::move(made), raw};
}

} // namespace

namespace {

struct fields_shown {
  explicit fields_shown(mail::header_block of) : block{std::move(of)} {
    raw.reserve(block.fields().size());
    for (auto& field : block.fields()) {
      auto index = static_cast<std::uint32_t>(raw.size() + 1);
      raw.push_back({sizeof(hedwig_filter_header), index, str(field.name), str(unfolded(field.value)),
                     bytes({field.name.data(), field.size})});
    }
  }
  /// In the block itself where it stands there so, which is nearly always.
  std::string_view unfolded(std::string_view value) {
    if (auto plain = mail::unfolded_already(value))
      return *plain;
    if (values.empty())
      values.reserve(block.size()); // all together are not longer, so it does not move
    auto at = values.size();
    values += mail::unfold(value);
    return std::string_view{values}.substr(at);
  }

  mail::header_block block;
  std::string values;
  std::vector<hedwig_filter_header> raw;
};

} // namespace

header_shown_whole shown(mail::header_block block) {
  auto all = std::make_shared<const fields_shown>(std::move(block));
  std::span fields{all->raw};
  return {std::move(all), fields};
}

hook_argument shown(filter_session_view view) { return hold<session_shown>(std::move(view)); }
hook_argument shown(filter_address address) { return hold<address_shown>(std::move(address)); }
hook_argument shown(filter_header header) { return hold<header_shown>(std::move(header)); }
hook_argument shown(slice chunk) { return hold<slice_shown>(std::move(chunk)); }
hook_argument shown(filter_message message) { return hold<message_shown>(std::move(message)); }
hook_argument shown(filter_delivery delivery) { return hold<delivery_shown>(std::move(delivery)); }

void filter_op::make(void* state, hedwig_op* handle) const {
  auto session = static_cast<const hedwig_filter_session*>(what_.raw);
  auto address = static_cast<const hedwig_filter_address*>(what_.raw);
  switch (which_) {
  case hook::connect:
    return table_.on_connect(state, handle, session);
  case hook::helo:
    return table_.on_helo(state, handle, session);
  case hook::auth:
    return table_.on_auth(state, handle, session);
  case hook::mail:
    return table_.on_mail(state, handle, address);
  case hook::recipient:
    return table_.on_recipient(state, handle, address);
  case hook::header:
    return table_.on_header(state, handle, static_cast<const hedwig_filter_header*>(what_.raw));
  case hook::body:
    return table_.on_body(state, handle, static_cast<const hedwig_slice*>(what_.raw));
  case hook::end:
    return table_.on_end(state, handle, static_cast<const hedwig_filter_message*>(what_.raw));
  case hook::delivery:
    return table_.on_delivery(state, handle, static_cast<const hedwig_filter_delivery*>(what_.raw));
  }
}

hook_run run_hook(instance& owner, std::unique_ptr<filter_op> op, std::optional<op_table::kept_slot>& slot,
                  result<void*> (*state)(void*), void* context) {
  const auto* name = op->name;
  inline_answer answer;
  auto* handle = owner.open(std::move(op), slot);
  if (handle == nullptr)
    return {};
  slot.reset();
  answer.expect(handle);
  if (auto* shown = owner.begin(handle)) {
    if (auto of = state(context)) {
      call_scope scope{owner.name().c_str(), name};
      static_cast<filter_op*>(shown)->make(*of, handle);
    } else {
      owner.refuse(handle, std::move(of.error()));
    }
  }
  hook_run out;
  if ((out.call = std::move(answer.call())) != nullptr)
    slot = op_table::slot_of(handle);
  out.proceeds = answer.passed();
  if (auto& value = answer.value(); value && *value)
    out.answer = std::move(as<verdict>(**value));
  else if (value)
    out.answer = std::unexpected{std::move(value->error())};
  return out;
}

} // namespace hedwig::plugin
