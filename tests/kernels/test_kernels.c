/* Every row of kernels.def, on every instruction set offered, gives the bits of its reference. A
 * row without a check_<name> here does not compile. */
#include "dots.h"
#include "products.h"
#include "prox.h"
#include "reference.h"
#include "trial.h"
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 17 << 12 };
static float x[LONGEST], y[LONGEST], z[LONGEST], norm[LONGEST];
static double dx[LONGEST], dy[LONGEST];
static uint8_t mask[LONGEST];

static void fill(number_kind kind, float largest)
{
    uint64_t state = 1 + kind;
    fill_floats(x, LONGEST, kind, largest, 10);
    fill_floats(y, LONGEST, kind, largest, 11);
    fill_floats(z, LONGEST, kind, largest, 12);
    fill_floats(norm, LONGEST, kind, largest, 13);
    for (int i = 0; i < LONGEST; ++i) {
        norm[i] = norm[i] == 0 ? norm[i] : fabsf(norm[i]); /* -0 is allowed */
        dx[i] = (double)x[i] * (double)z[i];
        dy[i] =
            kind == DENORMAL ? (double)y[i] * 1e-240 : (double)y[i]; /* products that underflow */
        mask[i] = (random_bits(&state) & 1) ? 1 + random_bits(&state) % 255 : 0;
    }
}

/* All tails of every register, and some long ones: 16 times each is within LONGEST. */
static const int64_t longer[] = {96, 127, 128, 129, 255, 257, 1000, 4099};
enum { SIZES = 68 + sizeof longer / sizeof *longer };

static int64_t size_at(int index)
{
    return index < 68 ? index : longer[index - 68];
}

/* ---- kernels that take arrays of n values each ---- */
typedef void (*run_fn)(const s24i_kernels *table, trial *t);

typedef struct array {
    array_role role;
    const void *values;
    size_t size; /* of a value */
    bool may_be_null;
} array;

static void compare_size(const char *kernel, run_fn run, const array *arrays, int count, int64_t n,
                         bool null, const s24i_kernels *fast)
{
    trial t = {.kernel = kernel, .run = run, .n = n};
    for (int i = 0; i < count; ++i) {
        bool absent = null && arrays[i].may_be_null;
        trial_argument(&t, arrays[i].role, absent ? NULL : arrays[i].values,
                       (size_t)n * arrays[i].size);
    }
    trial_compare(&t, fast);
}

/* n in steps of `multiple`; numbers up to `largest`. */
static void compare_arrays(const char *kernel, run_fn run, const array *arrays, int count,
                           int64_t multiple, float largest, const s24i_kernels *fast)
{
    bool may_be_null = false;
    for (int i = 0; i < count; ++i)
        may_be_null |= arrays[i].may_be_null;
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, largest);
        for (int size = 0; size < SIZES; ++size) {
            compare_size(kernel, run, arrays, count, size_at(size) * multiple, false, fast);
            if (may_be_null)
                compare_size(kernel, run, arrays, count, size_at(size) * multiple, true, fast);
        }
    }
}

static array floats(array_role role, const float *values)
{
    return (array){role, values, sizeof *values, false};
}

static array optional_floats(const float *values)
{
    return (array){GIVEN, values, sizeof *values, true};
}

static array doubles(array_role role, const double *values)
{
    return (array){role, values, sizeof *values, false};
}

static array bytes(array_role role, const uint8_t *values)
{
    return (array){role, values, sizeof *values, false};
}

/* `call` is what is compared; `at` are the arrays that follow. */
#define ARRAY_CHECK(name, multiple, largest, call, ...)                                     \
    static void run_##name(const s24i_kernels *table, trial *t)                             \
    {                                                                                       \
        void **at = t->at;                                                                  \
        call;                                                                               \
    }                                                                                       \
    static void check_##name(const s24i_kernels *fast)                                      \
    {                                                                                       \
        const array arrays[] = {__VA_ARGS__};                                               \
        compare_arrays(#name, run_##name, arrays, sizeof arrays / sizeof *arrays, multiple, \
                       largest, fast);                                                      \
    }

ARRAY_CHECK(select_24, 4, FLT_MAX, table->select_24(at[0], at[1], at[2], t->n), floats(GIVEN, x),
            optional_floats(norm), bytes(WANTED, mask))

ARRAY_CHECK(select_24_both, 16, FLT_MAX,
            table->select_24_both(at[0], at[1], at[2], t->n / 4, t->n / 4), floats(GIVEN, x),
            optional_floats(norm), bytes(WANTED, mask))

ARRAY_CHECK(score_apart, 1, FLT_MAX, table->score(at[0], at[1], at[2], t->n), floats(GIVEN, x),
            optional_floats(norm), floats(WANTED, z))
ARRAY_CHECK(score_in_place, 1, FLT_MAX, table->score(at[0], at[1], at[0], t->n), floats(WANTED, x),
            optional_floats(norm))
static void check_score(const s24i_kernels *fast)
{
    check_score_apart(fast);
    check_score_in_place(fast);
}

ARRAY_CHECK(apply_mask_apart, 1, FLT_MAX, table->apply_mask(at[0], at[1], at[2], t->n),
            floats(GIVEN, x), bytes(GIVEN, mask), floats(WANTED, z))
ARRAY_CHECK(apply_mask_in_place, 1, FLT_MAX, table->apply_mask(at[0], at[1], at[0], t->n),
            floats(WANTED, x), bytes(GIVEN, mask))
static void check_apply_mask(const s24i_kernels *fast)
{
    check_apply_mask_apart(fast);
    check_apply_mask_in_place(fast);
}

ARRAY_CHECK(sum_squares, 1, FLT_MAX, t->sum = table->sum_squares(at[0], t->n), floats(GIVEN, x))
ARRAY_CHECK(dot, 1, FLT_MAX, t->sum = table->dot(at[0], at[1], t->n), floats(GIVEN, x),
            floats(GIVEN, y))
ARRAY_CHECK(dot_f64_numbers, 1, FLT_MAX, t->sum = table->dot_f64(at[0], at[1], t->n),
            doubles(GIVEN, dx), doubles(GIVEN, dy))
static void check_dot_f64(const s24i_kernels *fast)
{
    const array arrays[] = {doubles(GIVEN, dx), doubles(GIVEN, dy)};
    check_dot_f64_numbers(fast);
    for (int i = 0; i < LONGEST; ++i) {
        dx[i] = 1e-200;
        dy[i] = -1e-200; /* products that round to -0, which no other term may turn into +0 */
    }
    for (int size = 0; size < SIZES; ++size)
        compare_size("dot_f64 of -0", run_dot_f64_numbers, arrays, 2, size_at(size), false, fast);
}

ARRAY_CHECK(add_squares, 1, FLT_MAX, table->add_squares(at[0], at[1], t->n), floats(GIVEN, x),
            doubles(WANTED, dy))
ARRAY_CHECK(add_f32_to_f64, 1, FLT_MAX, table->add_f32_to_f64(at[0], at[1], t->n), floats(GIVEN, x),
            doubles(WANTED, dy))
ARRAY_CHECK(difference_f64, 1, FLT_MAX, table->difference_f64(at[0], at[1], at[2], t->n),
            floats(GIVEN, x), optional_floats(y), doubles(WANTED, dx))

ARRAY_CHECK(multiply_apart, 1, FLT_MAX, table->multiply(at[0], at[1], at[2], t->n),
            floats(GIVEN, x), floats(GIVEN, y), floats(WANTED, z))
ARRAY_CHECK(multiply_in_place, 1, FLT_MAX, table->multiply(at[0], at[1], at[0], t->n),
            floats(WANTED, x), floats(GIVEN, y))
static void check_multiply(const s24i_kernels *fast)
{
    check_multiply_apart(fast);
    check_multiply_in_place(fast);
}

ARRAY_CHECK(cg_step, 1, 1e30f,
            t->sum = table->cg_step(at[0], at[1], at[2], at[3], at[4], 0.37f, t->n),
            floats(WANTED, x), floats(WANTED, y), floats(GIVEN, z), floats(GIVEN, norm),
            bytes(GIVEN, mask))
ARRAY_CHECK(cg_direction, 1, 1e30f, table->cg_direction(at[0], at[1], -0.73f, t->n),
            floats(WANTED, x), floats(GIVEN, y))

ARRAY_CHECK(admm_gap, 1, 1e30f, table->admm_gap(at[0], at[1], at[2], 0.81f, at[3], t->n),
            floats(GIVEN, x), floats(GIVEN, y), bytes(GIVEN, mask), floats(WANTED, z))

static array optional_floats_wanted(const float *values)
{
    return (array){WANTED, values, sizeof *values, true};
}

ARRAY_CHECK(admm_move, 1, 1e30f,
            table->admm_move(at[0], at[1], at[2], 0.37f, 0.81f, at[3], at[4], t->n),
            floats(GIVEN, x), floats(GIVEN, y), bytes(GIVEN, mask), floats(WANTED, z),
            optional_floats_wanted(norm))
ARRAY_CHECK(split_move, 1, 1e30f, table->split_move(at[0], at[1], 0.81f, at[2], t->n),
            floats(WANTED, x), bytes(GIVEN, mask), floats(WANTED, z))
ARRAY_CHECK(split_rest, 1, 1e30f, table->split_rest(at[0], at[1], at[2], at[3], 0.37f, at[4], t->n),
            floats(GIVEN, x), floats(GIVEN, y), floats(GIVEN, z), bytes(GIVEN, mask),
            floats(WANTED, norm))

/* ---- the others ---- */

static void run_select_nm(const s24i_kernels *table, trial *t)
{
    table->select_nm(t->at[0], t->at[1], t->at[2], t->n, t->keep, t->m);
}

/* One more or less of any count of groups that is done at a time. */
static void compare_pattern(int32_t keep, int32_t m, const s24i_kernels *fast)
{
    static const int64_t groups[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i)
        for (int weighted = 0; weighted < 2; ++weighted) {
            trial t = {"select_nm", run_select_nm, groups[i] * m, keep, m};
            trial_argument(&t, GIVEN, x, (size_t)t.n * sizeof *x);
            trial_argument(&t, GIVEN, weighted ? norm : NULL, (size_t)t.n * sizeof *norm);
            trial_argument(&t, WANTED, mask, (size_t)t.n);
            trial_compare(&t, fast);
        }
}

static void check_select_nm(const s24i_kernels *fast)
{
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, FLT_MAX);
        for (int32_t m = 1; m <= S24I_MAX_GROUP; m += m <= 16 ? 1 : WATCHED_STEP)
            for (int32_t keep = 1; keep <= m; keep += m <= 16 ? 1 : (m + 4) / 5)
                compare_pattern(keep, m, fast);
        for (int32_t m = 17; m <= S24I_MAX_GROUP; ++m)
            compare_pattern(m, m, fast);
    }
}

static void run_first_nonfinite(const s24i_kernels *table, trial *t)
{
    t->index = table->first_nonfinite(t->at[0], t->n);
}

static void check_first_nonfinite(const s24i_kernels *fast)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN, -NAN};
    for (int size = 0; size < SIZES; ++size)
        for (int64_t place = -1; place < size_at(size); place += 1 + place / 70) {
            trial t = {.kernel = "first_nonfinite", .run = run_first_nonfinite, .n = size_at(size)};
            fill_floats(x, t.n, place % 2 ? RANDOM : LARGE, FLT_MAX, 10);
            if (place >= 0) {
                x[place] = bad[place % 4];
                x[t.n - 1] = NAN; /* not the first, unless they are the same */
            }
            trial_argument(&t, GIVEN, x, (size_t)t.n * sizeof *x);
            trial_compare(&t, fast);
            if (t.index != place)
                ck_abort_msg("first_nonfinite (%s): %lld of %lld", fast->isa, (long long)t.index,
                             (long long)place);
        }
}

static void run_transpose(const s24i_kernels *table, trial *t)
{
    int64_t *size = t->number; /* rows, cols, lds, ldd */
    table->transpose(t->at[0], size[2], t->at[1], size[3], size[0], size[1]);
}

static void compare_transpose(int64_t rows, int64_t cols, int64_t gap, const s24i_kernels *fast)
{
    trial t = {.kernel = "transpose", .run = run_transpose, .n = rows * 1000 + cols};
    int64_t lds = cols + gap, ldd = rows + 2 * gap; /* the last row ends with its last value */
    memcpy(t.number, (int64_t[]){rows, cols, lds, ldd}, sizeof t.number);
    size_t source = rows && cols ? (size_t)((rows - 1) * lds + cols) : 0;
    size_t target = rows && cols ? (size_t)((cols - 1) * ldd + rows) : 0;
    trial_argument(&t, GIVEN, x, source * sizeof *x);
    trial_argument(&t, WANTED, y, target * sizeof *y);
    trial_compare(&t, fast);
}

static void check_transpose(const s24i_kernels *fast)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 67, 80, 130};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    fill(RANDOM, 1);
    for (int i = 0; i < COUNT; ++i)
        for (int j = 0; j < COUNT; ++j)
            for (int64_t gap = 0; gap < 10; gap += 3)
                compare_transpose(sizes[i], sizes[j], gap, fast);
}

/* ---- conversions ---- */

static uint32_t bits[LONGEST];
static uint16_t half[LONGEST];

#define CONVERSION_CHECK(name, from, to)                                           \
    static void run_##name(const s24i_kernels *table, trial *t)                    \
    {                                                                              \
        table->name(t->at[0], t->at[1], t->n);                                     \
    }                                                                              \
    static void compare_##name(int64_t first, int64_t n, const s24i_kernels *fast) \
    {                                                                              \
        trial t = {.kernel = #name, .run = run_##name, .n = n};                    \
        trial_argument(&t, GIVEN, from + first, (size_t)n * sizeof *from);         \
        trial_argument(&t, WANTED, to, (size_t)n * sizeof *to);                    \
        trial_compare(&t, fast);                                                   \
    }

CONVERSION_CHECK(f16_to_f32, half, bits)
CONVERSION_CHECK(bf16_to_f32, half, bits)
CONVERSION_CHECK(f32_to_f16, bits, half)
CONVERSION_CHECK(f32_to_bf16, bits, half)

typedef void (*compare_fn)(int64_t first, int64_t n, const s24i_kernels *fast);

/* All halves at once, and the tails beginning anywhere: at small, denormal, infinite and NaN ones
 * too. */
static void check_widening(compare_fn compare, const s24i_kernels *fast)
{
    for (int i = 0; i < LONGEST; ++i)
        half[i] = (uint16_t)i;
    compare(0, LONGEST, fast);
    for (int size = 0; size < SIZES; ++size)
        for (int64_t first = 0; first + 5000 < LONGEST; first += 1021)
            compare(first, size_at(size), fast);
}

/* All upper halves of a float with many lower ones: every exponent, ties of both formats and their
 * neighbours, NaN payloads. */
static void check_narrowing(compare_fn compare, const s24i_kernels *fast)
{
    uint64_t state = 1;
    for (int round = 0; round < 40; ++round) {
        for (uint32_t i = 0; i < LONGEST; ++i)
            bits[i] = i << 16 | low_half(round, &state);
        compare(0, LONGEST, fast);
    }
    for (int size = 0; size < SIZES; ++size)
        for (int64_t first = 0; first + 5000 < LONGEST; first += 1021)
            compare(first, size_at(size), fast);
}

static void check_f16_to_f32(const s24i_kernels *fast)
{
    check_widening(compare_f16_to_f32, fast);
}

static void check_bf16_to_f32(const s24i_kernels *fast)
{
    check_widening(compare_bf16_to_f32, fast);
}

static void check_f32_to_f16(const s24i_kernels *fast)
{
    check_narrowing(compare_f32_to_f16, fast);
}

static void check_f32_to_bf16(const s24i_kernels *fast)
{
    check_narrowing(compare_f32_to_bf16, fast);
}

/* ---- the sweep ---- */

static void run_sweep_block(const s24i_kernels *table, trial *t)
{
    s24i_sweep_block block = {.lanes = t->number[0], .cols = t->number[1], .ldr = t->number[2]};
    block.w = t->at[0];
    block.a = t->at[1];
    block.d = t->at[2];
    block.mask = t->at[3];
    block.r = t->at[4];
    block.inv_diag = t->at[5];
    block.n = t->keep;
    block.m = t->m;
    block.step = t->at[6];
    block.inverse = t->at[7];
    block.zero = t->at[8];
    block.codes = t->at[9];
    block.top = 15;
    table->sweep_block(&block);
}

static float steps[LONGEST], inverses[LONGEST], zeros[LONGEST];

/* Steps of all sizes beside x; integer zeros and others. */
static void fill_grid(void)
{
    for (int i = 0; i < LONGEST; ++i) {
        steps[i] = ldexpf(1 + (float)(i % 7) / 8, i % 5 - 3) * fmaxf(fabsf(x[i]), 1e-30f);
        steps[i] = i % 11 == 5 ? 0 : steps[i]; /* on no grid */
        inverses[i] = steps[i] == 0 ? 0 : 1 / steps[i];
        zeros[i] = (float)(i % 16) + (i % 3 ? 0 : 0.37f);
    }
}

/* R with NaN where it must not be read. */
static void fill_factor(int64_t cols, int64_t ldr, float *r, float *inv_diag)
{
    uint64_t state = (uint64_t)cols;
    for (int64_t i = 0; i < cols * ldr; ++i) {
        int64_t row = i / ldr, column = i % ldr;
        float value = (float)random_number(&state) * 0.2f;
        r[i] = column < row || column >= cols ? NAN : column == row ? 1.0f + value : value;
    }
    for (int64_t j = 0; j < cols; ++j)
        inv_diag[j] = 1.0f / r[j * ldr + j];
}

static void compare_sweep_on(bool grid, int32_t keep, int32_t m, int64_t lanes, int64_t cols,
                             const s24i_kernels *fast)
{
    static float factor[330 * 340], inv_diag[330];
    int64_t ldr = cols + (cols % 3) * 3, last = cols ? (cols - 1) * ldr + cols : 0;
    size_t count = (size_t)(lanes * cols), size = count * sizeof(float);
    if (count > LONGEST)
        ck_abort_msg("%lld values are too many", (long long)count);
    fill_factor(cols, ldr, factor, inv_diag);
    trial t = {"sweep_block", run_sweep_block, lanes * 1000 + cols, keep, m};
    memcpy(t.number, (int64_t[]){lanes, cols, ldr}, 3 * sizeof(int64_t));
    trial_argument(&t, GIVEN, x, size);
    trial_argument(&t, SCRATCH, y, size);
    trial_argument(&t, WANTED, z, size);
    trial_argument(&t, keep ? WANTED : GIVEN, mask, count);
    trial_argument(&t, GIVEN, factor, (size_t)last * sizeof(float));
    trial_argument(&t, GIVEN, inv_diag, (size_t)cols * sizeof(float));
    trial_argument(&t, GIVEN, grid ? steps : NULL, grid ? size : 0);
    trial_argument(&t, GIVEN, grid ? inverses : NULL, grid ? size : 0);
    trial_argument(&t, GIVEN, grid ? zeros : NULL, grid ? size : 0);
    trial_argument(&t, WANTED, grid ? mask : NULL, grid ? count : 0);
    trial_compare(&t, fast);
}

static void compare_sweep(int32_t keep, int32_t m, int64_t lanes, int64_t cols,
                          const s24i_kernels *fast)
{
    compare_sweep_on(false, keep, m, lanes, cols, fast);
    compare_sweep_on(true, keep, m, lanes, cols, fast);
}

/* Small blocks in every width. */
static void compare_small_sweeps(int32_t keep, int32_t m, const s24i_kernels *fast)
{
    for (int64_t lanes = 16; lanes <= 208; lanes += lanes < 112 ? 16 : 48)
        for (int64_t groups = 0; groups * m <= 24 || groups <= 2; groups += groups < 9 ? 1 : 5)
            compare_sweep(keep, m, lanes, groups * m, fast);
}

/* Blocks of more than one tile of R. */
static void compare_large_sweeps(int32_t keep, int32_t m, const s24i_kernels *fast)
{
    compare_sweep(keep, m, 144, 120 / m * m, fast);
    compare_sweep(keep, m, 32, 188 / m * m, fast);
    compare_sweep(keep, m, 16, 320 / m * m, fast);
}

static void check_sweep_block(const s24i_kernels *fast)
{
    static const int32_t patterns[][2] = {
        {2, 4}, {1, 4}, {3, 4},  {0, 1},  {4, 4},   {1, 1},   {1, 2},   {2, 3},  {3, 5},  {1, 6},
        {6, 7}, {4, 8}, {5, 11}, {8, 16}, {16, 32}, {17, 40}, {32, 64}, {1, 64}, {64, 64}};
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, 1e15f);
        fill_grid();
        if (kind == TIES || kind == ZEROS)
            memset(y, 0, sizeof y); /* sums of nothing: ties in the scores too */
        size_t step = kind > TIES ? 3 : WATCHED_STEP == 1 ? 1 : 7;
        for (size_t i = kind % step; i < sizeof patterns / sizeof *patterns; i += step)
            compare_small_sweeps(patterns[i][0], patterns[i][1], fast);
        for (size_t i = kind % 3; i < sizeof patterns / sizeof *patterns && kind <= TIES; i += 3)
            compare_large_sweeps(patterns[i][0], patterns[i][1], fast);
    }
}

/* ---- grids ---- */

static void run_descend_row(const s24i_kernels *table, trial *t)
{
    s24i_descent row = {.n = t->n, .top = 15};
    row.code = t->at[0];
    row.g = t->at[1];
    row.step = t->at[2];
    row.inverse = t->at[3];
    row.s = t->at[4];
    t->index = table->descend_row(&row);
}

/* Steps of 0 among the others: columns that stay. */
static void check_descend_row(const s24i_kernels *fast)
{
    static float codes[LONGEST];
    uint64_t state = 3;
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, 1e15f);
        fill_grid();
        for (int i = 0; i < LONGEST; ++i) {
            codes[i] = (float)(random_bits(&state) % 16);
            z[i] = i % 4 ? z[i] * 1e-3f : z[i];
            if (random_bits(&state) % 8 == 0)
                steps[i] = inverses[i] = 0;
        }
        for (int64_t n = 0; n <= 255; n += n < 70 ? 1 : 37) {
            size_t size = (size_t)n * sizeof(float);
            trial t = {"descend_row", run_descend_row, n, 0, 0};
            trial_argument(&t, WANTED, codes, size);
            trial_argument(&t, WANTED, y, size);
            trial_argument(&t, GIVEN, steps, size);
            trial_argument(&t, GIVEN, inverses, size);
            trial_argument(&t, GIVEN, z, size * (size_t)n);
            trial_compare(&t, fast);
        }
    }
}

static void run_subtract_scaled(const s24i_kernels *table, trial *t)
{
    table->subtract_scaled(t->at[0], t->at[1], 0.3f, t->n);
}

static void check_subtract_scaled(const s24i_kernels *fast)
{
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, 1e15f);
        for (int i = 0; i < SIZES; ++i) {
            trial t = {"subtract_scaled", run_subtract_scaled, size_at(i), 0, 0};
            trial_argument(&t, WANTED, x, (size_t)size_at(i) * sizeof(float));
            trial_argument(&t, GIVEN, y, (size_t)size_at(i) * sizeof(float));
            trial_compare(&t, fast);
        }
    }
}

static void run_grid_errors(const s24i_kernels *table, trial *t)
{
    table->grid_errors(t->at[0], t->at[1], t->n, 1 / steps[t->keep], steps[t->keep], zeros[t->keep],
                       15, t->at[2]);
}

static void check_grid_errors(const s24i_kernels *fast)
{
    static const float nothing[3];
    for (number_kind kind = 0; kind < WATCHED_KINDS; ++kind) {
        fill(kind, 1e15f);
        fill_grid();
        for (int i = 0; i < SIZES; ++i) {
            trial t = {"grid_errors", run_grid_errors, size_at(i), i, 0};
            trial_argument(&t, GIVEN, x, (size_t)size_at(i) * sizeof(float));
            trial_argument(&t, GIVEN, norm, (size_t)size_at(i) * sizeof(float));
            trial_argument(&t, WANTED, nothing, sizeof nothing);
            trial_compare(&t, fast);
        }
    }
}

/* ---- one test a row ---- */

static const struct row {
    const char *name;
    size_t entry;
    void (*check)(const s24i_kernels *fast);
} rows[] = {
#define S24I_KERNEL(type, name, arguments) {#name, offsetof(s24i_kernels, name), check_##name},
#include "kernels/kernels.def"
#undef S24I_KERNEL
};
enum { ROWS = sizeof rows / sizeof *rows };

/* ref with itself where there is nothing else: it still must not read beyond its arrays. */
START_TEST(agrees)
{
    for (int isa = 0; s24i_kernels_isa(isa); ++isa) {
        s24i_kernels fast;
        if (isa > 0 && !strcmp(s24i_kernels_isa(isa), "ref"))
            continue;
        ck_assert_int_eq(s24i_kernels_dispatch(&fast, s24i_kernels_isa(isa)), 1);
        ck_assert_str_eq(fast.isa, s24i_kernels_isa(isa));
        /* A set that adds some rows to another leaves it the rest. */
        const char *own = s24i_kernels_set_of(&fast, rows[_i].entry);
        ck_assert_ptr_nonnull(own);
        if (!strcmp(own, fast.isa))
            rows[_i].check(&fast);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    for (int row = 0; row < ROWS; ++row) {
        TCase *test = tcase_create(rows[row].name);
        tcase_add_loop_test(test, agrees, row, row + 1);
        suite_add_tcase(suite, test);
    }
    suite_add_tcase(suite, reference_tests());
    suite_add_tcase(suite, conversion_tests());
    suite_add_tcase(suite, sweep_tests());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
