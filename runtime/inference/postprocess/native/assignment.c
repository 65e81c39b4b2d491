/* The pixel assignment that acceptance.py describes, with the algorithm of numpy_assignment.py.
 *
 * This file is compiled once for each instruction set, with SUFFIX appended to the names of its exported functions.
 * Threads may run assignments at the same time if each has its own AssignmentBuffers.
 */

#include "pixels.h"

#define JOIN(name, suffix) name##suffix
#define JOIN_VALUES(name, suffix) JOIN(name, suffix)
#define EXPORT(name) __attribute__((visibility("default"))) JOIN_VALUES(name, SUFFIX)

/* Assign a tile to its only possible winner, whose mask does not cross 0.5 there. Return the tile's verdict. */
static int32_t award(const Work *work, Tile tile, int32_t candidate, int surely_in)
{
    const AssignmentBuffers *assignment = work->assignment;
    assignment->won[candidate] += tile.height * tile.width;
    if (!surely_in)
        return NOBODY;
    int32_t left = tile.column * TILE, top = tile.row * TILE;
    assignment->final[candidate] += tile.height * tile.width;
    widen(assignment, candidate, left, top, left + tile.width - 1, top + tile.height - 1);
    return candidate;
}

/* Decide a row of tiles: by their bounds where these are certain, otherwise by interpolation. Postpone background. */
static void decide(const Work *work, int32_t row)
{
    int32_t tiles = work->assignment->columns.tiles;
    for (int32_t column = 0; column < tiles; column += WIDTH) {
        Prospects found = find_prospects(work, row, column);
        flags certain = (found.possible == 1) & ~found.any_mixed;
        for (int lane = 0; lane < min_int(WIDTH, tiles - column); lane++) {
            int32_t *verdict = verdict_of(work, row, column + lane);
            if (certain[lane])
                *verdict = award(work, tile_at(work, row, column + lane), found.last[lane], found.surely_in[lane]);
            else if (found.any_reaches[lane])
                complete(work, row, column + lane);
            else
                *verdict = POSTPONED;
        }
    }
}

/* Return the number of bytes of workspace that an assignment needs. */
size_t EXPORT(assignment_workspace)(const AssignmentBuffers *assignment)
{
    Work work;
    return lay_out(assignment, 0, &work) + ALIGNMENT;
}

/* Count and assign all pixels except background. Return 0 if a mask is not finite, otherwise 1. */
int EXPORT(assignment_open)(const AssignmentBuffers *assignment)
{
    Work work = open_workspace(assignment);
    size_t bounds = (size_t)assignment->candidates * (size_t)work.stride;
    memset(work.low, 0, bounds * sizeof *work.low); /* the bounds of padding tiles are read, too */
    memset(work.high, 0, bounds * sizeof *work.high);
    for (int32_t row = 0; row < assignment->rows.tiles; row++) {
        for (int32_t candidate = 0; candidate < assignment->candidates; candidate++) {
            if (!find_extremes(&work, row, candidate))
                return 0;
            find_bounds(&work, candidate);
        }
        decide(&work, row);
    }
    return 1;
}

/* Return whether a candidate flagged by `wanted` may win pixels of a tile. */
static int concerns(const Work *work, int32_t row, int32_t column, const uint8_t *wanted)
{
    for (int32_t word = 0; word < work->words; word++)
        for (uint32_t set = *set_of(work->possible, work, row, column, word); set;)
            if (wanted[take_candidate(&set, word)])
                return 1;
    return 0;
}

/* Count the background that may be won by a candidate flagged by `wanted`, (candidates) of 0 or 1. */
void EXPORT(assignment_complete)(const AssignmentBuffers *assignment, const uint8_t *wanted)
{
    Work work = open_workspace(assignment);
    for (int32_t row = 0; row < assignment->rows.tiles; row++)
        for (int32_t column = 0; column < assignment->columns.tiles; column++)
            if (*verdict_of(&work, row, column) == POSTPONED && concerns(&work, row, column, wanted))
                complete(&work, row, column);
}

/* Replace each candidate in the map by its id in `ids`, (candidates), and unassigned pixels by 0. */
void EXPORT(assignment_paint)(const AssignmentBuffers *assignment, const int32_t *ids)
{
    Work work = open_workspace(assignment);
    int32_t *to = assignment->map;
    for (int32_t y = 0; y < assignment->rows.size; y++)
        for (int32_t column = 0; column < assignment->columns.tiles; column++) {
            int32_t verdict = *verdict_of(&work, y / TILE, column), width = pixels(&assignment->columns, column);
            int32_t id = verdict < 0 ? 0 : ids[verdict];
            for (int32_t x = 0; x < width; x++, to++)
                *to = verdict == COUNTED ? (*to < 0 ? 0 : ids[*to]) : id;
        }
}
