/* SPDX-License-Identifier: Apache-2.0 */
/* A whole plugin in C99: refuses recipients under ".invalid". */
#include <hedwig/hedwig.h>

#include <string.h>

typedef struct invalid_domain {
  const hedwig_host* host;
} invalid_domain;

static invalid_domain slots[8]; /* one per configured instance */

static void answer(const invalid_domain* self, hedwig_op* op, const hedwig_verdict* verdict) {
  const hedwig_completion done = {op, HEDWIG_OK, 0, verdict, NULL};
  self->host->complete(self->host, &done, 1);
}

static void on_recipient(void* state, hedwig_op* op, const hedwig_filter_address* recipient) {
  static const char suffix[] = ".invalid";
  static const hedwig_verdict refuse = {sizeof refuse, HEDWIG_REJECT,          0,    0,
                                        {"5.1.2", 5},  {"no such domain", 14}, NULL, 0};
  const hedwig_str to = recipient->address;
  const size_t n = sizeof suffix - 1;
  const int bad = to.size >= n && memcmp(to.data + to.size - n, suffix, n) == 0;
  answer(state, op, bad ? &refuse : NULL);
}

static hedwig_status create(const hedwig_host* host, const hedwig_config* config, void** instance,
                            hedwig_error* error) {
  size_t i;
  (void)config;
  for (i = 0; i < sizeof slots / sizeof *slots; ++i) {
    if (slots[i].host == NULL) {
      slots[i].host = host;
      *instance = &slots[i];
      return HEDWIG_OK;
    }
  }
  strcpy(error->message, "at most 8 instances of this filter");
  return error->status = HEDWIG_E_CONFIG;
}

static void at_once(void* instance, hedwig_op* op) { answer(instance, op, NULL); }
static void destroy(void* instance) { ((invalid_domain*)instance)->host = NULL; }

static const hedwig_filter table = {sizeof table, 0,    NULL, NULL, NULL, NULL, NULL, NULL,
                                    on_recipient, NULL, NULL, NULL, NULL, NULL};

static const hedwig_provider provider = {sizeof provider,
                                         HEDWIG_PROVIDER_ISOLATABLE,
                                         HEDWIG_FILTER,
                                         "invalid-domain",
                                         "Refuses recipients under .invalid.",
                                         NULL,
                                         &table,
                                         NULL,
                                         create,
                                         at_once,
                                         NULL,
                                         NULL,
                                         at_once,
                                         destroy,
                                         NULL};

static const hedwig_provider* const providers[] = {&provider};

static const hedwig_plugin plugin = {
    sizeof plugin, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR, 0, 0, 1, providers, "org.hedwig.example-invalid-domain",
    "1.0.0",       "Hedwig",         "Apache-2.0",     ""};

HEDWIG_NOTE("org.hedwig.example-invalid-domain", "1.0.0", 0);

const hedwig_plugin* hedwig_plugin_v1(const hedwig_host* host) {
  (void)host;
  return &plugin;
}
