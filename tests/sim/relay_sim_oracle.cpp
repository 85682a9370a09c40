// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/relay_sim_oracle.hpp"

#include "runtime/queue/metadata.hpp"

#include <hedwig/storage.h>

#include <fmt/format.h>

#include <algorithm>

namespace hedwig::sim {

namespace {

using queue::recipient_status;

/// The value of a field of the top header, or nothing.
std::string field_of(std::string_view text, std::string_view name) {
  text = text.substr(0, text.find("\r\n\r\n"));
  auto at = text.starts_with(name) ? 0 : text.find(fmt::format("\r\n{}", name));
  if (at == std::string_view::npos)
    return {};
  at = text.find(name, at) + name.size();
  auto value = text.substr(at, text.find("\r\n", at) - at);
  value.remove_prefix(std::min(value.size(), value.find_first_not_of(' ')));
  return std::string{value};
}

/// Without the signature in front.
std::string_view unsigned_text(std::string_view text) {
  if (!text.starts_with("DKIM-Signature:"))
    return text;
  auto end = text.find("\r\n");
  while (end != std::string_view::npos &&
         (text.substr(end + 2).starts_with(' ') || text.substr(end + 2).starts_with('\t')))
    end = text.find("\r\n", end + 2);
  return end == std::string_view::npos ? text : text.substr(end + 2);
}

bool given_up(const queue::recipient_state& one) {
  return one.status == recipient_status::failed || one.status == recipient_status::expired;
}

} // namespace

std::string oracle::key_of(std::string_view text) {
  if (auto own = field_of(text, "X-Sim:"); !own.empty())
    return own;
  return field_of(text, "Message-ID:");
}

void oracle::fail(std::string what) {
  if (failures_.size() < 8)
    failures_.push_back(std::move(what));
}

oracle::tracked* oracle::known(const message_id& id) {
  auto key = keys_.find(id);
  return key == keys_.end() ? nullptr : &all_[key->second];
}

// ---- clients

void oracle::offered(const std::string& key, std::string_view reverse_path, std::string text) {
  ++totals_.offered;
  auto& fresh = all_[key];
  fresh.text = std::move(text);
  fresh.reverse_path = reverse_path;
}

void oracle::acknowledged(const std::string& key, const std::vector<std::string>& recipients) {
  ++totals_.acknowledged;
  auto& of = all_[key];
  of.acknowledged = true;
  if (!of.committed)
    return fail(fmt::format("{} was acknowledged before it was durable", key));
  std::vector<std::string> stored;
  for (auto& one : of.fates)
    stored.push_back(one.address);
  if (stored != recipients)
    fail(fmt::format("{} has {} recipients in the store, {} were acknowledged", key, stored.size(), recipients.size()));
}

// ---- the store

void oracle::put_committed(const message_id& id, std::string_view metadata, const std::string& body) {
  auto read = queue::decode_metadata(metadata, id);
  if (!read)
    return fail("the metadata of a new message cannot be read");
  auto key = key_of(body);
  auto& of = all_[key];
  if (of.committed)
    return fail(fmt::format("{} was stored twice", key));
  ++totals_.committed;
  of.committed = true;
  of.id = id;
  of.body = body;
  of.state = HEDWIG_STATE_QUEUED;
  keys_[id] = key;
  for (auto& one : read->message.envelope.recipients)
    of.fates.push_back({.address = one.address});
  if (of.text.empty()) {
    of.notification = true;
    ++totals_.notifications;
    if (!read->message.envelope.null_sender())
      fail(fmt::format("{} was stored, and no client offered it", key));
    return read_notification(of);
  }
  if (!body.ends_with(of.text) || !body.starts_with("Received:"))
    fail(fmt::format("{} was stored with another text than it was offered with", key));
  if (read->message.envelope.reverse_path != of.reverse_path)
    fail(fmt::format("{} was stored with another reverse-path", key));
}

void oracle::read_notification(const tracked& notification) {
  auto& body = notification.body;
  auto about = std::ranges::find_if(keys_, [&](auto& one) {
    return one.first != notification.id && body.find(one.first.text()) != std::string::npos;
  });
  if (about == keys_.end())
    return fail("a notification is about a message that nobody offered");
  if (body.find("Action: failed") == std::string::npos)
    return;
  for (auto& one : all_[about->second].fates) {
    if (body.find(fmt::format("Final-Recipient: rfc822; {}\r\n", one.address)) == std::string::npos)
      continue;
    one.reported_in.insert(incarnation_);
    if (one.closed != 0)
      fail(fmt::format("{} was delivered to {}, and its sender is told that it failed", about->second, one.address));
  }
}

void oracle::judge_fate(tracked& of, fate& one, bool delivered, bool bad) {
  auto& key = keys_[of.id];
  if ((one.closed != 0 && !delivered) || (one.given_up != 0 && !bad))
    fail(fmt::format("the end of {} for {} was taken back", key, one.address));
  if (delivered && one.closed == 0) {
    if (one.accepts == 0)
      fail(fmt::format("{} is recorded as delivered to {}, and no server took it", key, one.address));
    if (one.reported_in.contains(incarnation_))
      fail(fmt::format("{} is recorded as delivered to {} after a notification of failure", key, one.address));
    one.closed = now_;
  }
  if (bad && one.given_up == 0) {
    ++totals_.bounced;
    one.given_up = now_;
  }
}

void oracle::move_committed(const message_id& id, std::uint32_t state, wall_time due, std::string_view metadata) {
  auto* of = known(id);
  if (of == nullptr)
    return fail("a message moved that never was stored");
  of->state = state;
  of->due = due;
  auto read = queue::decode_metadata(metadata, id);
  if (!read)
    return fail(fmt::format("the metadata of {} cannot be read any more", keys_[id]));
  for (std::size_t i = 0; i < of->fates.size(); ++i) {
    auto& now = read->record.recipients[i];
    judge_fate(*of, of->fates[i], now.status == recipient_status::delivered, given_up(now));
    // The store of the simulation never loses a body: it fails to read one for a moment.
    if (now.attempts > 0 && now.last_reply.text.find("could not be read") != std::string::npos)
      fail(fmt::format("{} could not be read for a moment, and that counts as an attempt", keys_[id]));
  }
  if (state == HEDWIG_STATE_BOUNCED)
    check_reported(*of, "bounced");
}

void oracle::check_reported(const tracked& of, std::string_view where) {
  if (of.reverse_path.empty())
    return;
  for (auto& one : of.fates)
    if (one.given_up != 0 && one.reported_in.empty())
      fail(fmt::format("{} is {}, and its sender was never told that {} did not get it", keys_[of.id], where,
                       one.address));
}

void oracle::remove_committed(const message_id& id, wall_time now) {
  auto* of = known(id);
  if (of == nullptr || of->removed)
    return;
  of->removed = true;
  if (of->state == HEDWIG_STATE_BOUNCED) {
    ++totals_.expired;
    if (!retention_ || of->due + *retention_ > now)
      fail(fmt::format("{} bounced and was removed before its retention ended", keys_[id]));
    return;
  }
  for (auto& one : of->fates) {
    if (one.accepts == 0)
      fail(fmt::format("{} was removed, and {} never got it", keys_[id], one.address));
    judge_fate(*of, one, true, one.given_up != 0);
    if (one.given_up != 0)
      fail(fmt::format("{} was removed as delivered, and {} was given up", keys_[id], one.address));
  }
}

// ---- next hops

void oracle::written(const net::address& from, std::string_view text) {
  for (auto at = text.find("MAIL FROM:<"); at != std::string_view::npos; at = text.find("MAIL FROM:<", at + 1))
    mail_commands_[from].push_back(now_);
}

void oracle::accepted(const net::address& from, std::size_t transaction, const std::string& text,
                      const std::vector<std::string>& recipients) {
  auto key = key_of(text);
  auto found = all_.find(key);
  if (found == all_.end() || !found->second.committed)
    return fail(fmt::format("a server was sent {}, which is not in the store", key));
  auto& of = found->second;
  if (unsigned_text(text) != of.body)
    fail(fmt::format("{} was sent with another text than it was accepted with", key));
  auto& commands = mail_commands_[from];
  if (transaction >= commands.size())
    return fail("a server saw a MAIL command that nobody wrote");
  auto began = commands[transaction];
  for (auto& address : recipients) {
    auto one = std::ranges::find(of.fates, address, &fate::address);
    if (one == of.fates.end()) {
      fail(fmt::format("{} was sent to {}, who is not one of its recipients", key, address));
      continue;
    }
    ++totals_.accepted;
    totals_.repeated += one->accepts > 0;
    ++one->accepts;
    if (one->closed != 0 && began > one->closed)
      fail(fmt::format("{} was sent to {} again after its delivery was durable", key, address));
    if (one->given_up != 0 && began > one->given_up)
      fail(fmt::format("{} was sent to {} after it was given up", key, address));
  }
}

// ---- the end

void oracle::judge_end(const std::map<message_id, left_over>& store) {
  for (auto& [key, of] : all_) {
    if (of.acknowledged && !of.committed)
      fail(fmt::format("{} was acknowledged and is not durable", key));
    if (!of.committed || of.removed)
      continue;
    auto row = store.find(of.id);
    if (row == store.end()) {
      fail(fmt::format("{} is lost: the store does not have it, and nobody removed it", key));
      continue;
    }
    if (row->second.state != HEDWIG_STATE_BOUNCED || row->second.pending)
      fail(fmt::format("{} is still in the queue (state {}), although everything had time to end", key,
                       row->second.state));
    for (auto& one : of.fates)
      if (row->second.state == HEDWIG_STATE_BOUNCED && one.closed == 0 && one.given_up == 0)
        fail(fmt::format("{} is bounced, and {} has no end", key, one.address));
  }
}

} // namespace hedwig::sim
