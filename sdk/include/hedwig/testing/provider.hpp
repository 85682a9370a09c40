// SPDX-License-Identifier: Apache-2.0
// hedwig/testing/provider.hpp - a provider under test: its life, and its interface as calls that return values.
#pragma once

#include <dlfcn.h>

#include <sstream>
#include <stdexcept>

#include "mock_host.hpp"
#include <hedwig/auth.h>
#include <hedwig/filter.h>

namespace hedwig::sdk::testing {

/// Loads a plugin as the host does; never unloaded. Throws std::runtime_error that says what is wrong.
inline const hedwig_plugin& load(const std::string& file) {
  static mock_host loader; // outlives what it loads
  auto* handle = ::dlopen(file.find('/') == file.npos ? ("./" + file).c_str() : file.c_str(),
                          RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr)
    throw std::runtime_error{::dlerror()};
  auto entry = reinterpret_cast<decltype(&hedwig_plugin_v1)>(::dlsym(handle, HEDWIG_ENTRY_SYMBOL));
  auto* plugin = entry == nullptr ? nullptr : entry(loader.raw());
  if (plugin == nullptr || plugin->abi_major != HEDWIG_ABI_MAJOR)
    throw std::runtime_error{file + ": no plugin for this ABI: it has no " HEDWIG_ENTRY_SYMBOL ", or that refused"};
  return *plugin;
}

/// The provider called `name`; throws std::runtime_error.
inline const hedwig_provider& provider_of(const hedwig_plugin& plugin, std::string_view name) {
  for (std::uint32_t i = 0; i < plugin.provider_count; ++i)
    if (plugin.providers[i]->name == name)
      return *plugin.providers[i];
  throw std::runtime_error{std::string{plugin.id} + " has no provider " + std::string{name}};
}

/// A call that may still be under way: `->` waits for the answer, in real time only if threads of the plugin owe it,
/// and throws std::runtime_error when none comes.
template <class Answer>
class call {
public:
  struct operation : hedwig_op {
    bool take(const void* result) override { return answer.read(result); }
    Answer answer;
    std::shared_ptr<void> shown; ///< what the plugin was given
  };
  call(mock_host& host, operation& op) noexcept : host_{&host}, op_{&op} {}

  /// Whether the answer is there, once all that is due has run.
  bool done() {
    host_->run_due();
    std::lock_guard guard{host_->mutex()};
    return op_->completions > 0;
  }
  const Answer* operator->() { return &get(); }
  const Answer& get() {
    if (!host_->wait_until([this] { return op_->completions > 0; }))
      throw std::runtime_error{"the plugin did not answer: does it wait for a time that the test must let pass?"};
    op_->answer.status = op_->status;
    op_->answer.message = op_->message;
    return op_->answer;
  }
  operation& op() noexcept { return *op_; }

private:
  mock_host* host_;
  operation* op_;
};

/// The answer of start, stop and reload.
struct done {
  hedwig_status status = 1;
  std::string message;
  bool read(const void*) { return true; }
};

/// A provider from create() to destroy().
class instance {
public:
  /// Creates and starts it. Throws std::invalid_argument for settings that the schema refuses, and sdk::failure with
  /// what validate, create or start said.
  instance(mock_host& host, const hedwig_provider& provider, const settings& written = {})
    : host_{host}, provider_{provider}, config_{written.read(provider.schema)} {
    check(provider_.validate == nullptr ? HEDWIG_OK : provider_.validate(host_.raw(), config_.get(), &error_));
    check(provider_.create(host_.raw(), config_.get(), &self_, &error_));
    auto started = begin([this](hedwig_op* op) { provider_.start(self_, op); });
    if (started->status != HEDWIG_OK) {
      provider_.destroy(self_);
      throw failure{started->status, started->message, started.op().where};
    }
  }
  ~instance() {
    auto stopped = begin([this](hedwig_op* op) { provider_.stop(self_, op); });
    if (!host_.wait_until([&] { return stopped.op().completions > 0; }))
      host_.note_fault("stop was not completed");
    provider_.destroy(self_);
  }
  instance(const instance&) = delete;
  instance& operator=(const instance&) = delete;

  /// HEDWIG_E_UNSUPPORTED when the provider cannot; new settings otherwise, and what it said.
  call<done> reload(const settings& written) {
    configs_.push_back(written.read(provider_.schema));
    auto* table = configs_.back().get();
    return begin([this, table](hedwig_op* op) {
      const hedwig_completion no{op, HEDWIG_E_UNSUPPORTED, 0, nullptr, nullptr};
      provider_.reload == nullptr ? host_.raw()->complete(host_.raw(), &no, 1) : provider_.reload(self_, op, table);
    });
  }
  /// Tells the provider that an answer is not wanted any more. It owes one all the same.
  template <class Answer>
  void cancel(call<Answer>& which) {
    which.op().cancelled = true;
    if (provider_.cancel != nullptr)
      provider_.cancel(self_, &which.op());
  }

  mock_host& host() noexcept { return host_; }
  void* raw() noexcept { return self_; }
  template <class Table>
  const Table& table(std::string_view interface_id) const {
    if (provider_.interface_id != interface_id)
      throw std::runtime_error{std::string{provider_.name} + " is no " + std::string{interface_id}};
    return *static_cast<const Table*>(provider_.interface);
  }

private:
  template <class Start>
  call<done> begin(Start&& start) {
    auto& op = host_.open(std::make_unique<call<done>::operation>());
    start(&op);
    return {host_, op};
  }
  void check(hedwig_status status) const {
    if (status != HEDWIG_OK)
      throw failure{status, error_.message, error_.where, error_.os_errno};
  }

  mock_host& host_;
  const hedwig_provider& provider_;
  std::shared_ptr<const hedwig_config> config_;
  std::vector<std::shared_ptr<const hedwig_config>> configs_;
  hedwig_error error_{};
  void* self_ = nullptr;
};

// ---- hedwig.auth/1 ----

/// What an auth provider said; see hedwig_auth_result and hedwig_scram_result.
struct login {
  hedwig_status status = 1;
  std::string message; ///< for the operator
  std::string identity;
  std::vector<std::string> groups;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::string> senders;
  std::chrono::nanoseconds cache_for{0};
  // Of fetch_scram alone:
  std::uint32_t iterations = 0;
  std::string salt, stored_key, server_key;
  bool is_scram = false;

  bool read(const void* raw) {
    if (raw == nullptr)
      return false;
    if (!is_scram)
      return read_identity(static_cast<const hedwig_auth_result*>(raw));
    auto& secret = *static_cast<const hedwig_scram_result*>(raw);
    iterations = secret.iterations;
    salt = view(secret.salt);
    stored_key = view(secret.stored_key);
    server_key = view(secret.server_key);
    return secret.identity != nullptr && read_identity(secret.identity);
  }

private:
  bool read_identity(const hedwig_auth_result* raw) {
    identity = view(raw->identity);
    for (std::size_t i = 0; i < raw->group_count; ++i)
      groups.emplace_back(view(raw->groups[i]));
    for (std::size_t i = 0; i < raw->attribute_count; ++i)
      attributes.emplace_back(view(raw->attributes[i].key), view(raw->attributes[i].value));
    for (std::size_t i = 0; i < raw->sender_count; ++i)
      senders.emplace_back(view(raw->senders[i]));
    cache_for = std::chrono::nanoseconds{raw->cache_for};
    return !identity.empty();
  }
};

/// An instance of an auth provider, asked as the host asks.
class auth {
public:
  explicit auth(instance& owner) : owner_{owner}, table_{owner.table<hedwig_auth>(HEDWIG_AUTH)} {}

  call<login> verify_password(std::string user, std::string password) {
    return ask(table_.verify_password, {"PLAIN", std::move(user), std::move(password)});
  }
  call<login> verify_token(std::string user, std::string token) {
    return ask(table_.verify_token, {"OAUTHBEARER", std::move(user), std::move(token)});
  }
  call<login> fetch_scram(std::string user) {
    return ask(table_.fetch_scram, {"SCRAM-SHA-256", std::move(user), {}}, true);
  }
  call<login> lookup(std::string user) { return ask(table_.lookup, {"EXTERNAL", std::move(user), {}}); }

private:
  struct question {
    std::string mechanism, username, secret;
    hedwig_auth_request raw{};
  };
  call<login> ask(hedwig_auth_fn function, question with, bool scram = false) {
    if (function == nullptr)
      throw std::runtime_error{"the provider does not answer this question"};
    auto& op = owner_.host().open(std::make_unique<call<login>::operation>());
    op.answer.is_scram = scram;
    auto shown = std::make_shared<question>(std::move(with));
    op.shown = shown;
    auto& raw = shown->raw;
    raw.struct_size = sizeof raw;
    raw.flags = HEDWIG_SESSION_TLS;
    raw.mechanism = str(shown->mechanism);
    raw.username = str(shown->username);
    raw.peer = str("192.0.2.1");
    raw.listener = str("submission");
    raw.session = str("test");
    raw.secret = bytes(shown->secret);
    function(owner_.raw(), &op, &raw);
    return {owner_.host(), op};
  }
  instance& owner_;
  const hedwig_auth& table_;
};

// ---- hedwig.filter/1 ----

/// What a hook said; see hedwig_verdict.
struct decision {
  hedwig_status status = 1;
  std::string message; ///< for the operator
  int action = HEDWIG_CONTINUE;
  std::uint32_t reply_code = 0;
  std::string enhanced_code, reply;
  struct change {
    int kind;
    std::string name, value;
    std::uint32_t index;
    std::string body;
  };
  std::vector<change> edits;

  bool passes() const noexcept { return status == HEDWIG_OK && action == HEDWIG_CONTINUE; }
  bool read(const void* result) {
    if (result == nullptr)
      return true; // goes on
    auto& raw = *static_cast<const hedwig_verdict*>(result);
    action = raw.action;
    reply_code = raw.reply_code;
    enhanced_code = view(raw.enhanced_code);
    reply = view(raw.reply_text);
    for (std::size_t i = 0; i < raw.edit_count; ++i) {
      auto& one = *raw.edits[i];
      std::string body;
      for (std::size_t j = 0; j < one.slice_count; ++j)
        body += view(one.slices[j]);
      edits.push_back(
          {one.kind, std::string{view(one.name)}, std::string{view(one.value)}, one.index, std::move(body)});
    }
    return action >= HEDWIG_CONTINUE && action <= HEDWIG_DISCONNECT;
  }
};

/// One client's session in a filter, from open() to close(). A hook that the filter lacks goes on at once.
class session {
public:
  /// Throws sdk::failure when open() fails.
  explicit session(instance& owner, std::string peer = "192.0.2.1", std::string peer_name = {})
    : owner_{owner}, table_{owner.table<hedwig_filter>(HEDWIG_FILTER)}, peer_{std::move(peer)}, peer_name_{std::move(
                                                                                                    peer_name)} {
    view_.struct_size = sizeof view_;
    view_.session = str("test");
    view_.listener = str("mx");
    view_.peer = str(peer_);
    view_.peer_name = str(peer_name_);
    view_.local = str("192.0.2.200");
    state_ = owner_.raw();
    if (table_.open != nullptr)
      if (auto status = table_.open(owner_.raw(), &view_, &state_); status != HEDWIG_OK)
        throw failure{status, "open failed"};
  }
  ~session() {
    if (table_.close != nullptr)
      table_.close(owner_.raw(), state_);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;

  call<decision> connect() { return run(table_.on_connect, view_); }
  call<decision> helo(std::string name) {
    helo_ = std::move(name);
    view_.helo = str(helo_);
    return run(table_.on_helo, view_);
  }
  /// The client has logged in; the rest is what its provider said of it.
  call<decision> auth(std::string identity, std::vector<std::string> groups = {},
                      std::vector<std::pair<std::string, std::string>> attributes = {}) {
    identity_ = std::move(identity);
    group_texts_ = std::move(groups);
    attribute_texts_ = std::move(attributes);
    groups_.clear();
    for (auto& one : group_texts_)
      groups_.push_back(str(one));
    attributes_.clear();
    for (auto& [name, value] : attribute_texts_)
      attributes_.push_back({str(name), str(value)});
    view_.identity = str(identity_);
    view_.groups = groups_.data();
    view_.group_count = groups_.size();
    view_.attributes = attributes_.data();
    view_.attribute_count = attributes_.size();
    return run(table_.on_auth, view_);
  }
  call<decision> mail(std::string sender) {
    sender_ = std::move(sender);
    recipients_.clear();
    headers_ = 0;
    size_ = 0;
    return run(table_.on_mail, address_shown{{sizeof(hedwig_filter_address), 0, {}, nullptr, 0}, sender_});
  }
  call<decision> recipient(std::string address) {
    recipients_.push_back(address);
    return run(table_.on_recipient,
               address_shown{{sizeof(hedwig_filter_address), 0, {}, nullptr, 0}, std::move(address)});
  }
  call<decision> header(std::string name, std::string value) {
    auto raw = name + ": " + value + "\r\n";
    size_ += raw.size();
    return run(table_.on_header, header_shown{{sizeof(hedwig_filter_header), ++headers_, {}, {}, {}},
                                              std::move(name),
                                              std::move(value),
                                              std::move(raw)});
  }
  call<decision> body(std::string text) {
    size_ += text.size();
    return run(table_.on_body, body_shown{{}, std::move(text)});
  }
  call<decision> end() {
    message_shown made{{}, sender_, recipients_, {}};
    made.raw.struct_size = sizeof made.raw;
    made.raw.recipient_count = static_cast<std::uint32_t>(recipients_.size());
    made.raw.size = size_;
    return run(table_.on_end, std::move(made));
  }
  void reset() {
    if (table_.on_reset != nullptr)
      table_.on_reset(state_);
  }
  /// Header, body and end of a whole message, lines ended by LF: the first decision that does not pass, or end's.
  decision message(const std::string& text) {
    std::istringstream in{text};
    std::string line, rest;
    while (std::getline(in, line) && !line.empty()) {
      auto colon = line.find(':');
      auto value = line.find_first_not_of(' ', colon + 1);
      auto said = header(line.substr(0, colon), value == line.npos ? "" : line.substr(value));
      if (!said->passes())
        return said.get();
    }
    while (std::getline(in, line))
      rest += line + "\r\n";
    if (auto said = body(rest); !said->passes())
      return said.get();
    return end().get();
  }

private:
  // What a hook is shown, with the texts that it points at: raw() points into itself once it is in its place.
  struct address_shown {
    hedwig_filter_address raw;
    std::string address;
    void settle() { raw.address = str(address); }
  };
  struct header_shown {
    hedwig_filter_header raw;
    std::string name, value, line;
    void settle() {
      raw.name = str(name);
      raw.value = str(value);
      raw.raw = bytes(line);
    }
  };
  struct body_shown {
    hedwig_slice raw;
    std::string text;
    body_shown(hedwig_slice slice, std::string from) : raw{slice}, text{std::move(from)} {}
    body_shown(body_shown&&) = default; // before settle(): there is no buffer yet
    ~body_shown() {
      if (raw.buf != nullptr)
        buffers::release(nullptr, raw.buf);
    }
    void settle() {
      raw.buf = buffers::wrap(
          nullptr, bytes(text).data, text.size(), [](void*) {}, nullptr);
      raw.data = bytes(text).data;
      raw.size = text.size();
    }
  };
  struct message_shown {
    hedwig_filter_message raw;
    std::string sender;
    std::vector<std::string> recipients;
    std::vector<hedwig_str> views;
    void settle() {
      for (auto& one : recipients)
        views.push_back(str(one));
      raw.sender = str(sender);
      raw.recipients = views.data();
    }
  };

  call<decision>::operation& open_op() { return owner_.host().open(std::make_unique<call<decision>::operation>()); }
  call<decision> goes_on(call<decision>::operation& op) {
    const hedwig_completion done{&op, HEDWIG_OK, 0, nullptr, nullptr};
    owner_.host().raw()->complete(owner_.host().raw(), &done, 1);
    return {owner_.host(), op};
  }
  call<decision> run(void (*hook)(void*, hedwig_op*, const hedwig_filter_session*),
                     const hedwig_filter_session& shown) {
    auto& op = open_op();
    if (hook == nullptr)
      return goes_on(op);
    hook(state_, &op, &shown);
    return {owner_.host(), op};
  }
  template <class View, class Shown>
  call<decision> run(void (*hook)(void*, hedwig_op*, const View*), Shown shown) {
    auto& op = open_op();
    if (hook == nullptr)
      return goes_on(op);
    auto kept = std::make_shared<Shown>(std::move(shown));
    kept->settle();
    op.shown = kept;
    hook(state_, &op, &kept->raw);
    return {owner_.host(), op};
  }

  instance& owner_;
  const hedwig_filter& table_;
  std::string peer_, peer_name_, helo_, identity_, sender_;
  std::vector<std::string> group_texts_;
  std::vector<std::pair<std::string, std::string>> attribute_texts_;
  std::vector<hedwig_str> groups_;
  std::vector<hedwig_pair> attributes_;
  std::vector<std::string> recipients_;
  std::uint32_t headers_ = 0;
  std::uint64_t size_ = 0;
  hedwig_filter_session view_{};
  void* state_ = nullptr;
};

// ---- a frame for tests without one ----

/// Throws std::runtime_error with the place unless `holds`.
inline void expect(bool holds, const char* what, const char* file, int line) {
  if (!holds)
    throw std::runtime_error{std::string{file} + ":" + std::to_string(line) + ": does not hold: " + what};
}
#define HEDWIG_EXPECT(...)                                                                                             \
  ::hedwig::sdk::testing::expect(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

/// Runs each test with a host of its own, in which the plugin must break no rule. What main() returns.
inline int run_tests(std::initializer_list<std::pair<const char*, void (*)(mock_host&)>> tests) {
  int failed = 0;
  for (auto& [name, test] : tests) {
    mock_host host;
    std::string why;
    try {
      test(host);
    } catch (const std::exception& e) {
      why = e.what();
    }
    for (auto& one : host.faults())
      why += (why.empty() ? "" : "; ") + one;
    std::printf("%s %s%s%s\n", why.empty() ? "ok    " : "FAILED", name, why.empty() ? "" : ": ", why.c_str());
    failed += !why.empty();
  }
  return failed == 0 ? 0 : 1;
}

} // namespace hedwig::sdk::testing
