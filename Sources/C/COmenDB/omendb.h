/* OmenDB in a process, from C and whatever calls C.
 *
 * A database is opened in memory, on a path, or as a connection to a running cluster; every call
 * works on all three unless it says otherwise. All functions may be called from any thread, also at
 * the same time, except that a handle must not be used while or after it is closed. Nothing here
 * ends the process: every input is checked, and null where a value is needed is an error.
 *
 * Functions return OMENDB_OK or an error's code, and then fill in `error` unless it is null. Memory
 * that is passed in is only read during the call and never kept. If it changes meanwhile, a state
 * that each value had is taken; it is a copy that is checked and stored.
 * Memory that comes out stays until the object that it belongs to is freed.
 */
#ifndef OMENDB_H
#define OMENDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes when a structure or the meaning of a function changes. */
#define OMENDB_ABI_VERSION 7

/* What to do about an error; the numbers are those of the cluster's protocol. */
enum {
    OMENDB_OK = 0,
    OMENDB_BAD_REQUEST = 1,        /* fix the request; nothing was applied */
    OMENDB_NOT_FOUND = 2,          /* no such collection */
    OMENDB_ALREADY_EXISTS = 3,     /* it exists with other properties */
    OMENDB_UNAVAILABLE = 4,        /* closed, or a shard cannot answer now: retry later */
    OMENDB_UNKNOWN_OUTCOME = 5,    /* the write may or may not have been applied */
    OMENDB_RESOURCE_EXHAUSTED = 6, /* no memory or disk space; nothing was applied */
    OMENDB_CORRUPT = 7,            /* stored bytes are damaged */
    OMENDB_LOCKED = 8,             /* another process has the files open */
    OMENDB_UNSUPPORTED_VERSION = 9,
    OMENDB_IO_FAILURE = 10,
    OMENDB_PROTOCOL_VIOLATION = 11,
    OMENDB_STOPPED = 100           /* the caller's omendb_stop ended it */
};

enum { OMENDB_L2 = 0, OMENDB_COSINE = 1, OMENDB_IP = 2 };
/* Types of elements. Collections store f32 and u8; f16 and i8 are read and become f32. */
enum { OMENDB_F32 = 0, OMENDB_U8 = 1, OMENDB_F16 = 2, OMENDB_I8 = 3 };
/* Codes that the graph is searched on; standard: whatever is fastest for the dimension. */
enum { OMENDB_CODES_STANDARD = -1, OMENDB_CODES_F32 = 0, OMENDB_CODES_U8 = 1, OMENDB_CODES_U4 = 2,
       OMENDB_CODES_U1 = 3 };
/* What an acknowledged write survives.
 * ALWAYS: survives power loss.
 * INTERVAL: survives power loss, except for the writes of the last interval.
 * NONE: survives a crash of the process, not power loss. */
enum { OMENDB_DURABILITY_ALWAYS = 0, OMENDB_DURABILITY_INTERVAL = 1, OMENDB_DURABILITY_NONE = 2 };

/* Why a call failed: for people, in UTF-8, ended by a zero, cut off where it is too long. */
typedef struct {
    int32_t code;
    /* With OMENDB_RESOURCE_EXHAUSTED: after how many milliseconds it is worth while to try again; 0
     * when nothing is known about it. */
    uint32_t retry_after_ms;
    char message[504];
} omendb_error;

/* An open database or a connection. */
typedef struct omendb omendb;

/* Ids of records, in columns: 64-bit numbers, or texts of 1...512 bytes of UTF-8.
 *
 * `kinds`, one byte each, 0 for a number and 1 for a text; null when all are alike: texts if
 * `text_offsets` is there, else numbers. Text i is at `texts[text_offsets[i]]` and ends before
 * `texts[text_offsets[i + 1]]`; it is empty for a number. */
typedef struct {
    uint64_t count;
    const uint64_t *numbers;      /* [count]; may be null where all are texts */
    const uint8_t *kinds;         /* [count] or null */
    const uint64_t *text_offsets; /* [count + 1] or null */
    const char *texts;
} omendb_ids;

typedef struct {
    uint32_t dim;             /* elements per vector, 1...8192 */
    int32_t metric;           /* OMENDB_L2, ... */
    int32_t element;          /* OMENDB_F32, or OMENDB_U8: whole numbers 0...255 */
    int32_t codes;            /* OMENDB_CODES_STANDARD, ... */
    uint32_t m;               /* links of a row; 0: 16 */
    uint32_t ef_construction; /* width of the candidate list while inserting; 0: 96 */
} omendb_schema;

/* Vectors to insert or replace; the last of equal ids wins. */
typedef struct {
    uint64_t count;      /* vectors */
    uint32_t dim;
    int32_t element;     /* type of the elements of `vectors` */
    const void *vectors; /* [count][dim], each row contiguous */
    uint64_t stride;     /* bytes from one row to the next; at least the bytes of a row */
    omendb_ids ids;      /* as many */
    /* JSON texts of metadata objects: text i is `metadata[metadata_offsets[i] ..<
     * metadata_offsets[i + 1]]`, empty for none. Null when no record has any. */
    const uint64_t *metadata_offsets; /* [count + 1] or null */
    const char *metadata;
} omendb_batch;

/* What a write did. */
typedef struct {
    uint64_t rows;     /* how many of the first vectors or ids are done */
    uint64_t upserted; /* distinct ids that now have the written vector */
    uint64_t replaced; /* those of them that had another one before */
    uint64_t deleted;
} omendb_counts;

typedef struct {
    uint64_t count;      /* queries, 1...10000 */
    uint32_t dim;
    int32_t element;
    const void *vectors; /* [count][dim] without padding */
    uint32_t limit;      /* hits wanted per query, 1...10000 */
    uint32_t ef;         /* width of the candidate list; 0: standard, or what `recall` takes */
    float recall;        /* wanted recall, below 1; 0: not given; not together with `ef` */
    float max_distance;  /* farther hits are left out; infinity keeps all */
    uint8_t exact;       /* compare with every record */
    uint8_t with_vector;
    uint8_t with_metadata;
    uint8_t allow_partial; /* of a cluster: answer without the shards that cannot */
    uint8_t explain;       /* tell what each shard decided and counted, in `details` */
    uint32_t threads;      /* in this process: share the queries; 0 and 1: this thread alone */
} omendb_query;

/* Hits or records, in columns. Columns that were not asked for are null. */
typedef struct {
    uint64_t query_count;
    uint64_t count;           /* hits of all queries together */
    const uint32_t *counts;   /* [query_count] hits of each; null for records */
    const float *distances;   /* [count]; null for records */
    omendb_ids ids;           /* [count] */
    const uint64_t *metadata_offsets; /* [count + 1]; an empty text where there is none */
    const char *metadata;
    const void *vectors;      /* [count][dim] of `element` */
    int32_t element;
    uint32_t dim;
    uint32_t shards_total;
    uint32_t shards_failed;   /* of a cluster: shards whose part is missing */
    const uint32_t *rows;     /* [count] rows in omendb_vectors; only beside those */
    /* JSON text, or null where a search is whole and no explanation was asked for:
     * {"partial": ..., "shards": {"total": ..., "failed": [{"shard", "code", "detail"}]},
     *  "explain": [{"shard", "rows", "linked", ...}]}, the last only with `explain`;
     * docs/PROTOCOL.md (search) lists the names. */
    const char *details;
} omendb_result;

/* The memory that a collection's vectors lie in, not copied: record i is row `rows[i]`. Rows never
 * change, and later ones are not in it. It stays, whatever happens to the collection or the
 * database, until omendb_vectors_free. */
typedef struct {
    const void *base;
    uint64_t row_count; /* rows there are, those of deleted records included */
    uint64_t stride;    /* bytes from one row to the next */
    uint32_t dim;
    int32_t element;
} omendb_vectors;

/* OMENDB_ABI_VERSION of the library. */
uint32_t omendb_abi_version(void);

/* A wish to end calls that take long. Every call looks at the one that its thread uses, at least
 * every some 10 ms, also while it waits for other threads' calls or for a cluster, and then returns
 * OMENDB_STOPPED. Of a write the part under way comes to its end first: `counts->rows` tells how
 * far it went; a cluster that does not answer soon leaves it at UNKNOWN_OUTCOME. A checkpoint goes
 * on without the caller. omendb_close ends all the same, without the checkpoint that makes the next
 * opening fast. */
typedef struct omendb_stop omendb_stop;

/* `limit_ms`: milliseconds of looking after which a call ends by itself; 0: never. */
omendb_stop *omendb_stop_new(uint32_t limit_ms);
/* What all calls of this thread look at from now on; null: nothing. */
void omendb_stop_use(omendb_stop *stop);
/* Ends all calls that look at it, the later ones too; from any thread. */
void omendb_stop_request(omendb_stop *stop);
/* Any time: threads that use it go on doing so, without anybody who could ask. Null is ignored. */
void omendb_stop_free(omendb_stop *stop);

/* Opens the database at `path`, or makes one there; null: an empty one in memory.
 * `interval_ms`: between two syncs with OMENDB_DURABILITY_INTERVAL. Errors: LOCKED naming the
 * process, BAD_REQUEST for a cluster of several shards, CORRUPT, IO_FAILURE. */
int32_t omendb_open(const char *path, int32_t durability, uint32_t interval_ms, omendb **database,
                    omendb_error *error);

/* Connects to the coordinator of a running cluster. Errors: UNAVAILABLE when nobody listens. */
int32_t omendb_connect(const char *socket_path, omendb **database, omendb_error *error);

/* Ends everything and frees the handle, also when it fails: then the last writes may not survive a
 * power cut. Null is ignored. */
int32_t omendb_close(omendb *database, omendb_error *error);

/* Leaves an equal collection alone. Names: 1...64 of a-z 0-9 _ -. Errors: ALREADY_EXISTS. */
int32_t omendb_create(omendb *database, const char *collection, const omendb_schema *schema,
                      omendb_error *error);

/* Removes a collection, or all its records. */
int32_t omendb_drop(omendb *database, const char *collection, omendb_error *error);
int32_t omendb_clear(omendb *database, const char *collection, omendb_error *error);

/* Inserts or replaces. A large batch is carried out in parts, each whole or not at all: after an
 * error that is not about its values `counts` tells what was done. After UNKNOWN_OUTCOME the part
 * behind `counts->rows` may be done, too. */
int32_t omendb_upsert(omendb *database, const char *collection, const omendb_batch *batch,
                      omendb_counts *counts, omendb_error *error);

/* Removes records; ids that are not there are skipped. */
int32_t omendb_delete(omendb *database, const char *collection, const omendb_ids *ids,
                      omendb_counts *counts, omendb_error *error);

/* Calibrates searches with `count` queries, 16...1024, from now on: what `recall` of a query takes
 * is measured with them, and no longer with records. 0 queries: with records again. Vectors lie row
 * behind row, elements as in a batch. It returns when they are stored; a build then measures, which
 * "building" of omendb_info tells of. Collections of fewer than 1,024 records are not measured.
 * Errors: NOT_FOUND, BAD_REQUEST naming the query. */
int32_t omendb_calibrate(omendb *database, const char *collection, const void *vectors,
                         uint64_t count, uint32_t dim, int32_t element, omendb_error *error);

/* The nearest records to each query, ascending by distance, then id. Free it with
 * omendb_result_free. */
int32_t omendb_search(omendb *database, const char *collection, const omendb_query *query,
                      omendb_result **result, omendb_error *error);

/* A search that is run often, with one vector after the other, by one thread at a time. */
typedef struct {
    omendb *database;
    const char *collection;
    omendb_query query;    /* `count` and `vectors` are not looked at */
    float *distances;      /* [query.limit], memory of the caller */
    uint64_t *numbers;     /* the same for ids */
    int32_t hit_count;     /* hits in these columns; -1: they are in `result` */
    /* Null unless there is more to hits than columns tell, or the database is a cluster. Free it
     * with omendb_result_free: the next search overwrites it. */
    omendb_result *result;
    omendb_error error;
} omendb_single_search;

/* The nearest records to one vector: what omendb_search finds, for less. */
int32_t omendb_search_one(omendb_single_search *search, const void *vector);

/* The records of those ids that are there, in the order of `ids`. Vectors that are asked for are
 * shown where they lie if `vectors` is not null and the database is in this process; otherwise
 * `*vectors` is null and they are copied into the result. */
int32_t omendb_get(omendb *database, const char *collection, const omendb_ids *ids,
                   uint8_t with_vector, omendb_result **result, omendb_vectors **vectors,
                   omendb_error *error);

/* The ids of all records and, unless `vectors` is null, where their vectors lie. Of a cluster there
 * are only ids: `*vectors` is null. */
int32_t omendb_list(omendb *database, const char *collection, omendb_result **result,
                    omendb_vectors **vectors, omendb_error *error);

void omendb_result_free(omendb_result *result);
void omendb_vectors_free(omendb_vectors *vectors);

/* Records in a collection. */
int32_t omendb_count(omendb *database, const char *collection, uint64_t *count,
                     omendb_error *error);

/* A JSON text about everything: {"collections": {NAME: {"vectors", "linked", "rows", "deleted",
 * "file_bytes", "building", "build_bytes", "build_waits", "calibration", "dim", "metric",
 * "element", "codes", "m", "ef_construction"}}, "resident_bytes"}; free it with omendb_text_free.
 * "calibration" is what searches find at least, as it was measured: null, or {"queries": "rows" or
 * "sample", "k": {"1": [[ef, recall], ...], "10": ..., "100": ...}}; of several shards the mean at
 * the widths that all have. */
int32_t omendb_info(omendb *database, char **json, omendb_error *error);
void omendb_text_free(char *text);

/* A condition on metadata, as docs/FILTERS.md tells: in JSON, {"size": {"$gte": 1000}}, or as text,
 * size >= 1000. It belongs to no database, and does not change: threads may share it. */
typedef struct omendb_filter omendb_filter;

/* What the text of a filter is written in. */
enum { OMENDB_FILTER_JSON = 0, OMENDB_FILTER_WHERE = 1 };

/* Reads a filter from `byte_count` bytes of UTF-8, at most 1 MiB. Errors: BAD_REQUEST naming the
 * place or the column, what is there, and what was expected. */
int32_t omendb_filter_new(const char *text, uint64_t byte_count, int32_t form,
                          omendb_filter **filter, omendb_error *error);

/* The filter as the JSON text that travels, the same for every text that means the same tree; free
 * it with omendb_text_free. */
int32_t omendb_filter_json(omendb_filter *filter, char **json, omendb_error *error);

/* Whether a filter is true for metadata: a JSON object in `byte_count` bytes, or 0 bytes for none.
 * `matches` becomes 1 or 0. Errors: BAD_REQUEST for metadata that would not be stored. */
int32_t omendb_filter_matches(omendb_filter *filter, const char *metadata, uint64_t byte_count,
                              uint8_t *matches, omendb_error *error);

/* Null is ignored. */
void omendb_filter_free(omendb_filter *filter);

/* Writes what changed into files from which opening is fast. */
int32_t omendb_checkpoint(omendb *database, omendb_error *error);

#ifdef __cplusplus
}
#endif

#endif
