/* SPDX-License-Identifier: MIT
 *
 * base: what every room stands on. Status and errors, checks, slices, buffers, arenas, clocks,
 * identifiers, compression, the log. Needs libc (zlib behind cx_gzip, utf8proc behind cx_unicode_…)
 * and knows nothing of HTTP, SQL or events.
 *
 * Threads: every function may be called from any thread; an object belongs to one thread at a time.
 */
#ifndef CORTEX_BASE_H
#define CORTEX_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CX_ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define CX_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#define CX_MUST_CHECK __attribute__((warn_unused_result))

/* ---- Status and errors -------------------------------------------------------------------------
 * A function that can fail returns a status. Its results leave by trailing out parameters, which
 * are written only on CX_OK. The reason for a person travels in a cx_err, which may be NULL.
 */
enum cx_status {
    CX_OK = 0,
#define CX_STATUS(id, http, reason, text) CX_##id,
#include "cortex/status.def"
#undef CX_STATUS
    CX_STATUS_COUNT
};

struct cx_err {
    char text[512]; /* NUL-terminated valid UTF-8, for a person; "" = nothing said */
};

/* Sets err->text and returns status, so that it can be returned. err may be NULL; err->text may be
 * among the arguments; what is too long is cut between characters, what is no UTF-8 becomes '?'. */
enum cx_status cx_err_set(struct cx_err *err, enum cx_status status, const char *format, ...)
    CX_PRINTF(3, 4);
int cx_status_http(enum cx_status status);           /* 200 for CX_OK */
const char *cx_status_reason(enum cx_status status); /* "not_found"; "ok" for CX_OK */
const char *cx_status_text(enum cx_status status);   /* the default sentence */
const char *cx_status_name(enum cx_status status);   /* "NOT_FOUND" */

/* ---- Checks ------------------------------------------------------------------------------------
 * CX_CHECK states what cannot be otherwise, in release builds too. A false one writes the claim,
 * its place and a backtrace to standard error, after what waits in the log, and aborts: systemd
 * starts us again from what is on disk. A reader that has stalled delays that by a few seconds at
 * most.
 */
#define CX_CHECK(claim) ((claim) ? (void)0 : cx_check_failed(#claim, __FILE__, __LINE__))
void cx_check_failed(const char *claim, const char *file, int line) __attribute__((noreturn, cold));

/* ---- Memory ------------------------------------------------------------------------------------
 * Small fixed-size allocations: abort when memory is out (CX_CHECK). cx_alloc zeroes. Sizes that a
 * client decides go through cx_buf or cx_arena, which have ceilings and report.
 */
void *cx_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *cx_realloc_array(void *array, size_t count, size_t item_size)
    __attribute__((returns_nonnull));
char *cx_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* Exactly len bytes, and a NUL. */
char *cx_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
/* Overwrites in a way that the compiler does not remove. */
void cx_wipe(void *data, size_t len);

/* ---- Slices ------------------------------------------------------------------------------------
 * Borrowed bytes, not NUL-terminated.
 */
struct cx_str {
    const char *p;
    size_t len;
};
#define CX_STR(literal) ((struct cx_str){ (literal), sizeof(literal) - 1 })
struct cx_str cx_str_of(const char *text); /* NULL gives { NULL, 0 } */
static inline bool cx_str_eq(struct cx_str a, struct cx_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
bool cx_str_eq_nocase(struct cx_str a, struct cx_str b); /* ASCII */
struct cx_str cx_str_trim(struct cx_str s);              /* of spaces and tabs, both ends */
/* Whole-string decimal, no sign, no leading '+', no space; false on overflow or anything else. */
bool cx_parse_u64(struct cx_str s, uint64_t *out);
bool cx_utf8_valid(struct cx_str s);    /* RFC 3629: no surrogates, no overlong forms */
size_t cx_utf8_length(struct cx_str s); /* code points, of valid UTF-8 */
/* Bytes of the longest prefix of whole characters that has at most max_bytes. */
size_t cx_utf8_cut(struct cx_str s, size_t max_bytes);
/* Bytes (1 to 4) of the well-formed sequence that s begins with, and its code point; 0 if there is
 * none. */
size_t cx_utf8_decode(struct cx_str s, uint32_t *code);
#define CX_UTF8_BYTES_MAX 4
size_t cx_utf8_encode(uint32_t code, char out[CX_UTF8_BYTES_MAX]); /* of a scalar value */

/* ---- Unicode -----------------------------------------------------------------------------------
 * Of one code point, by the version of Unicode that the system's utf8proc knows.
 */
#define CX_DECOMPOSED_MAX 4
/* Its full canonical decomposition (UAX #15), itself where it has none. */
size_t cx_unicode_decompose(uint32_t code, uint32_t out[CX_DECOMPOSED_MAX]);
unsigned cx_unicode_combining_class(uint32_t code); /* Canonical_Combining_Class; 0 = a starter */
uint32_t cx_unicode_lower(uint32_t code);           /* Simple_Lowercase_Mapping */
bool cx_unicode_is_word(uint32_t code);             /* \w of UTS #18, annex C */

/* ---- Buffer ------------------------------------------------------------------------------------
 * Bytes that grow up to a ceiling given at the start. An append that would pass the ceiling (or
 * finds no memory) appends nothing and sets `failed`, which stays and refuses every later append,
 * so that what is there is always a prefix: a builder checks once, at its end. data is always
 * NUL-terminated when non-NULL (the NUL does not count in len). Owner: who declared it.
 */
struct cx_buf {
    char *data;
    size_t len;
    size_t cap;
    size_t ceiling;
    bool failed;
    bool starved; /* failed for want of memory, not of room */
};
void cx_buf_init(struct cx_buf *b, size_t ceiling); /* allocates nothing */
void cx_buf_free(struct cx_buf *b);                 /* may be used again, under the same ceiling */
void cx_buf_clear(struct cx_buf *b);                /* len = 0, failed = false, keeps the memory */
void cx_buf_append(struct cx_buf *b, const void *data, size_t len);
void cx_buf_puts(struct cx_buf *b, const char *text);
void cx_buf_putc(struct cx_buf *b, char c);
void cx_buf_put_str(struct cx_buf *b, struct cx_str s);
void cx_buf_put_u64(struct cx_buf *b, uint64_t value);
void cx_buf_put_i64(struct cx_buf *b, int64_t value);
void cx_buf_printf(struct cx_buf *b, const char *format, ...) CX_PRINTF(2, 3);
/* Room for len more bytes at data + len, or NULL (failed). The caller fills it and adds to len. */
char *cx_buf_reserve(struct cx_buf *b, size_t len);
void cx_buf_consume(struct cx_buf *b, size_t len); /* drops from the front */
/* Gives the bytes away: the caller frees them. NULL if it failed. len may be NULL. b is empty
 * after. */
char *cx_buf_take(struct cx_buf *b, size_t *len);

/* ---- Arena -------------------------------------------------------------------------------------
 * Memory that is freed all at once. Everything is aligned to 16 bytes and zeroed. Allocation beyond
 * the ceiling returns NULL; a caller that allocates a bounded handful may CX_CHECK.
 */
struct cx_arena_chunk;
struct cx_arena {
    struct cx_arena_chunk *chunks; /* newest first */
    size_t used;                   /* bytes handed out */
    size_t ceiling;
};
void cx_arena_init(struct cx_arena *a, size_t ceiling); /* allocates nothing */
void cx_arena_free(struct cx_arena *a);
/* Frees all but one small chunk, which serves the next user without a malloc. */
void cx_arena_reset(struct cx_arena *a);
void *cx_arena_alloc(struct cx_arena *a, size_t size);
char *cx_arena_strdup(struct cx_arena *a, const char *text);
char *cx_arena_strndup(struct cx_arena *a, const char *text, size_t len); /* adds a NUL */
char *cx_arena_printf(struct cx_arena *a, const char *format, ...) CX_PRINTF(2, 3);

/* ---- Long computations -------------------------------------------------------------------------
 * A thread that computes shares its processor with one that only wants it for a moment.
 */
void cx_gives_way(bool on); /* of this thread, from now on; at first none does */
/* Within a computation, between pieces of some tens of microseconds: now and then lets whoever waits for
 * this processor go first. Nothing on a thread that does not give way. */
void cx_give_way(void);

/* ---- Clocks ---------------------------------------------------------------------------------- */
uint64_t cx_clock_mono_ns(void); /* CLOCK_MONOTONIC: durations, deadlines */
int64_t cx_clock_wall_us(void);  /* CLOCK_REALTIME: microseconds since 1970, for stamps only */
#define CX_TIME_TEXT_BYTES 32
/* RFC 3339 UTC with microseconds: "2026-02-08T10:00:00.123456Z". Returns text. Times outside of the
 * years 0 to 9999 read as the nearest in them. */
char *cx_time_format(int64_t wall_us, char text[CX_TIME_TEXT_BYTES]);
/* RFC 3339 with Z or an offset, 0 to 9 fraction digits (cut to six), 'T' or a space or 't'; an
 * offset whose '+' arrived as a space (an undecoded query) is read too. A time without a zone is
 * UTC. A leap second (23:59:60 UTC at the end of a month) reads as the last microsecond before it.
 * False if it is no time, or outside of the years 0 to 9999. */
bool cx_time_parse(struct cx_str text, int64_t *wall_us);
/* IMF-fixdate, "Sun, 08 Feb 2026 10:00:00 GMT" (RFC 9110 5.6.7), 30 bytes with the NUL. */
char *cx_time_format_http(int64_t wall_us, char text[CX_TIME_TEXT_BYTES]);

/* ---- Randomness and identifiers ----------------------------------------------------------------
 * A pool of getrandom(2) bytes, so that an identifier costs no system call of its own. One owner.
 */
struct cx_random {
    uint8_t bytes[1024];
    size_t left;
};
void cx_random_init(struct cx_random *r);
void cx_random_fill(struct cx_random *r, void *out, size_t len);
#define CX_UUID_TEXT_BYTES 37
char *cx_uuid4(struct cx_random *r, char text[CX_UUID_TEXT_BYTES]); /* RFC 9562, lower case */
/* Straight from getrandom(2), for keys. Never fails (CX_CHECK). */
void cx_random_bytes(void *out, size_t len);

/* ---- Compression ----------------------------------------------------------------------------- */
/* Appends data as one gzip member (RFC 1952, no time, no name). level 1 to 9. False if out failed:
 * then nothing was appended. */
bool cx_gzip(struct cx_str data, int level, struct cx_buf *out);
/* Appends what the one gzip member at the start of data holds; *used is the member's length. False
 * where it is none, is cut off or damaged, or out failed: then nothing was appended. */
bool cx_gunzip(struct cx_str data, struct cx_buf *out, size_t *used);

/* ---- Hash for tables (not for secrets) ------------------------------------------------------- */
/* SipHash-2-4 under key: for tables whose keys a client chooses. */
uint64_t cx_siphash(const uint8_t key[16], const void *data, size_t len);

/* ---- Log ---------------------------------------------------------------------------------------
 * Lines on standard error, from any thread, never waiting: a line goes into a bounded ring (1 MiB)
 * that a thread of the log's own writes out; what does not fit is dropped and counted, and the
 * count is itself logged when there is room again. Formats: logfmt on a terminal, JSON lines
 * elsewhere, with a journald priority ("<6>") in front when JOURNAL_STREAM names our standard
 * error. Control bytes are escaped, so a value cannot forge a line; a line is cut at 8 KiB and says
 * so (cut=true). Secrets and prompts are not to be passed.
 *
 *   CX_LOG(CX_LOG_INFO, "listening", CX_S("address", address), CX_I("port", port));
 */
enum cx_log_level { CX_LOG_DEBUG, CX_LOG_INFO, CX_LOG_WARN, CX_LOG_ERROR };
enum cx_log_format { CX_LOG_AUTO, CX_LOG_LOGFMT, CX_LOG_JSON };
enum cx_field_kind { CX_FIELD_STRING, CX_FIELD_INT, CX_FIELD_REAL };
struct cx_field {
    const char *name;
    enum cx_field_kind kind;
    const char *s; /* CX_FIELD_STRING; NULL leaves the field out */
    int64_t i;
    double r;
};
#define CX_S(field, value)                                                                         \
    ((struct cx_field){ .name = (field), .kind = CX_FIELD_STRING, .s = (value) })
#define CX_I(field, value)                                                                         \
    ((struct cx_field){ .name = (field), .kind = CX_FIELD_INT, .i = (int64_t)(value) })
#define CX_R(field, value)                                                                         \
    ((struct cx_field){ .name = (field), .kind = CX_FIELD_REAL, .r = (double)(value) })
/* The first field is a sentinel, so that a line without fields is still C11. */
#define CX_LOG(level, ...) CX_LOG_(level, __VA_ARGS__, (struct cx_field){ .name = NULL })
#define CX_LOG_(level, message, ...)                                                               \
    (cx_log_enabled(level)                                                                         \
         ? cx_log_write((level), (message), (const struct cx_field[]){ __VA_ARGS__ })              \
         : (void)0)
bool cx_log_enabled(enum cx_log_level level);
/* fields end with one whose name is NULL. */
void cx_log_write(enum cx_log_level level, const char *message, const struct cx_field *fields);
/* Starts the writing thread. Before it, after cx_log_stop and in a program that never calls it
 * lines are written at once, waiting at most 1 s for a reader that stalls. Signals are blocked in
 * that thread; it does not outlive a fork. */
void cx_log_start(enum cx_log_level level, enum cx_log_format format);
void cx_log_set_level(enum cx_log_level level);
void cx_log_stop(void);        /* writes what waits (at most 1 s), ends the thread */
uint64_t cx_log_dropped(void); /* lines dropped since the process began */
/* debug info warn(ing) error critical, in any case; critical is error. */
bool cx_log_level_parse(const char *text, enum cx_log_level *out);

#endif
