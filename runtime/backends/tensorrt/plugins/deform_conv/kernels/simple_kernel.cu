// A kernel for every case, with one thread per output value. Slow.
#include "element.cuh"
#include "../launch.h"

namespace pem_edge {
namespace {

constexpr int kThreads = 256;

template <typename T>
__device__ float interpolate(const T* plane, int32_t pixel_stride, const Corners& corners) {
    float sum = 0;
    for (int i = 0; i < 4; ++i)
        if (corners.pixel[i] >= 0) sum += corners.weight[i] * load(plane + corners.pixel[i] * pixel_stride);
    return sum;
}

// Returns the sum over the taps and the input channels that output channel `c` depends on.
template <typename T>
__device__ float convolve(const Problem& problem, const Strides& strides, const T* x, const T* weight, const T* offset,
                          const T* mask, const OutputPixel& at, int32_t c) {
    const Attributes& a = problem.attributes;
    const int32_t width = problem.channels / a.group, per_offset_group = problem.channels / a.offset_group;
    const int32_t first = c / (problem.out_channels / a.group) * width;
    float sum = 0;
    for (int32_t tap = 0; tap < problem.taps(); ++tap) {
        int32_t offset_group = -1;
        Corners corners = no_corners();
        for (int32_t i = 0; i < width; ++i) {
            if ((first + i) / per_offset_group != offset_group) {
                offset_group = (first + i) / per_offset_group;
                corners = corners_of(problem, at, tap,
                                     load_displacement(problem, offset, mask, at, offset_group, tap));
            }
            const T* plane = x + strides.at(at.n, first + i, 0);
            sum += load(weight + (c * width + i) * problem.taps() + tap) *
                   interpolate(plane, strides.pixel, corners);
        }
    }
    return sum;
}

template <typename T>
__global__ void simple_kernel(Problem problem, Strides x_strides, Strides y_strides, const T* x, const T* weight,
                              const T* offset, const T* bias, const T* mask, T* y) {
    const int32_t channels = y_strides.image / problem.out_plane();  // including kHWC8's padding
    const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
    if (index >= int64_t{problem.out_pixels()} * channels) return;
    // Channels or pixels vary fastest, so that neighboring threads write neighboring values.
    const bool channels_last = y_strides.channel == 1;
    const int32_t i = static_cast<int32_t>(index), plane = problem.out_plane();
    const int32_t n = i / y_strides.image, rest = i % y_strides.image;
    const int32_t c = channels_last ? rest % channels : rest / plane;
    const int32_t pixel = channels_last ? rest / channels : rest % plane;
    const OutputPixel at = output_pixel(problem, n * plane + pixel);
    float value = 0;
    if (c < problem.out_channels)
        value = load(bias + c) + convolve(problem, x_strides, x, weight, offset, mask, at, c);
    store(y + i, value);
}

template <typename T>
cudaError_t start(const Problem& problem, const Form& form, const Pointers& p, cudaStream_t stream) {
    const auto strides = form.layout == Layout::kHwc8 ? hwc8_strides : linear_strides;
    const Strides y_strides = strides(problem.out_channels, problem.out_plane());
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>((int64_t{problem.batch} * y_strides.image + kThreads - 1) / kThreads));
    config.blockDim = dim3(kThreads);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, simple_kernel<T>, problem, strides(problem.channels, problem.plane()), y_strides,
                              static_cast<const T*>(p.x), static_cast<const T*>(p.weight),
                              static_cast<const T*>(p.offset), static_cast<const T*>(p.bias),
                              static_cast<const T*>(p.mask), static_cast<T*>(p.y));
}

}  // namespace

cudaError_t launch_simple(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream) {
    return form.element == Element::kHalf ? start<__half>(problem, form, pointers, stream)
                                          : start<float>(problem, form, pointers, stream);
}

}  // namespace pem_edge
