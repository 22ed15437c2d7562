/* SPDX-License-Identifier: Apache-2.0 */
/* Letters put in, left out, changed or swapped with a neighbour are counted; more than one in four, and one, is no help. */
#include "common/nearest.h"

#include <stdint.h>
#include <string.h>

#define NAME_MAX_SIZE 64 /* longer names are not compared */

static size_t smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

/* How many letters must be put in, left out, changed or swapped with their neighbour (optimal string alignment). */
static size_t distance(const char *one, const char *other)
{
    size_t one_size = strlen(one);
    size_t other_size = strlen(other);
    uint8_t table[NAME_MAX_SIZE + 1][NAME_MAX_SIZE + 1];

    for (size_t row = 0; row <= one_size; row++) {
        for (size_t column = 0; column <= other_size; column++) {
            size_t cost;

            if (row == 0 || column == 0) {
                table[row][column] = (uint8_t)(row + column);
                continue;
            }
            cost = one[row - 1] == other[column - 1] ? 0 : 1;
            cost = smaller(table[row - 1][column - 1] + cost, smaller(table[row - 1][column], table[row][column - 1]) + 1U);
            if (row > 1 && column > 1 && one[row - 1] == other[column - 2] && one[row - 2] == other[column - 1]) {
                cost = smaller(cost, table[row - 2][column - 2] + 1U);
            }
            table[row][column] = (uint8_t)cost;
        }
    }
    return table[one_size][other_size];
}

/* "password" for "source.password": the right word in the wrong section. */
static int is_last_word(const char *name, const char *candidate)
{
    const char *dot = strrchr(candidate, '.');

    return dot != NULL && strcmp(dot + 1, name) == 0;
}

void nearest_init(struct nearest *nearest, const char *name)
{
    *nearest = (struct nearest){.name = name, ._distance = SIZE_MAX};
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    size_t size = strlen(nearest->name);
    size_t apart;

    if (size > NAME_MAX_SIZE || strlen(candidate) > NAME_MAX_SIZE) {
        return;
    }
    apart = is_last_word(nearest->name, candidate) ? 1 : distance(nearest->name, candidate);
    if (apart <= size / 4 + 1 && apart < nearest->_distance && apart < size) {
        nearest->best = candidate;
        nearest->_distance = apart;
    }
}
