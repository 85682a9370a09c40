// SPDX-License-Identifier: Apache-2.0
#include "plugins/storage-sql/store.hpp"

namespace {

using hedwig::sdk::key;
using hedwig::sdk::key_in_range;

constexpr std::int64_t mib = 1024 * 1024;
constexpr std::int64_t second = 1'000'000'000;

constexpr const char* engines[] = {"sqlite", "postgresql", nullptr};

constexpr auto which = hedwig::sdk::key_of_choices(
    "engine", "\"sqlite\", a file below path, or \"postgresql\", a server that several hosts may share.", 0, "sqlite",
    engines);
constexpr auto path = key(HEDWIG_CONFIG_PATH, "path", "Directory of the spool; the SQLite database is made in it.",
                          HEDWIG_CONFIG_REQUIRED);
constexpr auto connection =
    key(HEDWIG_CONFIG_STRING, "connection",
        "PostgreSQL: words of the form name=value with one space between them, as libpq knows them, such as "
        "\"host=db.example.com dbname=hedwig user=hedwig sslmode=verify-full\". No password.");
constexpr auto password = key(HEDWIG_CONFIG_SECRET, "password", "PostgreSQL: the password.");
constexpr auto schema_name = key(HEDWIG_CONFIG_STRING, "schema",
                                 "PostgreSQL: the schema of the tables; made when it is not there.", 0, "hedwig");
constexpr auto host = key(HEDWIG_CONFIG_STRING, "host",
                          "PostgreSQL: this host's name among those that share the database; each needs its own. "
                          "Default: the machine's name.");
constexpr auto host_timeout =
    key_in_range(HEDWIG_CONFIG_DURATION, "host_timeout",
                 "PostgreSQL: a host that was not heard from for so long is gone, and others take over its mail.", 0,
                 "2m", second, 86400 * second);
constexpr auto commit_wait =
    key_in_range(HEDWIG_CONFIG_DURATION, "commit_wait",
                 "PostgreSQL: when the connection breaks during a commit, wait so long for the server to come back and "
                 "say what became of it.",
                 0, "30s", 0, 600 * second);
constexpr auto statement_timeout =
    key_in_range(HEDWIG_CONFIG_DURATION, "statement_timeout", "PostgreSQL: what a statement may take.", 0, "1m", second,
                 3600 * second);
constexpr auto disk_reserve =
    key_in_range(HEDWIG_CONFIG_SIZE, "disk_reserve",
                 "SQLite: new mail is refused while the file system has less free than this; deliveries go on.", 0,
                 "1GiB", 0, std::int64_t{1} << 50);
constexpr auto in_flight_bytes =
    key_in_range(HEDWIG_CONFIG_SIZE, "in_flight_bytes", "Bodies the store holds until they are committed.", 0, "128MiB",
                 1 * mib, 65536 * mib);
constexpr auto cache =
    key_in_range(HEDWIG_CONFIG_SIZE, "cache", "SQLite: memory for pages, of each of its connections.", 0, "16MiB",
                 1 * mib, 65536 * mib);

constexpr auto read_only =
    key(HEDWIG_CONFIG_BOOLEAN, "read_only",
        "Changes nothing and refuses every write: how `hedwig spool` looks at a spool.", 0, "false");

constexpr const hedwig_config_key* keys[] = {
    &which,        &path,        &connection,        &password,     &schema_name,     &host,
    &host_timeout, &commit_wait, &statement_timeout, &disk_reserve, &in_flight_bytes, &cache,
    &read_only};
constexpr hedwig_config_schema schema{sizeof schema, std::size(keys), keys};

constexpr auto provider = hedwig::sdk::store_provider<hedwig::storage_sql::sql_store>::make(
    "sql", "Messages in an SQL database, SQLite or PostgreSQL: one transaction for a group.", &schema, 0);

} // namespace

HEDWIG_PLUGIN("org.hedwig.storage-sql", "0.11.0", "Hedwig", "Apache-2.0", &provider)
