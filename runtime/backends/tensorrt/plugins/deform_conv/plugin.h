// The operator as a TensorRT plugin, which translates TensorRT's types and calls the functions of the other headers.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <vector>

#include "fields.h"
#include "negotiation.h"

namespace pem_edge {

constexpr const char* kPluginName = "PemDeformConv";
constexpr const char* kPluginVersion = "2";  // ../operator.py has it, too
constexpr const char* kPluginNamespace = "";  // where the ONNX parser searches for unknown operators

class DeformConvPlugin final : public nvinfer1::IPluginV3,
                               public nvinfer1::IPluginV3OneCore,
                               public nvinfer1::IPluginV3OneBuild,
                               public nvinfer1::IPluginV3OneRuntime {
public:
    explicit DeformConvPlugin(const Attributes& attributes);
    DeformConvPlugin(const DeformConvPlugin&) = delete;  // fields point into the object
    DeformConvPlugin& operator=(const DeformConvPlugin&) = delete;

    nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override;
    nvinfer1::IPluginV3* clone() noexcept override;

    const char* getPluginName() const noexcept override { return kPluginName; }
    const char* getPluginVersion() const noexcept override { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

    int32_t getNbOutputs() const noexcept override { return 1; }
    int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t output_count, const nvinfer1::DataType* inputs,
                               int32_t input_count) const noexcept override;
    int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count, const nvinfer1::DimsExprs*, int32_t,
                            nvinfer1::DimsExprs* outputs, int32_t output_count,
                            nvinfer1::IExprBuilder&) noexcept override;
    bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                   int32_t input_count, int32_t output_count) noexcept override;
    int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                            const nvinfer1::DynamicPluginTensorDesc* outputs, int32_t output_count) noexcept override;
    const char* getTimingCacheID() noexcept override { return description_.c_str(); }
    const char* getMetadataString() noexcept override { return description_.c_str(); }

    int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::PluginTensorDesc* outputs, int32_t output_count) noexcept override;
    int32_t enqueue(const nvinfer1::PluginTensorDesc* input_descriptions,
                    const nvinfer1::PluginTensorDesc* output_descriptions, const void* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;
    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override { return clone(); }
    const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override { return &fields_to_serialize_; }

private:
    const Attributes attributes_;
    const std::string description_;
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection fields_to_serialize_;
};

class DeformConvCreator final : public nvinfer1::IPluginCreatorV3One {
public:
    DeformConvCreator();

    const char* getPluginName() const noexcept override { return kPluginName; }
    const char* getPluginVersion() const noexcept override { return kPluginVersion; }
    const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }
    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &field_names_; }
    nvinfer1::IPluginV3* createPlugin(const char* name, const nvinfer1::PluginFieldCollection* fields,
                                      nvinfer1::TensorRTPhase phase) noexcept override;

private:
    std::vector<nvinfer1::PluginField> fields_;
    nvinfer1::PluginFieldCollection field_names_;
};

}  // namespace pem_edge

// The functions that TensorRT looks up in a plugin library. Its own macro TENSORRTAPI only exports from TensorRT
// itself.
#define PEM_EXPORT __attribute__((visibility("default")))
extern "C" PEM_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder);
extern "C" PEM_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count);
