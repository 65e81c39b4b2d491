// Launches the convolution on device pointers. The kernel depends on the form and the groups:
//
//   X, raw and Y    type   group and offset_group are 1               otherwise
//   kLINEAR         float  fused, FP32 multiply-add                   simple
//   kHWC8           half   fused, tensor cores, FP32 accumulation     simple
//   kLINEAR         half   simple                                     simple
//
// The simple kernel also runs if there are no input channels, or if a tensor that the fused one reads or writes 16 bytes
// at a time is not aligned to them (TensorRT's tensors are).
#pragma once

#include <cuda_runtime.h>

#include "geometry.h"
#include "negotiation.h"

namespace pem_edge {

// Device pointers, in the order of enum Tensor.
struct Pointers {
    const void* x;
    const void* weight;
    const void* raw;
    const void* bias;
    void* y;
};

// Returns whether the fused kernel can be used.
bool fused_serves(const Problem& problem, const Form& form, const Pointers& pointers);

// Enqueue a kernel on `stream` without waiting for it. `launch` chooses the kernel as described at the top.
cudaError_t launch(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream);
cudaError_t launch_simple(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream);
cudaError_t launch_fused(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream);

}  // namespace pem_edge
