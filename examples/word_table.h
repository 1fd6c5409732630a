/* How often each word occurs: a hash table in the memory of one process, and
 * the same as a plain row of bytes, which can travel to another one. */
#ifndef WORD_TABLE_H
#define WORD_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct word {
    uint32_t count; /* 0: an empty place */
    char text[28];  /* longer words are cut */
};

struct word_table {
    struct word *places;
    size_t room; /* a power of two, or 0 */
    size_t used;
};

/* Start with a table of zeroes. */
void word_table_add(struct word_table *table, const char *text, size_t length,
                    uint32_t count);

/* The words of a text: letters, in lower case. */
void word_table_add_text(struct word_table *table, const char *text,
                         size_t bytes);

/* Move all words to the front, the most frequent first: places[0] to
 * places[used - 1] are what there is.  No adding after that. */
void word_table_sort(struct word_table *table);

void word_table_free(struct word_table *table);

#endif
