#include "fields.h"

#include <cstring>

namespace pem_edge {
namespace {

constexpr int64_t kLargest = 1 << 15;  // makes all coordinates exact in FP32, and all products fit 64 bits

struct Row {
    const char* name;
    int32_t length;
    int64_t smallest, largest;
    int32_t* (*values)(Attributes&);
};

// The attributes, in the order of the fields.
constexpr Row kRows[kAttributeCount] = {
    {"kernel_shape", 2, 1, kLargest, [](Attributes& a) { return a.kernel_shape; }},
    {"strides", 2, 1, kLargest, [](Attributes& a) { return a.strides; }},
    {"pads", 4, 0, kLargest, [](Attributes& a) { return a.pads; }},
    {"dilations", 2, 1, kLargest, [](Attributes& a) { return a.dilations; }},
    {"group", 1, 1, kLargest, [](Attributes& a) { return &a.group; }},
    {"offset_group", 1, 1, kLargest, [](Attributes& a) { return &a.offset_group; }},
    {"relu", 1, 0, 1, [](Attributes& a) { return &a.relu; }},
};

const int32_t* values_of(const Row& row, const Attributes& attributes) {
    return row.values(const_cast<Attributes&>(attributes));
}

std::string expectation(const Row& row) {
    return "expected " + std::to_string(row.length) + (row.length == 1 ? " integer" : " integers") + " from " +
           std::to_string(row.smallest) + " to " + std::to_string(row.largest);
}

std::string refusal(const std::string& came, const Row& row) {
    return came + ", " + expectation(row) + ": export the model again";
}

int64_t value_at(const Field& field, int32_t index) {
    // The parser's data may be unaligned.
    if (field.type == FieldType::kInt64) {
        int64_t value;
        std::memcpy(&value, static_cast<const char*>(field.data) + index * sizeof(value), sizeof(value));
        return value;
    }
    int32_t value;
    std::memcpy(&value, static_cast<const char*>(field.data) + index * sizeof(value), sizeof(value));
    return value;
}

std::string read_row(const Row& row, const Field& field, Attributes& attributes) {
    const std::string name = row.name;
    if (field.type == FieldType::kOther) return refusal(name + " is not of type int32 or int64", row);
    if (field.length != row.length || field.data == nullptr)
        return refusal(name + " has " + std::to_string(field.data ? field.length : 0) + " values", row);
    for (int32_t i = 0; i < row.length; ++i) {
        const int64_t value = value_at(field, i);
        if (value < row.smallest || value > row.largest)
            return refusal(name + " holds " + std::to_string(value), row);
        row.values(attributes)[i] = static_cast<int32_t>(value);
    }
    return "";
}

const Row* find_row(const char* name) {
    for (const Row& row : kRows)
        if (name != nullptr && std::strcmp(row.name, name) == 0) return &row;
    return nullptr;
}

std::string names() {
    std::string text;
    for (const Row& row : kRows) text += (text.empty() ? "" : ", ") + std::string(row.name);
    return text;
}

}  // namespace

std::array<Field, kAttributeCount> fields_of(const Attributes& attributes) {
    std::array<Field, kAttributeCount> fields{};
    for (int i = 0; i < kAttributeCount; ++i)
        fields[i] = {kRows[i].name, values_of(kRows[i], attributes), FieldType::kInt32, kRows[i].length};
    return fields;
}

std::string read_fields(const Field* fields, int32_t count, Attributes& attributes) {
    if (count < 0 || (count > 0 && fields == nullptr))
        return "no fields came, expected " + names() + ": export the model again";
    Attributes read;
    for (int32_t i = 0; i < count; ++i) {
        const Row* row = find_row(fields[i].name);
        if (row == nullptr)
            return std::string("unknown attribute ") + (fields[i].name ? fields[i].name : "without a name") +
                   ", expected only " + names() + ": export the model again";
        const std::string error = read_row(*row, fields[i], read);
        if (!error.empty()) return error;
    }
    if (read.kernel_shape[0] == 0) return refusal("kernel_shape is missing", kRows[0]);
    attributes = read;
    return "";
}

std::string describe(const Attributes& attributes) {
    std::string text;
    for (const Row& row : kRows) {
        text += (text.empty() ? "" : " ") + std::string(row.name) + "=";
        for (int32_t i = 0; i < row.length; ++i)
            text += (i ? "," : "") + std::to_string(values_of(row, attributes)[i]);
    }
    return text;
}

}  // namespace pem_edge
