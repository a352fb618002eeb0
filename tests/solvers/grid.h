/* What the tests of solvers share: contexts over an allocator that is watched, layers, all
 * constraints, and a judge that only counts. Public interface alone. */
#ifndef S24_TESTS_GRID_H
#define S24_TESTS_GRID_H
#include "constraints.h"
#include <check.h>
#include <sparse24/sparse24.h>
#include <stdatomic.h>
#include <stdio.h>

/* For long loops: Check's own assertions write to a pipe each time. */
#define grid_check(condition, ...)     \
    do {                               \
        if (!(condition))              \
            ck_abort_msg(__VA_ARGS__); \
    } while (0)

#define grid_ok(call)                                                                           \
    do {                                                                                        \
        s24_status grid_status = (call);                                                        \
        if (grid_status != S24_OK)                                                              \
            ck_abort_msg("%s: %s (%s)", #call, s24_status_name(grid_status), s24_last_error()); \
    } while (0)

/* ---- Memory ---- */

static _Atomic int64_t heap_current, heap_peak, heap_calls;
static int64_t heap_refuse; /* number of the call to refuse, from 1; 0 = none */

static inline void *heap_alloc(void *user, size_t size, size_t align)
{
    char *block;

    (void)user;
    if (++heap_calls == heap_refuse || posix_memalign((void **)&block, align, align + size))
        return NULL;
    memcpy(block, &size, sizeof size);
    memset(block + align, 0xff, size); /* NaN, for whoever reads what nobody wrote */
    int64_t now = heap_current += (int64_t)size, peak = heap_peak;
    while (now > peak && !atomic_compare_exchange_weak(&heap_peak, &peak, now)) {
    }
    return block + align;
}

static inline void heap_free(void *user, void *ptr, size_t size)
{
    size_t asked;

    (void)user;
    memcpy(&asked, (char *)ptr - 64, sizeof asked);
    if (asked != size)
        abort();
    heap_current -= (int64_t)size;
    free((char *)ptr - 64);
}

static inline s24_ctx *open_ctx(int32_t threads)
{
    s24_ctx *ctx = NULL;

    heap_refuse = 0;
    grid_ok(s24_ctx_create_with(heap_alloc, heap_free, NULL, &ctx));
    grid_ok(s24_ctx_set_int(ctx, "threads", threads));
    return ctx;
}

/* Everything made from it must be gone already. */
static inline void close_ctx(s24_ctx *ctx)
{
    s24_ctx_destroy(ctx);
    ck_assert_int_eq(heap_current, 0);
    drop_all();
}

/* ---- Layers ---- */

typedef struct {
    s24_ctx *ctx;
    const constraint *limit;
    int64_t rows, cols, calibration;
    float *w, *x;
    double *rows_of_x; /* x in double */
    uint8_t *mask;     /* of the constraint, or NULL */
    s24_mat view, mask_view;
    s24_gram *gram;
    s24_problem *problem;
} layer;

static inline s24_mat row_major(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat;

    grid_ok(s24_mat_rowmajor(&mat, data, rows, cols, dtype));
    return mat;
}

/* The problem over l->view, l->mask and l->gram, all of which may have been exchanged. */
static inline void pose(layer *l)
{
    s24_problem_destroy(l->problem);
    grid_ok(s24_problem_create(l->ctx, &l->view, &l->problem));
    if (l->gram)
        grid_ok(s24_problem_set_gram(l->problem, l->gram));
    grid_ok(s24_problem_parse(l->problem, l->limit->text));
    if (l->mask)
        grid_ok(s24_problem_set_mask(l->problem, &l->mask_view));
}

static inline s24_gram *sum_rows(s24_ctx *ctx, const float *x, int64_t rows, int64_t cols)
{
    s24_gram *gram;
    s24_mat view = row_major((void *)(uintptr_t)x, rows, cols, S24_F32);

    grid_ok(s24_gram_create(ctx, cols, S24_F32, &gram));
    grid_ok(s24_gram_add(gram, &view, NULL));
    return gram;
}

/* Aim at the outputs t of l->x: with a gram anew, which the cross hangs on. */
static inline s24_cross *aim_at(layer *l, float *t, double blend)
{
    s24_cross *cross;
    s24_mat x = row_major(l->x, l->calibration, l->cols, S24_F32);
    s24_mat wanted = row_major(t, l->calibration, l->rows, S24_F32);

    s24_gram_destroy(l->gram);
    grid_ok(s24_gram_create(l->ctx, l->cols, S24_F32, &l->gram));
    grid_ok(s24_cross_create(l->gram, l->rows, &cross));
    grid_ok(s24_gram_add_targets(l->gram, &x, NULL, &cross, &wanted, 1));
    grid_ok(s24_problem_set_gram(l->problem, l->gram));
    grid_ok(s24_problem_set_target(l->problem, cross, blend));
    return cross;
}

/* calibration 0: no gram. Rows become whole tiles where the constraint has them. */
static inline layer open_layer(s24_ctx *ctx, const constraint *limit, int64_t rows, int64_t cols,
                               int64_t calibration)
{
    uint64_t seed = (uint64_t)(rows * 1000 + cols);
    int64_t tied = limit->both ? limit->m : limit->blocks ? limit->blocks : 1;
    rows = (rows + tied - 1) / tied * tied;
    layer l = {.ctx = ctx, .limit = limit, .rows = rows, .cols = cols, .calibration = calibration};

    l.w = normals(&seed, rows * cols);
    l.view = row_major(l.w, rows, cols, S24_F32);
    if (calibration) {
        l.x = activations(&seed, calibration, cols, 0.7);
        l.rows_of_x = doubles(l.x, calibration * cols);
        l.gram = sum_rows(ctx, l.x, calibration, cols);
    }
    if (limit->mask) {
        float *dice = normals(&seed, rows * cols);
        constraint inside = *limit;
        if (!limit->n && !limit->row)
            inside.sparsity = 0.5;
        l.mask = GRAB(uint8_t, rows * cols);
        magnitude_mask(&inside, dice, rows, cols, l.mask);
        l.mask_view = row_major(l.mask, rows, cols, S24_U8);
    }
    pose(&l);
    return l;
}

/* The weights again, turned, as the matrix before this one. */
static inline void lend_previous(layer *l)
{
    s24_mat turned = row_major(l->w, l->cols, l->rows, S24_F32);
    turned.row_stride = 1;
    turned.col_stride = l->cols;
    grid_ok(s24_problem_set_previous(l->problem, &turned, NULL, NULL));
}

/* Make w obey the constraint. */
static inline void prune(layer *l)
{
    uint8_t *mask = l->mask;

    if (!mask)
        magnitude_mask(l->limit, l->w, l->rows, l->cols, mask = GRAB(uint8_t, l->rows * l->cols));
    for (int64_t i = 0; i < l->rows * l->cols; i++)
        l->w[i] = mask[i] ? l->w[i] : 0;
    pose(l);
}

static inline void close_layer(layer *l)
{
    s24_problem_destroy(l->problem);
    s24_gram_destroy(l->gram);
}

/* ---- Solving ---- */

static inline bool has_option(const s24_solver *solver, const char *option)
{
    const char *name;

    for (int32_t i = 0; i < s24_solver_option_count(solver); i++) {
        grid_ok(s24_solver_option_info(solver, i, &name, NULL, NULL, NULL, NULL));
        if (!strcmp(name, option))
            return true;
    }
    return false;
}

/* A solver whose damping does not depend on a sample of rows, when `fixed`. */
static inline s24_solver *new_solver(s24_ctx *ctx, const char *name, bool fixed)
{
    s24_solver *solver;

    grid_ok(s24_solver_create(ctx, name, &solver));
    if (!strcmp(name, "cospadi") || !strcmp(name, "armor")) /* more rounds tell nothing new */
        grid_ok(s24_solver_parse(solver, "rounds=2"));
    if (fixed && has_option(solver, "damp_rule"))
        grid_ok(s24_solver_parse(solver, "damp_rule=relative, damp=0.02"));
    return solver;
}

/* NULL when the solver cannot honour the constraint. One that wants w to obey already gets it
 * so. */
static inline s24_result *solve(layer *l, const char *name, bool fixed)
{
    s24_result *result = NULL;
    s24_solver *solver = new_solver(l->ctx, name, fixed);
    s24_status status = s24_solve(solver, l->problem, &result);

    if (status == S24_E_STATE && strstr(s24_last_error(), "support of w")) {
        prune(l);
        status = s24_solve(solver, l->problem, &result);
    }
    s24_solver_destroy(solver);
    grid_check(status == S24_OK || status == S24_E_UNSUPPORTED, "%s on %s, %lld x %lld: %s", name,
               l->limit->text, (long long)l->rows, (long long)l->cols, s24_last_error());
    ck_assert(status == S24_OK || !result);
    return result;
}

static inline const float *weights_of(const s24_result *result)
{
    s24_mat view;

    grid_ok(s24_result_matrix(result, "weights", &view));
    ck_assert(view.dtype == S24_F32 && view.row_stride == view.cols && view.col_stride == 1);
    return view.data;
}

static inline const uint8_t *mask_of(const s24_result *result)
{
    s24_mat view;

    grid_ok(s24_result_matrix(result, "mask", &view));
    ck_assert(view.dtype == S24_U8 && view.row_stride == view.cols && view.col_stride == 1);
    return view.data;
}

static inline double number(const s24_result *result, const char *name)
{
    double value;

    grid_ok(s24_result_float(result, name, &value));
    return value;
}

static inline const char *word(const s24_result *result, const char *name)
{
    const char *value;

    grid_ok(s24_result_str(result, name, &value));
    return value;
}

static inline bool chooses(const char *solver)
{
    return strcmp(solver, "refit") != 0;
}

/* What it keeps does not depend on the weights. */
static inline bool is_random(const char *solver)
{
    return !strcmp(solver, "random");
}

/* ||X (W - V)^T||^2 from X itself. */
static inline double naive_loss(const layer *l, const float *v)
{
    int mark = naive_count;
    double total = 0, *e = GRAB(double, l->cols);

    for (int64_t o = 0; o < l->rows; o++) {
        for (int64_t j = 0; j < l->cols; j++)
            e[j] = (double)l->w[o * l->cols + j] - v[o * l->cols + j];
        for (int64_t i = 0; i < l->calibration; i++)
            total += pow(naive_dot(l->rows_of_x + i * l->cols, e, l->cols), 2);
        if (!l->calibration)
            total += naive_dot(e, e, l->cols);
    }
    drop_to(mark);
    return total;
}

/* As if inputs were uncorrelated: what a loss is made of before terms cancel, and what H in f32 can
 * be wrong about. */
static inline double uncoupled_loss(const layer *l, const float *v)
{
    double total = 0;

    for (int64_t j = 0; j < l->cols; j++) {
        double h = 0, e = 0;
        for (int64_t i = 0; i < l->calibration; i++)
            h += pow(l->x[i * l->cols + j], 2);
        for (int64_t o = 0; o < l->rows; o++)
            e += pow((double)l->w[o * l->cols + j] - v[o * l->cols + j], 2);
        total += h * e;
    }
    return total;
}

static inline bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

static inline int64_t group_of(const layer *l)
{
    const char *g = strstr(l->limit->text, " g");

    return g ? strtoll(g + 2, NULL, 10) : l->cols;
}

/* Scales or zeros of any type as floats. */
static inline const float *part_of(const layer *l, const s24_result *result, const char *name)
{
    s24_mat part, wide;
    int64_t groups = (l->cols + group_of(l) - 1) / group_of(l);

    grid_ok(s24_result_matrix(result, name, &part));
    ck_assert(part.rows == l->rows && part.cols == groups);
    wide = row_major(GRAB(float, l->rows *groups), l->rows, groups, S24_F32);
    for (int64_t i = 0; part.dtype == S24_U8 && i < l->rows * groups; i++)
        ((float *)wide.data)[i] = ((uint8_t *)part.data)[i];
    if (part.dtype != S24_U8)
        grid_ok(s24_mat_copy(l->ctx, &part, &wide));
    return wide.data;
}

/* Weights (under a rank: S) are what codes, scales and zeros decode to. */
static inline void judge_codes(const layer *l, const char *solver, const s24_result *result,
                               const float *v)
{
    s24_mat codes;
    const float *scales = part_of(l, result, "scales");
    const float *zeros = part_of(l, result, "zeros");
    const uint8_t *mask = mask_of(result);
    s24_mat outliers;
    bool free = !s24_result_matrix(result, "outliers", &outliers);
    int64_t group = group_of(l), groups = (l->cols + group - 1) / group;
    bool real = strstr(l->limit->text, "real");

    grid_ok(s24_result_matrix(result, "codes", &codes));
    ck_assert_int_eq(codes.dtype, S24_U8);
    for (int64_t i = 0; i < l->rows * l->cols; i++) {
        int64_t at = i / l->cols * groups + i % l->cols / group;
        float code = ((uint8_t *)codes.data)[i];
        float value = real ? scales[at] * code + zeros[at] : scales[at] * (code - zeros[at]);
        if (free && mask[i] && ((uint8_t *)outliers.data)[i])
            continue;
        grid_check(v[i] == (mask[i] ? value : 0) && code < (float)(1 << l->limit->bits) &&
                       (real || mask[i] || code == zeros[at]),
                   "%s on %s: weight %lld is %g, decoded %g", solver, l->limit->text, (long long)i,
                   (double)v[i], (double)value);
    }
}

/* Weights are the sum of S (returned; zeros when there is none) and a product of no higher rank. */
static inline const float *judge_sum(const layer *l, const char *solver, const s24_result *result)
{
    s24_mat sparse, u, v;
    const float *weights = weights_of(result), *s = GRAB(float, l->rows * l->cols);

    if (!l->limit->alone) {
        grid_ok(s24_result_matrix(result, "sparse", &sparse));
        s = sparse.data;
    }
    grid_ok(s24_result_matrix(result, "lowrank_u", &u));
    grid_ok(s24_result_matrix(result, "lowrank_v", &v));
    ck_assert(u.rows == l->rows && v.cols == l->cols && u.cols == v.rows);
    ck_assert(u.cols <= l->limit->rank && u.dtype == S24_F32);
    for (int64_t i = 0; i < l->rows * l->cols; i++) {
        double sum = s[i], size = fabs(s[i]);
        for (int64_t k = 0; k < u.cols; k++) {
            double product = (double)((float *)u.data)[i / l->cols * u.cols + k] *
                             ((float *)v.data)[k * l->cols + i % l->cols];
            sum += product;
            size += fabs(product);
        }
        grid_check(fabs(weights[i] - sum) <= 1e-6 * size, "%s on %s: weight %lld is %g, not %g",
                   solver, l->limit->text, (long long)i, (double)weights[i], sum);
    }
    return s;
}

/* Weights are codes times atoms; rows of codes are as sparse as the text says. */
static inline void judge_dictionary(const layer *l, const char *solver, const s24_result *result)
{
    s24_mat codes, atoms;
    const float *weights = weights_of(result);
    const char *text = l->limit->text + strlen("dictionary "), *pattern = strchr(text, '+');
    int64_t first = strtoll(text, NULL, 10), most = 0, used = l->cols;

    grid_ok(s24_result_matrix(result, "coefficients", &codes));
    grid_ok(s24_result_matrix(result, "dictionary", &atoms));
    ck_assert(codes.rows == l->rows && atoms.cols == l->cols && codes.cols == atoms.rows);
    const float *c = codes.data, *d = atoms.data;
    for (int64_t i = 0; i < l->rows; i++) {
        int64_t held = 0;
        for (int64_t k = 0; k < codes.cols; k++)
            held += c[i * codes.cols + k] != 0;
        most = held > most ? held : most;
        for (int64_t k = 0; pattern && k < codes.cols; k += 4) {
            int64_t group = 0;
            for (int64_t t = k; t < k + 4; t++)
                group += c[i * codes.cols + t] != 0;
            ck_assert_int_le(group, 2);
        }
    }
    if (strchr(text, '%')) { /* in 16-bit numbers, and a bit a code */
        double words = (double)(atoms.rows * atoms.cols + most * l->rows) +
                       (double)(codes.rows * codes.cols) / 16;
        ck_assert_double_le(words, (1 - (double)first / 100) * (double)(l->rows * l->cols));
    } else {
        used = strtoll(strchr(text, ':') + 1, NULL, 10);
        ck_assert(codes.cols == first && most <= used);
    }
    for (int64_t i = 0; i < l->rows * l->cols; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < codes.cols; k++) {
            double product = (double)c[i / l->cols * codes.cols + k] * d[k * l->cols + i % l->cols];
            sum += product;
            size += fabs(product);
        }
        grid_check(fabs(weights[i] - sum) <= 1e-6 * size, "%s on %s: weight %lld is %g, not %g",
                   solver, l->limit->text, (long long)i, (double)weights[i], sum);
    }
}

/* Weights are A S B with A and B block-diagonal; S is returned. */
static inline const float *judge_blocks(const layer *l, const char *solver,
                                        const s24_result *result)
{
    s24_mat left, core, right;
    int64_t b = l->limit->blocks, cols = l->cols;
    const float *weights = weights_of(result);

    grid_ok(s24_result_matrix(result, "left", &left));
    grid_ok(s24_result_matrix(result, "sparse", &core));
    grid_ok(s24_result_matrix(result, "right", &right));
    ck_assert(left.rows == l->rows && left.cols == b && right.rows == cols && right.cols == b);
    for (int64_t at = 0; at < l->rows * cols; at++) {
        int64_t i = at / cols, j = at % cols;
        double sum = 0, size = 0;
        for (int64_t s = 0; s < b; s++)
            for (int64_t t = 0; t < b; t++) {
                double x = (double)((float *)left.data)[i * b + s] *
                           ((float *)core.data)[(i / b * b + s) * cols + j / b * b + t] *
                           ((float *)right.data)[(j / b * b + t) * b + j % b];
                sum += x;
                size += fabs(x);
            }
        grid_check(fabs(weights[at] - sum) <= 1e-6 * size, "%s on %s: weight %lld is %g, not %g",
                   solver, l->limit->text, (long long)at, (double)weights[at], sum);
    }
    return core.data;
}

/* Everything that must hold for any result of any solver. */
static inline void judge(const layer *l, const char *solver, const s24_result *result)
{
    int64_t size = l->rows * l->cols, nnz = 0;
    const float *v = weights_of(result);
    const float *s = l->limit->rank     ? judge_sum(l, solver, result)
                     : l->limit->blocks ? judge_blocks(l, solver, result)
                                        : v;
    const uint8_t *mask = mask_of(result);
    uint8_t *support = GRAB(uint8_t, size);
    double loss, relative;
    s24_mat view = row_major((void *)(uintptr_t)v, l->rows, l->cols, S24_F32), outliers;

    for (int64_t i = 0; i < size; i++) {
        grid_check(mask[i] <= 1 && isfinite(v[i]) && (mask[i] || s[i] == 0),
                   "%s: weight %lld is %g, its mask %d", solver, (long long)i, s[i], mask[i]);
        grid_check(!l->mask || l->mask[i] || !mask[i], "%s: outside of the mask", solver);
        nnz += support[i] = s[i] != 0;
    }
    if (l->limit->dense > 0) {
        grid_ok(s24_result_matrix(result, "dense", &outliers));
        ck_assert(outliers.dtype == S24_I32 && outliers.cols == dense_of(l->limit, l->cols));
        stays = outliers.data;
    }
    grid_check(obeys(l->limit, support, l->rows, l->cols, false), "%s breaks %s", solver,
               l->limit->text);
    grid_check(
        obeys(l->limit, mask, l->rows, l->cols, chooses(solver) && !l->mask && !l->limit->alone),
        "%s's mask breaks %s", solver, l->limit->text);
    if (l->limit->dictionary)
        judge_dictionary(l, solver, result);
    if (l->limit->rank || l->limit->dense > 0 || l->limit->dictionary || l->limit->blocks)
        ck_assert_int_eq(s24_problem_check(l->problem, &view), S24_E_UNSUPPORTED);
    else if (s24_result_matrix(result, "outliers", &outliers))
        grid_ok(s24_problem_check(l->problem, &view));
    if (l->limit->bits)
        judge_codes(l, solver, result, s);
    grid_ok(s24_problem_check_result(l->problem, result));
    grid_ok(s24_problem_loss(l->problem, &view, &loss, &relative));
    grid_check(fabs(number(result, "loss") - loss) <= 1e-6 * loss, "%s: loss %g is %g", solver,
               number(result, "loss"), loss);
    grid_check(near(number(result, "relative_loss"), relative, 1e-6), "%s: relative loss", solver);
    double wanted = naive_loss(l, v), error = 1e-5 * wanted + 1e-6 * uncoupled_loss(l, v);
    grid_check(fabs(loss - wanted) <= error, "%s: loss %g is %g", solver, loss, wanted);
    ck_assert_double_eq(number(result, "nnz"), (double)nnz);
    ck_assert_double_eq(number(result, "zeros"), (double)(size - nnz));
    ck_assert_str_eq(word(result, "solver"), solver);
    ck_assert(strstr(word(result, "record"), "\"relative_loss\":"));
}

/* ---- Suites ---- */

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

static inline TCase *new_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    suite_add_tcase(suite, tcase);
    return tcase;
}

#endif
