// CUDA on the host, as far as our kernels use it: the very same sources compile with g++ and run on the CPU.
//
// Every thread of a block is a fiber that runs until it meets a barrier, one after the other. A missing barrier
// therefore shows: a thread that runs ahead reads what others have not written yet, or overwrites what they still need.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#define __host__
#define __device__
#define __global__
#define __shared__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline dim3 gridDim, blockDim, blockIdx, threadIdx;

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorLaunchFailure = 719 };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount, cudaDevAttrMaxSharedMemoryPerBlockOptin };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;

inline const char* cudaGetErrorString(cudaError_t) { return "refused"; }

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
};

namespace host_cuda {

struct Device {
    int multiprocessors = 1;
    int shared_bytes = 99 * 1024;  // a block may have so much; of the supported GPUs, 8.6, 8.9 and 12.0 have least
};
inline Device device;

void fail(const char* message);  // remembered until the launch ends
void barrier(bool whole_block);
cudaError_t allow_shared_memory(const void* kernel, int bytes);
cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& thread);

template <typename T>
const T* checked(const T* at) {
    if (reinterpret_cast<uintptr_t>(at) % alignof(T) != 0) fail("misaligned access");
    return at;
}

}  // namespace host_cuda

template <typename T>
T __ldg(const T* at) {
    return *host_cuda::checked(at);
}

using std::max;
using std::min;

inline int __float_as_int(float value) {
    int bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}
inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }

// A thread runs until it meets a barrier, so nothing can come between.
inline int atomicAdd(int* at, int value) {
    const int before = *host_cuda::checked(at);
    *at += value;
    return before;
}
inline int atomicMin(int* at, int value) {
    const int before = *host_cuda::checked(at);
    *at = min(before, value);
    return before;
}
inline int atomicMax(int* at, int value) {
    const int before = *host_cuda::checked(at);
    *at = max(before, value);
    return before;
}
inline unsigned atomicOr(unsigned* at, unsigned value) {
    const unsigned before = *host_cuda::checked(at);
    *at |= value;
    return before;
}

inline void __syncthreads() { host_cuda::barrier(true); }
inline void __syncwarp() { host_cuda::barrier(false); }

inline cudaError_t cudaGetDevice(int* number) {
    *number = 0;
    return cudaSuccess;
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    const host_cuda::Device& device = host_cuda::device;
    *value = attribute == cudaDevAttrMultiProcessorCount ? device.multiprocessors : device.shared_bytes;
    return cudaSuccess;
}

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int value) {
    return host_cuda::allow_shared_memory(reinterpret_cast<const void*>(kernel), value);
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    return host_cuda::run_grid(*config, reinterpret_cast<const void*>(kernel), [&] { kernel(arguments...); });
}
