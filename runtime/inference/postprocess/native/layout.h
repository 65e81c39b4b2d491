/* What a assignment consists of, and where it is in memory. */

#ifndef PEM_EDGE_LAYOUT_H
#define PEM_EDGE_LAYOUT_H

#include <stddef.h>

#include "lanes.h"

enum {
    TILE = 16,            /* side of a tile in output pixels */
    PARTS = TILE / WIDTH, /* vectors in a row of a tile */
    ALIGNMENT = 64,
};

/* One side of the output, cut into tiles. The grid points of neighboring tiles touch or overlap. */
typedef struct {
    int32_t tiles, size, grid; /* how many tiles, output pixels, and grid points of a mask */
    const int32_t *first;      /* (tiles) the first grid point a tile depends on */
    const int32_t *offset;     /* (tiles + 1) where its grid points begin in `weights` */
    const float *weights;      /* (offset[tiles], TILE) of each of its grid points for each of its pixels */
    const int32_t *reach;      /* (size, 2) which of them a pixel is made of: the first, and one past the last */
} Side;

/* All of it is the caller's; compiled_assignment.py has the same structures. */
typedef struct {
    const void *masks;               /* (queries, rows.grid, columns.grid) in single or half precision */
    const int64_t *queries;          /* (candidates) their places in `masks` */
    const float *inverse_scores;     /* (candidates) */
    int64_t *won, *original, *final; /* (candidates) counts of pixels, at first 0 */
    int32_t *boxes;                  /* (candidates, 4) left, top, right, bottom of final pixels, at first inside out */
    int32_t *map;                    /* (rows.size, columns.size) */
    void *workspace;                 /* of assignment_workspace() bytes */
    int32_t candidates, half;
    Side rows, columns;
} PixelAssignment;

/* What is known of a tile's pixels, where not all of them are one candidate's. */
enum {
    NOBODY = -1,    /* nobody's */
    COUNTED = -2,   /* each is its candidate in the map, or NOBODY */
    POSTPONED = -3, /* nobody's, and who wins them is still to be counted */
};

/* What the workspace holds. `stride` is how many tiles a row has, padded to whole vectors. */
typedef struct {
    const PixelAssignment *assignment;
    int32_t stride;
    int32_t words;               /* in a set of candidates, a bit each */
    int32_t widest;              /* grid points along a row that the widest tile depends on */
    int32_t *verdicts;           /* (rows.tiles, stride) a candidate, or one of the above */
    uint32_t *possible;            /* (rows.tiles, words, stride) sets: who may win pixels, */
    uint32_t *mixed;             /* and whose mask may cross 0.5 */
    float *low, *high, *price;   /* (candidates, stride) of a row of tiles: bounds of masks, lowest price */
    float *band_low, *band_high; /* (grid points along a row, padded) of one mask in a row of tiles */
    lanes *cells;                /* (grid points down a tile, PARTS) of one mask, resized along the row */
} Work;

typedef struct {
    int32_t row, column;   /* its place among the tiles */
    int32_t height, width; /* pixels */
} Tile;

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

static int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }

/* How many pixels a tile has along a side, 0 beyond the last one. */
static int32_t pixels(const Side *side, int32_t tile) { return most(0, least(TILE, side->size - tile * TILE)); }

/* How many grid points it depends on. */
static int32_t extent(const Side *side, int32_t tile) { return side->offset[tile + 1] - side->offset[tile]; }

static int32_t largest_extent(const Side *side)
{
    int32_t largest = 0;
    for (int32_t tile = 0; tile < side->tiles; tile++)
        largest = most(largest, extent(side, tile));
    return largest;
}

/* How many grid points all tiles depend on. */
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

/* A word of a tile's set of candidates. */
static uint32_t *set_of(uint32_t *sets, const Work *work, int32_t row, int32_t column, int32_t word)
{
    return sets + ((size_t)row * (size_t)work->words + (size_t)word) * (size_t)work->stride + column;
}

/* Take the first candidate out of a word of a set. */
static int32_t take_candidate(uint32_t *set, int32_t word)
{
    int32_t bit = __builtin_ctz(*set);
    *set &= *set - 1;
    return 32 * word + bit;
}

/* Where a grid point of a candidate's mask is among all of them. */
static size_t place(const PixelAssignment *assignment, int32_t candidate, int32_t y, int32_t x)
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

/* Lay out a workspace that starts at `start`; returns where it ends. */
static uintptr_t lay_out(const PixelAssignment *assignment, uintptr_t start, Work *work)
{
    uintptr_t free = (start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const Side *rows = &assignment->rows, *columns = &assignment->columns;
    size_t candidates = (size_t)assignment->candidates, words = (candidates + 31) / 32;
    size_t stride = ((size_t)columns->tiles + WIDTH - 1) / WIDTH * WIDTH, bounds = candidates * stride;
    size_t sets = (size_t)rows->tiles * words * stride;
    int32_t widest = largest_extent(columns);
    size_t band = (size_t)breadth(columns) + (size_t)widest + 2 * WIDTH; /* windows and vectors may end beyond it */
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

static Work work_of(const PixelAssignment *assignment)
{
    Work work;
    lay_out(assignment, (uintptr_t)assignment->workspace, &work);
    return work;
}

#endif
