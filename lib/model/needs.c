/* What a compression will take. */
#include "compression.h"
#include "disk.h"
#include "extents.h"
#include "hidden.h"
#include "memory.h"
#include "own_rows.h"
#include "parts.h"
#include "program.h"
#include "refine.h"
#include "tune.h"
#include "store.h"
#include "tables.h"
#include "terms.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a stage of a block takes in the library. */
typedef struct stage_needs {
    int64_t inputs, outputs; /* of its compressed matrices; all of theirs */
    int64_t widest;          /* most outputs of one */
    uint64_t sums;           /* grams, and a cross of each */
    uint64_t solve, parts;   /* parts: of results that wait for the block's end */
} stage_needs;

/* docs/memory.md; a second gram and cross for the rows held out. */
static uint64_t gram_bytes(int64_t n)
{
    return (uint64_t)(8 * n * n + 16384 * n);
}

static uint64_t cross_bytes(int64_t outputs, int64_t inputs)
{
    return (uint64_t)(16 * outputs * inputs + 16384 * outputs);
}

static bool open_solver(const s24_compression *c, const char *name, s24_solver **solver)
{
    const settings *s = &c->settings;
    return s24m_good(s24_solver_create(s->ctx, name, solver), "--solver %s", name) &&
           s24m_good(s24_solver_parse(*solver, s->options), "--solver %s", name);
}

/* What is named can be made, whatever it is for. */
static bool check_solver(const s24_compression *c)
{
    s24_solver *solver = NULL;
    bool done = !c->settings.solver || open_solver(c, c->settings.solver, &solver);
    s24_solver_destroy(solver);
    return done;
}

/* Of inner channels the matrix before will be known (walk_rank.c); only its shape counts here. */
static s24_status lend_previous(const s24_compression *c, s24_problem *problem, const s24_mat *w)
{
    s24_mat previous = *w;
    if (s24m_terms(s24_problem_constraints(problem)).unit != UNIT_COLUMN)
        return S24_OK;
    previous.rows = w->cols;
    previous.row_stride = previous.cols = c->model->config.hidden;
    return s24_problem_set_previous(problem, &previous, NULL, NULL);
}

/* Constraints that a shape allows and the solver honours, and the bytes of a solve. */
static bool ask(const s24_compression *c, const char *name, const s24_mat *w,
                const char *constraints, uint64_t *bytes)
{
    s24_ctx *ctx = c->settings.ctx;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    bool done =
        s24m_good(s24_problem_create(ctx, w, &problem), "%s", name) &&
        s24m_good(s24_problem_parse(problem, constraints), "%s", name) &&
        (!c->settings.scores.file ||
         (s24m_job_check_scores(c, name, w->rows, w->cols) &&
          s24m_good(s24_problem_set_importance(problem, w), "%s", name))) &&
        s24m_good(lend_previous(c, problem, w), "%s", name) &&
        open_solver(c, c->settings.solver ? c->settings.solver : s24_problem_solver(problem),
                    &solver) &&
        s24m_form_check(c->settings.form, name, s24_problem_constraints(problem), w->rows,
                        w->cols) &&
        s24m_matrix_prepare(&c->settings, s24_problem_constraints(problem), solver) &&
        s24m_good(s24_solver_memory(solver, problem, bytes), "%s", name);
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

static uint64_t stored_bytes(const s24_compression *c, const char *name)
{
    const void *data;
    size_t size = 0;
    return s24_file_bytes(c->model->file, name, &data, &size) == S24_OK ? size : 0;
}

/* Of a matrix, which may be a slice of a tensor. */
static uint64_t stored_share(const s24_compression *c, int64_t index, int32_t which)
{
    int64_t slices = s24m_program_of(c->model, index)->matrices[which].slices;
    char name[S24M_NAME];
    s24m_tensor_name(c->model, index, which, false, name);
    return stored_bytes(c, name) / (uint64_t)(slices ? slices : 1);
}

/* In the form that is asked for, with what lies beside it. */
static uint64_t written_bytes(const s24_compression *c, const char *name, const char *constraints,
                              int64_t rows, int64_t cols)
{
    const form *f = c->settings.form;
    terms t = s24m_terms(constraints);
    uint64_t size = (uint64_t)(rows * cols), packed = s24m_form_bytes(f, &t, rows, cols);
    if (packed)
        return packed;
    return size * (uint64_t)(s24m_job_stored(c, name, constraints) & 0xff) / 8 +
           (f->beside == BESIDE_PARTS && s24m_plan_has_parts(constraints) ? size : 0) +
           (f->beside == BESIDE_FACTORS ? (uint64_t)(4 * t.rank * (rows + cols)) : 0);
}

/* In the file of its block: the values and all parts, whatever the form. */
static uint64_t block_bytes(const s24_compression *c, const char *name, const char *constraints,
                            int64_t rows, int64_t cols)
{
    uint64_t size = (uint64_t)(rows * cols);
    return size * (uint64_t)(s24m_job_stored(c, name, constraints) & 0xff) / 8 +
           (s24m_plan_has_parts(constraints) ? size : 0);
}

/* Some forms describe one grid for all matrices. */
static bool check_grid(const s24_compression *c, const char *name, const char *constraints,
                       needs *n)
{
    terms t = s24m_terms(constraints);
    if (!*n->first) {
        n->grid = t;
        memcpy(n->first, name, strlen(name) + 1);
    }
    return !c->settings.form->one_grid || s24m_terms_same_grid(&t, &n->grid) ||
           s24m_wrong(S24_E_UNSUPPORTED,
                      "%s: %s describes one grid for all matrices, and %s has another: take "
                      "--format pack-quantized",
                      name, c->settings.form->option, n->first);
}

/* A tensor of codes has no place for a slice that stays as it is. */
static bool check_slices(s24_compression *c, int64_t index, int32_t which)
{
    const s24m_program *p = s24m_program_of(c->model, index);
    const s24m_matrix *m = p->matrices + which;
    char name[S24M_NAME];
    for (int32_t i = 0; m->slices && c->settings.form->type && i < p->count; i++)
        if (p->matrices[i].role == m->role && !s24m_job_constraints(c, index, i)) {
            s24m_name(c->model, index, i, name);
            return s24m_wrong(
                S24_E_UNSUPPORTED,
                "%s: %s holds all matrices of a tensor or none: skip none of them, or "
                "all",
                name, c->settings.form->option);
        }
    return true;
}

/* The operations of a solve: about forty products, before anything is measured. */
static bool check_matrix(s24_compression *c, int64_t index, int32_t which, stage_needs *to,
                         bool routed, needs *n)
{
    const char *constraints = s24m_job_constraints(c, index, which);
    int64_t outputs, inputs;
    uint64_t bytes;
    char name[S24M_NAME];
    s24_mat w;
    if (!constraints)
        return true;
    s24m_name(c->model, index, which, name);
    s24m_shape(c->model, index, which, &outputs, &inputs);
    s24_mat_rowmajor(&w, c, outputs, inputs, S24_F32); /* its values are not looked at */
    if (!ask(c, name, &w, constraints, &bytes))
        return false;
    int times = c->sequences.count[1] ? 2 : 1;
    to->sums = to->sums ? to->sums : (uint64_t)times * gram_bytes(inputs);
    if (c->settings.correct > 0 && !routed)
        to->sums += (uint64_t)times * cross_bytes(outputs, inputs);
    to->inputs = inputs;
    to->outputs += outputs;
    to->widest = s24m_most(to->widest, outputs);
    to->solve =
        s24m_most_bytes(to->solve, s24m_most_bytes(bytes, s24m_memory_adding(c->settings.ctx)));
    to->parts += s24m_plan_keeps_result(constraints) ? (uint64_t)(10 * outputs * inputs) : 0;
    n->flops += 40.0 * (double)outputs * (double)inputs * (double)inputs;
    uint64_t made = written_bytes(c, name, constraints, outputs, inputs);
    n->disk += block_bytes(c, name, constraints, outputs, inputs);
    n->written += made - stored_share(c, index, which);
    n->ranks += s24m_terms(constraints).rank > 0;
    return check_grid(c, name, constraints, n) && check_slices(c, index, which) &&
           s24m_form_check_whole(c->settings.form, c->model, index, which);
}

/* Tensors that stay as they are, those of blocks that are skipped among them. */
static bool check_rest(s24_compression *c)
{
    int64_t layer;
    int32_t which;
    for (int64_t i = 0; i < s24_file_count(c->model->file); i++) {
        const char *name = s24_file_name(c->model->file, i), *type;
        if (s24m_find_matrix(c->model, name, &layer, &which) &&
            s24m_job_constraints(c, layer, which))
            continue;
        if (!s24m_good(s24_file_info(c->model->file, name, NULL, NULL, &type), "%s", name) ||
            !s24m_form_check_type(c->settings.form, name, type))
            return false;
    }
    return true;
}

/* Sums of the inputs, and one cross that is derived from them, with the room of that. */
static uint64_t shared_sums(const s24_compression *c, const stage_needs *n)
{
    enum { BLOCK = 1024 }; /* lib/ops/linear/derive.c: of a thread, an input */
    uint64_t once = 2 * gram_bytes(n->inputs) + cross_bytes(n->inputs, n->inputs) +
                    (uint64_t)(16 * n->widest * (n->inputs + 1));
    return (c->sequences.count[1] ? 2 : 1) * once +
           (uint64_t)(s24m_threads(c->settings.ctx) * BLOCK * (n->inputs + 256));
}

/* Of several ranks: both halves of a gram on the way, and one of the crosses. */
static uint64_t joining_bytes(const s24_compression *c, const stage_needs *n)
{
    enum { STRIPS = 4 * (4 << 22) }; /* walk_ranks.c */
    uint64_t gram = (uint64_t)(6 * n->inputs * n->inputs);
    return s24m_together(c->settings.ranks)
               ? gram + (uint64_t)(8 * (n->outputs + n->inputs) * n->inputs) + STRIPS
               : 0;
}

/* Sums of a routed stage stand side by side, as many as s24m_walk_abreast() says. */
static uint64_t sums_of(const s24_compression *c, const s24m_program *p, const s24m_stage *s,
                        const stage_needs *n)
{
    bool shares = c->settings.correct > 0 &&
                  s24m_walk_shares(s, n->outputs, c->sequences.count[0] * c->sequences.length);
    return shares      ? shared_sums(c, n)
           : s->routed ? n->sums * (uint64_t)(s24m_walk_abreast(p, s) + 1)
                       : n->sums;
}

static bool check_block(s24_compression *c, int64_t index, needs *n)
{
    const s24m_program *p = s24m_program_of(c->model, index);
    stage_needs stages[S24M_STAGES] = {{0}};
    uint64_t parts = 0;
    bool done = true;
    for (int32_t which = 0; done && which < p->count; which++) {
        int32_t i = s24m_stage_of(p, which);
        done = check_matrix(c, index, which, stages + i, p->stages[i].routed, n);
    }
    for (int i = 0; done && i < S24M_STAGES && p->stages[i].count; i++) {
        parts += stages[i].parts;
        uint64_t work = s24m_most_bytes(stages[i].solve, joining_bytes(c, stages + i));
        n->library =
            s24m_most_bytes(n->library, sums_of(c, p, p->stages + i, stages + i) + work + parts);
    }
    return done;
}

/* Every matrix can be solved; n->library is the library's need at the worst place. */
static bool check_matrices(s24_compression *c, needs *n)
{
    bool done = check_solver(c);
    for (int64_t index = 0; done && index < c->model->config.layers; index++)
        done = check_block(c, index, n);
    return done && (n->library || s24m_wrong(S24_E_OPTION, "--skip leaves no matrix to compress: "
                                                           "skip fewer"));
}

/* Outside the library: blocks as they were and as they become, streams, one matrix in its stored
 * type. */
static uint64_t walk_needs(const s24_compression *c)
{
    uint64_t block = s24m_memory_block(c->model), table = s24m_memory_table(c->model);
    uint64_t most = block + s24m_memory_matrix(c->model) * sizeof(double) +
                    s24m_memory_attention(c->model, c->sequences.length);
    block += s24m_most_bytes(most, s24m_memory_block_source(c->model)) +
             (c->settings.scores.file ? block : 0);
    return s24m_walk_bytes(c->model, &c->settings, c->sequences.count, c->sequences.length) +
           s24m_most_bytes(block, table);
}

/* The least that an evaluation can do with. */
static uint64_t evaluation_needs(const s24_compression *c)
{
    uint64_t most = 0, kept = 0; /* kept: hidden states of a dense encoder */
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++) {
        int64_t chunk = s24m_chunk(e->tokens.length), rows = e->tokens.rows;
        bool all = s24m_is_encoder(c->model) || rows < chunk;
        most = s24m_most_bytes(most, s24m_evaluate_bytes(c->model, &e->tokens, all ? rows : chunk));
        kept += s24m_is_encoder(c->model) ? s24m_hidden_bytes(c->model, &e->tokens) : 0;
    }
    return most + kept;
}

/* Rows of the calibration, and those that go on from the user's. */
static int64_t tuning_rows(const s24_compression *c)
{
    return c->sequences.count[0] + s24m_job_further(c).continued;
}

static uint64_t tuning_needs(const s24_compression *c)
{
    bool parts = s24m_plan_asks_parts(&c->settings.plan);
    return s24m_tune_bytes(c->model, parts, c->settings.keep, tuning_rows(c), c->sequences.length);
}

static double pass_flops(const s24_compression *c, int64_t rows, int64_t length, bool head)
{
    return s24m_flops_blocks(c->model, rows, length) +
           (head ? s24m_flops_head(c->model, rows, length) : 0);
}

static void predict_flops(const s24_compression *c, needs *n)
{
    int64_t rows = c->sequences.count[0] + c->sequences.count[1];
    n->flops += pass_flops(c, rows, c->sequences.length, false) * (c->settings.correct > 0 ? 2 : 1);
    for (int64_t i = 0; c->settings.refine && i < c->model->config.layers; i++)
        n->flops += s24m_refine_flops(&c->settings, c->model, i, c->sequences.count[0],
                                      c->sequences.length);
    if (c->settings.tune)
        n->flops +=
            s24m_tune_flops(c->model, c->settings.tune_epochs, tuning_rows(c), c->sequences.length);
    n->flops += s24m_generate_flops(c->model, c->settings.self.rows + s24m_job_further(c).continued,
                                    c->sequences.length);
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++)
        n->flops += 2 * pass_flops(c, e->tokens.rows, e->tokens.length, !s24m_is_encoder(c->model));
}

enum { RATE = 12 << 20 }; /* what s24m_product_rate() multiplies */

/* The library's scratch of a forward pass. */
static uint64_t product_needs(const s24_compression *c)
{
    return s24m_most_bytes(16 << 20, s24m_memory_product(c->model));
}

/* Blocks wait on disk for the model, and with --activations disk activations for their block. */
static void predict_disk(const s24_compression *c, needs *n)
{
    const sequences *t = &c->sequences;
    n->disk += n->written;
    if (c->settings.tune)
        n->disk += s24m_tune_disk(c->model);
    if (c->settings.keep == KEEP_DISK)
        n->disk += s24m_walk_store_bytes(c->model, &c->settings, t->count, t->length);
}

/* Images as they were given, and once more those of the walk. */
static uint64_t pixel_bytes(const s24_compression *c)
{
    int64_t rows = c->calibration.rows + c->sequences.count[0] + c->sequences.count[1];
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++)
        rows += e->tokens.rows;
    return (uint64_t)(rows * c->calibration.pixels) * sizeof(float);
}

bool s24m_job_needs(s24_compression *c, needs *n)
{
    *n = (needs){0};
    if (!s24m_form_check_names(c->settings.form, c->model, !c->settings.plan.count))
        return false;
    for (int64_t i = 0; i < s24_file_count(c->model->file); i++) {
        const char *name = s24_file_name(c->model->file, i);
        n->written += s24m_tables_have(c->settings.form, c->model, name)
                          ? s24m_tables_bytes(c->model, name)
                          : stored_bytes(c, name);
    }
    if (!check_rest(c) || !check_matrices(c, n))
        return false;
    if (c->settings.form->beside == BESIDE_FACTORS && !n->ranks)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "--format adapter: no matrix has a rank: ask for \"2:4+rank 16\"");
    predict_flops(c, n);
    predict_disk(c, n);
    n->base = s24m_memory_base(c->settings.ctx) + pixel_bytes(c);
    n->own = n->base + walk_needs(c);
    n->measuring =
        n->base + product_needs(c) + s24m_most_bytes(c->evaluated ? evaluation_needs(c) : 0, RATE);
    if (c->settings.self.rows)
        n->writing = n->base + product_needs(c) +
                     s24m_own_rows_bytes(&c->settings.self, c->model, c->sequences.length,
                                         c->memory_limit > 0);
    n->library = s24m_most_bytes(n->library, product_needs(c));
    if (c->settings.tune)
        n->tuning = n->base + product_needs(c) + tuning_needs(c);
    uint64_t tables = 0;
    if (c->settings.form->tables && !s24m_tables_memory(c->model, &tables))
        return false;
    n->memory = s24m_most_bytes(s24m_most_bytes(n->own + n->library, n->measuring),
                                s24m_most_bytes(n->writing, n->tuning));
    n->memory = s24m_most_bytes(n->memory, n->base + tables);
    return true;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

bool s24m_job_check_memory(const s24_compression *c, const needs *n)
{
    return !c->memory_limit || n->memory <= (uint64_t)c->memory_limit ||
           s24m_wrong(S24_E_MEMORY,
                      "--memory-limit: %.0f MiB are needed: the program %.0f, activations and a "
                      "block %.0f, library %.0f, evaluation %.0f in all, the model's own rows "
                      "%.0f, tuning %.0f%s",
                      mebibytes(n->memory) + 1, mebibytes(n->base), mebibytes(n->own - n->base),
                      mebibytes(n->library), mebibytes(n->measuring), mebibytes(n->writing),
                      mebibytes(n->tuning),
                      n->tuning > (uint64_t)c->memory_limit
                          ? ": it needs the whole model in memory: try --refine block"
                      : n->writing > (uint64_t)c->memory_limit
                          ? ": try --no-self, or shorter sequences"
                      : c->settings.keep == KEEP_DISK
                          ? ": calibrate with fewer or shorter sequences"
                          : ": try --activations disk, or fewer or shorter sequences");
}

/* What an earlier run left need not be written again. */
bool s24m_job_check_disk(const s24_compression *c, const needs *n)
{
    char *part = s24m_checkpoint_folder(c->out);
    uint64_t there = part && c->resume ? s24m_disk_used(part) : 0;
    bool done =
        part && (c->complete || s24m_disk_check(c->out, n->disk > there ? n->disk - there : 0));
    free(part);
    return done;
}

bool s24m_job_limit_memory(s24_compression *c)
{
    needs *n = &c->needs;
    c->eval_memory = 0;
    if (!s24m_job_needs(c, n) || !s24m_job_check_memory(c, n))
        return false;
    if (!c->memory_limit)
        return true;
    c->eval_memory = (uint64_t)c->memory_limit - n->base - product_needs(c);
    return s24m_good(
        s24_ctx_set_int(c->settings.ctx, "memory_limit", c->memory_limit - (int64_t)n->own),
        "--memory-limit");
}
