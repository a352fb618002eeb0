/* lib/kernels/lanes/products.h and codes.h: products with weights in lanes, on every instruction
 * set. */
#include "products.h"
#include "base/half.h"
#include "trial.h"
#include <check.h>
#include <math.h>
#include <string.h>

enum { ROWS = 16, COLS = 32, TILES = 9, BATCH = 16 };
enum { F32, BF16, F16, DOT, CODES };

/* How the bytes of a block are made up. */
typedef struct form {
    const char *name;
    int values, meta, bits, zeros; /* values: F32 .. CODES; meta: bytes of a tile */
} form;

static uint8_t block[1 << 16];
static float x[TILES * COLS * BATCH], x_scale[TILES * BATCH], y[ROWS * BATCH];
static uint16_t x_bf16[TILES * COLS * BATCH];
static uint8_t x_codes[TILES * COLS * BATCH];

/* ---- Blocks ---- */

static const uint8_t nibbles[6] = {0x4, 0x8, 0x9, 0xC, 0xD, 0xE};

static uint8_t *put_meta(const form *f, uint8_t *at, uint64_t *state)
{
    for (int row = 0; row < ROWS && f->meta; ++row) {
        uint32_t bits = 0;
        for (int g = 0; g < COLS / 4; ++g) {
            uint32_t nibble = nibbles[random_bits(state) % 6];
            if (f->meta == 48)
                bits |= g % 2 ? 0 : (uint32_t)(random_bits(state) % 36) << 3 * g;
            else if (f->values == CODES) /* kept code 4 j + i in bits 8 i + 2 j */
                bits |= (nibble & 3) << (16 * (g % 2) + 2 * (g / 2)) |
                        (nibble >> 2) << (16 * (g % 2) + 8 + 2 * (g / 2));
            else
                bits |= nibble << 4 * g;
        }
        memcpy(at + row * f->meta / ROWS, &bits, (size_t)f->meta / ROWS);
    }
    return at + f->meta;
}

/* Of many magnitudes, none that overflows or that vdpbf16ps takes for zero. */
static uint16_t half_weight(const form *f, uint64_t *state)
{
    uint16_t bits = (uint16_t)random_bits(state);

    if (f->values == F16)
        return (bits & 0x7c00) == 0x7c00 ? bits & 0x83ff : bits;
    return (bits & 0x8fff) | 0x3000;
}

static uint8_t *put_values(const form *f, uint8_t *at, number_kind kind, uint64_t *state)
{
    int count = ROWS * (f->meta ? COLS / 2 : COLS);
    float numbers[ROWS * COLS];

    if (f->values == F32) {
        fill_floats(numbers, count, kind, 1e15f, random_bits(state));
        memcpy(at, numbers, (size_t)count * 4);
        return at + count * 4;
    }
    for (int i = 0; i < count && f->values != CODES; ++i) {
        uint16_t half = half_weight(f, state);
        memcpy(at + 2 * i, &half, 2);
    }
    for (int i = 0; i < count * f->bits / 8 && f->values == CODES; ++i)
        at[i] = kind == TIES ? 0x80 : kind == ZEROS ? 0x77 : (uint8_t)random_bits(state);
    return at + (f->values == CODES ? count * f->bits / 8 : count * 2);
}

static uint8_t *put_front(const form *f, uint8_t *at, uint64_t *state)
{
    for (int row = 0; row < ROWS; ++row) {
        uint16_t scale = (uint16_t)(0x2000 | (random_bits(state) & 0x9fff));
        memcpy(at + 2 * row, &scale, 2);
        if (f->zeros)
            at[2 * ROWS + row] = (uint8_t)((int)(random_bits(state) % 16) - 8);
    }
    return at + 2 * ROWS + (f->zeros ? ROWS : 0);
}

static size_t make_block(const form *f, int64_t tiles, int64_t group, number_kind kind,
                         uint64_t seed)
{
    uint64_t state = seed;
    uint8_t *at = block;

    for (int64_t t = 0; t < tiles; ++t) {
        if (f->values == CODES && t % group == 0)
            at = put_front(f, at, &state);
        at = put_meta(f, at, &state);
        at = put_values(f, at, kind, &state);
    }
    return (size_t)(at - block);
}

static void make_activations(number_kind kind, uint64_t seed)
{
    uint64_t state = seed;

    fill_floats(x, TILES * COLS * BATCH, kind, 1e15f, seed);
    for (int i = 0; i < TILES * COLS * BATCH; ++i) {
        x_bf16[i] = (uint16_t)((random_bits(&state) & 0x8fff) | 0x3000);
        /* q of -127 .. 127; the ends where the weights have theirs */
        x_codes[i] = (uint8_t)(kind == TIES ? 1 : 1 + random_bits(&state) % 255);
    }
    for (int i = 0; i < TILES * BATCH; ++i)
        x_scale[i] = i % 7 == 3 ? 0 : (float)(random_number(&state) + 1.5);
}

/* ---- Comparing ---- */

static void (*kernel_of(const s24i_kernels *table, size_t entry))(const s24i_lane_product *,
                                                                  const void *, float *)
{
    void (*kernel)(const s24i_lane_product *, const void *, float *);

    memcpy(&kernel, (const char *)table + entry, sizeof kernel);
    return kernel;
}

static s24i_lane_product product_of(const trial *t)
{
    return (s24i_lane_product){.tiles = t->n,
                               .batch = t->m,
                               .prefetch = 4096,
                               .x = t->at[1],
                               .x_scale = t->at[2],
                               .group = t->number[1],
                               .x_group = t->number[2]};
}

static void run_product(const s24i_kernels *table, trial *t)
{
    s24i_lane_product p = product_of(t);

    kernel_of(table, (size_t)t->number[0])(&p, t->at[0], t->at[3]);
}

/* vdpbf16ps may round as the processor likes: weights and activations are between 2^-31 and 2, so
 * that sums hardly cancel to less. */
static void compare_dots(trial *t, const s24i_kernels *fast)
{
    s24i_kernels ref;
    float wanted[ROWS * BATCH], got[ROWS * BATCH];
    s24i_lane_product p = {.tiles = t->n, .batch = t->m, .x = x_bf16};

    s24i_kernels_ref(&ref);
    kernel_of(&ref, (size_t)t->number[0])(&p, block, wanted);
    kernel_of(fast, (size_t)t->number[0])(&p, block, got);
    for (int i = 0; i < ROWS * t->m; ++i)
        if (!(fabsf(wanted[i] - got[i]) <= 1e-4f * fabsf(wanted[i]) + 1e-6f))
            ck_abort_msg("%s (%s), %lld tiles, batch %d, output %d: %g, not %g", t->kernel,
                         fast->isa, (long long)t->n, t->m, i, (double)got[i], (double)wanted[i]);
}

static void compare_shape(const form *f, size_t entry, int64_t tiles, int32_t batch, int64_t group,
                          int64_t x_group, size_t size, const s24i_kernels *fast)
{
    trial t = {.kernel = f->name, .run = run_product, .n = tiles, .m = batch};
    size_t numbers = (size_t)(tiles * COLS * batch);
    int64_t x_groups = 0;

    for (int64_t first = 0; first < tiles; first += group)
        x_groups += ((tiles - first < group ? tiles - first : group) + x_group - 1) / x_group;
    memcpy(t.number, (int64_t[]){(int64_t)entry, group, x_group}, 3 * sizeof(int64_t));
    trial_argument(&t, GIVEN, block, size);
    if (f->values == CODES)
        trial_argument(&t, GIVEN, x_codes, numbers);
    else if (f->values == DOT)
        trial_argument(&t, GIVEN, x_bf16, numbers * 2);
    else
        trial_argument(&t, GIVEN, x, numbers * 4);
    trial_argument(&t, GIVEN, x_scale, (size_t)(x_groups * batch) * 4);
    trial_argument(&t, f->values == DOT ? SCRATCH : WANTED, y, (size_t)(ROWS * batch) * 4);
    trial_compare(&t, fast); /* of dots: that nothing else is touched */
    if (f->values == DOT)
        compare_dots(&t, fast);
}

static void check_form(const form *f, size_t entry, const s24i_kernels *fast)
{
    static const int64_t groups[][2] = {{1, 1}, {2, 2}, {4, 4}, {1000, 4}};
    number_kind kinds = f->values == F32 ? KINDS : f->values == CODES ? DENORMAL : TIES;

    for (number_kind kind = 0; kind < kinds; ++kind)
        for (int64_t tiles = 1; tiles <= TILES; tiles += tiles < 3 ? 1 : 3)
            for (int32_t batch = 1; batch <= BATCH; batch *= 2)
                for (int g = 0; g < (f->values == CODES ? 4 : 1); ++g) {
                    size_t size = make_block(f, tiles, groups[g][0], kind, (uint64_t)(tiles + g));
                    make_activations(kind, (uint64_t)(30 + batch));
                    compare_shape(f, entry, tiles, batch, groups[g][0], groups[g][1], size, fast);
                }
}

#define CHECK(row, values, meta, bits, zeros)                    \
    void check_##row(const s24i_kernels *fast)                   \
    {                                                            \
        static const form f = {#row, values, meta, bits, zeros}; \
        check_form(&f, offsetof(s24i_kernels, row), fast);       \
    }

CHECK(sparse_f32, F32, 64, 32, 0)
CHECK(sparse_bf16, BF16, 64, 16, 0)
CHECK(sparse_f16, F16, 64, 16, 0)
CHECK(sparse_bf16_dot, DOT, 64, 16, 0)
CHECK(dense_f32, F32, 0, 32, 0)
CHECK(dense_bf16, BF16, 0, 16, 0)
CHECK(dense_f16, F16, 0, 16, 0)
CHECK(dense_bf16_dot, DOT, 0, 16, 0)
CHECK(sparse_int8, CODES, 64, 8, 0)
CHECK(sparse_int4, CODES, 64, 4, 0)
CHECK(sparse_int4_zeros, CODES, 64, 4, 1)
CHECK(sparse_int4_p6, CODES, 48, 4, 0)
CHECK(dense_int8, CODES, 0, 8, 0)
CHECK(dense_int4, CODES, 0, 4, 0)
CHECK(dense_int4_zeros, CODES, 0, 4, 1)

/* ---- Activations ---- */

static void run_quantise(const s24i_kernels *table, trial *t)
{
    table->quantise_token(t->at[0], t->n, t->number[0], t->m, t->at[1], t->at[2]);
}

void check_quantise_token(const s24i_kernels *fast)
{
    static const int64_t groups[] = {32, 64, 128};

    for (number_kind kind = 0; kind < KINDS; ++kind)
        for (int64_t n = 32; n <= TILES * COLS; n += COLS)
            for (int i = 0; i < 3; ++i)
                for (int32_t batch = 1; batch <= BATCH; batch *= 4) {
                    int64_t scales = (n + groups[i] - 1) / groups[i];
                    trial t = {.kernel = "quantise_token", .run = run_quantise, .n = n, .m = batch};
                    fill_floats(x, n, kind, 3e38f, (uint64_t)n);
                    t.number[0] = groups[i];
                    trial_argument(&t, GIVEN, x, (size_t)n * 4);
                    trial_argument(&t, WANTED, x_codes, (size_t)((n / 8 - 1) * 8 * batch + 8));
                    trial_argument(&t, WANTED, x_scale,
                                   (size_t)((scales - 1) * batch + 1) * sizeof(float));
                    trial_compare(&t, fast);
                }
}
