/* What a file is that is none of ours, by its first bytes. Knows no paths. */
#ifndef S24I_SNIFF_H
#define S24I_SNIFF_H
#include <stdint.h>

/* "a Git LFS pointer, not the file itself: run git lfs pull", or NULL if it cannot be told. */
const char *s24i_sniff(const void *bytes, uint64_t size);

#endif
