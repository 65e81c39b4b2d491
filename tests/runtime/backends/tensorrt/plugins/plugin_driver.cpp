// Drives a built plugin library through TensorRT's interfaces, as TensorRT does, and prints what it answers.
#include <NvInfer.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace nvinfer1;

namespace {

class PrintingLogger final : public ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        std::printf("  logged %d: %s\n", static_cast<int>(severity), message);
    }
};

class Finder final : public ILoggerFinder {
public:
    ILogger* findLogger() override { return &logger_; }

private:
    PrintingLogger logger_;
};

// Expressions of known numbers; what TensorRT keeps symbolic is computed at once.
class Number final : public IDimensionExpr, public apiv::VDimensionExpr {
public:
    explicit Number(int64_t value) : value_(value) { mImpl = this; }
    bool isConstant() const override { return true; }
    int64_t getConstantValue() const override { return value_; }
    bool isSizeTensor() const override { return false; }

private:
    int64_t value_;
};

class Builder final : public IExprBuilder, public apiv::VExprBuilder {
public:
    Builder() { mImpl = this; }
    const IDimensionExpr* constant(int64_t value) override {
        numbers_.emplace_back(new Number(value));
        return numbers_.back().get();
    }
    const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                    const IDimensionExpr& second) override {
        const int64_t a = first.getConstantValue(), b = second.getConstantValue();
        if (operation == DimensionOperation::kSUM) return constant(a + b);
        if (operation == DimensionOperation::kFLOOR_DIV) return constant(a / b);
        return nullptr;
    }
    const IDimensionExpr* declareSizeTensor(int32_t, const IDimensionExpr&, const IDimensionExpr&) override {
        return nullptr;
    }

private:
    std::deque<std::unique_ptr<Number>> numbers_;
};

using Fields = std::vector<PluginField>;
using Sizes = std::vector<int64_t>;

constexpr int32_t kInputs = 4;  // X, W, raw and B

const std::vector<int64_t> kKernel{3, 3}, kStrides{2, 1}, kPads{1, 0, 2, 1}, kDilations{1, 2}, kGroup{2}, kOffsetGroup{1}, kRelu{1};

Fields good_fields() {
    const auto field = [](const char* name, const std::vector<int64_t>& values) {
        return PluginField(name, values.data(), PluginFieldType::kINT64, static_cast<int32_t>(values.size()));
    };
    return {field("kernel_shape", kKernel), field("strides", kStrides), field("pads", kPads),
            field("dilations", kDilations), field("group", kGroup),     field("offset_group", kOffsetGroup),
            field("relu", kRelu)};
}

IPluginV3* create(IPluginCreatorV3One* creator, const Fields& fields, TensorRTPhase phase) {
    PluginFieldCollection collection{};
    collection.nbFields = static_cast<int32_t>(fields.size());
    collection.fields = fields.data();
    return creator->createPlugin("node_1", &collection, phase);
}

template <typename Capability>
Capability* capability(IPluginV3* plugin, PluginCapabilityType type) {
    return static_cast<Capability*>(plugin->getCapabilityInterface(type));
}

IPluginV3OneCore* core(IPluginV3* plugin) { return capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE); }
IPluginV3OneBuild* build(IPluginV3* plugin) {
    return capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
}
IPluginV3OneRuntime* runtime(IPluginV3* plugin) {
    return capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
}

void print_fields(const PluginFieldCollection* fields) {
    std::printf("serialized");
    for (int32_t i = 0; i < fields->nbFields; ++i) {
        std::printf(" %s=", fields->fields[i].name);
        for (int32_t k = 0; k < fields->fields[i].length; ++k)
            std::printf("%s%d", k ? "," : "", static_cast<const int32_t*>(fields->fields[i].data)[k]);
    }
    std::printf("\n");
}

PluginTensorDesc tensor(const Sizes& sizes, DataType type = DataType::kHALF,
                        TensorFormat format = TensorFormat::kLINEAR) {
    PluginTensorDesc description{};
    description.dims.nbDims = static_cast<int32_t>(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) description.dims.d[i] = sizes[i];
    description.type = type;
    description.format = format;
    return description;
}

std::vector<PluginTensorDesc> tensors(int64_t batch, int64_t channels) {
    return {tensor({batch, channels, 8, 16}), tensor({9, 128, 64}), tensor({batch, 27, 5, 13}), tensor({6}),
            tensor({batch, 6, 5, 13})};
}

std::vector<DynamicPluginTensorDesc> dynamic(const std::vector<PluginTensorDesc>& tensors) {
    std::vector<DynamicPluginTensorDesc> all;
    for (const PluginTensorDesc& t : tensors) all.push_back({t, t.dims, t.dims, t.dims});
    return all;
}

void print_output_shape(IPluginV3* plugin, size_t axes) {
    Builder builder;
    DimsExprs inputs[kInputs]{}, output{};
    const std::vector<PluginTensorDesc> all = tensors(7, 4);
    for (int i = 0; i < kInputs; ++i) {
        inputs[i].nbDims = i == 0 ? static_cast<int32_t>(axes) : all[i].dims.nbDims;
        for (int32_t k = 0; k < inputs[i].nbDims; ++k) inputs[i].d[k] = builder.constant(all[i].dims.d[k]);
    }
    const int32_t error = build(plugin)->getOutputShapes(inputs, kInputs, nullptr, 0, &output, 1, builder);
    std::printf("output shape: %d", error);
    for (int32_t i = 0; i < output.nbDims; ++i) std::printf(" %d", static_cast<int>(output.d[i]->getConstantValue()));
    std::printf("\n");
}

void print_supported_formats(IPluginV3* plugin) {
    for (DataType type : {DataType::kFLOAT, DataType::kHALF, DataType::kINT8})
        for (TensorFormat x : {TensorFormat::kLINEAR, TensorFormat::kHWC8, TensorFormat::kCHW32})
            for (TensorFormat others : {TensorFormat::kLINEAR, TensorFormat::kHWC8}) {
                std::vector<DynamicPluginTensorDesc> all = dynamic(tensors(1, 4));
                bool supported = true;
                for (int32_t i = 0; i <= kInputs; ++i) {
                    all[i].desc.type = type;
                    all[i].desc.format = i == 0 ? x : i % 2 == 0 ? others : TensorFormat::kLINEAR;
                    supported = supported && build(plugin)->supportsFormatCombination(i, all.data(), kInputs, 1);
                }
                if (supported)
                    std::printf("supports type %d, X in format %d, raw and Y in %d\n", static_cast<int>(type),
                                static_cast<int>(x), static_cast<int>(others));
            }
}

void print_shape_checks(IPluginV3* plugin) {
    for (int64_t channels : {4, 5}) {
        const std::vector<PluginTensorDesc> all = tensors(1, channels);
        const std::vector<DynamicPluginTensorDesc> bounds = dynamic(all);
        std::printf("configure with %d channels: %d\n", static_cast<int>(channels),
                    build(plugin)->configurePlugin(bounds.data(), kInputs, bounds.data() + kInputs, 1));
        std::printf("change to %d channels: %d\n", static_cast<int>(channels),
                    runtime(plugin)->onShapeChange(all.data(), kInputs, all.data() + kInputs, 1));
    }
    const std::vector<DynamicPluginTensorDesc> bounds = dynamic(tensors(1, 4));
    std::printf("configure with 3 inputs: %d\n", build(plugin)->configurePlugin(bounds.data(), 3, bounds.data() + 3, 1));
    std::printf("workspace %zu\n",
                build(plugin)->getWorkspaceSize(bounds.data(), kInputs, bounds.data() + kInputs, 1));
}

void print_enqueue(IPluginV3* plugin, int64_t batch, int64_t channels) {
    const std::vector<PluginTensorDesc> all = tensors(batch, channels);
    const void* inputs[kInputs]{};
    void* outputs[1]{};
    std::printf("enqueue of batch %d with %d channels: %d\n", static_cast<int>(batch), static_cast<int>(channels),
                runtime(plugin)->enqueue(all.data(), all.data() + kInputs, inputs, outputs, nullptr, nullptr));
}

void print_refusals(IPluginCreatorV3One* creator) {
    Fields negative = good_fields(), of_floats = good_fields();
    const std::vector<int64_t> pads{1, -1, 1, 1};
    negative[2].data = pads.data();
    of_floats[0].type = PluginFieldType::kFLOAT32;
    for (const Fields& fields : {negative, of_floats, Fields{}})
        std::printf("bad fields: %s\n", create(creator, fields, TensorRTPhase::kBUILD) ? "created" : "refused");
    std::printf("no fields: %s\n", creator->createPlugin(nullptr, nullptr, TensorRTPhase::kBUILD) ? "created" : "refused");
}

}  // namespace

int main(int, char** arguments) {
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return std::printf("%s\n", dlerror()), 1;
    const auto get_creators =
        reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
    const auto set_logger_finder = reinterpret_cast<void (*)(ILoggerFinder*)>(dlsym(library, "setLoggerFinder"));
    Finder finder;
    set_logger_finder(&finder);
    int32_t count = 0;
    auto* creator = static_cast<IPluginCreatorV3One*>(get_creators(count)[0]);
    std::printf("%d creator: %s %s \"%s\", %s\n", count, creator->getPluginName(), creator->getPluginVersion(),
                creator->getPluginNamespace(), creator->getInterfaceInfo().kind);
    for (int32_t i = 0; i < creator->getFieldNames()->nbFields; ++i)
        std::printf("field %s\n", creator->getFieldNames()->fields[i].name);

    std::unique_ptr<IPluginV3> first(create(creator, good_fields(), TensorRTPhase::kBUILD));
    std::unique_ptr<IPluginV3> plugin(first->clone());
    const PluginFieldCollection* saved = plugin->getCapabilityInterface(PluginCapabilityType::kRUNTIME)
                                             ? runtime(plugin.get())->getFieldsToSerialize()
                                             : nullptr;
    first.reset();  // the clone must not depend on it
    print_fields(saved);
    std::unique_ptr<IPluginV3> loaded(create(creator, Fields(saved->fields, saved->fields + saved->nbFields),
                                             TensorRTPhase::kRUNTIME));
    std::unique_ptr<IPluginV3> attached(runtime(loaded.get())->attachToContext(nullptr));
    loaded.reset();
    print_fields(runtime(attached.get())->getFieldsToSerialize());
    std::printf("timing cache: %s\n", build(plugin.get())->getTimingCacheID());
    std::printf("plugin %s %s \"%s\" with %d output\n", core(plugin.get())->getPluginName(),
                core(plugin.get())->getPluginVersion(), core(plugin.get())->getPluginNamespace(),
                build(plugin.get())->getNbOutputs());

    const DataType inputs[kInputs] = {DataType::kHALF, DataType::kHALF, DataType::kHALF, DataType::kHALF};
    DataType output = DataType::kFLOAT;
    const int32_t error = build(plugin.get())->getOutputDataTypes(&output, 1, inputs, kInputs);
    std::printf("output type: %d %d\n", error, static_cast<int>(output));
    print_output_shape(plugin.get(), 4);
    print_output_shape(plugin.get(), 3);
    print_supported_formats(plugin.get());
    print_shape_checks(plugin.get());
    print_enqueue(plugin.get(), 0, 4);
    print_enqueue(plugin.get(), 1, 5);
    print_refusals(creator);
    set_logger_finder(nullptr);
    return 0;
}
