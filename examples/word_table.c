#include "word_table.h"

#include <ctype.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

static size_t hash_of(const char *text)
{
    size_t hash = 5381;

    for (; *text != '\0'; text++)
        hash = hash * 33 + (unsigned char)*text;
    return hash;
}

/* Where the word is, or should be. */
static struct word *find(const struct word_table *table, const char *text)
{
    size_t i = hash_of(text) & (table->room - 1);

    while (table->places[i].count != 0 &&
           strcmp(table->places[i].text, text) != 0)
        i = (i + 1) & (table->room - 1);
    return &table->places[i];
}

static void grow(struct word_table *table)
{
    const struct word_table old = *table;

    table->room = old.room == 0 ? 1024 : old.room * 2;
    table->places = calloc(table->room, sizeof *table->places);
    if (table->places == NULL)
        err(1, "%zu words", table->room);
    for (size_t i = 0; i < old.room; i++)
        if (old.places[i].count != 0)
            *find(table, old.places[i].text) = old.places[i];
    free(old.places);
}

void word_table_add(struct word_table *table, const char *text, size_t length,
                    uint32_t count)
{
    struct word word = {count, ""}, *place;

    if (length >= sizeof word.text)
        length = sizeof word.text - 1;
    memcpy(word.text, text, length);

    if (table->used >= table->room / 2)
        grow(table);
    place = find(table, word.text);
    if (place->count == 0) {
        *place = word;
        table->used++;
    } else {
        place->count += count;
    }
}

/* In lower case; 0 if it is none. */
static char letter(char c)
{
    const int byte = (unsigned char)c;

    return isalpha(byte) ? (char)tolower(byte) : '\0';
}

void word_table_add_text(struct word_table *table, const char *text,
                         size_t bytes)
{
    const char *end = text + bytes;

    while (text < end) {
        char word[sizeof table->places->text];
        size_t length = 0;

        for (char c; text < end && (c = letter(*text)) != '\0'; text++)
            if (length < sizeof word)
                word[length++] = c;
        if (length > 0)
            word_table_add(table, word, length, 1);
        else
            text++;
    }
}

static int most_first(const void *a, const void *b)
{
    const struct word *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->text, y->text);
}

/* Empty places count 0: they come last. */
void word_table_sort(struct word_table *table)
{
    if (table->room > 0)
        qsort(table->places, table->room, sizeof *table->places, most_first);
}

void word_table_free(struct word_table *table)
{
    free(table->places);
    *table = (struct word_table){NULL, 0, 0};
}
