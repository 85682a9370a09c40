// SPDX-License-Identifier: Apache-2.0
// A whole plugin: a store in memory. What it acknowledges is gone when the relay ends, so it is for tests and for
// showing what a store has to do; one for mail differs in commit(), which must not return before the group is durable.
#include <hedwig/hedwig.hpp>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace {

namespace sdk = hedwig::sdk;

constexpr auto memory_max = sdk::key_in_range(HEDWIG_CONFIG_SIZE, "memory_max",
                                              "Bytes of messages it holds at most; above, new mail is refused.", 0,
                                              "64MiB", 1 << 20, std::int64_t{1} << 40);
constexpr const hedwig_config_key* keys[] = {&memory_max};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

using id_text = std::string; // the 16 bytes: their order is that of receipt
id_text text_of(const hedwig_msg_id& id) { return {reinterpret_cast<const char*>(id.bytes), sizeof id.bytes}; }

hedwig_msg_id id_of(const id_text& text) {
  hedwig_msg_id id;
  std::memcpy(id.bytes, text.data(), sizeof id.bytes);
  return id;
}

struct message {
  std::uint32_t state = 0;
  hedwig_time_ns due = 0;
  std::uint64_t revision = 1;
  std::string metadata;
  std::string body;
  std::size_t bytes() const { return metadata.size() + body.size() + 256; }
};

class memory_store : public sdk::store {
public:
  memory_store(const sdk::host& h, const sdk::config& c)
    : store{h}, bytes_max_{static_cast<std::size_t>(c.integer("memory_max"))} {}

  hedwig_storage_limits limits() const override {
    return {sizeof(hedwig_storage_limits), 0, 20'000, 1000, std::uint64_t{64} << 20, bytes_max_ / 2};
  }
  void open() override { close(); }
  void close() noexcept override {
    messages_.clear();
    by_due_.clear();
    stages_.clear();
    bytes_ = 0;
  }

  // On the writer's thread, one group after the other. The lock is for the readers.
  void commit(std::span<sdk::pending_write> group) override {
    std::lock_guard guard{mutex_};
    for (auto& one : group)
      apply(one);
    bool full = bytes_ > bytes_max_ / 10 * 9;
    set_health(full ? HEDWIG_E_NO_SPACE : HEDWIG_OK, full ? "memory_max is nearly reached" : "there is room");
  }

  sdk::stored_entry stat(const hedwig_message_request& request) override {
    std::lock_guard guard{mutex_};
    auto at = find(request.id);
    return entry_of(at->first, at->second, true);
  }

  sdk::read_slices read(const hedwig_message_request& request) override {
    std::lock_guard guard{mutex_};
    auto& body = find(request.id)->second.body;
    sdk::read_slices out{the_host()};
    out.body_size = body.size();
    if (request.offset >= body.size())
      return out;
    auto wanted = request.length == 0 ? part_max : std::min<std::size_t>(request.length, part_max);
    out.add(sdk::copy_to_buffer(the_host(), std::string_view{body}.substr(request.offset, wanted)));
    return out;
  }

  sdk::entry_page list(const hedwig_list_request& request, const claim_times* claim) override {
    std::lock_guard guard{mutex_};
    if (claim == nullptr && (request.flags & HEDWIG_LIST_BY_RECEIPT) != 0)
      return walk(request, messages_, claim, [](auto& entry) { return place{0, entry.first}; });
    return walk(request, by_due_, claim, [](auto& entry) { return entry; });
  }

  sdk::state_stats stats() override {
    std::lock_guard guard{mutex_};
    sdk::state_stats out;
    for (auto& [due, id] : by_due_) { // a store for mail keeps counters
      auto& one = messages_.at(id);
      auto& state = out.states[one.state];
      state.bytes += one.body.size();
      if (state.messages++ == 0)
        state.oldest_due = due;
    }
    return out;
  }

private:
  using messages = std::map<id_text, message>;
  using place = std::pair<hedwig_time_ns, id_text>;
  static constexpr std::size_t part_max = 256 * 1024; // of one READ

  void apply(sdk::pending_write& one) {
    auto& stage = one.as<hedwig_append_request>();
    switch (one.request->kind) {
    case HEDWIG_STORAGE_STAGE:
      if (stages_.size() >= stages_max)
        return one.fail(HEDWIG_E_BUSY, "too many bodies are under way");
      one.stage = ++last_stage_;
      stages_[one.stage];
      return;
    case HEDWIG_STORAGE_APPEND:
      if (auto at = stages_.find(stage.stage); at == stages_.end())
        return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
      else if (!has_room(one.bytes))
        return one.fail(HEDWIG_E_NO_SPACE, "memory_max is reached");
      else
        at->second += joined(stage.slices, stage.slice_count);
      bytes_ += one.bytes;
      return;
    case HEDWIG_STORAGE_DISCARD:
      static_cast<void>(take_stage(stage.stage));
      return;
    case HEDWIG_STORAGE_PUT:
      return put(one);
    case HEDWIG_STORAGE_MOVE:
      return move(one);
    default:
      return remove(one);
    }
  }

  void put(sdk::pending_write& one) {
    auto& request = one.as<hedwig_put_request>();
    message made{request.state, request.due, 1, std::string{sdk::view(request.metadata)}, {}};
    if (request.stage != 0) { // consumed either way
      auto staged = take_stage(request.stage);
      if (!staged)
        return one.fail(HEDWIG_E_NOT_FOUND, "no such stage");
      made.body = *std::move(staged);
    }
    auto id = text_of(request.id);
    if ((request.flags & HEDWIG_PUT_RETRY) != 0 && messages_.contains(id))
      return one.fail(HEDWIG_E_EXISTS, "it is stored");
    made.body += joined(request.slices, request.slice_count);
    if (!has_room(made.bytes()))
      return one.fail(HEDWIG_E_NO_SPACE, "memory_max is reached");
    bytes_ += made.bytes();
    by_due_.emplace(made.due, id);
    messages_.emplace(std::move(id), std::move(made));
  }

  void move(sdk::pending_write& one) {
    auto& request = one.as<hedwig_move_request>();
    auto at = messages_.find(text_of(request.id));
    if (at == messages_.end())
      return one.fail(HEDWIG_E_NOT_FOUND, "no such message");
    auto& found = at->second;
    if (found.revision != request.revision)
      return one.fail(HEDWIG_E_CONFLICT, "another revision");
    bytes_ -= found.bytes();
    by_due_.erase({found.due, at->first});
    found.state = request.state;
    found.due = request.due;
    one.revision = ++found.revision;
    if ((request.flags & HEDWIG_MOVE_METADATA) != 0)
      found.metadata = sdk::view(request.metadata);
    by_due_.emplace(found.due, at->first);
    bytes_ += found.bytes();
  }

  void remove(sdk::pending_write& one) {
    auto& request = one.as<hedwig_message_request>();
    auto at = messages_.find(text_of(request.id));
    if (at == messages_.end())
      return; // absent is fine
    if (request.revision != 0 && request.revision != at->second.revision)
      return one.fail(HEDWIG_E_CONFLICT, "another revision");
    bytes_ -= at->second.bytes();
    by_due_.erase({at->second.due, at->first});
    messages_.erase(at);
  }

  std::optional<std::string> take_stage(std::uint64_t number) {
    auto node = stages_.extract(number);
    if (node.empty())
      return std::nullopt;
    bytes_ -= node.mapped().size();
    return std::move(node.mapped());
  }

  static std::string joined(const hedwig_slice* slices, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i)
      all += sdk::view(slices[i]);
    return all;
  }
  bool has_room(std::size_t bytes) const { return bytes <= bytes_max_ && bytes_ <= bytes_max_ - bytes; }

  messages::const_iterator find(const hedwig_msg_id& id) const {
    auto at = messages_.find(text_of(id));
    if (at == messages_.end())
      throw sdk::failure{HEDWIG_E_NOT_FOUND, "no such message"};
    return at;
  }
  static sdk::stored_entry entry_of(const id_text& id, const message& one, bool with_metadata) {
    return {id_of(id),    one.state,       0,       {},
            one.revision, one.body.size(), one.due, with_metadata ? one.metadata : std::string{}};
  }

  // A cursor is the place of the last entry looked at: what comes and goes meanwhile does not shift it.
  static std::string cursor_of(const place& at) {
    return std::string{reinterpret_cast<const char*>(&at.first), sizeof at.first} + at.second;
  }
  static place place_of(hedwig_bytes cursor) {
    place at;
    if (cursor.size != sizeof at.first + sizeof(hedwig_msg_id))
      throw sdk::failure{HEDWIG_E_INVALID, "not a cursor of this store"};
    std::memcpy(&at.first, cursor.data, sizeof at.first);
    at.second = sdk::view(cursor).substr(sizeof at.first);
    return at;
  }

  template <class Index, class Place>
  sdk::entry_page walk(const hedwig_list_request& request, const Index& index, const claim_times* claim,
                       Place&& place_in) {
    auto at = index.begin();
    if (request.cursor.size != 0) {
      auto after = place_of(request.cursor);
      if constexpr (std::is_same_v<Index, messages>)
        at = index.upper_bound(after.second);
      else
        at = index.upper_bound(after);
    }
    sdk::entry_page page;
    for (std::size_t seen = 0; at != index.end(); ++at) {
      auto here = place_in(*at);
      auto& one = messages_.at(here.second);
      bool wanted = (HEDWIG_STATE_MASK(one.state) & request.states) != 0 &&
                    (request.due_before == 0 || one.due < request.due_before);
      if (wanted && (claim == nullptr || leases().try_claim(id_of(here.second), claim->now, claim->until)))
        page.entries.push_back(
            entry_of(here.second, one, claim != nullptr || (request.flags & HEDWIG_LIST_METADATA) != 0));
      if (page.entries.size() == std::min<std::size_t>(request.limit, page_entries_max) || ++seen == walk_max) {
        page.cursor = cursor_of(here);
        break;
      }
    }
    return page;
  }

  const std::size_t bytes_max_;
  std::mutex mutex_;
  messages messages_;
  std::set<place> by_due_;
  std::map<std::uint64_t, std::string> stages_; // bodies under way
  std::uint64_t last_stage_ = 0;
  std::size_t bytes_ = 0;
};

constexpr auto provider = sdk::store_provider<memory_store>::make(
    "memory", "A store in memory, for tests: it forgets when it stops.", &schema, HEDWIG_PROVIDER_ISOLATABLE);

} // namespace

HEDWIG_PLUGIN("org.hedwig.example-memory", "1.0.0", "Hedwig", "Apache-2.0", &provider)
