/* SPDX-License-Identifier: MIT
 *
 * The scripted getaddrinfo (names.h).
 */
#include "names.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>

typedef int (*lookup_fn)(const char *node, const char *service, const struct addrinfo *hints,
                         struct addrinfo **found);

static struct gate gate;
static pthread_once_t gate_made = PTHREAD_ONCE_INIT;
static atomic_uint asked;
static atomic_uint at_once;
static atomic_uint at_once_worst;
static atomic_bool asked_on_loop_thread;

static void make_gate(void)
{
    gate_init(&gate);
}

void names_reset(void)
{
    (void)pthread_once(&gate_made, make_gate);
    (void)pthread_mutex_lock(&gate.mutex);
    gate.open = false;
    gate.arrived = 0;
    (void)pthread_mutex_unlock(&gate.mutex);
    atomic_store(&asked, 0);
    atomic_store(&at_once_worst, 0);
    atomic_store(&asked_on_loop_thread, false);
}

void names_release(void)
{
    gate_open(&gate);
}

void names_await(unsigned slow)
{
    gate_await(&gate, slow);
}

unsigned names_asked(void)
{
    return atomic_load(&asked);
}

unsigned names_at_once_worst(void)
{
    return atomic_load(&at_once_worst);
}

bool names_asked_on_loop_thread(void)
{
    return atomic_load(&asked_on_loop_thread);
}

static int resolve_name(const char *node, const char *service, const struct addrinfo *hints,
                        struct addrinfo **found)
{
    lookup_fn real = NULL;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof(real)); /* POSIX allows what ISO C has no cast for */
    size_t len = node != NULL ? strlen(node) : 0;
    len -= len > 0 && node[len - 1] == '.' ? 1 : 0;
    if (len <= 5 || strncmp(node + len - 5, ".test", 5) != 0) {
        return real(node, service, hints, found);
    }
    if (strcmp(node, "gone.test") == 0) {
        return EAI_NONAME;
    }
    if (strncmp(node, "slow", 4) == 0) {
        gate_pass(&gate);
    }
    if (strcmp(node, "twice.test") != 0) {
        return real("127.0.0.1", service, hints, found);
    }
    struct addrinfo *second = NULL;
    if (real("127.0.0.2", service, hints, found) != 0) {
        return EAI_FAIL;
    }
    if (real("127.0.0.1", service, hints, &second) == 0) {
        (*found)->ai_next = second;
    }
    return 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    (void)pthread_once(&gate_made, make_gate);
    (void)atomic_fetch_add(&asked, 1);
    const unsigned now = atomic_fetch_add(&at_once, 1) + 1;
    unsigned worst = atomic_load(&at_once_worst);
    while (now > worst && !atomic_compare_exchange_weak(&at_once_worst, &worst, now)) {
    }
    if (cx_on_loop_thread()) {
        atomic_store(&asked_on_loop_thread, true);
    }
    const int code = resolve_name(node, service, hints, found);
    (void)atomic_fetch_sub(&at_once, 1);
    return code;
}
