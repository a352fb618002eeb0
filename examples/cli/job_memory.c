#include "job.h"
#include "layer.h"
#include "memory.h"
#include "message.h"
#include <stdio.h>
#include <string.h>

/* What a stage of a block takes in the library. */
typedef struct stage {
    uint64_t sums, solve, parts; /* parts: of results that wait for the block's end */
} stage;

enum { STAGES = 4 };

/* Matrices of one input are solved together. */
static int32_t stage_of(int32_t which)
{
    return which <= LLAMA_V ? 0 : which == LLAMA_O ? 1 : which <= LLAMA_UP ? 2 : 3;
}

/* docs/memory.md; a second gram and cross for the rows held out. */
static uint64_t gram_bytes(int64_t n)
{
    return (uint64_t)(8 * n * n + 16384 * n);
}

static uint64_t cross_bytes(int64_t outputs, int64_t inputs)
{
    return (uint64_t)(16 * outputs * inputs + 16384 * outputs);
}

static bool open_solver(const job *j, const char *name, s24_solver **solver)
{
    return (s24_solver_create(j->settings.ctx, name, solver) == S24_OK &&
            s24_solver_parse(*solver, j->settings.options) == S24_OK) ||
           fail_library("--solver %s", name);
}

/* What is named can be made, whatever it is for. */
static bool check_solver(const job *j)
{
    s24_solver *solver = NULL;
    bool done = !j->settings.solver || open_solver(j, j->settings.solver, &solver);
    s24_solver_destroy(solver);
    return done;
}

/* Constraints that a shape allows and the solver honours, and the bytes of a solve. */
static bool ask(const job *j, const char *name, const s24_mat *w, const char *constraints,
                uint64_t *bytes)
{
    s24_ctx *ctx = j->settings.ctx;
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    bool done = (s24_problem_create(ctx, w, &problem) == S24_OK &&
                 s24_problem_parse(problem, constraints) == S24_OK) ||
                fail_library("%s", name);
    const char *by = j->settings.solver ? j->settings.solver : default_solver(ctx, problem);
    done = done && open_solver(j, by, &solver) &&
           (s24_solver_memory(solver, problem, bytes) == S24_OK || fail_library("%s", name));
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}

static bool check_matrix(job *j, int64_t index, int32_t which, stage *to)
{
    const char *constraints = job_constraints(j, index, which);
    int64_t outputs, inputs;
    uint64_t bytes;
    char name[LLAMA_NAME];
    s24_mat w;
    if (!constraints)
        return true;
    llama_name(j->model, index, which, name);
    llama_shape(j->model, which, &outputs, &inputs);
    s24_mat_rowmajor(&w, j, outputs, inputs, S24_F32); /* its values are not looked at */
    if (!ask(j, name, &w, constraints, &bytes))
        return false;
    int times = j->sequences.count[1] ? 2 : 1;
    bool parts = strstr(constraints, "int") || strstr(constraints, "rank");
    to->sums = to->sums ? to->sums : (uint64_t)times * gram_bytes(inputs);
    if (j->settings.correct > 0)
        to->sums += (uint64_t)times * cross_bytes(outputs, inputs);
    to->solve = to->solve > bytes ? to->solve : bytes;
    to->parts += parts ? (uint64_t)(10 * outputs * inputs) : 0;
    return true;
}

/* Every matrix can be solved; *most is the library's need at the worst place. */
static bool check_matrices(job *j, uint64_t *most)
{
    bool done = check_solver(j);
    *most = 0;
    for (int64_t index = 0; done && index < j->model->config.layers; index++) {
        stage stages[STAGES] = {{0}};
        uint64_t parts = 0;
        for (int32_t which = 0; done && which < LLAMA_LINEARS; which++)
            done = check_matrix(j, index, which, stages + stage_of(which));
        for (const stage *s = stages; done && s < stages + STAGES; s++) {
            parts += s->parts;
            uint64_t bytes = s->sums + s->solve + parts;
            *most = *most > bytes ? *most : bytes;
        }
    }
    return done;
}

/* Outside the library: blocks as they were and as they become, streams, one matrix in its stored type. */
static uint64_t walk_needs(const job *j)
{
    const llama_config *c = &j->model->config;
    uint64_t block = memory_block(j->model), table = memory_table(j->model);
    int64_t wide = c->ffn > c->heads * c->head_dim ? c->ffn : c->heads * c->head_dim;
    uint64_t solved = block + (uint64_t)(wide * c->hidden) * sizeof(double) +
                      memory_attention(j->model, j->sequences.length);
    uint64_t stored = memory_block_source(j->model);
    block += solved > stored ? solved : stored;
    return walk_bytes(j->model, &j->settings, j->sequences.count, j->sequences.length) +
           (block > table ? block : table);
}

/* The least that an evaluation can do with. */
static uint64_t evaluation_needs(const job *j)
{
    uint64_t most = 0;
    for (int i = 0; i < j->a->eval.count; i++) {
        int64_t chunk = llama_chunk(j->eval[i].length), rows = j->eval[i].rows;
        uint64_t bytes = evaluate_bytes(j->model, j->eval + i, rows < chunk ? rows : chunk);
        most = most > bytes ? most : bytes;
    }
    return most;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

bool job_limit_memory(job *j)
{
    /* The library's scratch of a forward pass; what product_rate() multiplies. */
    enum { PRODUCT = 16 << 20, RATE = 12 << 20 };
    uint64_t limit = (uint64_t)j->a->memory_limit, library, own, base, measuring;
    if (!check_matrices(j, &library))
        return false;
    if (!limit)
        return true;
    base = memory_base(j->settings.ctx);
    own = base + walk_needs(j);
    measuring = base + PRODUCT + (j->a->eval.count ? evaluation_needs(j) : 0);
    measuring = measuring > base + PRODUCT + RATE ? measuring : base + PRODUCT + RATE;
    library = library > PRODUCT ? library : PRODUCT;
    uint64_t all = own + library > measuring ? own + library : measuring;
    if (all > limit)
        return fail("--memory-limit: %.0f MiB are needed: the program %.0f, activations and a "
                    "block %.0f, library %.0f, evaluation %.0f in all%s",
                    mebibytes(all) + 1, mebibytes(base), mebibytes(own - base), mebibytes(library),
                    mebibytes(measuring),
                    j->settings.keep == KEEP_DISK
                        ? ": calibrate with fewer or shorter sequences"
                        : ": try --activations disk, or fewer or shorter sequences");
    j->eval_memory = limit - base - PRODUCT;
    return s24_ctx_set_int(j->settings.ctx, "memory_limit", (int64_t)(limit - own)) == S24_OK ||
           fail_library("--memory-limit");
}
