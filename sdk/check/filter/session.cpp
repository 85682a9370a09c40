// SPDX-License-Identifier: Apache-2.0
#include "sdk/check/filter/session.hpp"

#include <hedwig/plugin.hpp>

#include <algorithm>

#include "sdk/check/filter/rules.hpp"
#include "sdk/check/test.hpp"

namespace hedwig::check::filter {

desk::desk(context& run, bool watched)
  : table_{*static_cast<const hedwig_filter*>(run.provider().interface)}, instance_{run}, watched_{watched} {}

void desk::open() { instance_.begin(); }

bool desk::is_completed(const hook_op& op) {
  std::lock_guard guard{services().mutex()};
  return op.completions > 0;
}

desk& open_desk(context& run, bool watched) {
  auto& made = *new desk{run, watched}; // NOLINT: see the class
  made.open();
  return made;
}

namespace {

std::size_t octets_in(const std::vector<std::string>& texts) {
  std::size_t sum = 0;
  for (auto& one : texts)
    sum += one.size() + sizeof(hedwig_str) + 32;
  return sum;
}

hedwig_str lend(lent_memory& to, std::string_view text) { return sdk::str(to.keep(text)); }

hedwig_filter_message* shown_message(lent_memory& to, std::string_view sender,
                                     const std::vector<std::string>& recipients, std::uint64_t size) {
  auto* views = to.make<hedwig_str>(recipients.size());
  for (std::size_t i = 0; i < recipients.size(); ++i)
    views[i] = lend(to, recipients[i]);
  auto* made = to.make<hedwig_filter_message>();
  made->struct_size = sizeof *made;
  made->recipient_count = static_cast<std::uint32_t>(recipients.size());
  made->id.bytes[15] = 1;
  made->sender = lend(to, sender);
  made->recipients = views;
  made->size = size;
  return made;
}

} // namespace

op_pointer desk::deliver(const known_message& what) {
  auto made =
      std::make_shared<hook_op>(hook::delivery, services(), what.sender.size() + octets_in(what.recipients), watched_);
  all_.push_back(made);
  if (table_.on_delivery == nullptr) {
    made->completions = 1;
    made->said.status = HEDWIG_OK;
    return made;
  }
  auto* shown = made->memory().make<hedwig_filter_delivery>();
  shown->struct_size = sizeof *shown;
  shown->attempt = 1;
  shown->message = shown_message(made->memory(), what.sender, what.recipients, what.body.size());
  shown->destination = lend(made->memory(), "example.net");
  table_.on_delivery(instance_.raw(), made.get(), shown);
  return made;
}

std::vector<step> steps_of(const known_message& what, std::size_t piece) {
  std::vector<step> all{{hook::connect, {}, {}}, {hook::helo, {}, {}}};
  if (!what.identity.empty())
    all.push_back({hook::auth, {}, {}});
  all.push_back({hook::mail, {}, what.sender});
  for (auto& one : what.recipients)
    all.push_back({hook::recipient, {}, one});
  for (auto& [name, value] : what.fields)
    all.push_back({hook::header, name, value});
  for (std::size_t at = 0; at < what.body.size(); at += piece == 0 ? what.body.size() : piece)
    all.push_back({hook::body, {}, piece == 0 ? what.body : what.body.substr(at, piece)});
  all.push_back({hook::end, {}, {}});
  return all;
}

session::session(desk& at, const known_message& client) : at_{at}, client_{client} {}

hedwig_filter_session* session::shown_session(hook_op& op, bool greeted, bool authenticated) const {
  auto& to = op.memory();
  auto* made = to.make<hedwig_filter_session>();
  made->struct_size = sizeof *made;
  made->session = lend(to, "17");
  made->listener = lend(to, "smtp");
  made->peer = lend(to, client_.peer);
  made->peer_name = lend(to, client_.peer_name);
  made->local = lend(to, "198.51.100.1");
  made->helo = greeted ? lend(to, client_.helo) : hedwig_str{};
  made->identity = authenticated ? lend(to, client_.identity) : hedwig_str{};
  return made;
}

void session::open() {
  if (std::exchange(open_, true))
    return;
  state_ = at_.life().raw();
  if (at_.table().open == nullptr)
    return;
  hook_op lent{hook::connect, at_.services(),
               client_.peer.size() + client_.peer_name.size() + client_.helo.size() + client_.identity.size(),
               at_.watched()};
  auto status = at_.table().open(at_.life().raw(), shown_session(lent, greeted_, authenticated_), &state_);
  lent.let_go();
  expect(status == HEDWIG_OK, rules::opens_sessions, "open() gave {}", check::name_of(status));
}

namespace {

bool has_hook(const hedwig_filter& table, hook which) {
  const bool there[] = {table.on_connect != nullptr, table.on_helo != nullptr,      table.on_auth != nullptr,
                        table.on_mail != nullptr,    table.on_recipient != nullptr, table.on_header != nullptr,
                        table.on_body != nullptr,    table.on_end != nullptr,       table.on_delivery != nullptr};
  return there[static_cast<std::size_t>(which)];
}

/// Of a message, not of the session.
bool is_of_message(hook which) { return which >= hook::mail; }

} // namespace

void session::call(const step& one, hook_op& op) {
  auto& table = at_.table();
  auto& to = op.memory();
  if (one.which == hook::header) {
    auto* made = to.make<hedwig_filter_header>();
    *made = {sizeof *made, fields_, lend(to, one.name), lend(to, one.value),
             sdk::bytes(to.keep(one.name + ": " + one.value + "\r\n"))};
    return table.on_header(state_, &op, made);
  }
  if (one.which == hook::body)
    return table.on_body(state_, &op, op.show_slice(one.value));
  if (one.which == hook::end)
    return table.on_end(state_, &op, shown_message(to, sender_, recipients_, size_));
  if (is_of_message(one.which)) {
    auto* made = to.make<hedwig_filter_address>();
    auto* parameter = to.make<hedwig_pair>();
    *parameter = one.which == hook::mail ? hedwig_pair{lend(to, "BODY"), lend(to, "8BITMIME")}
                                         : hedwig_pair{lend(to, "NOTIFY"), lend(to, "NEVER")};
    *made = {sizeof *made, 0, lend(to, one.value), parameter, 1};
    return (one.which == hook::mail ? table.on_mail : table.on_recipient)(state_, &op, made);
  }
  auto* shown = shown_session(op, greeted_, authenticated_);
  auto function = one.which == hook::connect ? table.on_connect
                  : one.which == hook::helo  ? table.on_helo
                                             : table.on_auth;
  function(state_, &op, shown);
}

op_pointer session::begin(const step& one, bool cancelled) {
  greeted_ = greeted_ || one.which == hook::helo;
  authenticated_ = authenticated_ || one.which == hook::auth;
  if (one.which == hook::mail)
    sender_ = one.value;
  if (one.which == hook::header) {
    ++fields_;
    size_ += one.name.size() + one.value.size() + 4;
  }
  size_ += one.which == hook::body ? one.value.size() : 0;
  if (over_ && is_of_message(one.which))
    return nullptr;
  if (!has_hook(at_.table(), one.which)) {
    if (one.which == hook::recipient)
      recipients_.push_back(one.value);
    return nullptr;
  }
  if (is_of_message(one.which) && one.which >= hook::header && recipients_.empty())
    return nullptr; // nobody is left to take it: there is no DATA
  open();
  auto memory = one.name.size() * 2 + one.value.size() * 2 + sender_.size() + octets_in(recipients_) +
                client_.helo.size() + client_.identity.size() + client_.peer_name.size();
  auto op = std::make_shared<hook_op>(one.which, at_.services(), memory, at_.watched());
  op->cancelled = cancelled;
  ops_.push_back(op);
  call(one, *op);
  return op;
}

void session::conclude(const step& one, const op_pointer& op) {
  auto& said = op->said;
  if (one.which == hook::recipient) {
    if (said.goes_on())
      recipients_.push_back(one.value);
  } else if (is_of_message(one.which)) {
    over_ = over_ || !said.goes_on();
  }
  over_ = over_ || (said.action == HEDWIG_ACCEPT && is_of_message(one.which)) || said.action == HEDWIG_DISCONNECT;
  if (one.which != hook::body || !said.goes_on() || said.action != HEDWIG_CONTINUE)
    said_.push_back(said);
  wrong_.push_back(op->wrong);
}

void session::play(const step& one) {
  auto op = begin(one);
  if (!op)
    return;
  at_.services().wait(*op);
  conclude(one, op);
}

void session::play(const std::vector<step>& all) {
  for (auto& one : all)
    play(one);
}

void session::reset() {
  if (open_ && at_.table().on_reset != nullptr)
    at_.table().on_reset(state_);
  over_ = false;
  recipients_.clear();
  sender_.clear();
  fields_ = 0;
  size_ = 0;
}

void session::close() {
  if (open_ && at_.table().open != nullptr && at_.table().close != nullptr)
    at_.table().close(at_.life().raw(), std::exchange(state_, nullptr));
  open_ = false;
}

void session::forget() {
  said_.clear();
  wrong_.clear();
  ops_.clear();
}

void expect_sound(const session& one, const rule& which, std::string_view asked_what) {
  for (auto& said : one.said()) {
    bool temporary = said.status == HEDWIG_E_BUSY || said.status == HEDWIG_E_UNAVAILABLE ||
                     said.status == HEDWIG_E_TIMEOUT || said.status == HEDWIG_E_NO_SPACE || said.status == HEDWIG_E_IO;
    expect(said.status == HEDWIG_OK || temporary, which, "{}: {}", asked_what, text_of(said));
  }
}

void expect_the_same(const std::vector<verdict_copy>& wanted, const std::vector<verdict_copy>& got, const rule& which,
                     std::string_view asked_what) {
  auto pair = std::ranges::mismatch(wanted, got);
  if (pair.in1 == wanted.end() && pair.in2 == got.end())
    return;
  throw broken{which, fmt::format("{}: {} instead of {}", asked_what,
                                  pair.in2 == got.end() ? "nothing more was said" : text_of(*pair.in2),
                                  pair.in1 == wanted.end() ? "nothing more" : text_of(*pair.in1))};
}

} // namespace hedwig::check::filter
