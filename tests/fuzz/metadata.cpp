// SPDX-License-Identifier: Apache-2.0
// What the queue reads back from its store, which a disk or an older release may have made anything of.
#include "runtime/queue/metadata.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace hedwig::fuzz {

namespace {

bool same(const queue::stored& a, const queue::stored& b) {
  return a.message.id == b.message.id && a.message.envelope == b.message.envelope &&
         a.message.received == b.message.received && a.message.from_domains == b.message.from_domains &&
         a.message.subject == b.message.subject && a.message.size == b.message.size && a.record == b.record;
}

} // namespace

void metadata(std::string_view input) {
  const auto id = message_id::make(wall_time{}, 7);
  auto read = queue::decode_metadata(input, id);
  if (read) {
    demand(read->message.id == id, "the key wins");
    demand(read->message.envelope.recipients.size() == read->record.recipients.size(), "each recipient has a state");
    demand(read->record.recipients.size() <= queue::recipients_max, "recipients have their limit");
    if (auto written = queue::encode_metadata(read->message, read->record)) {
      auto again = queue::decode_metadata(*written, id);
      demand(again.has_value(), "what was written can be read");
      auto rewritten = queue::encode_metadata(again->message, again->record);
      demand(rewritten && *rewritten == *written, "and is written the same");
      demand(same(*queue::decode_metadata(*rewritten, id), *again), "and is the same");
    }
  }
  auto damaged = queue::damaged_metadata(input, id, "a reason\r\nin two lines");
  demand(queue::damage_of(damaged, id).has_value(), "what was set aside says why");
  demand(queue::damage_of(queue::damaged_metadata(damaged, id, "again"), id).has_value(), "twice does no harm");
}

} // namespace hedwig::fuzz
