/* SPDX-License-Identifier: Apache-2.0 */
/* A sound auth provider that knows nobody, with one fault for the asking: HEDWIG_FAULT names it. What is wrong with the
 * file itself is chosen while compiling. general_faults_test.py builds it and says which test must find which fault. */
#include <hedwig/auth.h>
#include <hedwig/hedwig.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has_fault(const char* name) {
  const char* fault = getenv("HEDWIG_FAULT");
  return fault != NULL && strcmp(fault, name) == 0;
}

/* ---- what is wrong with the file ---- */

#ifdef NOTE_OF_ANOTHER_VERSION
HEDWIG_NOTE("org.hedwig.test.crooked", "2.0", 0);
#elif !defined(NO_NOTE)
HEDWIG_NOTE("org.hedwig.test.crooked", "1.0", 0);
#endif
#ifdef TWO_NOTES
__attribute__((section(".note.hedwig"), used, aligned(4))) static const hedwig_note second_note = {
    7, sizeof(hedwig_note) - offsetof(hedwig_note, abi_major), HEDWIG_NOTE_TYPE, "Hedwig", 1, 0, 0, 0, "second", "1.0"};
#endif
#ifdef EXPORTS_MORE
HEDWIG_EXPORT int helper_of_its_own(void);
int helper_of_its_own(void) { return 1; }
#endif
#ifdef USES_FOREIGN_SYMBOL
extern int nobody_defines_this(void);
int (*volatile foreign)(void) = nobody_defines_this;
#endif
#ifdef USES_RELAY_LIBRARY
extern int caf_of_the_relay(void);
int (*volatile of_the_relay)(void) = caf_of_the_relay;
#endif
#ifdef WRITES_ITS_CODE
__asm__(".text\n.quad crooked_anchor\n.data\ncrooked_anchor: .quad 0\n.text\n");
#endif

__attribute__((constructor)) static void loaded(void) {
  if (has_fault("dies-while-loaded"))
    abort();
}

/* ---- settings ---- */

#define KEY(type, name, help, flags, fallback, low, high, choices, nested)                                             \
  { sizeof(hedwig_config_key), type, name, help, flags, 0, fallback, low, high, choices, nested }

static const char* const modes[] = {"fast", "slow", NULL};
static hedwig_config_key key_size =
    KEY(HEDWIG_CONFIG_INTEGER, "size", "A number.", HEDWIG_CONFIG_RELOADABLE, "5", 1, 100, NULL, NULL);
static hedwig_config_key key_mode =
    KEY(HEDWIG_CONFIG_STRING, "mode", "A choice.", HEDWIG_CONFIG_RELOADABLE, "fast", 0, 0, modes, NULL);
static hedwig_config_key key_name = KEY(HEDWIG_CONFIG_STRING, "name", "A text.", 0, "x", 0, 0, NULL, NULL);
static hedwig_config_key key_path =
    KEY(HEDWIG_CONFIG_PATH, "path", "A file.", HEDWIG_CONFIG_REQUIRED, NULL, 0, 0, NULL, NULL);
static hedwig_config_key key_password = KEY(HEDWIG_CONFIG_SECRET, "password", "A secret.", 0, NULL, 0, 0, NULL, NULL);
static const hedwig_config_key* keys[] = {&key_size, &key_mode, &key_name, &key_path, &key_password};
static const hedwig_config_schema schema = {sizeof schema, 5, keys};

/* ---- the provider ---- */

typedef struct instance {
  const hedwig_host* host;
  const hedwig_host_config* config;
  const hedwig_host_timer* timer;
  int64_t size;
  char path[512];
  char secret[64];
  int file;
  int pipe[2];
  pthread_t thread;
  int thread_runs;
  int started;
} instance;

static int alive = 0; /* of one-instance */

static const void* service(const instance* me, const char* id) { return me->host->get_interface(me->host, id); }

static void complete(const instance* me, hedwig_op* op, hedwig_status status, const char* message) {
  hedwig_error error = {status, 0, "", ""};
  hedwig_completion done = {op, status, 0, NULL, status == HEDWIG_OK ? NULL : &error};
  snprintf(error.message, sizeof error.message, "%s", message);
  me->host->complete(me->host, &done, 1);
}

static void say(const instance* me, const char* text) {
  hedwig_log_record record = {sizeof record, HEDWIG_LOG_WARN, {text, strlen(text)}, NULL, 0, NULL, 0, 0};
  me->host->log(me->host, &record);
}

static void copy_text(char* to, size_t size, hedwig_str from) {
  size_t count = from.size < size ? from.size : size - 1;
  if (count != 0)
    memcpy(to, from.data, count);
  to[count] = '\0';
}

static void nothing(void* context) { (void)context; }

static hedwig_status refuse(hedwig_error* error, const char* where, const char* message) {
  memset(error, 0, sizeof *error);
  error->status = HEDWIG_E_CONFIG;
  snprintf(error->where, sizeof error->where, "%s", where);
  snprintf(error->message, sizeof error->message, "%s", message);
  return HEDWIG_E_CONFIG;
}

static hedwig_status create(const hedwig_host* host, const hedwig_config* config, void** out, hedwig_error* error) {
  if (has_fault("wants-exact-size") && host->struct_size != sizeof *host)
    return refuse(error, "", "a host of another size");
  if (has_fault("looks-behind") && ((const volatile char*)host)[host->struct_size] == 1)
    return refuse(error, "", "a byte behind the host");
  instance* me = calloc(1, sizeof *me);
  me->host = host;
  me->file = me->pipe[0] = me->pipe[1] = -1;
  me->config = service(me, HEDWIG_HOST_CONFIG);
  me->timer = service(me, HEDWIG_HOST_TIMER);
  me->size = me->config->get_integer(config, "size");
  copy_text(me->path, sizeof me->path, me->config->get_string(config, "path"));
  copy_text(me->secret, sizeof me->secret, me->config->get_string(config, "password"));
  if (has_fault("reads-undeclared"))
    me->config->is_set(config, "colour");
  if (has_fault("reads-by-another-type"))
    me->config->get_integer(config, "name");
  if (me->config->get_string(config, "name").size == 0) {
    char message[128] = "must not be empty";
    if (has_fault("error-shows-secret"))
      snprintf(message, sizeof message, "must not be empty beside %s", me->secret);
    if (has_fault("refused-create-leaks"))
      open("/dev/null", O_RDONLY | O_CLOEXEC);
    free(me);
    return refuse(error, has_fault("names-no-key") ? "the name" : "name", has_fault("says-nothing") ? "" : message);
  }
  if (has_fault("opens-in-create"))
    me->file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (has_fault("timer-in-create") && me->timer != NULL)
    me->timer->start(host, INT64_C(1) << 60, nothing, NULL);
  ++alive;
  *out = me;
  return HEDWIG_OK;
}

/* Lives until stop closes the pipe. */
static void* wait_for_the_end(void* raw) {
  char byte;
  while (read(((instance*)raw)->pipe[0], &byte, 1) > 0) {
  }
  return NULL;
}

static void end_thread(instance* me) {
  if (!me->thread_runs)
    return;
  me->thread_runs = 0;
  close(me->pipe[1]);
  pthread_join(me->thread, NULL);
  close(me->pipe[0]);
}

static void start(void* raw, hedwig_op* op) {
  instance* me = raw;
  if (has_fault("never-starts"))
    return;
  if (has_fault("does-not-start"))
    return complete(me, op, HEDWIG_E_UNAVAILABLE, "it does not start");
  if (has_fault("needs-timers") && me->timer == NULL)
    return complete(me, op, HEDWIG_E_UNSUPPORTED, "");
  if (me->file < 0)
    me->file = open(me->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (me->file < 0)
    return complete(me, op, HEDWIG_E_IO, has_fault("silent-start") ? "" : "cannot open the file");
  if (has_fault("buffer-left")) {
    uint8_t* data = NULL;
    me->host->buf_alloc(me->host, 100, &data);
  }
  if (has_fault("logs-secret"))
    say(me, me->secret);
  if (pipe2(me->pipe, O_CLOEXEC) == 0 && pthread_create(&me->thread, NULL, wait_for_the_end, me) == 0)
    me->thread_runs = 1;
  me->started = 1;
  complete(me, op, HEDWIG_OK, "");
  if (has_fault("starts-twice"))
    complete(me, op, HEDWIG_OK, "");
}

static void stop(void* raw, hedwig_op* op) {
  instance* me = raw;
  if (!has_fault("thread-left"))
    end_thread(me);
  complete(me, op, has_fault("unknown-status") ? -99 : HEDWIG_OK, "a status of its own");
}

static void destroy(void* raw) {
  instance* me = raw;
  end_thread(me);
  if (me->file >= 0 && !has_fault("descriptor-left"))
    close(me->file);
  if (!me->started && has_fault("unstarted-leaks"))
    open("/dev/null", O_RDONLY | O_CLOEXEC);
  --alive;
  free(me);
}

static void reload(void* raw, hedwig_op* op, const hedwig_config* config) {
  instance* me = raw;
  int64_t size = me->config->get_integer(config, "size");
  if (has_fault("reloads-changes-only") && size == me->size)
    return complete(me, op, HEDWIG_E_INVALID, "nothing has changed");
  if (size != 1 || has_fault("reload-forgets"))
    me->size = size;
  if (size == 1)
    return complete(me, op, HEDWIG_E_CONFIG, has_fault("silent-reload") ? "" : "too small");
  complete(me, op, HEDWIG_OK, "");
}

static const void* get_extension(void* raw, const char* id) {
  (void)id;
  return has_fault("any-extension") ? raw : NULL;
}

/* Answers later, and remembers one question only. */
typedef struct question {
  instance* whose;
  hedwig_op* op;
} question;
static question only;
static void answer_only(void* raw) {
  question* one = raw;
  hedwig_op* op = one->op;
  one->op = NULL;
  if (op != NULL)
    complete(one->whose, op, HEDWIG_E_NOT_FOUND, "nobody");
}

static void verify_password(void* raw, hedwig_op* op, const hedwig_auth_request* request) {
  instance* me = raw;
  (void)request;
  if (has_fault("cancels-on-event") && me->timer != NULL)
    me->timer->cancel(me->host, me->timer->start(me->host, INT64_C(1) << 60, nothing, NULL));
  if (has_fault("declares-late") && service(me, HEDWIG_HOST_METRIC) != NULL)
    ((const hedwig_host_metric*)service(me, HEDWIG_HOST_METRIC))
        ->declare(me->host, HEDWIG_METRIC_COUNTER, "late_total", "", "Late.");
  if (has_fault("one-at-a-time") && me->timer != NULL) {
    only.whose = me;
    only.op = op;
    me->timer->start(me->host, 50 * INT64_C(1000000), answer_only, &only);
    return;
  }
  if (has_fault("one-instance") && alive > 1)
    return complete(me, op, HEDWIG_E_DENIED, "another one is there");
  if (me->size == 1)
    return complete(me, op, HEDWIG_E_BUSY, "too small");
  complete(me, op, HEDWIG_E_NOT_FOUND, "nobody");
}

static const hedwig_auth table = {sizeof table, 0, verify_password, NULL, NULL, NULL};
static hedwig_provider provider = {sizeof provider, 0,      HEDWIG_AUTH, "crooked", "Knows nobody.",
                                   &schema,         &table, NULL,        create,    start,
                                   reload,          NULL,   stop,        destroy,   get_extension};
static const hedwig_provider* const providers[] = {&provider};
static const hedwig_plugin plugin = {
    sizeof plugin, HEDWIG_ABI_MAJOR, HEDWIG_ABI_MINOR, 0, 0, 1, providers, "org.hedwig.test.crooked",
    "1.0",         "Hedwig",         "Apache-2.0",     ""};

const hedwig_plugin* hedwig_plugin_v1(const hedwig_host* host) {
  static hedwig_plugin copies[64];
  static int asked = 0;
  if (has_fault("entry-refuses"))
    return NULL;
  if (has_fault("no-summary"))
    provider.summary = "";
  if (has_fault("no-help"))
    key_name.help = "";
  if (has_fault("bad-default"))
    key_size.default_value = "500";
  if (has_fault("required-default"))
    key_size.flags |= HEDWIG_CONFIG_REQUIRED;
  if (has_fault("text-with-range"))
    key_name.maximum = 10;
  if (has_fault("key-twice"))
    key_mode.name = "size", key_mode.type = HEDWIG_CONFIG_INTEGER, key_mode.choices = NULL,
    key_mode.default_value = "7";
  if (has_fault("unmarked-secret"))
    key_password.type = HEDWIG_CONFIG_STRING;
  if (has_fault("no-provider") || has_fault("entry-changes")) {
    hedwig_plugin* copy = &copies[asked++ % 64];
    *copy = plugin;
    if (has_fault("no-provider"))
      copy->provider_count = 0;
    return copy;
  }
  if (has_fault("entry-logs")) {
    instance me = {0};
    me.host = host;
    say(&me, "asked");
  }
  return &plugin;
}
