/* SPDX-License-Identifier: MIT
 *
 * The store: makes the file, opens the writer and the readers, lends readers out. Owns its
 * connections. Opening and closing belong to one thread; lending to any worker.
 */
#include "cortex/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db.h"

#define READERS_MAX 256

struct cx_store {
    struct store__shared shared;
    char *path;
    char *wal_path; /* SQLite follows links before it names it */
    dev_t device;   /* of the file that was opened */
    ino_t inode;
    struct cx_db *writer;
    unsigned reader_count;
    struct cx_db **readers;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t returned;
    unsigned idle_count;
    struct cx_db **idle;
};

static enum cx_status make_file(struct cx_store *store, struct cx_err *err);
static enum cx_status open_readers(struct cx_store *store, unsigned count, struct cx_err *err);
static char *plain_path(const char *path);
static void find_series(struct store__shared *shared);
static void sync_folder(const char *path);
static enum cx_status refuse_file(const char *path, const char *what, int error,
                                  struct cx_err *err);

enum cx_status cx_store_open(const struct cx_store_options *options, struct cx_store **out,
                             struct cx_err *err)
{
    CX_CHECK(sqlite3_threadsafe() != 0);
    /* Counting its allocations takes a lock of all connections at each of them. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    CX_CHECK(options->readers <= READERS_MAX);
    struct cx_store *store = cx_alloc(sizeof *store);
    CX_CHECK(pthread_mutex_init(&store->mutex, NULL) == 0);
    CX_CHECK(pthread_cond_init(&store->returned, NULL) == 0);
    store->path = plain_path(options->path);
    store->shared.path = store->path;
    atomic_init(&store->shared.failed, false);
    find_series(&store->shared);

    enum cx_status status = make_file(store, err);
    if (status == CX_OK) {
        status = db__open(&store->shared, true, &store->writer, err);
    }
    if (status == CX_OK) {
        status = migrate__run(store->writer, options, err);
    }
    if (status == CX_OK) {
        store->wal_path =
            cx_strdup(sqlite3_filename_wal(sqlite3_db_filename(store->writer->handle, "main")));
        status = open_readers(store, options->readers, err);
    }
    if (status != CX_OK) {
        cx_store_close(&store);
        return status;
    }
    *out = store;
    return CX_OK;
}

void cx_store_close(struct cx_store **at)
{
    struct cx_store *store = *at;
    if (store == NULL) {
        return;
    }
    *at = NULL;
    CX_CHECK(store->idle_count == store->reader_count);
    for (unsigned i = 0; i < store->reader_count; i++) {
        db__close(&store->readers[i]);
    }
    /* The writer last: a connection that is alone recovers and removes the WAL as it closes,
     * which must be the one that may. Not after an I/O error: then the WAL is left for the next
     * start to judge. */
    if (store->writer != NULL && !cx_store_failed(store)) {
        (void)cx_store_checkpoint(store, true, NULL);
    }
    db__close(&store->writer);
    (void)pthread_cond_destroy(&store->returned);
    (void)pthread_mutex_destroy(&store->mutex);
    free((void *)store->readers);
    free((void *)store->idle);
    free(store->path);
    free(store->wal_path);
    free(store);
}

struct cx_db *cx_store_writer(struct cx_store *store)
{
    return store->writer;
}

struct cx_db *cx_store_reader(struct cx_store *store)
{
    CX_CHECK(store->reader_count > 0);
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    while (store->idle_count == 0) {
        CX_CHECK(pthread_cond_wait(&store->returned, &store->mutex) == 0);
    }
    struct cx_db *db = store->idle[--store->idle_count];
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    return db;
}

void cx_store_return(struct cx_store *store, struct cx_db *db)
{
    CX_CHECK(!db->writes && db->shared == &store->shared);
    /* A statement left half-stepped would hold its view of the WAL, and the WAL could not begin
     * anew. */
    db__reset_statements(db);
    cx_db_rollback(db);
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    CX_CHECK(store->idle_count < store->reader_count);
    store->idle[store->idle_count++] = db;
    CX_CHECK(pthread_cond_signal(&store->returned) == 0);
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
}

enum cx_status cx_store_checkpoint(struct cx_store *store, bool truncate, struct cx_err *err)
{
    enum cx_status status = db__usable(store->writer, err);
    if (status != CX_OK) {
        return status;
    }
    return db__checkpoint(store->writer,
                          truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, err);
}

bool cx_store_failed(const struct cx_store *store)
{
    return atomic_load_explicit(&store->shared.failed, memory_order_acquire);
}

/* By name alone: to open and close the file would drop SQLite's locks. */
bool cx_store_in_place(struct cx_store *store)
{
    struct stat info;
    const bool gone = stat(store->path, &info) != 0
                          ? errno == ENOENT
                          : info.st_dev != store->device || info.st_ino != store->inode;
    if (!gone && (stat(store->wal_path, &info) == 0 || errno != ENOENT)) {
        return true;
    }
    if (!atomic_exchange(&store->shared.failed, true)) {
        CX_LOG(CX_LOG_ERROR,
               "the database's files were removed or replaced while they were in use: nothing more "
               "is acknowledged",
               CX_S("path", store->path));
    }
    return false;
}

/* SQLite reads ":memory:", "" and "file:…" as something else than a file of that name. */
static char *plain_path(const char *path)
{
    if (path[0] == '/') {
        return cx_strdup(path);
    }
    const size_t size = strlen(path) + sizeof "./";
    char *plain = cx_alloc(size);
    (void)snprintf(plain, size, "./%s", path);
    return plain;
}

static void find_series(struct store__shared *shared)
{
    static const char *const labels[STORE__FAULT_COUNT] = {
        [STORE__FULL] = "kind=\"full\"",
        [STORE__IO] = "kind=\"io\"",
        [STORE__CORRUPT] = "kind=\"corrupt\"",
        [STORE__BUSY] = "kind=\"busy\"",
        [STORE__CONSTRAINT] = "kind=\"constraint\"",
        [STORE__MEMORY] = "kind=\"memory\"",
        [STORE__OTHER] = "kind=\"other\"",
    };
    for (size_t i = 0; i < STORE__FAULT_COUNT; i++) {
        shared->errors[i] = cx_metrics_series(CX_M_STORE_ERRORS, labels[i]);
    }
    shared->checkpoints = cx_metrics_series(CX_M_STORE_CHECKPOINTS, "");
    shared->wal_bytes = cx_metrics_series(CX_M_STORE_WAL_BYTES, "");
}

/* Makes the file for its owner alone; SQLite gives its WAL and index the same permissions. The
 * descriptor is closed before SQLite opens the file: a close afterwards would drop SQLite's
 * locks. */
static enum cx_status make_file(struct cx_store *store, struct cx_err *err)
{
    const char *path = store->path;
    bool created = true;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0 && errno == EEXIST) {
        created = false;
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    }
    if (fd < 0) {
        return refuse_file(path, "the database file cannot be opened", errno, err);
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return refuse_file(path, "the database is not a regular file", 0, err);
    }
    if ((info.st_mode & 0077) != 0) {
        CX_LOG(CX_LOG_WARN, "database was open to other users; closing it to them",
               CX_S("path", path));
        if (fchmod(fd, 0600) != 0) {
            const int error = errno;
            (void)close(fd);
            return refuse_file(path, "the database file cannot be closed to other users", error,
                               err);
        }
    }
    (void)close(fd);
    store->device = info.st_dev;
    store->inode = info.st_ino;
    if (created) {
        sync_folder(path);
    }
    return CX_OK;
}

static enum cx_status refuse_file(const char *path, const char *what, int error, struct cx_err *err)
{
    char buffer[128];
    const char *reason = error != 0 ? strerror_r(error, buffer, sizeof buffer) : "";
    CX_LOG(CX_LOG_ERROR, what, CX_S("path", path), CX_S("error", reason));
    return cx_err_set(err, error == ENOSPC ? CX_STORAGE_FULL : CX_IO_ERROR, "%s%s%s", what,
                      reason[0] != '\0' ? ": " : "", reason);
}

/* Without this a power cut could take the name away while the contents are safe. */
static void sync_folder(const char *path)
{
    char *copy = cx_strdup(path);
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        if (fsync(fd) != 0) {
            CX_LOG(CX_LOG_WARN, "folder of the database not synced", CX_I("errno", errno));
        }
        (void)close(fd);
    }
    free(copy);
}

static enum cx_status open_readers(struct cx_store *store, unsigned count, struct cx_err *err)
{
    if (count == 0) {
        return CX_OK;
    }
    store->readers = (struct cx_db **)cx_alloc(count * sizeof(struct cx_db *));
    store->idle = (struct cx_db **)cx_alloc(count * sizeof(struct cx_db *));
    for (unsigned i = 0; i < count; i++) {
        enum cx_status status = db__open(&store->shared, false, &store->readers[i], err);
        if (status != CX_OK) {
            return status;
        }
        store->idle[i] = store->readers[i];
        store->reader_count = i + 1;
        store->idle_count = i + 1;
    }
    return CX_OK;
}
