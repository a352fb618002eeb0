/* Every operation gives the same bits for any number of threads, for a host that scrambles the
 * tasks, and for every set of kernels. */
#include "ops_test.h"

enum { ROWS = 300, N = 280, CALIBRATION = 2700 };

typedef struct {
    float *x, *t, *w, *v;
    uint8_t *mask, *chosen;
    s24i_gram gram;
    s24i_cross cross;
    s24i_matrix matrix;
    s24i_prepared prepared;
    const s24i_constraints *constraints;
    char *out;
    size_t size;
} bench;

static void keep(bench *b, const void *data, size_t size)
{
    memcpy(b->out + b->size, data, size);
    b->size += size;
}

static bench *new_bench(void)
{
    uint64_t seed = 1;
    bench *b = GRAB(bench, 1);
    b->x = activations(&seed, CALIBRATION, N, 0.8);
    b->t = activations(&seed, CALIBRATION, ROWS, 0.2);
    b->w = normals(&seed, ROWS * N);
    b->v = GRAB(float, ROWS *N);
    b->mask = GRAB(uint8_t, ROWS * N);
    b->chosen = GRAB(uint8_t, ROWS * N);
    for (int64_t i = 0; i < ROWS * N; i++)
        b->mask[i] = below(&seed, 2) != 0;
    b->out = grab(8 << 20);
    return b;
}

/* Fresh sums and a matrix made ready in them; w goes to unit-diagonal coordinates. */
static void begin(bench *b, int32_t type, int32_t rule)
{
    uint64_t seed = 2;
    b->w = normals(&seed, ROWS * N);
    b->gram = gram_of(b->x, CALIBRATION, N, type);
    b->cross = cross_of(b->x, b->t, CALIBRATION, N, ROWS, type);
    b->matrix =
        (s24i_matrix){.rows = ROWS, .cols = N, .gram = &b->gram, .cross = &b->cross, .blend = 0.1};
    b->matrix.constraints = (s24i_constraints){.n = 2, .m = 4};
    b->prepared = prepare(&b->matrix, rule, 0.01, b->w);
}

static void end(bench *b)
{
    s24i_gram_fini(&device, &b->gram);
    s24i_cross_fini(&device, &b->cross);
}

static void sums(bench *b, int32_t type)
{
    begin(b, type, S24I_DAMP_RELATIVE);
    for (int half = 0; half < 2; half++) {
        keep(b, b->gram.half[half], s24i_gram_half_bytes(N));
        keep(b, b->cross.half[half], ROWS * N * sizeof(double));
        keep(b, b->cross.norm2[half], ROWS * sizeof(double));
    }
    end(b);
}

static void sums_f32(bench *b)
{
    sums(b, S24_F32);
}

static void sums_f64(bench *b)
{
    sums(b, S24_F64);
}

static s24_status inverse_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    return s24i_inverse(run, N, b->prepared.r, b->prepared.inv_diag, b->v);
}

static s24_status solve_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    return s24i_solve_rows(run, N, b->prepared.r, b->prepared.inv_diag, b->w, ROWS);
}

/* The Cholesky factor, the inverse, solved rows, the aim. */
static void factors(bench *b)
{
    begin(b, S24_F32, S24I_DAMP_RELATIVE);
    keep(b, b->w, ROWS * N * sizeof(float));
    for (int64_t i = 0; i < N; i++)
        keep(b, b->prepared.r + i * N + i, (size_t)(N - i) * sizeof(float));
    keep(b, b->prepared.inv_diag, N * S24I_BLOCK * sizeof(float));
    ck_assert_int_eq(in_arena(inverse_stage, b), S24_OK);
    keep(b, b->v, N * N * sizeof(float));
    ck_assert_int_eq(in_arena(solve_stage, b), S24_OK);
    keep(b, b->w, ROWS * N * sizeof(float));
    end(b);
}

static void damping(bench *b)
{
    begin(b, S24_F32, S24I_DAMP_AUTO);
    keep(b, &b->prepared.damp, sizeof(double));
    keep(b, &b->prepared.heldout, sizeof(double));
    end(b);
}

static s24_status sweep_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    return s24i_sweep(run, &(s24i_target){&b->prepared, b->constraints, b->w, ROWS}, b->v,
                      b->chosen);
}

static void sweeps(bench *b)
{
    const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                         {.n = 3, .m = 7},
                                         {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                         {.scope = S24I_SCOPE_LAYER, .sparsity = 0.6},
                                         {.mask = b->mask}};
    begin(b, S24_F32, S24I_DAMP_RELATIVE);
    for (int p = 0; p < 5; p++) {
        b->constraints = &patterns[p];
        ck_assert_int_eq(in_arena(sweep_stage, b), S24_OK);
        keep(b, b->v, ROWS * N * sizeof(float));
        keep(b, b->chosen, ROWS * N);
    }
    end(b);
}

static s24_status project_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    return s24i_project(run, b->constraints, b->w, scales_of(&b->prepared), ROWS, N, b->chosen);
}

static void projections(bench *b)
{
    const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                         {.n = 3, .m = 7},
                                         {.scope = S24I_SCOPE_ROW, .sparsity = 0.6},
                                         {.scope = S24I_SCOPE_LAYER, .sparsity = 0.6}};
    begin(b, S24_F32, S24I_DAMP_RELATIVE);
    for (int64_t i = 0; i < ROWS * N; i++)
        b->w[i] = roundf(b->w[i]); /* ties */
    for (int p = 0; p < 4; p++) {
        b->constraints = &patterns[p];
        ck_assert_int_eq(in_arena(project_stage, b), S24_OK);
        keep(b, b->chosen, ROWS * N);
    }
    end(b);
}

static s24_status cg_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    int32_t iterations = 0;
    double residual = 0;
    s24_status status =
        s24i_cg(run, &(s24i_target){.prepared = &b->prepared, .w = b->w, .rows = ROWS}, b->mask,
                (s24i_cg_limits){.max_iter = 40, .tol = 1e-3}, b->v, &iterations, &residual);
    if (!s24i_counting(run)) {
        keep(b, &iterations, sizeof iterations);
        keep(b, &residual, sizeof residual);
    }
    return status;
}

static s24_status exact_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    return s24i_refit_exact(run, &(s24i_target){.prepared = &b->prepared, .w = b->w, .rows = ROWS},
                            b->mask, N, b->v);
}

static void refits(bench *b)
{
    begin(b, S24_F32, S24I_DAMP_RELATIVE);
    for (int exact = 0; exact < 2; exact++) {
        kernels.apply_mask(b->w, b->mask, b->v, ROWS * N);
        ck_assert_int_eq(in_arena(exact ? exact_stage : cg_stage, b), S24_OK);
        keep(b, b->v, ROWS * N * sizeof(float));
    }
    end(b);
}

static s24_status swap_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    int64_t swapped = 0;
    s24_status status =
        s24i_swap(run, &(s24i_target){&b->prepared, b->constraints, b->w, ROWS},
                  (s24i_swap_limits){S24I_SWAP_SCHUR, 1e-6, 100}, b->v, b->chosen, &swapped);
    if (!s24i_counting(run))
        keep(b, &swapped, sizeof swapped);
    return status;
}

static void swaps(bench *b)
{
    const s24i_constraints patterns[] = {{.n = 2, .m = 4},
                                         {.scope = S24I_SCOPE_ROW, .sparsity = 0.6}};
    begin(b, S24_F32, S24I_DAMP_RELATIVE);
    for (int p = 0; p < 2; p++) {
        b->constraints = &patterns[p];
        ck_assert_int_eq(in_arena(sweep_stage, b), S24_OK);
        ck_assert_int_eq(in_arena(swap_stage, b), S24_OK);
        keep(b, b->v, ROWS * N * sizeof(float));
        keep(b, b->chosen, ROWS * N);
    }
    end(b);
}

static s24_status loss_stage(void *arg, const s24i_run *run)
{
    bench *b = arg;
    double value[4] = {0};
    s24_mat w = s24i_view(b->w, ROWS, N), v = s24i_view(b->v, ROWS, N);
    s24_status status = s24i_quadratic(run, &b->gram, S24I_BOTH, &w, &v, &value[0]);
    if (!status)
        status = s24i_quadratic(run, NULL, S24I_BOTH, &w, &v, &value[1]);
    if (!status)
        status = s24i_target_loss(
            run, &(s24i_matrix){.gram = &b->gram, .cross = &b->cross, .blend = 0.3}, S24I_SECOND,
            &w, &v, NULL, &value[2], &value[3]);
    if (!s24i_counting(run))
        keep(b, value, sizeof value);
    return status;
}

static void losses(bench *b)
{
    for (int type = 0; type < 2; type++) {
        begin(b, type ? S24_F64 : S24_F32, S24I_DAMP_RELATIVE);
        kernels.apply_mask(b->w, b->mask, b->v, ROWS * N);
        ck_assert_int_eq(in_arena(loss_stage, b), S24_OK);
        end(b);
    }
}

static void matrices(bench *b)
{
    s24_mat x = s24i_view(b->x, CALIBRATION, N), w = s24i_view(b->w, ROWS, N);
    s24_mat half = plain(GRAB(uint16_t, ROWS * N), ROWS, N, S24_BF16);
    s24_mat y = s24i_view(GRAB(float, CALIBRATION *ROWS), CALIBRATION, ROWS);
    ck_assert_int_eq(s24i_mat_copy(&device, &w, &half), S24_OK);
    keep(b, half.data, ROWS * N * 2);
    ck_assert_int_eq(s24i_mat_read(&plainly, &half, "w", b->v), S24_OK);
    keep(b, b->v, ROWS * N * sizeof(float));
    ck_assert_int_eq(s24i_mat_multiply(&device, &x, &half, &y), S24_OK);
    keep(b, y.data, (size_t)CALIBRATION * ROWS * sizeof(float));
}

static void (*const operations[])(bench *) = {sums_f32,    sums_f64, factors, damping, sweeps,
                                              projections, refits,   swaps,   losses,  matrices};
enum { OPERATIONS = 10 };

START_TEST(equal_bits)
{
    uint64_t seed = 3;
    bench *b = new_bench();
    use_threads(1);
    operations[_i](b);
    char *wanted = b->out;
    size_t size = b->size;
    ck_assert_uint_gt(size, 0);
    b->out = grab(size + 64);
    for (int way = 0; way < 5; way++) {
        int mark = naive_count;
        ck_assert(use_way(way, &seed));
        b->size = 0;
        operations[_i](b);
        ck_assert_uint_eq(b->size, size);
        ck_assert_msg(!memcmp(b->out, wanted, size), "way %d differs", way);
        drop_to(mark);
    }
    for (int isa = 0; s24i_kernels_isa(isa); isa++) {
        int mark = naive_count;
        use_threads(2);
        if (s24i_kernels_dispatch(&kernels, s24i_kernels_isa(isa)) != 1)
            continue;
        b->size = 0;
        operations[_i](b);
        ck_assert_msg(!memcmp(b->out, wanted, size), "%s differs", s24i_kernels_isa(isa));
        drop_to(mark);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bits");
    TCase *tcase = new_case(suite, "bits");
    tcase_add_loop_test(tcase, equal_bits, 0, OPERATIONS);
    return unit_run(suite);
}
