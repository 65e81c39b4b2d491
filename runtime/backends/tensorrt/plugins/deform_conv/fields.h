// Reads, checks and writes the operator's attributes as plugin fields. Does not need CUDA's or TensorRT's headers.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "geometry.h"

namespace pem_edge {

enum class FieldType { kInt32, kInt64, kOther };

struct Field {
    const char* name;
    const void* data;
    FieldType type;
    int32_t length;
};

constexpr int kAttributeCount = 7;

// Returns one int32 field per attribute, pointing into `attributes`. An engine file contains the same fields.
std::array<Field, kAttributeCount> fields_of(const Attributes& attributes);

// Reads fields from the ONNX parser (int32 or int64, depending on its version) or from an engine file, and copies their
// data. Missing attributes get ONNX's defaults, `relu` 0; kernel_shape is required. Returns an empty string or, if
// a field is wrong, a message of one line with what came, what was expected and the cure; then `attributes` is
// unchanged.
std::string read_fields(const Field* fields, int32_t count, Attributes& attributes);

// Returns all attributes as a text such as "kernel_shape=3,3 strides=1,1 ...", which identifies the plugin's behavior.
std::string describe(const Attributes& attributes);

}  // namespace pem_edge
