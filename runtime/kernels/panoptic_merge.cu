// The published merge of query masks into a panoptic map, as runtime/postprocess has it for the CPU: `classify` finds the
// queries that take part, `contest` who wins each pixel, `accept` which become segments, `paint` writes their ids.
#include "contest.h"

namespace pem_edge {
namespace {

struct Class {
    float score;
    int category;
};

// The likeliest class by softmax; the first if several are.
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
__device__ void classify(const Merge& merge) {
    Class* classes = reinterpret_cast<Class*>(shared_memory);  // (queries)
    if (threadIdx.x == 0) *merge.summary = Summary{};
    __syncthreads();
    for (int query = threadIdx.x; query < merge.queries; query += kThreads) {
        const T* logits = static_cast<const T*>(merge.logits) + size_t(query) * (merge.classes + 1);
        classes[query] = likeliest(logits, merge.classes + 1, &merge.summary->problems);
    }
    __syncthreads();
    if (threadIdx.x != 0) return;
    int count = 0;
    for (int query = 0; query < merge.queries; ++query) {
        const Class found = classes[query];
        if (found.category < merge.classes && found.score > merge.score_threshold)
            merge.candidates[count++] = {query, found.category, found.score, 0, 0, 0, 0, kHighest, kHighest, -1, -1};
    }
    merge.summary->candidates = count;
}

__device__ bool accepted(const Candidate& candidate, double threshold) {
    return candidate.final > 0 && double(candidate.won) / max(candidate.original, 1) >= threshold;
}

__device__ void extend(Segment& segment, const Candidate& candidate) {
    segment.score = fmaxf(segment.score, candidate.score);
    segment.area += candidate.final;
    segment.left = min(segment.left, candidate.left);
    segment.top = min(segment.top, candidate.top);
    segment.right = max(segment.right, candidate.right);
    segment.bottom = max(segment.bottom, candidate.bottom);
}

// Ids count from 1; stuff of one class shares the id of its first candidate.
__device__ int give_ids(const Merge& merge, int* id_of_stuff) {
    int segments = 0;
    for (int i = 0; i < merge.summary->candidates; ++i) {
        Candidate& candidate = merge.candidates[i];
        if (!accepted(candidate, merge.overlap_threshold)) continue;
        const int category = candidate.category;
        int id = merge.is_thing[category] ? 0 : id_of_stuff[category];
        if (id == 0) {
            id = ++segments;
            id_of_stuff[category] = id;
            merge.segments[id - 1] = {category, 0, 0, kHighest, kHighest, -1, -1};
        }
        candidate.id = id;
        extend(merge.segments[id - 1], candidate);
    }
    return segments;
}

}  // namespace
}  // namespace pem_edge

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_classify_float32(pem_edge::Merge merge) {
    pem_edge::classify<float>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_classify_float16(pem_edge::Merge merge) {
    pem_edge::classify<pem_edge::Half>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_contest_float32_2(pem_edge::Merge merge) {
    pem_edge::contest<float, 2>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_contest_float32_3(pem_edge::Merge merge) {
    pem_edge::contest<float, 3>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_contest_float16_2(pem_edge::Merge merge) {
    pem_edge::contest<pem_edge::Half, 2>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_contest_float16_3(pem_edge::Merge merge) {
    pem_edge::contest<pem_edge::Half, 3>(merge);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_accept(pem_edge::Merge merge) {
    int* id_of_stuff = reinterpret_cast<int*>(pem_edge::shared_memory);  // (classes)
    for (int i = threadIdx.x; i < merge.classes; i += pem_edge::kThreads) id_of_stuff[i] = 0;
    __syncthreads();
    if (threadIdx.x == 0) merge.summary->segments = pem_edge::give_ids(merge, id_of_stuff);
}

extern "C" __global__ void __launch_bounds__(pem_edge::kThreads) merge_paint(pem_edge::Merge merge) {
    const size_t first = size_t(blockIdx.x) * pem_edge::kPaintPixels, pixels = size_t(merge.height) * merge.width;
    for (size_t i = threadIdx.x; i < pem_edge::kPaintPixels; i += pem_edge::kThreads) {
        if (first + i >= pixels) return;
        int& pixel = merge.map[first + i];
        pixel = pixel < 0 ? 0 : merge.candidates[pixel].id;
    }
}
