/* Bounds of masks in a row of tiles, found from the mask grid without interpolation. */

#ifndef PEM_EDGE_BOUNDS_H
#define PEM_EDGE_BOUNDS_H

#include "layout.h"

static const float ROUNDING = 1e-4f; /* the same as in classes.py */

/* A candidate's confidence at a pixel is score / (1 + exp(-mask)). Its reciprocal, the price, needs no division. The
 * candidate with the lowest price wins. */
INLINE lanes price(lanes mask, float inverse_score) { return inverse_score * (1.0f + exponential(-mask)); }

/* Load up to WIDTH grid points from `index` on. Lanes from `count` on are 0. */
INLINE lanes grid_points(const AssignmentBuffers *assignment, size_t index, int32_t count)
{
    uint32_t few[WIDTH] = {0};
    size_t size = assignment->half ? sizeof(uint16_t) : sizeof(float);
    const void *from = (const char *)assignment->masks + index * size;
    if (count < WIDTH)
        from = memcpy(few, from, (size_t)count * size);
    return assignment->half ? load_halves(from) : load(from);
}

/* Find the extremes of each column of a candidate's mask in a row of tiles. Return whether all values are finite. */
static int find_extremes(const Work *work, int32_t row, int32_t candidate)
{
    const AssignmentBuffers *assignment = work->assignment;
    int32_t top = assignment->rows.first[row], height = extent(&assignment->rows, row);
    int32_t left = assignment->columns.first[0], width = breadth(&assignment->columns);
    flags wild = {0};
    for (int32_t x = 0; x < width; x += WIDTH) {
        size_t index = grid_index(assignment, candidate, top, left + x);
        lanes low = all(INFINITY), high = all(-INFINITY), nothing = {0};
        for (int32_t y = 0; y < height; y++, index += (size_t)assignment->columns.grid) {
            lanes points = grid_points(assignment, index, min_int(WIDTH, width - x));
            low = smaller(points, low);
            high = larger(points, high);
            nothing += points * 0; /* NaN if a point is NaN or infinite, otherwise 0 */
        }
        wild |= nothing != 0;
        store(work->band_low + x, low);
        store(work->band_high + x, high);
    }
    return sum(wild) == 0;
}

/* Find the bounds of a candidate's mask in each tile of a row from the extremes of columns. The extremes of windows are
 * computed first. Their width is a power of two and at least half of the widest tile, so that two cover any tile. */
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
        int32_t a = min_int(start, width - window), b = max_int(a, stop - window);
        work->low[candidate * work->stride + tile] = low[a] < low[b] ? low[a] : low[b];
        work->high[candidate * work->stride + tile] = high[a] > high[b] ? high[a] : high[b];
    }
}

/* Conclusions from the bounds about WIDTH neighboring tiles. */
typedef struct {
    flags areas;       /* numbers of pixels */
    flags possible;    /* number of candidates that may win pixels */
    flags last;        /* the last of these candidates */
    flags surely_in;   /* whether the mask of one of them is at least 0.5 everywhere */
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

/* Return the lowest price that some candidate is certain to reach in each of WIDTH tiles. Store in `price` the lowest
 * price that each candidate may reach. */
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

/* Find the candidates that may win pixels of WIDTH tiles and those whose masks may cross 0.5. Count the original pixels
 * of masks that cannot cross it. */
static Prospects find_prospects(const Work *work, int32_t row, int32_t column)
{
    const AssignmentBuffers *assignment = work->assignment;
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
