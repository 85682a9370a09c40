/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/dns.h - look-ups through the host's resolver: "hedwig.host.dns/1".
 *
 * The host asks the servers of its own configuration, follows CNAMEs, keeps
 * answers for their TTL and validates DNSSEC where it is set up to. A plugin
 * has no resolver of its own to configure and blocks no thread.
 *
 * get_interface answers NULL for this id where the host has no resolver: while
 * a configuration is checked, and in the host's offline tools.
 */
#ifndef HEDWIG_DNS_H
#define HEDWIG_DNS_H

#include "base.h"
#include "host.h"

HEDWIG_BEGIN_DECLS

#define HEDWIG_HOST_DNS "hedwig.host.dns/1"

/* ---- questions ------------------------------------------------------------- */

/* Record types, by their numbers in the DNS. */
#define HEDWIG_DNS_A 1
#define HEDWIG_DNS_PTR 12
#define HEDWIG_DNS_MX 15
#define HEDWIG_DNS_TXT 16
#define HEDWIG_DNS_AAAA 28

typedef struct hedwig_dns_answer hedwig_dns_answer;

/* One question. */
typedef struct hedwig_dns_request {
  uint32_t struct_size;
  int32_t type; /* HEDWIG_DNS_A and so on */
  /* ASCII (international names as A-labels), any case, with or without the final
   * dot. For PTR an address, "192.0.2.1" or "2001:db8::1", is taken as well. */
  hedwig_str name;
  hedwig_time_ns deadline; /* on the steady clock; 0: the host's own limit alone */
  /* Called once, and never inside look_up. The answer is borrowed until it
   * returns. Not called after a cancel that took effect; not begun once the
   * instance has completed its stop, and ended before its destroy. [event] */
  void (*answered)(void* context, const hedwig_dns_answer* answer);
  void* context;
} hedwig_dns_request;

/* ---- answers --------------------------------------------------------------- */

/* How a look-up ended. The first three are facts of the DNS; the others are
 * temporary, and so is a value that a reader does not know. */
#define HEDWIG_DNS_FOUND 1    /* at least one record */
#define HEDWIG_DNS_NO_DATA 2  /* the name exists, without records of the type */
#define HEDWIG_DNS_NXDOMAIN 3 /* the name does not exist */
#define HEDWIG_DNS_FAILED 4   /* a server failed or refused, or the host is overloaded */
#define HEDWIG_DNS_TIMEOUT 5  /* no answer until the deadline */
#define HEDWIG_DNS_BOGUS 6    /* DNSSEC validation failed */

#define HEDWIG_DNS_SECURE (1u << 0) /* DNSSEC-validated */

/* Frozen. */
typedef struct hedwig_dns_record {
  hedwig_bytes data; /* A: 4 bytes, AAAA: 16, in network order; otherwise empty */
  /* A, AAAA: the address as text. MX, PTR: a name in lower case without the final
   * dot, '?' for bytes that no host name has; empty for the root (RFC 7505). TXT:
   * the record's strings joined; any bytes, whoever runs the zone wrote them. */
  hedwig_str text;
  uint32_t preference; /* of an MX, lower first; otherwise 0 */
  uint32_t reserved;
} hedwig_dns_record;

/* What `answered` is shown. */
struct hedwig_dns_answer {
  uint32_t struct_size;
  int32_t outcome;                  /* HEDWIG_DNS_FOUND and so on */
  uint32_t flags;                   /* HEDWIG_DNS_SECURE */
  uint32_t record_count;            /* 0 unless FOUND; at most 64, the host drops what is beyond */
  const hedwig_dns_record* records; /* in the order of the DNS's answer */
  hedwig_duration_ns ttl;           /* how long this may be kept; 0: not at all */
  hedwig_str why;                   /* for the log when not FOUND: "NXDOMAIN", "no answer within 5 s" */
};

/* ---- the service ----------------------------------------------------------- */

/* The host's resolver, as one instance sees it. */
typedef struct hedwig_host_dns {
  uint32_t struct_size;
  uint32_t reserved;
  /* Asks. On HEDWIG_OK `answered` will be called, and *id, unless `id` is NULL, names
   * the look-up. HEDWIG_E_BUSY: this instance has too many under way (500 in the
   * relay); HEDWIG_E_INVALID: no name that the DNS could carry, an unknown type, no
   * `answered`; HEDWIG_E_UNAVAILABLE: the host is ending. The request is borrowed
   * until the call returns. [any] */
  hedwig_status (*look_up)(const hedwig_host* host, const hedwig_dns_request* request, uint64_t* id);
  /* Non-zero: `answered` will not be called and is not running. Zero: it was or
   * is being called, or the id is unknown. Never waits. [any] */
  int32_t (*cancel)(const hedwig_host* host, uint64_t id);
} hedwig_host_dns;

HEDWIG_END_DECLS

#endif /* HEDWIG_DNS_H */
