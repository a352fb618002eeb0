#include "fuzz.h"
#include <math.h>
#include <stdio.h>

/* A whole solve of at most 16 x 32: any solver of the table, shape, layout, type, values,
 * constraints, options, refused allocation and moment of cancelling. Solved a second time on other
 * threads the bits are equal. */

enum { ROWS = 16, COLS = 32, TOKENS = 48, OWNED = 10 };

typedef struct bench {
    fuzz_input in;
    s24_ctx *ctx;
    s24_gram *gram;
    s24_cross *cross;
    s24_problem *problem;
    s24_solver *solver;
    void *owned[OWNED]; /* data of views */
    int count;
    int64_t calls, stop_at;
} bench;

/* Mostly one: threads take longer to start than such a solve. */
static void set_threads(bench *b)
{
    int64_t threads = fuzz_between(&b->in, -7, 4);

    fuzz_check_status(s24_ctx_set_int(b->ctx, "threads", threads < 1 ? 1 : threads));
}

/* ---- Matrices ---- */

static uint16_t top_half(double value)
{
    float narrow = (float)value;
    uint32_t bits;

    memcpy(&bits, &narrow, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void put(const s24_mat *mat, int64_t i, int64_t j, double value)
{
    int64_t at = i * mat->row_stride + j * mat->col_stride;

    if (mat->dtype == S24_F64)
        ((double *)mat->data)[at] = value;
    else if (mat->dtype == S24_F32)
        ((float *)mat->data)[at] = (float)value;
    else if (mat->dtype == S24_U8)
        ((uint8_t *)mat->data)[at] = value > 0;
    else /* as f16 these bits are other numbers, which is as good */
        ((uint16_t *)mat->data)[at] = top_half(value);
}

/* Of any float type and layout (bytes: for masks). Values by formula, then some as the input says;
 * few of those are not finite. */
static s24_mat make_mat(bench *b, int64_t rows, int64_t cols, bool byte, bool positive)
{
    static const int32_t types[] = {S24_F32, S24_F64, S24_BF16, S24_F16};
    int32_t dtype = byte ? S24_U8 : types[fuzz_byte(&b->in) % 4];
    int64_t gap = fuzz_between(&b->in, 0, 3), seed = fuzz_byte(&b->in);
    double scale = ldexp(1, (int)fuzz_between(&b->in, -20, 20));
    s24_mat mat;

    CLAIM(b->count < OWNED);
    void *data = calloc((size_t)(2 * (rows + 1) * (cols + 1)), sizeof(double));
    CLAIM(!s24_mat_rowmajor(&mat, data, rows, cols, dtype));
    b->owned[b->count++] = data;
    if (gap == 1) {
        mat.row_stride = 1;
        mat.col_stride = rows ? rows : 1;
    } else if (gap > 1) {
        mat.row_stride = (cols + 1) * (gap - 1);
        mat.col_stride = gap - 1;
    }
    for (int64_t i = 0; i < rows * cols; i++) {
        double value = (double)((i * 7919 + seed * 104729) % 2003 - 1001) / 1001;
        put(&mat, i / cols, i % cols, (positive ? fabs(value) : value) * scale);
    }
    for (int64_t n = fuzz_byte(&b->in) % 8; n > 0 && rows * cols > 0; n--) {
        int64_t at = fuzz_between(&b->in, 0, rows * cols - 1);
        put(&mat, at / cols, at % cols, fuzz_number(&b->in));
    }
    return mat;
}

/* ---- What is to be solved ---- */

static void constrain_values(bench *b)
{
    static const char *const schemes[] = {"asym", "sym", "real"};
    int32_t bits = (int32_t)fuzz_between(&b->in, 1, 9);
    int64_t group = fuzz_between(&b->in, 0, COLS + 1);

    fuzz_check_status(
        s24_problem_set_grid(b->problem, bits, group, schemes[fuzz_byte(&b->in) % 3]));
}

static void constrain(bench *b, const s24_mat *w)
{
    static const char *const texts[] = {"2:4",    "1:4",           "4:8",      "50%",
                                        "row 3%", "layer 99.999%", "2:4 + 1%", ""};
    uint8_t kind = fuzz_byte(&b->in);

    if (kind < 128) {
        fuzz_check_status(s24_problem_parse(b->problem, texts[kind % 8]));
    } else if (kind < 176) {
        int32_t m = (int32_t)fuzz_between(&b->in, 0, 33);
        fuzz_check_status(
            s24_problem_set_pattern(b->problem, (int32_t)fuzz_between(&b->in, 0, m), m));
    } else if (kind < 208) {
        fuzz_check_status(
            s24_problem_set_sparsity(b->problem, fuzz_number(&b->in), kind % 2 ? "row" : "layer"));
    } else {
        s24_mat mask = make_mat(b, w->rows, w->cols, true, false);
        fuzz_check_status(s24_problem_set_mask(b->problem, &mask));
    }
    uint8_t more = fuzz_byte(&b->in);
    if (more > 192) {
        s24_mat importance = make_mat(b, w->rows, w->cols, false, fuzz_byte(&b->in) < 250);
        fuzz_check_status(s24_problem_set_importance(b->problem, &importance));
    }
    if (more >= 128 && more < 176)
        constrain_values(b);
    if (more >= 160 && more <= 192)
        fuzz_check_status(s24_problem_set_rank(b->problem, fuzz_between(&b->in, 0, ROWS + 1)));
}

/* The cross of any matrix's outputs over the rows t that the cross has seen. */
static void derive(const bench *b, const s24_mat *t, const s24_mat *weight, const s24_mat *w)
{
    s24_gram *dense = NULL;
    s24_cross *made = NULL;

    if (s24_gram_create(b->ctx, t->cols, S24_F32, &dense))
        return;
    fuzz_check_status(s24_gram_add(dense, t, weight));
    fuzz_check_status(s24_cross_derive(b->cross, dense, w, &made));
    s24_cross_destroy(made);
    s24_gram_destroy(dense);
}

static void calibrate(bench *b, const s24_mat *w)
{
    static const int32_t accumulators[] = {S24_F32, S24_F64};
    int64_t tokens = fuzz_between(&b->in, 0, TOKENS);
    uint8_t kind = fuzz_byte(&b->in);

    if (kind < 32 ||
        s24_gram_create(b->ctx, w->cols, accumulators[kind % 2], &b->gram) == S24_E_MEMORY)
        return;
    s24_mat x = make_mat(b, tokens, w->cols, false, false);
    s24_mat weight = make_mat(b, tokens, 1, false, true), *some = kind % 8 ? NULL : &weight;
    s24_mat t = {0};
    if (kind % 4 == 3 && !s24_cross_create(b->gram, w->rows, &b->cross))
        t = make_mat(b, tokens, w->rows, false, false);
    for (int batch = 0; batch < 1 + (kind > 200); batch++) {
        fuzz_check_status(s24_gram_add_targets(b->gram, &x, some, &b->cross, &t, b->cross != NULL));
        if (b->cross && kind % 16 == 15) {
            s24_mat square = make_mat(b, w->rows, w->rows, false, false);
            derive(b, &t, some, &square);
        }
        x.rows = weight.rows = tokens / 2;
        t.rows = b->cross ? tokens / 2 : 0;
    }
    fuzz_check_status(s24_problem_set_gram(b->problem, b->gram));
    if (b->cross)
        fuzz_check_status(s24_problem_set_target(b->problem, b->cross, fuzz_number(&b->in)));
}

/* One option at one of its choices, ends or near its lower end: iterations may be many where the
 * end is far. */
static void set_option(bench *b)
{
    int32_t count = s24_solver_option_count(b->solver), type;
    const char *name, *range, *fallback;
    char words[256], *rest = words, *word;
    double low, high;

    if (!count || s24_solver_option_info(b->solver, fuzz_byte(&b->in) % count, &name, &type, &range,
                                         &fallback, NULL))
        return;
    uint8_t choice = fuzz_byte(&b->in);
    if (type == S24_OPT_STR) {
        snprintf(words, sizeof words, "%s", range);
        for (int i = choice % 8; (word = strsep(&rest, "|")); i--)
            if (i == 0 || !rest) {
                fuzz_check_status(s24_solver_set_str(b->solver, name, word));
                return;
            }
        return;
    }
    if (!strcmp(name, "time_limit"))
        return; /* would end anywhere */
    CLAIM(sscanf(range, "%lf .. %lf", &low, &high) == 2);
    if (type == S24_OPT_INT)
        fuzz_check_status(s24_solver_set_int(b->solver, name, (int64_t)low + choice % 24));
    else
        fuzz_check_status(s24_solver_set_float(b->solver, name,
                                               choice < 8 ? low
                                               : choice < 16
                                                   ? high
                                                   : low + (high - low) * pow(choice / 256.0, 8)));
}

/* ---- Solving ---- */

static int32_t look(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    bench *b = user;

    (void)objective;
    (void)residual;
    CLAIM(phase && *phase && step >= 0 && (total < 0 || step <= total));
    return ++b->calls == b->stop_at;
}

static s24_mat part(const s24_result *result, const char *name)
{
    s24_mat view;

    CLAIM(!s24_result_matrix(result, name, &view));
    return view;
}

static void judge(const bench *b, const s24_result *result)
{
    s24_mat weights = part(result, "weights"), mask = part(result, "mask"), sparse = weights, u;
    bool sum = !s24_result_matrix(result, "lowrank_u", &u);
    double loss, relative, told;
    const char *record;

    if (sum && s24_result_matrix(result, "sparse", &sparse))
        sparse.data = NULL; /* the product alone */
    for (int64_t i = 0; i < weights.rows * weights.cols; i++) {
        CLAIM(isfinite(((float *)weights.data)[i]) && ((uint8_t *)mask.data)[i] <= 1);
        CLAIM(((uint8_t *)mask.data)[i] || !sparse.data || ((float *)sparse.data)[i] == 0);
    }
    if (s24_result_matrix(result, "outliers", &u))
        CLAIM(s24_problem_check(b->problem, &weights) == (sum ? S24_E_UNSUPPORTED : S24_OK));
    CLAIM(!s24_problem_check_result(b->problem, result));
    if (!s24_problem_loss(b->problem, &weights, &loss, &relative)) {
        CLAIM(!s24_result_float(result, "loss", &told) &&
              (loss == told || (isnan(loss) && isnan(told))));
        CLAIM(!s24_result_float(result, "relative_loss", &told) &&
              (relative == told || (isnan(relative) && isnan(told))));
    }
    CLAIM(!s24_result_str(result, "record", &record) && *record == '{');
}

static void check_equal(const s24_result *a, const s24_result *b)
{
    const char *name;

    for (int32_t i = 0, kind; (name = s24_result_name(a, i, &kind)); i++) {
        if (kind != S24_RESULT_MATRIX)
            continue;
        s24_mat x = part(a, name), y = part(b, name);
        CLAIM(x.rows == y.rows && x.cols == y.cols && x.dtype == y.dtype);
        CLAIM(!memcmp(x.data, y.data, (size_t)(x.rows * x.cols * (x.dtype & 255) / 8)));
    }
}

static void run(bench *b)
{
    s24_result *result = NULL, *again = NULL;
    uint64_t predicted = 0;
    s24_status known = s24_solver_memory(b->solver, b->problem, &predicted);
    int64_t before = fuzz_bytes();

    fuzz_check_status(known);
    CLAIM(!s24_solver_set_progress(b->solver, look, b));
    fuzz_peak(true);
    s24_status status = s24_solve(b->solver, b->problem, &result);
    fuzz_refuse(0);
    fuzz_check_status(status);
    CLAIM(known || fuzz_peak(false) - before <= (int64_t)predicted);
    CLAIM(!status == (result != NULL));
    if (result)
        judge(b, result);
    if (b->stop_at == 0 || b->calls < b->stop_at) {
        b->stop_at = 0;
        set_threads(b);
        fuzz_fill(0xff); /* NaN */
        s24_status second = s24_solve(b->solver, b->problem, &again);
        CLAIM(second == status || second == S24_E_MEMORY || status == S24_E_MEMORY);
        if (result && again)
            check_equal(result, again);
    }
    s24_result_destroy(again);
    s24_result_destroy(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bench b = {.in = {data, data + size}};
    const char *name = s24_solver_name(fuzz_byte(&b.in) % s24_solver_count());
    uint8_t refuse = fuzz_byte(&b.in), stop = fuzz_byte(&b.in);

    b.ctx = fuzz_open();
    fuzz_refuse(refuse < 200 ? 0 : refuse - 199);
    b.stop_at = stop < 200 ? 0 : stop - 199;
    set_threads(&b);
    int64_t rows = fuzz_between(&b.in, 0, ROWS), cols = fuzz_between(&b.in, 0, COLS);
    s24_mat w = make_mat(&b, rows, cols, false, false);
    fuzz_check_status(s24_problem_create(b.ctx, &w, &b.problem));
    if (b.problem)
        fuzz_check_status(s24_solver_create(b.ctx, name, &b.solver));
    if (b.solver) {
        constrain(&b, &w);
        calibrate(&b, &w);
        for (int n = fuzz_byte(&b.in) % 6; n > 0; n--)
            set_option(&b);
        run(&b);
    }
    s24_solver_destroy(b.solver);
    s24_problem_destroy(b.problem);
    s24_cross_destroy(b.cross);
    s24_gram_destroy(b.gram);
    fuzz_close(b.ctx);
    while (b.count)
        free(b.owned[--b.count]);
    return 0;
}
