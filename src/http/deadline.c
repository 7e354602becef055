/* SPDX-License-Identifier: MIT
 *
 * Deadlines without a timer each: a list a kind, in order because all its members wait equally
 * long, and one timer for the earliest of all. A deadline that is stopped leaves the timer alone;
 * it then fires for nothing and looks again.
 */
#include "http/http_internal.h"

#define GRAIN_MS 16 /* deadlines are rounded up to this, so that many fall together */

static uint64_t run_list(struct cx_http *http, struct deadlines *list, uint64_t now_ms);

void link__init(struct link *head)
{
    head->next = head;
    head->previous = head;
}

void link__append(struct link *head, struct link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

void link__remove(struct link *link)
{
    if (link->next == NULL) {
        return;
    }
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = NULL;
    link->previous = NULL;
}

struct link *link__take_first(struct link *head)
{
    struct link *first = head->next;
    if (first == head) {
        return NULL;
    }
    link__remove(first);
    return first;
}

bool link__empty(const struct link *head)
{
    return head->next == head;
}

void deadline__start(struct cx_http *http, struct deadlines *list, struct deadline *deadline,
                     void *owner)
{
    link__remove(&deadline->link);
    const uint64_t now_ms = cx_loop_now_ms(http->loop);
    deadline->at_ms = (now_ms + list->span_ms + GRAIN_MS - 1) / GRAIN_MS * GRAIN_MS;
    deadline->owner = owner;
    link__append(&list->head, &deadline->link);
    if (http->timer_at_ms == 0 || deadline->at_ms < http->timer_at_ms) {
        http->timer_at_ms = deadline->at_ms;
        cx_timer_start(http->timer, deadline->at_ms - now_ms, 0);
    }
}

void deadline__stop(struct deadline *deadline)
{
    link__remove(&deadline->link);
}

void deadline__on_timer(void *arg)
{
    struct cx_http *http = arg;
    const uint64_t now_ms = cx_loop_now_ms(http->loop);
    struct deadlines *fixed[] = { &http->header_deadlines, &http->body_deadlines,
                                  &http->idle_deadlines, &http->write_deadlines,
                                  &http->linger_deadlines };
    server__enter(http);
    uint64_t earliest = UINT64_MAX;
    http->timer_at_ms = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(fixed) + http->route_count; i++) {
        struct deadlines *list =
            i < CX_ARRAY_LEN(fixed) ? fixed[i] : &http->routes[i - CX_ARRAY_LEN(fixed)].deadlines;
        const uint64_t next = run_list(http, list, now_ms);
        earliest = next < earliest ? next : earliest;
    }
    server__leave(http);
    if (earliest != UINT64_MAX && (http->timer_at_ms == 0 || earliest < http->timer_at_ms)) {
        http->timer_at_ms = earliest;
        cx_timer_start(http->timer, earliest > now_ms ? earliest - now_ms : 0, 0);
    }
}

/* Returns when the first of what is left falls, or fell, due: many at once take several turns. */
static uint64_t run_list(struct cx_http *http, struct deadlines *list, uint64_t now_ms)
{
    while (!link__empty(&list->head)) {
        /* link is the first member of a deadline. */
        struct deadline *first = (struct deadline *)(void *)list->head.next;
        if (first->at_ms > now_ms || cx_loop_turn_over(http->loop)) {
            return first->at_ms;
        }
        deadline__stop(first);
        list->on_time(first->owner);
    }
    return UINT64_MAX;
}
