#include "fuzz.h"
#include <dirent.h>
#include <stdio.h>

/* The ordinary run of a target: every kept input, every beginning of it and a few bytes changed in
 * each. */

static unsigned char input[1 << 20];

static size_t read_input(const char *folder, const char *name)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(input, 1, sizeof input, file) : 0;
    if (!file)
        perror(path);
    else
        fclose(file);
    return size;
}

/* A copy of exactly its size, so that AddressSanitizer sees a read past the end. */
static void run_copy(size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);

    memcpy(copy, input, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int64_t run_variants(size_t size)
{
    int64_t runs = 1;

    run_copy(size);
    for (size_t step = size / 16 + 1, at = 0; at < size; at += step, runs += 2) {
        unsigned char kept = input[at];
        run_copy(at);
        input[at] ^= (unsigned char)(1u << at % 8);
        run_copy(size);
        input[at] = kept;
    }
    return runs;
}

int main(int count, char **words)
{
    int64_t files = 0, runs = 0;

    for (int i = 1; i < count; i++) {
        struct dirent **names;
        int found = scandir(words[i], &names, NULL, alphasort);
        if (found < 0) {
            perror(words[i]);
            return 1;
        }
        for (int k = 0; k < found; k++) {
            if (*names[k]->d_name != '.') {
                runs += run_variants(read_input(words[i], names[k]->d_name));
                files++;
            }
            free(names[k]);
        }
        free(names);
    }
    printf("%lld inputs kept, %lld run\n", (long long)files, (long long)runs);
    return files == 0;
}
