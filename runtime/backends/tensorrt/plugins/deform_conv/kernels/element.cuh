// Reads and writes values in single and half precision as FP32.
#pragma once

#include <cuda_fp16.h>

#include "../geometry.h"

namespace pem_edge {

__device__ inline float load(const float* at) { return __ldg(at); }
__device__ inline float load(const __half* at) { return __half2float(__ldg(at)); }
__device__ inline void store(float* at, float value) { *at = value; }
__device__ inline void store(__half* at, float value) { *at = __float2half(value); }

template <typename T>
__device__ Displacement load_displacement(const Problem& problem, const T* offset, const T* mask, const OutputPixel& at,
                                          int32_t offset_group, int32_t tap) {
    const T* dy = offset + offset_index(problem, at, offset_group, tap);
    return {load(dy), load(dy + problem.out_plane()), load(mask + mask_index(problem, at, offset_group, tap))};
}

}  // namespace pem_edge
