/* How long a compression will take on this machine: one block is walked with the first calibration
 * rows, and of each kind of matrix a few rows are solved twice, so that what a row costs is told
 * from what a matrix costs. Refinement and the rows that the model writes are told by their
 * operations. */
#include "compression.h"
#include "disk.h"
#include "generate.h"
#include "memory.h"
#include "program.h"
#include "refine.h"
#include "tune.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What solves on so many inputs under these constraints take: seconds and more a row. */
typedef struct cost {
    int64_t inputs;
    const char *constraints;
    double once, row;
} cost;

enum { COSTS = 64 };

/* The walk has no argument for us: it stands behind the settings. */
typedef struct estimate {
    settings settings; /* first: what the walk hands on */
    s24_compression *c;
    cost costs[COSTS];
    int count;
    double solving; /* seconds of all solves here */
} estimate;

static const cost *find(const estimate *e, int64_t inputs, const char *constraints)
{
    for (const cost *k = e->costs; k < e->costs + e->count; k++)
        if (k->inputs == inputs && !strcmp(k->constraints, constraints))
            return k;
    return NULL;
}

/* Its first rows, and the losses that a run measures too. */
static bool solve_rows(const estimate *e, const matrix *m, const char *constraints,
                       const sums *calib, int64_t rows, double *seconds)
{
    s24_mat w = m->w, v;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_result *result = NULL;
    const settings *s = &e->settings;
    int losses = (s->correct > 0 ? 3 : 1) * (e->c->sequences.count[1] ? 2 : 1);
    w.rows = rows;
    double began = s24_seconds(), loss;
    s24_status status = s24_problem_create(s->ctx, &w, &problem);
    status = status ? status : s24_problem_parse(problem, constraints);
    status = status ? status : s24_problem_set_gram(problem, calib->gram);
    s24_mat scores = w;
    scores.data = m->scores;
    if (!status && m->scores)
        status = s24_problem_set_importance(problem, &scores);
    bool done = s24m_good(status, "%s", m->tensor) && s24m_matrix_solver(&solver, s, problem);
    if (done)
        s24m_watch_solver(s->watch, solver, m->kind);
    done = done && s24m_good(s24_solve(solver, problem, &result), "%s", m->tensor);
    s24m_watch_solver(s->watch, NULL, NULL);
    double solved = s24_seconds();
    done = s24m_watch_go_on(s->watch) && done &&
           s24m_good(s24_result_matrix(result, "weights", &v), "%s", m->tensor) &&
           s24m_good(s24_problem_loss(problem, &v, &loss, NULL), "%s", m->tensor);
    *seconds = solved - began + losses * (s24_seconds() - solved);
    s24_result_destroy(result);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

/* The least of a few tries, as long as they are short: neighbours come and go. */
static bool time_rows(estimate *e, const matrix *m, const char *constraints, const sums *calib,
                      int64_t rows, double *seconds)
{
    enum { TRIES = 4 };
    const double enough = 0.3;
    double began = s24_seconds(), tried = 0;
    bool done = true;
    *seconds = INFINITY;
    for (int i = 0; done && i < TRIES && s24_seconds() - began < enough; i++) {
        done = solve_rows(e, m, constraints, calib, rows, &tried);
        *seconds = fmin(*seconds, tried);
    }
    e->solving += s24_seconds() - began;
    return done;
}

/* So few that it does not take long, and enough that no thread waits. */
static int64_t few_rows(const estimate *e, const char *constraints)
{
    enum { LEAST = 64, A_THREAD = 32, RANKED = 512 };
    int64_t few = A_THREAD * s24m_threads(e->settings.ctx);
    int64_t least = strstr(constraints, "rank") ? RANKED : LEAST;
    return few > least ? few : least;
}

/* Two numbers of rows tell what a row costs and what the rest does. */
static bool measure(estimate *e, const matrix *m, const char *constraints, const sums *calib)
{
    int64_t few = few_rows(e, constraints), many = 3 * few;
    cost k = {.inputs = m->w.cols, .constraints = constraints};
    double first = 0, second = 0;
    few = few < m->w.rows / 2 ? few : m->w.rows / 2 + 1;
    many = many < m->w.rows ? many : m->w.rows;
    if (e->count == COSTS)
        return s24m_wrong(S24_E_ARG, "more than %d constraints cannot be estimated", (int)COSTS);
    bool done = time_rows(e, m, constraints, calib, few, &first) &&
                time_rows(e, m, constraints, calib, many, &second);
    k.row = many > few ? fmax(0, (second - first) / (double)(many - few)) : 0;
    k.once = fmax(0, second - k.row * (double)many);
    e->costs[e->count++] = k;
    return done;
}

/* The constraints of a matrix of this kind in some layer, from `*layer` on; NULL: there are no
 * more. */
static const char *next_constraints(const estimate *e, const char *kind, int64_t *layer,
                                    int32_t *which)
{
    const s24m_model *model = e->c->model;
    for (; *layer < model->config.layers; ++*layer, *which = 0)
        while (*which < s24m_matrices(model, *layer)) {
            const char *constraints = s24m_job_constraints(e->c, *layer, (*which)++);
            if (constraints && !strcmp(s24m_kind(model, *layer, *which - 1), kind))
                return constraints;
        }
    return NULL;
}

/* In place of s24m_matrix_solve(): all constraints that such a matrix has in any block. */
static bool solve(matrix *m, const settings *s, const sums *calib, const sums *heldout)
{
    estimate *e = (estimate *)(uintptr_t)s;
    const char *constraints;
    int64_t layer = 0;
    int32_t which = 0;
    bool done = true;
    (void)heldout;
    while (done && (constraints = next_constraints(e, m->kind, &layer, &which)))
        if (!find(e, m->w.cols, constraints))
            done = measure(e, m, constraints, calib);
    return done;
}

/* ---- One block of a kind ---- */

/* As in a run, but what is left alone in this block only is taken too. */
static void open_matrices(const estimate *e, const s24m_block *block, matrix *m)
{
    for (int32_t which = 0; which < block->program->count; which++) {
        int64_t layer = 0;
        int32_t at = 0;
        const char *kind = s24m_kind(e->c->model, block->layer, which);
        m[which] = (matrix){.tensor = block->linear[which].name,
                            .kind = kind,
                            .tokens = -1,
                            .w = block->linear[which].weights};
        m[which].constraints = next_constraints(e, kind, &layer, &at);
    }
}

/* Its passes over the first rows; seconds of those for all rows of a run. */
static bool time_passes(estimate *e, s24m_block *block, matrix *m, double *seconds)
{
    s24_compression *c = e->c;
    const sequences *t = &c->sequences;
    int64_t chunk = s24m_chunk(t->length), all = t->count[0] + t->count[1];
    int64_t few[2] = {chunk < t->count[0] ? chunk : t->count[0], 0};
    walk w = {0};
    e->solving = 0;
    bool done = s24m_walk_open(&w, &e->settings, c->model, t->ids, few, t->length, NULL);
    double began = s24_seconds();
    w.blocks = 1;
    w.solve = solve;
    done = done && s24m_walk_block(&w, block, m, NULL);
    double each = (s24_seconds() - began - e->solving) / (double)few[0];
    *seconds = each * (double)all;
    c->rate = fmax(c->rate, w.flops / (double)few[0] / fmax(each, 1e-9));
    s24m_walk_close(&w);
    s24m_watch_span(&c->watch, 0, 0);
    return done;
}

/* The same with what it takes to read the block. */
static bool time_block(estimate *e, int64_t layer, double *seconds)
{
    s24m_block block;
    matrix *m = s24m_have(calloc((size_t)s24m_matrices(e->c->model, layer), sizeof *m));
    double began = s24_seconds(), passes = 0;
    if (!m || !s24m_done(s24m_block_load(e->c->model, layer, &block))) {
        free(m);
        return false;
    }
    double loading = s24_seconds() - began;
    open_matrices(e, &block, m);
    bool done = s24m_job_read_scores(e->c, &block, m) && time_passes(e, &block, m, &passes);
    for (int32_t i = 0; i < block.program->count; i++)
        free(m[i].scores);
    *seconds = loading + passes;
    s24m_block_free(&block);
    free(m);
    return done;
}

/* The first block of each kind stands for all of its kind. */
static bool time_blocks(estimate *e)
{
    s24_compression *c = e->c;
    const s24m_model *model = c->model;
    bool done = true;
    c->forecast.passes = 0;
    for (int32_t k = 0; done && k < model->program_count; k++) {
        int64_t first = -1, count = 0;
        double seconds = 0;
        for (int64_t i = model->config.layers - 1; i >= 0; i--)
            if (s24m_program_of(model, i) == model->programs + k) {
                first = i;
                count++;
            }
        done = first < 0 || time_block(e, first, &seconds);
        c->forecast.passes += (double)count * seconds;
    }
    return done;
}

/* ---- Records of what will be done ---- */

static bool describe(const estimate *e, int64_t index, int32_t which, const char *constraints,
                     record *r)
{
    const s24_compression *c = e->c;
    char name[S24M_NAME], text[160];
    int64_t outputs, inputs;
    s24_problem *problem = NULL;
    s24_mat w;
    s24m_name(c->model, index, which, name);
    s24m_shape(c->model, index, which, &outputs, &inputs);
    const cost *k = find(e, inputs, constraints);
    s24m_record_open(r);
    r->number[RECORD_LAYER] = (double)index;
    r->number[RECORD_SIZE] = (double)(outputs * inputs);
    r->number[RECORD_SECONDS] = k ? k->once + k->row * (double)outputs : 0;
    s24_mat_rowmajor(&w, (void *)(uintptr_t)c, outputs, inputs, S24_F32); /* no values needed */
    bool done =
        s24m_good(s24_problem_create(c->model->ctx, &w, &problem), "%s", name) &&
        s24m_good(s24_problem_parse(problem, constraints), "%s", name) &&
        s24m_record_set(r, RECORD_TENSOR, name) &&
        s24m_record_set(r, RECORD_MATRIX, s24m_kind(c->model, index, which)) &&
        s24m_record_set(r, RECORD_STORED,
                        s24m_matrix_type(s24m_job_stored(c, name, constraints))) &&
        s24m_record_set(r, RECORD_CONSTRAINTS, s24_problem_constraints(problem)) &&
        s24m_record_set(r, RECORD_SOLVER,
                        c->settings.solver ? c->settings.solver : s24_problem_solver(problem));
    s24_problem_destroy(problem);
    if (done && s24m_job_source(c, name))
        done = s24m_record_set(r, RECORD_SOURCE, s24m_job_source(c, name));
    if (done && s24m_matrix_few_rows(-1, c->settings.rows, inputs, text, sizeof text)) {
        s24m_watch_log(&c->watch, 1, "%s: %s", name, text);
        done = s24m_record_set(r, RECORD_WARNING, text);
    }
    return done;
}

static bool describe_all(estimate *e)
{
    s24_compression *c = e->c;
    bool done =
        (c->records = s24m_have(calloc((size_t)c->model->matrix_count + 1, sizeof *c->records)));
    c->forecast.solves = 0;
    for (int64_t i = 0; done && i < c->model->config.layers; i++)
        for (int32_t which = 0; done && which < s24m_matrices(c->model, i); which++) {
            const char *constraints = s24m_job_constraints(c, i, which);
            if (!constraints)
                continue;
            done = describe(e, i, which, constraints, c->records + c->count++);
            c->forecast.solves += c->records[c->count - 1].number[RECORD_SECONDS];
        }
    return done;
}

/* ---- All of it ---- */

/* Rows that the model has not written yet: any ids of its own take as long. */
static void fill_own_rows(s24_compression *c)
{
    int64_t length = c->sequences.length, own = c->settings.self.rows * length;
    int32_t *ids = c->ids + c->sequences.count[0] * length - own;
    for (int64_t i = 0; i < own; i++)
        ids[i] = (int32_t)(i * 7919 % c->model->config.vocab);
}

static double refinement_flops(const s24_compression *c)
{
    double sum = 0;
    for (int64_t i = 0; c->settings.refine && i < c->model->config.layers; i++)
        sum += s24m_refine_flops(&c->settings, c->model, i, c->sequences.count[0],
                                 c->sequences.length);
    return sum;
}

static double tuning_flops(const s24_compression *c)
{
    int64_t rows = c->sequences.count[0] + s24m_job_further(c).continued;
    return !c->settings.tune
               ? 0
               : s24m_tune_flops(c->model, c->settings.tune_epochs, rows, c->sequences.length);
}

static double evaluation_flops(const s24_compression *c)
{
    double sum = 0;
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++)
        sum += 2 * (s24m_flops_blocks(c->model, e->tokens.rows, e->tokens.length) +
                    s24m_flops_head(c->model, e->tokens.rows, e->tokens.length));
    return sum; /* before and after */
}

static bool work(s24_compression *c)
{
    estimate e = {.settings = c->settings, .c = c};
    forecast *f = &c->forecast;
    e.settings.keep = KEEP_RAM;
    e.settings.self.rows = 0; /* they weigh as others here */
    e.settings.refine = false;
    c->rate = 0;
    fill_own_rows(c);
    bool done = time_blocks(&e) && describe_all(&e);
    double each = c->rate > 0 ? 1 / c->rate : 0;
    f->evaluations = evaluation_flops(c) * each;
    f->refinement = (refinement_flops(c) + tuning_flops(c)) * each;
    int64_t written = c->settings.self.rows + s24m_job_further(c).continued;
    f->own_rows = s24m_generate_flops(c->model, written, c->sequences.length) * each;
    return done;
}

static bool check(s24_compression *c)
{
    return s24m_job_check_alone(c, "--plan") && s24m_job_settle(c) &&
           s24m_job_needs(c, &c->needs) && s24m_job_check_memory(c, &c->needs) &&
           (!c->out || s24m_job_check_disk(c, &c->needs)) &&
           s24m_plan_check_used(&c->settings.plan);
}

s24_status s24_compression_estimate(s24_compression *c, const char *out)
{
    s24_status status = s24m_compression_enter(c, __func__);
    if (status)
        return status;
    s24m_job_forget(c);
    c->out = out;
    bool done = (!out || s24m_job_check_out(out, c->resume, &c->complete)) && check(c) && work(c);
    c->disk_free = out ? s24m_disk_free(out) : UINT64_MAX;
    if (!done)
        s24m_job_forget(c);
    s24m_watch_begin(&c->watch);
    c->out = NULL;
    free(c->ids);
    c->ids = NULL;
    s24m_leave(c->handle);
    return s24m_status(done);
}
