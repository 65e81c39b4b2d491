// The convolution as an implicit matrix product: the samples for a tile of output pixels exist only in shared memory,
// never in global memory.
//
// A step processes one tap and kDepth input channels. During the product of one step, the neighbors of the next step's
// samples are loaded into registers, and the next step's weights into shared memory. The sampling locations of a tap
// are computed once per pixel, two steps ahead, and used for all channels.
#include <cuda_pipeline.h>

#include "float_tile.cuh"
#include "half_tile.cuh"

namespace pem_edge {

extern __shared__ __align__(128) unsigned char shared_memory[];

namespace {

template <typename Tile>
struct Shared {
    struct Stages {
        alignas(128) typename Tile::Samples samples[2];
        alignas(128) typename Tile::Weights weights[2];
        CornerTable<Tile::kPixels> corners[2];
    };
    union {
        Stages stages;
        typename Tile::Results results;
    };
};

// Computes the sampling locations of one output pixel: thread t those of the tile's pixel t.
template <typename Tile>
class Locator {
public:
    using T = typename Tile::Value;

    __device__ Locator(const Problem& problem, const Operands<T>& operands) : problem_(problem), operands_(operands) {}

    __device__ typename Tile::Loaded load(int32_t tap) const {
        if (threadIdx.x >= Tile::kPixels || index() >= problem_.out_pixels()) return {};
        return Tile::load_displacement(problem_, operands_.raw, index(), tap);
    }

    __device__ void store(int32_t tap, const typename Tile::Loaded& displacement,
                          CornerTable<Tile::kPixels>& table) const {
        if (threadIdx.x >= Tile::kPixels) return;
        Corners corners = no_corners();
        if (index() < problem_.out_pixels()) corners = corners_of(problem_, at(), tap, displacement);
        for (int32_t& pixel : corners.pixel.at)
            if (pixel >= 0) pixel += Tile::image_index(problem_, at().n);
        table.pixels[threadIdx.x] = corners.pixel;
        table.weights[threadIdx.x] = corners.weight;
    }

private:
    // Computed again for each tap, because registers are scarcer than divisions.
    __device__ static int32_t index() { return blockIdx.x * Tile::kPixels + threadIdx.x; }
    __device__ OutputPixel at() const { return output_pixel(problem_, index()); }

    const Problem& problem_;
    const Operands<T>& operands_;
};

template <typename Tile>
__device__ void copy_weights(const typename Tile::Value* from, int32_t pitch, typename Tile::Weights& weights) {
    constexpr int kValues = 16 / sizeof(typename Tile::Value), kVectors = Tile::kOutputs / kValues;
#pragma unroll
    for (int item = threadIdx.x; item < Tile::kDepth * kVectors; item += Tile::kThreads) {
        const int row = item / kVectors, column = item % kVectors * kValues;
        __pipeline_memcpy_async(&weights[row][column], from + row * pitch + column, 16);
    }
    __pipeline_commit();
}

// A step: one tap, and kDepth input channels from `channel` on.
struct Step {
    int32_t tap = 0, channel = 0;

    template <typename Tile>
    __device__ bool ends_tap(const Problem& problem) const {
        return channel + Tile::kDepth >= problem.channels;
    }

    __device__ int32_t weight_row(const Problem& problem) const {
        return tap * weight_rows(problem.channels) + channel;
    }

    template <typename Tile>
    __device__ void advance(const Problem& problem) {
        if (ends_tap<Tile>(problem)) {
            channel = 0;
            ++tap;
        } else {
            channel += Tile::kDepth;
        }
    }
};

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    fused_kernel(Problem problem, Operands<typename Tile::Value> operands) {
    static_assert(kLargestDepth % Tile::kDepth == 0 && kLargestOutputs % Tile::kOutputs == 0, "weights are whole tiles");
    auto& shared = *reinterpret_cast<Shared<Tile>*>(shared_memory);
    auto& stages = shared.stages;

    const int32_t first_output = blockIdx.y * Tile::kOutputs;
    const int32_t pitch = gridDim.y * Tile::kOutputs;  // takes no registers
    const typename Tile::Value* weights = operands.weight + first_output;
    const Locator<Tile> locator(problem, operands);
    typename Tile::Gather gather;
    typename Tile::Product product;

    Step next;  // the step whose data is being loaded
    copy_weights<Tile>(weights, pitch, stages.weights[0]);
    locator.store(0, locator.load(0), stages.corners[0]);
    if (problem.taps() > 1 && next.ends_tap<Tile>(problem)) locator.store(1, locator.load(1), stages.corners[1]);
    __syncthreads();
    gather.load(problem, operands.x, stages.corners[0], 0);
    gather.store(problem, stages.corners[0], 0, stages.samples[0]);

    for (int parity = 0; next.tap < problem.taps(); parity ^= 1) {
        __pipeline_wait_prior(0);
        __syncthreads();  // this step's data is complete, and the buffers of the next step are no longer read
        next.advance<Tile>(problem);
        const CornerTable<Tile::kPixels>& corners = stages.corners[next.tap % 2];
        const bool fetch = next.tap < problem.taps();
        const bool locate = next.tap + 1 < problem.taps() && next.ends_tap<Tile>(problem);
        typename Tile::Loaded displacement{};
        if (fetch) {
            copy_weights<Tile>(weights + next.weight_row(problem) * pitch, pitch, stages.weights[parity ^ 1]);
            gather.load(problem, operands.x, corners, next.channel);
        }
        if (locate) displacement = locator.load(next.tap + 1);
        product.add(stages.samples[parity], stages.weights[parity]);
        if (fetch) gather.store(problem, corners, next.channel, stages.samples[parity ^ 1]);
        if (locate) locator.store(next.tap + 1, displacement, stages.corners[(next.tap + 1) % 2]);
    }
    __syncthreads();
    product.write(problem, operands.bias, operands.y, blockIdx.x * Tile::kPixels, first_output, shared.results);
}

template <typename Tile>
cudaError_t start(const Problem& problem, const Pointers& pointers, cudaStream_t stream) {
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(divide_up(problem.out_pixels(), Tile::kPixels),
                          weight_columns(problem.out_channels) / Tile::kOutputs);
    config.blockDim = dim3(Tile::kThreads);
    config.dynamicSmemBytes = sizeof(Shared<Tile>);
    config.stream = stream;
    const cudaError_t error = cudaFuncSetAttribute(
        fused_kernel<Tile>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(sizeof(Shared<Tile>)));
    if (error != cudaSuccess) return error;
    return cudaLaunchKernelEx(&config, fused_kernel<Tile>, problem, operands_of<typename Tile::Value>(pointers));
}

int64_t device_attribute(cudaDeviceAttr attribute) {
    int device = 0, value = 0;
    if (cudaGetDevice(&device) == cudaSuccess) cudaDeviceGetAttribute(&value, attribute, device);
    return value;
}

// Starts the kernel with the largest tile for which nearly every multiprocessor still gets two blocks. Larger tiles
// read the weights less often, but two blocks on a multiprocessor hide each other's latency. The smallest tile needs
// more shared memory than the oldest GPUs have.
template <template <int, int> class Tile, int kOutputs>
cudaError_t start_tiled(const Problem& problem, const Pointers& pointers, cudaStream_t stream) {
    const int64_t enough = device_attribute(cudaDevAttrMultiProcessorCount) * 7 / 4;
    const int64_t shared_bytes = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    const auto fills = [&](int32_t pixels) {
        return int64_t{divide_up(problem.out_pixels(), pixels)} * divide_up(problem.out_channels, kOutputs) >= enough;
    };
    if (fills(128)) return start<Tile<128, kOutputs>>(problem, pointers, stream);
    if (fills(64)) return start<Tile<64, kOutputs>>(problem, pointers, stream);
    if (fills(32) || shared_bytes < static_cast<int64_t>(sizeof(Shared<Tile<16, kOutputs>>)))
        return start<Tile<32, kOutputs>>(problem, pointers, stream);
    return start<Tile<16, kOutputs>>(problem, pointers, stream);
}

template <template <int, int> class Tile>
cudaError_t start_any(const Problem& problem, const Pointers& pointers, cudaStream_t stream) {
    constexpr int kFew = tile_outputs(1);
    if (tile_outputs(problem.out_channels) == kFew) return start_tiled<Tile, kFew>(problem, pointers, stream);
    return start_tiled<Tile, kLargestOutputs>(problem, pointers, stream);
}

}  // namespace

cudaError_t launch_fused(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream) {
    return form.element == Element::kHalf ? start_any<HalfTile>(problem, pointers, stream)
                                          : start_any<FloatTile>(problem, pointers, stream);
}

}  // namespace pem_edge
