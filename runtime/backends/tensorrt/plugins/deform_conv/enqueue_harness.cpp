// Runs the plugin without TensorRT, through the same interfaces, on device pointers of any library. Python calls these
// functions through ctypes for checks and measurements. Not part of the plugin.
#include "plugin.h"

namespace {

using namespace nvinfer1;
using pem_edge::kInputCount;
using pem_edge::kTensorCount;

Dims dims_of(const int64_t* sizes, int32_t rank) {
    Dims dims{};
    dims.nbDims = rank;
    for (int32_t i = 0; i < rank; ++i) dims.d[i] = sizes[i];
    return dims;
}

// Fills `tensors`. `shapes` has the sizes of X (4), W (3), raw (4), B (1) and Y (4), as if all were kLINEAR.
void describe(const int64_t* shapes, int32_t half, int32_t hwc8, PluginTensorDesc* tensors) {
    constexpr int32_t kRanks[kTensorCount] = {4, 3, 4, 1, 4};
    for (int32_t i = 0; i < kTensorCount; ++i) {
        const int32_t rank = kRanks[i];
        tensors[i].dims = dims_of(shapes, rank);
        tensors[i].type = half ? DataType::kHALF : DataType::kFLOAT;
        tensors[i].format = hwc8 && rank == 4 ? TensorFormat::kHWC8 : TensorFormat::kLINEAR;
        tensors[i].scale = 1.0F;
        shapes += rank;
    }
}

}  // namespace

extern "C" {

// Returns a plugin, or null if the plugin refuses the attributes: kernel_shape (2), strides (2), pads (4), dilations
// (2), group, offset_group, relu.
PEM_EXPORT void* harness_create(const int32_t* attributes) {
    int32_t count = 0;
    auto* creator = static_cast<IPluginCreatorV3One*>(getCreators(count)[0]);
    const PluginFieldCollection* names = creator->getFieldNames();
    PluginField fields[pem_edge::kAttributeCount];
    for (int32_t i = 0; i < names->nbFields; ++i) {
        fields[i] = PluginField(names->fields[i].name, attributes, PluginFieldType::kINT32, names->fields[i].length);
        attributes += names->fields[i].length;
    }
    PluginFieldCollection collection{};
    collection.nbFields = names->nbFields;
    collection.fields = fields;
    return creator->createPlugin("harness", &collection, TensorRTPhase::kRUNTIME);
}

PEM_EXPORT void harness_destroy(void* plugin) { delete static_cast<IPluginV3*>(plugin); }

// Enqueues a run, and returns 0 on success. `pointers` has X, W, raw, B and Y on the device, all of half or single
// precision; X, raw and Y are in kHWC8 if `hwc8`.
PEM_EXPORT int32_t harness_enqueue(void* plugin, const int64_t* shapes, int32_t half, int32_t hwc8,
                                   void* const* pointers, void* stream) {
    auto* runtime = static_cast<IPluginV3OneRuntime*>(
        static_cast<IPluginV3*>(plugin)->getCapabilityInterface(PluginCapabilityType::kRUNTIME));
    PluginTensorDesc tensors[kTensorCount];
    describe(shapes, half, hwc8, tensors);
    const int32_t refused = runtime->onShapeChange(tensors, kInputCount, tensors + kInputCount, 1);
    if (refused != 0) return refused;
    return runtime->enqueue(tensors, tensors + kInputCount, pointers, pointers + kInputCount, nullptr,
                            static_cast<cudaStream_t>(stream));
}
}
