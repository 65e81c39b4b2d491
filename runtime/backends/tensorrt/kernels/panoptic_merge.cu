// The published merge of query masks into a panoptic map, which runtime/inference/postprocess implements for the CPU.
// `classify` finds the candidates, `assignment` finds the candidate of each pixel, `accept` makes segments of
// candidates, and `paint` writes the segments' ids.
#include "assignment.h"

namespace pem_edge {
namespace {

struct Class {
    float score;
    int category;
};

// Returns the class with the highest softmax probability; the first such class if there are several.
template <typename T>
__device__ Class likeliest(const T* logits, int count, unsigned* problems) {
    float highest = load(logits);
    for (int i = 0; i < count; ++i) {
        const float logit = load(logits + i);
        if (!is_finite(logit)) atomicOr(problems, kBadLogits);
        highest = fmaxf(highest, logit);
    }
    float sum = 0;
    Class best{-1, 0};
    for (int i = 0; i < count; ++i) {
        const float power = expf(load(logits + i) - highest);
        sum += power;
        if (power > best.score) best = {power, i};
    }
    best.score /= sum;
    return best;
}

template <typename T>
__device__ void classify(const MergeArguments& merge) {
    Class* classes = reinterpret_cast<Class*>(shared_memory);  // (queries)
    if (threadIdx.x == 0) *merge.summary = Summary{};
    __syncthreads();
    for (int query = threadIdx.x; query < merge.queries; query += kThreads) {
        const T* logits = static_cast<const T*>(merge.logits) + size_t(query) * (merge.classes + 1);
        classes[query] = likeliest(logits, merge.classes + 1, &merge.summary->problems);
    }
    __syncthreads();
    const auto takes_part = [&](int query) {
        return classes[query].category < merge.classes && classes[query].score > merge.score_threshold;
    };
    for (int query = threadIdx.x; query < merge.queries; query += kThreads) {
        if (!takes_part(query)) continue;
        Candidate candidate{};
        candidate.query = query;
        candidate.category = classes[query].category;
        candidate.score = classes[query].score;
        candidate.left = candidate.top = kHighest;
        candidate.right = candidate.bottom = -1;
        merge.candidates[rank(query, takes_part)] = candidate;
        atomicAdd(&merge.summary->candidates, 1);
    }
}

__device__ bool accepted(const Candidate& candidate, double threshold) {
    return candidate.final > 0 && double(candidate.won) / max(candidate.original, 1) >= threshold;
}

// Returns the first candidate of the segment that candidate `i` belongs to, or -1 if `i` is not accepted. A thing is a
// segment of its own; stuff of one class is one segment. `categories` has -1 for candidates that are not accepted.
__device__ int first_of_segment(const MergeArguments& merge, const int* categories, int i) {
    if (categories[i] < 0) return -1;
    if (merge.is_thing[categories[i]]) return i;
    for (int j = 0; j < i; ++j)
        if (categories[j] == categories[i]) return j;
    return i;
}

__device__ void extend(Segment& segment, const Candidate& candidate) {
    // The bits of nonnegative floats are ordered like the floats.
    atomicMax(reinterpret_cast<int*>(&segment.score), __float_as_int(candidate.score));
    atomicAdd(&segment.area, candidate.final);
    atomicMin(&segment.left, candidate.left);
    atomicMin(&segment.top, candidate.top);
    atomicMax(&segment.right, candidate.right);
    atomicMax(&segment.bottom, candidate.bottom);
}

// Makes segments of the accepted candidates. Ids count from 1, in the order of the segments' first candidates.
__device__ void make_segments(const MergeArguments& merge) {
    const int count = merge.summary->candidates;
    int* categories = reinterpret_cast<int*>(shared_memory);  // (candidates)
    int* firsts = categories + count;                         // (candidates)
    const auto is_first = [&](int i) { return firsts[i] == i; };
    for (int i = threadIdx.x; i < count; i += kThreads) {
        const Candidate& candidate = merge.candidates[i];
        categories[i] = accepted(candidate, merge.overlap_threshold) ? candidate.category : -1;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) firsts[i] = first_of_segment(merge, categories, i);
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads) {
        merge.candidates[i].id = firsts[i] < 0 ? 0 : rank(firsts[i], is_first) + 1;
        if (!is_first(i)) continue;
        merge.segments[merge.candidates[i].id - 1] = {categories[i], 0, 0, kHighest, kHighest, -1, -1};
        atomicAdd(&merge.summary->segments, 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += kThreads)
        if (firsts[i] >= 0) extend(merge.segments[merge.candidates[i].id - 1], merge.candidates[i]);
}

// Replaces the candidates in the map by the ids of their segments.
template <typename Pixel>
__device__ void paint(const MergeArguments& merge) {
    const size_t first = size_t(blockIdx.x) * kPaintPixels, pixels = size_t(merge.height) * merge.width;
    for (size_t i = first + threadIdx.x; i < min(first + kPaintPixels, pixels); i += kThreads) {
        Pixel& pixel = static_cast<Pixel*>(merge.map)[i];
        if (pixel > 0) pixel = static_cast<Pixel>(merge.candidates[pixel - 1].id);
    }
}

}  // namespace
}  // namespace pem_edge

#define PEM_KERNEL extern "C" __global__ void __launch_bounds__(pem_edge::kThreads)

PEM_KERNEL merge_classify_float32(pem_edge::MergeArguments merge) {
    pem_edge::classify<float>(merge);
}

PEM_KERNEL merge_classify_float16(pem_edge::MergeArguments merge) {
    pem_edge::classify<pem_edge::Half>(merge);
}

PEM_KERNEL merge_accept(pem_edge::MergeArguments merge) {
    pem_edge::make_segments(merge);
}

#define PEM_KERNELS_THAT_WRITE(pixel, Pixel)                                                                         \
    PEM_KERNEL merge_assignment_float32_2_##pixel(pem_edge::MergeArguments merge) {                                  \
        pem_edge::assignment<float, 2, Pixel>(merge);                                                                \
    }                                                                                                                \
    PEM_KERNEL merge_assignment_float32_3_##pixel(pem_edge::MergeArguments merge) {                                  \
        pem_edge::assignment<float, 3, Pixel>(merge);                                                                \
    }                                                                                                                \
    PEM_KERNEL merge_assignment_float16_2_##pixel(pem_edge::MergeArguments merge) {                                  \
        pem_edge::assignment<pem_edge::Half, 2, Pixel>(merge);                                                       \
    }                                                                                                                \
    PEM_KERNEL merge_assignment_float16_3_##pixel(pem_edge::MergeArguments merge) {                                  \
        pem_edge::assignment<pem_edge::Half, 3, Pixel>(merge);                                                       \
    }                                                                                                                \
    PEM_KERNEL merge_paint_##pixel(pem_edge::MergeArguments merge) { pem_edge::paint<Pixel>(merge); }

PEM_KERNELS_THAT_WRITE(uint8, pem_edge::Byte)
PEM_KERNELS_THAT_WRITE(uint16, pem_edge::Word)
