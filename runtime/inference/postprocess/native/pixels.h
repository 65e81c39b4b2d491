/* The assignment of the pixels of one tile. */

#ifndef PEM_EDGE_PIXELS_H
#define PEM_EDGE_PIXELS_H

#include "bounds.h"

/* The current winner of each pixel of a tile. */
typedef struct {
    lanes price[TILE * PARTS];  /* lowest price so far */
    flags winner[TILE * PARTS]; /* candidate with this price */
    flags inside[TILE * PARTS]; /* whether the winner's mask is at least 0.5 */
} Field;

/* Return `count` grid points from `index` on in single precision, converted in the workspace if necessary. */
static const float *grid_row(const Work *work, size_t index, int32_t count)
{
    if (!work->assignment->half)
        return (const float *)work->assignment->masks + index;
    for (int32_t x = 0; x < count; x += WIDTH)
        store(work->band_low + x, grid_points(work->assignment, index + (size_t)x, min_int(WIDTH, count - x)));
    return work->band_low;
}

/* Resize a candidate's mask along the rows of a tile, into `cells`. */
static void resize_along(const Work *work, Tile tile, int32_t candidate)
{
    const AssignmentBuffers *assignment = work->assignment;
    const Side *rows = &assignment->rows, *columns = &assignment->columns;
    int32_t width = extent(columns, tile.column);
    for (int32_t y = 0; y < extent(rows, tile.row); y++) {
        size_t index = grid_index(assignment, candidate, rows->first[tile.row] + y, columns->first[tile.column]);
        const float *points = grid_row(work, index, width);
        const float *weights = columns->weights + columns->offset[tile.column] * TILE;
        lanes sums[PARTS] = {{0}};
        for (int32_t x = 0; x < width; x++, weights += TILE)
            for (int part = 0; part < PARTS; part++)
                sums[part] += points[x] * load(weights + part * WIDTH);
        memcpy(work->cells + y * PARTS, sums, sizeof sums);
    }
}

/* Resize `cells` along the columns of the tile, into `mask`: the values at the tile's pixels. */
static void resize_down(const Work *work, Tile tile, lanes *mask)
{
    const Side *rows = &work->assignment->rows;
    const float *weights = rows->weights + rows->offset[tile.row] * TILE;
    for (int32_t y = 0; y < tile.height; y++) {
        const int32_t *reach = rows->reach + 2 * (tile.row * TILE + y);
        lanes sums[PARTS] = {{0}};
        for (int32_t k = reach[0]; k < reach[1]; k++)
            for (int part = 0; part < PARTS; part++)
                sums[part] += weights[k * TILE + y] * work->cells[k * PARTS + part];
        memcpy(mask + y * PARTS, sums, sizeof sums);
    }
}

/* Let a candidate compete for the pixels of a tile. The `first` candidate wins all of them. */
static void offer(const Work *work, Tile tile, int32_t candidate, const lanes *mask, int first, Field *field)
{
    for (int32_t i = 0; i < tile.height * PARTS; i++) {
        lanes offered = price(mask[i], work->assignment->inverse_scores[candidate]);
        flags better = first ? all(0) == 0 : offered < field->price[i];
        field->price[i] = pick(better, offered, field->price[i]);
        field->winner[i] = pick_flags(better, candidate + (flags){0}, field->winner[i]);
        field->inside[i] = pick_flags(better, mask[i] >= 0, field->inside[i]);
    }
}

/* Let the only possible winner of a tile win all of its pixels. */
static void concede(Tile tile, int32_t candidate, const lanes *mask, Field *field)
{
    for (int32_t i = 0; i < tile.height * PARTS; i++) {
        field->winner[i] = candidate + (flags){0};
        field->inside[i] = mask[i] >= 0;
    }
}

static int32_t count_inside(Tile tile, const lanes *mask)
{
    flags count = {0};
    for (int part = 0; part < PARTS; part++)
        for (int32_t y = 0; y < tile.height; y++)
            count -= (mask[y * PARTS + part] >= 0) & first_lanes(tile.width - part * WIDTH);
    return sum(count);
}

/* Let all possible winners compete for a tile, and count the original pixels of masks that may cross 0.5. */
static void compete(const Work *work, Tile tile, Field *field)
{
    int possible = 0, seen = 0;
    for (int32_t word = 0; word < work->words; word++)
        possible += __builtin_popcount(*set_of(work->possible, work, tile.row, tile.column, word));
    for (int32_t word = 0; word < work->words; word++) {
        uint32_t contender = *set_of(work->possible, work, tile.row, tile.column, word);
        uint32_t mixed = *set_of(work->mixed, work, tile.row, tile.column, word);
        for (uint32_t set = contender | mixed; set;) {
            uint32_t bit = set & -set;
            int32_t candidate = take_candidate(&set, word);
            lanes mask[TILE * PARTS];
            resize_along(work, tile, candidate);
            resize_down(work, tile, mask);
            if (mixed & bit)
                work->assignment->original[candidate] += count_inside(tile, mask);
            if (contender & bit && possible == 1)
                concede(tile, candidate, mask, field);
            else if (contender & bit)
                offer(work, tile, candidate, mask, seen++ == 0, field);
        }
    }
}

/* Extend a candidate's box to contain another box. */
static void widen(const AssignmentBuffers *assignment, int32_t candidate, int32_t left, int32_t top, int32_t right,
                  int32_t bottom)
{
    int32_t *box = assignment->boxes + 4 * candidate;
    box[0] = min_int(box[0], left), box[1] = min_int(box[1], top);
    box[2] = max_int(box[2], right), box[3] = max_int(box[3], bottom);
}

/* Count the pixels of a tile that a candidate has won. Return how many of them are final. */
static int32_t tally(const Work *work, Tile tile, const Field *field, int32_t candidate)
{
    const AssignmentBuffers *assignment = work->assignment;
    int32_t left = tile.column * TILE, top = tile.row * TILE, finals = 0;
    for (int part = 0; part < PARTS; part++, left += WIDTH) {
        /* `before` counts the rows above the first final pixel, `last` is the row of the last one. */
        flags won = {0}, final = {0}, before = {0}, last = {0};
        for (int32_t y = 0; y < tile.height; y++) {
            flags wins = (field->winner[y * PARTS + part] == candidate) & first_lanes(tile.width - part * WIDTH);
            flags keeps = wins & field->inside[y * PARTS + part];
            won -= wins;
            final -= keeps;
            before -= final == 0;
            last = pick_flags(keeps, y + (flags){0}, last);
        }
        assignment->won[candidate] += sum(won);
        finals += sum(final);
        for (int lane = 0; lane < WIDTH; lane++)
            if (final[lane])
                widen(assignment, candidate, left + lane, top + before[lane], left + lane, top + last[lane]);
    }
    assignment->final[candidate] += finals;
    return finals;
}

/* Write the winners of a tile's final pixels to the map. */
static void assign(const Work *work, Tile tile, const Field *field)
{
    size_t across = (size_t)work->assignment->columns.size;
    int32_t *to = work->assignment->map + (size_t)tile.row * TILE * across + (size_t)tile.column * TILE;
    for (int32_t y = 0; y < tile.height; y++, to += across) {
        flags winners[PARTS];
        for (int part = 0; part < PARTS; part++) {
            int32_t i = y * PARTS + part;
            winners[part] = pick_flags(field->inside[i], field->winner[i], NOBODY + (flags){0});
        }
        if (tile.width == TILE)
            memcpy(to, winners, sizeof winners);
        else
            memcpy(to, winners, (size_t)tile.width * sizeof *to);
    }
}

/* Interpolate the masks in a tile, and count and assign its pixels. */
static void complete(const Work *work, int32_t row, int32_t column)
{
    Tile tile = tile_at(work, row, column);
    Field field;
    compete(work, tile, &field);
    int32_t finals = 0;
    for (int32_t word = 0; word < work->words; word++)
        for (uint32_t set = *set_of(work->possible, work, row, column, word); set;)
            finals += tally(work, tile, &field, take_candidate(&set, word));
    *verdict_of(work, row, column) = finals ? COUNTED : NOBODY;
    if (finals)
        assign(work, tile, &field);
}

#endif
