/* SPDX-License-Identifier: MIT
 *
 * The fixture of the ledger's tests.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Calls that fail ---- */

static bool fails(struct faults *f)
{
    f->calls++;
    const bool fail =
        f->fail_at > 0 && (f->calls == f->fail_at || (f->for_ever && f->calls > f->fail_at));
    if (fail) {
        errno = f->error;
    }
    return fail;
}

static int fault_create(void *ctx, int dir, const char *name, int flags)
{
    struct faults *f = ctx;
    return !f->writes_only && fails(f) ? -1 : audit__system_files.create(NULL, dir, name, flags);
}

static ssize_t fault_write(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    struct faults *f = ctx;
    if (fails(f)) {
        const int error = errno;
        if (f->short_by > 0 && len > f->short_by) {
            (void)audit__system_files.write(NULL, fd, data, len - f->short_by, offset);
        }
        errno = error;
        return -1;
    }
    return audit__system_files.write(NULL, fd, data, len, offset);
}

static int fault_sync(void *ctx, int fd, bool data_only)
{
    struct faults *f = ctx;
    (void)fd; /* no power is cut here: the disk is spared */
    (void)data_only;
    return !f->writes_only && fails(f) ? -1 : 0;
}

static int fault_truncate(void *ctx, int fd, off_t size)
{
    struct faults *f = ctx;
    return !f->writes_only && fails(f) ? -1 : audit__system_files.truncate(NULL, fd, size);
}

static int fault_rename(void *ctx, int dir, const char *from, const char *to)
{
    struct faults *f = ctx;
    return !f->writes_only && fails(f) ? -1 : audit__system_files.rename(NULL, dir, from, to);
}

static int fault_unlink(void *ctx, int dir, const char *name)
{
    struct faults *f = ctx;
    return !f->writes_only && fails(f) ? -1 : audit__system_files.unlink(NULL, dir, name);
}

void faults_init(struct faults *f)
{
    *f = (struct faults){ .files = { .ctx = f,
                                     .create = fault_create,
                                     .write = fault_write,
                                     .sync = fault_sync,
                                     .truncate = fault_truncate,
                                     .rename = fault_rename,
                                     .unlink = fault_unlink },
                          .error = EIO };
}

/* ---- A ledger ---- */

bool fixture_open(struct fixture *f)
{
    return fixture_prepare(f, ".") && fixture_start(f) == CX_OK;
}

bool fixture_prepare(struct fixture *f, const char *folder)
{
    static const uint8_t seed[CX_ED25519_SEED_BYTES] = "a seed for tests only 0123456789";
    *f = (struct fixture){ .store = NULL };
    snprintf(f->dir, sizeof f->dir, "%s/%s", test_dir(), folder);
    (void)mkdir(f->dir, 0700);
    snprintf(f->ledger, sizeof f->ledger, "%s/" CX_AUDIT_FOLDER, f->dir);
    cx_signer_new(seed, &f->signer);
    char path[600];
    snprintf(path, sizeof path, "%s/audit.db", f->dir);
    const struct cx_store_options store = { .path = path,
                                            .readers = 2,
                                            .migrations = cx_audit_migrations,
                                            .migration_count = cx_audit_migration_count };
    EXPECT_INT(cx_store_open(&store, &f->store, NULL), CX_OK);
    faults_init(&f->no_faults);
    f->options = (struct cx_audit_options){ .files = &f->no_faults.files,
                                            .data_dir = f->dir,
                                            .signer = f->signer,
                                            .store = f->store,
                                            .segment_bytes = 1 << 20,
                                            .waiting_max = 4096,
                                            .waiting_bytes_max = 1 << 24,
                                            .unindexed_max = 4096 };
    return f->store != NULL;
}

void fixture_again(struct fixture *f, const char *folder)
{
    EXPECT(f->audit == NULL);
    EXPECT_INT(cx_db_exec(cx_store_writer(f->store),
                          "DELETE FROM audit_entries; DELETE FROM audit_agents;"
                          "UPDATE audit_meta SET indexed_to = 0, head = x'', runs = 0, judged = 0,"
                          " parsed = 0, timed = 0, latency_ms = 0.0",
                          NULL),
               CX_OK);
    snprintf(f->dir, sizeof f->dir, "%s/%s", test_dir(), folder);
    snprintf(f->ledger, sizeof f->ledger, "%s/" CX_AUDIT_FOLDER, f->dir);
    (void)mkdir(f->dir, 0700);
}

enum cx_status fixture_start(struct fixture *f)
{
    enum cx_status status = cx_audit_open(&f->options, &f->audit, NULL);
    for (bool more = true; status == CX_OK && more;) {
        status = cx_audit_index(f->audit, &more, NULL);
    }
    return status;
}

void fixture_stop(struct fixture *f)
{
    cx_audit_close(&f->audit);
}

void fixture_close(struct fixture *f)
{
    cx_audit_close(&f->audit);
    cx_store_close(&f->store);
    cx_signer_free(&f->signer);
}

/* ---- Runs ---- */

void run_make(struct run *run, const char *id, const char *output)
{
    *run = (struct run){ .record = { .kind = CX_AUDIT_RUN, .latency_ms = 5.0 } };
    snprintf(run->id, sizeof run->id, "%s", id);
    const int len = snprintf(run->content, sizeof run->content,
                             "{\"run_id\":\"%s\",\"agent_name\":\"tester\",\"method_name\":\"m\","
                             "\"prompt\":\"p\",\"raw_output\":\"%s\",\"latency_ms\":5}",
                             id, output);
    run->record.run_id = cx_str_of(run->id);
    run->record.agent = CX_STR("tester");
    run->record.content = (struct cx_str){ run->content, (size_t)len };
}

enum cx_status fixture_record(struct fixture *f, struct run *run)
{
    fixture_group(f, run, 1);
    return run->record.status;
}

void fixture_group(struct fixture *f, struct run *runs, size_t count)
{
    bool offered = false;
    for (size_t i = 0; i < count; i++) {
        bool commit = false;
        runs[i].record.status = cx_audit_offer(f->audit, &runs[i].record, &commit, NULL);
        offered = offered || commit;
    }
    for (bool more = offered; more;) {
        (void)cx_audit_commit(f->audit, &more);
    }
}

bool fixture_fill(struct fixture *f, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        struct run run;
        char id[32];
        snprintf(id, sizeof id, "run-%u", i);
        run_make(&run, id, "some output of an agent");
        if (fixture_record(f, &run) != CX_OK) {
            return false;
        }
    }
    return true;
}

bool fixture_found(struct fixture *f, const char *id)
{
    struct cx_buf out;
    cx_buf_init(&out, 1 << 20);
    const enum cx_status status = cx_audit_find(f->audit, cx_str_of(id), &out, NULL);
    cx_buf_free(&out);
    return status == CX_OK;
}

bool fixture_verify(const char *ledger, struct cx_buf *out)
{
    const struct cx_audit_verify_options none = { .receipt = { NULL, 0 } };
    struct cx_audit_verify *v = NULL;
    bool good = false;
    bool more = true;
    cx_buf_free(out);
    cx_buf_init(out, 1 << 20);
    enum cx_status status = cx_audit_verify_new(ledger, &none, &v, NULL);
    while (status == CX_OK && more) {
        status = cx_audit_verify_step(v, 1000, &more, NULL);
    }
    if (status == CX_OK) {
        good = cx_audit_verify_result(v, out);
    }
    cx_audit_verify_free(&v);
    return good;
}

bool fixture_is_damaged(struct fixture *f)
{
    struct cx_err what;
    return cx_audit_damage(f->audit, &what);
}

/* ---- Files ---- */

char *file_read(const char *folder, const char *name, size_t *len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!test_expect(file != NULL, __FILE__, __LINE__, "%s", path)) {
        *len = 0;
        return cx_strdup("");
    }
    struct stat info;
    EXPECT_INT(fstat(fileno(file), &info), 0);
    char *data = cx_alloc((size_t)info.st_size + 1);
    *len = fread(data, 1, (size_t)info.st_size, file);
    fclose(file);
    return data;
}

void file_write(const char *folder, const char *name, const char *data, size_t len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path); /* to write over a file makes some file systems sync it */
    FILE *file = fopen(path, "wb");
    if (test_expect(file != NULL, __FILE__, __LINE__, "%s", path)) {
        EXPECT_INT(fwrite(data, 1, len, file), len);
        EXPECT_INT(fclose(file), 0);
    }
}

void folder_copy(const char *from, const char *to)
{
    (void)mkdir(to, 0700);
    DIR *list = opendir(from);
    if (!test_expect(list != NULL, __FILE__, __LINE__, "%s", from)) {
        return;
    }
    for (const struct dirent *d = NULL; (d = readdir(list)) != NULL;) {
        if (d->d_name[0] != '.') {
            size_t len = 0;
            char *data = file_read(from, d->d_name, &len);
            file_write(to, d->d_name, data, len);
            free(data);
        }
    }
    closedir(list);
}
