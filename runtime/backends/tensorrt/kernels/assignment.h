// Assigns each pixel to the candidate with the highest confidence, which is class score times mask probability; to the
// first such candidate if there are several.
//
// A block computes a tile of the output. Interpolated logits are between the minimum and the maximum of the grid values
// they depend on. These bounds show that most candidates can neither win a pixel of the tile nor have a border there,
// so that they need not be interpolated.
#pragma once

#include "arguments.h"
#include "element.h"

namespace pem_edge {

extern __shared__ __align__(16) unsigned char shared_memory[];

namespace {

constexpr float kRounding = 1e-4f;  // relative tolerance when comparing confidences' bounds, see ROUNDING in classes.py
constexpr int kLowest = -2147483647 - 1, kHighest = 2147483647;

// A candidate within a block's tile.
struct Contender {
    float score;
    int query;
    int low, high;  // bounds of the mask's logits, as `ordered` integers
    int involved;   // whether the candidate may win a pixel, or have a border here
    int won, original, final;
    int left, top, right, bottom;
};

struct Tile {
    int best_low;  // maximum of the candidates' lower bounds of the confidence, as `ordered` integer
    int involved;  // number of candidates that are involved
    int finite;    // whether all mask logits are finite
    int unused;
};

struct Rectangle {
    int left, top, right, bottom;  // right and bottom are exclusive

    __device__ int area() const { return (right - left) * (bottom - top); }
};

struct Block {
    Tile* tile;
    Contender* contenders;  // (candidates)
    int* list;            // (candidates): the candidates that are involved, in order
    int candidates;
    Rectangle pixels;

    __device__ explicit Block(const MergeArguments& merge) : candidates(merge.summary->candidates) {
        tile = reinterpret_cast<Tile*>(shared_memory);
        contenders = reinterpret_cast<Contender*>(tile + 1);
        list = reinterpret_cast<int*>(contenders + candidates);
        const int left = blockIdx.x * kTileWidth, top = blockIdx.y * kTileHeight;
        pixels = {left, top, min(left + kTileWidth, merge.width), min(top + kTileHeight, merge.height)};
    }
};

__device__ void begin(const MergeArguments& merge, const Block& block) {
    if (threadIdx.x == 0) *block.tile = {kLowest, 0, 1, 0};
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        const Candidate& candidate = merge.candidates[i];
        block.contenders[i] = {
            candidate.score, candidate.query, kHighest, kLowest, 0, 0, 0, 0, kHighest, kHighest, -1, -1};
    }
}

template <typename T>
__device__ const T* plane(const MergeArguments& merge, int query) {
    return static_cast<const T*>(merge.masks) + size_t(query) * merge.grid_height * merge.grid_width;
}

// Returns the part of the mask grid that the block's pixels depend on.
template <int kTaps>
__device__ Rectangle grid_below(const MergeArguments& merge, const Rectangle& pixels) {
    return {merge.columns[pixels.left].first, merge.rows[pixels.top].first,
            min(merge.columns[pixels.right - 1].first + kTaps, merge.grid_width),
            min(merge.rows[pixels.bottom - 1].first + kTaps, merge.grid_height)};
}

// Finds the minimum and maximum logit of every candidate in `grid`. A thread reads one row of one candidate at a time.
template <typename T>
__device__ void bound(const MergeArguments& merge, const Block& block, const Rectangle& grid) {
    const int rows = grid.bottom - grid.top;
    for (int i = threadIdx.x; i < block.candidates * rows; i += kThreads) {
        Contender& contender = block.contenders[i / rows];
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
        const Contender& contender = block.contenders[i];
        atomicMax(&block.tile->best_low, ordered(contender.score * sigmoid(from_ordered(contender.low))));
    }
}

// Finds the candidates that may win a pixel, or whose mask may have a border in the tile.
__device__ void find_involved(const Block& block) {
    const float best_low = from_ordered(block.tile->best_low);
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        Contender& contender = block.contenders[i];
        const float low = from_ordered(contender.low), high = from_ordered(contender.high);
        contender.involved = contender.score * sigmoid(high) * (1 + kRounding) >= best_low || (low < 0 && high >= 0);
        if (!contender.involved && low >= 0) contender.original = block.pixels.area();
    }
}

__device__ void list_involved(const Block& block) {
    const auto involved = [&](int i) { return block.contenders[i].involved != 0; };
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        if (!involved(i)) continue;
        block.list[rank(i, involved)] = i;
        atomicAdd(&block.tile->involved, 1);
    }
}

// A pixel's position on the mask grid.
template <int kTaps>
struct GridPosition {
    int row[kTaps], column[kTaps];  // offsets in a mask
    float row_weight[kTaps], column_weight[kTaps];

    __device__ GridPosition(const MergeArguments& merge, int y, int x) {
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

__device__ void extend_box(Contender& contender, int y, int x) {
    if (x < contender.left) atomicMin(&contender.left, x);  // the comparison avoids most of the atomic operations
    if (y < contender.top) atomicMin(&contender.top, y);
    if (x > contender.right) atomicMax(&contender.right, x);
    if (y > contender.bottom) atomicMax(&contender.bottom, y);
}

// Returns the candidate that the pixel is assigned to, -1 if it is none.
template <typename T, int kTaps>
__device__ int assign(const MergeArguments& merge, const Block& block, int y, int x) {
    const GridPosition<kTaps> position(merge, y, x);
    int winner = -1;
    float best = -1;
    bool inside = false;
    for (int i = 0; i < block.tile->involved; ++i) {
        Contender& contender = block.contenders[block.list[i]];
        const float value = position.interpolate(plane<T>(merge, contender.query));
        const float confidence = contender.score * sigmoid(value);
        if (value >= 0) atomicAdd(&contender.original, 1);
        if (confidence > best) {
            best = confidence;
            winner = block.list[i];
            inside = value >= 0;
        }
    }
    if (winner < 0) return -1;
    atomicAdd(&block.contenders[winner].won, 1);
    if (!inside) return -1;
    atomicAdd(&block.contenders[winner].final, 1);
    extend_box(block.contenders[winner], y, x);
    return winner;
}

__device__ void report(const MergeArguments& merge, const Block& block) {
    if (threadIdx.x == 0 && !block.tile->finite) atomicOr(&merge.summary->problems, kBadMasks);
    for (int i = threadIdx.x; i < block.candidates; i += kThreads) {
        const Contender& contender = block.contenders[i];
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

template <typename T, int kTaps, typename Pixel>
__device__ void assignment(const MergeArguments& merge) {
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
            static_cast<Pixel*>(merge.map)[size_t(y) * merge.width + x] =
                static_cast<Pixel>(assign<T, kTaps>(merge, block, y, x) + 1);
    }
    __syncthreads();
    report(merge, block);
}

}  // namespace
}  // namespace pem_edge
