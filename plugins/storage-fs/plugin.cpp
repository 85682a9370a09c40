// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-fs/store.hpp"

namespace {

using hedwig::sdk::key;
using hedwig::sdk::key_in_range;
using hedwig::sdk::key_of_choices;

constexpr std::int64_t mib = 1024 * 1024;
constexpr const char* sync_choices[] = {"auto", "syncfs", "fsync", nullptr};

constexpr auto path =
    key(HEDWIG_CONFIG_PATH, "path", "Directory of the spool; made when it is not there.", HEDWIG_CONFIG_REQUIRED);
constexpr auto sync = key_of_choices("sync",
                                     "How a group gets to the disk: one syncfs where the spool has a file system of "
                                     "its own, an fsync of each file where it "
                                     "shares one; auto looks whether it is that of /.",
                                     0, "auto", sync_choices);
constexpr auto free_files = key_in_range(HEDWIG_CONFIG_INTEGER, "free_files",
                                         "Files of removed messages kept to be written over.", 0, "1024", 0, 65536);
constexpr auto disk_reserve =
    key_in_range(HEDWIG_CONFIG_SIZE, "disk_reserve",
                 "New mail is refused while the file system has less free than this; deliveries go on.", 0, "1GiB", 0,
                 std::int64_t{1} << 50);
constexpr auto in_flight_bytes =
    key_in_range(HEDWIG_CONFIG_SIZE, "in_flight_bytes", "Bodies the store holds until they are committed.", 0, "128MiB",
                 1 * mib, 65536 * mib);

constexpr auto read_only =
    key(HEDWIG_CONFIG_BOOLEAN, "read_only",
        "Changes nothing and refuses every write: how `hedwig spool` looks at a spool.", 0, "false");

constexpr const hedwig_config_key* keys[] = {&path, &sync, &free_files, &disk_reserve, &in_flight_bytes, &read_only};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

constexpr auto provider = hedwig::sdk::store_provider<hedwig::storage_fs::fs_store>::make(
    "fs", "One file a message, readable with ls and cat.", &schema, 0);

} // namespace

HEDWIG_PLUGIN("org.hedwig.storage-fs", "0.11.0", "Hedwig", "Apache-2.0", &provider)
