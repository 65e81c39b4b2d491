// What the kernels are given. arguments.py has the same structures for Python; a test holds the two against each other.
#pragma once

namespace pem_edge {

// One side of an image that is scaled. Target pixel i, of `scaled` that show the image and `padded` in all, is made of
// `taps` source pixels from `first[i]` on, which may lie outside, where the pixels at the edge go on.
struct Side {
    const int* first;
    const float* weights;  // (scaled, taps)
    int taps;
    int source;
    int scaled;
    int padded;
};

struct Fit {
    const unsigned char* source;  // (rows.source, columns.source, 3)
    unsigned char* target;        // (rows.padded, columns.padded, 3)
    Side rows;
    Side columns;
    float scale;  // of the weighted sum, where pixels are averaged
    int half_up;  // how averages are rounded: a half up, else to even
    unsigned char pad[4];
};

// Where an output pixel lies on one side of the mask grid: the weights of grid values from `first` on.
struct __align__(16) Taps {
    int first;
    float weight[3];
};

// A query that takes part in the merge. Boxes hold the first and last column and row of its final pixels.
struct Candidate {
    int query;
    int category;
    float score;
    int id;
    int won;
    int original;
    int final;
    int left, top, right, bottom;
};

struct Segment {
    int category;
    float score;
    int area;
    int left, top, right, bottom;
};

constexpr unsigned kBadLogits = 1, kBadMasks = 2;

struct Summary {
    int candidates;
    int segments;
    unsigned problems;
};

struct Merge {
    const void* logits;            // (queries, classes + 1)
    const void* masks;             // (queries, grid_height, grid_width)
    const unsigned char* is_thing;  // (classes)
    const Taps* rows;              // (height)
    const Taps* columns;           // (width)
    Candidate* candidates;         // (queries)
    Summary* summary;
    Segment* segments;  // (queries)
    int* map;           // (height, width): first candidates, -1 for none, then segment ids, 0 for none
    double overlap_threshold;
    float score_threshold;
    int queries, classes;
    int grid_height, grid_width;
    int height, width;
};

// Threads of a block in every kernel, and pixels of a block.
constexpr int kThreads = 256;
constexpr int kFitWidth = 32, kFitHeight = 32;
constexpr int kTileWidth = 64, kTileHeight = 32;
constexpr int kPaintPixels = 2048;

}  // namespace pem_edge
