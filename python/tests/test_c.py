"""The C interface from C: the example of the documentation, and calls that are wrong."""

import shutil
import subprocess
from pathlib import Path

import pytest

from omendb import _library

# A call ends as its thread's omendb_stop says, from the beginning and by itself.
STOPPED = """
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "omendb.h"

int main(void) {
    enum { COUNT = 200000, DIM = 64 };
    omendb_error error;
    omendb *db;
    assert(omendb_open(NULL, 0, 0, &db, &error) == OMENDB_OK);
    omendb_schema schema = {.dim = DIM, .codes = OMENDB_CODES_STANDARD};
    assert(omendb_create(db, "c", &schema, &error) == OMENDB_OK);
    float *vectors = calloc(COUNT, DIM * sizeof(float));
    uint64_t *ids = calloc(COUNT, sizeof(uint64_t));
    for (uint64_t i = 0; i < COUNT; i++) {
        ids[i] = i;
        vectors[i * DIM] = (float)i;
    }
    omendb_batch batch = {.count = COUNT, .dim = DIM, .vectors = vectors, .stride = 4 * DIM,
                          .ids = {.count = COUNT, .numbers = ids}};
    omendb_counts counts = {.rows = 7};
    uint64_t count;

    omendb_stop *limit = omendb_stop_new(1), *stop = omendb_stop_new(0);
    omendb_stop_use(limit);
    assert(omendb_upsert(db, "c", &batch, &counts, &error) == OMENDB_STOPPED);
    omendb_stop_use(NULL);
    assert(omendb_count(db, "c", &count, &error) == OMENDB_OK);
    assert(counts.rows == count && counts.upserted == count && count < COUNT);
    assert(omendb_upsert(db, "c", &batch, &counts, &error) == OMENDB_OK && counts.rows == COUNT);

    omendb_stop_use(stop);
    assert(omendb_count(db, "c", &count, &error) == OMENDB_OK);
    omendb_stop_request(stop);
    assert(omendb_count(db, "c", &count, &error) == OMENDB_STOPPED);
    assert(strstr(error.message, "stopped"));
    omendb_stop_free(stop);
    omendb_stop_request(stop);
    omendb_stop_free(stop);
    omendb_stop_free(NULL);
    omendb_stop_use((omendb_stop *)99);
    assert(omendb_count(db, "c", &count, &error) == OMENDB_OK && count == COUNT);
    omendb_stop_use(limit);
    assert(omendb_close(db, &error) == OMENDB_OK);
    free(vectors);
    free(ids);
    return 0;
}
"""

ROOT = Path(__file__).resolve().parents[2]

# Everything that can be null, is; and handles that are none.
WRONG = """
#include <assert.h>
#include <string.h>
#include "omendb.h"

int main(void) {
    omendb_error error;
    omendb *db = NULL;
    uint64_t count;
    omendb_result *result;
    assert(omendb_abi_version() == OMENDB_ABI_VERSION);
    assert(omendb_open(NULL, 0, 0, NULL, &error) == OMENDB_BAD_REQUEST);
    assert(strstr(error.message, "null") && error.retry_after_ms == 0);
    assert(omendb_open(NULL, 0, 0, &db, NULL) == OMENDB_OK);
    assert(omendb_open("/tmp", 7, 0, &db, &error) == OMENDB_BAD_REQUEST && db == NULL);

    omendb_filter *filter, *freed;
    const char *where = "a = 1", *json = "{\\"a\\": 1}";
    char *text;
    uint8_t matches = 7;
    assert(omendb_filter_new(where, 5, OMENDB_FILTER_WHERE, NULL, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_new(NULL, 5, OMENDB_FILTER_WHERE, &filter, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_new(where, 5, 2, &filter, &error) == OMENDB_BAD_REQUEST);
    assert(strstr(error.message, "form 2") && filter == NULL);
    assert(omendb_filter_new(where, 1 << 30, 1, &filter, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_new(where, 5, OMENDB_FILTER_JSON, &filter, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_new(where, 3, OMENDB_FILTER_WHERE, &filter, &error) == OMENDB_BAD_REQUEST);
    assert(strstr(error.message, "column 4"));
    assert(omendb_filter_new(where, 5, OMENDB_FILTER_WHERE, &filter, NULL) == OMENDB_OK);
    assert(omendb_filter_json(filter, NULL, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_json(NULL, &text, &error) == OMENDB_BAD_REQUEST && text == NULL);
    assert(omendb_filter_json(filter, &text, &error) == OMENDB_OK);
    assert(strcmp(text, "{\\"a\\":{\\"$eq\\":1}}") == 0);
    omendb_text_free(text);
    assert(omendb_filter_matches(filter, json, 8, NULL, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_matches(filter, NULL, 8, &matches, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_matches(filter, json, 7, &matches, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_filter_matches(filter, json, 1 << 20, &matches, &error) == OMENDB_BAD_REQUEST);
    assert(matches == 7);
    assert(omendb_filter_matches(filter, json, 8, &matches, &error) == OMENDB_OK && matches == 1);
    assert(omendb_filter_matches(filter, NULL, 0, &matches, &error) == OMENDB_OK && matches == 0);
    freed = filter;
    omendb_filter_free(filter);
    omendb_filter_free(freed);
    omendb_filter_free(NULL);
    assert(omendb_filter_matches(freed, json, 8, &matches, &error) == OMENDB_BAD_REQUEST);
    assert(strstr(error.message, "freed"));
    assert(omendb_open("/tmp", OMENDB_DURABILITY_INTERVAL, 0, &db, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_open("\\xff", 0, 0, &db, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_open(NULL, 0, 0, &db, &error) == OMENDB_OK);
    omendb *other = (omendb *)12345;
    assert(omendb_count(other, "c", &count, &error) == OMENDB_UNAVAILABLE);
    assert(omendb_count(NULL, "c", &count, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_count(db, NULL, &count, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_count(db, "c", NULL, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_create(db, "c", NULL, &error) == OMENDB_BAD_REQUEST);
    omendb_schema schema = {.dim = 2, .codes = OMENDB_CODES_STANDARD};
    assert(omendb_create(db, "NO", &schema, &error) == OMENDB_BAD_REQUEST);
    schema.metric = 300;
    assert(omendb_create(db, "c", &schema, &error) == OMENDB_BAD_REQUEST);
    schema.metric = OMENDB_L2;
    schema.element = -1;
    assert(omendb_create(db, "c", &schema, &error) == OMENDB_BAD_REQUEST);
    schema.element = OMENDB_F32;
    assert(omendb_create(db, "c", &schema, &error) == OMENDB_OK);
    assert(omendb_upsert(db, "c", NULL, NULL, &error) == OMENDB_BAD_REQUEST);
    const float vectors[] = {1, 2, 3, 4};
    const uint64_t ids[] = {1, 2}, offsets[] = {5, 3, 3};
    omendb_batch batch = {.count = 2, .dim = 2, .vectors = vectors, .stride = 8};
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.ids.count = 2;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.ids.numbers = ids;
    batch.stride = 7;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.stride = UINT64_MAX;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.stride = 8;
    batch.element = 4;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.element = OMENDB_F32;
    float near[2];
    uint64_t numbers[2];
    omendb_single_search single = {.database = db, .collection = "c",
                                   .query = {.dim = 2, .limit = 2, .max_distance = 9}};
    assert(omendb_search_one(NULL, vectors) == OMENDB_BAD_REQUEST);
    assert(omendb_search_one(&single, vectors) == OMENDB_BAD_REQUEST);
    assert(strstr(single.error.message, "null"));
    single.distances = near;
    single.numbers = numbers;
    assert(omendb_search_one(&single, NULL) == OMENDB_BAD_REQUEST);
    assert(omendb_search_one(&single, vectors) == OMENDB_OK && single.hit_count == 0);
    single.query.limit = 0;
    assert(omendb_search_one(&single, vectors) == OMENDB_BAD_REQUEST);
    single.query.limit = UINT32_MAX;
    assert(omendb_search_one(&single, vectors) == OMENDB_BAD_REQUEST);
    single.query.limit = 2;
    single.query.dim = UINT32_MAX;
    assert(omendb_search_one(&single, vectors) == OMENDB_BAD_REQUEST);
    single.query.dim = 2;
    single.query.element = OMENDB_I8;
    assert(omendb_search_one(&single, "ab") == OMENDB_OK && single.hit_count == 0);
    assert(single.result == NULL);
    single.query.explain = 1;
    assert(omendb_search_one(&single, "ab") == OMENDB_OK && single.hit_count == -1);
    assert(single.result->count == 0 && single.result->details);
    omendb_result_free(single.result);
    single.database = other;
    assert(omendb_search_one(&single, vectors) == OMENDB_UNAVAILABLE);
    batch.metadata_offsets = offsets;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.metadata_offsets = NULL;
    batch.count = batch.ids.count = UINT64_MAX;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.count = batch.ids.count = 2;
    batch.vectors = NULL;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_BAD_REQUEST);
    batch.vectors = vectors;
    assert(omendb_upsert(db, "c", &batch, NULL, &error) == OMENDB_OK);
    omendb_query query = {.count = 1, .dim = 2, .vectors = vectors, .limit = 0,
                          .max_distance = 1e30f};
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_BAD_REQUEST && !result);
    query.limit = 1;
    query.vectors = NULL;
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_BAD_REQUEST);
    query.vectors = vectors;
    query.count = UINT64_MAX;
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_BAD_REQUEST);
    query.count = 1;
    query.dim = 0xFFFFFFFF;
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_BAD_REQUEST);
    query.dim = 2;
    assert(omendb_search(db, "c", &query, NULL, &error) == OMENDB_BAD_REQUEST);
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_OK);
    assert(result->count == 1 && result->ids.numbers[0] == 1 && result->distances[0] == 0);
    omendb_result_free(result);
    omendb_result_free(NULL);
    omendb_vectors_free(NULL);
    omendb_text_free(NULL);
    assert(omendb_close(db, &error) == OMENDB_OK);
    assert(omendb_close(db, &error) == OMENDB_OK);
    assert(omendb_close(NULL, &error) == OMENDB_OK);
    assert(omendb_search(db, "c", &query, &result, &error) == OMENDB_UNAVAILABLE);
    return 0;
}
"""


@pytest.fixture
def compile_c(tmp_path):
    compiler = shutil.which("cc") or shutil.which("clang")
    assert compiler, "no C compiler"

    def compile_file(source: Path) -> Path:
        library = _library.path().resolve()
        program = tmp_path / source.stem
        subprocess.run(
            [
                compiler,
                "-std=c11",
                "-Wall",
                "-Wextra",
                "-Werror",
                str(source),
                "-o",
                str(program),
                f"-I{ROOT / 'Sources' / 'C' / 'COmenDB'}",
                str(library),
                f"-Wl,-rpath,{library.parent}",
                "-Wl,--allow-shlib-undefined",
                "-lm",
            ],
            check=True,
        )
        return program

    return compile_file


@pytest.mark.parametrize("place", ["memory", "path"])
def test_the_example(compile_c, tmp_path, place):
    program = compile_c(ROOT / "docs" / "examples" / "embedded.c")
    words = [str(program)] + ([str(tmp_path / "db")] if place == "path" else [])
    for _ in range(2):
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            "3 upserted",
            'apple 0.0000 {"n": 1}',
            "blue 0.0061 ",
            "collection nuts does not exist",
        ]


@pytest.mark.parametrize("program", [WRONG, STOPPED], ids=["wrong", "stopped"])
def test_calls_that_fail_say_why(compile_c, tmp_path, program):
    source = tmp_path / "program.c"
    source.write_text(program)
    done = subprocess.run([compile_c(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
