/// Distance kernels: one query against a list of rows, or against consecutive rows.
///
/// A row is `dim` elements at `base + stride * row`. All kernels write one float per row to `out`
/// and prefetch the rows themselves. Rows need no alignment; `query` and rows must not alias `out`.
/// Integer kernels sum in 32 bits, exact up to 8,192 dimensions (255 * 255 * 8192 < 2^31), and
/// round once when converting to float.
#ifndef OMEN_KERNELS_H
#define OMEN_KERNELS_H

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

/// Words behind the last key of a beam that may be overwritten.
#define OMEN_BEAM_SLACK 24

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
