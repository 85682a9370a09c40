// SPDX-License-Identifier: Apache-2.0
#include "runtime/plugin/storage_op.hpp"

#include <algorithm>

#include "runtime/plugin/table_copy.hpp"
#include "runtime/plugin/text_view.hpp"

namespace hedwig::plugin {

namespace {

constexpr std::size_t cursor_max = 4096;
constexpr std::size_t states_max = 64;

std::unexpected<error> broken(std::string message) {
  return std::unexpected{error{HEDWIG_E_INTERNAL, std::move(message), {}, 0}};
}

hedwig_bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::string text_of(hedwig_bytes from) { return std::string{text_view(from)}; }
hedwig_time_ns nanoseconds(wall_time t) { return t.time_since_epoch().count(); }

std::vector<hedwig_slice> slices_of(const rope& body) {
  std::vector<hedwig_slice> out;
  out.reserve(body.parts().size());
  for (auto& part : body.parts())
    out.push_back({part.owner().raw(), reinterpret_cast<const std::uint8_t*>(part.view().data()), part.size()});
  return out;
}

storage_entry entry_of(const hedwig_entry* raw) {
  auto from = copy_growing<hedwig_entry>(raw);
  return {{from.id},
          from.state,
          from.hint,
          from.revision,
          from.body_size,
          wall_time{std::chrono::nanoseconds{from.due}},
          text_of(from.metadata),
          from.flags};
}

result<outcome> decode_none(const void*) { return std::monostate{}; }

result<outcome> decode_stage(const void* raw) {
  if (raw == nullptr)
    return broken("the store gave no stage");
  auto from = copy_growing<hedwig_stage_result>(raw);
  if (from.stage == 0)
    return broken("the store gave stage 0");
  return storage_stage{from.stage};
}

result<outcome> decode_commit(const void* raw) {
  if (raw == nullptr)
    return storage_commit{};
  auto from = copy_growing<hedwig_commit_result>(raw);
  return storage_commit{from.hint, from.revision, std::max(from.group_size, 1U)};
}

result<outcome> decode_entry(const void* raw) {
  if (raw == nullptr)
    return broken("the store gave no entry");
  return entry_of(static_cast<const hedwig_entry*>(raw));
}

result<outcome> decode_listing(const void* raw) {
  if (raw == nullptr)
    return storage_listing{};
  auto from = copy_growing<hedwig_list_result>(raw);
  if (from.cursor.size > cursor_max)
    return broken("the store's cursor is longer than 4096 bytes");
  storage_listing out;
  out.entries.reserve(from.entry_count);
  for (std::size_t i = 0; i < from.entry_count; ++i)
    out.entries.push_back(entry_of(from.entries[i]));
  out.cursor = text_of(from.cursor);
  return out;
}

result<outcome> decode_body(const void* raw) {
  if (raw == nullptr)
    return broken("the store gave no body");
  auto from = copy_growing<hedwig_read_result>(raw);
  storage_body out;
  out.body_size = from.body_size;
  bool unowned = false;
  for (std::size_t i = 0; i < from.slice_count; ++i) {
    auto& part = from.slices[i];
    // The reference is ours now, also of an empty slice.
    slice owned{buffer{part.buf}, {reinterpret_cast<const char*>(part.data), part.size}};
    unowned = unowned || (part.buf == nullptr && part.size > 0);
    out.body.append(std::move(owned));
  }
  if (unowned)
    return broken("the store gave bytes that no buffer keeps");
  return out;
}

result<outcome> decode_stats(const void* raw) {
  if (raw == nullptr)
    return broken("the store gave no statistics");
  auto from = copy_growing<hedwig_storage_stats>(raw);
  if (from.state_count > states_max)
    return broken("the store gave statistics of more than 64 states");
  storage_statistics out;
  out.states.assign(from.states, from.states + from.state_count);
  out.disk_free = from.disk_free;
  out.commits = from.commits;
  out.commit_writes = from.commit_writes;
  out.damaged = from.damaged;
  return out;
}

using decoder = result<outcome> (*)(const void*);

/// A request struct of the ABI and what it points at.
template <class Raw>
class typed_op : public storage_op {
public:
  typed_op(std::uint32_t kind, decoder from) : decode_{from} {
    raw.struct_size = sizeof raw;
    raw.kind = kind;
  }
  const hedwig_storage_request* request() const noexcept override {
    return reinterpret_cast<const hedwig_storage_request*>(&raw);
  }
  std::uint64_t bytes() const noexcept override { return body.size(); }
  void set_handle(hedwig_op* handle) noexcept override { raw.op = handle; }
  result<outcome> decode(const void* answer) override { return decode_(answer); }

  Raw raw{};
  rope body;
  std::vector<hedwig_slice> slices;
  std::string text; // metadata or cursor

private:
  decoder decode_;
};

/// A stage that comes after its request was given up would stay until the store is started again.
class stage_op : public typed_op<hedwig_stage_request> {
public:
  explicit stage_op(std::uint64_t size_hint) : typed_op{HEDWIG_STORAGE_STAGE, decode_stage} {
    raw.size_hint = size_hint;
  }
  result<outcome> decode(const void* answer) override {
    auto value = typed_op::decode(answer);
    if (value)
      given_ = as<storage_stage>(*value).stage;
    return value;
  }
  void settled(bool late) noexcept override {
    typed_op::settled(late);
    if (late && given_ != 0)
      client->drop(given_);
  }

private:
  std::uint64_t given_ = 0;
};

/// A PUT consumes its stage, but not where the store had no time to look at it, or never saw it.
class put_op : public typed_op<hedwig_put_request> {
public:
  put_op() : typed_op{HEDWIG_STORAGE_PUT, decode_commit} {}
  result<outcome> decode(const void* answer) override {
    committed_ = true;
    return typed_op::decode(answer);
  }
  void settled(bool late) noexcept override {
    typed_op::settled(late);
    if (raw.stage != 0 && !committed_)
      client->drop(raw.stage);
  }

private:
  bool committed_ = false;
};

std::unique_ptr<typed_op<hedwig_message_request>> message_op(std::uint32_t kind, decoder decode, message_id id,
                                                             hedwig_storage_hint hint) {
  auto op = std::make_unique<typed_op<hedwig_message_request>>(kind, decode);
  op->raw.id = id.raw;
  op->raw.hint = hint;
  return op;
}

} // namespace

std::unique_ptr<storage_op> make_stage_op(std::uint64_t size_hint) { return std::make_unique<stage_op>(size_hint); }

std::unique_ptr<storage_op> make_append_op(std::uint32_t kind, std::uint64_t stage, rope chunk) {
  auto op = std::make_unique<typed_op<hedwig_append_request>>(kind, decode_none);
  op->body = std::move(chunk);
  op->slices = slices_of(op->body);
  op->raw.stage = stage;
  op->raw.slices = op->slices.data();
  op->raw.slice_count = op->slices.size();
  return op;
}

std::unique_ptr<storage_op> make_put_op(put_request request) {
  auto op = std::make_unique<put_op>();
  op->body = std::move(request.body);
  op->slices = slices_of(op->body);
  op->text = std::move(request.metadata);
  op->raw.id = request.id.raw;
  op->raw.state = request.state;
  op->raw.flags = request.retry ? HEDWIG_PUT_RETRY : 0;
  op->raw.due = nanoseconds(request.due);
  op->raw.lease_until = nanoseconds(request.lease_until);
  op->raw.stage = request.stage;
  op->raw.slices = op->slices.data();
  op->raw.slice_count = op->slices.size();
  op->raw.metadata = bytes_of(op->text);
  return op;
}

std::unique_ptr<storage_op> make_move_op(move_request request) {
  auto op = std::make_unique<typed_op<hedwig_move_request>>(HEDWIG_STORAGE_MOVE, decode_commit);
  op->text = std::move(request.metadata);
  op->raw.id = request.id.raw;
  op->raw.hint = request.hint;
  op->raw.revision = request.revision;
  op->raw.state = request.state;
  op->raw.flags = request.replace_metadata ? HEDWIG_MOVE_METADATA : 0;
  op->raw.due = nanoseconds(request.due);
  op->raw.lease_until = nanoseconds(request.lease_until);
  op->raw.metadata = bytes_of(op->text);
  return op;
}

std::unique_ptr<storage_op> make_remove_op(const remove_request& request) {
  auto op = message_op(HEDWIG_STORAGE_REMOVE, decode_none, request.id, request.hint);
  op->raw.flags = request.ride ? HEDWIG_REMOVE_RIDE : 0;
  op->raw.revision = request.revision;
  return op;
}

std::unique_ptr<storage_op> make_stat_op(message_id id, hedwig_storage_hint hint) {
  return message_op(HEDWIG_STORAGE_STAT, decode_entry, id, hint);
}

std::unique_ptr<storage_op> make_read_op(const read_request& request) {
  auto op = message_op(HEDWIG_STORAGE_READ, decode_body, request.id, request.hint);
  op->raw.offset = request.offset;
  op->raw.length = request.length;
  return op;
}

std::unique_ptr<storage_op> make_list_op(list_request request) {
  auto op = std::make_unique<typed_op<hedwig_list_request>>(HEDWIG_STORAGE_LIST, decode_listing);
  op->text = std::move(request.cursor);
  op->raw.states = request.states;
  op->raw.flags = (request.by_receipt ? HEDWIG_LIST_BY_RECEIPT : 0) | (request.metadata ? HEDWIG_LIST_METADATA : 0) |
                  (request.damaged ? HEDWIG_LIST_DAMAGED : 0);
  // No bound is 0 there: what is kept for good has the clock's maximum for its due time, and is not before that.
  op->raw.due_before = request.due_before == wall_time::max() ? 0 : nanoseconds(request.due_before);
  op->raw.cursor = bytes_of(op->text);
  op->raw.limit = request.limit;
  return op;
}

std::unique_ptr<storage_op> make_claim_op(claim_request request) {
  auto op = std::make_unique<typed_op<hedwig_list_request>>(HEDWIG_STORAGE_CLAIM, decode_listing);
  op->text = std::move(request.cursor);
  op->raw.states = request.states;
  op->raw.flags = (request.metadata ? HEDWIG_LIST_METADATA : 0) | (request.damaged ? HEDWIG_LIST_DAMAGED : 0);
  op->raw.due_before = nanoseconds(request.due_before);
  op->raw.lease_until = nanoseconds(request.lease_until);
  op->raw.cursor = bytes_of(op->text);
  op->raw.limit = request.limit;
  return op;
}

std::unique_ptr<storage_op> make_stats_op() {
  return std::make_unique<typed_op<hedwig_storage_request>>(HEDWIG_STORAGE_STATS, decode_stats);
}

} // namespace hedwig::plugin
