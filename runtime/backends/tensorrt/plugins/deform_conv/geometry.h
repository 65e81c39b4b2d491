// Shapes and index arithmetic of the operator, for host and device. Does not need CUDA's or TensorRT's headers.
//
// The operator is ONNX's modulated deformable convolution (DeformConv-19) with what surrounds it in a network. Inputs:
//
//   X    (N, C, H, W)
//   W    (taps, rows, columns): [tap][input channel of the group][output channel], padded with zeros to whole tiles of
//        the fused kernel: rows to a multiple of 128, columns to 64 or to a multiple of 128
//   raw  (N, 3 * offset_group * taps, OH, OW): dy and dx of each tap of each offset group, as in ONNX, and then the
//        logits of the mask, to which the operator applies the sigmoid
//   B    (C')
//
// The output is Y (N, C', OH, OW), behind ReLU if `relu` is 1.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define PEM_HOST_DEVICE __host__ __device__ inline
#else
#define PEM_HOST_DEVICE inline
#endif

namespace pem_edge {

struct Attributes {
    int32_t kernel_shape[2] = {0, 0};  // height, width
    int32_t strides[2] = {1, 1};
    int32_t pads[4] = {0, 0, 0, 0};  // top, left, bottom, right
    int32_t dilations[2] = {1, 1};
    int32_t group = 1;
    int32_t offset_group = 1;
    int32_t relu = 0;

    bool grouped() const { return group != 1 || offset_group != 1; }
};

// The sizes of one call. Every tensor has fewer than 2^31 values, as `check_shapes` ensures, so that indices fit 32
// bits.
struct Problem {
    int32_t batch, channels, height, width;
    int32_t out_channels, out_height, out_width;
    Attributes attributes;

    PEM_HOST_DEVICE int32_t taps() const { return attributes.kernel_shape[0] * attributes.kernel_shape[1]; }
    PEM_HOST_DEVICE int32_t mask_channels() const { return attributes.offset_group * taps(); }
    PEM_HOST_DEVICE int32_t plane() const { return height * width; }
    PEM_HOST_DEVICE int32_t out_plane() const { return out_height * out_width; }
    PEM_HOST_DEVICE int32_t out_pixels() const { return batch * out_plane(); }
};

template <typename Size>
PEM_HOST_DEVICE constexpr Size divide_up(Size value, int32_t by) {
    return (value + by - 1) / by;
}
template <typename Size>
PEM_HOST_DEVICE constexpr Size round_up(Size value, int32_t to) {
    return divide_up(value, to) * to;
}

// Maximum numbers of input channels per step and of output channels per tile of the fused kernel.
constexpr int32_t kLargestDepth = 128, kLargestOutputs = 128;

// Returns the output channels per tile.
PEM_HOST_DEVICE constexpr int32_t tile_outputs(int64_t out_channels) {
    return out_channels <= kLargestOutputs / 2 ? kLargestOutputs / 2 : kLargestOutputs;
}

// Return the sizes of W for the input channels of a group, and for all output channels.
template <typename Size>
PEM_HOST_DEVICE constexpr Size weight_rows(Size channels) {
    return round_up(channels, kLargestDepth);
}
template <typename Size>
PEM_HOST_DEVICE constexpr Size weight_columns(Size out_channels) {
    return round_up(out_channels, tile_outputs(out_channels));
}

// Returns the padding of a height or width minus the extent of the kernel.
inline int64_t slack(const Attributes& attributes, int axis) {
    const int64_t span = int64_t{attributes.dilations[axis]} * (attributes.kernel_shape[axis] - 1) + 1;
    return int64_t{attributes.pads[axis]} + attributes.pads[axis + 2] - span;
}

// Returns the height or width of the output, which is at least 1.
inline int64_t output_size(int64_t size, const Attributes& attributes, int axis) {
    return (size + slack(attributes, axis)) / attributes.strides[axis] + 1;
}

// The distance in memory between neighboring values along each axis. The index of a pixel is y * width + x.
struct Strides {
    int32_t image, channel, pixel;

    PEM_HOST_DEVICE int32_t at(int32_t n, int32_t c, int32_t p) const { return n * image + c * channel + p * pixel; }
};

PEM_HOST_DEVICE Strides linear_strides(int32_t channels, int32_t plane) { return {channels * plane, plane, 1}; }

// Returns the strides of TensorRT's kHWC8 format: channels last, padded to a multiple of 8.
PEM_HOST_DEVICE Strides hwc8_strides(int32_t channels, int32_t plane) {
    return {plane * round_up(channels, 8), 1, round_up(channels, 8)};
}

struct OutputPixel {
    int32_t n, pixel, y, x;
};

PEM_HOST_DEVICE OutputPixel output_pixel(const Problem& problem, int32_t index) {
    const int32_t pixel = index % problem.out_plane();
    return {index / problem.out_plane(), pixel, pixel / problem.out_width, pixel % problem.out_width};
}

// The values of the tensor raw for one output pixel and one tap.
struct Displacement {
    float dy, dx, logit;
};

PEM_HOST_DEVICE float sigmoid(float logit) { return 1.0f / (1.0f + expf(-logit)); }

// Returns what an output of the convolution becomes. NaN stays NaN.
PEM_HOST_DEVICE float activated(const Problem& problem, float value) {
    return problem.attributes.relu && value < 0 ? 0 : value;
}

// The four neighbors of a sample: their pixels, -1 for those outside the image (which count as zero), and weights.
struct alignas(16) CornerPixels {
    int32_t at[4];
};
struct alignas(16) CornerWeights {
    float at[4];
};
struct Corners {
    CornerPixels pixel;
    CornerWeights weight;
};

PEM_HOST_DEVICE Corners no_corners() { return {{{-1, -1, -1, -1}}, {{0, 0, 0, 0}}}; }

PEM_HOST_DEVICE Corners corners_around(const Problem& problem, float y, float x, float modulation) {
    // This form of the condition also rejects NaN, and comes before conversions to integers, which could overflow.
    if (!(y > -1.0f && y < problem.height && x > -1.0f && x < problem.width)) return no_corners();
    const float top = floorf(y), left = floorf(x);
    const float down = y - top, right = x - left;
    const int32_t y0 = static_cast<int32_t>(top), x0 = static_cast<int32_t>(left);
    const bool upper = y0 >= 0, lower = y0 + 1 < problem.height;
    const bool near = x0 >= 0, far = x0 + 1 < problem.width;
    const int32_t first = y0 * problem.width + x0;
    return {{{upper && near ? first : -1, upper && far ? first + 1 : -1,
              lower && near ? first + problem.width : -1, lower && far ? first + problem.width + 1 : -1}},
            {{(1 - down) * (1 - right) * modulation, (1 - down) * right * modulation,
              down * (1 - right) * modulation, down * right * modulation}}};
}

PEM_HOST_DEVICE Corners corners_of(const Problem& problem, const OutputPixel& at, int32_t tap,
                                   const Displacement& displacement) {
    const Attributes& a = problem.attributes;
    const int32_t row = tap / a.kernel_shape[1], column = tap % a.kernel_shape[1];
    const int32_t y = at.y * a.strides[0] - a.pads[0] + row * a.dilations[0];
    const int32_t x = at.x * a.strides[1] - a.pads[1] + column * a.dilations[1];
    return corners_around(problem, y + displacement.dy, x + displacement.dx, sigmoid(displacement.logit));
}

}  // namespace pem_edge
