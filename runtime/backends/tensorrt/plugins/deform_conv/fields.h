// The operator's attributes as plugin fields: reading, checking, writing. Free of CUDA and TensorRT headers.
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

constexpr int kAttributeCount = 6;

// One field per attribute, int32, pointing into `attributes`. This is also what an engine file keeps.
std::array<Field, kAttributeCount> fields_of(const Attributes& attributes);

// Reads what the ONNX parser gives (int32 or int64, depending on its version), or an engine file; data is copied at
// once. Missing attributes have ONNX's defaults, except kernel_shape, which must be there. Returns an empty string, or
// one line that says what came, what was expected and the cure; `attributes` is then as before.
std::string read_fields(const Field* fields, int32_t count, Attributes& attributes);

// "kernel_shape=3,3 strides=1,1 ...": all that tells two plugins apart.
std::string describe(const Attributes& attributes);

}  // namespace pem_edge
