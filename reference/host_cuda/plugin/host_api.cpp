// What the tests call through ctypes: the plugin's kernels and logic, compiled for the host.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "cuda_fp16.h"
#include "fields.h"
#include "kernels/half_tile.cuh"
#include "launch.h"
#include "negotiation.h"

namespace host_cuda {
std::string take_failure();
}

namespace {

using namespace pem_edge;
using host_cuda::Device;

// ctypes gets text in a buffer of the caller's, 1024 bytes.
void give(const std::string& text, char* to) { std::strncpy(to, text.c_str(), 1023); }

// The most words of one bank of shared memory that eight threads want, each of which reads or writes 16 bytes.
template <typename Address>
int bank_conflicts(unsigned threads, Address&& address) {
    size_t most = 0;
    for (unsigned first = 0; first < threads; first += 8) {
        std::set<uintptr_t> words[32];
        for (threadIdx.x = first; threadIdx.x < first + 8; ++threadIdx.x)
            for (uintptr_t byte = 0; byte < 16; byte += 4) {
                const uintptr_t word = (reinterpret_cast<uintptr_t>(address()) + byte) / 4;
                words[word % 32].insert(word);
            }
        for (const auto& wanted : words) most = std::max(most, wanted.size());
    }
    return static_cast<int>(most);
}

template <int kPixels, int kOutputs>
void count_conflicts(int* counts) {
    using Tile = HalfTile<kPixels, kOutputs>;
    alignas(128) static typename Tile::Samples samples;
    alignas(128) static CornerTable<kPixels> corners;
    std::fill_n(counts, 4, 0);
    counts[0] = bank_conflicts(kPixels, [] { return &corners.pixels[threadIdx.x]; });
    for (int i = 0; i < Tile::kItems; ++i) {
        counts[1] = std::max(counts[1], bank_conflicts(Tile::kThreads, [&] {
            return &corners.weights[Tile::Gather::row(i)];
        }));
        counts[2] = std::max(counts[2], bank_conflicts(Tile::kThreads, [&] {
            return Tile::Gather::place(samples, i);
        }));
    }
    counts[3] = bank_conflicts(kPixels, [] { return &samples[threadIdx.x][0]; });
}

}  // namespace

extern "C" {

// Counts `bank_conflicts` of the half tile where corners are written, corners are read, samples are written, and the
// product reads rows of samples. 1 is none.
void half_tile_conflicts(int pixels, int outputs, int* counts) {
    const auto count = pixels == 128  ? (outputs == 128 ? count_conflicts<128, 128> : count_conflicts<128, 64>)
                       : pixels == 64 ? (outputs == 128 ? count_conflicts<64, 128> : count_conflicts<64, 64>)
                       : pixels == 32 ? (outputs == 128 ? count_conflicts<32, 128> : count_conflicts<32, 64>)
                                      : (outputs == 128 ? count_conflicts<16, 128> : count_conflicts<16, 64>);
    count(counts);
}

// `kernel`: 0 what `launch` chooses, 1 simple, 2 fused. Returns the CUDA error; `message` says what went wrong.
int run(const Problem* problem, int element, int layout, int kernel, const Device* device, const Pointers* pointers,
        char* message) {
    const Form form{static_cast<Element>(element), static_cast<Layout>(layout)};
    host_cuda::device = *device;
    const cudaError_t error = kernel == 1   ? launch_simple(*problem, form, *pointers, nullptr)
                              : kernel == 2 ? launch_fused(*problem, form, *pointers, nullptr)
                                            : launch(*problem, form, *pointers, nullptr);
    give(host_cuda::take_failure(), message);
    return error;
}

// Memory aligned as a GPU's and not a byte longer than asked for, so that address sanitizers see what goes past its end.
void* allocate(size_t bytes) {
    void* memory = nullptr;
    return posix_memalign(&memory, 256, bytes ? bytes : 1) == 0 ? memory : nullptr;
}

void release(void* memory) { std::free(memory); }

// Blocks of the last launch, along pixels and along output channels.
void last_grid(unsigned* blocks) {
    blocks[0] = gridDim.x;
    blocks[1] = gridDim.y;
}

void read(const Field* fields, int32_t count, Attributes* attributes, char* message) {
    give(read_fields(fields, count, *attributes), message);
}

// Writes the attributes as fields and reads those again, as saving and loading an engine does.
void reread(const Attributes* attributes, Attributes* again, char* message) {
    const auto fields = fields_of(*attributes);
    give(read_fields(fields.data(), kAttributeCount, *again), message);
}

void describe_attributes(const Attributes* attributes, char* text) { give(describe(*attributes), text); }

bool supported(const Attributes* attributes, int position, const Form* forms) {
    return supports(*attributes, position, forms);
}

void check(const Attributes* attributes, const Shape* shapes, char* message) {
    give(check_shapes(*attributes, shapes), message);
}

int64_t output_extent(int64_t size, const Attributes* attributes, int axis) {
    return output_size(size, *attributes, axis);
}

// The shim's own arithmetic in half, so that it can be held against numpy's.
void to_half(const float* from, __half* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = __float2half(from[i]);
}

void from_half(const __half* from, float* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = __half2float(from[i]);
}
}
