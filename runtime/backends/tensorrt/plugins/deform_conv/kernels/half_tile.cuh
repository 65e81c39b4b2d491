// The fused kernel's tile in half precision: samples the format kHWC8, 8 channels per load, and multiplies with tensor
// cores.
#pragma once

#include <mma.h>

#include "element.cuh"

namespace pem_edge {

template <int kPixelCount, int kOutputCount>
struct HalfTile {
    using Value = __half;
    static constexpr int kPixels = kPixelCount, kOutputs = kOutputCount;
    static constexpr int kDepth = kPixels >= 64 ? 32 : 2048 / kPixels;  // input channels per step

    // The tile is divided among the warps, and each warp's part into 16 x 16 fragments for the tensor cores.
    static constexpr int kSide = 16;
    static constexpr int kWarpRows = kPixels >= 128 ? 4 : kPixels >= 32 ? 2 : 1;
    static constexpr int kWarpColumns = 8 / kWarpRows < kOutputs / kSide ? 8 / kWarpRows : kOutputs / kSide;
    static constexpr int kRowFragments = kPixels / kSide / kWarpRows;
    static constexpr int kColumnFragments = kOutputs / kSide / kWarpColumns;
    static constexpr int kWarpOutputs = kColumnFragments * kSide;
    static constexpr int kWarps = kWarpRows * kWarpColumns, kThreads = kWarps * 32;

    // Rows are padded by 16 bytes, so that 8 rows that are read at the same time are in different banks.
    using Samples = __half[kPixels][kDepth + 8];
    using Weights = __half[kDepth][kOutputs + 8];
    using Results = float[kWarps][kSide][kWarpOutputs + 4];

    static constexpr int kVectors = kDepth / 8, kItems = kPixels * kVectors / kThreads;
    static_assert(kItems * kThreads == kPixels * kVectors, "each thread gathers equally much");

    __device__ static int32_t image_index(const Problem& problem, int32_t n) { return n * problem.plane(); }

    // A displacement as it is loaded, because registers are scarce.
    struct Loaded {
        __half2 offset;
        __half logit;

        __device__ operator Displacement() const {
            const float2 pixels = __half22float2(offset);
            return {pixels.x, pixels.y, __half2float(logit)};
        }
    };

    // A pixel's values are adjacent, so that dy and dx of a tap are a single load. If there are nine taps, all take 64
    // bytes, which the loads of the first tap bring into the cache.
    __device__ static Loaded load_displacement(const Problem& problem, const __half* raw, int32_t out_pixel,
                                               int32_t tap) {
        const __half* values = raw + out_pixel * round_up(3 * problem.taps(), 8);
        return {__ldg(reinterpret_cast<const __half2*>(values + 2 * tap)), __ldg(values + 2 * problem.taps() + tap)};
    }

    // The neighbors of this thread's samples, kept in registers from their load to their use one step later.
    class Gather {
    public:
        __device__ void load(const Problem& problem, const __half* x, const CornerTable<kPixels>& corners,
                             int32_t first_channel) {
            const int32_t pitch = round_up(problem.channels, 8);
#pragma unroll
            for (int i = 0; i < kItems; ++i) {
                const int32_t channel = first_channel + vector(i) * 8;
                const CornerPixels pixels = corners.pixels[row(i)];  // a single load for all four neighbors
#pragma unroll
                for (int k = 0; k < 4; ++k) {
                    values_[i][k] = make_uint4(0, 0, 0, 0);
                    if (pixels.at[k] >= 0 && channel < problem.channels)
                        values_[i][k] = __ldg(reinterpret_cast<const uint4*>(x + pixels.at[k] * pitch + channel));
                }
            }
        }

        __device__ void store(const Problem& problem, const CornerTable<kPixels>& corners, int32_t first_channel,
                              Samples& samples) const {
#pragma unroll
            for (int i = 0; i < kItems; ++i) {
                float sum[8] = {};
                const CornerWeights weights = corners.weights[row(i)];
#pragma unroll
                for (int k = 0; k < 4; ++k) add(sum, values_[i][k], weights.at[k]);
                if (first_channel + kDepth > problem.channels)
                    clear_from(sum, problem.channels - first_channel - vector(i) * 8);
                *reinterpret_cast<uint4*>(place(samples, i)) = packed(sum);
            }
        }

        __device__ static uint4 packed(const float (&values)[8]) {
            uint4 bits;
            __half2* halves = reinterpret_cast<__half2*>(&bits);
#pragma unroll
            for (int i = 0; i < 4; ++i) halves[i] = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
            return bits;
        }

        __device__ static __half* place(Samples& samples, int i) { return &samples[row(i)][vector(i) * 8]; }

        // Eight threads reach shared memory at a time. If they fill two rows, these are four apart, as the padding puts
        // rows next to each other partly in the same banks.
        __device__ static int row(int i) {
            const int row = threadIdx.x / kVectors;
            return (kVectors == 4 ? row / 8 * 8 + row % 2 * 4 + row / 2 % 4 : row) + i * (kThreads / kVectors);
        }

    private:
        __device__ static int vector(int i) { return (threadIdx.x + i * kThreads) % kVectors; }

        __device__ static void add(float (&sum)[8], const uint4& bits, float weight) {
            const __half2* halves = reinterpret_cast<const __half2*>(&bits);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float2 pair = __half22float2(halves[i]);
                sum[2 * i] += weight * pair.x;
                sum[2 * i + 1] += weight * pair.y;
            }
        }

        // Clears the channels that pad X to a multiple of 8, which may hold any values, even NaN.
        __device__ static void clear_from(float (&sum)[8], int32_t count) {
            if (count >= 8) return;
#pragma unroll
            for (int i = 0; i < 8; ++i)
                if (i >= count) sum[i] = 0;
        }

        uint4 values_[kItems][4];
    };

    class Product {
    public:
        __device__ Product() {
#pragma unroll
            for (int row = 0; row < kRowFragments; ++row)
#pragma unroll
                for (int column = 0; column < kColumnFragments; ++column)
                    nvcuda::wmma::fill_fragment(sums_[row][column], 0.0f);
        }

        __device__ void add(const Samples& samples, const Weights& weights) {
            using namespace nvcuda::wmma;
#pragma unroll
            for (int k = 0; k < kDepth; k += kSide) {
                fragment<matrix_a, kSide, kSide, kSide, __half, row_major> a[kRowFragments];
#pragma unroll
                for (int row = 0; row < kRowFragments; ++row)
                    load_matrix_sync(a[row], &samples[first_row() + row * kSide][k], kDepth + 8);
#pragma unroll
                for (int column = 0; column < kColumnFragments; ++column) {
                    fragment<matrix_b, kSide, kSide, kSide, __half, row_major> b;
                    load_matrix_sync(b, &weights[k][first_column() + column * kSide], kOutputs + 8);
#pragma unroll
                    for (int row = 0; row < kRowFragments; ++row)
                        mma_sync(sums_[row][column], a[row], b, sums_[row][column]);
                }
            }
        }

        // Each warp stores 16 rows at a time in its part of `results`, from where its lanes can load whole vectors.
        __device__ void write(const Problem& problem, const __half* bias, __half* y, int32_t first_pixel,
                              int32_t first_output, Results& results) const {
            auto& staged = results[threadIdx.x / 32];
#pragma unroll
            for (int row = 0; row < kRowFragments; ++row) {
#pragma unroll
                for (int column = 0; column < kColumnFragments; ++column)
                    nvcuda::wmma::store_matrix_sync(&staged[0][column * kSide], sums_[row][column], kWarpOutputs + 4,
                                                    nvcuda::wmma::mem_row_major);
                __syncwarp();
                write_rows(problem, bias, y, first_pixel + first_row() + row * kSide, first_output + first_column(),
                           staged);
                __syncwarp();
            }
        }

    private:
        static constexpr int kRowVectors = kWarpOutputs / 8;

        __device__ static int first_row() { return threadIdx.x / 32 / kWarpColumns * kRowFragments * kSide; }
        __device__ static int first_column() { return threadIdx.x / 32 % kWarpColumns * kWarpOutputs; }

        __device__ static void write_rows(const Problem& problem, const __half* bias, __half* y, int32_t first_pixel,
                                          int32_t first_output, const float (&staged)[kSide][kWarpOutputs + 4]) {
            const int32_t pitch = round_up(problem.out_channels, 8);
            for (int item = threadIdx.x % 32; item < kSide * kRowVectors; item += 32) {
                const int32_t row = item / kRowVectors, column = item % kRowVectors * 8;
                const int32_t pixel = first_pixel + row, output = first_output + column;
                if (pixel >= problem.out_pixels() || output >= pitch) continue;
                float values[8];
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const bool padding = output + i >= problem.out_channels;
                    values[i] =
                        padding ? 0
                                : activated(problem, staged[row][column + i] + pem_edge::load(bias + output + i));
                }
                *reinterpret_cast<uint4*>(y + pixel * pitch + output) = Gather::packed(values);
            }
        }

        nvcuda::wmma::fragment<nvcuda::wmma::accumulator, kSide, kSide, kSide, float>
            sums_[kRowFragments][kColumnFragments];
    };
};

}  // namespace pem_edge
