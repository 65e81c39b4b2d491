// Reads values of an engine's outputs, in single or half precision, as FP32. Does not need CUDA's headers, which NVRTC
// does not have.
#pragma once

namespace pem_edge {

struct Half {
    unsigned short bits;
};

__device__ inline float load(const float* at) { return *at; }

__device__ inline float load(const Half* at) {
#ifdef __CUDA_ARCH__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(at->bits));
    return value;
#else
    const unsigned magnitude = at->bits & 0x7fffu, sign = (at->bits & 0x8000u) << 16;
    if (magnitude >= 0x7c00u) return __int_as_float(static_cast<int>(sign | 0x7f800000u | magnitude << 13));
    // Interpreted as a float, the shifted bits are too small by a factor of 2^112. This is also right for subnormals.
    const float value = __int_as_float(static_cast<int>(magnitude << 13)) * 5192296858534827628530496329220096.0f;
    return sign != 0 ? -value : value;
#endif
}

// Converts floats to integers that have the same order, for atomic minima and maxima, and back.
__device__ inline int mirrored(int bits) { return bits >= 0 ? bits : bits ^ 0x7fffffff; }
__device__ inline int ordered(float value) { return mirrored(__float_as_int(value)); }
__device__ inline float from_ordered(int order) { return __int_as_float(mirrored(order)); }

__device__ inline bool is_finite(float value) { return fabsf(value) <= 3.402823466e38f; }

__device__ inline float sigmoid(float value) { return 1.0f / (1.0f + expf(-value)); }

// Returns how many indices before `index` are chosen, which is the position of `index` in the list of chosen indices.
template <typename Chosen>
__device__ inline int rank(int index, Chosen chosen) {
    int count = 0;
    for (int i = 0; i < index; ++i) count += chosen(i) ? 1 : 0;
    return count;
}

}  // namespace pem_edge
