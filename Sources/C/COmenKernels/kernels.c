// The kernels, compiled once for each level of the instruction set, and the choice among them.
//
// Not `target_clones`: clang resolves `arch=icelake-server` there by the processor's exact name, so
// a Sapphire Rapids or a Zen 5 would never run that clone. A table chosen by features also lets the
// tests run every variant the machine has, and names the one in use.

#include "omen_kernels.h"

#include <float.h>
#include <string.h>

/// Bytes of a row of codes.
#define OMEN_U8_BYTES(dim) (dim)
#define OMEN_U4_BYTES(dim) (((dim) + 1) / 2)
#define OMEN_U1_BYTES(dim) (((dim) + 7) / 8)

#define OMEN_LISTED(i) (first + stride * rows[i])
#define OMEN_CONSECUTIVE(i) (first + stride * (i))

/// Vectors of any machine: the compiler makes as many registers of one as it takes.
typedef float omen_floats __attribute__((vector_size(64), aligned(4)));
typedef int32_t omen_ints __attribute__((vector_size(64), aligned(4)));

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(                                                                   \
    __attribute__((target("arch=x86-64-v4,avx512vnni"), min_vector_width(512))),                \
    apply_to = function)
#define OMEN_NAME(name) vnni_##name
#define OMEN_TITLE "avx512-vnni"
#define OMEN_AVX512 1
#define OMEN_VNNI 1
#define OMEN_MULTIPLY_ADD(sum, a, b) _mm512_dpwssd_epi32(sum, a, b)
#define OMEN_FLOAT_LOOP _Pragma("clang loop vectorize_width(16) interleave_count(4)")
#include "kernels_body.inc"
#include "gram_body.inc"
#include "beam_body.inc"
#include "table_body.inc"
#undef OMEN_FLOAT_LOOP
#undef OMEN_MULTIPLY_ADD
#undef OMEN_VNNI
#undef OMEN_AVX512
#undef OMEN_TITLE
#undef OMEN_NAME
#pragma clang attribute pop

#pragma clang attribute push(                                                                   \
    __attribute__((target("arch=x86-64-v4"), min_vector_width(512))), apply_to = function)
#define OMEN_NAME(name) v4_##name
#define OMEN_TITLE "x86-64-v4"
#define OMEN_AVX512 1
#define OMEN_MULTIPLY_ADD(sum, a, b) _mm512_add_epi32(sum, _mm512_madd_epi16(a, b))
#define OMEN_FLOAT_LOOP _Pragma("clang loop vectorize_width(16) interleave_count(4)")
#include "kernels_body.inc"
#include "gram_body.inc"
#include "beam_body.inc"
#include "table_body.inc"
#undef OMEN_FLOAT_LOOP
#undef OMEN_MULTIPLY_ADD
#undef OMEN_AVX512
#undef OMEN_TITLE
#undef OMEN_NAME
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#define OMEN_NAME(name) v3_##name
#define OMEN_TITLE "x86-64-v3"
#define OMEN_FLOAT_LOOP _Pragma("clang loop vectorize_width(8) interleave_count(4)")
#include "kernels_body.inc"
#include "gram_body.inc"
#include "beam_body.inc"
#include "table_body.inc"
#undef OMEN_FLOAT_LOOP
#undef OMEN_TITLE
#undef OMEN_NAME
#pragma clang attribute pop
#endif

#define OMEN_NAME(name) portable_##name
#define OMEN_TITLE "portable"
#define OMEN_FLOAT_LOOP
#include "kernels_body.inc"
#include "gram_body.inc"
#include "beam_body.inc"
#include "table_body.inc"

float omen_unit_distance(const float *query, float query_scale, const float *row, float row_scale,
                         size_t dim) {
#pragma clang fp reassociate(on)
    float sum = 0;
    for (size_t i = 0; i < dim; i++) {
        float d = query[i] * query_scale - row[i] * row_scale;
        sum += d * d;
    }
    return sum / 2;
}

size_t omen_kernels_count(void) {
#if defined(__x86_64__)
    return 4;
#else
    return 1;
#endif
}

const struct omen_kernels *omen_kernels_at(size_t index) {
#if defined(__x86_64__)
    switch (index) {
    case 0:
        return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni")
                   ? &vnni_table
                   : NULL;
    case 1:
        return __builtin_cpu_supports("x86-64-v4") ? &v4_table : NULL;
    case 2:
        return __builtin_cpu_supports("x86-64-v3") ? &v3_table : NULL;
    case 3:
        return &portable_table;
    default:
        return NULL;
    }
#else
    return index == 0 ? &portable_table : NULL;
#endif
}

const struct omen_kernels *omen_kernels_best(void) {
    for (size_t index = 0; index < omen_kernels_count(); index++) {
        const struct omen_kernels *kernels = omen_kernels_at(index);
        if (kernels) return kernels;
    }
    return &portable_table;
}
