/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/plugin.h - the entry point, providers and their life.
 *
 *   load      read the ELF note, dlopen (never dlclosed), call the entry
 *   create -> start -> (requests) -> stop -> destroy
 *
 * No function here or in an interface may let a C++ exception escape.
 */
#ifndef HEDWIG_PLUGIN_H
#define HEDWIG_PLUGIN_H

#include "base.h"
#include "config.h"
#include "host.h"

HEDWIG_BEGIN_DECLS

/* ---- provider ----------------------------------------------------------- */

/* Calls that take an op arrive as [worker]; may block and complete inline. */
#define HEDWIG_PROVIDER_BLOCKING (1u << 0)
/* Safe in a separate process: keeps no process-wide state, needs no host fd. */
#define HEDWIG_PROVIDER_ISOLATABLE (1u << 1)

/* One thing that a plugin offers, constant for the life of the process. The
 * operator configures providers; several instances of one are legal. */
typedef struct hedwig_provider {
  uint32_t struct_size;
  uint32_t flags;
  const char* interface_id; /* "hedwig.auth/1", see auth.h and its siblings */
  const char* name;         /* what the config file writes in `use = "..."` */
  const char* summary;
  const hedwig_config_schema* schema; /* NULL: takes no settings */
  const void* interface;              /* the vtable that interface_id names */

  /* Checks what a schema cannot, such as two keys that exclude each other.
   * Must not touch the network or the disk. HEDWIG_E_CONFIG names the key in `where` and says
   * in `message` what is wrong with it; a key of a nested table is written
   * as "user.password". So do create and reload. May be NULL. [control] */
  hedwig_status (*validate)(const hedwig_host* host, const hedwig_config* config, hedwig_error* error);
  /* Makes an instance; cheap, opens nothing. With any error but HEDWIG_OK there is
   * none, and destroy is not called. Called when validate has said HEDWIG_OK. [control] */
  hedwig_status (*create)(const hedwig_host* host, const hedwig_config* config, void** instance, hedwig_error* error);
  /* Opens files, connects, recovers. No request before it completes OK. [control] */
  void (*start)(void* instance, hedwig_op* op);
  /* New values for RELOADABLE keys; on failure the old ones stay in force.
   * May be NULL. [control] */
  void (*reload)(void* instance, hedwig_op* op, const hedwig_config* config);
  /* Advice that the op is not wanted any more. May be NULL. [any] */
  void (*cancel)(void* instance, hedwig_op* op);
  /* No new request will come. Complete after every op is completed and every
   * thread the instance made is joined. [control] */
  void (*stop)(void* instance, hedwig_op* op);
  /* After stop, or after a create that no start followed or whose start failed;
   * nothing of the instance is called again. Gives back whatever it had: descriptors,
   * buffers, memory. [control] */
  void (*destroy)(void* instance);

  /* Optional tables by id, for what a later minor adds: NULL for an id that it does
   * not know. May be NULL itself. [any] */
  const void* (*get_extension)(void* instance, const char* id);
} hedwig_provider;

/* ---- plugin ------------------------------------------------------------- */

/* What the entry returns: who the plugin is and what it offers. Constant. */
typedef struct hedwig_plugin {
  uint32_t struct_size;
  uint16_t abi_major; /* HEDWIG_ABI_MAJOR and _MINOR of the headers compiled with */
  uint16_t abi_minor;
  uint16_t needs_minor; /* the lowest host minor this plugin works with */
  uint16_t reserved;
  uint32_t provider_count;
  const hedwig_provider* const* providers;
  const char* id;      /* reverse domain: "org.example.auth-ldap" */
  const char* version; /* of the plugin */
  const char* vendor;
  const char* license; /* SPDX */
  const char* url;
} hedwig_plugin;

/* The one exported symbol. Its name carries the ABI major, so an incompatible
 * plugin fails at lookup, not at the first call. Returns constant data and does
 * nothing else; NULL when the plugin cannot live with this host. [control] */
#define HEDWIG_ENTRY_SYMBOL "hedwig_plugin_v1"

/* The entry: see HEDWIG_ENTRY_SYMBOL. [control] */
HEDWIG_EXPORT const hedwig_plugin* hedwig_plugin_v1(const hedwig_host* host);

/* ---- the plugin's file ------------------------------------------------------
 *
 * A shared object for the host's machine, linked so (hedwig_add_plugin() does it):
 *   - nothing is exported beside the entry, version nodes aside: its libraries are its own;
 *   - it is never unloaded: -z nodelete;
 *   - what the loader has written is read-only from then on: -z relro -z now;
 *   - no code is ever written to: no text relocations, no segment to write and execute;
 *   - it does not ask for an executable stack;
 *   - every symbol comes from a library that it names itself: -z defs;
 *   - no library of the host's is among those: libcaf_*, libhedwig*.
 */

/* ---- ELF note: identity without running code ----------------------------- */

#define HEDWIG_NOTE_TYPE 1 /* of the note's header */

/* What the section .note.hedwig holds: the ELF note's header and name, then what
 * the table of the plugin says as well: the host reads this one, without loading.
 * Once in a file, both texts with their NUL. */
typedef struct hedwig_note {
  uint32_t name_size;
  uint32_t desc_size;
  uint32_t type;
  char name[8]; /* "Hedwig" */
  uint16_t abi_major;
  uint16_t abi_minor;
  uint16_t needs_minor;
  uint16_t reserved;
  char id[64];
  char version[32];
} hedwig_note;

/* Puts the note into the plugin's file; once in a plugin, at file scope. */
#define HEDWIG_NOTE(plugin_id, plugin_version, minimum_host_minor)                                                     \
  __attribute__((section(".note.hedwig"), used, aligned(4))) static const hedwig_note hedwig_note_v1 = {               \
      7,                                                                                                               \
      sizeof(hedwig_note) - offsetof(hedwig_note, abi_major),                                                          \
      HEDWIG_NOTE_TYPE,                                                                                                \
      "Hedwig",                                                                                                        \
      HEDWIG_ABI_MAJOR,                                                                                                \
      HEDWIG_ABI_MINOR,                                                                                                \
      minimum_host_minor,                                                                                              \
      0,                                                                                                               \
      plugin_id,                                                                                                       \
      plugin_version}

HEDWIG_END_DECLS

#endif /* HEDWIG_PLUGIN_H */
