/* A set of texts, to compare before with after. */
#include "harness/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void lines_add(struct lines *set, const char *format, ...)
{
    char text[LINE_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (lines_has(set, text))
        return;
    set->text = realloc(set->text, (set->count + 1) * sizeof set->text[0]);
    if (set->text == NULL)
        abort();
    memcpy(set->text[set->count++], text, sizeof text);
}

bool lines_has(const struct lines *set, const char *text)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->text[i], text) == 0)
            return true;
    return false;
}

void lines_free(struct lines *set)
{
    free(set->text);
    *set = (struct lines){NULL, 0};
}
