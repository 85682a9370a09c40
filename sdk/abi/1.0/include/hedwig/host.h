/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/host.h - what a plugin may ask of the host.
 *
 * A hedwig_host is made per provider instance, so logs, metrics and crashes
 * are attributed without the plugin saying who it is. It outlives destroy().
 */
#ifndef HEDWIG_HOST_H
#define HEDWIG_HOST_H

#include "base.h"

HEDWIG_BEGIN_DECLS

typedef struct hedwig_host hedwig_host;

/* ---- logging ------------------------------------------------------------ */

/* Levels, from what is looked at while searching a fault to what needs somebody. */
#define HEDWIG_LOG_TRACE 0
#define HEDWIG_LOG_DEBUG 1
#define HEDWIG_LOG_INFO 2
#define HEDWIG_LOG_WARN 3
#define HEDWIG_LOG_ERROR 4

/* One line of the log. */
typedef struct hedwig_log_record {
  uint32_t struct_size;
  int32_t level;
  hedwig_str message;        /* constant text; variables go into fields */
  const hedwig_pair* fields; /* the host escapes both sides */
  size_t field_count;
  const char* file; /* may be NULL */
  int32_t line;
  uint32_t reserved;
} hedwig_log_record;

/* ---- completions -------------------------------------------------------- */

/* Frozen. `result` is the struct that the request's comment names, or NULL;
 * `error` may be NULL when status is HEDWIG_OK. Both are borrowed until the
 * completion call returns: the host copies what it keeps. */
typedef struct hedwig_completion {
  hedwig_op* op;
  hedwig_status status;
  uint32_t reserved;
  const void* result;
  const hedwig_error* error;
} hedwig_completion;

/* ---- the core table ----------------------------------------------------- */

/* The host as one instance sees it; see the top of this file. */
struct hedwig_host {
  uint32_t struct_size;
  uint16_t abi_major;
  uint16_t abi_minor;
  void* host_data;
  const char* product; /* "hedwig" */
  const char* version; /* of the host program, for logs only */

  /* Finds a service table by id, NULL when this host lacks it. [any] */
  const void* (*get_interface)(const hedwig_host* host, const char* id);

  /* Cheap; ask before building an expensive record. [any] */
  int32_t (*log_level)(const hedwig_host* host);
  /* Never blocks; drops and counts when the queue is full. [any] */
  void (*log)(const hedwig_host* host, const hedwig_log_record* record);

  /* Completes ops, each exactly once. Legal inside the call that delivered the
   * op: the host never runs a continuation on the completer's stack. [any] */
  void (*complete)(const hedwig_host* host, const hedwig_completion* done, size_t count);
  /* On the steady clock: when the host gives the op up. [any] */
  hedwig_time_ns (*op_deadline)(const hedwig_host* host, const hedwig_op* op);
  /* Non-zero once the host lost interest; completing is still required. [any] */
  int32_t (*op_cancelled)(const hedwig_host* host, const hedwig_op* op);

  /* Buffers. alloc returns NULL when the memory budget is spent; from 4 KiB up
   * the data is aligned to 4 KiB, for direct writes. [any] */
  hedwig_buf* (*buf_alloc)(const hedwig_host* host, size_t size, uint8_t** data);
  /* Wraps memory of the plugin (a mapping, a pinned database value); `drop` is
   * called once, on any thread, when the last reference goes. [any] */
  hedwig_buf* (*buf_wrap)(const hedwig_host* host, const uint8_t* data, size_t size, void (*drop)(void* context),
                          void* context);
  /* One reference more, and one less: the last release frees it. [any] */
  void (*buf_retain)(const hedwig_host* host, hedwig_buf* buf);
  /* See buf_retain. [any] */
  void (*buf_release)(const hedwig_host* host, hedwig_buf* buf);

  /* The host's clocks: virtual in tests, so never call time() yourself. [any] */
  hedwig_time_ns (*wall_clock)(const hedwig_host* host);
  /* Never set, only goes on; deadlines and timers are on it. [any] */
  hedwig_time_ns (*steady_clock)(const hedwig_host* host);
};

/* ---- hedwig.host.worker/1: a bounded pool for blocking work -------------- */

#define HEDWIG_HOST_WORKER "hedwig.host.worker/1"

/* Threads of the host for an instance's blocking work. */
typedef struct hedwig_host_worker {
  uint32_t struct_size;
  uint32_t reserved;
  /* HEDWIG_E_BUSY when this instance's share of the pool and its queue are
   * full; `run` is then not called. Otherwise it is called once. [any] */
  hedwig_status (*submit)(const hedwig_host* host, void (*run)(void* context), void* context);
} hedwig_host_worker;

/* ---- hedwig.host.timer/1 ------------------------------------------------- */

#define HEDWIG_HOST_TIMER "hedwig.host.timer/1"

/* Timers on the steady clock; those left at the end of stop never fire. */
typedef struct hedwig_host_timer {
  uint32_t struct_size;
  uint32_t reserved;
  /* One shot. `fire` runs as [event]. Returns 0 when refused. [any] */
  uint64_t (*start)(const hedwig_host* host, hedwig_duration_ns delay, void (*fire)(void* context), void* context);
  /* Non-zero: fire will not be called and is not running. It may wait: never from
   * [event]. [control] [worker] */
  int32_t (*cancel)(const hedwig_host* host, uint64_t timer);
} hedwig_host_timer;

/* ---- hedwig.host.metric/1 ------------------------------------------------ */

#define HEDWIG_HOST_METRIC "hedwig.host.metric/1"

#define HEDWIG_METRIC_COUNTER 1   /* only grows */
#define HEDWIG_METRIC_GAUGE 2     /* goes up and down */
#define HEDWIG_METRIC_HISTOGRAM 3 /* observations in seconds */

/* Series among the relay's own metrics. */
typedef struct hedwig_host_metric {
  uint32_t struct_size;
  uint32_t reserved;
  /* Declares a series of this instance. `name` is lower case, digits and '_'; the
   * host shows it beside the instance's name among its own metrics. Returns 0 when the name is malformed or the budget
   * is spent. [control] */
  uint64_t (*declare)(const hedwig_host* host, int32_t kind, const char* name, const char* unit, const char* help);
  /* Adds to a counter or a gauge; observes with a histogram. [any] */
  void (*add)(const hedwig_host* host, uint64_t metric, double value);
  /* Sets a gauge. [any] */
  void (*set)(const hedwig_host* host, uint64_t metric, double value);
} hedwig_host_metric;

HEDWIG_END_DECLS

#endif /* HEDWIG_HOST_H */
