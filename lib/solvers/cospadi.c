#include "damping.h"
#include "gridding.h"
#include <math.h>

/*
 * CoSpaDi (Shopkhoev et al. 2025): a dictionary, and rows of few nonzeros over it. From the product
 * of low rank that comes nearest, in turn: the best atoms, exact codes on their supports, and new
 * supports by ADMM, kept row by row where they lose less. The published method is K-SVD.
 */

struct values {
    s24i_word damp_rule;
    double damp;
    double spread;
    int64_t rounds;
    double time_limit;
};

enum { INNER = 3, STEPS = 4, PENALTIES = 3 };
#define START_TOL 1e-3
enum { START_MOST = 30 };

typedef struct {
    s24i_job *job;
    const struct values *o;
    s24i_prepared prepared;
    s24i_target target, rows; /* of W, and of the codes */
    s24i_constraints limits;  /* of a row of codes */
    s24i_dictionary a;
    s24i_admm admm;
    float *first; /* codes before new supports, and theirs */
    uint8_t *first_kept;
    double *row_loss;
} run;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* In 16-bit numbers, with a bit a code for its place. */
static double words(const s24i_matrix *matrix, const s24i_factoring *f)
{
    double rows = (double)matrix->rows, atoms = (double)f->atoms;
    return atoms * (double)matrix->cols + rows * ((double)f->nonzeros + atoms / 16);
}

static void set_nonzeros(double spread, s24i_factoring *f)
{
    f->nonzeros = f->n ? f->atoms / f->m * f->n : (int64_t)((double)f->atoms / spread);
    f->nonzeros = f->nonzeros < 1 ? 1 : f->nonzeros;
}

/* How many atoms, and how many of them a row uses: what the bytes that are left hold. */
static void choose_sizes(const s24i_matrix *matrix, double spread, s24i_factoring *f)
{
    double rows = (double)matrix->rows, cols = (double)matrix->cols;
    double left = (1 - f->saved) * rows * cols;
    double used = f->n ? (double)f->n / f->m : 1 / spread;
    int64_t unit = f->n ? f->m : 1, side = least(matrix->rows, matrix->cols);
    if (f->atoms)
        return;
    f->atoms = (int64_t)(left / (cols + rows * (used + 1. / 16)));
    f->atoms = least(f->atoms, side) / unit * unit;
    f->atoms = f->atoms < unit ? unit : f->atoms;
    set_nonzeros(spread, f);
    while (f->atoms > unit && words(matrix, f) > left) {
        f->atoms -= unit;
        set_nonzeros(spread, f);
    }
    double room = left - words(matrix, f);
    if (!f->n && f->atoms == side && room > 0) /* no more atoms are of use */
        f->nonzeros = least(f->atoms, f->nonzeros + (int64_t)(room / rows));
}

static s24_status take(run *r, const s24i_factoring *f)
{
    const s24i_run *in = r->job->run;
    int64_t rows = r->job->matrix.rows;
    size_t size = (size_t)(rows * f->atoms);
    r->limits = (s24i_constraints){.n = f->n, .m = f->m};
    if (!f->n) {
        r->limits.scope = S24I_SCOPE_ROW;
        r->limits.sparsity = (double)(f->atoms - f->nonzeros) / (double)f->atoms;
    }
    r->a = (s24i_dictionary){.target = &r->target, .atoms = f->atoms};
    s24_status status = s24i_dictionary_take(in, &r->a);
    r->rows = (s24i_target){&r->a.metric, &r->limits, r->a.aim, rows};
    r->admm = (s24i_admm){.run = in, .target = r->rows, .mask = r->a.kept};
    if (!status)
        status = s24i_admm_take(in, &r->admm);
    r->first = s24i_arena_take(in->arena, size, sizeof(float));
    r->first_kept = s24i_arena_take(in->arena, size, 1);
    r->row_loss = s24i_arena_take(in->arena, (size_t)rows, sizeof(double));
    return status;
}

/* The best dense product, and the largest of its codes: exact where atoms are orthogonal. */
static s24_status start(run *r)
{
    s24i_job *job = r->job;
    const s24i_run *in = job->run;
    double total = 0;
    s24_status status = s24i_fill(in, 0, (size_t)s24i_job_size(job) * sizeof(float), job->v);
    if (!status)
        status = s24i_row_losses(in, &r->target, job->v, r->row_loss, &total);
    if (!status)
        status = s24i_lowrank_start(in, &r->a.low, job->w);
    if (!status)
        status = s24i_lowrank_fit(in, &r->a.low, job->w, total, START_TOL, START_MOST);
    if (!status)
        status = s24i_dictionary_start(in, &r->a);
    if (!status)
        status = s24i_dictionary_metric(in, &r->a);
    if (!status)
        status =
            s24i_project(in, &r->limits, r->a.codes, NULL, job->matrix.rows, r->a.atoms, r->a.kept);
    return status ? status
                  : s24i_apply_mask(in, r->a.codes, r->a.kept, job->matrix.rows, r->a.atoms,
                                    r->a.codes);
}

static s24_status fit_codes(run *r)
{
    s24i_cg_limits limits = {60, 1e-5, 0};
    int32_t iterations;
    double residual;
    return s24i_refit(r->job->run, &r->rows, r->a.kept, S24I_REFIT_AUTO, limits, r->a.codes,
                      &iterations, &residual);
}

static s24_status fit_both(run *r)
{
    s24_status status = S24_OK;
    for (int i = 0; i < INNER && !status; i++) {
        status = s24i_dictionary_atoms(r->job->run, &r->a);
        if (!status)
            status = s24i_dictionary_metric(r->job->run, &r->a);
        if (!status)
            status = fit_codes(r);
    }
    return status;
}

static s24_status new_supports(run *r)
{
    const s24i_run *in = r->job->run;
    int64_t rows = r->job->matrix.rows;
    size_t size = (size_t)(rows * r->a.atoms);
    s24_status status = s24i_copy(in, r->a.codes, size * sizeof(float), r->first);
    if (!status)
        status = s24i_copy(in, r->a.kept, size, r->first_kept);
    if (!status)
        status = s24i_admm_start(in, &r->admm, r->a.codes);
    for (int i = 0; i < PENALTIES && !status; i++) {
        status = s24i_admm_penalty(in, &r->admm, 0.1 * (1 << i));
        if (!status)
            status = s24i_admm_iterate(in, &r->admm, STEPS);
    }
    if (!status)
        status = s24i_apply_mask(in, r->admm.z, r->a.kept, rows, r->a.atoms, r->a.codes);
    if (!status)
        status = fit_codes(r);
    return status ? status
                  : s24i_keep_better(in, &r->rows, r->first, r->first_kept, r->a.codes, r->a.kept);
}

static s24_status rounds(run *r)
{
    s24i_watch *watch = r->job->run->watch;
    s24_status status = fit_both(r);
    for (int64_t t = 0; t < r->o->rounds && !status; t++) {
        status = new_supports(r);
        if (!status)
            status = fit_both(r);
        r->job->iterations = t + 1;
        s24i_watch_phase(watch, "round", 1); /* the steps have phases of their own */
        if (s24i_watch_step(watch, 1, NAN, NAN))
            break;
    }
    return status;
}

static s24_status solve(s24i_job *job, const void *values)
{
    const struct values *o = values;
    run r = {.job = job, .o = o};
    s24i_factoring f = job->matrix.constraints.dictionary;
    s24i_damping damping = s24i_grid_damping(job, o->damp_rule, o->damp);
    choose_sizes(&job->matrix, o->spread, &f);
    s24_mat codes = *s24i_job_part(job, "coefficients", job->matrix.rows, f.atoms, S24_F32);
    s24_mat atoms = *s24i_job_part(job, "dictionary", f.atoms, job->matrix.cols, S24_F32);
    r.target = s24i_job_target(job, &r.prepared);
    s24_status status = s24i_prepare(job->run, &job->matrix, damping, job->w, &r.prepared);
    if (!status)
        status = take(&r, &f);
    if (!status)
        status = start(&r);
    if (!status)
        status = rounds(&r);
    if (!status)
        status = s24i_keep_given(job);
    if (!status)
        status = s24i_dictionary_store(job->run, &r.a, &codes, &atoms, job->v);
    s24i_report_damping(job, s24i_damp_word(damping), &r.prepared);
    return status;
}

static const s24i_option options[] = {
    S24I_GRID_DAMPING_OPTIONS(struct values),
    S24I_OPTION_FLOAT(struct values, spread, 1, 64, "3",
                      "atoms for each that a row uses, where the constraint is a share of bytes "
                      "and no n:m"),
    S24I_OPTION_INT(struct values, rounds, 1, 1000, "20",
                    "rounds of new supports, each followed by fits of atoms and codes"),
    S24I_OPTION_FLOAT(struct values, time_limit, 0, 1e9, "0",
                      "stop after this many seconds and return what there is; 0: no limit"),
    {0},
};

const s24i_solver_class s24i_solver_cospadi = {
    .name = "cospadi",
    .title = "a dictionary and sparse codes over it, fitted in turn",
    .constraints = "dictionary",
    .paper = "Shopkhoev, Makhov, Zhussip, Ali, Lefkimmiatis 2025, arXiv 2509.22075",
    .cost = "rounds (24 rows atoms^2 + 6 atoms cols (cols + rows)) flops",
    .honours = S24I_HAS_DICTIONARY,
    .needs = S24I_HAS_DICTIONARY,
    .options = options,
    .values_size = sizeof(struct values),
    .solve = solve,
};
