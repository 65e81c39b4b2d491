// The arguments of the kernels. arguments.py declares the same structures for Python; a test compares the two.
#pragma once

namespace pem_edge {

// The scaling of one side of an image. Target pixel i is a weighted sum of `taps` source pixels from `first[i]` on.
// These may be outside the image, where the pixels at its edges are repeated.
struct Side {
    const int* first;      // (scaled)
    const float* weights;  // (scaled, taps)
    int taps;
    int source;  // source pixels
    int scaled;  // target pixels that show the image
    int padded;  // all target pixels
};

struct FitArguments {
    const unsigned char* source;  // (rows.source, columns.source, 3)
    unsigned char* target;        // (rows.padded, columns.padded, 3)
    Side rows;
    Side columns;
    float scale;  // factor of the weighted sums, if pixels are averaged
    int half_up;  // whether averages are rounded half up; if not, half to even
    unsigned char pad[4];
};

// The position of an output row or column on the mask grid: the weights of the grid's rows or columns from `first` on.
struct __align__(16) Taps {
    int first;
    float weight[3];
};

// A query that takes part in the merge.
struct Candidate {
    int query;
    int category;
    float score;
    int id;        // of the segment; 0 for none
    int won;       // pixels where the candidate has the highest confidence
    int original;  // pixels where the mask's probability is at least one half
    int final;     // pixels where both hold
    int left, top, right, bottom;  // first and last column and row of the final pixels
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

// The types of a map's pixels. A map is as narrow as its ids allow, because it is copied to the host.
using Byte = unsigned char;
using Word = unsigned short;

struct MergeArguments {
    const void* logits;             // (queries, classes + 1)
    const void* masks;              // (queries, grid_height, grid_width)
    const unsigned char* is_thing;  // (classes)
    const Taps* rows;               // (height)
    const Taps* columns;            // (width)
    Candidate* candidates;          // (queries)
    Summary* summary;
    Segment* segments;  // (queries)
    void* map;          // (height, width) of Byte or Word: candidates from 1, then segment ids from 1; 0 for none
    double overlap_threshold;
    float score_threshold;
    int queries, classes;
    int grid_height, grid_width;
    int height, width;
};

// Number of threads per block in every kernel, and of pixels per block.
constexpr int kThreads = 256;
constexpr int kFitWidth = 32, kFitHeight = 32;
constexpr int kTileWidth = 64, kTileHeight = 32;
constexpr int kPaintPixels = 2048;

}  // namespace pem_edge
