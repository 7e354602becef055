/* SPDX-License-Identifier: MIT
 *
 * What this disk can do, beside the ledger.
 *
 *   ledger_peers sync DIR SECONDS GROUP   appends GROUP entries of 1 KiB, fdatasync, writes a slot of 4 KiB in
 *                                         place, fdatasync: the ceiling that two syncs a group set
 *   ledger_peers one DIR SECONDS GROUP    the same without the slot: one sync a group
 *   ledger_peers sqlite DIR SECONDS GROUP rows of 1 KiB, GROUP in a transaction, WAL, synchronous=FULL
 *
 * Prints one line of JSON: entries a second, and how long a group took.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENTRY_BYTES 1024
#define SLOT_BYTES 4096
#define TIMES_MAX 10000000

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

struct peer {
    int segment;
    int slots;
    int slot;
    off_t end;
    char *bytes;
    sqlite3 *db;
    sqlite3_stmt *insert;
};

static void append(struct peer *p, size_t group, int with_slot)
{
    const size_t len = group * ENTRY_BYTES;
    if (pwrite(p->segment, p->bytes, len, p->end) != (ssize_t)len || fdatasync(p->segment) != 0) {
        die("append");
    }
    p->end += (off_t)len;
    if (with_slot) {
        p->slot = 1 - p->slot;
        if (pwrite(p->slots, p->bytes, SLOT_BYTES, (off_t)p->slot * SLOT_BYTES) != SLOT_BYTES ||
            fdatasync(p->slots) != 0) {
            die("slot");
        }
    }
}

static void run(struct peer *p, const char *sql)
{
    if (sqlite3_exec(p->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        (void)fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(p->db));
        exit(1);
    }
}

static void insert(struct peer *p, size_t group)
{
    run(p, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < group; i++) {
        (void)sqlite3_bind_text(p->insert, 1, p->bytes, ENTRY_BYTES, SQLITE_STATIC);
        if (sqlite3_step(p->insert) != SQLITE_DONE) {
            die("insert");
        }
        (void)sqlite3_reset(p->insert);
    }
    run(p, "COMMIT");
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fprintf(stderr, "usage: ledger_peers sync|one|sqlite DIR SECONDS GROUP\n");
        return 64;
    }
    const int is_sqlite = strcmp(argv[1], "sqlite") == 0;
    const int with_slot = strcmp(argv[1], "sync") == 0;
    const double seconds = strtod(argv[3], NULL);
    const size_t group = strtoull(argv[4], NULL, 10);
    char path[4096];
    struct peer p = { .bytes = malloc(group * ENTRY_BYTES + SLOT_BYTES) };
    double *times_ms = malloc(TIMES_MAX * sizeof *times_ms);
    if (p.bytes == NULL || times_ms == NULL) {
        die("malloc");
    }
    memset(p.bytes, 'x', group * ENTRY_BYTES + SLOT_BYTES);
    (void)snprintf(path, sizeof path, "%s/%s", argv[2], is_sqlite ? "peer.db" : "segment");
    if (is_sqlite) {
        if (sqlite3_open(path, &p.db) != SQLITE_OK) {
            die("sqlite3_open");
        }
        run(&p, "PRAGMA journal_mode=WAL");
        run(&p, "PRAGMA synchronous=FULL");
        run(&p, "CREATE TABLE entries(sequence INTEGER PRIMARY KEY, line TEXT NOT NULL)");
        (void)sqlite3_prepare_v2(p.db, "INSERT INTO entries(line) VALUES(?1)", -1, &p.insert, NULL);
    } else {
        p.segment = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)snprintf(path, sizeof path, "%s/slots", argv[2]);
        p.slots = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (p.segment < 0 || p.slots < 0 ||
            pwrite(p.slots, p.bytes, SLOT_BYTES, SLOT_BYTES) != SLOT_BYTES || fsync(p.slots) != 0) {
            die("open");
        }
    }
    size_t groups = 0;
    const uint64_t began = now_ns();
    const uint64_t until = began + (uint64_t)(seconds * 1e9);
    uint64_t last = began;
    while (last < until && groups < TIMES_MAX) {
        if (is_sqlite) {
            insert(&p, group);
        } else {
            append(&p, group, with_slot);
        }
        const uint64_t now = now_ns();
        times_ms[groups++] = (double)(now - last) / 1e6;
        last = now;
    }
    qsort(times_ms, groups, sizeof *times_ms, by_value);
    (void)printf("{\"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
                 (double)(groups * group) / ((double)(last - began) / 1e9), times_ms[groups / 2],
                 times_ms[groups * 99 / 100]);
    return 0;
}
