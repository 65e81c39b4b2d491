// The fused kernel's tile in single precision: samples the format kLINEAR, and multiplies in registers.
#pragma once

#include "element.cuh"

namespace pem_edge {

template <int kPixelCount, int kOutputCount>
struct FloatTile {
    using Value = float;
    static constexpr int kPixels = kPixelCount, kOutputs = kOutputCount;
    static constexpr int kThreads = 256, kItems = 4;
    static constexpr int kDepth = kThreads * kItems / kPixels;  // input channels per step

    using Samples = float[kDepth][kPixels];
    using Weights = float[kDepth][kOutputs];
    struct Results {};  // written from registers

    __device__ static int32_t image_index(const Problem& problem, int32_t n) {
        return n * problem.channels * problem.plane();
    }

    using Loaded = Displacement;

    __device__ static Loaded load_displacement(const Problem& problem, const float* raw, int32_t out_pixel,
                                               int32_t tap) {
        const Strides strides = linear_strides(3 * problem.taps(), problem.out_plane());
        return pem_edge::load_displacement(problem, strides, raw, output_pixel(problem, out_pixel), 0, tap);
    }

    // The neighbors of this thread's samples, kept in registers from their load to their use one step later.
    class Gather {
    public:
        __device__ void load(const Problem& problem, const float* x, const CornerTable<kPixels>& corners,
                             int32_t first_channel) {
            const CornerPixels pixels = corners.pixels[column()];
#pragma unroll
            for (int i = 0; i < kItems; ++i) {
                const int32_t channel = first_channel + depth(i);
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    const bool inside = pixels.at[k] >= 0 && channel < problem.channels;
                    values_[i][k] = inside ? __ldg(x + pixels.at[k] + channel * problem.plane()) : 0.0f;
                }
            }
        }

        __device__ void store(const Problem&, const CornerTable<kPixels>& corners, int32_t, Samples& samples) const {
            const CornerWeights weights = corners.weights[column()];
#pragma unroll
            for (int i = 0; i < kItems; ++i)
                samples[depth(i)][column()] = values_[i][0] * weights.at[0] + values_[i][1] * weights.at[1] +
                                              values_[i][2] * weights.at[2] + values_[i][3] * weights.at[3];
        }

    private:
        // Neighboring threads load neighboring pixels, which are adjacent in memory.
        __device__ static int column() { return threadIdx.x % kPixels; }
        __device__ static int depth(int i) { return threadIdx.x / kPixels + i * (kThreads / kPixels); }

        float values_[kItems][4];
    };

    // The matrix product. Thread (s, t) of 16 x 16 computes pixels s, s + 16, ... for outputs 4 t to 4 t + 3 and, if
    // there are 128 outputs, 64 + 4 t to 64 + 4 t + 3.
    class Product {
    public:
        __device__ void add(const Samples& samples, const Weights& weights) {
#pragma unroll
            for (int k = 0; k < kDepth; ++k) {
                float a[kRows], b[kColumns];
#pragma unroll
                for (int row = 0; row < kRows; ++row) a[row] = samples[k][pixel(row)];
#pragma unroll
                for (int column = 0; column < kColumns; column += 4)
                    *reinterpret_cast<float4*>(&b[column]) =
                        *reinterpret_cast<const float4*>(&weights[k][output(column)]);
#pragma unroll
                for (int row = 0; row < kRows; ++row)
#pragma unroll
                    for (int column = 0; column < kColumns; ++column) sums_[row][column] += a[row] * b[column];
            }
        }

        __device__ void write(const Problem& problem, const float* bias, float* y, int32_t first_pixel,
                              int32_t first_output, Results&) const {
            const Strides strides = linear_strides(problem.out_channels, problem.out_plane());
#pragma unroll
            for (int row = 0; row < kRows; ++row) {
                const OutputPixel at = output_pixel(problem, first_pixel + pixel(row));
                if (at.n >= problem.batch) continue;
#pragma unroll
                for (int column = 0; column < kColumns; ++column) {
                    const int32_t c = first_output + output(column);
                    if (c < problem.out_channels)
                        y[strides.at(at.n, c, at.pixel)] =
                            activated(problem, sums_[row][column] + pem_edge::load(bias + c));
                }
            }
        }

    private:
        static constexpr int kRows = kPixels / 16, kColumns = kOutputs / 16;

        __device__ static int pixel(int row) { return threadIdx.x % 16 + row * 16; }
        __device__ static int output(int column) { return column / 4 * 64 + threadIdx.x / 16 * 4 + column % 4; }

        float sums_[kRows][kColumns] = {};
    };
};

}  // namespace pem_edge
