// Reads and writes values in single and half precision as FP32, and names the operands of the kernels.
#pragma once

#include <cuda_fp16.h>

#include "../launch.h"

namespace pem_edge {

__device__ inline float load(const float* at) { return __ldg(at); }
__device__ inline float load(const __half* at) { return __half2float(__ldg(at)); }
__device__ inline void store(float* at, float value) { *at = value; }
__device__ inline void store(__half* at, float value) { *at = __float2half(value); }

template <typename T>
struct Operands {
    const T* x;
    const T* weight;
    const T* raw;
    const T* bias;
    T* y;
};

template <typename T>
Operands<T> operands_of(const Pointers& p) {
    return {static_cast<const T*>(p.x), static_cast<const T*>(p.weight), static_cast<const T*>(p.raw),
            static_cast<const T*>(p.bias), static_cast<T*>(p.y)};
}

// The corners of a tile's samples for one tap. Pixels and weights lie apart, so that neighboring threads, which read or
// write 16 bytes each, never meet in a bank of shared memory.
template <int kPixels>
struct CornerTable {
    CornerPixels pixels[kPixels];
    CornerWeights weights[kPixels];
};

template <typename T>
__device__ Displacement load_displacement(const Problem& problem, const Strides& strides, const T* raw,
                                          const OutputPixel& at, int32_t offset_group, int32_t tap) {
    const int32_t index = offset_group * problem.taps() + tap, channel = strides.channel;
    const T* values = raw + strides.at(at.n, 0, at.pixel);
    return {load(values + 2 * index * channel), load(values + (2 * index + 1) * channel),
            load(values + (2 * problem.mask_channels() + index) * channel)};
}

}  // namespace pem_edge
