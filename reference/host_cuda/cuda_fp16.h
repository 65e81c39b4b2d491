// Half precision in software: IEEE binary16, rounding to nearest even.
#pragma once

#include <algorithm>
#include <cstring>

#include "cuda_runtime.h"

struct __half {
    uint16_t bits;
};
struct alignas(4) __half2 {
    __half x, y;
};

namespace host_cuda {

inline uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

inline float float_of(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

}  // namespace host_cuda

inline float __half2float(__half half) {
    const uint32_t sign = uint32_t{half.bits & 0x8000u} << 16, magnitude = half.bits & 0x7fffu;
    if (magnitude >= 0x7c00) return host_cuda::float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    // As a float's bits the value is too small by 2^112; subnormals come out right.
    const float value = host_cuda::float_of(magnitude << 13) * 0x1p112f;
    return sign ? -value : value;
}

inline __half __float2half(float value) {
    const uint32_t bits = host_cuda::bits_of(value);
    const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
    const float magnitude = std::fabs(value);
    if (std::isnan(value)) return {static_cast<uint16_t>(sign | 0x7e00u)};
    if (magnitude >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00u)};
    // The spacing of halves around the value; quotient and product by a power of two are exact.
    const float spacing = std::ldexp(1.0f, std::max(std::ilogb(std::max(magnitude, 0x1p-24f)), -14) - 10);
    const float rounded = std::nearbyint(magnitude / spacing) * spacing;
    const uint32_t half = host_cuda::bits_of(rounded * 0x1p-112f) >> 13;
    return {static_cast<uint16_t>(sign | half)};
}

inline float2 __half22float2(__half2 pair) { return {__half2float(pair.x), __half2float(pair.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half(x), __float2half(y)}; }
