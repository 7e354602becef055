/* SPDX-License-Identifier: MIT
 *
 * What followers of events say of themselves: where they were, and which types they want.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/event_hub.h"
#include "cortex/json.h"

#define ID_SHOWN_BYTES 128 /* of an id that a client sent */

char *api__event_id(const struct cx_api *api, uint64_t sequence, char text[API_EVENT_ID_BYTES])
{
    snprintf(text, API_EVENT_ID_BYTES, "%" PRIx64 "-%" PRIu64, (uint64_t)api->started_us, sequence);
    return text;
}

void api__event_resume(const struct cx_api *api, const char *id, struct api__event_resume *out)
{
    const struct cx_events *events = api->options.events;
    const uint64_t last = cx_events_last(events);
    const uint64_t oldest = cx_events_oldest(events);
    char mine[API_EVENT_ID_BYTES];
    api__event_id(api, 0, mine);
    const size_t epoch_len = strlen(mine) - 1; /* with its '-' */
    uint64_t sequence = 0;
    const bool known = strncmp(id, mine, epoch_len) == 0 &&
                       cx_parse_u64(cx_str_of(id + epoch_len), &sequence) && sequence <= last &&
                       sequence + 1 >= (oldest > 0 ? oldest : 1);
    out->gap = !known;
    out->cursor = known ? sequence : (oldest > 0 ? oldest - 1 : last);
}

void api__event_put_gap(const struct cx_api *api, const char *id, uint64_t cursor,
                        struct cx_buf *out)
{
    char text[API_EVENT_ID_BYTES];
    const int64_t wall_us = cx_clock_wall_us();
    struct cx_str from = cx_str_of(id);
    from.len = cx_utf8_cut(from, ID_SHOWN_BYTES);
    cx_buf_puts(out, "{\"event_type\":\"stream.gap\",\"payload\":{\"from\":");
    cx_json_write_string(cx_utf8_valid(from) ? from : CX_STR(""), out);
    cx_buf_printf(out,
                  ",\"to\":\"%s\"},\"timestamp\":%" PRId64 ".%06" PRId64
                  ",\"resource_ids\":[],\"correlation_id\":null}",
                  api__event_id(api, cursor, text), wall_us / 1000000, wall_us % 1000000);
}

/* ---- Types ---- */

static uint32_t types_with(struct cx_str prefix)
{
    uint32_t types = 0;
    for (unsigned i = 0; i < CX_EVENT_TYPE_COUNT; i++) {
        const struct cx_str name = cx_str_of(cx_event_type_name((enum cx_event_type)i));
        if (prefix.len <= name.len && memcmp(prefix.p, name.p, prefix.len) == 0) {
            types |= (uint32_t)1 << i;
        }
    }
    return types;
}

void api__event_read_types(struct cx_exchange *x, struct cx_faults *faults, uint32_t *types)
{
    const char *text = cx_exchange_query(x, "types");
    *types = API_EVENT_ALL;
    if (text == NULL || text[0] == '\0') {
        return;
    }
    *types = 0;
    while (text != NULL) {
        const char *comma = strchr(text, ',');
        const struct cx_str prefix = { text,
                                       comma != NULL ? (size_t)(comma - text) : strlen(text) };
        const uint32_t found = prefix.len > 0 ? types_with(prefix) : 0;
        if (found == 0) {
            api__query_fault(faults, "types", "value",
                             "must be prefixes of event types between commas, such as "
                             "state.,vector.indexed");
            return;
        }
        *types |= found;
        text = comma != NULL ? comma + 1 : NULL;
    }
}
