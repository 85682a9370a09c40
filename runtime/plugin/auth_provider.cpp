// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/auth_provider.hpp"

#include "runtime/plugin/delivery.hpp"
#include "runtime/plugin/op_table.hpp"
#include "runtime/plugin/table_copy.hpp"
#include "runtime/plugin/text_view.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::size_t text_max = 64 * 1024;
constexpr std::size_t lists_octets_max = 256 * 1024; // of all three

hedwig_str str(std::string_view text) { return {text.data(), text.size()}; }
std::string text(hedwig_str from) { return std::string{text_view(from)}; }
std::string text(hedwig_bytes from) { return std::string{text_view(from)}; }

std::unexpected<error> broken(std::string message) {
  return std::unexpected{error{HEDWIG_E_INTERNAL, std::move(message), {}, 0}};
}

/// Not optimised away: the memory is about to be freed.
void wipe(std::string& secret) noexcept {
  volatile char* at = secret.data();
  for (std::size_t i = 0; i < secret.size(); ++i)
    at[i] = 0;
}

std::size_t octets_of(const hedwig_auth_result& from) {
  std::size_t octets = 0;
  for (std::size_t i = 0; i < from.group_count; ++i)
    octets += text_view(from.groups[i]).size();
  for (std::size_t i = 0; i < from.attribute_count; ++i)
    octets += text_view(from.attributes[i].key).size() + text_view(from.attributes[i].value).size();
  for (std::size_t i = 0; i < from.sender_count; ++i)
    octets += text_view(from.senders[i]).size();
  return octets;
}

result<identity> copy_identity(const void* raw) {
  if (raw == nullptr)
    return broken("the provider said yes without saying to whom");
  auto from = copy_growing<hedwig_auth_result>(raw);
  if (from.identity.data == nullptr || from.identity.size == 0 || from.identity.size > text_max)
    return broken("the provider said yes without an identity");
  constexpr auto most = identity::list_max;
  if (from.group_count > most || from.attribute_count > most || from.sender_count > most)
    return broken("the provider gave more groups, attributes or senders than the limit of 10000");
  identity who;
  who.name = text(from.identity);
  if (octets_of(from) > lists_octets_max)
    return broken("the provider gave more than 256 KiB of groups, attributes and senders");
  for (std::size_t i = 0; i < from.group_count; ++i)
    who.groups.push_back(text(from.groups[i]));
  for (std::size_t i = 0; i < from.attribute_count; ++i)
    who.attributes.emplace_back(text(from.attributes[i].key), text(from.attributes[i].value));
  for (std::size_t i = 0; i < from.sender_count; ++i)
    who.senders.push_back(text(from.senders[i]));
  if (from.limits != nullptr) {
    auto limits = copy_growing<hedwig_auth_limits>(from.limits);
    who.limits = {limits.connections, limits.message_size, limits.recipients_per_message, limits.messages_per_hour,
                  limits.recipients_per_day};
  }
  who.cache_for = std::chrono::nanoseconds{std::max<hedwig_duration_ns>(from.cache_for, 0)};
  return who;
}

result<scram_secret> copy_scram(const void* raw) {
  if (raw == nullptr)
    return broken("the provider gave no SCRAM secret");
  auto from = copy_growing<hedwig_scram_result>(raw);
  auto who = copy_identity(from.identity);
  if (!who)
    return std::unexpected{who.error()};
  if (from.iterations == 0 || from.salt.size == 0 || from.stored_key.size == 0 || from.server_key.size == 0)
    return broken("the provider gave an incomplete SCRAM secret");
  return scram_secret{from.iterations, text(from.salt), text(from.stored_key), text(from.server_key), std::move(*who)};
}

template <class T>
result<outcome> wrap(result<T> value) {
  if (!value)
    return std::unexpected{std::move(value.error())};
  return outcome{std::move(*value)};
}

class auth_op : public pending_op {
public:
  auth_op(auth_request request, bool scram) : request_{std::move(request)}, scram_{scram} {
    raw = {.struct_size = sizeof raw,
           .flags = (request_.tls ? HEDWIG_SESSION_TLS : 0) |
                    (request_.client_certificate ? HEDWIG_SESSION_CLIENT_CERTIFICATE : 0),
           .mechanism = str(request_.mechanism),
           .username = str(request_.username),
           .authorize_as = str(request_.authorize_as),
           .peer = str(request_.peer),
           .listener = str(request_.listener),
           .session = str(request_.session),
           .secret = {reinterpret_cast<const std::uint8_t*>(request_.secret.data()), request_.secret.size()}};
  }
  ~auth_op() override { wipe(request_.secret); }

  result<outcome> decode(const void* answer) override {
    return scram_ ? wrap(copy_scram(answer)) : wrap(copy_identity(answer));
  }

  hedwig_auth_request raw{};

private:
  auth_request request_;
  bool scram_;
};

} // namespace

result<std::shared_ptr<auth_provider>> auth_provider::make(std::shared_ptr<instance> owner) {
  if (owner->provider().interface_id() != HEDWIG_AUTH)
    return std::unexpected{error{HEDWIG_E_INVALID, "is not an auth provider", owner->name(), 0}};
  return std::shared_ptr<auth_provider>{new auth_provider{std::move(owner)}};
}

auth_provider::auth_provider(std::shared_ptr<instance> owner)
  : owner_{std::move(owner)}, table_{copy_growing<hedwig_auth>(owner_->provider().provider->interface)} {}

bool auth_provider::verifies_passwords() const noexcept { return table_.verify_password != nullptr; }
bool auth_provider::verifies_tokens() const noexcept { return table_.verify_token != nullptr; }
bool auth_provider::fetches_scram() const noexcept { return table_.fetch_scram != nullptr; }
bool auth_provider::looks_up() const noexcept { return table_.lookup != nullptr; }

void auth_provider::verify_password(auth_request request, reply_to reply) {
  ask(0, table_.verify_password, "verify_password", std::move(request), std::move(reply));
}
void auth_provider::verify_token(auth_request request, reply_to reply) {
  ask(1, table_.verify_token, "verify_token", std::move(request), std::move(reply));
}
void auth_provider::fetch_scram(auth_request request, reply_to reply) {
  ask(2, table_.fetch_scram, "fetch_scram", std::move(request), std::move(reply));
}
void auth_provider::lookup(auth_request request, reply_to reply) {
  ask(3, table_.lookup, "lookup", std::move(request), std::move(reply));
}

void auth_provider::ask(std::uint8_t kind, hedwig_auth_fn function, const char* call, auth_request request,
                        reply_to reply) {
  auto op = std::make_unique<auth_op>(std::move(request), function != nullptr && function == table_.fetch_scram);
  if (function == nullptr)
    return deliver(std::move(reply),
                   std::unexpected{error{HEDWIG_E_UNSUPPORTED, "the provider cannot do this", owner_->name(), 0}});
  op->name = call;
  op->kind = kind;
  op->reply = std::move(reply);
  owner_->submit(std::move(op), [function, self = owner_->self()](hedwig_op* handle, pending_op& shown) {
    function(self, handle, &static_cast<auth_op&>(shown).raw);
  });
}

} // namespace hedwig::plugin
