// Values of either type that an engine's outputs may have, read as FP32. Without CUDA's headers, which NVRTC lacks.
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
    // As a float's bits the value is too small by 2^112; subnormals come out right.
    const float value = __int_as_float(static_cast<int>(magnitude << 13)) * 5192296858534827628530496329220096.0f;
    return sign != 0 ? -value : value;
#endif
}

// An integer for each float so that both are ordered alike, for atomic minima and maxima; and back.
__device__ inline int mirrored(int bits) { return bits >= 0 ? bits : bits ^ 0x7fffffff; }
__device__ inline int ordered(float value) { return mirrored(__float_as_int(value)); }
__device__ inline float from_ordered(int order) { return __int_as_float(mirrored(order)); }

__device__ inline bool is_finite(float value) { return fabsf(value) <= 3.402823466e38f; }

__device__ inline float sigmoid(float value) { return 1.0f / (1.0f + expf(-value)); }

// How many of the things before `index` are chosen: each thread finds the place of its own in a list of those.
template <typename Chosen>
__device__ inline int rank(int index, Chosen chosen) {
    int count = 0;
    for (int i = 0; i < index; ++i) count += chosen(i) ? 1 : 0;
    return count;
}

}  // namespace pem_edge
