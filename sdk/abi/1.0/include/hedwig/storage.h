/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/storage.h - durable message storage: "hedwig.storage/1".
 *
 * The host hands over arrays of requests and keeps thousands in flight; the
 * plugin groups them into as few commits as it likes and completes in any
 * order. An acknowledged write survives power loss. The host never has two
 * requests for one message in flight, so a store needs no per-message lock.
 *
 * Group commit: the host submits at once and does not wait; the store groups
 * what has gathered when its last commit ends, with no timer. For a BLOCKING
 * provider the host makes one submit at a time: the array is the group, and
 * what gathered meanwhile is the next one.
 *
 * A completion may come before the store's own index is written, but a later
 * READ, MOVE, STAT, LIST or CLAIM sees the message all the same.
 *
 * Failure: a write that completes with an error was never acknowledged and is
 * not seen by any later request. After a crash that follows it, it may be there
 * after all: a repeated message, never a lost one. A PUT that is refused for
 * lack of space (HEDWIG_E_NO_SPACE) leaves MOVE and REMOVE working: they are
 * what frees space. Store and host keep time apart: leases are measured with
 * the steady clock from the moment the store takes the request, so a jump of
 * the wall clock neither frees nor freezes them.
 */
#ifndef HEDWIG_STORAGE_H
#define HEDWIG_STORAGE_H

#include "base.h"
#include "plugin.h"

HEDWIG_BEGIN_DECLS

#define HEDWIG_STORAGE "hedwig.storage/1"

/* ---- message states ------------------------------------------------------ */

#define HEDWIG_STATE_QUEUED 1      /* ready when due */
#define HEDWIG_STATE_DEFERRED 2    /* tried, waits for its due time */
#define HEDWIG_STATE_HELD 3        /* waits for a person */
#define HEDWIG_STATE_BOUNCED 4     /* failed for good, kept as evidence */
#define HEDWIG_STATE_QUARANTINED 5 /* set aside, as evidence or since it is damaged */
#define HEDWIG_STATE_COUNT 6       /* one more than the highest; 0 is no state */
/* Of one state, for the sets of states in LIST and CLAIM. */
#define HEDWIG_STATE_MASK(state) (UINT32_C(1) << (state))

/* ---- limits that hold for every store ------------------------------------- */

#define HEDWIG_METADATA_MAX (UINT32_C(1) << 20) /* bytes of metadata of one message */
#define HEDWIG_CURSOR_MAX 64u                   /* bytes of a cursor */

/* ---- hint ----------------------------------------------------------------- */

/* Frozen, opaque to the host. Where the store keeps a message, so that MOVE,
 * REMOVE and READ need no look-up. Returned with commits and entries, given
 * back by the host: always the last one it was given for that message, since a
 * MOVE changes it; all zero when it has none (after a restart, say). */
typedef struct hedwig_storage_hint {
  uint8_t bytes[16];
} hedwig_storage_hint;

/* ---- requests ------------------------------------------------------------ */

#define HEDWIG_STORAGE_STAGE 1   /* -> hedwig_stage_result */
#define HEDWIG_STORAGE_APPEND 2  /* -> none */
#define HEDWIG_STORAGE_DISCARD 3 /* -> none; drops a stage */
#define HEDWIG_STORAGE_PUT 4     /* -> hedwig_commit_result; durable */
#define HEDWIG_STORAGE_MOVE 5    /* -> hedwig_commit_result; durable */
#define HEDWIG_STORAGE_REMOVE 6  /* -> none; durable; absent is HEDWIG_OK */
#define HEDWIG_STORAGE_STAT 7    /* -> hedwig_entry, with metadata */
#define HEDWIG_STORAGE_READ 8    /* -> hedwig_read_result */
#define HEDWIG_STORAGE_LIST 9    /* -> hedwig_list_result */
#define HEDWIG_STORAGE_CLAIM 10  /* -> hedwig_list_result; leases live in memory */
#define HEDWIG_STORAGE_STATS 11  /* -> hedwig_storage_stats */

/* The common start of every request; `struct_size` covers the whole request,
 * `kind` says which it is, `op` is to be completed. */
typedef struct hedwig_storage_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
} hedwig_storage_request;

/* STAGE begins a body whose length is not known yet. Stages left behind by a
 * crash are removed at start(). HEDWIG_E_BUSY when the store has too many open. */
typedef struct hedwig_stage_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  uint64_t size_hint; /* from SIZE=, 0 when unknown */
} hedwig_stage_request;

/* APPEND completes when the store wants more: that is the back-pressure. One at
 * a time per stage. Keep bytes by retaining their buffers, not by copying.
 * DISCARD uses the same struct with slice_count 0. */
typedef struct hedwig_append_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  uint64_t stage;
  const hedwig_slice* slices;
  size_t slice_count;
} hedwig_append_request;

#define HEDWIG_PUT_RETRY (1u << 0) /* the id may be stored already */

/* PUT makes message, metadata and due time visible in one step. The body is
 * the stage, if any, followed by the slices; a stage is consumed either way.
 * Ids are new by construction; only with HEDWIG_PUT_RETRY must the store look
 * for an existing one and answer HEDWIG_E_EXISTS. With `lease_until` the message
 * is born claimed: the host delivers at once.
 * A state that does not exist or metadata beyond HEDWIG_METADATA_MAX is
 * HEDWIG_E_INVALID. */
typedef struct hedwig_put_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  hedwig_msg_id id;
  uint32_t state;
  uint32_t flags;
  hedwig_time_ns due;
  hedwig_time_ns lease_until; /* 0: unclaimed */
  uint64_t stage;             /* 0: the body is in slices */
  const hedwig_slice* slices;
  size_t slice_count;
  hedwig_bytes metadata; /* the host's own encoding; opaque; up to 1 MiB */
} hedwig_put_request;

#define HEDWIG_MOVE_METADATA (1u << 0) /* replace the metadata too */

/* MOVE is compare-and-swap on `revision`: state, due time and metadata change
 * together or not at all. HEDWIG_E_CONFLICT when the revision differs,
 * HEDWIG_E_NOT_FOUND when there is no such message.
 * It ends the lease, or begins a new one with `lease_until`: while some
 * recipients are done and others still under way, the host records the first
 * and keeps the message. */
typedef struct hedwig_move_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  hedwig_msg_id id;
  hedwig_storage_hint hint;
  uint64_t revision;
  uint32_t state;
  uint32_t flags;
  hedwig_time_ns due;
  hedwig_time_ns lease_until; /* 0: unclaimed */
  hedwig_bytes metadata;
} hedwig_move_request;

#define HEDWIG_REMOVE_RIDE (1u << 0) /* it may wait for the next commit */

/* REMOVE, STAT and READ name one message; offset and length are READ's.
 * REMOVE_RIDE need not start a commit: it rides on the next one, within a second.
 * Losing it repeats a delivery, no more. */
typedef struct hedwig_message_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  hedwig_msg_id id;
  hedwig_storage_hint hint;
  uint32_t flags;
  uint32_t reserved;
  uint64_t revision; /* REMOVE: 0 for whichever, else HEDWIG_E_CONFLICT if it differs */
  uint64_t offset;   /* at or beyond the end: HEDWIG_OK and no slices */
  uint64_t length;   /* a wish, 0 for what suits the store; it may give less, never
                        nothing before the end */
} hedwig_message_request;

#define HEDWIG_LIST_BY_RECEIPT (1u << 0) /* walk by id */
#define HEDWIG_LIST_METADATA (1u << 1)   /* fill in hedwig_entry.metadata */
#define HEDWIG_LIST_DAMAGED (1u << 2)    /* damaged ones too */

/* LIST walks by (due, id) or, with BY_RECEIPT, by id. It sees each message that
 * exists throughout the walk exactly once, if it stays in `states` and, without
 * BY_RECEIPT, keeps its due time: one that moves may be seen twice or not at all.
 * CLAIM lists what is due and unclaimed by (due, id), and leases it: until
 * `lease_until`, until a MOVE or REMOVE, or until the next start(), no other
 * CLAIM returns it; of a SHARED store, claims of other hosts may have to wait
 * longer, while the one that has it lives and could claim it again itself.
 * Without a cursor it starts at the oldest.
 * A page may hold fewer entries than `limit`, even none: the store bounds the
 * work of one request. Only an empty cursor says that nothing follows. A message
 * whose record is damaged is left out, unless LIST_DAMAGED asks for it: then it is
 * an entry with HEDWIG_ENTRY_DAMAGED, whose state, due time and size are what the
 * store knows of them. */
typedef struct hedwig_list_request {
  uint32_t struct_size;
  uint32_t kind;
  hedwig_op* op;
  uint32_t states; /* HEDWIG_STATE_MASK, or-ed */
  uint32_t flags;
  hedwig_time_ns due_before;  /* only what is due earlier; 0: no bound */
  hedwig_time_ns lease_until; /* CLAIM, required */
  hedwig_bytes cursor;        /* empty at first, then the last result's */
  uint32_t limit;
  uint32_t reserved;
} hedwig_list_request;

/* ---- results ------------------------------------------------------------- */

/* What STAGE began. */
typedef struct hedwig_stage_result {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t stage; /* not 0 */
} hedwig_stage_result;

/* A PUT may complete with NULL: revision 1, no hint, group of 1. A PUT's
 * revision is 1; a MOVE's is one more than the one it named. */
typedef struct hedwig_commit_result {
  uint32_t struct_size;
  uint32_t reserved;
  hedwig_storage_hint hint;
  uint64_t revision;
  uint32_t group_size; /* writes that shared the commit; feeds a histogram */
  uint32_t reserved2;
} hedwig_commit_result;

/* The metadata is not the host's own encoding: another program's spool, read as
 * it is. It starts with that format's mark. A MOVE with MOVE_METADATA makes the
 * message an ordinary one. Known marks:
 *   "HEDWIG1 "  spool of Hedwig 0.10, either form: the mark and one line of JSON
 *               {message_id, from, to[], queued_at?}; then, for a deferred message, a newline
 *               and the JSON {attempts, last_attempt, next_attempt, ...}. */
#define HEDWIG_ENTRY_FOREIGN (1u << 0)
#define HEDWIG_ENTRY_CLAIMED (1u << 1) /* a lease runs */
/* The record failed its checks. The metadata is HEDWIG_DAMAGED_MARK, one line that
 * says why, a newline, and what could be read of the real ones, if anything. The
 * revision may be 0: "unknown". The host sets such a message aside by a MOVE to
 * HEDWIG_STATE_QUARANTINED with that revision, the entry's hint and MOVE_METADATA,
 * those very bytes for metadata: an ordinary record then, whose body is what can
 * still be read. A body that fails its checks is READ's HEDWIG_E_CORRUPT and the
 * record stays sound: it is the host that moves the message. Nothing damaged is
 * ever dropped by a store. */
#define HEDWIG_ENTRY_DAMAGED (1u << 2)
#define HEDWIG_DAMAGED_MARK "HEDWIG-DAMAGED "
/* Only in a LIST with BY_RECEIPT and DAMAGED: the record is sound, but the store's
 * index by due time has lost it, so that no CLAIM finds it. */
#define HEDWIG_ENTRY_UNINDEXED (1u << 3)

/* One message: what STAT answers, and LIST and CLAIM for each. */
typedef struct hedwig_entry {
  uint32_t struct_size;
  uint32_t state;
  hedwig_msg_id id;
  hedwig_storage_hint hint;
  uint64_t revision;
  uint64_t body_size;
  hedwig_time_ns due;
  hedwig_bytes metadata;
  uint32_t flags; /* HEDWIG_ENTRY_* */
  uint32_t reserved;
} hedwig_entry;

/* One page of a walk. */
typedef struct hedwig_list_result {
  uint32_t struct_size;
  uint32_t reserved;
  const hedwig_entry* const* entries;
  size_t entry_count;
  hedwig_bytes cursor; /* empty: nothing follows */
} hedwig_list_result;

/* Slices made with buf_alloc or buf_wrap: a mapping or a pinned value reaches
 * the socket without a copy. The host takes over one reference of each. */
typedef struct hedwig_read_result {
  uint32_t struct_size;
  uint32_t reserved;
  const hedwig_slice* slices;
  size_t slice_count;
  uint64_t body_size;
} hedwig_read_result;

/* Frozen. Of the messages in one state. */
typedef struct hedwig_state_stats {
  uint64_t messages;
  uint64_t bytes;            /* of bodies */
  hedwig_time_ns oldest_due; /* 0 when there is no message */
} hedwig_state_stats;

/* What STATS answers, from counters that the store keeps. */
typedef struct hedwig_storage_stats {
  uint32_t struct_size;
  uint32_t state_count;
  const hedwig_state_stats* states; /* indexed by state number */
  uint64_t disk_free;
  uint64_t commits;       /* since start() */
  uint64_t commit_writes; /* requests those commits carried */
  uint64_t leases;        /* running, or not yet swept */
  uint64_t damaged;       /* records found damaged since start() */
} hedwig_storage_stats;

/* ---- the interface -------------------------------------------------------- */

/* Flags of the limits. */
#define HEDWIG_STORAGE_ZERO_COPY (1u << 0) /* READ wraps, never copies */
#define HEDWIG_STORAGE_SHARED (1u << 1)    /* several hosts may use one store */

/* What the store can take at once. */
typedef struct hedwig_storage_limits {
  uint32_t struct_size;
  uint32_t flags;
  uint32_t in_flight;       /* requests the store wants at once; the host obeys,
                               what exceeds it completes with HEDWIG_E_BUSY */
  uint32_t batch;           /* most requests in one submit */
  uint64_t in_flight_bytes; /* of slices it keeps by reference until completion */
  uint64_t body_size_max;   /* 0: none */
} hedwig_storage_limits;

/* The interface. */
typedef struct hedwig_storage {
  uint32_t struct_size;
  uint32_t reserved;
  /* Owned by the plugin, constant from start() to destroy(). [any] */
  const hedwig_storage_limits* (*limits)(void* instance);
  /* Takes requests in order and returns at once. The array of pointers is
   * borrowed for the call; each request and what it points at stay valid until
   * its op is completed. Unknown kinds complete with
   * HEDWIG_E_UNSUPPORTED. [event], or [worker] when the provider is BLOCKING. */
  void (*submit)(void* instance, const hedwig_storage_request* const* requests, size_t count);
  /* HEDWIG_OK, or why new mail should be refused for now. Reads an atomic: no
   * I/O, no lock. The host asks before every 250 and every 354. Comes back to
   * HEDWIG_OK by itself where the store can recover; a store that cannot stays at
   * HEDWIG_E_IO until the process restarts. [any] */
  hedwig_status (*health)(void* instance);
} hedwig_storage;

HEDWIG_END_DECLS

#endif /* HEDWIG_STORAGE_H */
