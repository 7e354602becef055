/* SPDX-License-Identifier: MIT
 *
 * Name look-ups (resolve.h). A dead name server holds a thread of the pool for ten seconds and
 * nothing can stop it, so the callers are kept apart from the look-up: they may leave, it goes on
 * alone.
 *
 *   asked --> QUEUED --> RUNNING --> KNOWN (30 s) --> forgotten
 *                |          '------> forgotten (not found, or orphaned)
 *                '-----------------> forgotten (nobody waits any more)
 *
 * Owns the names. Loop thread only; getaddrinfo itself is run by libuv on the pool.
 */
#include "resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define LOOKUPS_MAX 2 /* libuv gives look-ups half the pool; we leave the lanes their share of it */
#define KNOWN_MAX 64
#define KNOWN_MS 30000

enum name_state { NAME_QUEUED, NAME_RUNNING, NAME_KNOWN };

struct loop__name { /* owner: the resolver; without one (orphaned) its own request */
    uv_getaddrinfo_t request;
    struct loop__resolver *resolver; /* NULL = orphaned */
    struct loop__name *next;
    struct loop__name *previous;
    enum name_state state;
    struct loop__waiter *first;
    struct loop__waiter *last;
    uint64_t found_ms;
    char host[LOOP__HOST_BYTES];
    char addresses[LOOP__ADDRESSES_BYTES];
};

struct loop__resolver { /* owner: its fetch */
    struct cx_loop *loop;
    struct loop__name *first; /* in the order in which they were asked for */
    struct loop__name *last;
    size_t running;
    size_t known;
};

static struct loop__name *find_name(struct loop__resolver *resolver, const char *host);
static struct loop__name *add_name(struct loop__resolver *resolver, const char *host);
static void forget_name(struct loop__name *name);
static void unlink_name(struct loop__name *name);
static void start_lookups(struct loop__resolver *resolver);
static void on_looked_up(uv_getaddrinfo_t *request, int code, struct addrinfo *found);
static void write_addresses(const struct addrinfo *found, char text[LOOP__ADDRESSES_BYTES]);
static void keep_known(struct loop__name *name);
static void tell_waiters(struct loop__name *name, const char *addresses, const char *reason);

struct loop__resolver *loop__resolver_new(struct cx_loop *loop)
{
    struct loop__resolver *resolver = cx_alloc(sizeof(*resolver));
    resolver->loop = loop;
    return resolver;
}

void loop__resolver_free(struct loop__resolver **resolver)
{
    struct loop__resolver *gone = *resolver;
    if (gone == NULL) {
        return;
    }
    *resolver = NULL;
    struct loop__name *next = NULL;
    for (struct loop__name *name = gone->first; name != NULL; name = next) {
        next = name->next;
        CX_CHECK(name->first == NULL);
        if (name->state == NAME_RUNNING) {
            unlink_name(name);
            name->resolver = NULL;
            (void)uv_cancel((uv_req_t *)&name->request);
        } else {
            forget_name(name);
        }
    }
    free(gone);
}

const char *loop__resolve_known(struct loop__resolver *resolver, const char *host)
{
    struct loop__name *name = find_name(resolver, host);
    if (name == NULL || name->state != NAME_KNOWN) {
        return NULL;
    }
    if (cx_loop_now_ms(resolver->loop) - name->found_ms >= KNOWN_MS) {
        forget_name(name);
        return NULL;
    }
    return name->addresses;
}

void loop__resolve(struct loop__resolver *resolver, const char *host, struct loop__waiter *waiter)
{
    CX_CHECK(waiter->name == NULL);
    struct loop__name *name = find_name(resolver, host);
    if (name == NULL) {
        name = add_name(resolver, host);
    }
    CX_CHECK(name->state != NAME_KNOWN); /* loop__resolve_known was asked first */
    waiter->name = name;
    waiter->next = NULL;
    waiter->previous = name->last;
    if (name->last != NULL) {
        name->last->next = waiter;
    } else {
        name->first = waiter;
    }
    name->last = waiter;
    start_lookups(resolver);
}

static void unlink_waiter(struct loop__waiter *waiter)
{
    struct loop__name *name = waiter->name;
    CX_CHECK(name != NULL);
    if (waiter->previous != NULL) {
        waiter->previous->next = waiter->next;
    } else {
        name->first = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->previous = waiter->previous;
    } else {
        name->last = waiter->previous;
    }
    waiter->name = NULL;
    waiter->next = waiter->previous = NULL;
}

void loop__resolve_leave(struct loop__waiter *waiter)
{
    struct loop__name *name = waiter->name;
    if (name == NULL) {
        return;
    }
    unlink_waiter(waiter);
    if (name->first == NULL && name->state == NAME_QUEUED) {
        forget_name(name);
    }
}

/* ---- Look-ups -------------------------------------------------------------------------------- */

static void start_lookups(struct loop__resolver *resolver)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct loop__name *next = NULL;
    for (struct loop__name *name = resolver->first; name != NULL; name = next) {
        next = name->next;
        if (resolver->running >= LOOKUPS_MAX) {
            return;
        }
        if (name->state != NAME_QUEUED) {
            continue;
        }
        /* It can only fail for want of memory or for a name that is no name: both are found out by
         * the look-up too, so what is left is impossible. */
        const int code = uv_getaddrinfo(cx_loop_uv(resolver->loop), &name->request, on_looked_up,
                                        name->host, NULL, &hints);
        CX_CHECK(code == 0);
        name->state = NAME_RUNNING;
        resolver->running++;
    }
}

static void on_looked_up(uv_getaddrinfo_t *request, int code, struct addrinfo *found)
{
    struct loop__name *name = request->data;
    struct loop__resolver *resolver = name->resolver;
    if (resolver == NULL) {
        uv_freeaddrinfo(found);
        free(name);
        return;
    }
    resolver->running--;
    name->addresses[0] = '\0';
    if (code == 0) {
        write_addresses(found, name->addresses);
    }
    uv_freeaddrinfo(found);
    start_lookups(resolver);
    if (name->addresses[0] != '\0') {
        keep_known(name);
        tell_waiters(name, name->addresses, NULL);
        return;
    }
    /* Still RUNNING, so that who asks again from within its callback is told the same, and the list
     * ends. */
    tell_waiters(name, NULL, code != 0 ? uv_strerror(code) : "it has no address");
    forget_name(name);
}

static void write_addresses(const struct addrinfo *found, char text[LOOP__ADDRESSES_BYTES])
{
    size_t len = 0;
    size_t count = 0;
    for (const struct addrinfo *at = found; at != NULL && count < LOOP__ADDRESSES_MAX;
         at = at->ai_next) {
        char address[INET6_ADDRSTRLEN] = "";
        const bool six = at->ai_family == AF_INET6;
        if (six) {
            const struct sockaddr_in6 *in = (const void *)at->ai_addr;
            /* A link-local address is nothing without its link, which cannot be handed on. */
            if (in->sin6_scope_id == 0) {
                (void)inet_ntop(AF_INET6, &in->sin6_addr, address, sizeof(address));
            }
        } else if (at->ai_family == AF_INET) {
            const struct sockaddr_in *in = (const void *)at->ai_addr;
            (void)inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
        }
        if (address[0] == '\0') {
            continue;
        }
        const int wrote = snprintf(text + len, LOOP__ADDRESSES_BYTES - len, "%s%s%s%s",
                                   len > 0 ? "," : "", six ? "[" : "", address, six ? "]" : "");
        len += (size_t)wrote;
        count++;
    }
}

static void keep_known(struct loop__name *name)
{
    struct loop__resolver *resolver = name->resolver;
    if (resolver->known >= KNOWN_MAX) {
        struct loop__name *oldest = NULL;
        for (struct loop__name *at = resolver->first; at != NULL; at = at->next) {
            if (at->state == NAME_KNOWN && (oldest == NULL || at->found_ms < oldest->found_ms)) {
                oldest = at;
            }
        }
        CX_CHECK(oldest != NULL);
        forget_name(oldest);
    }
    name->state = NAME_KNOWN;
    name->found_ms = cx_loop_now_ms(resolver->loop);
    resolver->known++;
}

static void tell_waiters(struct loop__name *name, const char *addresses, const char *reason)
{
    while (name->first != NULL) {
        struct loop__waiter *waiter = name->first;
        unlink_waiter(waiter);
        waiter->on_resolved(waiter->ctx, addresses, reason);
    }
}

/* ---- The list of names ----------------------------------------------------------------------- */

static struct loop__name *find_name(struct loop__resolver *resolver, const char *host)
{
    for (struct loop__name *name = resolver->first; name != NULL; name = name->next) {
        if (strcmp(name->host, host) == 0) {
            return name;
        }
    }
    return NULL;
}

static struct loop__name *add_name(struct loop__resolver *resolver, const char *host)
{
    struct loop__name *name = cx_alloc(sizeof(*name));
    name->resolver = resolver;
    name->request.data = name;
    (void)snprintf(name->host, sizeof(name->host), "%s", host);
    name->previous = resolver->last;
    if (resolver->last != NULL) {
        resolver->last->next = name;
    } else {
        resolver->first = name;
    }
    resolver->last = name;
    return name;
}

static void forget_name(struct loop__name *name)
{
    unlink_name(name);
    if (name->state == NAME_KNOWN) {
        name->resolver->known--;
    }
    free(name);
}

static void unlink_name(struct loop__name *name)
{
    struct loop__resolver *resolver = name->resolver;
    if (name->previous != NULL) {
        name->previous->next = name->next;
    } else {
        resolver->first = name->next;
    }
    if (name->next != NULL) {
        name->next->previous = name->previous;
    } else {
        resolver->last = name->previous;
    }
    name->next = name->previous = NULL;
}
