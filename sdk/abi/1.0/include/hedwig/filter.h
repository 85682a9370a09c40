/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/filter.h - looking at mail and changing it: "hedwig.filter/1".
 *
 * One state object per session. Hooks of one session never overlap; sessions
 * run concurrently. A NULL hook is skipped at no cost. The host holds the
 * session until a hook completes or its time is up, then applies the policy the
 * operator chose (`on_failure = "tempfail" | "accept" | "reject"`).
 *
 * Changes travel inside the verdict: they are applied together after it was
 * checked, or not at all. A filter that dies half-way has changed nothing.
 */
#ifndef HEDWIG_FILTER_H
#define HEDWIG_FILTER_H

#include "base.h"
#include "plugin.h"

HEDWIG_BEGIN_DECLS

#define HEDWIG_FILTER "hedwig.filter/1"

/* ---- verdicts -------------------------------------------------------------- */

/* Actions. */
#define HEDWIG_CONTINUE 0   /* nothing against it */
#define HEDWIG_ACCEPT 1     /* no more hooks of this filter for this message */
#define HEDWIG_REJECT 2     /* 5xx to this command */
#define HEDWIG_TEMPFAIL 3   /* 4xx to this command */
#define HEDWIG_DISCARD 4    /* 250 to the peer, nothing kept; audited by the host */
#define HEDWIG_QUARANTINE 5 /* keep, do not deliver; reply text is the reason */
#define HEDWIG_DISCONNECT 6 /* 421, or 5xx when reply_code says so */

/* Kinds of edits, and which fields of hedwig_edit they use. */
#define HEDWIG_EDIT_ADD_HEADER 1       /* append name, value */
#define HEDWIG_EDIT_INSERT_HEADER 2    /* before field number `index` */
#define HEDWIG_EDIT_REPLACE_HEADER 3   /* occurrence `index` of name, from 1; none there: added */
#define HEDWIG_EDIT_DELETE_HEADER 4    /* occurrence `index`, 0 for all */
#define HEDWIG_EDIT_REPLACE_BODY 5     /* slices; at most once */
#define HEDWIG_EDIT_ADD_RECIPIENT 6    /* value */
#define HEDWIG_EDIT_DELETE_RECIPIENT 7 /* value */
#define HEDWIG_EDIT_CHANGE_SENDER 8    /* value; empty: the null sender */

/* `value` of a header field is written as it is: every CR LF in it is a fold, followed by white space and by more than
 * white space. For signatures over the exact octets; everybody else leaves folding to the host. */
#define HEDWIG_EDIT_FOLDED (1u << 0)

/* One change to a message. Addresses are without <>. */
typedef struct hedwig_edit {
  uint32_t struct_size;
  int32_t kind;
  hedwig_str name;  /* of a header field: up to 76 of printable US-ASCII, no ':' */
  hedwig_str value; /* unfolded; the host folds, and refuses CR, LF and NUL; up to 64 KiB */
  uint32_t index;
  uint32_t flags;             /* HEDWIG_EDIT_FOLDED */
  const hedwig_slice* slices; /* REPLACE_BODY */
  size_t slice_count;
} hedwig_edit;

/* Edits are legal from on_end and on_delivery only, up to 1000 of them. An unknown action or edit
 * kind, or a malformed reply, makes the verdict a failure of the filter. */
typedef struct hedwig_verdict {
  uint32_t struct_size;
  int32_t action;
  uint32_t reply_code; /* 0: the host's choice for the action */
  uint32_t reserved;
  hedwig_str enhanced_code; /* "5.7.1", of the reply's class; empty: the host's choice */
  hedwig_str reply_text;    /* printable UTF-8, up to 1024 bytes; the host wraps the lines */
  const hedwig_edit* const* edits;
  size_t edit_count;
} hedwig_verdict;

/* ---- what hooks are shown --------------------------------------------------- */

/* What is known of a client; what is not known yet is empty. */
typedef struct hedwig_filter_session {
  uint32_t struct_size;
  uint32_t flags; /* HEDWIG_SESSION_TLS and so on */
  hedwig_str session;
  hedwig_str listener;
  hedwig_str peer;
  hedwig_str peer_name; /* forward-confirmed reverse DNS, or empty */
  hedwig_str local;
  hedwig_str tls_version; /* grows as the session does */
  hedwig_str tls_cipher;
  hedwig_str helo;
  hedwig_str identity; /* after AUTH */
  /* What the provider said of the identity: its groups, and attributes such as "role"; a key may repeat. None before
   * AUTH, from on_auth on what hedwig_auth_result had. Together with the senders at most 10000 a list and 256 KiB. */
  const hedwig_str* groups;
  size_t group_count;
  const hedwig_pair* attributes;
  size_t attribute_count;
} hedwig_filter_session;

/* The address of a MAIL or RCPT, with its ESMTP parameters. */
typedef struct hedwig_filter_address {
  uint32_t struct_size;
  uint32_t reserved;
  hedwig_str address; /* without <>; empty for the null sender */
  const hedwig_pair* parameters;
  size_t parameter_count;
} hedwig_filter_address;

/* One field of the header. */
typedef struct hedwig_filter_header {
  uint32_t struct_size;
  uint32_t index; /* among all fields, from 1 */
  hedwig_str name;
  hedwig_str value; /* unfolded */
  hedwig_bytes raw; /* as received, with the CRLF */
} hedwig_filter_header;

/* A message whose body has been seen: its envelope as it stands then, its size in
 * bytes. */
typedef struct hedwig_filter_message {
  uint32_t struct_size;
  uint32_t recipient_count;
  hedwig_msg_id id;
  hedwig_str sender;
  const hedwig_str* recipients;
  uint64_t size;
} hedwig_filter_message;

/* Before one delivery attempt: one destination, its recipients. */
typedef struct hedwig_filter_delivery {
  uint32_t struct_size;
  uint32_t attempt; /* from 1 */
  const hedwig_filter_message* message;
  hedwig_str destination;
} hedwig_filter_delivery;

/* ---- the interface ----------------------------------------------------------- */

/* Hooks complete with a hedwig_verdict; NULL result and HEDWIG_OK is CONTINUE.
 * [event], or [worker] when the provider is BLOCKING. `state` is what open()
 * stored; with a NULL open() it is the instance, for filters without memory. */
typedef struct hedwig_filter {
  uint32_t struct_size;
  uint32_t reserved;
  /* A client has connected and one of the hooks below is to be called. Anything but
   * HEDWIG_OK is a failure of the filter. */
  hedwig_status (*open)(void* instance, const hedwig_filter_session* session, void** state);
  /* Always the last call of a session, whatever state it is in: what open() made is
   * freed. It may come after stop, before destroy. NULL where open is. */
  void (*close)(void* instance, void* state);

  /* Before the greeting. */
  void (*on_connect)(void* state, hedwig_op* op, const hedwig_filter_session* session);
  /* HELO or EHLO, again after STARTTLS. */
  void (*on_helo)(void* state, hedwig_op* op, const hedwig_filter_session* session);
  /* The client has logged in. */
  void (*on_auth)(void* state, hedwig_op* op, const hedwig_filter_session* session);
  /* MAIL: the sender. */
  void (*on_mail)(void* state, hedwig_op* op, const hedwig_filter_address* sender);
  /* RCPT: one recipient; a refusal is for this one alone. */
  void (*on_recipient)(void* state, hedwig_op* op, const hedwig_filter_address* recipient);
  /* A field of the header, in order. */
  void (*on_header)(void* state, hedwig_op* op, const hedwig_filter_header* header);
  /* Body bytes in order, whichever they are, dots unstuffed; chunk borders mean nothing. */
  void (*on_body)(void* state, hedwig_op* op, const hedwig_slice* slice);
  /* The whole message is there, and no 250 was said. Its verdict may carry edits. */
  void (*on_end)(void* state, hedwig_op* op, const hedwig_filter_message* message);
  /* The message in hand is over, refused, taken or given up, and what is known of it
   * with it: before each MAIL but the first at the latest. No op. */
  void (*on_reset)(void* state);

  /* Outside any session, after the queue: `instance`, not `state`. */
  void (*on_delivery)(void* instance, hedwig_op* op, const hedwig_filter_delivery* delivery);
} hedwig_filter;

HEDWIG_END_DECLS

#endif /* HEDWIG_FILTER_H */
