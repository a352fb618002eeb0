/* What packed files say of their values' type. */
#ifndef PACK_H
#define PACK_H
#include <stdint.h>

typedef struct pack_type {
    const char *name; /* as safetensors spells it */
    int32_t dtype;
} pack_type;

enum { PACK_TYPES = 4 };
extern const pack_type pack_types[PACK_TYPES];

#endif
