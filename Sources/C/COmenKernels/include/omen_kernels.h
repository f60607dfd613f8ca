/// Distance kernels: one query against a list of rows, or against consecutive rows.
///
/// A row is `dim` elements at `base + stride * row`. All kernels write one float per row to `out`
/// and prefetch the rows themselves. Rows need no alignment; `query` and rows must not alias `out`.
/// Integer kernels sum in 32 bits, exact up to 8,192 dimensions (255 * 255 * 8192 < 2^31), and
/// round once when converting to float.
#ifndef OMEN_KERNELS_H
#define OMEN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Distances of `query` to the rows `rows[0..<count]`.
typedef void (*omen_list_kernel)(const void *_Nonnull query, const void *_Nonnull base,
                                 size_t stride, size_t dim, const uint32_t *_Nonnull rows,
                                 size_t count, float *_Nonnull out);

/// Distances of `query` to `count` consecutive rows from `base` on.
typedef void (*omen_scan_kernel)(const void *_Nonnull query, const void *_Nonnull base,
                                 size_t stride, size_t dim, size_t count, float *_Nonnull out);

/// Both shapes of one distance.
struct omen_kernel_pair {
    omen_list_kernel _Nonnull list;
    omen_scan_kernel _Nonnull scan;
};

/// What the i8 image of a query is measured in, and sums over it.
struct omen_query_image {
    float scale;
    int32_t sum;
    /// Sum of the squares.
    int32_t squares;
};

/// What a coded row adds to its distances, with y = code - 127.5, its place around the middle.
struct omen_code_sums {
    /// Sum of y * y.
    float squares;
    /// Sum of |y|.
    float magnitudes;
    /// Sum of 2 * y * z - y * y, where z is what the high nibble alone says y is.
    float nibbles;
};

/// A sorted list of keys that nearer rows push farther ones out of.
///
/// A key is an order-preserving image of the distance in the upper 32 bits, the row times two, and
/// a mark in the lowest bit, which is left out of comparisons with the bound.
struct omen_beam {
    /// Ascending; room for `width + OMEN_BEAM_SLACK`.
    uint64_t *_Nonnull keys;
    size_t count;
    /// Most keys kept, above 0.
    size_t width;
    /// Lowered to the least position that was inserted at.
    size_t lowest;
};

/// Half the squared distance of `query * query_scale` and `row * row_scale`: for unit vectors
/// 1 - cos, without the digits that are lost where that is computed for near ones.
float omen_unit_distance(const float *_Nonnull query, float query_scale, const float *_Nonnull row,
                         float row_scale, size_t dim);

/// Words behind the last key of a beam that may be overwritten.
#define OMEN_BEAM_SLACK 24

/// Rows that one call of a Gram kernel compares with all columns, at most.
#define OMEN_GRAM_ROWS 6
/// Columns that share one vector register; packed columns are padded to whole groups.
#define OMEN_GRAM_LANES 16
/// Most columns `select` keeps of one row.
#define OMEN_SELECT_MAX 128

/// The columns of a matrix of distances, packed for the Gram kernels, and what a distance is.
///
/// u8: `packed` is `[groups][dim / 4][16 columns][4]` bytes, each less 128, so that products of
/// unsigned rows and signed columns fit the processor's instruction; sums over rows make up for it.
/// f32: `packed` is `[groups][dim][16 columns]` floats; `terms` are not looked at.
///
/// With s the squared distance or the inner product of row and column, a distance is
/// `s * scale + (factor of the row - factor of the column)^2`, or under cosine
/// `max(0, 1 - s * factor of the row * factor of the column)`.
struct omen_gram_columns {
    const void *_Nonnull packed;
    /// Squared norm of each column; 0 under cosine.
    const int32_t *_Nonnull terms;
    const float *_Nonnull factors;
    /// Elements of a row, padding included; divisible by 4.
    size_t dim;
    size_t groups;
    bool is_cosine;
    float scale;
};

/// Distances of `count <= OMEN_GRAM_ROWS` listed rows to all columns, `[count][out_stride]`.
///
/// Writes whole groups: `out_stride >= groups * OMEN_GRAM_LANES`.
typedef void (*omen_gram_kernel)(const struct omen_gram_columns *_Nonnull columns,
                                 const void *_Nonnull base, size_t stride,
                                 const uint32_t *_Nonnull rows,
                                 const float *_Nonnull row_factors, size_t count,
                                 float *_Nonnull out, size_t out_stride);

/// Packs listed rows as columns, and fills the last group up with zeros.
typedef void (*omen_pack_kernel)(const void *_Nonnull base, size_t stride, size_t dim,
                                 const uint32_t *_Nonnull rows, size_t count, bool is_cosine,
                                 void *_Nonnull packed, int32_t *_Nonnull terms);

/// Both steps of one element type.
struct omen_gram_pair {
    omen_pack_kernel _Nonnull pack;
    omen_gram_kernel _Nonnull gram;
};

/// All kernels compiled for one level of the instruction set.
struct omen_kernels {
    /// Which level this is, for the start log.
    const char *_Nonnull name;
    /// Squared Euclidean distance, u8 query, u8 rows.
    struct omen_kernel_pair l2_u8;
    /// Inner product, u8 query, u8 rows.
    struct omen_kernel_pair dot_u8;
    /// Squared Euclidean distance, f32 query, f32 rows.
    struct omen_kernel_pair l2_f32;
    /// Inner product, f32 query, f32 rows.
    struct omen_kernel_pair dot_f32;
    /// Squared Euclidean distance, f32 query, u8 rows.
    struct omen_kernel_pair l2_f32_u8;
    /// Inner product, f32 query, u8 rows.
    struct omen_kernel_pair dot_f32_u8;
    /// Inner product, i8 query, u8 rows.
    struct omen_kernel_pair dot_i8_u8;
    /// 16 times the inner product, i8 query, rows as `pack_u4` writes them: (dim + 1) / 2 bytes.
    ///
    /// An odd `dim` is rounded up; the query's element there must be 0.
    struct omen_kernel_pair dot_i8_u4;
    /// Sum of the elements of the i8 query whose bit is set in a row of (dim + 7) / 8 bytes.
    ///
    /// Bits past `dim` must be clear.
    struct omen_kernel_pair dot_i8_u1;
    /// The high nibbles of `code[0..<dim]` as (dim + 1) / 2 bytes at `out`.
    ///
    /// Each block of 128 dimensions becomes 64 bytes: byte i holds dimension i low, 64 + i high; a
    /// last block of n bytes likewise dimensions i and n + i, where those past `dim` are 0.
    void (*_Nonnull pack_u4)(const uint8_t *_Nonnull code, size_t dim, uint8_t *_Nonnull out);
    /// The highest bits of `code[0..<dim]` as (dim + 7) / 8 bytes at `out`, lowest bit first.
    void (*_Nonnull pack_u1)(const uint8_t *_Nonnull code, size_t dim, uint8_t *_Nonnull out);
    /// Sums over `code[0..<dim]`; see `omen_code_sums`.
    struct omen_code_sums (*_Nonnull sums)(const uint8_t *_Nonnull code, size_t dim);
    /// Writes an i8 image of a query: element i stands for out[i] * scale.
    ///
    /// The element is (query[i] * factor - offsets[i]) * inverse_scale - 127.5, the query where
    /// codes live, around their middle; without offsets it is the query itself. The scale is such
    /// that the largest becomes 127.
    struct omen_query_image (*_Nonnull encode_query)(const float *_Nonnull query, float factor,
                                                     const float *_Nullable offsets,
                                                     float inverse_scale, size_t dim,
                                                     int8_t *_Nonnull out);
    /// Writes round((x * factor - offset) * inverse_scale), clamped to 0...255, for each dimension.
    ///
    /// Returns how many values were outside.
    size_t (*_Nonnull encode)(const float *_Nonnull x, float factor, const float *_Nonnull offsets,
                              float inverse_scale, size_t dim, uint8_t *_Nonnull out);
    /// Merges `count` rows, none of them in the beam, into it, and prefetches the links of those
    /// that enter: the first 128 bytes of `links + slots * row`.
    void (*_Nonnull admit)(struct omen_beam *_Nonnull beam, const float *_Nonnull distances,
                           const uint32_t *_Nonnull rows, size_t count,
                           const uint32_t *_Nonnull links, size_t slots);
    /// All distances between rows and columns, u8.
    struct omen_gram_pair gram_u8;
    /// All distances between rows and columns, f32.
    struct omen_gram_pair gram_f32;
    /// Writes the columns of the `k <= OMEN_SELECT_MAX` smallest finite distances, ascending.
    ///
    /// Among equal ones those from the block of columns that has `start` on are preferred, or equal
    /// rows would all choose the same few. Returns how many there are: fewer than `k` only when
    /// there are no more.
    size_t (*_Nonnull select)(const float *_Nonnull distances, size_t count, size_t k,
                              size_t start, uint32_t *_Nonnull out);
    /// How many of `keys[0..<count]` are below `key`.
    size_t (*_Nonnull rank)(const uint64_t *_Nonnull keys, size_t count, uint64_t key);
};

/// Asks for the cache line at `address`; harmless for any address.
static inline void omen_prefetch(const void *_Nonnull address) {
    __builtin_prefetch(address, 0, 3);
}

/// The fastest kernels this processor runs; the same pointer on every call.
const struct omen_kernels *_Nonnull omen_kernels_best(void);

/// The variants from fastest to most portable, so that a test can compare them.
///
/// Returns NULL for an index past the last one and for one this processor cannot run.
const struct omen_kernels *_Nullable omen_kernels_at(size_t index);

/// How many variants this build contains.
size_t omen_kernels_count(void);

#endif
