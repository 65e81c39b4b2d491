// The pipeline's kernels compiled for the host. They are launched by name, as with CUDA's driver.
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "panoptic_merge.cu"
#include "preprocess.cu"

namespace host_cuda {
std::string take_failure();
}

namespace {

using pem_edge::FitArguments;
using pem_edge::MergeArguments;

struct Kernel {
    const void* address;
    size_t argument_bytes;
    std::function<void(const void*)> run;
};

template <typename Argument>
Kernel kernel(void (*function)(Argument)) {
    return {reinterpret_cast<const void*>(function), sizeof(Argument),
            [function](const void* argument) { function(*static_cast<const Argument*>(argument)); }};
}

const std::map<std::string, Kernel> kernels{
    {"fit_average", kernel(fit_average)},
    {"fit_interpolation", kernel(fit_interpolation)},
    {"merge_classify_float32", kernel(merge_classify_float32)},
    {"merge_classify_float16", kernel(merge_classify_float16)},
    {"merge_assignment_float32_2_uint8", kernel(merge_assignment_float32_2_uint8)},
    {"merge_assignment_float32_2_uint16", kernel(merge_assignment_float32_2_uint16)},
    {"merge_assignment_float32_3_uint8", kernel(merge_assignment_float32_3_uint8)},
    {"merge_assignment_float32_3_uint16", kernel(merge_assignment_float32_3_uint16)},
    {"merge_assignment_float16_2_uint8", kernel(merge_assignment_float16_2_uint8)},
    {"merge_assignment_float16_2_uint16", kernel(merge_assignment_float16_2_uint16)},
    {"merge_assignment_float16_3_uint8", kernel(merge_assignment_float16_3_uint8)},
    {"merge_assignment_float16_3_uint16", kernel(merge_assignment_float16_3_uint16)},
    {"merge_accept", kernel(merge_accept)},
    {"merge_paint_uint8", kernel(merge_paint_uint8)},
    {"merge_paint_uint16", kernel(merge_paint_uint16)},
};

}  // namespace

extern "C" {

// Returns the size of the kernel's only argument, or 0 if there is no such kernel.
size_t argument_bytes(const char* name) {
    const auto found = kernels.find(name);
    return found == kernels.end() ? 0 : found->second.argument_bytes;
}

// Runs a kernel, and returns CUDA's error code. `message`, of 1024 bytes, receives the description of a failure.
int launch(const char* name, unsigned blocks_x, unsigned blocks_y, unsigned threads, unsigned shared_bytes,
           const void* argument, char* message) {
    const Kernel& found = kernels.at(name);
    cudaLaunchConfig_t config;
    config.gridDim = dim3(blocks_x, blocks_y);
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared_bytes;
    const cudaError_t error = host_cuda::run_grid(config, found.address, [&] { found.run(argument); });
    std::strncpy(message, host_cuda::take_failure().c_str(), 1023);
    return error;
}

// Returns the structures' sizes and the offsets of some members, in the order that a test expects, and then constants.
const size_t* layout() {
    using namespace pem_edge;
    static const size_t values[] = {
        sizeof(Side), sizeof(FitArguments), sizeof(Taps), sizeof(Candidate), sizeof(Segment), sizeof(Summary),
        sizeof(MergeArguments), offsetof(FitArguments, columns), offsetof(FitArguments, half_up),
        offsetof(FitArguments, pad), offsetof(Candidate, right), offsetof(Segment, right), offsetof(Summary, problems),
        offsetof(MergeArguments, is_thing), offsetof(MergeArguments, segments),
        offsetof(MergeArguments, overlap_threshold), offsetof(MergeArguments, score_threshold),
        offsetof(MergeArguments, grid_width), offsetof(MergeArguments, width), sizeof(Class), sizeof(Tile),
        sizeof(Contender) + sizeof(int),
        size_t(kThreads), size_t(kFitWidth), size_t(kFitHeight), size_t(kTileWidth), size_t(kTileHeight),
        size_t(kPaintPixels),
    };
    return values;
}
}
