// Runs the threads of a block as fibers; see cuda_runtime.h.
#include <ucontext.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda_pipeline.h"
#include "cuda_runtime.h"

namespace pem_edge {
constexpr size_t kSharedBytes = 99 * 1024;
alignas(128) unsigned char shared_memory[kSharedBytes];
}  // namespace pem_edge

namespace host_cuda {
namespace {

constexpr size_t kStackBytes = 256 * 1024, kSharedByDefault = 48 * 1024;
constexpr int kNotANumber = 0xff;  // what memory holds before it is written: NaN in float and half

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
};

enum class State { kRunnable, kAtBlockBarrier, kAtWarpBarrier, kDone };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[kStackBytes]};
    State state;
    std::deque<std::vector<Copy>> groups;
    std::vector<Copy> started;
};

std::vector<Fiber> fibers;
ucontext_t scheduler;
Fiber* current = nullptr;
const std::function<void()>* body = nullptr;
std::map<const void*, int> allowed_shared_memory;
std::string failure;

void run_thread() {
    (*body)();
    current->state = State::kDone;
    if (!current->groups.empty() || !current->started.empty()) fail("a copy was never waited for");
}

void start_fiber(Fiber& fiber) {
    fiber.state = State::kRunnable;
    fiber.groups.clear();
    fiber.started.clear();
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, run_thread, 0);
}

void run_until_barrier(unsigned thread) {
    if (fibers[thread].state != State::kRunnable) return;
    threadIdx.x = thread;
    current = &fibers[thread];
    swapcontext(&scheduler, &current->context);
}

bool all_at(State state, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; ++i)
        if (fibers[i].state != state) return false;
    return true;
}

// Lets the threads go on whose barrier everybody has reached; false if nobody can.
bool release(State state, unsigned group, unsigned threads) {
    bool any = false;
    for (unsigned first = 0; first < threads; first += group) {
        const unsigned end = std::min(first + group, threads);
        if (!all_at(state, first, end)) continue;
        for (unsigned i = first; i < end; ++i) fibers[i].state = State::kRunnable;
        any = true;
    }
    return any;
}

void run_block(const cudaLaunchConfig_t& config) {
    const unsigned threads = config.blockDim.x;
    std::memset(pem_edge::shared_memory, kNotANumber, sizeof(pem_edge::shared_memory));
    for (unsigned i = 0; i < threads; ++i) start_fiber(fibers[i]);
    // Every other block runs its threads from the last to the first, so that no order hides a missing barrier.
    const bool backwards = blockIdx.x % 2 == 1;
    do {
        for (unsigned i = 0; i < threads; ++i) run_until_barrier(backwards ? threads - 1 - i : i);
    } while (release(State::kAtWarpBarrier, 32, threads) || release(State::kAtBlockBarrier, threads, threads));
    if (!all_at(State::kDone, 0, threads)) fail("a barrier that not every thread reaches");
    for (size_t i = config.dynamicSmemBytes; i < pem_edge::kSharedBytes; ++i)
        if (pem_edge::shared_memory[i] != kNotANumber) return fail("a write past the end of shared memory");
}

}  // namespace

void fail(const char* message) {
    if (failure.empty()) failure = message;
}

void barrier(bool whole_block) {
    current->state = whole_block ? State::kAtBlockBarrier : State::kAtWarpBarrier;
    swapcontext(&current->context, &scheduler);
}

void copy_later(void* to, const void* from, size_t bytes) {
    std::memset(to, kNotANumber, bytes);
    current->started.push_back({to, from, bytes});
}

void commit_copies() {
    current->groups.push_back(std::move(current->started));
    current->started.clear();
}

void finish_copies(unsigned groups_left) {
    while (current->groups.size() > groups_left) {
        for (const Copy& copy : current->groups.front()) std::memcpy(copy.to, copy.from, copy.bytes);
        current->groups.pop_front();
    }
}

cudaError_t allow_shared_memory(const void* kernel, int bytes) {
    if (bytes > device.shared_bytes) return cudaErrorInvalidValue;
    allowed_shared_memory[kernel] = bytes;
    return cudaSuccess;
}

cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& thread) {
    const auto allowed = allowed_shared_memory.find(kernel);
    const size_t limit = allowed == allowed_shared_memory.end() ? kSharedByDefault : allowed->second;
    if (config.dynamicSmemBytes > limit || config.blockDim.x > 1024 || config.gridDim.x == 0) return cudaErrorInvalidValue;
    if (fibers.size() < config.blockDim.x) fibers = std::vector<Fiber>(config.blockDim.x);
    body = &thread;
    gridDim = config.gridDim;
    blockDim = config.blockDim;
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(config);
    return failure.empty() ? cudaSuccess : cudaErrorLaunchFailure;
}

std::string take_failure() {
    std::string message;
    message.swap(failure);
    return message;
}

}  // namespace host_cuda
