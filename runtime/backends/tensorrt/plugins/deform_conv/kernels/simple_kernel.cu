// A kernel for every case, with one thread per output value. Slow.
#include "element.cuh"

namespace pem_edge {
namespace {

constexpr int kThreads = 256;

struct Layouts {
    Strides x, raw, y;
};

template <typename T>
__device__ float interpolate(const T* plane, int32_t pixel_stride, const Corners& corners) {
    float sum = 0;
    for (int i = 0; i < 4; ++i)
        if (corners.pixel.at[i] >= 0) sum += corners.weight.at[i] * load(plane + corners.pixel.at[i] * pixel_stride);
    return sum;
}

// Returns the sum over the taps and the input channels that output channel `c` depends on.
template <typename T>
__device__ float convolve(const Problem& problem, const Layouts& layouts, const Operands<T>& operands,
                          const OutputPixel& at, int32_t c) {
    const Attributes& a = problem.attributes;
    const int32_t width = problem.channels / a.group, per_offset_group = problem.channels / a.offset_group;
    const int32_t first = c / (problem.out_channels / a.group) * width;
    const int32_t rows = weight_rows(width), columns = weight_columns(problem.out_channels);
    float sum = 0;
    for (int32_t tap = 0; tap < problem.taps(); ++tap) {
        int32_t offset_group = -1;
        Corners corners = no_corners();
        for (int32_t i = 0; i < width; ++i) {
            if ((first + i) / per_offset_group != offset_group) {
                offset_group = (first + i) / per_offset_group;
                corners = corners_of(problem, at, tap,
                                     load_displacement(problem, layouts.raw, operands.raw, at, offset_group, tap));
            }
            const T* plane = operands.x + layouts.x.at(at.n, first + i, 0);
            sum += load(operands.weight + (tap * rows + i) * columns + c) *
                   interpolate(plane, layouts.x.pixel, corners);
        }
    }
    return sum;
}

template <typename T>
__global__ void simple_kernel(Problem problem, Layouts layouts, Operands<T> operands) {
    const int32_t channels = layouts.y.image / problem.out_plane();  // including kHWC8's padding
    const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
    if (index >= int64_t{problem.out_pixels()} * channels) return;
    // Channels or pixels vary fastest, so that neighboring threads write neighboring values.
    const bool channels_last = layouts.y.channel == 1;
    const int32_t i = static_cast<int32_t>(index), plane = problem.out_plane();
    const int32_t n = i / layouts.y.image, rest = i % layouts.y.image;
    const int32_t c = channels_last ? rest % channels : rest / plane;
    const int32_t pixel = channels_last ? rest / channels : rest % plane;
    const OutputPixel at = output_pixel(problem, n * plane + pixel);
    float value = 0;
    if (c < problem.out_channels)
        value = activated(problem, load(operands.bias + c) + convolve(problem, layouts, operands, at, c));
    store(operands.y + i, value);
}

template <typename T>
cudaError_t start(const Problem& problem, const Form& form, const Pointers& p, cudaStream_t stream) {
    const auto strides = form.layout == Layout::kHwc8 ? hwc8_strides : linear_strides;
    const Layouts layouts{strides(problem.channels, problem.plane()),
                          strides(3 * problem.mask_channels(), problem.out_plane()),
                          strides(problem.out_channels, problem.out_plane())};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(divide_up(int64_t{problem.batch} * layouts.y.image, kThreads)));
    config.blockDim = dim3(kThreads);
    config.stream = stream;
    return cudaLaunchKernelEx(&config, simple_kernel<T>, problem, layouts, operands_of<T>(p));
}

}  // namespace

cudaError_t launch_simple(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream) {
    return form.element == Element::kHalf ? start<__half>(problem, form, pointers, stream)
                                          : start<float>(problem, form, pointers, stream);
}

}  // namespace pem_edge
