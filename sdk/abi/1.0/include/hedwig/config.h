/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/config.h - a plugin declares its settings; the host checks them.
 *
 * The host parses TOML, rejects unknown keys with the nearest known name,
 * checks type, range and choice, fills in defaults and reports file, line and
 * column. A plugin only ever sees values that satisfy its own schema.
 */
#ifndef HEDWIG_CONFIG_H
#define HEDWIG_CONFIG_H

#include "base.h"

HEDWIG_BEGIN_DECLS

/* ---- what a plugin declares ------------------------------------------------- */

/* Types of a key, and how the operator writes them. */
#define HEDWIG_CONFIG_STRING 1
#define HEDWIG_CONFIG_INTEGER 2
#define HEDWIG_CONFIG_BOOLEAN 3
#define HEDWIG_CONFIG_DURATION 4 /* "30s", "5m"; read as integer nanoseconds */
#define HEDWIG_CONFIG_SIZE 5     /* "64MiB"; read as integer bytes */
#define HEDWIG_CONFIG_PATH 6     /* made absolute against the config file */
/* A literal, or a file or environment reference: a value that nobody else may see has
 * this type. The host prints it as "***"; a plugin never shows it in its log, its
 * errors or its metrics. */
#define HEDWIG_CONFIG_SECRET 7
#define HEDWIG_CONFIG_STRINGS 8
#define HEDWIG_CONFIG_TABLES 9 /* [[array.of.tables]]; see `nested` */

/* Flags of a key. */
#define HEDWIG_CONFIG_REQUIRED (1u << 0)   /* no default: the operator must write it */
#define HEDWIG_CONFIG_RELOADABLE (1u << 1) /* may change without a restart */
#define HEDWIG_CONFIG_DEPRECATED (1u << 2) /* warn; `help` says what to use */

typedef struct hedwig_config_schema hedwig_config_schema;

/* One key of a table: what may be written, and what is read where nothing was. */
typedef struct hedwig_config_key {
  uint32_t struct_size;
  int32_t type;
  const char* name; /* dotted, relative to the plugin's table */
  const char* help; /* one sentence; printed in errors and in the docs */
  uint32_t flags;
  uint32_t reserved;
  const char* default_value; /* as written in TOML; NULL for none */
  int64_t minimum;           /* numbers, durations, sizes; equal to maximum: no check */
  int64_t maximum;
  const char* const* choices; /* NULL-terminated, strings only; or NULL */
  const hedwig_config_schema* nested;
} hedwig_config_key;

/* All keys of one table. A schema is well-formed when each key has a name of its own
 * ("a.b": lower case, digits, '_' and '-'), a type of the above and a help text; a range
 * only where there are numbers, and not upside down; choices only for a STRING, and
 * some; `nested` for TABLES alone; no default beside REQUIRED; and a default that
 * satisfies all of that. */
struct hedwig_config_schema {
  uint32_t struct_size;
  uint32_t key_count;
  const hedwig_config_key* const* keys; /* pointers, so a key may grow */
};

/* ---- hedwig.host.config/1: what the operator wrote ----------------------------- */

#define HEDWIG_HOST_CONFIG "hedwig.host.config/1"

/* Reads a validated table. Values are borrowed for the lifetime of `config`. A
 * wrong name or type is a plugin bug: it is logged and the zero value returned.
 * All functions: [any] */
typedef struct hedwig_host_config {
  uint32_t struct_size;
  uint32_t reserved;
  /* Non-zero: the operator wrote the key, or it has a default. */
  int32_t (*is_set)(const hedwig_config* config, const char* name);
  /* Of a STRING, PATH or SECRET. */
  hedwig_str (*get_string)(const hedwig_config* config, const char* name);
  /* Of an INTEGER; a DURATION in nanoseconds, a SIZE in bytes. */
  int64_t (*get_integer)(const hedwig_config* config, const char* name);
  /* Of a BOOLEAN: 0 or 1. */
  int32_t (*get_boolean)(const hedwig_config* config, const char* name);
  /* Entries of STRINGS or TABLES. */
  size_t (*get_count)(const hedwig_config* config, const char* name);
  /* Entry `index`, from 0, of STRINGS; empty beyond the end. */
  hedwig_str (*get_string_at)(const hedwig_config* config, const char* name, size_t index);
  /* Entry `index`, from 0, of TABLES; NULL beyond the end. */
  const hedwig_config* (*get_table_at)(const hedwig_config* config, const char* name, size_t index);
} hedwig_host_config;

HEDWIG_END_DECLS

#endif /* HEDWIG_CONFIG_H */
