// SPDX-License-Identifier: Apache-2.0
// hedwig/plugin.hpp - header-only C++20 face of the C ABI: what every kind of provider needs.
//
// Nothing here is part of the ABI: a plugin compiles it in. It turns exceptions into statuses at every entry,
// completes every op exactly once, and lets a provider be an ordinary class. See auth.hpp, filter.hpp and storage.hpp
// for the faces of the interfaces.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config.h"
#include "host.h"
#include "plugin.h"

namespace hedwig::sdk {

inline std::string_view view(hedwig_str s) noexcept { return {s.data, s.size}; }
inline std::string_view view(hedwig_bytes b) noexcept { return {reinterpret_cast<const char*>(b.data), b.size}; }
inline std::string_view view(const hedwig_slice& s) noexcept { return {reinterpret_cast<const char*>(s.data), s.size}; }
inline hedwig_str str(std::string_view s) noexcept { return {s.data(), s.size()}; }
inline hedwig_bytes bytes(std::string_view s) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

/// Thrown by plugin code; never crosses the boundary.
class failure : public std::exception {
public:
  failure(hedwig_status status, std::string message, std::string where = {}, int os_errno = 0)
    : status_{status}, os_errno_{os_errno}, message_{std::move(message)}, where_{std::move(where)} {}
  const char* what() const noexcept override { return message_.c_str(); }
  hedwig_status status() const noexcept { return status_; }
  int os_errno() const noexcept { return os_errno_; }
  const std::string& where() const noexcept { return where_; }

private:
  hedwig_status status_;
  int os_errno_;
  std::string message_;
  std::string where_;
};

namespace detail {

/// Copies what fits, with a NUL.
inline void copy(char* out, std::size_t size, std::string_view text) noexcept {
  auto n = text.copy(out, size - 1);
  out[n] = '\0';
}

/// Describes the exception in flight.
inline hedwig_status describe(hedwig_error& out) noexcept {
  out = {HEDWIG_E_INTERNAL, 0, {}, {}};
  try {
    throw;
  } catch (const failure& e) {
    out.status = e.status();
    out.os_errno = e.os_errno();
    copy(out.where, sizeof out.where, e.where());
    copy(out.message, sizeof out.message, e.what());
  } catch (const std::bad_alloc&) {
    out.status = HEDWIG_E_BUSY;
    copy(out.message, sizeof out.message, "out of memory");
  } catch (const std::exception& e) {
    copy(out.message, sizeof out.message, e.what());
  } catch (...) {
    copy(out.message, sizeof out.message, "unknown exception");
  }
  return out.status;
}

} // namespace detail

/// The host as one provider instance sees it. A copyable view; legal on every thread.
class host {
public:
  explicit host(const hedwig_host* raw) noexcept : raw_{raw} {}
  const hedwig_host* raw() const noexcept { return raw_; }

  /// A service table by its id, or null when this host lacks it.
  template <class Table>
  const Table* service(const char* id) const noexcept {
    return static_cast<const Table*>(raw_->get_interface(raw_, id));
  }

  using field = std::pair<std::string_view, std::string_view>;
  /// `message` is constant text; what varies goes into up to 16 fields.
  void log(int level, std::string_view message, std::initializer_list<field> fields = {}) const noexcept {
    if (level < raw_->log_level(raw_))
      return;
    hedwig_pair pairs[16];
    std::size_t n = 0;
    for (auto& [key, value] : fields)
      if (n < 16)
        pairs[n++] = {str(key), str(value)};
    hedwig_log_record record{sizeof record, level, str(message), pairs, n, nullptr, 0, 0};
    raw_->log(raw_, &record);
  }

  /// Nanoseconds of the host's clocks: virtual in tests.
  hedwig_time_ns wall() const noexcept { return raw_->wall_clock(raw_); }
  hedwig_time_ns steady() const noexcept { return raw_->steady_clock(raw_); }

private:
  const hedwig_host* raw_;
};

/// Reads settings the host has validated. Values live as long as the call that brought the table: copies are returned.
class config {
public:
  config(const host& h, const hedwig_config* raw) noexcept
    : api_{h.service<hedwig_host_config>(HEDWIG_HOST_CONFIG)}, raw_{raw} {}
  /// Written in the file, or has a default.
  bool is_set(const char* name) const { return api_->is_set(raw_, name) != 0; }
  std::string string(const char* name) const { return std::string{view(api_->get_string(raw_, name))}; }
  std::int64_t integer(const char* name) const { return api_->get_integer(raw_, name); }
  bool boolean(const char* name) const { return api_->get_boolean(raw_, name) != 0; }
  std::chrono::nanoseconds duration(const char* name) const {
    return std::chrono::nanoseconds{api_->get_integer(raw_, name)};
  }
  std::vector<std::string> strings(const char* name) const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < count(name); ++i)
      all.emplace_back(view(api_->get_string_at(raw_, name, i)));
    return all;
  }
  /// Entries of a list of strings or tables.
  std::size_t count(const char* name) const { return api_->get_count(raw_, name); }
  config table(const char* name, std::size_t i) const { return {api_, api_->get_table_at(raw_, name, i)}; }

private:
  config(const hedwig_host_config* api, const hedwig_config* raw) noexcept : api_{api}, raw_{raw} {}
  const hedwig_host_config* api_;
  const hedwig_config* raw_;
};

/// Owns the duty to complete one op. Dropping it reports a bug in the plugin.
class op {
public:
  op(const hedwig_host* h, hedwig_op* raw) noexcept : host_{h}, raw_{raw} {}
  op(op&& other) noexcept : host_{other.host_}, raw_{std::exchange(other.raw_, nullptr)} {}
  op& operator=(op&&) = delete;
  ~op() {
    if (raw_ != nullptr)
      fail(HEDWIG_E_INTERNAL, "the plugin dropped a request without an answer");
  }

  hedwig_op* raw() const noexcept { return raw_; }
  /// Gives up the duty, for completing many in one call.
  hedwig_op* release() noexcept { return std::exchange(raw_, nullptr); }
  /// On the steady clock.
  hedwig_time_ns deadline() const noexcept { return host_->op_deadline(host_, raw_); }
  bool cancelled() const noexcept { return host_->op_cancelled(host_, raw_) != 0; }

  void finish(const void* result = nullptr) noexcept { complete(HEDWIG_OK, result, nullptr); }
  void fail(hedwig_status status, std::string_view message) noexcept {
    hedwig_error error{status, 0, {}, {}};
    detail::copy(error.message, sizeof error.message, message);
    complete(status, nullptr, &error);
  }
  void fail_with_current_exception() noexcept {
    hedwig_error error;
    auto status = detail::describe(error);
    complete(status, nullptr, &error);
  }

private:
  void complete(hedwig_status status, const void* result, const hedwig_error* error) noexcept {
    hedwig_completion done{std::exchange(raw_, nullptr), status, 0, result, error};
    host_->complete(host_, &done, 1);
  }
  const hedwig_host* host_;
  hedwig_op* raw_;
};

/// A slice of `text` in a buffer of the host's; throws failure(BUSY) when the host's memory budget is spent. The caller
/// owns one reference.
inline hedwig_slice copy_to_buffer(const host& h, std::string_view text) {
  std::uint8_t* data = nullptr;
  auto* raw = h.raw()->buf_alloc(h.raw(), text.size(), &data);
  if (raw == nullptr)
    throw failure{HEDWIG_E_BUSY, "the host's buffer memory is spent"};
  text.copy(reinterpret_cast<char*>(data), text.size());
  return {raw, data, text.size()};
}

namespace detail {

/// The instance the ABI sees: the host and the plugin author's object.
template <class Provider>
struct instance {
  sdk::host host;
  Provider provider;
};

/// Runs `work(instance, op)`; what it throws completes the op.
template <class Provider, class Work>
void guarded(void* self, hedwig_op* raw, Work&& work) noexcept {
  auto& me = *static_cast<instance<Provider>*>(self);
  op o{me.host.raw(), raw};
  try {
    work(me, o);
  } catch (...) {
    if (o.raw() != nullptr)
      o.fail_with_current_exception();
  }
}

/// The life of a class with `Provider(host, config)` and any of
///   static void validate(const config&)   throws failure(CONFIG, text, key)
///   void start()   void stop()   void reload(const config&)
/// each of which may throw. `start` and `stop` may take an `op` instead, and complete it later. All are [control]: one
/// call at a time, on a thread that may wait. And, [any]:
///   void cancel(const hedwig_op*) noexcept   the op that this is the raw() of is not wanted any more
template <class Provider>
struct life {
  static hedwig_status validate(const hedwig_host* raw, const hedwig_config* table, hedwig_error* error) noexcept {
    try {
      if constexpr (requires(const config& c) { Provider::validate(c); })
        Provider::validate(config{host{raw}, table});
      return HEDWIG_OK;
    } catch (...) {
      return describe(*error);
    }
  }
  static hedwig_status create(const hedwig_host* raw, const hedwig_config* table, void** out,
                              hedwig_error* error) noexcept {
    try {
      host h{raw};
      *out = new instance<Provider>{h, Provider(h, config{h, table})};
      return HEDWIG_OK;
    } catch (...) {
      return describe(*error);
    }
  }
  static void start(void* self, hedwig_op* raw) noexcept {
    guarded<Provider>(self, raw, [](auto& me, op& o) {
      if constexpr (requires { me.provider.start(std::move(o)); }) {
        me.provider.start(std::move(o));
      } else {
        if constexpr (requires { me.provider.start(); })
          me.provider.start();
        o.finish();
      }
    });
  }
  static void reload(void* self, hedwig_op* raw, const hedwig_config* table) noexcept {
    guarded<Provider>(self, raw, [table](auto& me, op& o) {
      if constexpr (requires(const config& c) { me.provider.reload(c); })
        me.provider.reload(config{me.host, table});
      o.finish();
    });
  }
  static void stop(void* self, hedwig_op* raw) noexcept {
    guarded<Provider>(self, raw, [](auto& me, op& o) {
      if constexpr (requires { me.provider.stop(std::move(o)); }) {
        me.provider.stop(std::move(o));
      } else {
        if constexpr (requires { me.provider.stop(); })
          me.provider.stop();
        o.finish();
      }
    });
  }
  static void destroy(void* self) noexcept { delete static_cast<instance<Provider>*>(self); }

  static constexpr hedwig_provider make(const char* interface_id, const void* table, const char* name,
                                        const char* summary, const hedwig_config_schema* schema, std::uint32_t flags) {
    hedwig_provider p{};
    p.struct_size = sizeof p;
    p.flags = flags;
    p.interface_id = interface_id;
    p.name = name;
    p.summary = summary;
    p.schema = schema;
    p.interface = table;
    p.validate = &validate;
    p.create = &create;
    p.start = &start;
    if constexpr (requires(Provider & me, const config& c) { me.reload(c); })
      p.reload = &reload;
    if constexpr (requires(Provider & me, const hedwig_op* o) {
                    { me.cancel(o) }
                    noexcept;
                  })
      p.cancel = [](void* self, hedwig_op* o) { static_cast<instance<Provider>*>(self)->provider.cancel(o); };
    p.stop = &stop;
    p.destroy = &destroy;
    return p;
  }
};

} // namespace detail

/// One entry of a config schema; see hedwig_config_key.
constexpr hedwig_config_key key(int type, const char* name, const char* help, std::uint32_t flags = 0,
                                const char* fallback = nullptr, const hedwig_config_schema* nested = nullptr) {
  return {sizeof(hedwig_config_key), type, name, help, flags, 0, fallback, 0, 0, nullptr, nested};
}

/// The same with a range; both ends belong to it.
constexpr hedwig_config_key key_in_range(int type, const char* name, const char* help, std::uint32_t flags,
                                         const char* fallback, std::int64_t minimum, std::int64_t maximum) {
  return {sizeof(hedwig_config_key), type, name, help, flags, 0, fallback, minimum, maximum, nullptr, nullptr};
}

/// A string out of a NULL-terminated list.
constexpr hedwig_config_key key_of_choices(const char* name, const char* help, std::uint32_t flags,
                                           const char* fallback, const char* const* choices) {
  return {sizeof(hedwig_config_key), HEDWIG_CONFIG_STRING, name, help, flags, 0, fallback, 0, 0, choices, nullptr};
}

} // namespace hedwig::sdk

/// Defines the entry point and the ELF note for the providers listed (pointers to constexpr hedwig_provider).
#define HEDWIG_PLUGIN(plugin_id, plugin_version, plugin_vendor, plugin_license, ...)                                   \
  HEDWIG_NOTE(plugin_id, plugin_version, 0);                                                                           \
  extern "C" HEDWIG_EXPORT const hedwig_plugin* hedwig_plugin_v1(const hedwig_host*) {                                 \
    static constexpr const hedwig_provider* providers[] = {__VA_ARGS__};                                               \
    static constexpr hedwig_plugin plugin{                                                                             \
        sizeof plugin,  HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR, 0, 0, std::size(providers), providers, plugin_id,          \
        plugin_version, plugin_vendor,    plugin_license,   ""};                                                       \
    return &plugin;                                                                                                    \
  }
