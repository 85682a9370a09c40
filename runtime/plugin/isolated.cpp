// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/isolated.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

#include "runtime/plugin/instance.hpp"
#include "runtime/plugin/isolated_instance.hpp"
#include "runtime/plugin/table_copy.hpp"
#include "runtime/plugin/text_view.hpp"
#include "runtime/plugin/wire.hpp"

namespace hedwig::plugin {

namespace {

constinit thread_local isolated_provider* being_created = nullptr;

std::string own(hedwig_str from) { return std::string{text_view(from)}; }

std::shared_ptr<const user_facts> user_of(const hedwig_filter_session& raw) {
  if (raw.group_count == 0 && raw.attribute_count == 0)
    return nullptr;
  auto out = std::make_shared<user_facts>();
  for (std::size_t i = 0; i < raw.group_count; ++i)
    out->groups.push_back(own(raw.groups[i]));
  for (std::size_t i = 0; i < raw.attribute_count; ++i)
    out->attributes.emplace_back(own(raw.attributes[i].key), own(raw.attributes[i].value));
  return out;
}

filter_session_view view_of(const hedwig_filter_session& raw) {
  return {.tls = (raw.flags & HEDWIG_SESSION_TLS) != 0,
          .client_certificate = (raw.flags & HEDWIG_SESSION_CLIENT_CERTIFICATE) != 0,
          .session = own(raw.session),
          .listener = own(raw.listener),
          .peer = own(raw.peer),
          .peer_name = own(raw.peer_name),
          .local = own(raw.local),
          .tls_version = own(raw.tls_version),
          .tls_cipher = own(raw.tls_cipher),
          .helo = own(raw.helo),
          .identity = own(raw.identity),
          .user = user_of(raw)};
}

filter_address value_of(const hedwig_filter_address& raw) {
  filter_address out{own(raw.address), {}};
  for (std::size_t i = 0; i < raw.parameter_count; ++i)
    out.parameters.emplace_back(own(raw.parameters[i].key), own(raw.parameters[i].value));
  return out;
}

filter_header value_of(const hedwig_filter_header& raw) {
  return {raw.index, own(raw.name), own(raw.value), std::string{text_view(raw.raw)}};
}

filter_message value_of(const hedwig_filter_message& raw) {
  filter_message out;
  out.id.raw = raw.id;
  out.sender = own(raw.sender);
  out.size = raw.size;
  for (std::size_t i = 0; i < raw.recipient_count; ++i)
    out.recipients.push_back(own(raw.recipients[i]));
  return out;
}

/// What open() made: which session of which instance.
struct isolated_session {
  isolated_instance* owner;
  std::uint64_t number;
  std::uint64_t generation; ///< of the process that knows it
};

} // namespace

/// The functions behind the tables of an isolated provider.
struct isolated_table {
  static isolated_instance& of(void* self) { return *static_cast<isolated_instance*>(self); }

  static hedwig_status create(const hedwig_host* host, const hedwig_config* config, void** out, hedwig_error*) {
    *out = new isolated_instance{host, being_created->shared_from_this(), *config};
    return HEDWIG_OK;
  }
  static void start(void* self, hedwig_op* op) { of(self).start(op); }
  static void reload(void* self, hedwig_op* op, const hedwig_config* config) { of(self).reload(op, *config); }
  static void stop(void* self, hedwig_op* op) { of(self).stop(op); }
  static void destroy(void* self) { delete &of(self); }

  static hedwig_status open(void* self, const hedwig_filter_session* shown, void** state) {
    wire::writer payload;
    wire::put(payload, view_of(*shown));
    auto [number, generation] = of(self).open(payload.bytes());
    *state = new isolated_session{&of(self), number, generation};
    return HEDWIG_OK;
  }
  static void close(void*, void* state) {
    std::unique_ptr<isolated_session> session{static_cast<isolated_session*>(state)};
    session->owner->tell(wire::frame::close, session->number, session->generation);
  }
  static void reset(void* state) {
    auto& session = *static_cast<isolated_session*>(state);
    session.owner->tell(wire::frame::reset, session.number, session.generation);
  }

  template <hook Which, class Value>
  static void ask(void* state, hedwig_op* op, const Value& value) {
    auto& session = *static_cast<isolated_session*>(state);
    wire::writer payload;
    payload.number(session.number).number(static_cast<std::uint8_t>(Which)).number(session.owner->left(op));
    wire::put(payload, value);
    session.owner->ask(wire::frame::hook, wire::answer_kind::verdict, op, payload.bytes(), session.generation);
  }
  template <hook Which>
  static void on_session(void* state, hedwig_op* op, const hedwig_filter_session* raw) {
    ask<Which>(state, op, view_of(*raw));
  }
  template <hook Which>
  static void on_address(void* state, hedwig_op* op, const hedwig_filter_address* raw) {
    ask<Which>(state, op, value_of(*raw));
  }
  static void on_header(void* state, hedwig_op* op, const hedwig_filter_header* raw) {
    ask<hook::header>(state, op, value_of(*raw));
  }
  static void on_end(void* state, hedwig_op* op, const hedwig_filter_message* raw) {
    ask<hook::end>(state, op, value_of(*raw));
  }
  static void on_body(void* state, hedwig_op* op, const hedwig_slice* raw) {
    auto& session = *static_cast<isolated_session*>(state);
    wire::writer payload;
    payload.bytes().reserve(raw->size + 64);
    payload.number(session.number).number(static_cast<std::uint8_t>(hook::body)).number(session.owner->left(op));
    payload.text({reinterpret_cast<const char*>(raw->data), raw->size});
    session.owner->ask(wire::frame::hook, wire::answer_kind::verdict, op, payload.bytes(), session.generation);
  }
  static void on_delivery(void* self, hedwig_op* op, const hedwig_filter_delivery* raw) {
    wire::writer payload;
    payload.number(of(self).left(op));
    wire::put(payload, filter_delivery{value_of(*raw->message), raw->attempt, own(raw->destination)});
    of(self).ask(wire::frame::delivery, wire::answer_kind::verdict, op, payload.bytes(), 0);
  }

  template <std::uint8_t Which, wire::answer_kind Expected = wire::answer_kind::identity>
  static void question(void* self, hedwig_op* op, const hedwig_auth_request* raw) {
    auth_request request{.mechanism = own(raw->mechanism),
                         .username = own(raw->username),
                         .authorize_as = own(raw->authorize_as),
                         .peer = own(raw->peer),
                         .listener = own(raw->listener),
                         .session = own(raw->session),
                         .tls = (raw->flags & HEDWIG_SESSION_TLS) != 0,
                         .client_certificate = (raw->flags & HEDWIG_SESSION_CLIENT_CERTIFICATE) != 0,
                         .secret = std::string{text_view(raw->secret)}};
    wire::writer payload;
    payload.number(Which).number(of(self).left(op));
    wire::put(payload, request);
    of(self).ask(wire::frame::ask, Expected, op, payload.bytes(), 0);
    std::ranges::fill(request.secret, '\0');
    std::ranges::fill(payload.bytes(), '\0');
  }

  static hedwig_filter filter_for(const hedwig_filter& real) {
    hedwig_filter made{};
    made.struct_size = sizeof made;
    made.open = open;
    made.close = close;
    made.on_connect = real.on_connect ? on_session<hook::connect> : nullptr;
    made.on_helo = real.on_helo ? on_session<hook::helo> : nullptr;
    made.on_auth = real.on_auth ? on_session<hook::auth> : nullptr;
    made.on_mail = real.on_mail ? on_address<hook::mail> : nullptr;
    made.on_recipient = real.on_recipient ? on_address<hook::recipient> : nullptr;
    made.on_header = real.on_header ? on_header : nullptr;
    made.on_body = real.on_body ? on_body : nullptr;
    made.on_end = real.on_end ? on_end : nullptr;
    made.on_reset = real.on_reset ? reset : nullptr;
    made.on_delivery = real.on_delivery ? on_delivery : nullptr;
    return made;
  }
  static hedwig_auth auth_for(const hedwig_auth& real) {
    hedwig_auth made{};
    made.struct_size = sizeof made;
    made.verify_password = real.verify_password ? question<0> : nullptr;
    made.verify_token = real.verify_token ? question<1> : nullptr;
    made.fetch_scram = real.fetch_scram ? question<2, wire::answer_kind::scram_secret> : nullptr;
    made.lookup = real.lookup ? question<3> : nullptr;
    return made;
  }
};

isolated_provider::creating::creating(isolated_provider* of) noexcept { being_created = of; }
isolated_provider::creating::~creating() { being_created = nullptr; }

isolated_provider::isolated_provider(std::shared_ptr<host> services, provider_ref real,
                                     const instance_settings& settings, std::string program)
  : services_{std::move(services)}, real_{std::move(real)}, program_{std::move(program)}, name_{settings.name},
    user_{settings.isolation_user}, sha256_{settings.sha256}, call_timeout_{settings.call_timeout},
    workers_{settings.workers}, max_pending_{settings.max_pending}, provider_{*real_.provider} {
  provider_.struct_size = sizeof provider_;
  provider_.flags &= ~HEDWIG_PROVIDER_BLOCKING; // what blocks does so over there
  provider_.create = isolated_table::create;
  provider_.start = isolated_table::start;
  provider_.reload = real_.provider->reload != nullptr ? isolated_table::reload : nullptr;
  provider_.cancel = nullptr;
  provider_.stop = isolated_table::stop;
  provider_.destroy = isolated_table::destroy;
  provider_.get_extension = nullptr;
  if (real_.interface_id() == HEDWIG_FILTER) {
    filter_ = isolated_table::filter_for(copy_growing<hedwig_filter>(real_.provider->interface));
    provider_.interface = &filter_;
  } else {
    auth_ = isolated_table::auth_for(copy_growing<hedwig_auth>(real_.provider->interface));
    provider_.interface = &auth_;
  }
}

result<std::shared_ptr<isolated_provider>> isolated_provider::make(std::shared_ptr<host> services, provider_ref real,
                                                                   const instance_settings& settings) {
  auto refuse = [&](hedwig_status status, std::string why) {
    return std::unexpected{error{status, std::move(why), settings.name, 0}};
  };
  auto kind = real.interface_id();
  if (kind != HEDWIG_FILTER && kind != HEDWIG_AUTH)
    return refuse(HEDWIG_E_UNSUPPORTED, "only directories and filters can run in a process of their own");
  if ((real.provider->flags & HEDWIG_PROVIDER_ISOLATABLE) == 0)
    return refuse(HEDWIG_E_UNSUPPORTED, "its plugin does not say that it can run in a process of its own "
                                        "(HEDWIG_PROVIDER_ISOLATABLE): write isolation = \"thread\" or \"none\"");
  if (real.file.empty())
    return refuse(HEDWIG_E_UNSUPPORTED, "what is part of the program cannot run in a process of its own");
  auto program = plugin_host_program();
  if (program.empty())
    return refuse(HEDWIG_E_NOT_FOUND, "there is no hedwig-plugin-host beside this program: install it");
  return std::shared_ptr<isolated_provider>{
      new isolated_provider{std::move(services), std::move(real), settings, std::move(program)}};
}

isolation_view isolated_provider::look() const {
  std::lock_guard lock{mutex_};
  return {.pid = pid_, .deaths = deaths_, .last_death = last_death_};
}

void isolated_provider::died(const std::string& how) {
  pid_ = 0;
  deaths_.fetch_add(1);
  std::lock_guard lock{mutex_};
  last_death_ = how;
}

std::string plugin_host_program() {
  std::error_code failed;
  auto folder = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  for (auto& place : {folder / "hedwig-plugin-host", folder.parent_path() / "bin" / "hedwig-plugin-host"})
    if (!failed && ::access(place.c_str(), X_OK) == 0)
      return place.string();
  return {};
}

} // namespace hedwig::plugin
