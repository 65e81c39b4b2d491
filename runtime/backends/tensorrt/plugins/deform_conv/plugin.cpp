#include "plugin.h"

#include <atomic>
#include <cstdio>
#include <exception>

#include "launch.h"

namespace pem_edge {
namespace {

using namespace nvinfer1;

constexpr int32_t kSuccess = 0, kFailure = 1;
constexpr const char* kSources = PEM_EDGE_SOURCES;  // their hash, so that other kernels' times are never taken for ours

std::atomic<ILoggerFinder*> logger_finder{nullptr};

// Logs an error to the calling thread's TensorRT logger, or to stderr if there is none, and returns kFailure.
int32_t refuse(const std::string& message) {
    const std::string line = std::string(kPluginName) + ": " + message;
    ILoggerFinder* finder = logger_finder;
    ILogger* logger = finder == nullptr ? nullptr : finder->findLogger();
    if (logger != nullptr) {
        logger->log(ILogger::Severity::kERROR, line.c_str());
    } else {
        std::fprintf(stderr, "%s\n", line.c_str());
    }
    return kFailure;
}

// Runs `action`, and returns `otherwise` if it throws, because exceptions must not reach TensorRT.
template <typename Result, typename Action>
Result guarded(Result otherwise, Action&& action) noexcept {
    try {
        return action();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", kPluginName, error.what());
    } catch (...) {
        std::fprintf(stderr, "%s: unknown exception\n", kPluginName);
    }
    return otherwise;
}

// --- Conversion of TensorRT's types ---

Form form_of(const PluginTensorDesc& tensor) {
    const Element element = tensor.type == DataType::kFLOAT  ? Element::kFloat
                            : tensor.type == DataType::kHALF ? Element::kHalf
                                                             : Element::kOther;
    const Layout layout = tensor.format == TensorFormat::kLINEAR  ? Layout::kLinear
                          : tensor.format == TensorFormat::kHWC8 ? Layout::kHwc8
                                                                 : Layout::kOther;
    return {element, layout};
}

Shape shape_of(const Dims& dims) {
    Shape shape{dims.nbDims, {}};
    for (int32_t i = 0; i < dims.nbDims && i < 8; ++i) shape.size[i] = dims.d[i];
    return shape;
}

const PluginTensorDesc& described(const PluginTensorDesc& tensor) { return tensor; }
const PluginTensorDesc& described(const DynamicPluginTensorDesc& tensor) { return tensor.desc; }

template <typename Tensor>
void shapes_of(const Tensor* inputs, const Tensor* outputs, Shape* shapes) {
    for (int i = 0; i < kTensorCount; ++i)
        shapes[i] = shape_of(described(i < kInputCount ? inputs[i] : outputs[0]).dims);
}

std::string count_complaint(int32_t inputs, int32_t outputs) {
    if (inputs == kInputCount && outputs == 1) return "";
    return std::to_string(inputs) + " inputs and " + std::to_string(outputs) +
           " outputs came, expected X, W, raw, B and Y: export the model again";
}

template <typename Tensor>
int32_t check(const Attributes& attributes, const Tensor* inputs, int32_t input_count, const Tensor* outputs,
              int32_t output_count) noexcept {
    return guarded(kFailure, [&] {
        std::string complaint = count_complaint(input_count, output_count);
        Shape shapes[kTensorCount];
        if (complaint.empty()) {
            shapes_of(inputs, outputs, shapes);
            complaint = check_shapes(attributes, shapes);
        }
        return complaint.empty() ? kSuccess : refuse(complaint);
    });
}

FieldType field_type(PluginFieldType type) {
    return type == PluginFieldType::kINT32   ? FieldType::kInt32
           : type == PluginFieldType::kINT64 ? FieldType::kInt64
                                             : FieldType::kOther;
}

std::string read_collection(const PluginFieldCollection* collection, Attributes& attributes) {
    std::vector<Field> fields;
    const bool some = collection != nullptr && collection->fields != nullptr;
    for (int32_t i = 0; some && i < collection->nbFields; ++i) {
        const PluginField& field = collection->fields[i];
        fields.push_back({field.name, field.data, field_type(field.type), field.length});
    }
    return read_fields(fields.data(), static_cast<int32_t>(fields.size()), attributes);
}

std::vector<PluginField> plugin_fields(const Attributes& attributes) {
    std::vector<PluginField> fields;
    for (const Field& field : fields_of(attributes))
        fields.emplace_back(field.name, field.data, PluginFieldType::kINT32, field.length);
    return fields;
}

PluginFieldCollection collection_of(const std::vector<PluginField>& fields) {
    PluginFieldCollection collection{};
    collection.nbFields = static_cast<int32_t>(fields.size());
    collection.fields = fields.data();
    return collection;
}

}  // namespace

DeformConvPlugin::DeformConvPlugin(const Attributes& attributes)
    : attributes_(attributes),
      description_(describe(attributes) + " sources=" + kSources),
      fields_(plugin_fields(attributes_)),
      fields_to_serialize_(collection_of(fields_)) {}

IPluginCapability* DeformConvPlugin::getCapabilityInterface(PluginCapabilityType type) noexcept {
    switch (type) {
        case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
        case PluginCapabilityType::kBUILD: return static_cast<IPluginV3OneBuild*>(this);
        case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

IPluginV3* DeformConvPlugin::clone() noexcept {
    return guarded<IPluginV3*>(nullptr, [&] { return new DeformConvPlugin(attributes_); });
}

int32_t DeformConvPlugin::getOutputDataTypes(DataType* outputs, int32_t output_count, const DataType* inputs,
                                             int32_t input_count) const noexcept {
    return guarded(kFailure, [&] {
        const std::string complaint = count_complaint(input_count, output_count);
        if (!complaint.empty()) return refuse(complaint);
        outputs[0] = inputs[kX];
        return kSuccess;
    });
}

int32_t DeformConvPlugin::getOutputShapes(const DimsExprs* inputs, int32_t input_count, const DimsExprs*, int32_t,
                                          DimsExprs* outputs, int32_t output_count, IExprBuilder&) noexcept {
    return guarded(kFailure, [&] {
        const std::string complaint = count_complaint(input_count, output_count);
        if (!complaint.empty()) return refuse(complaint);
        const DimsExprs &x = inputs[kX], &raw = inputs[kRaw], &bias = inputs[kBias];
        if (x.nbDims != 4 || raw.nbDims != 4 || bias.nbDims != 1)
            return refuse("X, raw and B have " + std::to_string(x.nbDims) + ", " + std::to_string(raw.nbDims) +
                          " and " + std::to_string(bias.nbDims) + " axes, expected 4, 4 and 1: export the model again");
        outputs[0] = {4, {x.d[0], bias.d[0], raw.d[2], raw.d[3]}};
        return kSuccess;
    });
}

bool DeformConvPlugin::supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* tensors,
                                                 int32_t input_count, int32_t output_count) noexcept {
    if (input_count != kInputCount || output_count != 1 || position < 0 || position >= kTensorCount) return false;
    Form forms[kTensorCount];
    for (int32_t i = 0; i <= position; ++i) forms[i] = form_of(tensors[i].desc);
    return supports(attributes_, position, forms);
}

int32_t DeformConvPlugin::configurePlugin(const DynamicPluginTensorDesc* inputs, int32_t input_count,
                                          const DynamicPluginTensorDesc* outputs, int32_t output_count) noexcept {
    return check(attributes_, inputs, input_count, outputs, output_count);
}

int32_t DeformConvPlugin::onShapeChange(const PluginTensorDesc* inputs, int32_t input_count,
                                        const PluginTensorDesc* outputs, int32_t output_count) noexcept {
    return check(attributes_, inputs, input_count, outputs, output_count);
}

int32_t DeformConvPlugin::enqueue(const PluginTensorDesc* input_descriptions,
                                  const PluginTensorDesc* output_descriptions, const void* const* inputs,
                                  void* const* outputs, void*, cudaStream_t stream) noexcept {
    return guarded(kFailure, [&] {
        Shape shapes[kTensorCount];
        shapes_of(input_descriptions, output_descriptions, shapes);
        const std::string complaint = check_shapes(attributes_, shapes);
        if (!complaint.empty()) return refuse(complaint);
        const Pointers pointers{inputs[kX], inputs[kWeight], inputs[kRaw], inputs[kBias], outputs[0]};
        const Problem problem = problem_of(attributes_, shapes);
        const cudaError_t error = launch(problem, form_of(input_descriptions[kX]), pointers, stream);
        if (error == cudaSuccess) return kSuccess;
        return refuse(std::string("CUDA refused the kernel: ") + cudaGetErrorString(error) +
                      "; build the plugin for this GPU with pem-export --build-plugin");
    });
}

DeformConvCreator::DeformConvCreator() {
    for (const Field& field : fields_of(Attributes{}))
        fields_.emplace_back(field.name, nullptr, PluginFieldType::kINT32, field.length);
    field_names_ = collection_of(fields_);
}

IPluginV3* DeformConvCreator::createPlugin(const char* name, const PluginFieldCollection* fields,
                                           TensorRTPhase) noexcept {
    return guarded<IPluginV3*>(nullptr, [&]() -> IPluginV3* {
        Attributes attributes;
        const std::string complaint = read_collection(fields, attributes);
        if (complaint.empty()) return new DeformConvPlugin(attributes);
        refuse((name != nullptr && *name ? std::string("node ") + name + ": " : "") + complaint);
        return nullptr;
    });
}

}  // namespace pem_edge

void setLoggerFinder(nvinfer1::ILoggerFinder* finder) { pem_edge::logger_finder = finder; }

nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
    static pem_edge::DeformConvCreator creator;
    static nvinfer1::IPluginCreatorInterface* const creators[] = {&creator};
    count = 1;
    return creators;
}
