/* What the mask grid says of a row of tiles without interpolation. */

#ifndef PEM_EDGE_BOUNDS_H
#define PEM_EDGE_BOUNDS_H

#include "layout.h"

static const float ROUNDING = 1e-4f; /* classes.py's */

/* A candidate's confidence at a pixel is score / (1 + exp(-mask)). Its reciprocal, the price, orders candidates the
 * same without a division: the lowest price wins. */
INLINE lanes price(lanes mask, float inverse_score) { return inverse_score * (1.0f + exponential(-mask)); }

/* `count` grid points from `index` on, zeros after them. */
INLINE lanes grid_points(const PixelAssignment *assignment, size_t index, int32_t count)
{
    uint32_t few[WIDTH] = {0};
    size_t size = assignment->half ? sizeof(uint16_t) : sizeof(float);
    const void *from = (const char *)assignment->masks + index * size;
    if (count < WIDTH)
        from = memcpy(few, from, (size_t)count * size);
    return assignment->half ? load_halves(from) : load(from);
}

/* The extremes of each column of a candidate's mask in a row of tiles; returns whether all of it is finite. */
static int find_extremes(const Work *work, int32_t row, int32_t candidate)
{
    const PixelAssignment *assignment = work->assignment;
    int32_t top = assignment->rows.first[row], height = extent(&assignment->rows, row);
    int32_t left = assignment->columns.first[0], width = breadth(&assignment->columns);
    flags wild = {0};
    for (int32_t x = 0; x < width; x += WIDTH) {
        size_t index = place(assignment, candidate, top, left + x);
        lanes low = all(INFINITY), high = all(-INFINITY), nothing = {0};
        for (int32_t y = 0; y < height; y++, index += (size_t)assignment->columns.grid) {
            lanes points = grid_points(assignment, index, least(WIDTH, width - x));
            low = smaller(points, low);
            high = larger(points, high);
            nothing += points * 0; /* not a number if a point is none or infinite */
        }
        wild |= nothing != 0;
        store(work->band_low + x, low);
        store(work->band_high + x, high);
    }
    return sum(wild) == 0;
}

/* The bounds of a candidate's mask in each of a row of tiles, from the extremes of columns: first those of windows of
 * a power of two, more than half of the widest tile, so that two windows cover any tile. */
static void find_bounds(const Work *work, int32_t candidate)
{
    const Side *columns = &work->assignment->columns;
    float *low = work->band_low, *high = work->band_high;
    int32_t left = columns->first[0], width = breadth(columns), window = 1;
    for (; 2 * window <= work->widest; window *= 2)
        for (int32_t x = 0; x < width; x += WIDTH) {
            store(low + x, smaller(load(low + x), load(low + x + window)));
            store(high + x, larger(load(high + x), load(high + x + window)));
        }
    for (int32_t tile = 0; tile < columns->tiles; tile++) {
        int32_t start = columns->first[tile] - left, stop = start + extent(columns, tile);
        int32_t a = least(start, width - window), b = most(a, stop - window);
        work->low[candidate * work->stride + tile] = low[a] < low[b] ? low[a] : low[b];
        work->high[candidate * work->stride + tile] = high[a] > high[b] ? high[a] : high[b];
    }
}

/* What the bounds say of WIDTH tiles. */
typedef struct {
    flags areas;       /* pixels */
    flags possible;      /* how many candidates may win pixels */
    flags last;        /* the last one of them */
    flags surely_in;   /* whether a contender's mask is nowhere below 0.5 */
    flags any_mixed;   /* whether a mask may cross 0.5 */
    flags any_reaches; /* whether a mask may reach 0.5 */
} Prospects;

static flags areas(const Work *work, int32_t row, int32_t column)
{
    flags result;
    for (int lane = 0; lane < WIDTH; lane++)
        result[lane] = pixels(&work->assignment->rows, row) * pixels(&work->assignment->columns, column + lane);
    return result;
}

/* The lowest price that a candidate is sure to offer in each of WIDTH tiles; `price` gets what each may offer. */
static lanes lowest_sure_price(const Work *work, int32_t column)
{
    lanes lowest = all(INFINITY);
    for (int32_t candidate = 0; candidate < work->assignment->candidates; candidate++) {
        size_t at = (size_t)candidate * (size_t)work->stride + (size_t)column;
        float inverse_score = work->assignment->inverse_scores[candidate];
        store(work->price + at, price(load(work->high + at), inverse_score));
        lowest = smaller(price(load(work->low + at), inverse_score), lowest);
    }
    return lowest;
}

/* Who may win pixels of WIDTH tiles, and whose mask may cross 0.5; where it cannot, its original pixels are counted. */
static Prospects find_prospects(const Work *work, int32_t row, int32_t column)
{
    const PixelAssignment *assignment = work->assignment;
    lanes acceptable = lowest_sure_price(work, column) * (1 + ROUNDING);
    Prospects found = {.areas = areas(work, row, column)};
    for (int32_t word = 0, candidate = 0; word < work->words; word++) {
        flags possible = {0}, mixed = {0};
        for (int32_t bit = 0; bit < 32 && candidate < assignment->candidates; bit++, candidate++) {
            size_t at = (size_t)candidate * (size_t)work->stride + (size_t)column;
            flags contender = load(work->price + at) <= acceptable, reaches = load(work->high + at) >= 0;
            flags inside = load(work->low + at) >= 0;
            possible |= contender & (int32_t)(UINT32_C(1) << bit);
            mixed |= reaches & ~inside & (int32_t)(UINT32_C(1) << bit);
            found.possible -= contender;
            found.last = pick_flags(contender, candidate + (flags){0}, found.last);
            found.surely_in |= contender & inside;
            found.any_reaches |= reaches;
            assignment->original[candidate] += sum(inside & found.areas);
        }
        found.any_mixed |= mixed != 0;
        memcpy(set_of(work->possible, work, row, column, word), &possible, sizeof possible);
        memcpy(set_of(work->mixed, work, row, column, word), &mixed, sizeof mixed);
    }
    return found;
}

#endif
