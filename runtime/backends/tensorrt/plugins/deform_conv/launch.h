// Launches the convolution on device pointers. The kernel depends on the form and the groups:
//
//   X and Y         type   group and offset_group are 1               otherwise
//   kLINEAR         float  fused, FP32 multiply-add                   simple
//   kHWC8           half   fused, tensor cores, FP32 accumulation     simple
//   kLINEAR         half   simple                                     simple
//
// The simple kernel also runs if X or Y in half precision is not aligned to 16 bytes (TensorRT's tensors are), or if
// the reordered weights would take more than 1 GiB.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "geometry.h"
#include "negotiation.h"

namespace pem_edge {

// Device pointers, in the order of enum Tensor.
struct Pointers {
    const void* x;
    const void* weight;
    const void* offset;
    const void* bias;
    const void* mask;
    void* y;
};

// Returns whether the fused kernel can be used.
bool fused_serves(const Problem& problem, const Form& form, const Pointers& pointers);

// Returns the bytes that `launch` needs at `workspace`, aligned to 16, for the weights reordered for the fused kernel;
// 0 if there are no weights or too many.
size_t workspace_bytes(int64_t out_channels, int64_t channels, int64_t taps);

// Enqueue the kernels on `stream` without waiting for them. `launch` chooses the kernel as described at the top.
cudaError_t launch(const Problem& problem, const Form& form, const Pointers& pointers, void* workspace,
                   cudaStream_t stream);
cudaError_t launch_simple(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream);
cudaError_t launch_fused(const Problem& problem, const Form& form, const Pointers& pointers, void* workspace,
                         cudaStream_t stream);

}  // namespace pem_edge
