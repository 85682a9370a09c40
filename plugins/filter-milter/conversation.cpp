// SPDX-License-Identifier: Apache-2.0
// One milter's conversation, from the negotiation to the changes it asks for at the end of a message.
#include "conversation.hpp"

#include <algorithm>
#include <iterator>

namespace hedwig::filter_milter {

namespace {

constexpr std::size_t reply_text_max = 1000;
constexpr std::size_t value_max = 64 * 1024;
constexpr std::size_t address_max = 900;
constexpr std::uint32_t place_max = 100'000;

sdk::verdict refusal() { return {HEDWIG_REJECT, "5.7.1", "Refused by a content filter", {}, 550}; }
sdk::verdict put_off() { return {HEDWIG_TEMPFAIL, "4.7.1", "Not accepted now, try again later", {}, 451}; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// RFC 3463: "5.7.1", of the class of the reply; empty when `word` is none.
std::string enhanced_code(std::string_view word, char reply_class) {
  auto dots = std::ranges::count(word, '.');
  auto good = word.size() >= 5 && word.size() <= 9 && word[0] == reply_class && word[1] == '.' && dots == 2 &&
              is_digit(word[2]) && is_digit(word.back()) &&
              std::ranges::all_of(word, [](char c) { return is_digit(c) || c == '.'; });
  return good ? std::string{word} : std::string{};
}

/// "550 5.7.1 text", with several lines "550-5.7.1 ..." each.
sdk::verdict verdict_of_code(std::string_view text) {
  if (text.size() < 3 || (text[0] != '4' && text[0] != '5') || !is_digit(text[1]) || !is_digit(text[2]))
    throw milter_failure{"a reply code that is neither 4xx nor 5xx"};
  auto code = static_cast<std::uint32_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
  auto out = text[0] == '5' ? refusal() : put_off();
  if (code % 100 < 60)
    out.reply_code = code;
  if (code == 421)
    out.action = HEDWIG_DISCONNECT;
  out.enhanced_code.clear();
  std::string words;
  while (!text.empty()) {
    auto end = text.find('\n');
    auto line = text.substr(0, end);
    line.remove_prefix(std::min<std::size_t>(line.size(), 4));
    auto space = line.find(' ');
    if (auto given = enhanced_code(line.substr(0, space), text[0]); !given.empty()) {
      out.enhanced_code = given;
      line.remove_prefix(std::min(space == line.npos ? line.size() : space + 1, line.size()));
    }
    (words += words.empty() ? "" : " ") += line.substr(0, line.find('\r'));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  if (auto shown = printable(words, reply_text_max); !shown.empty())
    out.reply = std::move(shown);
  return out;
}

std::string address_of(std::string_view text, bool may_be_empty) {
  if (text.starts_with('<') && text.ends_with('>'))
    text = text.substr(1, text.size() - 2);
  auto bad = [](char c) { return (c >= 0 && c <= ' ') || c == 0x7F || c == '<' || c == '>'; };
  if (text.size() > address_max || (text.empty() && !may_be_empty) || std::ranges::any_of(text, bad))
    throw milter_failure{"it gives an address that is none"};
  return std::string{text};
}

std::string field_name(std::string_view text) {
  auto good = [](char c) { return c > ' ' && c < 0x7F && c != ':'; };
  if (text.empty() || text.size() > 76 || !std::ranges::all_of(text, good))
    throw milter_failure{"it gives a header field a name that is none"};
  return std::string{text};
}

bool is_received(std::string_view name) {
  return std::ranges::equal(name, std::string_view{"received"}, {}, [](char c) { return c | 0x20; });
}

std::string bracketed(std::string_view address) { return "<" + std::string{address} + ">"; }

} // namespace

std::optional<negotiated> connection_pool::take() {
  std::lock_guard lock{mutex_};
  while (!idle_.empty()) {
    auto one = std::move(idle_.back());
    idle_.pop_back();
    if (one.socket->is_quiet())
      return one;
  }
  return std::nullopt;
}

void connection_pool::give(negotiated one) {
  one.reused = true;
  std::lock_guard lock{mutex_};
  if (idle_.size() < size_)
    idle_.push_back(std::move(one));
}

void connection_pool::clear() {
  std::lock_guard lock{mutex_};
  idle_.clear();
  size_ = 0;
}

struct conversation::changes {
  std::vector<sdk::edit> edits;
  std::optional<std::string> body;
  std::optional<std::string> quarantine;
  std::size_t count = 0;
};

hedwig_time_ns conversation::deadline_of(std::chrono::nanoseconds timeout) const {
  // A little before the host gives up, so that it is this milter's on_failure that counts.
  constexpr hedwig_time_ns margin = 200'000'000;
  return std::min<hedwig_time_ns>(with_->host.steady() + timeout.count(), call_deadline_ - margin);
}

void conversation::drop() noexcept {
  link_.reset();
  helo_.clear();
  greeted_ = in_transaction_ = transaction_over_ = accepted_client_ = false;
  client_verdict_.reset();
}

void conversation::leave() noexcept {
  if (!link_)
    return;
  try {
    call_deadline_ = with_->host.steady() + 2'000'000'000;
    if (in_transaction_)
      put(packet{command::abort});
    auto reusable = link_->version >= version_of_reuse;
    put(packet{reusable ? command::quit_new_connection : command::quit});
    link_->socket->flush(call_deadline_);
    if (reusable)
      with_->pool.give(std::move(*link_));
  } catch (const std::exception&) { // a connection that breaks now is as good as one that ends
  }
  drop();
}

void conversation::open(const client_facts& who, hedwig_time_ns deadline) {
  call_deadline_ = deadline;
  if (!link_) {
    link_ = with_->pool.take();
    if (!link_)
      negotiate(deadline);
  }
  if (in_transaction_)
    put(packet{command::abort});
  in_transaction_ = transaction_over_ = false;
  try {
    greet(who);
  } catch (const milter_failure& e) {
    if (greeted_ || !link_->reused)
      throw;
    if (dynamic_cast<const milter_late*>(&e) != nullptr)
      stop_reuse();
    drop(); // it may have closed the connection while nobody used it
    negotiate(deadline);
    greet(who);
  }
}

// libmilter up to 8.17 at least is deaf to a second client when the first one's last message was accepted.
void conversation::stop_reuse() {
  with_->pool.clear();
  with_->host.log(HEDWIG_LOG_WARN, "a milter does not answer a second client on one connection; set its max_idle to 0",
                  {{"milter", with_->settings.name}});
}

void conversation::negotiate(hedwig_time_ns deadline) {
  call_deadline_ = deadline;
  auto until = deadline_of(with_->settings.connect_timeout);
  link_.emplace();
  link_->socket = std::make_unique<milter_socket>(with_->host, with_->stop, with_->settings.address, until);
  packet offer{command::negotiate};
  offer.u32(version_max).u32(action::offered).u32(step::offered);
  link_->socket->put(std::move(offer), until);
  auto given = link_->socket->get(deadline_of(with_->settings.command_timeout));
  if (given.kind != reply_kind::negotiate)
    throw milter_failure{to_string(given.kind) + " to the negotiation"};
  reply_reader read{given};
  link_->version = read.u32();
  link_->actions = read.u32();
  link_->steps = read.u32() & step::offered;
  if (link_->version < version_min || link_->version > version_max)
    throw milter_failure{"it speaks version " + std::to_string(link_->version) + " of the protocol: 2 to 6 are known"};
  if ((link_->actions & ~action::offered) != 0)
    throw milter_failure{"it asks for actions that were not offered"};
  if (link_->version < version_of_data)
    link_->steps |= step::no_data;
}

void conversation::put_macros(command before, const macros& all) {
  packet out{command::macros};
  char kind = static_cast<char>(before);
  out.raw({&kind, 1});
  for (auto& [name, value] : all)
    if (!value.empty())
      out.text(name).text(value);
  put(std::move(out));
}

reply conversation::next_reply(std::chrono::nanoseconds timeout) {
  for (std::size_t i = 0; i < progress_max; ++i) {
    auto got = link_->socket->get(deadline_of(timeout));
    if (got.kind != reply_kind::progress)
      return got;
  }
  throw milter_failure{"it says that it is at work, over and over"};
}

bool conversation::settle(const reply& from) {
  switch (from.kind) {
  case reply_kind::proceed:
    break;
  case reply_kind::accept:
    accepted_ = true;
    break;
  case reply_kind::discard:
    discarded_ = true;
    break;
  case reply_kind::reject:
    verdict_ = refusal();
    break;
  case reply_kind::tempfail:
    verdict_ = put_off();
    break;
  case reply_kind::shutdown:
    verdict_ = {HEDWIG_DISCONNECT, "4.7.0", "Closing the connection", {}, 421};
    break;
  case reply_kind::reply_code:
    verdict_ = verdict_of_code(reply_reader{from}.text());
    break;
  default:
    throw milter_failure{to_string(from.kind) + " where it makes no sense"};
  }
  return wants_more();
}

bool conversation::answer(std::uint32_t silent_step, bool skip_allowed) {
  if (link_->has(silent_step))
    return true;
  auto got = next_reply(with_->settings.command_timeout);
  if (got.kind == reply_kind::skip && skip_allowed && link_->has(step::skip)) {
    skipping_ = true;
    return true;
  }
  return settle(got);
}

void conversation::greet(const client_facts& who) {
  if (!greeted_ && !link_->has(step::no_connect)) {
    auto name = who.peer_name.empty() ? "[" + who.peer + "]" : who.peer_name;
    put_macros(command::connect, {{"j", who.hostname},
                                  {"_", name + (who.peer_name.empty() ? "" : " [" + who.peer + "]")},
                                  {"{client_addr}", who.peer},
                                  {"{client_name}", who.peer_name.empty() ? "unknown" : who.peer_name},
                                  {"{client_ptr}", who.peer_name.empty() ? "unknown" : who.peer_name},
                                  {"{daemon_name}", who.listener},
                                  {"{if_addr}", who.local},
                                  {"v", "Hedwig"}});
    packet out{command::connect};
    auto family = who.peer.empty() ? "U" : who.peer.find(':') == who.peer.npos ? "4" : "6";
    out.text(name).raw(family);
    if (*family != 'U')
      out.u16(0).text(who.peer); // the SDK does not show the client's port
    put(std::move(out));
    static_cast<void>(answer(step::silent_connect));
  }
  greeted_ = true;
  if (wants_more() && helo_ != who.helo && !who.helo.empty() && !link_->has(step::no_helo)) {
    put_macros(command::helo, {{"{tls_version}", who.tls_version}, {"{cipher}", who.tls_cipher}});
    put(std::move(packet{command::helo}.text(who.helo)));
    helo_ = who.helo;
    static_cast<void>(answer(step::silent_helo));
  }
  if (discarded_)
    throw milter_failure{"it discards a message before there is one"};
  accepted_client_ = accepted_client_ || accepted_;
  if (verdict_)
    client_verdict_ = verdict_;
}

void conversation::begin(const client_facts& who, const hedwig_filter_address& sender) {
  auto address = sdk::view(sender.address);
  auto at = address.rfind('@');
  in_transaction_ = true;
  if (link_->has(step::no_mail))
    return;
  put_macros(command::mail, {{"{auth_authen}", who.identity},
                             {"{mail_addr}", std::string{address}},
                             {"{mail_host}", std::string{at == address.npos ? "" : address.substr(at + 1)}},
                             {"{mail_mailer}", "smtp"}});
  packet out{command::mail};
  out.text(bracketed(address));
  for (std::size_t i = 0; i < sender.parameter_count; ++i) {
    auto& [key, value] = sender.parameters[i];
    out.text(std::string{sdk::view(key)} + (value.size == 0 ? "" : "=" + std::string{sdk::view(value)}));
  }
  put(std::move(out));
  static_cast<void>(answer(step::silent_mail));
}

sdk::verdict conversation::mail(const client_facts& who, const hedwig_filter_address& sender, hedwig_time_ns deadline) {
  accepted_ = discarded_ = skipping_ = false;
  verdict_.reset();
  if (client_verdict_)
    return *client_verdict_;
  if (!accepted_client_)
    open(who, deadline);
  if (client_verdict_)
    return *client_verdict_;
  accepted_ = accepted_client_;
  if (wants_more())
    begin(who, sender);
  return verdict_.value_or(sdk::verdict{});
}

sdk::verdict conversation::recipient(const hedwig_filter_address& to, hedwig_time_ns deadline) {
  call_deadline_ = deadline;
  if (!link_ || !wants_more() || link_->has(step::no_recipient))
    return {};
  auto address = sdk::view(to.address);
  auto at = address.rfind('@');
  put_macros(command::recipient, {{"{rcpt_addr}", std::string{address}},
                                  {"{rcpt_host}", std::string{at == address.npos ? "" : address.substr(at + 1)}},
                                  {"{rcpt_mailer}", "smtp"}});
  put(std::move(packet{command::recipient}.text(bracketed(address))));
  static_cast<void>(answer(step::silent_recipient));
  return std::exchange(verdict_, {}).value_or(sdk::verdict{}); // of this recipient alone
}

void conversation::send_header(const message_model& message) {
  auto leading_space = link_->has(step::leading_space);
  if (!link_->has(step::no_headers))
    for (auto i = message.first_shown(); i < message.fields().size(); ++i) {
      auto& field = message.fields()[i];
      put(std::move(packet{command::header}.text(field.name).text(value_for_milter(field.value, leading_space))));
      if (!answer(step::silent_header))
        return;
    }
  if (link_->has(step::no_end_of_header))
    return;
  put(packet{command::end_of_header});
  static_cast<void>(answer(step::silent_end_of_header));
}

void conversation::send_body(const message_model& message) {
  if (link_->has(step::no_body))
    return;
  for (auto& part : message.body())
    for (auto rest = part.view(); !rest.empty(); rest.remove_prefix(std::min(rest.size(), chunk_max))) {
      put(std::move(packet{command::body}.raw(rest.substr(0, chunk_max))));
      if (!answer(step::silent_body, true) || skipping_)
        return;
    }
}

sdk::verdict conversation::message(const hedwig_filter_message& shown, message_model& message,
                                   hedwig_time_ns deadline) {
  call_deadline_ = deadline;
  verdict_.reset();
  if (link_ && wants_more()) {
    const macros named{{"i", message_id_text(shown.id)}};
    if (!link_->has(step::no_data)) {
      put_macros(command::data, named);
      put(packet{command::data});
      static_cast<void>(answer(step::silent_data));
    }
    if (wants_more())
      send_header(message);
    if (wants_more())
      send_body(message);
    if (wants_more()) {
      put_macros(command::end_of_body, named);
      put(packet{command::end_of_body});
      return end_of_message(message);
    }
  }
  if (discarded_)
    return {HEDWIG_DISCARD, {}, with_->settings.name + " discards it"};
  return verdict_.value_or(sdk::verdict{});
}

sdk::verdict conversation::end_of_message(message_model& message) {
  using enum reply_kind;
  changes asked;
  for (;;) {
    auto got = next_reply(with_->settings.content_timeout);
    if (got.kind == proceed || got.kind == accept || got.kind == reject || got.kind == tempfail ||
        got.kind == discard || got.kind == reply_code || got.kind == shutdown) {
      static_cast<void>(settle(got));
      break;
    }
    if (got.kind != replace_body && ++asked.count > changes_max)
      throw milter_failure{"it asks for more than " + std::to_string(changes_max) + " changes"};
    take_change(got, message, asked);
  }
  in_transaction_ = false;
  if (discarded_)
    return {HEDWIG_DISCARD, {}, with_->settings.name + " discards it"};
  if (verdict_)
    return *verdict_;
  std::vector<held_slice> body;
  if (asked.body && !asked.body->empty())
    body.emplace_back(with_->host, *asked.body);
  message.apply(std::move(asked.edits), asked.body ? &body : nullptr);
  if (asked.quarantine)
    return {HEDWIG_QUARANTINE, {}, *asked.quarantine};
  return {};
}

void conversation::take_change(const reply& from, const message_model& message, changes& into) const {
  using enum reply_kind;
  reply_reader read{from};
  auto need = [&](std::uint32_t wanted) {
    if ((link_->actions & wanted) == 0)
      throw milter_failure{to_string(from.kind) + " was not negotiated"};
  };
  switch (from.kind) {
  case add_header:
  case insert_header:
  case change_header:
    need(from.kind == change_header ? action::change_headers : action::add_headers);
    return take_field_change(from, message, into);
  case replace_body:
    need(action::change_body);
    if (!into.body)
      into.body.emplace();
    if (from.data.size() > with_->max_body - std::min(with_->max_body, into.body->size()))
      throw milter_failure{"the body it puts in place is larger than max_body"};
    *into.body += from.data;
    return;
  case add_recipient:
  case add_recipient_with_parameters: // the parameters have no place in this relay's envelope
    need(from.kind == add_recipient ? action::add_recipients : action::add_recipients_with_parameters);
    into.edits.push_back({HEDWIG_EDIT_ADD_RECIPIENT, {}, address_of(read.text(), false)});
    return;
  case delete_recipient:
    need(action::delete_recipients);
    into.edits.push_back({HEDWIG_EDIT_DELETE_RECIPIENT, {}, address_of(read.text(), false)});
    return;
  case change_sender:
    need(action::change_sender);
    into.edits.push_back({HEDWIG_EDIT_CHANGE_SENDER, {}, address_of(read.text(), true)});
    return;
  case quarantine:
    need(action::quarantine);
    into.quarantine = printable(read.text(), reply_text_max);
    return;
  default:
    throw milter_failure{to_string(from.kind) + " at the end of a message"};
  }
}

void conversation::take_field_change(const reply& from, const message_model& message, changes& into) const {
  reply_reader read{from};
  auto place = from.kind == reply_kind::add_header ? 0 : std::min(read.u32(), place_max);
  auto name = field_name(read.text());
  auto text = read.text();
  if (text.size() > value_max)
    throw milter_failure{"it gives a header field a value of more than 64 KiB"};
  auto [value, flags] = value_from_milter(text, link_->has(step::leading_space));
  auto hidden = static_cast<std::uint32_t>(message.first_shown());
  if (from.kind == reply_kind::add_header) {
    into.edits.push_back({HEDWIG_EDIT_ADD_HEADER, std::move(name), std::move(value), 0, {}, flags});
  } else if (from.kind == reply_kind::insert_header) {
    auto index = place == 0 ? 1 : place + hidden;
    into.edits.push_back({HEDWIG_EDIT_INSERT_HEADER, std::move(name), std::move(value), index, {}, flags});
  } else {
    auto index = std::max(place, 1U) + (is_received(name) ? hidden : 0);
    if (value.empty())
      into.edits.push_back({HEDWIG_EDIT_DELETE_HEADER, std::move(name), {}, index});
    else
      into.edits.push_back({HEDWIG_EDIT_REPLACE_HEADER, std::move(name), std::move(value), index, {}, flags});
  }
}

} // namespace hedwig::filter_milter
