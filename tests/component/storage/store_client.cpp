// SPDX-License-Identifier: Apache-2.0
#include "tests/component/storage/store_client.hpp"

#include <hedwig/plugin.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <dlfcn.h>

struct hedwig_buf {
  std::atomic<int> references{1};
  const std::uint8_t* data = nullptr;
  void (*drop)(void*) = nullptr;
  void* context = nullptr;
};

namespace {

std::atomic<std::int64_t> alive{0};

void retain(const hedwig_host*, hedwig_buf* raw) { ++raw->references; }
void release(const hedwig_host*, hedwig_buf* raw) {
  if (--raw->references != 0)
    return;
  raw->drop(raw->context);
  delete raw;
  --alive;
}
hedwig_buf* wrap(const hedwig_host*, const std::uint8_t* data, std::size_t, void (*drop)(void*), void* context) {
  ++alive;
  auto* raw = new hedwig_buf;
  raw->data = data;
  raw->drop = drop;
  raw->context = context;
  return raw;
}
hedwig_buf* allocate(const hedwig_host* host, std::size_t size, std::uint8_t** data) {
  *data = static_cast<std::uint8_t*>(size >= 4096 ? std::aligned_alloc(4096, (size + 4095) / 4096 * 4096)
                                                  : std::malloc(size + 1));
  return wrap(host, *data, size, std::free, *data);
}

std::int64_t now(std::int64_t offset, bool wall) {
  auto since =
      wall ? std::chrono::system_clock::now().time_since_epoch() : std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count() + offset;
}

template <class Map>
auto value_of(const Map& map, const char* name) {
  auto at = map.find(name);
  return at == map.end() ? typename Map::mapped_type{} : at->second;
}

const hedwig_host_config config_api{
    sizeof(hedwig_host_config),
    0,
    [](const hedwig_config* c, const char* name) -> std::int32_t {
      return c->texts.contains(name) || c->numbers.contains(name);
    },
    [](const hedwig_config* c, const char* name) -> hedwig_str {
      auto at = c->texts.find(name);
      return at == c->texts.end() ? hedwig_str{} : hedwig::sdk::str(at->second);
    },
    [](const hedwig_config* c, const char* name) -> std::int64_t { return value_of(c->numbers, name); },
    [](const hedwig_config* c, const char* name) -> std::int32_t { return value_of(c->numbers, name) != 0; },
    [](const hedwig_config*, const char*) -> std::size_t { return 0; },
    [](const hedwig_config*, const char*, std::size_t) -> hedwig_str { return {}; },
    [](const hedwig_config* c, const char*, std::size_t) { return c; }};

/// Numbers as the host would read them out of a schema's defaults: "128MiB", "2", "30s".
std::int64_t number_of(std::string_view text) {
  std::int64_t value = std::strtoll(std::string{text}.c_str(), nullptr, 10);
  if (text.ends_with("KiB"))
    value <<= 10;
  if (text.ends_with("MiB"))
    value <<= 20;
  if (text.ends_with("GiB"))
    value <<= 30;
  if (text.ends_with("s"))
    value *= 1'000'000'000;
  if (text.ends_with("m"))
    value *= 60'000'000'000;
  return value;
}

void fill_defaults(hedwig_config& config, const hedwig_config_schema& schema) {
  for (std::uint32_t i = 0; i < schema.key_count; ++i) {
    auto& key = *schema.keys[i];
    if (key.default_value == nullptr)
      continue;
    if (key.type == HEDWIG_CONFIG_STRING || key.type == HEDWIG_CONFIG_PATH)
      config.texts.try_emplace(key.name, key.default_value);
    else
      config.numbers.try_emplace(key.name, number_of(key.default_value));
  }
}

} // namespace

hedwig_op::~hedwig_op() {
  for (auto& one : slices)
    release(nullptr, one.buf);
}

namespace hedwig::test {

store_client::store_client(const std::string& file, hedwig_config config) : config_{std::move(config)} {
  host_.struct_size = sizeof host_;
  host_.abi_major = HEDWIG_ABI_MAJOR;
  host_.abi_minor = HEDWIG_ABI_MINOR;
  host_.host_data = this;
  host_.product = "test";
  host_.version = "0";
  host_.get_interface = [](const hedwig_host*, const char* id) -> const void* {
    return std::strcmp(id, HEDWIG_HOST_CONFIG) == 0 ? &config_api : nullptr;
  };
  host_.log_level = [](const hedwig_host*) -> std::int32_t { return HEDWIG_LOG_INFO; };
  host_.log = [](const hedwig_host* h, const hedwig_log_record* record) {
    auto& me = *static_cast<store_client*>(h->host_data);
    std::string text{sdk::view(record->message)};
    for (std::size_t i = 0; i < record->field_count; ++i)
      text +=
          " " + std::string{sdk::view(record->fields[i].key)} + "=" + std::string{sdk::view(record->fields[i].value)};
    std::lock_guard guard{me.mutex_};
    me.logs_.push_back(text);
  };
  host_.complete = &store_client::complete;
  host_.op_deadline = [](const hedwig_host*, const hedwig_op*) -> hedwig_time_ns { return INT64_MAX; };
  host_.op_cancelled = [](const hedwig_host*, const hedwig_op*) -> std::int32_t { return 0; };
  host_.buf_alloc = allocate;
  host_.buf_wrap = wrap;
  host_.buf_retain = retain;
  host_.buf_release = release;
  host_.wall_clock = [](const hedwig_host* h) { return now(static_cast<store_client*>(h->host_data)->offset_, true); };
  host_.steady_clock = [](const hedwig_host* h) {
    return now(static_cast<store_client*>(h->host_data)->offset_, false);
  };
  auto* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    std::abort();
  }
  auto entry = reinterpret_cast<decltype(&hedwig_plugin_v1)>(::dlsym(handle, HEDWIG_ENTRY_SYMBOL));
  provider_ = entry(&host_)->providers[0];
  table_ = static_cast<const hedwig_storage*>(provider_->interface);
  fill_defaults(config_, *provider_->schema);
}

store_client::~store_client() {
  if (started_)
    stop();
  if (instance_ != nullptr)
    provider_->destroy(instance_);
}

hedwig_status store_client::start() {
  hedwig_error error{};
  if (instance_ == nullptr)
    if (auto status = provider_->create(&host_, &config_, &instance_, &error); status != HEDWIG_OK) {
      error_ = error.message;
      return status;
    }
  auto one = make(0);
  provider_->start(instance_, one.get());
  auto& got = wait(one);
  error_ = got.error;
  started_ = got.status == HEDWIG_OK;
  return got.status;
}

void store_client::stop() {
  auto one = make(0);
  provider_->stop(instance_, one.get());
  wait(one);
  started_ = false;
}

hedwig_time_ns store_client::wall() const { return now(offset_, true); }

bool store_client::eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  return false;
}

op_pointer store_client::make(std::uint32_t kind) {
  auto one = std::make_shared<hedwig_op>();
  one->kind = kind;
  one->owner = &host_;
  one->request.head = {sizeof(hedwig_storage_request), kind, one.get()};
  return one;
}

hedwig_slice store_client::copy(std::string_view text) {
  std::uint8_t* data = nullptr;
  auto* raw = allocate(&host_, text.size(), &data);
  std::memcpy(data, text.data(), text.size());
  return {raw, data, text.size()};
}

op_pointer store_client::make_put(const hedwig_msg_id& id, std::string_view body, std::string_view metadata,
                                  std::uint32_t state, hedwig_time_ns due) {
  auto one = make(HEDWIG_STORAGE_PUT);
  one->metadata = metadata;
  // In two slices, as a relay would put its own field before the message.
  auto half = body.substr(0, body.size() / 3);
  for (auto piece : {half, body.substr(half.size())})
    if (!piece.empty())
      one->slices.push_back(copy(piece));
  one->request.put = {
      sizeof(hedwig_put_request), HEDWIG_STORAGE_PUT,       one.get(), id, state, 0, due, 0, 0, one->slices.data(),
      one->slices.size(),         sdk::bytes(one->metadata)};
  return one;
}

op_pointer store_client::make_move(const hedwig_msg_id& id, std::uint64_t revision, std::uint32_t state,
                                   hedwig_time_ns due) {
  auto one = make(HEDWIG_STORAGE_MOVE);
  one->request.move = {
      sizeof(hedwig_move_request), HEDWIG_STORAGE_MOVE, one.get(), id, {}, revision, state, 0, due, 0, {}};
  return one;
}

op_pointer store_client::make_message(std::uint32_t kind, const hedwig_msg_id& id, const hedwig_storage_hint& hint) {
  auto one = make(kind);
  one->request.message = {sizeof(hedwig_message_request), kind, one.get(), id, hint, 0, 0, 0, 0, 0};
  return one;
}

op_pointer store_client::make_list(std::uint32_t kind, std::uint32_t states, std::uint32_t limit,
                                   std::string_view cursor, std::uint32_t flags) {
  auto one = make(kind);
  one->cursor = cursor;
  one->request.list = {sizeof(hedwig_list_request), kind,  one.get(), states, flags, 0, 0,
                       sdk::bytes(one->cursor),     limit, 0};
  return one;
}

op_pointer store_client::make_append(std::uint32_t kind, std::uint64_t stage, std::string_view text) {
  auto one = make(kind);
  if (!text.empty())
    one->slices.push_back(copy(text));
  one->request.append = {sizeof(hedwig_append_request), kind, one.get(), stage, one->slices.data(), one->slices.size()};
  if (kind == HEDWIG_STORAGE_STAGE)
    one->request.stage = {sizeof(hedwig_stage_request), kind, one.get(), 0};
  return one;
}

void store_client::submit(const std::vector<op_pointer>& ops) {
  std::vector<const hedwig_storage_request*> requests;
  for (auto& one : ops)
    requests.push_back(&one->request.head);
  table_->submit(instance_, requests.data(), requests.size());
}

const answer& store_client::wait(const op_pointer& one) {
  std::unique_lock guard{mutex_};
  if (!changed_.wait_for(guard, std::chrono::seconds{60}, [&] { return one->completions.load() > 0; })) {
    std::fprintf(stderr, "no completion within a minute\n");
    std::abort();
  }
  return one->got;
}

void store_client::take(hedwig_op& one, const hedwig_completion& done) {
  auto& got = one.got;
  got.status = done.status;
  if (done.error != nullptr)
    got.error = done.error->message;
  if (done.result == nullptr)
    return;
  auto add_entry = [&got](const hedwig_entry& e) {
    got.entries.push_back(
        {e.id, e.state, e.flags, e.hint, e.revision, e.body_size, e.due, std::string{sdk::view(e.metadata)}});
  };
  if (one.kind == HEDWIG_STORAGE_PUT || one.kind == HEDWIG_STORAGE_MOVE) {
    auto& result = *static_cast<const hedwig_commit_result*>(done.result);
    got.hint = result.hint;
    got.revision = result.revision;
    got.group_size = result.group_size;
  } else if (one.kind == HEDWIG_STORAGE_STAGE) {
    got.stage = static_cast<const hedwig_stage_result*>(done.result)->stage;
  } else if (one.kind == HEDWIG_STORAGE_STAT) {
    add_entry(*static_cast<const hedwig_entry*>(done.result));
  } else if (one.kind == HEDWIG_STORAGE_LIST || one.kind == HEDWIG_STORAGE_CLAIM) {
    auto& result = *static_cast<const hedwig_list_result*>(done.result);
    for (std::size_t i = 0; i < result.entry_count; ++i)
      add_entry(*result.entries[i]);
    got.cursor = sdk::view(result.cursor);
  } else if (one.kind == HEDWIG_STORAGE_READ) {
    auto& result = *static_cast<const hedwig_read_result*>(done.result);
    got.body_size = result.body_size;
    for (std::size_t i = 0; i < result.slice_count; ++i) {
      got.body += sdk::view(result.slices[i]);
      release(nullptr, result.slices[i].buf);
    }
  } else if (one.kind == HEDWIG_STORAGE_STATS) {
    got.stats = *static_cast<const hedwig_storage_stats*>(done.result);
    got.states.assign(got.stats.states, got.stats.states + got.stats.state_count);
  }
}

void store_client::complete(const hedwig_host* host, const hedwig_completion* done, std::size_t count) {
  auto& me = *static_cast<store_client*>(host->host_data);
  std::lock_guard guard{me.mutex_};
  for (std::size_t i = 0; i < count; ++i) {
    auto& one = *done[i].op;
    if (one.completions.load() != 0) {
      std::fprintf(stderr, "an op was completed twice\n");
      std::abort();
    }
    take(one, done[i]);
    ++one.completions;
  }
  me.changed_.notify_all();
}

answer store_client::read_all(const hedwig_msg_id& id, const hedwig_storage_hint& hint) {
  answer all;
  do {
    auto one = make_message(HEDWIG_STORAGE_READ, id, hint);
    one->request.message.offset = all.body.size();
    auto got = run(one);
    all.status = got.status;
    all.error = got.error;
    all.body_size = got.body_size;
    all.body += got.body;
    if (got.body.empty())
      break;
  } while (all.body.size() < all.body_size);
  return all;
}

std::vector<entry_copy> store_client::list_all(std::uint32_t states, std::uint32_t limit, std::uint32_t flags) {
  std::vector<entry_copy> all;
  std::string cursor;
  do {
    auto got = run(make_list(HEDWIG_STORAGE_LIST, states, limit, cursor, flags));
    all.insert(all.end(), got.entries.begin(), got.entries.end());
    cursor = got.cursor;
  } while (!cursor.empty());
  return all;
}

answer store_client::claim(std::uint32_t states, hedwig_time_ns due_before, std::chrono::nanoseconds lease,
                           std::uint32_t limit) {
  auto one = make_list(HEDWIG_STORAGE_CLAIM, states, limit);
  one->request.list.due_before = due_before;
  one->request.list.lease_until = wall() + lease.count();
  return run(one);
}

std::vector<std::string> store_client::logs() {
  std::lock_guard guard{mutex_};
  return logs_;
}

std::int64_t store_client::buffers_alive() { return alive; }

hedwig_config settings_for(const std::string& provider, const std::string& path) {
  hedwig_config config;
  config.texts["path"] = path;
  config.numbers["disk_reserve"] = 0;
  if (provider == "rocksdb")
    config.numbers["memtable_size"] = 4 << 20;
  if (provider == "sql_postgresql") {
    config.texts["engine"] = "postgresql";
    auto* server = std::getenv("HEDWIG_TEST_POSTGRESQL");
    config.texts["connection"] = server != nullptr ? server : "";
    config.texts["schema"] = "s"; // one for each folder
    for (char c : path)
      config.texts["schema"] += c >= 'A' && c <= 'Z'                 ? std::string{'_', static_cast<char>(c + 32)}
                                : c >= 'a' || (c >= '0' && c <= '9') ? std::string{c}
                                                                     : std::string{};
  }
  return config;
}

hedwig_msg_id id_of(std::uint64_t number) {
  hedwig_msg_id id{};
  // A receipt time in 2025, then the number again, as the random half.
  std::uint64_t time = UINT64_C(1750000000000000000) + number * 1000000;
  for (int i = 0; i < 8; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(time >> (56 - 8 * i));
    id.bytes[8 + i] = static_cast<std::uint8_t>((number * 0x9E3779B97F4A7C15u) >> (56 - 8 * i));
  }
  return id;
}

std::string body_of(std::uint64_t number, std::size_t size) {
  std::string body(size, '\0');
  std::uint64_t state = number * 0x9E3779B97F4A7C15u + 1;
  for (auto& c : body) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>('!' + (state >> 57) % 90);
  }
  return body;
}

std::string plugin_file(const std::string& provider) {
  auto* folder = std::getenv("HEDWIG_PLUGIN_DIR");
  auto name = provider.starts_with("sql_") ? std::string{"sql"} : provider; // one plugin, two engines
  return std::string{folder != nullptr ? folder : "."} + "/storage-" + name + ".so";
}

} // namespace hedwig::test
