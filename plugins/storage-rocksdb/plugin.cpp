// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-rocksdb/store.hpp"

namespace {

using hedwig::sdk::key;
using hedwig::sdk::key_in_range;

constexpr std::int64_t mib = 1024 * 1024;

constexpr auto path =
    key(HEDWIG_CONFIG_PATH, "path", "Directory of the spool; made when it is not there.", HEDWIG_CONFIG_REQUIRED);
constexpr auto memtable_size = key_in_range(
    HEDWIG_CONFIG_SIZE, "memtable_size",
    "Memory for bodies not yet written to tables; mail delivered before it fills up costs no second write.", 0,
    "128MiB", 1 * mib, 4096 * mib);
constexpr auto block_cache = key_in_range(HEDWIG_CONFIG_SIZE, "block_cache", "Cache of index and metadata blocks.", 0,
                                          "64MiB", 1 * mib, 65536 * mib);
constexpr auto background_jobs =
    key_in_range(HEDWIG_CONFIG_INTEGER, "background_jobs", "Threads that flush and compact.", 0, "2", 2, 64);
constexpr auto disk_reserve =
    key_in_range(HEDWIG_CONFIG_SIZE, "disk_reserve",
                 "New mail is refused while the file system has less free than this; deliveries go on.", 0, "1GiB", 0,
                 std::int64_t{1} << 50);
constexpr auto in_flight_bytes =
    key_in_range(HEDWIG_CONFIG_SIZE, "in_flight_bytes", "Bodies the store holds until they are committed.", 0, "128MiB",
                 1 * mib, 65536 * mib);
constexpr auto open_files = key_in_range(HEDWIG_CONFIG_INTEGER, "open_files",
                                         "Table and blob files the store keeps open.", 0, "512", 16, 1 << 20);

constexpr auto read_only =
    key(HEDWIG_CONFIG_BOOLEAN, "read_only",
        "Changes nothing and refuses every write: how `hedwig spool` looks at a spool.", 0, "false");

constexpr const hedwig_config_key* keys[] = {&path,         &memtable_size,   &block_cache, &background_jobs,
                                             &disk_reserve, &in_flight_bytes, &open_files,  &read_only};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

constexpr auto provider = hedwig::sdk::store_provider<hedwig::storage_rocksdb::rocksdb_store>::make(
    "rocksdb", "Messages in a RocksDB database: one synced batch for a group.", &schema, 0);

} // namespace

HEDWIG_PLUGIN("org.hedwig.storage-rocksdb", "0.11.0", "Hedwig", "Apache-2.0", &provider)
