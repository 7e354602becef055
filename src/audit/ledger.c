/* SPDX-License-Identifier: MIT
 *
 * A ledger from its opening to its closing: its parts, its state, and how its files are made at first.
 */
#include "audit/group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS_MAX ((size_t)1 << 17) /* a table that stays in the cache; chains are short enough */

static void find_series(struct cx_audit *a);

enum cx_status cx_audit_open(const struct cx_audit_options *options, struct cx_audit **out,
                             struct cx_err *err)
{
    struct cx_audit *a = cx_alloc(sizeof *a);
    a->options = *options;
    a->options.data_dir = cx_strdup(options->data_dir);
    a->files = options->files != NULL ? options->files : &audit__system_files;
    a->segment_fd = a->checkpoint_fd = a->dir = -1;
    CX_CHECK(pthread_mutex_init(&a->queue_lock, NULL) == 0);
    CX_CHECK(pthread_mutex_init(&a->lock, NULL) == 0);
    pthread_condattr_t monotonic;
    CX_CHECK(pthread_condattr_init(&monotonic) == 0);
    CX_CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CX_CHECK(pthread_cond_init(&a->gathered, &monotonic) == 0);
    (void)pthread_condattr_destroy(&monotonic);
    a->group = cx_alloc(sizeof *a->group);
    cx_buf_init(&a->lines, AUDIT__GROUP_BYTES_MAX + 2 * AUDIT__LINE_MAX_BYTES);
    cx_buf_init(&a->entry, AUDIT__LINE_MAX_BYTES);
    for (a->bucket_count = 1024;
         a->bucket_count < options->unindexed_max && a->bucket_count < BUCKETS_MAX;) {
        a->bucket_count *= 2;
    }
    a->buckets = (struct audit__recent **)cx_realloc_array(NULL, a->bucket_count,
                                                           sizeof(struct audit__recent *));
    memset((void *)a->buckets, 0, a->bucket_count * sizeof(struct audit__recent *));
    find_series(a);
    enum cx_status status = CX_OK;
    a->dir = audit__open_folder(options->data_dir, true, err);
    if (a->dir < 0) {
        status = CX_IO_ERROR;
    }
    if (status == CX_OK) {
        status = audit__index_load(a, err);
    }
    if (status == CX_OK) {
        status = audit__open_tail(a, err);
    }
    if (status != CX_OK) {
        cx_audit_close(&a);
        return status;
    }
    *out = a;
    return CX_OK;
}

void cx_audit_close(struct cx_audit **at)
{
    struct cx_audit *a = *at;
    if (a == NULL) {
        return;
    }
    *at = NULL;
    CX_CHECK(a->waiting_count == 0);
    audit__catch_up_free(a);
    audit__tidy_free(a);
    audit__filter_free(a);
    while (a->first_recent != NULL) {
        audit__recent_drop_first(a);
    }
    audit__agents_free(a);
    const int fds[] = { a->segment_fd, a->checkpoint_fd, a->dir };
    for (size_t i = 0; i < CX_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    free(a->group);
    cx_buf_free(&a->lines);
    cx_buf_free(&a->entry);
    (void)pthread_cond_destroy(&a->gathered);
    (void)pthread_mutex_destroy(&a->lock);
    (void)pthread_mutex_destroy(&a->queue_lock);
    free((void *)a->buckets);
    free((char *)a->options.data_dir);
    free(a);
}

bool cx_audit_failed(const struct cx_audit *a)
{
    return atomic_load(&a->state) == AUDIT__FAILED;
}

bool cx_audit_damage(struct cx_audit *a, struct cx_err *what)
{
    if (atomic_load(&a->state) != AUDIT__DAMAGED) {
        return false;
    }
    *what = a->damage;
    return true;
}

void audit__fail(struct cx_audit *a, const char *what, enum cx_status status)
{
    if (atomic_exchange(&a->state, AUDIT__FAILED) != AUDIT__FAILED) {
        CX_LOG(CX_LOG_ERROR, "the ledger has failed: nothing more is acknowledged",
               CX_S("what", what), CX_S("reason", cx_status_name(status)));
    }
}

int audit__sync(struct cx_audit *a, int fd)
{
    const uint64_t began = cx_clock_mono_ns();
    const int result = a->files->sync(a->files->ctx, fd, true);
    const int error = errno;
    cx_histogram_observe(a->sync_seconds, (double)(cx_clock_mono_ns() - began) / 1e9);
    errno = error;
    return result;
}

static void find_series(struct cx_audit *a)
{
    static const char *const labels[AUDIT__OUTCOME_COUNT] = {
        [AUDIT__WRITTEN] = "outcome=\"written\"",   [AUDIT__KNOWN] = "outcome=\"known\"",
        [AUDIT__CONFLICT] = "outcome=\"conflict\"", [AUDIT__FULL] = "outcome=\"full\"",
        [AUDIT__REFUSED] = "outcome=\"refused\"",   [AUDIT__LOST] = "outcome=\"failed\"",
    };
    for (size_t i = 0; i < AUDIT__OUTCOME_COUNT; i++) {
        a->records[i] = cx_metrics_series(CX_M_AUDIT_RECORDS, labels[i]);
    }
    a->groups = cx_metrics_series(CX_M_AUDIT_GROUPS, "");
    a->group_seconds = cx_metrics_series(CX_M_AUDIT_GROUP_SECONDS, "");
    a->sync_seconds = cx_metrics_series(CX_M_AUDIT_SYNC_SECONDS, "");
    a->written_bytes = cx_metrics_series(CX_M_AUDIT_BYTES, "");
    a->waiting_gauge = cx_metrics_series(CX_M_AUDIT_WAITING, "");
    a->unindexed_gauge = cx_metrics_series(CX_M_AUDIT_UNINDEXED, "");
    a->entries_gauge = cx_metrics_series(CX_M_AUDIT_ENTRIES, "");
    a->segment_gauge = cx_metrics_series(CX_M_AUDIT_SEGMENT, "");
    a->damaged_gauge = cx_metrics_series(CX_M_AUDIT_DAMAGED, "");
    a->lookups_memory = cx_metrics_series(CX_M_AUDIT_LOOKUPS, "by=\"memory\"");
    a->lookups_filter = cx_metrics_series(CX_M_AUDIT_LOOKUPS, "by=\"filter\"");
    a->lookups_index = cx_metrics_series(CX_M_AUDIT_LOOKUPS, "by=\"index\"");
}

/* ---- Making ------------------------------------------------------------------------------------ */

int audit__open_folder(const char *data_dir, bool make, struct cx_err *err)
{
    const int data = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0) {
        (void)cx_err_set(err, CX_IO_ERROR, "%s: %s", data_dir, strerror(errno));
        return -1;
    }
    if (make && mkdirat(data, CX_AUDIT_FOLDER, 0700) == 0 && fsync(data) != 0) {
        (void)cx_err_set(err, CX_IO_ERROR, "%s: %s", data_dir, strerror(errno));
        (void)close(data);
        return -1;
    }
    const int fd = openat(data, CX_AUDIT_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        (void)cx_err_set(err, CX_IO_ERROR, "%s/" CX_AUDIT_FOLDER ": %s", data_dir, strerror(errno));
    }
    (void)close(data);
    return fd;
}

/* The checkpoint comes last: without it and without entries a later start makes all of it anew. */
enum cx_status audit__make(const struct cx_audit_files *files, int dir,
                           const struct cx_signer *signer, struct cx_err *err)
{
    struct audit__key key = { .created_us = cx_clock_wall_us() };
    memcpy(key.public_key, cx_signer_public(signer), sizeof key.public_key);
    audit__key_sign(&key, signer);
    struct audit__checkpoint none = { .size = 0, .time_us = cx_clock_wall_us() };
    cx_random_bytes(none.head, sizeof none.head);
    audit__checkpoint_sign(&none, signer);

    struct cx_buf text;
    cx_buf_init(&text, AUDIT__SMALL_MAX_BYTES);
    audit__key_write(&key, &text);
    CX_CHECK(!text.failed);
    enum cx_status status = audit__write_file(files, dir, AUDIT__KEYS_FILE,
                                              (struct cx_str){ text.data, text.len }, err);
    cx_buf_free(&text);
    if (status == CX_OK) {
        status = audit__make_segment(files, dir, 1, &none, err);
    }
    if (status == CX_OK) {
        char slots[2][AUDIT__SLOT_BYTES];
        audit__slot_write(&none, slots[0]);
        audit__slot_write(&none, slots[1]);
        status = audit__write_file(files, dir, AUDIT__CHECKPOINT_FILE,
                                   (struct cx_str){ slots[0], sizeof slots }, err);
    }
    return status;
}

enum cx_status audit__make_segment(const struct cx_audit_files *files, int dir, uint32_t segment,
                                   const struct audit__checkpoint *before, struct cx_err *err)
{
    char name[AUDIT__SEGMENT_NAME_BYTES];
    struct cx_buf header;
    cx_buf_init(&header, AUDIT__SMALL_MAX_BYTES);
    audit__header_write(segment, before, &header);
    CX_CHECK(!header.failed);
    const enum cx_status status =
        audit__write_file(files, dir, audit__segment_name(segment, false, name),
                          (struct cx_str){ header.data, header.len }, err);
    cx_buf_free(&header);
    return status;
}
