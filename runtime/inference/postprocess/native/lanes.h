/* Arithmetic on vectors of WIDTH floats, as many as a register holds. GCC and clang apply the operators of their vector
 * types to every lane. */

#ifndef PEM_EDGE_LANES_H
#define PEM_EDGE_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#include <immintrin.h>
enum { WIDTH = 16 };
#define MINIMUM _mm512_min_ps
#define MAXIMUM _mm512_max_ps
#elif defined __AVX2__
#include <immintrin.h>
enum { WIDTH = 8 };
#define MINIMUM _mm256_min_ps
#define MAXIMUM _mm256_max_ps
#elif defined __SSE2__
#include <immintrin.h>
enum { WIDTH = 4 };
#define MINIMUM _mm_min_ps
#define MAXIMUM _mm_max_ps
#elif defined __ARM_NEON
#include <arm_neon.h>
enum { WIDTH = 4 };
#define MINIMUM vminq_f32
#define MAXIMUM vmaxq_f32
#else
enum { WIDTH = 4 };
#define MINIMUM(a, b) pick((a) < (b), a, b)
#define MAXIMUM(a, b) pick((a) > (b), a, b)
#endif

typedef float lanes __attribute__((vector_size(4 * WIDTH)));
typedef int32_t flags __attribute__((vector_size(4 * WIDTH))); /* integers; as a condition, -1 is true and 0 is false */
typedef uint16_t halves __attribute__((vector_size(2 * WIDTH)));

#define INLINE static inline __attribute__((always_inline)) /* function calls would pass vectors through memory */

INLINE lanes all(float value) { return value + (lanes){0}; }

INLINE flags pick_flags(flags condition, flags yes, flags no) { return (yes & condition) | (no & ~condition); }

INLINE lanes pick(flags condition, lanes yes, lanes no) { return (lanes)pick_flags(condition, (flags)yes, (flags)no); }

INLINE lanes smaller(lanes a, lanes b) { return (lanes)MINIMUM(a, b); }

INLINE lanes larger(lanes a, lanes b) { return (lanes)MAXIMUM(a, b); }

INLINE int32_t sum(flags values)
{
    int32_t total = 0;
    for (int lane = 0; lane < WIDTH; lane++)
        total += values[lane];
    return total;
}

/* Return a condition that is true in the first `count` lanes. */
INLINE flags first_lanes(int32_t count)
{
    flags numbers;
    for (int lane = 0; lane < WIDTH; lane++)
        numbers[lane] = lane;
    return numbers < count;
}

INLINE lanes load(const float *from)
{
    lanes values;
    memcpy(&values, from, sizeof values);
    return values;
}

INLINE void store(float *to, lanes values) { memcpy(to, &values, sizeof values); }

/* Load values of half precision. NaN becomes infinity. */
INLINE lanes load_halves(const uint16_t *from)
{
    halves packed;
    memcpy(&packed, from, sizeof packed);
    flags bits = __builtin_convertvector(packed, flags);
    lanes magnitude = (lanes)((bits & 0x7fff) << 13) * 0x1p112f; /* exponents are biased by 15, not by 127 */
    magnitude = pick(magnitude >= 0x1p16f, all(INFINITY), magnitude);
    return (lanes)((flags)magnitude | ((bits & 0x8000) << 16));
}

/* Return e to the power of x within 2 units in the last place, or infinity from 88.4 on; x must be finite. The result
 * is a power of two times the Taylor series of the remaining exponent, whose magnitude is at most ln(2) / 2. */
INLINE lanes exponential(lanes x)
{
    const float rounder = 0x1.8p23f, log2_e = 0x1.715476p0f; /* adding the rounder rounds to an integer */
    const float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f; /* their sum is ln(2); power * ln2_high is exact */
    x = smaller(larger(x, all(-87.0f)), all(89.0f));
    lanes power = (x * log2_e + rounder) - rounder;
    lanes rest = (x - power * ln2_high) - power * ln2_low;
    lanes series = rest * (1.0f / 5040) + 1.0f / 720;
    series = series * rest + 1.0f / 120;
    series = series * rest + 1.0f / 24;
    series = series * rest + 1.0f / 6;
    series = series * rest + 0.5f;
    series = series * rest + 1.0f;
    series = series * rest + 1.0f;
    return series * (lanes)((__builtin_convertvector(power, flags) + 127) << 23);
}

#endif
