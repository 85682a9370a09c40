/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/base.h - vocabulary shared by every Hedwig plugin header.
 *
 * C99 and C++20, no dependency but the C standard headers.
 *
 * Three kinds of type cross the boundary:
 *   frozen    never changes for the life of an ABI major; may be passed by
 *             value, embedded and put in arrays (hedwig_bytes, hedwig_msg_id).
 *   growing   begins with `uint32_t struct_size`. Fields are only ever appended.
 *             Passed by const pointer, never embedded, never laid out in arrays
 *             (arrays hold pointers). The side that allocates it fills it in:
 *             there are no growing out-parameters to write past the end of.
 *   opaque    declared, never defined here (hedwig_op, hedwig_buf).
 *
 * Memory rule: nobody frees what the other side allocated. Arguments are
 * borrowed. In a synchronous call they live until it returns; in a call that
 * takes a hedwig_op they live until that op is completed.
 *
 * Thread classes, named in the comment of every function:
 *   [control]  one call at a time per instance, on a host thread that may wait.
 *   [event]    a scheduler thread: never block, never sleep, no file or socket.
 *   [worker]   a host worker thread: blocking is expected.
 *   [any]      callable from every thread, concurrently.
 */
#ifndef HEDWIG_BASE_H
#define HEDWIG_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define HEDWIG_BEGIN_DECLS extern "C" {
#define HEDWIG_END_DECLS }
#else
#define HEDWIG_BEGIN_DECLS
#define HEDWIG_END_DECLS
#endif

/* Makes a function visible outside of the plugin's file: the entry alone. */
#define HEDWIG_EXPORT __attribute__((visibility("default")))

/* The ABI of these headers. Majors differ: they do not fit. Minors only add. */
#define HEDWIG_ABI_MAJOR 1
#define HEDWIG_ABI_MINOR 0

/* True when the filler of *p knew about `field`. Test it before touching any
 * field that a later minor version appended. */
#define HEDWIG_HAS(type, p, field) ((p)->struct_size >= offsetof(type, field) + sizeof((p)->field))

#define HEDWIG_CONCAT_(a, b) a##b
#define HEDWIG_CONCAT(a, b) HEDWIG_CONCAT_(a, b)
#ifdef __cplusplus
#define HEDWIG_STATIC_ASSERT(cond, name) static_assert(cond, #name)
#else
#define HEDWIG_STATIC_ASSERT(cond, name) typedef char HEDWIG_CONCAT(hedwig_assert_##name##_, __LINE__)[(cond) ? 1 : -1]
#endif

HEDWIG_BEGIN_DECLS

/* ---- frozen types ------------------------------------------------------- */

/* Bytes that somebody else owns. */
typedef struct hedwig_bytes {
  const uint8_t* data; /* may be NULL when size is 0 */
  size_t size;
} hedwig_bytes;

/* UTF-8 unless a field says otherwise; not NUL-terminated. */
typedef struct hedwig_str {
  const char* data;
  size_t size;
} hedwig_str;

/* A name and its value; names may be repeated. */
typedef struct hedwig_pair {
  hedwig_str key;
  hedwig_str value;
} hedwig_pair;

/* Chosen by the host; the first 8 bytes are a big-endian nanosecond receipt
 * time, so byte order is time order. */
typedef struct hedwig_msg_id {
  uint8_t bytes[16];
} hedwig_msg_id;

typedef int64_t hedwig_time_ns;     /* since the Unix epoch, UTC */
typedef int64_t hedwig_duration_ns; /* negative is invalid unless stated */

/* ---- status ------------------------------------------------------------- */

/* Never a C enum in the ABI: its width is the compiler's choice. Readers treat
 * an unknown negative value as HEDWIG_E_INTERNAL. */
typedef int32_t hedwig_status;

#define HEDWIG_OK 0                /* it is done */
#define HEDWIG_E_BUSY (-1)         /* back-pressure: try again soon        -> 451 */
#define HEDWIG_E_UNAVAILABLE (-2)  /* backend is down                      -> 451 */
#define HEDWIG_E_TIMEOUT (-3)      /* deadline passed                      -> 451 */
#define HEDWIG_E_CANCELLED (-4)    /* honoured a cancel                           */
#define HEDWIG_E_NOT_FOUND (-5)    /* no such message, user, key                  */
#define HEDWIG_E_EXISTS (-6)       /* id already stored                           */
#define HEDWIG_E_CONFLICT (-7)     /* revision or state was not the expected one  */
#define HEDWIG_E_DENIED (-8)       /* credentials are wrong                -> 535 */
#define HEDWIG_E_INVALID (-9)      /* caller broke the contract: a bug            */
#define HEDWIG_E_UNSUPPORTED (-10) /* unknown kind, or not offered here */
#define HEDWIG_E_NO_SPACE (-11)    /* no room left                         -> 452 */
#define HEDWIG_E_IO (-12)          /* reading or writing failed            -> 451 */
#define HEDWIG_E_CORRUPT (-13)     /* stored data failed its checksum             */
#define HEDWIG_E_CONFIG (-14)      /* `where` names the key                       */
#define HEDWIG_E_INTERNAL (-15)    /* the callee broke its own rules: a bug */

/* Frozen. The caller provides it, the callee fills it in: no allocation, no
 * thread-local, no lifetime question. Both texts are NUL-terminated; `message`
 * is for the operator's log and never reaches an SMTP peer. */
typedef struct hedwig_error {
  hedwig_status status;
  int32_t os_errno; /* 0 when there is none */
  char where[120];  /* a config key, a path, a hook; may be empty */
  char message[384];
} hedwig_error;

HEDWIG_STATIC_ASSERT(sizeof(hedwig_error) == 512, error_is_frozen);
HEDWIG_STATIC_ASSERT(sizeof(void*) == 8, lp64_only);

/* ---- what is known of a client's connection -------------------------------- */

#define HEDWIG_SESSION_TLS (1u << 0)                /* it is encrypted */
#define HEDWIG_SESSION_CLIENT_CERTIFICATE (1u << 1) /* and the client's certificate verified */

/* ---- opaque types ------------------------------------------------------- */

typedef struct hedwig_op hedwig_op;         /* one asynchronous request */
typedef struct hedwig_buf hedwig_buf;       /* immutable, reference-counted bytes */
typedef struct hedwig_config hedwig_config; /* one validated TOML table */

/* Frozen. A window into a buffer. A borrowed slice is kept by retaining `buf`. */
typedef struct hedwig_slice {
  hedwig_buf* buf;
  const uint8_t* data;
  size_t size;
} hedwig_slice;

HEDWIG_END_DECLS

#endif /* HEDWIG_BASE_H */
