// Tensor cores: the first lane of a warp holds the whole fragments and does the work of all.
#pragma once

#include "cuda_fp16.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
enum layout_t { mem_row_major };

template <typename Use, int kM, int kN, int kK, typename T, typename Layout = void>
struct fragment {
    static_assert(kM == 16 && kN == 16 && kK == 16, "the shape that every architecture has");
    float value[16][16];
};

inline bool leads_warp() { return threadIdx.x % 32 == 0; }

// NVIDIA's documentation: 256-bit aligned, the distance of rows a multiple of 16 bytes.
template <typename T>
void check_alignment(const T* matrix, unsigned pitch) {
    if (reinterpret_cast<uintptr_t>(matrix) % 32 != 0 || pitch * sizeof(T) % 16 != 0)
        host_cuda::fail("misaligned matrix");
}

template <typename Fragment>
void fill_fragment(Fragment& fragment, float value) {
    for (auto& row : fragment.value)
        for (float& element : row) element = value;
}

template <typename Fragment>
void load_matrix_sync(Fragment& fragment, const __half* matrix, unsigned pitch) {
    if (!leads_warp()) return;
    check_alignment(matrix, pitch);
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column)
            fragment.value[row][column] = __half2float(matrix[row * pitch + column]);
}

template <typename Sum, typename A, typename B>
void mma_sync(Sum& to, const A& a, const B& b, const Sum& from) {
    if (!leads_warp()) return;
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column) {
            float sum = from.value[row][column];
            for (int k = 0; k < 16; ++k) sum += a.value[row][k] * b.value[k][column];
            to.value[row][column] = sum;
        }
}

template <typename Fragment>
void store_matrix_sync(float* matrix, const Fragment& fragment, unsigned pitch, layout_t) {
    if (!leads_warp()) return;
    check_alignment(matrix, pitch);
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 16; ++column) matrix[row * pitch + column] = fragment.value[row][column];
}

}  // namespace nvcuda::wmma
