/* A database in a C program: cc embedded.c -ISources/C/COmenDB -L.build-lib/release -lOmenDB */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "omendb.h"

static omendb_error error;

/* Ends the program when a call has failed. */
static void check(int32_t code) {
    if (code == OMENDB_OK) return;
    fprintf(stderr, "error %d: %s\n", code, error.message);
    exit(1);
}

int main(int argc, char **argv) {
    omendb *db;
    check(omendb_open(argc > 1 ? argv[1] : NULL, OMENDB_DURABILITY_ALWAYS, 0, &db, &error));

    omendb_schema schema = {.dim = 3, .metric = OMENDB_COSINE, .element = OMENDB_F32,
                            .codes = OMENDB_CODES_STANDARD};
    check(omendb_create(db, "fruit", &schema, &error));

    const float vectors[][3] = {{1, 0, 0}, {0.9f, 0.1f, 0}, {0, 0, 1}};
    const char texts[] = "appleblue pear";
    const uint64_t text_offsets[] = {0, 5, 9, 14};
    const char metadata[] = "{\"n\": 1}";
    const uint64_t metadata_offsets[] = {0, 8, 8, 8};
    omendb_batch batch = {.count = 3, .dim = 3, .element = OMENDB_F32, .vectors = vectors,
                          .stride = sizeof vectors[0],
                          .ids = {.count = 3, .text_offsets = text_offsets, .texts = texts},
                          .metadata_offsets = metadata_offsets, .metadata = metadata};
    omendb_counts counts;
    check(omendb_upsert(db, "fruit", &batch, &counts, &error));
    printf("%llu upserted\n", (unsigned long long)counts.upserted);

    const float query[] = {1, 0, 0};
    omendb_query ask = {.count = 1, .dim = 3, .element = OMENDB_F32, .vectors = query, .limit = 2,
                        .max_distance = INFINITY, .with_metadata = 1};
    omendb_result *found;
    check(omendb_search(db, "fruit", &ask, &found, &error));
    for (uint64_t i = 0; i < found->count; i++) {
        const uint64_t *ids = found->ids.text_offsets, *objects = found->metadata_offsets;
        printf("%.*s %.4f %.*s\n", (int)(ids[i + 1] - ids[i]), found->ids.texts + ids[i],
               found->distances[i], (int)(objects[i + 1] - objects[i]),
               found->metadata + objects[i]);
    }
    omendb_result_free(found);

    /* What is wrong is told, and nothing happens. */
    if (omendb_count(db, "nuts", &counts.upserted, &error) == OMENDB_NOT_FOUND)
        printf("%s\n", error.message);
    check(omendb_close(db, &error));
    return 0;
}
