#include "negotiation.h"

namespace pem_edge {
namespace {

constexpr const char* kNames[kTensorCount] = {"X", "W", "raw", "B", "Y"};
constexpr int64_t kUnknown = -1;

std::string text_of(const Shape& shape) {
    std::string text = "(";
    for (int32_t i = 0; i < shape.rank && i < 8; ++i) text += (i ? ", " : "") + std::to_string(shape.size[i]);
    return text + ")";
}

int64_t known(int64_t size) { return size < 0 ? kUnknown : size; }

int64_t output_extent(int64_t size, const Attributes& attributes, int axis) {
    if (size < 0) return kUnknown;
    return size + slack(attributes, axis) < 0 ? 0 : output_size(size, attributes, axis);
}

bool fits(const Shape& shape, const Shape& expected) {
    if (shape.rank != expected.rank) return false;
    for (int32_t i = 0; i < shape.rank; ++i)
        if (shape.size[i] >= 0 && expected.size[i] >= 0 && shape.size[i] != expected.size[i]) return false;
    return true;
}

std::string mismatch(Tensor tensor, const Shape& shape, const Shape& expected) {
    return std::string(kNames[tensor]) + " has shape " + text_of(shape) + ", expected " + text_of(expected) +
           " (-1: any): export the model again";
}

std::string check_divisible(const char* what, int64_t channels, const char* name, int32_t groups) {
    if (channels < 0 || channels % groups == 0) return "";
    return std::string(what) + " has " + std::to_string(channels) + " channels, expected a multiple of " + name + " " +
           std::to_string(groups) + ": export the model again";
}

// Returns whether the tensor, with padded channels, has too many values for 32-bit indices.
bool too_large(const Shape& shape) {
    int64_t count = 1;
    for (int32_t i = 0; i < shape.rank; ++i) {
        if (shape.size[i] < 0) return false;
        count *= i == 1 ? (shape.size[i] + 7) / 8 * 8 : shape.size[i];
        if (count > INT32_MAX) return true;
    }
    return false;
}

}  // namespace

bool supports(const Attributes& attributes, int position, const Form* forms) {
    const Form& x = forms[kX];
    const Form& form = forms[position];
    if (position == kX) {
        if (form.element == Element::kHalf && form.layout == Layout::kHwc8) return true;
        const bool serves = form.element == Element::kFloat || (form.element == Element::kHalf && attributes.grouped());
        return serves && form.layout == Layout::kLinear;
    }
    const bool always_linear = position == kWeight || position == kBias;
    return form.element == x.element && form.layout == (always_linear ? Layout::kLinear : x.layout);
}

std::string check_shapes(const Attributes& a, const Shape* shapes) {
    const Shape& x = shapes[kX];
    const Shape& bias = shapes[kBias];
    if (x.rank != 4) return mismatch(kX, x, {4, {kUnknown, kUnknown, kUnknown, kUnknown}});
    if (bias.rank != 1) return mismatch(kBias, bias, {1, {kUnknown}});

    const int64_t channels = known(x.size[1]), out_channels = known(bias.size[0]);
    std::string error = check_divisible("X", channels, "group", a.group);
    if (error.empty()) error = check_divisible("X", channels, "offset_group", a.offset_group);
    if (error.empty()) error = check_divisible("B", out_channels, "group", a.group);
    if (!error.empty()) return error;

    const int64_t n = known(x.size[0]), taps = int64_t{a.kernel_shape[0]} * a.kernel_shape[1];
    const int64_t height = output_extent(x.size[2], a, 0), width = output_extent(x.size[3], a, 1);
    if (height == 0 || width == 0)
        return "X of shape " + text_of(x) + " is smaller than the kernel: use a larger image";
    const int64_t rows = channels < 0 ? kUnknown : weight_rows(channels / a.group);
    const int64_t columns = out_channels < 0 ? kUnknown : weight_columns(out_channels);
    const Shape expected[kTensorCount] = {
        x,
        {3, {taps, rows, columns}},
        {4, {n, 3 * taps * a.offset_group, height, width}},
        {1, {out_channels}},
        {4, {n, out_channels, height, width}},
    };
    for (int i = 0; i < kTensorCount; ++i) {
        if (!fits(shapes[i], expected[i])) return mismatch(static_cast<Tensor>(i), shapes[i], expected[i]);
        if (too_large(shapes[i]))
            return std::string(kNames[i]) + " of shape " + text_of(shapes[i]) +
                   " has 2^31 values or more: use a smaller batch or image";
    }
    return "";
}

Problem problem_of(const Attributes& attributes, const Shape* shapes) {
    const auto size = [&](Tensor tensor, int axis) { return static_cast<int32_t>(shapes[tensor].size[axis]); };
    return {size(kX, 0), size(kX, 1), size(kX, 2), size(kX, 3), size(kY, 1), size(kY, 2), size(kY, 3), attributes};
}

}  // namespace pem_edge
