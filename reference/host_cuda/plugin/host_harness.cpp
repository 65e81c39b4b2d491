// What the plugin's enqueue_harness.cpp exports, for machines without TensorRT's headers: the same checks and kernels,
// without the plugin around them.
#include <cstdio>
#include <string>

#include "fields.h"
#include "launch.h"
#include "negotiation.h"

namespace host_cuda {
std::string take_failure();
}

namespace {

using namespace pem_edge;

constexpr int32_t kRanks[kTensorCount] = {4, 3, 4, 1, 4};

bool refused(const std::string& message) {
    if (!message.empty()) std::fprintf(stderr, "%s\n", message.c_str());
    return !message.empty();
}

}  // namespace

extern "C" {

// Returns the attributes of a plugin, or null if they are refused: kernel_shape (2), strides (2), pads (4), dilations
// (2), group, offset_group, relu.
void* harness_create(const int32_t* values) {
    static const Attributes names;
    auto fields = fields_of(names);
    for (Field& field : fields) {
        field.data = values;
        values += field.length;
    }
    Attributes attributes;
    return refused(read_fields(fields.data(), kAttributeCount, attributes)) ? nullptr : new Attributes(attributes);
}

void harness_destroy(void* attributes) { delete static_cast<Attributes*>(attributes); }

// Runs the kernels, and returns 0 on success. `sizes` are those of X, W, raw, B and Y, as if all were kLINEAR.
int32_t harness_enqueue(void* plugin, const int64_t* sizes, int32_t half, int32_t hwc8, void* const* pointers,
                        void* stream) {
    const Attributes& attributes = *static_cast<Attributes*>(plugin);
    Shape shapes[kTensorCount] = {};
    for (int32_t i = 0; i < kTensorCount; ++i) {
        shapes[i].rank = kRanks[i];
        for (int32_t axis = 0; axis < kRanks[i]; ++axis) shapes[i].size[axis] = *sizes++;
    }
    if (refused(check_shapes(attributes, shapes))) return 1;
    const Form form{half ? Element::kHalf : Element::kFloat, hwc8 ? Layout::kHwc8 : Layout::kLinear};
    const Pointers typed{pointers[kX], pointers[kWeight], pointers[kRaw], pointers[kBias], pointers[kY]};
    const cudaError_t error = launch(problem_of(attributes, shapes), form, typed, static_cast<cudaStream_t>(stream));
    return refused(host_cuda::take_failure()) ? 1 : static_cast<int32_t>(error);
}
}
