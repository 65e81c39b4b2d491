#include "launch.h"

namespace pem_edge {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

}  // namespace

bool fused_serves(const Problem& problem, const Form& form, const Pointers& pointers) {
    if (problem.attributes.grouped() || problem.channels == 0 || !aligned(pointers.weight)) return false;
    if (form.element == Element::kFloat) return form.layout == Layout::kLinear;
    return form.layout == Layout::kHwc8 && aligned(pointers.x) && aligned(pointers.raw) && aligned(pointers.y);
}

cudaError_t launch(const Problem& problem, const Form& form, const Pointers& pointers, cudaStream_t stream) {
    if (problem.out_pixels() == 0 || problem.out_channels == 0) return cudaSuccess;
    if (fused_serves(problem, form, pointers)) return launch_fused(problem, form, pointers, stream);
    return launch_simple(problem, form, pointers, stream);
}

}  // namespace pem_edge
