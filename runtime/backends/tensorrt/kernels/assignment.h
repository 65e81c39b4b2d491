// Who wins each pixel: the candidate with the highest class score times mask probability, the first if several.
//
// A block takes a tile of the output. Interpolated logits lie between the lowest and the highest one on the grid below,
// so most candidates can neither win a pixel of the tile nor have a border there, and are left out.
#pragma once

#include "arguments.h"
#include "element.h"

namespace pem_edge {

extern __shared__ __align__(16) unsigned char shared_memory[];

namespace {

constexpr float kRounding = 1e-4f;  // bounds of scores that are closer than this decide nothing, see classes.py
constexpr int kLowest = -2147483647 - 1, kHighest = 2147483647;

// What a block keeps of a candidate: bounds of its mask's logits, `ordered`, and what it has counted.
struct Contender {
    float score;
    int query;
    int low, high;
    int involved;
    int won, original, final;
    int left, top, right, bottom;
};

struct Tile {
    int best_low;  // the highest of the candidates' lowest confidences, `ordered`
    int involved;  // how many candidates may win a pixel, or have a border here
    int finite;
    int unused;
};

struct Rectangle {
    int left, top, right, bottom;  // the latter two excluded

    __device__ int area() const { return (right - left) * (bottom - top); }
};

struct Block {
    Tile* tile;
    Contender* possible;  // (candidates)
    int* list;      // (candidates): those involved, in order
    int candidates;
    Rectangle pixels;

    __device__ explicit Block(const Merge& merge) : candidates(merge.summary->candidates) {
        tile = reinterpret_cast<Tile*>(shared_memory);
        possible = reinterpret_cast<Contender*>(tile + 1);
        list = reinterpret_cast<int*>(possible + candidates);
        const int left = blockIdx.x * kTileWidth, top = blockIdx.y * kTileHeight;
        pixels = {left, top, min(left + kTileWidth, merge.width), min(top + kTileHeight, merge.height)};
    }
};

__device__ void begin(const Merge& merge, const Block& block) {
    if (threadIdx.x == 0) *block.tile = {kLowest, 0, 1, 0};
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        const Candidate& candidate = merge.candidates[i];
        block.possible[i] = {
            candidate.score, candidate.query, kHighest, kLowest, 0, 0, 0, 0, kHighest, kHighest, -1, -1};
    }
}

template <typename T>
__device__ const T* plane(const Merge& merge, int query) {
    return static_cast<const T*>(merge.masks) + size_t(query) * merge.grid_height * merge.grid_width;
}

// The part of the mask grid that the block's pixels depend on.
template <int kTaps>
__device__ Rectangle grid_below(const Merge& merge, const Rectangle& pixels) {
    return {merge.columns[pixels.left].first, merge.rows[pixels.top].first,
            min(merge.columns[pixels.right - 1].first + kTaps, merge.grid_width),
            min(merge.rows[pixels.bottom - 1].first + kTaps, merge.grid_height)};
}

// Lowest and highest logit of every candidate there; a thread takes one row of one candidate at a time.
template <typename T>
__device__ void bound(const Merge& merge, const Block& block, const Rectangle& grid) {
    const int rows = grid.bottom - grid.top;
    for (int i = threadIdx.x; i < block.candidates * rows; i += kThreads) {
        Contender& contender = block.possible[i / rows];
        const T* row = plane<T>(merge, contender.query) + (grid.top + i % rows) * merge.grid_width;
        float low = load(row + grid.left), high = low;
        bool finite = true;
        for (int x = grid.left; x < grid.right; ++x) {
            const float value = load(row + x);
            finite = finite && is_finite(value);
            low = fminf(low, value);
            high = fmaxf(high, value);
        }
        if (!finite) block.tile->finite = 0;
        atomicMin(&contender.low, ordered(low));
        atomicMax(&contender.high, ordered(high));
    }
}

__device__ void find_best_low(const Block& block) {
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        const Contender& contender = block.possible[i];
        atomicMax(&block.tile->best_low, ordered(contender.score * sigmoid(from_ordered(contender.low))));
    }
}

// A candidate is involved if it may win a pixel, or if its mask may be above one half at some pixels only.
__device__ void find_involved(const Block& block) {
    const float best_low = from_ordered(block.tile->best_low);
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        Contender& contender = block.possible[i];
        const float low = from_ordered(contender.low), high = from_ordered(contender.high);
        contender.involved = contender.score * sigmoid(high) * (1 + kRounding) >= best_low || (low < 0 && high >= 0);
        if (!contender.involved && low >= 0) contender.original = block.pixels.area();
    }
}

__device__ void list_involved(const Block& block) {
    const auto involved = [&](int i) { return block.possible[i].involved != 0; };
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        if (!involved(i)) continue;
        block.list[rank(i, involved)] = i;
        atomicAdd(&block.tile->involved, 1);
    }
}

// A pixel's place on the mask grid.
template <int kTaps>
struct Place {
    int row[kTaps], column[kTaps];  // offsets in a plane
    float row_weight[kTaps], column_weight[kTaps];

    __device__ Place(const Merge& merge, int y, int x) {
        const Taps rows = merge.rows[y], columns = merge.columns[x];
        for (int i = 0; i < kTaps; ++i) {
            row[i] = min(rows.first + i, merge.grid_height - 1) * merge.grid_width;
            column[i] = min(columns.first + i, merge.grid_width - 1);
            row_weight[i] = rows.weight[i];
            column_weight[i] = columns.weight[i];
        }
    }

    template <typename T>
    __device__ float interpolate(const T* plane) const {
        float value = 0;
        for (int x = 0; x < kTaps; ++x) {
            float down = 0;
            for (int y = 0; y < kTaps; ++y) down += row_weight[y] * load(plane + row[y] + column[x]);
            value += column_weight[x] * down;
        }
        return value;
    }
};

__device__ void stretch(Contender& contender, int y, int x) {
    if (x < contender.left) atomicMin(&contender.left, x);  // looking first spares most pixels the atomic operation
    if (y < contender.top) atomicMin(&contender.top, y);
    if (x > contender.right) atomicMax(&contender.right, x);
    if (y > contender.bottom) atomicMax(&contender.bottom, y);
}

// The candidate to which the pixel is final, -1 if it is none's.
template <typename T, int kTaps>
__device__ int complete(const Merge& merge, const Block& block, int y, int x) {
    const Place<kTaps> place(merge, y, x);
    int winner = -1;
    float best = -1;
    bool inside = false;
    for (int i = 0; i < block.tile->involved; ++i) {
        Contender& contender = block.possible[block.list[i]];
        const float value = place.interpolate(plane<T>(merge, contender.query));
        const float confidence = contender.score * sigmoid(value);
        if (value >= 0) atomicAdd(&contender.original, 1);
        if (confidence > best) {
            best = confidence;
            winner = block.list[i];
            inside = value >= 0;
        }
    }
    if (winner < 0) return -1;
    atomicAdd(&block.possible[winner].won, 1);
    if (!inside) return -1;
    atomicAdd(&block.possible[winner].final, 1);
    stretch(block.possible[winner], y, x);
    return winner;
}

__device__ void report(const Merge& merge, const Block& block) {
    if (threadIdx.x == 0 && !block.tile->finite) atomicOr(&merge.summary->problems, kBadMasks);
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        const Contender& contender = block.possible[i];
        Candidate& candidate = merge.candidates[i];
        if (contender.won) atomicAdd(&candidate.won, contender.won);
        if (contender.original) atomicAdd(&candidate.original, contender.original);
        if (!contender.final) continue;
        atomicAdd(&candidate.final, contender.final);
        atomicMin(&candidate.left, contender.left);
        atomicMin(&candidate.top, contender.top);
        atomicMax(&candidate.right, contender.right);
        atomicMax(&candidate.bottom, contender.bottom);
    }
}

template <typename T, int kTaps>
__device__ void assignment(const Merge& merge) {
    const Block block(merge);
    begin(merge, block);
    __syncthreads();
    bound<T>(merge, block, grid_below<kTaps>(merge, block.pixels));
    __syncthreads();
    find_best_low(block);
    __syncthreads();
    find_involved(block);
    __syncthreads();
    list_involved(block);
    __syncthreads();
    for (int i = threadIdx.x; i < kTileWidth * kTileHeight; i += kThreads) {
        const int x = block.pixels.left + i % kTileWidth, y = block.pixels.top + i / kTileWidth;
        if (x < block.pixels.right && y < block.pixels.bottom)
            merge.map[size_t(y) * merge.width + x] = complete<T, kTaps>(merge, block, y, x);
    }
    __syncthreads();
    report(merge, block);
}

}  // namespace
}  // namespace pem_edge
