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
         .identity = str(owned.identity)};
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

hook_answer run_hook(instance& owner, std::unique_ptr<filter_op> op, const std::function<result<void*>()>& state) {
  const auto* name = op->name;
  inline_answer answer;
  auto* handle = owner.open(std::move(op));
  if (handle == nullptr)
    return std::nullopt;
  answer.expect(handle);
  if (auto* shown = owner.begin(handle)) {
    if (auto of = state()) {
      call_scope scope{owner.name().c_str(), name};
      static_cast<filter_op*>(shown)->make(*of, handle);
    } else {
      owner.refuse(handle, std::move(of.error()));
    }
  }
  if (!answer.value())
    return std::nullopt;
  if (!*answer.value())
    return std::unexpected{answer.value()->error()};
  return as<verdict>(**answer.value());
}

} // namespace hedwig::plugin
