// What the plugin tells TensorRT about types, formats and shapes. Free of CUDA and TensorRT headers.
#pragma once

#include <cstdint>
#include <string>

#include "geometry.h"

namespace pem_edge {

// Order of inputs, as in ONNX's DeformConv; the output follows them.
enum Tensor { kX, kWeight, kOffset, kBias, kMask, kY, kTensorCount };
constexpr int kInputCount = kY;

enum class Element { kFloat, kHalf, kOther };
enum class Layout { kLinear, kHwc8, kOther };

struct Form {
    Element element;
    Layout layout;
};

// Whether tensor `position` may have `forms[position]`, given those before it (those after it are not looked at).
// All tensors share one type; X and Y share one layout, the others are linear.
bool supports(int position, const Form* forms);

struct Shape {
    int32_t rank;
    int64_t size[8];  // -1: not known yet
};

// Checks shapes against attributes and each other as far as they are known; `shapes` has kTensorCount of them.
// Returns an empty string, or one line that says what came, what was expected and the cure.
std::string check_shapes(const Attributes& attributes, const Shape* shapes);

// What one call is asked to do; every size is known and has passed `check_shapes`.
Problem problem_of(const Attributes& attributes, const Shape* shapes);

}  // namespace pem_edge
