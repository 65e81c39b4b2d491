// Asynchronous copies, as treacherous as they may be: what they will overwrite is lost when they start, and they arrive
// only when waited for.
#pragma once

#include "cuda_runtime.h"

namespace host_cuda {

void copy_later(void* to, const void* from, size_t bytes);
void commit_copies();
void finish_copies(unsigned groups_left);

}  // namespace host_cuda

inline void __pipeline_memcpy_async(void* to, const void* from, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || reinterpret_cast<uintptr_t>(from) % bytes != 0)
        host_cuda::fail("misaligned asynchronous copy");
    host_cuda::copy_later(to, from, bytes);
}
inline void __pipeline_commit() { host_cuda::commit_copies(); }
inline void __pipeline_wait_prior(unsigned groups) { host_cuda::finish_copies(groups); }
