// SPDX-License-Identifier: Apache-2.0
#include "app/spool_filler.hpp"

#include "runtime/queue/metadata.hpp"

#include <utility>

namespace hedwig::app {

std::string own_metadata(const plugin::storage_entry& entry, const result<queue::stored>& known) {
  if (!known || (entry.flags & HEDWIG_ENTRY_FOREIGN) == 0)
    return entry.metadata;
  auto encoded = queue::encode_metadata(known->message, known->record);
  return encoded ? std::move(*encoded) : queue::damaged_metadata(entry.metadata, entry.id, encoded.error().message);
}

result<void> spool_filler::add(plugin::put_request put, std::uint64_t size, const body_source& read) {
  if (size > octets_max)
    return add_large(std::move(put), size, read);
  if (waiting_.size() >= messages_max || octets_ + size > octets_max)
    if (auto done = flush(); !done)
      return done;
  auto got = read([&](const rope& piece) -> result<void> {
    put.body.append(piece);
    return {};
  });
  if (!got)
    return got;
  octets_ += size;
  waiting_.push_back(std::move(put));
  return {};
}

result<void> spool_filler::add_large(plugin::put_request put, std::uint64_t size, const body_source& read) {
  if (auto done = flush(); !done)
    return done;
  auto stage = to_.stage(size);
  if (!stage)
    return std::unexpected{stage.error()};
  auto got = read([&](const rope& piece) { return to_.append(*stage, piece); });
  if (!got) {
    to_.discard(*stage);
    return got;
  }
  put.stage = *stage;
  auto id = put.id;
  std::vector<plugin::put_request> alone;
  alone.push_back(std::move(put));
  return settle({id}, to_.put(std::move(alone)));
}

result<void> spool_filler::flush() {
  if (waiting_.empty())
    return {};
  std::vector<message_id> ids;
  for (auto& one : waiting_)
    ids.push_back(one.id);
  octets_ = 0;
  return settle(ids, to_.put(std::exchange(waiting_, {})));
}

result<void> spool_filler::settle(const std::vector<message_id>& ids, std::vector<result<plugin::outcome>> answers) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto exists = !answers[i] && answers[i].error().status == HEDWIG_E_EXISTS;
    if (!answers[i] && !exists)
      return std::unexpected{answers[i].error()};
    if (auto heard = heard_({ids[i], !exists}); !heard)
      return heard;
  }
  return {};
}

} // namespace hedwig::app
