/* lib/ops/damp.c: the two-halves rule walks to the minimum of its grid. */
#include "../published.h"
#include "../ops_test.h"

static const double grid[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1};
enum { GRID = 7, SAMPLE = 32 };

typedef struct {
    int64_t calibration, rows, n;
    float *x, *w, *t;
    double *h[2], *c[2]; /* of the two halves */
    s24i_gram gram;
    s24i_cross cross;
    s24i_matrix matrix;
} trial;

/* White noise on top of few directions: the fewer the rows, the more a fit learns by heart. */
static trial *new_trial(uint64_t seed, int64_t calibration, int64_t rows, int64_t n, bool target)
{
    trial *t = GRAB(trial, 1);
    *t = (trial){.calibration = calibration, .rows = rows, .n = n};
    t->x = activations(&seed, calibration, n, 0.6);
    t->w = normals(&seed, rows * n);
    t->gram = gram_of(t->x, calibration, n, S24_F64);
    t->matrix = matrix_of(rows, n, &t->gram);
    t->matrix.constraints = (s24i_constraints){.n = 2, .m = 4};
    for (int half = 0; half < 2; half++)
        t->h[half] = naive_gram(t->x, calibration, n, NULL, half);
    if (!target)
        return t;
    t->t = GRAB(float, calibration *rows);
    for (int64_t i = 0; i < calibration; i++)
        for (int64_t o = 0; o < rows; o++) {
            double y = 0;
            for (int64_t j = 0; j < n; j++)
                y += (double)t->x[i * n + j] * (t->w[o * n + j] + (j % 7 == o % 7));
            t->t[i * rows + o] = (float)(y + 3 * normal(&seed));
        }
    t->cross = cross_of(t->x, t->t, calibration, n, rows, S24_F64);
    t->matrix.cross = &t->cross;
    t->matrix.blend = 0.6;
    for (int half = 0; half < 2; half++)
        t->c[half] = naive_cross(t->x, t->t, calibration, n, rows, NULL, half);
    return t;
}

static void free_trial(trial *t)
{
    s24i_gram_fini(&device, &t->gram);
    if (t->matrix.cross)
        s24i_cross_fini(&device, &t->cross);
}

static int64_t sample_size(const trial *t)
{
    return t->rows < SAMPLE ? t->rows : SAMPLE;
}

/* The aim in unit-diagonal coordinates, and S. */
static void coordinates(const trial *t, int half, double damp, double *s, double *scale,
                        double *aim)
{
    int64_t n = t->n, rows = sample_size(t);
    const double *h = t->h[half];
    double blend = t->matrix.blend, *system = GRAB(double, n *n);
    for (int64_t i = 0; i < n; i++)
        scale[i] = sqrt(h[i * n + i] * (1 + damp));
    for (int64_t i = 0; i < n * n; i++)
        s[i] = i / n == i % n ? 1 : h[i] / (scale[i / n] * scale[i % n]);
    for (int64_t i = 0; i < rows * n; i++)
        aim[i] = t->w[i / n * t->rows / rows * n + i % n];
    if (t->matrix.cross) {
        double *w = GRAB(double, rows *n);
        memcpy(w, aim, (size_t)(rows * n) * sizeof *w);
        memcpy(system, h, (size_t)(n * n) * sizeof *h);
        for (int64_t i = 0; i < n; i++)
            system[i * n + i] *= 1 + damp;
        naive_cholesky(system, n);
        for (int64_t i = 0; i < rows * n; i++) {
            int64_t o = i / n * t->rows / rows, j = i % n;
            aim[i] = (1 - blend) * naive_dot(w + i / n * n, h + j * n, n) +
                     blend * t->c[half][o * n + j] + w[i] * damp * h[j * n + j];
        }
        naive_solve(system, n, aim, rows);
    }
    for (int64_t i = 0; i < rows * n; i++)
        aim[i] *= scale[i % n];
}

/* Of v over the calibration rows of `half`, from X and T themselves. */
static void score(const trial *t, int half, const double *v, double *loss, double *norm)
{
    int64_t n = t->n, rows = sample_size(t);
    double blend = t->matrix.blend, *row = GRAB(double, n);
    for (int64_t i = 0; i < t->calibration; i++) {
        if (i / 128 % 2 != half)
            continue;
        for (int64_t j = 0; j < n; j++)
            row[j] = t->x[i * n + j];
        for (int64_t r = 0; r < rows; r++) {
            int64_t o = r * t->rows / rows;
            double y = 0, got = naive_dot(row, v + r * n, n);
            for (int64_t j = 0; j < n; j++)
                y += row[j] * t->w[o * n + j];
            if (t->t)
                y = (1 - blend) * y + blend * t->t[i * t->rows + o];
            *loss += (got - y) * (got - y);
            *norm += y * y;
        }
    }
}

/* Fit on one half, score on the other, both ways: sweep and exact refit in fp64. */
static double heldout(const trial *t, double damp)
{
    int mark = naive_count;
    int64_t n = t->n, rows = sample_size(t);
    double *s = GRAB(double, n *n), *scale = GRAB(double, n), loss = 0, norm = 0;
    double *aim = GRAB(double, rows *n), *v = GRAB(double, rows *n);
    uint8_t *fixed = NULL;
    s24i_constraints constraints = t->matrix.constraints;
    if (constraints.mask) {
        fixed = GRAB(uint8_t, rows * n);
        for (int64_t i = 0; i < rows * n; i++)
            fixed[i] = constraints.mask[i / n * t->rows / rows * n + i % n];
        constraints.mask = fixed;
    }
    for (int half = 0; half < 2; half++) {
        published sweep = {.constraints = &constraints, .rows = rows, .cols = n};
        coordinates(t, half, damp, s, scale, aim);
        sweep.w = GRAB(double, rows *n);
        sweep.mask = GRAB(uint8_t, rows * n);
        memcpy(sweep.w, aim, (size_t)(rows * n) * sizeof *aim);
        published_sweep(&sweep, s);
        published_refit(s, aim, sweep.mask, rows, n, v);
        for (int64_t i = 0; i < rows * n; i++)
            v[i] /= scale[i % n];
        score(t, 1 - half, v, &loss, &norm);
    }
    drop_to(mark);
    return loss / norm;
}

/* Steps of the grid that have been chosen, and how often that was not the best of the whole
 * grid. */
typedef struct {
    int seen[GRID], missed;
} choices;

/* The library's choice must be where the walk from the middle ends, and next to as good as the best
 * of the grid. */
static void check_choice(const trial *t, choices *all)
{
    float *aim = GRAB(float, t->rows * t->n);
    memcpy(aim, t->w, (size_t)(t->rows * t->n) * sizeof *aim);
    s24i_prepared p = prepare(&t->matrix, S24I_DAMP_AUTO, 0, aim);
    double scores[GRID], best = INFINITY;
    int chosen = -1, wanted = -1;
    for (int g = 0; g < GRID; g++) {
        scores[g] = heldout(t, grid[g]);
        if (scores[g] < best)
            best = scores[wanted = g];
        if (p.damp == grid[g])
            chosen = g;
    }
    ck_assert_int_ge(chosen, 0);
    ck_assert_msg(scores[chosen] <= 1.02 * best, "chose %g (%g), the grid says %g (%g)",
                  grid[chosen], scores[chosen], grid[wanted], best);
    check_near(p.heldout, scores[chosen], 1e-3 * scores[chosen]);
    for (int g = chosen - 1; g <= chosen + 1; g += 2)
        ck_assert(g < 0 || g == GRID || scores[g] >= scores[chosen] * (1 - 1e-3));
    all->seen[chosen]++;
    all->missed += chosen != wanted;
}

START_TEST(walks_to_the_minimum_of_the_grid)
{
    static const int64_t sizes[] = {192, 300, 800, 3000};
    choices all = {0};
    int kinds = 0;
    for (int k = 0; k < 8; k++) {
        trial *t = new_trial((uint64_t)(k + 10 * _i), sizes[k / 2], k % 2 ? 45 : 20, 48, false);
        check_choice(t, &all);
        free_trial(t);
    }
    for (int g = 0; g < GRID; g++)
        kinds += all.seen[g] > 0;
    ck_assert_int_ge(kinds, 3); /* or else nothing was chosen at all */
    ck_assert_int_le(all.missed, 1);
}
END_TEST

START_TEST(also_with_a_target)
{
    choices all = {0};
    for (int k = 0; k < 4; k++) {
        trial *t = new_trial((uint64_t)(k + 100), k % 2 ? 1500 : 400, k / 2 ? 40 : 15, 40, true);
        check_choice(t, &all);
        free_trial(t);
    }
    ck_assert_int_le(all.missed, 1);
}
END_TEST

START_TEST(also_on_a_mask)
{
    choices all = {0};
    uint64_t seed = 5;
    for (int k = 0; k < 4; k++) {
        trial *t = new_trial((uint64_t)(k + 200), k % 2 ? 1500 : 300, k / 2 ? 50 : 15, 40, false);
        uint8_t *mask = GRAB(uint8_t, t->rows * t->n);
        for (int64_t i = 0; i < t->rows * t->n; i++)
            mask[i] = below(&seed, 2) != 0;
        t->matrix.constraints = (s24i_constraints){.mask = mask};
        check_choice(t, &all);
        free_trial(t);
    }
    ck_assert_int_le(all.missed, 1);
}
END_TEST

START_TEST(few_rows_fall_back)
{
    for (int64_t calibration = 191; calibration <= 192; calibration++) {
        trial *t = new_trial(3, calibration, 8, 16, false);
        float *aim = GRAB(float, 8 * 16);
        memcpy(aim, t->w, 8 * 16 * sizeof *aim);
        s24i_prepared p = prepare(&t->matrix, S24I_DAMP_AUTO, 7, aim);
        if (calibration == 191) { /* 63 in the second half */
            ck_assert_double_eq(p.damp, 0.01);
            ck_assert(isnan(p.heldout));
        } else {
            ck_assert(p.heldout > 0);
        }
        free_trial(t);
    }
}
END_TEST

/* The winner is divided, what is fallen back to is not. */
START_TEST(divides_the_winner)
{
    for (int64_t calibration = 191; calibration <= 400; calibration += 209) {
        double damp[2];
        for (int k = 0; k < 2; k++) {
            trial *t = new_trial(3, calibration, 8, 16, false);
            float *aim = GRAB(float, 8 * 16);
            memcpy(aim, t->w, 8 * 16 * sizeof *aim);
            preparation p = {
                .matrix = &t->matrix, .damping = {S24I_DAMP_AUTO, 0, k ? 4 : 0}, .w = aim};
            ck_assert_int_eq(in_arena(prepare_stage, &p), S24_OK);
            damp[k] = p.prepared.damp;
            free_trial(t);
        }
        ck_assert_double_eq(damp[1], calibration == 191 ? damp[0] : damp[0] / 4);
    }
}
END_TEST

typedef struct {
    int64_t calls, stop_at, last;
} stopper;

static int32_t stop(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    stopper *s = user;
    unit_check(!strcmp(phase, "damping") && total == GRID && isnan(objective));
    unit_check(step == (s->calls ? s->last + 1 : 0) && step < total);
    unit_check(step == 0 ? isnan(residual) : residual > 0);
    s->last = step;
    return ++s->calls == s->stop_at;
}

START_TEST(stops_between_trials)
{
    trial *t = new_trial(11, 400, 8, 16, false);
    float *aim = GRAB(float, 8 * 16);
    stopper s = {0};
    memcpy(aim, t->w, 8 * 16 * sizeof *aim);
    s24i_watch_init(&watch, stop, &s, NULL, 0);
    prepare(&t->matrix, S24I_DAMP_AUTO, 0, aim);
    int64_t calls = s.calls;
    ck_assert_int_ge(calls, 3); /* the start, and both neighbours of the middle */
    for (int64_t k = 1; k <= calls; k++) {
        preparation p = {.matrix = &t->matrix, .damping = {S24I_DAMP_AUTO, 0, 0}, .w = aim};
        memcpy(aim, t->w, 8 * 16 * sizeof *aim);
        s = (stopper){.stop_at = k};
        s24i_watch_init(&watch, stop, &s, NULL, 0);
        s24i_arena counted = {0}, arena = {0};
        s24i_run counting = {&device, &counted, &watch}, run = {&device, &arena, &watch};
        prepare_stage(&p, &counting);
        arena = (s24i_arena){.base = grab(counted.peak), .size = counted.peak};
        ck_assert_int_eq(prepare_stage(&p, &run), S24_E_CANCELLED);
    }
    free_trial(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damp");
    TCase *tcase = new_case(suite, "damp");
    tcase_add_loop_test(tcase, walks_to_the_minimum_of_the_grid, 0, 2);
    tcase_add_test(tcase, also_with_a_target);
    tcase_add_test(tcase, also_on_a_mask);
    tcase_add_test(tcase, few_rows_fall_back);
    tcase_add_test(tcase, divides_the_winner);
    tcase_add_test(tcase, stops_between_trials);
    return unit_run(suite);
}
