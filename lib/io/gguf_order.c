/* Big-endian GGUF files: a copy of the file with the bytes of each number in our order. Knows where
 * numbers are, not whether they are right: where it cannot go on it stops, and reading the copy
 * says what is wrong. */
#include "gguf.h"
#include "base/error.h"
#include <string.h>

enum { MAX_DEPTH = 4 };

static void reverse(unsigned char *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size / 2; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
}

/* ---- The header. ---- */

/* What is left of the copy; `at` NULL once it ended too early. */
typedef struct rest {
    unsigned char *at, *end;
} rest;

static bool has(rest *r, uint64_t size)
{
    if (r->at && (uint64_t)(r->end - r->at) < size)
        r->at = NULL;
    return r->at != NULL;
}

/* The next number, turned; 0 at the end. */
static uint64_t turn(rest *r, uint32_t size)
{
    uint64_t value = 0;

    if (!has(r, size))
        return 0;
    reverse(r->at, size);
    memcpy(&value, r->at, size); /* little-endian */
    r->at += size;
    return value;
}

static void turn_string(rest *r)
{
    uint64_t size = turn(r, 8);

    if (has(r, size))
        r->at += size;
}

static void turn_values(rest *r, uint32_t type, uint64_t count, int depth)
{
    uint32_t size = s24i_gguf_size(type);

    if (type >= S24I_GGUF_TYPES || depth > MAX_DEPTH)
        r->at = NULL;
    for (uint64_t i = 0; i < count && r->at; i++) {
        if (type == S24I_GGUF_STRING) {
            turn_string(r);
        } else if (type == S24I_GGUF_ARRAY) {
            uint32_t inner = (uint32_t)turn(r, 4);
            turn_values(r, inner, turn(r, 8), depth + 1);
        } else {
            turn(r, size);
        }
    }
}

static void turn_entry(rest *r)
{
    turn_string(r);
    uint64_t rank = turn(r, 4);
    for (uint64_t i = 0; i < rank && r->at; i++)
        turn(r, 8);
    turn(r, 4);
    turn(r, 8);
}

void s24i_gguf_turn_header(unsigned char *bytes, uint64_t size)
{
    rest r = {bytes, bytes + size};

    if (has(&r, 4))
        r.at += 4;
    turn(&r, 4);
    uint64_t tensors = turn(&r, 8), items = turn(&r, 8);
    for (uint64_t i = 0; i < items && r.at; i++) {
        turn_string(&r);
        turn_values(&r, (uint32_t)turn(&r, 4), 1, 0);
    }
    for (uint64_t i = 0; i < tensors && r.at; i++)
        turn_entry(&r);
}

/* ---- Tensors. ---- */

/* Where a block has numbers of several bytes, as a machine of that order writes them: `halves` of
 * 16 bits, then words of 32 bits. */
static const struct {
    const char *type;
    int32_t at, halves, words;
} layouts[] = {{"Q4_0", 0, 1, 0},   {"Q4_1", 0, 2, 0},  {"Q5_0", 0, 1, 1},   {"Q5_1", 0, 2, 1},
               {"Q8_0", 0, 1, 0},   {"Q8_1", 0, 2, 0},  {"Q2_K", 80, 2, 0},  {"Q3_K", 108, 1, 0},
               {"Q4_K", 0, 2, 0},   {"Q5_K", 0, 2, 0},  {"Q6_K", 208, 1, 0}, {"TQ1_0", 52, 1, 0},
               {"TQ2_0", 64, 1, 0}, {"MXFP4", 0, 0, 0}, {"NVFP4", 0, 0, 0},  {"IQ4_NL", 0, 1, 0},
               {"IQ4_XS", 0, 2, 0}};

enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static void turn_block(unsigned char *block, int layout)
{
    block += layouts[layout].at;
    for (int i = 0; i < layouts[layout].halves; i++, block += 2)
        reverse(block, 2);
    for (int i = 0; i < layouts[layout].words; i++, block += 4)
        reverse(block, 4);
}

s24_status s24i_gguf_turn_tensor(const s24i_tensor *t, unsigned char *data)
{
    uint64_t size = (uint64_t)t->element->bits / 8;
    int layout = 0;

    if (t->element->dtype) {
        for (uint64_t at = 0; at < t->size; at += size)
            reverse(data + at, size);
        return S24_OK;
    }
    while (layout < LAYOUTS && strcmp(layouts[layout].type, t->type))
        layout++;
    if (layout == LAYOUTS)
        return s24i_fail(S24_E_UNSUPPORTED,
                         "tensor '%.100s': how type %.32s lies in a big-endian file is not known: "
                         "convert the file where it was written, with llama-quantize",
                         t->name, t->type);
    for (uint64_t at = 0; at < t->size; at += size)
        turn_block(data + at, layout);
    return S24_OK;
}
