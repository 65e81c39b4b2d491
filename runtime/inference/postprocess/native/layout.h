/* The data of an assignment and its layout in memory. */

#ifndef PEM_EDGE_LAYOUT_H
#define PEM_EDGE_LAYOUT_H

#include <stddef.h>

#include "lanes.h"

enum {
    TILE = 16,            /* side of a tile in output pixels */
    PARTS = TILE / WIDTH, /* vectors in a row of a tile */
    ALIGNMENT = 64,
};

/* One side of the output, divided into tiles. The grid points of neighboring tiles touch or overlap. */
typedef struct {
    int32_t tiles, size, grid; /* numbers of tiles, of output pixels, and of grid points of a mask */
    const int32_t *first;      /* (tiles) first grid point that a tile depends on */
    const int32_t *offset;     /* (tiles + 1) index in `weights` of this grid point */
    const float *weights;      /* (offset[tiles], TILE) weight of each grid point of a tile for each of its pixels */
    const int32_t *reach;      /* (size, 2) range of the grid points of its tile that a pixel depends on */
} Side;

/* The input and output of an assignment. The caller owns all of it. library.py declares the same structures. */
typedef struct {
    const void *masks;               /* (queries, rows.grid, columns.grid) in single or half precision */
    const int64_t *queries;          /* (candidates) indices in `masks` */
    const float *inverse_scores;     /* (candidates) */
    int64_t *won, *original, *final; /* (candidates) numbers of pixels, initially 0 */
    int32_t *boxes;                  /* (candidates, 4) left, top, right, bottom of final pixels, initially empty */
    int32_t *map;                    /* (rows.size, columns.size) */
    void *workspace;                 /* assignment_workspace() bytes */
    int32_t candidates, half;
    Side rows, columns;
} AssignmentBuffers;

/* Verdicts on tiles whose pixels are not all assigned to one candidate. */
enum {
    NOBODY = -1,    /* no pixel is assigned */
    COUNTED = -2,   /* the map has the candidate of each pixel, or NOBODY */
    POSTPONED = -3, /* no pixel is assigned, and the pixels won are not counted yet */
};

/* The contents of the workspace. `stride` is the number of tiles in a row, padded to whole vectors. */
typedef struct {
    const AssignmentBuffers *assignment;
    int32_t stride;
    int32_t words;               /* number of words in a set of candidates, which has one bit for each */
    int32_t widest;              /* maximum number of grid points along a row that a tile depends on */
    int32_t *verdicts;           /* (rows.tiles, stride) a candidate or one of the constants */
    uint32_t *possible;          /* (rows.tiles, words, stride) sets of candidates that may win pixels */
    uint32_t *mixed;             /* (rows.tiles, words, stride) sets of candidates whose masks may cross 0.5 */
    float *low, *high, *price;   /* (candidates, stride) bounds of masks and lowest prices in a row of tiles */
    float *band_low, *band_high; /* (grid points along a row, padded) extremes of the columns of one mask */
    lanes *cells;                /* (grid points down a tile, PARTS) one mask, resized along the rows */
} Work;

typedef struct {
    int32_t row, column;   /* index among the tiles */
    int32_t height, width; /* pixels */
} Tile;

static int32_t min_int(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t max_int(int32_t a, int32_t b) { return a > b ? a : b; }

/* Return the number of pixels of a tile along a side, which is 0 beyond the last tile. */
static int32_t pixels(const Side *side, int32_t tile) { return max_int(0, min_int(TILE, side->size - tile * TILE)); }

/* Return the number of grid points that a tile depends on along a side. */
static int32_t extent(const Side *side, int32_t tile) { return side->offset[tile + 1] - side->offset[tile]; }

static int32_t largest_extent(const Side *side)
{
    int32_t largest = 0;
    for (int32_t tile = 0; tile < side->tiles; tile++)
        largest = max_int(largest, extent(side, tile));
    return largest;
}

/* Return the number of grid points that all tiles together depend on along a side. */
static int32_t breadth(const Side *side)
{
    int32_t last = side->tiles - 1;
    return side->first[last] + extent(side, last) - side->first[0];
}

static Tile tile_at(const Work *work, int32_t row, int32_t column)
{
    return (Tile){row, column, pixels(&work->assignment->rows, row), pixels(&work->assignment->columns, column)};
}

static int32_t *verdict_of(const Work *work, int32_t row, int32_t column)
{
    return work->verdicts + (size_t)row * (size_t)work->stride + column;
}

/* Return one word of a tile's set of candidates. */
static uint32_t *set_of(uint32_t *sets, const Work *work, int32_t row, int32_t column, int32_t word)
{
    return sets + ((size_t)row * (size_t)work->words + (size_t)word) * (size_t)work->stride + column;
}

/* Remove the first candidate from a word of a set, and return it. */
static int32_t take_candidate(uint32_t *set, int32_t word)
{
    int32_t bit = __builtin_ctz(*set);
    *set &= *set - 1;
    return 32 * word + bit;
}

/* Return the index in `masks` of a grid point of a candidate's mask. */
static size_t grid_index(const AssignmentBuffers *assignment, int32_t candidate, int32_t y, int32_t x)
{
    size_t row = (size_t)assignment->queries[candidate] * (size_t)assignment->rows.grid + (size_t)y;
    return row * (size_t)assignment->columns.grid + (size_t)x;
}

static void *take(uintptr_t *free, size_t count, size_t size)
{
    void *start = (void *)*free;
    *free += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return start;
}

/* Lay out a workspace that starts at `start`. Return its end. */
static uintptr_t lay_out(const AssignmentBuffers *assignment, uintptr_t start, Work *work)
{
    uintptr_t free = (start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const Side *rows = &assignment->rows, *columns = &assignment->columns;
    size_t candidates = (size_t)assignment->candidates, words = (candidates + 31) / 32;
    size_t stride = ((size_t)columns->tiles + WIDTH - 1) / WIDTH * WIDTH, bounds = candidates * stride;
    size_t sets = (size_t)rows->tiles * words * stride;
    int32_t widest = largest_extent(columns);
    /* Windows and vectors may extend beyond the last grid point. */
    size_t band = (size_t)breadth(columns) + (size_t)widest + 2 * WIDTH;
    *work = (Work){.assignment = assignment, .stride = (int32_t)stride, .words = (int32_t)words, .widest = widest};
    work->verdicts = take(&free, (size_t)rows->tiles * stride, sizeof *work->verdicts);
    work->possible = take(&free, sets, sizeof *work->possible);
    work->mixed = take(&free, sets, sizeof *work->mixed);
    work->low = take(&free, bounds, sizeof *work->low);
    work->high = take(&free, bounds, sizeof *work->high);
    work->price = take(&free, bounds, sizeof *work->price);
    work->band_low = take(&free, band, sizeof *work->band_low);
    work->band_high = take(&free, band, sizeof *work->band_high);
    work->cells = take(&free, (size_t)largest_extent(rows) * PARTS, sizeof *work->cells);
    return free;
}

static Work open_workspace(const AssignmentBuffers *assignment)
{
    Work work;
    lay_out(assignment, (uintptr_t)assignment->workspace, &work);
    return work;
}

#endif
