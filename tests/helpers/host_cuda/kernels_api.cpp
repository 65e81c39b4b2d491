// The pipeline's kernels on the host, launched by name as CUDA's driver does it, and what they are compiled with.
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

using pem_edge::Fit;
using pem_edge::Merge;

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
    {"merge_assignment_float32_2", kernel(merge_assignment_float32_2)},
    {"merge_assignment_float32_3", kernel(merge_assignment_float32_3)},
    {"merge_assignment_float16_2", kernel(merge_assignment_float16_2)},
    {"merge_assignment_float16_3", kernel(merge_assignment_float16_3)},
    {"merge_accept", kernel(merge_accept)},
    {"merge_paint", kernel(merge_paint)},
};

}  // namespace

extern "C" {

// Bytes of the kernel's one argument; 0 if there is no such kernel.
size_t argument_bytes(const char* name) {
    const auto found = kernels.find(name);
    return found == kernels.end() ? 0 : found->second.argument_bytes;
}

// `message`, of 1024 bytes, says what went wrong.
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

// Sizes of the structures and some of their members' places, in the order in which a test lists them; then constants.
const size_t* layout() {
    using namespace pem_edge;
    static const size_t values[] = {
        sizeof(Side), sizeof(Fit), sizeof(Taps), sizeof(Candidate), sizeof(Segment), sizeof(Summary), sizeof(Merge),
        offsetof(Fit, columns), offsetof(Fit, half_up), offsetof(Fit, pad), offsetof(Candidate, right),
        offsetof(Segment, right), offsetof(Summary, problems), offsetof(Merge, is_thing), offsetof(Merge, segments),
        offsetof(Merge, overlap_threshold), offsetof(Merge, score_threshold), offsetof(Merge, grid_width),
        offsetof(Merge, width), sizeof(Class), sizeof(Tile), sizeof(Contender) + sizeof(int),
        size_t(kThreads), size_t(kFitWidth), size_t(kFitHeight), size_t(kTileWidth), size_t(kTileHeight),
        size_t(kPaintPixels),
    };
    return values;
}
}
