// Decides which types, formats and shapes the plugin accepts. Does not need CUDA's or TensorRT's headers.
#pragma once

#include <cstdint>
#include <string>

#include "geometry.h"

namespace pem_edge {

// The inputs and the output, as geometry.h describes them.
enum Tensor { kX, kWeight, kRaw, kBias, kY, kTensorCount };
constexpr int kInputCount = kY;

enum class Element { kFloat, kHalf, kOther };
enum class Layout { kLinear, kHwc8, kOther };

struct Form {
    Element element;
    Layout layout;
};

// Returns whether tensor `position` may have `forms[position]`, given the forms before it; later ones are not read.
// All tensors have the same type. X, raw and Y have the same layout, W and B are linear. Without groups there is one
// layout for each type: the one that the fused kernel takes.
bool supports(const Attributes& attributes, int position, const Form* forms);

struct Shape {
    int32_t rank;
    int64_t size[8];  // -1 if not known yet
};

// Checks kTensorCount shapes, as far as they are known, against the attributes and each other. Returns an empty string
// or, if a shape is wrong, a message of one line with what came, what was expected and the cure.
std::string check_shapes(const Attributes& attributes, const Shape* shapes);

// Returns the sizes of a call. All shapes must be known and have passed `check_shapes`.
Problem problem_of(const Attributes& attributes, const Shape* shapes);

}  // namespace pem_edge
