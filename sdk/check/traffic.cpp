// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/traffic.hpp"

#include <hedwig/auth.h>
#include <hedwig/filter.h>
#include <hedwig/storage.h>

#include <exception>
#include <functional>
#include <thread>

#include "sdk/check/test.hpp"
#include "sdk/check/thread_class.hpp"

namespace hedwig::check {

namespace {

hedwig_str str(const std::string& text) { return {text.data(), text.size()}; }

/// One hook: what it decided.
struct hook_op : hedwig_op {
  void take(const hedwig_completion& done) override {
    auto* verdict = static_cast<const hedwig_verdict*>(done.result);
    action = done.status == HEDWIG_OK && verdict != nullptr ? verdict->action : HEDWIG_CONTINUE;
  }
  std::int32_t action = HEDWIG_CONTINUE;
};

class conversation {
public:
  conversation(context& run, instance& with, unsigned number, shape structs)
    : run_{run}, with_{with}, number_{number}, structs_{structs} {}

  std::vector<std::string> hold() {
    std::string_view interface_id = run_.provider().interface_id;
    if (interface_id == HEDWIG_AUTH)
      ask_who();
    else if (interface_id == HEDWIG_FILTER)
      show_mail();
    else if (interface_id == HEDWIG_STORAGE)
      ask_store();
    return std::move(said_);
  }

private:
  template <class Table>
  const Table& table() const {
    return *static_cast<const Table*>(run_.provider().interface);
  }
  template <class Op>
  Op& wait(Op& op, std::string_view asked) {
    with_.services().wait(op);
    said_.push_back(fmt::format("{}: {}", asked, name_of(op.status)));
    return op;
  }

  void ask_who() {
    auto user = fmt::format("hedwig-check-{}@example.org", number_);
    auto& auth = table<hedwig_auth>();
    std::pair<const char*, hedwig_auth_fn> all[] = {{"verify_password", auth.verify_password},
                                                    {"fetch_scram", auth.fetch_scram},
                                                    {"verify_token", auth.verify_token},
                                                    {"lookup", auth.lookup}};
    for (auto& [name, ask] : all) {
      if (ask == nullptr)
        continue;
      hedwig_auth_request request{};
      std::string_view secret = std::string_view{name}.starts_with("verify") ? "no such secret" : "";
      request.flags = HEDWIG_SESSION_TLS;
      request.mechanism = str(plain_);
      request.username = str(user);
      request.peer = str(peer_);
      request.listener = str(listener_);
      request.session = str(session_);
      request.secret = {reinterpret_cast<const std::uint8_t*>(secret.data()), secret.size()};
      auto* op = new hedwig_op; // NOLINT: it outlives a test that fails
      op->called(name);
      ask(with_.raw(), op, show(structs_, request));
      wait(*op, name);
    }
  }

  void ask_store() {
    auto& store = table<hedwig_storage>();
    auto* stats_op = new hedwig_op; // NOLINT: see above
    hedwig_storage_request stats{sizeof stats, HEDWIG_STORAGE_STATS, stats_op};
    auto* stat_op = new hedwig_op; // NOLINT: see above
    stat_op->called("STAT");
    stats_op->called("STATS");
    hedwig_message_request stat{};
    stat.kind = HEDWIG_STORAGE_STAT;
    stat.op = stat_op;
    stat.id.bytes[0] = static_cast<std::uint8_t>(number_ + 1);
    const hedwig_storage_request* requests[] = {show(structs_, stats),
                                                reinterpret_cast<const hedwig_storage_request*>(show(structs_, stat))};
    store.submit(with_.raw(), requests, std::size(requests));
    wait(*stats_op, "STATS");
    wait(*stat_op, "STAT");
  }

  /// False when the message is not to go on.
  template <class Shown>
  bool hook(const char* name, void (*call)(void*, hedwig_op*, const Shown*), void* state, const Shown* what) {
    if (call == nullptr || !going_on_)
      return going_on_;
    auto* op = new hook_op; // NOLINT: see above
    op->called(name);
    call(state, op, what);
    wait(*op, name);
    if (op->action != HEDWIG_CONTINUE)
      said_.push_back(fmt::format("{}: action {}", name, op->action));
    going_on_ = op->status == HEDWIG_OK && op->action == HEDWIG_CONTINUE;
    return going_on_;
  }

  void show_mail() {
    auto& filter = table<hedwig_filter>();
    hedwig_filter_session plain{};
    plain.session = str(session_);
    plain.listener = str(listener_);
    plain.peer = str(peer_);
    plain.local = str(local_);
    plain.helo = str(helo_);
    auto* session = show(structs_, plain);
    void* state = with_.raw();
    if (filter.open != nullptr) {
      auto opened = filter.open(with_.raw(), session, &state);
      said_.push_back(fmt::format("open: {}", name_of(opened)));
      if (opened != HEDWIG_OK)
        return;
    }
    hook("on_connect", filter.on_connect, state, session);
    hook("on_helo", filter.on_helo, state, session);
    send_message(filter, state);
    if (filter.on_reset != nullptr)
      filter.on_reset(state);
    if (filter.close != nullptr)
      filter.close(with_.raw(), state);
  }

  void send_message(const hedwig_filter& filter, void* state) {
    auto sender = fmt::format("hedwig-check-{}@example.org", number_);
    hedwig_filter_address address{};
    address.address = str(sender);
    hook("on_mail", filter.on_mail, state, show(structs_, address));
    address.address = str(recipient_);
    hook("on_recipient", filter.on_recipient, state, show(structs_, address));
    hedwig_filter_header header{};
    header.index = 1;
    header.name = str(name_);
    header.value = str(value_);
    header.raw = {reinterpret_cast<const std::uint8_t*>(raw_.data()), raw_.size()};
    hook("on_header", filter.on_header, state, show(structs_, header));
    auto slice = with_.services().copy(body_);
    hook<hedwig_slice>("on_body", filter.on_body, state, &slice);
    with_.services().release(slice.buf);
    auto to = str(recipient_);
    hedwig_filter_message message{};
    message.recipient_count = 1;
    message.id.bytes[0] = static_cast<std::uint8_t>(number_ + 1);
    message.sender = str(sender);
    message.recipients = &to;
    message.size = raw_.size() + 2 + body_.size();
    auto* whole = show(structs_, message);
    hook("on_end", filter.on_end, state, whole);
    going_on_ = true;
    hedwig_filter_delivery delivery{};
    delivery.attempt = 1;
    delivery.message = whole;
    delivery.destination = str(destination_);
    hook("on_delivery", filter.on_delivery, with_.raw(), show(structs_, delivery));
  }

  context& run_;
  instance& with_;
  unsigned number_;
  shape structs_;
  bool going_on_ = true;
  std::vector<std::string> said_;
  const std::string plain_ = "PLAIN", peer_ = "192.0.2.1", listener_ = "check", session_ = "hedwig-check",
                    local_ = "192.0.2.2", helo_ = "client.example.org", recipient_ = "bob@example.net",
                    name_ = "Subject", value_ = "a check", raw_ = "Subject: a check\r\n", body_ = "It is one.\r\n",
                    destination_ = "example.net";
};

} // namespace

std::vector<std::string> converse(context& run, instance& with, unsigned number, shape structs) {
  std::vector<std::string> said;
  std::exception_ptr failed;
  start_kit_thread([&] {
    bool blocks = (run.provider().flags & HEDWIG_PROVIDER_BLOCKING) != 0;
    as_thread caller{blocks ? thread_class::worker : thread_class::event};
    try {
      said = conversation{run, with, number, structs}.hold();
    } catch (...) {
      failed = std::current_exception();
    }
  }).join();
  if (failed)
    std::rethrow_exception(failed);
  return said;
}

std::vector<std::string> converse_at_once(context& run, instance& with, unsigned threads) {
  std::vector<std::vector<std::string>> said(threads);
  std::vector<std::exception_ptr> failed(threads);
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i)
    all.push_back(start_kit_thread([&, i] {
      try {
        said[i] = converse(run, with, i);
      } catch (...) {
        failed[i] = std::current_exception();
      }
    }));
  for (auto& one : all)
    one.join();
  std::vector<std::string> together;
  for (unsigned i = 0; i < threads; ++i) {
    if (failed[i])
      std::rethrow_exception(failed[i]);
    together.insert(together.end(), said[i].begin(), said[i].end());
  }
  return together;
}

} // namespace hedwig::check
