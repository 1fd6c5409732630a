/* Feeds a fuzz target with files, and all that they begin with: for builds
 * without libFuzzer.
 *
 *     wire_fuzz_corpus tests/fuzz/corpus/wire */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>

#define FILE_BYTES 65536u

static long inputs;

/* A copy that ends where its memory does. */
static void feed(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    fuzz_assert(copy != NULL);
    memcpy(copy, data, bytes);
    (void)LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
    inputs++;
}

static void feed_file(const char *folder, const char *name)
{
    static uint8_t data[FILE_BYTES];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rbe");
    fuzz_assert(file != NULL);
    const size_t bytes = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t cut = 0; cut <= bytes; cut++)
        feed(data, cut);
}

int main(int argc, char **argv)
{
    long files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry;
        fuzz_assert(folder != NULL);
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
        while ((entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            feed_file(argv[i], entry->d_name);
            files++;
        }
        closedir(folder);
    }
    printf("%ld files, %ld inputs\n", files, inputs);
    return files > 0 ? 0 : 1;
}
