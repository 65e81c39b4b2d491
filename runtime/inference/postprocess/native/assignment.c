/* The assignment for pixels (acceptance.py), one tile of the output at a time, as numpy_assignment.py does it.
 *
 * Compiled once for each instruction set, with SUFFIX at the end of the names. Threads may each have a PixelAssignment.
 */

#include "pixels.h"

#define JOIN(name, suffix) name##suffix
#define JOIN_VALUES(name, suffix) JOIN(name, suffix)
#define EXPORT(name) __attribute__((visibility("default"))) JOIN_VALUES(name, SUFFIX)

/* Give a tile to its only contender, whose mask does not cross 0.5 there; returns the tile's verdict. */
static int32_t award(const Work *work, Tile tile, int32_t candidate, int surely_in)
{
    const PixelAssignment *assignment = work->assignment;
    assignment->won[candidate] += tile.height * tile.width;
    if (!surely_in)
        return NOBODY;
    int32_t left = tile.column * TILE, top = tile.row * TILE;
    assignment->final[candidate] += tile.height * tile.width;
    widen(assignment, candidate, left, top, left + tile.width - 1, top + tile.height - 1);
    return candidate;
}

/* Decide a row of tiles: by bounds where they leave no doubt, or else by interpolation, but for background. */
static void decide(const Work *work, int32_t row)
{
    int32_t tiles = work->assignment->columns.tiles;
    for (int32_t column = 0; column < tiles; column += WIDTH) {
        Prospects found = find_prospects(work, row, column);
        flags certain = (found.possible == 1) & ~found.any_mixed;
        for (int lane = 0; lane < least(WIDTH, tiles - column); lane++) {
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

/* How many bytes of workspace a assignment needs. */
size_t EXPORT(assignment_workspace)(const PixelAssignment *assignment)
{
    Work work;
    return lay_out(assignment, 0, &work) + ALIGNMENT;
}

/* Count and assign all pixels but background; returns 0 if a mask is not finite, or else 1. */
int EXPORT(assignment_open)(const PixelAssignment *assignment)
{
    Work work = work_of(assignment);
    size_t bounds = (size_t)assignment->candidates * (size_t)work.stride;
    memset(work.low, 0, bounds * sizeof *work.low); /* the padding, too */
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

/* Whether one of `wanted` may win pixels of a tile. */
static int concerns(const Work *work, int32_t row, int32_t column, const uint8_t *wanted)
{
    for (int32_t word = 0; word < work->words; word++)
        for (uint32_t set = *set_of(work->possible, work, row, column, word); set;)
            if (wanted[take_candidate(&set, word)])
                return 1;
    return 0;
}

/* Count the background that one of `wanted` (candidates; 0 or 1) may win. */
void EXPORT(assignment_complete)(const PixelAssignment *assignment, const uint8_t *wanted)
{
    Work work = work_of(assignment);
    for (int32_t row = 0; row < assignment->rows.tiles; row++)
        for (int32_t column = 0; column < assignment->columns.tiles; column++)
            if (*verdict_of(&work, row, column) == POSTPONED && concerns(&work, row, column, wanted))
                complete(&work, row, column);
}

/* Replace the map's candidates by their `ids` (candidates), and what is nobody's by 0. */
void EXPORT(assignment_paint)(const PixelAssignment *assignment, const int32_t *ids)
{
    Work work = work_of(assignment);
    int32_t *to = assignment->map;
    for (int32_t y = 0; y < assignment->rows.size; y++)
        for (int32_t column = 0; column < assignment->columns.tiles; column++) {
            int32_t verdict = *verdict_of(&work, y / TILE, column), width = pixels(&assignment->columns, column);
            int32_t id = verdict < 0 ? 0 : ids[verdict];
            for (int32_t x = 0; x < width; x++, to++)
                *to = verdict == COUNTED ? (*to < 0 ? 0 : ids[*to]) : id;
        }
}
