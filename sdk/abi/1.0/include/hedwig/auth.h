/* SPDX-License-Identifier: Apache-2.0 */
/* hedwig/auth.h - identities: "hedwig.auth/1".
 *
 * The host speaks SASL: it parses, holds the exchange, limits attempts, delays
 * failures and hides whether a user exists. A plugin answers four questions
 * and implements the ones it can; the host offers the mechanisms that follow:
 *
 *   verify_password  PLAIN, LOGIN           fetch_scram   SCRAM-SHA-256(-PLUS)
 *   verify_token     OAUTHBEARER, XOAUTH2   lookup        EXTERNAL, and refresh
 */
#ifndef HEDWIG_AUTH_H
#define HEDWIG_AUTH_H

#include "base.h"
#include "plugin.h"

HEDWIG_BEGIN_DECLS

#define HEDWIG_AUTH "hedwig.auth/1"

/* One question about one user. */
typedef struct hedwig_auth_request {
  uint32_t struct_size;
  uint32_t flags;       /* HEDWIG_SESSION_TLS and so on */
  hedwig_str mechanism; /* "PLAIN" */
  /* Authentication identity, after SASLprep. It names one user: what is syntax or a
   * pattern to the backend means nothing in it. In verify_token it is whom the client
   * says the token is for, perhaps nobody: a token of somebody else is HEDWIG_E_DENIED. */
  hedwig_str username;
  /* Authorization identity; empty: the same. Another one is HEDWIG_E_DENIED unless
   * username may act for it; then it is the identity of the result. */
  hedwig_str authorize_as;
  hedwig_str peer;     /* "192.0.2.1" or "2001:db8::1" */
  hedwig_str listener; /* its name in the config file */
  hedwig_str session;  /* for correlation in logs */
  /* A password or a token; right as a whole or not at all, and never when empty. A
   * password is never right for an empty username. Wiped by the host after
   * completion: do not copy, keep or log it. Empty in fetch_scram and lookup. */
  hedwig_bytes secret;
} hedwig_auth_request;

/* 0 means "the host's default" throughout. */
typedef struct hedwig_auth_limits {
  uint32_t struct_size;
  uint32_t connections;
  uint64_t message_size;
  uint32_t recipients_per_message;
  uint32_t messages_per_hour;
  uint32_t recipients_per_day;
  uint32_t reserved;
} hedwig_auth_limits;

/* What the session may do from here on. Completing with HEDWIG_OK and this is
 * the only way to say yes: NULL, or an empty identity, is an internal error, and
 * so is a list of more than 10000 or more than 256 KiB of text in all of them.
 * Filters are shown groups and attributes; see hedwig_filter_session. */
typedef struct hedwig_auth_result {
  uint32_t struct_size;
  uint32_t reserved;
  hedwig_str identity; /* canonical; what policies and logs see */
  const hedwig_str* groups;
  size_t group_count;
  const hedwig_pair* attributes; /* repeat a key for several values */
  size_t attribute_count;
  /* Allowed senders: "a@b.example", "@b.example", "@*.b.example" for what is below it, "*" for any. None: any. An empty
   * one matches nothing, so that a list of it alone allows no sender but the null one. */
  const hedwig_str* senders;
  size_t sender_count;
  const hedwig_auth_limits* limits; /* may be NULL */
  hedwig_duration_ns cache_for;     /* 0: do not cache */
} hedwig_auth_result;

/* RFC 5803 secrets. For an unknown user complete with HEDWIG_E_NOT_FOUND; the
 * host goes on with a made-up salt, so both cases look alike from outside. */
typedef struct hedwig_scram_result {
  uint32_t struct_size;
  uint32_t iterations;                /* at least 4096 (RFC 7677) */
  hedwig_bytes salt;                  /* not empty */
  hedwig_bytes stored_key;            /* 32 bytes */
  hedwig_bytes server_key;            /* 32 bytes */
  const hedwig_auth_result* identity; /* used once the proof has matched */
} hedwig_scram_result;

/* Outcomes: HEDWIG_OK; HEDWIG_E_DENIED wrong or expired; HEDWIG_E_NOT_FOUND no
 * such user here, ask the next provider; anything else is temporary (454) and
 * never counts as a failed attempt. A backend that cannot be asked is temporary,
 * whoever is asked about. [event], or [worker] when the provider is BLOCKING. */
typedef void (*hedwig_auth_fn)(void* instance, hedwig_op* op, const hedwig_auth_request* request);

/* The interface. A slot that is NULL is a question that the provider does not answer. */
typedef struct hedwig_auth {
  uint32_t struct_size;
  uint32_t reserved;
  hedwig_auth_fn verify_password; /* -> hedwig_auth_result; each may be NULL */
  hedwig_auth_fn fetch_scram;     /* -> hedwig_scram_result */
  hedwig_auth_fn verify_token;    /* -> hedwig_auth_result */
  hedwig_auth_fn lookup;          /* -> hedwig_auth_result */
} hedwig_auth;

HEDWIG_END_DECLS

#endif /* HEDWIG_AUTH_H */
