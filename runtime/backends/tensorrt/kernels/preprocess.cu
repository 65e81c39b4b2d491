// Fits an image to a model's input: scales it as OpenCV does, and pads it at the bottom and right.
#include "arguments.h"

namespace pem_edge {
namespace {

constexpr int kChannels = 3;

__device__ int inside(int index, int size) { return min(max(index, 0), size - 1); }

__device__ unsigned char byte_of(int value) { return static_cast<unsigned char>(min(max(value, 0), 255)); }

__device__ const unsigned char* source_pixel(const FitArguments& fit, int row, int column) {
    const size_t pixel = size_t(inside(row, fit.rows.source)) * fit.columns.source + inside(column, fit.columns.source);
    return fit.source + pixel * kChannels;
}

// OpenCV's INTER_AREA: sums each row in FP32, then the rows. The intrinsics prevent fused multiply-add, which OpenCV
// does not use.
struct Average {
    __device__ static void at(const FitArguments& fit, int y, int x, unsigned char* pixel) {
        const float* row_weights = fit.rows.weights + size_t(y) * fit.rows.taps;
        const float* column_weights = fit.columns.weights + size_t(x) * fit.columns.taps;
        float sum[kChannels] = {};
        for (int row = 0; row < fit.rows.taps; ++row) {
            float row_sum[kChannels] = {};
            for (int column = 0; column < fit.columns.taps; ++column) {
                const unsigned char* source = source_pixel(fit, fit.rows.first[y] + row, fit.columns.first[x] + column);
                for (int c = 0; c < kChannels; ++c)
                    row_sum[c] = __fadd_rn(row_sum[c], __fmul_rn(source[c], column_weights[column]));
            }
            for (int c = 0; c < kChannels; ++c) sum[c] = __fadd_rn(sum[c], __fmul_rn(row_sum[c], row_weights[row]));
        }
        for (int c = 0; c < kChannels; ++c) {
            const float mean = __fmul_rn(sum[c], fit.scale);
            pixel[c] = byte_of(static_cast<int>(fit.half_up ? floorf(__fadd_rn(mean, 0.5f)) : rintf(mean)));
        }
    }
};

// OpenCV's INTER_LINEAR: weights are multiples of 1/2048, and the contribution of each row is rounded down separately.
struct Interpolation {
    __device__ static void at(const FitArguments& fit, int y, int x, unsigned char* pixel) {
        const float* row_weights = fit.rows.weights + size_t(y) * 2;
        const float* column_weights = fit.columns.weights + size_t(x) * 2;
        int sum[kChannels] = {};
        for (int row = 0; row < 2; ++row) {
            const unsigned char* left = source_pixel(fit, fit.rows.first[y] + row, fit.columns.first[x]);
            const unsigned char* right = source_pixel(fit, fit.rows.first[y] + row, fit.columns.first[x] + 1);
            for (int c = 0; c < kChannels; ++c) {
                const int across = left[c] * static_cast<int>(column_weights[0]) +
                                   right[c] * static_cast<int>(column_weights[1]);
                sum[c] += (static_cast<int>(row_weights[row]) * (across >> 4)) >> 16;
            }
        }
        for (int c = 0; c < kChannels; ++c) pixel[c] = byte_of((sum[c] + 2) >> 2);
    }
};

template <typename Scaling>
__device__ void fit_image(const FitArguments& fit) {
    const int first_x = blockIdx.x * kFitWidth, first_y = blockIdx.y * kFitHeight;
    for (int i = threadIdx.x; i < kFitWidth * kFitHeight; i += kThreads) {
        const int x = first_x + i % kFitWidth, y = first_y + i / kFitWidth;
        if (x >= fit.columns.padded || y >= fit.rows.padded) continue;
        unsigned char* pixel = fit.target + (size_t(y) * fit.columns.padded + x) * kChannels;
        if (x < fit.columns.scaled && y < fit.rows.scaled)
            Scaling::at(fit, y, x, pixel);
        else
            for (int c = 0; c < kChannels; ++c) pixel[c] = fit.pad[c];
    }
}

}  // namespace
}  // namespace pem_edge

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) fit_average(pem_edge::FitArguments fit) {
    pem_edge::fit_image<pem_edge::Average>(fit);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) fit_interpolation(pem_edge::FitArguments fit) {
    pem_edge::fit_image<pem_edge::Interpolation>(fit);
}
