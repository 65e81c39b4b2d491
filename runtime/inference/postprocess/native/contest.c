/* The contest for pixels (acceptance.py), one tile of the output at a time, as numpy_contest.py does it.
 *
 * Compiled once for each instruction set, with SUFFIX at the end of the names. Threads may each have a Contest.
 */

#include "pixels.h"

#define JOIN(name, suffix) name##suffix
#define JOIN_VALUES(name, suffix) JOIN(name, suffix)
#define EXPORT(name) __attribute__((visibility("default"))) JOIN_VALUES(name, SUFFIX)

/* Give a tile to its only rival, whose mask does not cross 0.5 there; returns the tile's verdict. */
static int32_t award(const Work *work, Tile tile, int32_t candidate, int surely_in)
{
    const Contest *contest = work->contest;
    contest->won[candidate] += tile.height * tile.width;
    if (!surely_in)
        return NOBODY;
    int32_t left = tile.column * TILE, top = tile.row * TILE;
    contest->final[candidate] += tile.height * tile.width;
    widen(contest, candidate, left, top, left + tile.width - 1, top + tile.height - 1);
    return candidate;
}

/* Decide a row of tiles: by bounds where they leave no doubt, or else by interpolation, but for background. */
static void decide(const Work *work, int32_t row)
{
    int32_t tiles = work->contest->columns.tiles;
    for (int32_t column = 0; column < tiles; column += WIDTH) {
        Prospects found = find_prospects(work, row, column);
        flags certain = (found.rivals == 1) & ~found.any_mixed;
        for (int lane = 0; lane < least(WIDTH, tiles - column); lane++) {
            int32_t *verdict = verdict_of(work, row, column + lane);
            if (certain[lane])
                *verdict = award(work, tile_at(work, row, column + lane), found.last[lane], found.surely_in[lane]);
            else if (found.any_reaches[lane])
                settle(work, row, column + lane);
            else
                *verdict = POSTPONED;
        }
    }
}

/* How many bytes of workspace a contest needs. */
size_t EXPORT(contest_workspace)(const Contest *contest)
{
    Work work;
    return lay_out(contest, 0, &work) + ALIGNMENT;
}

/* Count and assign all pixels but background; returns 0 if a mask is not finite, or else 1. */
int EXPORT(contest_open)(const Contest *contest)
{
    Work work = work_of(contest);
    size_t bounds = (size_t)contest->candidates * (size_t)work.stride;
    memset(work.low, 0, bounds * sizeof *work.low); /* the padding, too */
    memset(work.high, 0, bounds * sizeof *work.high);
    for (int32_t row = 0; row < contest->rows.tiles; row++) {
        for (int32_t candidate = 0; candidate < contest->candidates; candidate++) {
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
        for (uint32_t set = *set_of(work->rivals, work, row, column, word); set;)
            if (wanted[take_candidate(&set, word)])
                return 1;
    return 0;
}

/* Count the background that one of `wanted` (candidates; 0 or 1) may win. */
void EXPORT(contest_settle)(const Contest *contest, const uint8_t *wanted)
{
    Work work = work_of(contest);
    for (int32_t row = 0; row < contest->rows.tiles; row++)
        for (int32_t column = 0; column < contest->columns.tiles; column++)
            if (*verdict_of(&work, row, column) == POSTPONED && concerns(&work, row, column, wanted))
                settle(&work, row, column);
}

/* Replace the map's candidates by their `ids` (candidates), and what is nobody's by 0. */
void EXPORT(contest_paint)(const Contest *contest, const int32_t *ids)
{
    Work work = work_of(contest);
    int32_t *to = contest->map;
    for (int32_t y = 0; y < contest->rows.size; y++)
        for (int32_t column = 0; column < contest->columns.tiles; column++) {
            int32_t verdict = *verdict_of(&work, y / TILE, column), width = pixels(&contest->columns, column);
            int32_t id = verdict < 0 ? 0 : ids[verdict];
            for (int32_t x = 0; x < width; x++, to++)
                *to = verdict == SETTLED ? (*to < 0 ? 0 : ids[*to]) : id;
        }
}
