/* sparse24 compress: a whole model, block by block. */
#include "commands.h"
#include "assemble.h"
#include "clock.h"
#include "report.h"
#include "walk.h"
#include "evaluate.h"
#include "layer.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct job {
    const args *a;
    settings settings;
    llama_model *model;
    tokens calib, eval[ARGS_LIST];
    int64_t sequences[2]; /* calibration, held out */
    int32_t *ids;         /* of both */
    double before[ARGS_LIST], after[ARGS_LIST];
    checkpoint checkpoint;
    walk walk;
    char **records; /* layers * LLAMA_LINEARS at most */
    int count;
    double began, rate; /* rate: operations a second of a large product */
    double walked;      /* seconds of the walk */
    double efficiency;
    bool complete; /* a run that was stopped after its output was there */
} job;

/* ---- Before the work: all that can be wrong ---- */

static bool read_share(const char *text, double *share)
{
    char *end;
    *share = text ? strtod(text, &end) : 0.5;
    return !text || (end != text && !*end && *share >= 0 && *share <= 1) ||
           fail("--correct %s: expected a number from 0 to 1", text);
}

/* The type of the matrices to be written: as asked, else the source's, else F16. */
static int32_t stored_type(const job *j)
{
    char name[LLAMA_NAME];
    const char *type = j->a->store;
    llama_name(j->model, 0, LLAMA_Q, name);
    if (!type && s24_file_info(j->model->file, name, NULL, NULL, &type) != S24_OK)
        type = "F16";
    if (!strcmp(type, "f32") || !strcmp(type, "F32"))
        return S24_F32;
    return !strcmp(type, "bf16") || !strcmp(type, "BF16") ? S24_BF16 : S24_F16;
}

static bool read_plan(job *j)
{
    plan *p = &j->settings.plan;
    p->constraints = j->a->constraints;
    bool done = true;
    for (int i = 0; done && i < j->a->rules.count; i++)
        done = plan_add_rule(p, j->a->rules.text[i]);
    for (int i = 0; done && i < j->a->skips.count; i++)
        done = plan_add_skip(p, j->a->skips.text[i]);
    return done;
}

static const char *const kinds[LLAMA_LINEARS] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                 "gate_proj", "up_proj", "down_proj"};

/* The names that rules may use: the file's, and one that is the same for all files. */
static const char *constraints_of(job *j, int index, int32_t which)
{
    char name[LLAMA_NAME], common[64];
    llama_name(j->model, index, which, name);
    snprintf(common, sizeof common, "model.layers.%d.%s.%s", index,
             which <= LLAMA_O ? "self_attn" : "mlp", kinds[which]);
    return plan_constraints(&j->settings.plan, (const char *const[]){name, common, NULL});
}

/* Every matrix has constraints that its shape allows and the solver honours. */
static bool check_matrix(job *j, int index, int32_t which, s24_solver *solver)
{
    const char *constraints = constraints_of(j, index, which);
    char name[LLAMA_NAME];
    int64_t outputs, inputs;
    uint64_t bytes;
    s24_mat w;
    s24_problem *problem = NULL;
    if (!constraints)
        return true;
    llama_name(j->model, index, which, name);
    llama_shape(j->model, which, &outputs, &inputs);
    s24_mat_rowmajor(&w, j, outputs, inputs, S24_F32); /* its values are not looked at */
    bool done = (s24_problem_create(j->settings.ctx, &w, &problem) == S24_OK &&
                 s24_problem_parse(problem, constraints) == S24_OK &&
                 s24_solver_memory(solver, problem, &bytes) == S24_OK) ||
                fail_library("%s", name);
    s24_problem_destroy(problem);
    return done;
}

static bool check_plan(job *j)
{
    s24_solver *solver = NULL;
    bool done = (s24_solver_create(j->settings.ctx, j->settings.solver, &solver) == S24_OK &&
                 s24_solver_parse(solver, j->settings.options) == S24_OK) ||
                fail_library("--solver %s", j->settings.solver);
    for (int index = 0; done && index < j->model->config.layers; index++)
        for (int32_t which = 0; done && which < LLAMA_LINEARS; which++)
            done = check_matrix(j, index, which, solver);
    s24_solver_destroy(solver);
    return done && plan_check_used(&j->settings.plan);
}

/* Calibration sequences, then those held out, which are the first of the first --eval. */
static bool gather_tokens(job *j)
{
    const args *a = j->a;
    int64_t length = j->calib.length, held = a->eval.count ? a->heldout : 0;
    if (held && j->eval[0].length != length)
        held = 0;
    if (held > j->eval[0].rows)
        held = j->eval[0].rows;
    j->sequences[0] = j->calib.rows;
    j->sequences[1] = held;
    j->ids = must(malloc((size_t)((j->calib.rows + held) * length) * sizeof *j->ids));
    memcpy(j->ids, j->calib.ids, (size_t)(j->calib.rows * length) * sizeof *j->ids);
    if (held)
        memcpy(j->ids + j->calib.rows * length, j->eval[0].ids,
               (size_t)(held * length) * sizeof *j->ids);
    return true;
}

static bool open_tokens(job *j)
{
    const args *a = j->a;
    bool done = tokens_open(&j->calib, j->settings.ctx, "--calib", a->calib, a->rows, a->context,
                            j->model->config.vocab) &&
                evaluate_check(j->model, &j->calib, "--calib");
    for (int i = 0; done && i < a->eval.count; i++)
        done = tokens_open(j->eval + i, j->settings.ctx, "--eval", a->eval.text[i], a->eval_rows,
                           a->context, j->model->config.vocab) &&
               evaluate_check(j->model, j->eval + i, "--eval");
    return done && gather_tokens(j);
}

static uint64_t hash(uint64_t h, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    return h;
}

/* Names, types and shapes of a model's tensors. */
static uint64_t hash_model(const llama_model *model)
{
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < s24_file_count(model->file); i++) {
        int64_t shape[8] = {0};
        int32_t rank;
        const char *type, *name = s24_file_name(model->file, i);
        if (s24_file_info(model->file, name, shape, &rank, &type) != S24_OK)
            continue;
        h = hash(hash(hash(h, name, strlen(name)), type, strlen(type)), shape, sizeof shape);
    }
    return h;
}

/* All that decides the result, one thing a line. */
static char *describe(const job *j)
{
    const args *a = j->a;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        must(NULL);
    fprintf(out, "sparse24 %s\nmodel %016llx\n", s24_version(),
            (unsigned long long)hash_model(j->model));
    fprintf(out, "tokens %lld+%lld x %lld %016llx\n", (long long)j->sequences[0],
            (long long)j->sequences[1], (long long)j->calib.length,
            (unsigned long long)hash(
                14695981039346656037u, j->ids,
                (size_t)((j->sequences[0] + j->sequences[1]) * j->calib.length) * sizeof *j->ids));
    fprintf(out, "constraints %s\nsolver %s %s\ncorrect %.17g\n", a->constraints,
            j->settings.solver, j->settings.options ? j->settings.options : "",
            j->settings.correct);
    fprintf(out, "store %s\nactivations %s\n", matrix_type(&j->settings),
            j->settings.keep == KEEP_HALF ? "half" : "full");
    for (int i = 0; i < a->rules.count; i++)
        fprintf(out, "rule %s\n", a->rules.text[i]);
    for (int i = 0; i < a->skips.count; i++)
        fprintf(out, "skip %s\n", a->skips.text[i]);
    fclose(out);
    return text;
}

/* What the program holds itself counts as well. */
static bool limit_memory(job *j)
{
    uint64_t own = walk_bytes(j->model, &j->settings, j->sequences, j->calib.length);
    if (!j->a->memory_limit)
        return true;
    if (own >= (uint64_t)j->a->memory_limit)
        return fail("--memory-limit: the activations take %llu bytes%s", (unsigned long long)own,
                    j->settings.keep == KEEP_DISK ? ": calibrate with fewer or shorter sequences"
                                                  : ": use --activations disk");
    return s24_ctx_set_int(j->settings.ctx, "memory_limit", j->a->memory_limit - (int64_t)own) ==
               S24_OK ||
           fail_library("--memory-limit");
}

/* The model and all beside it appeared in one rename, the records with it. */
static bool is_complete(const char *out)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/records.jsonl", out);
    return !access(path, F_OK);
}

static bool open_job(job *j)
{
    const args *a = j->a;
    settings *s = &j->settings;
    s->solver = a->solver ? a->solver : "alps";
    s->options = a->options;
    if (!activations_kind(a->activations ? a->activations : "ram", &s->keep))
        return fail("--activations %s: expected ram, half or disk", a->activations);
    if (!read_share(a->correct, &s->correct) || (a->report && !report_check(a->report)) ||
        !context_open(&s->ctx, a))
        return false;
    if (llama_open(s->ctx, a->operand, &j->model) != S24_OK)
        return fail("%s: %s", a->operand, llama_error());
    s->store = stored_type(j);
    if (!read_plan(j) || !check_plan(j) || !open_tokens(j) || !limit_memory(j))
        return false;
    if (!access(a->out, F_OK) && rmdir(a->out) && !(j->complete = a->resume && is_complete(a->out)))
        return fail("--out %s exists already", a->out);
    char *asked = describe(j);
    bool done = checkpoint_open(&j->checkpoint, s->ctx, a->out, asked, a->resume);
    free(asked);
    return done;
}

/* ---- The work ---- */

static void open_matrices(job *j, const llama_block *block, matrix m[LLAMA_LINEARS])
{
    for (int32_t which = 0; which < LLAMA_LINEARS; which++)
        m[which] = (matrix){.tensor = block->linear[which].name,
                            .kind = kinds[which],
                            .layer = (int)block->layer,
                            .constraints = constraints_of(j, (int)block->layer, which),
                            .w = block->linear[which].weights};
}

/* Keep the records; the matrices go. */
static void close_matrices(job *j, matrix m[LLAMA_LINEARS], bool keep)
{
    for (int32_t which = 0; which < LLAMA_LINEARS; which++) {
        if (keep && m[which].record) {
            j->records[j->count++] = m[which].record;
            m[which].record = NULL;
        }
        matrix_close(m + which);
    }
}

static bool compress_block(job *j, int index)
{
    llama_block block;
    matrix m[LLAMA_LINEARS];
    bool found = false;
    if (!llama_done(llama_block_load(j->model, index, &block)))
        return false;
    open_matrices(j, &block, m);
    bool done = checkpoint_load(&j->checkpoint, index, m, LLAMA_LINEARS, &found) &&
                walk_block(&j->walk, &block, m) &&
                (found || checkpoint_save(&j->checkpoint, index, &j->settings, m, LLAMA_LINEARS));
    close_matrices(j, m, done);
    llama_block_free(&block);
    return done;
}

static bool compress_blocks(job *j)
{
    double began = now();
    bool done = walk_open(&j->walk, &j->settings, j->model, j->ids, j->sequences, j->calib.length,
                          j->checkpoint.folder);
    j->records =
        must(calloc((size_t)j->model->config.layers * LLAMA_LINEARS + 1, sizeof *j->records));
    for (int index = 0; done && index < j->model->config.layers; index++)
        done = compress_block(j, index);
    progress_span(0, 0);
    progress_clear();
    j->walked = now() - began;
    double rate = 0; /* neighbours come and go: the better of before and after */
    done = done && product_rate(j->settings.ctx, &rate);
    j->rate = fmax(j->rate, rate);
    j->efficiency = j->walk.flops / (j->walked * j->rate);
    walk_close(&j->walk);
    return done;
}

static bool measure(job *j, llama_model *model, const char *when, double *perplexity)
{
    bool done = true;
    for (int i = 0; done && i < j->a->eval.count; i++) {
        evaluation e;
        done = evaluate(model, j->eval + i, when, &e);
        perplexity[i] = exp(e.mean);
    }
    return done;
}

/* The file that was written is what is measured. */
static bool measure_written(job *j)
{
    llama_model *model = NULL;
    char *path = assemble_model_path(j->a->operand, j->a->out);
    bool done = j->a->eval.count == 0 || llama_open(j->settings.ctx, path, &model) == S24_OK ||
                fail("%s: %s", path, llama_error());
    done = done && measure(j, model, "perplexity after", j->after);
    llama_close(model);
    free(path);
    return done;
}

/* ---- What is said about it ---- */

static double mean(const job *j, const char *key)
{
    double sum = 0;
    for (int i = 0; i < j->count; i++)
        sum += record_number(j->records[i], key);
    return j->count ? sum / j->count : NAN;
}

static double sum(const job *j, const char *key)
{
    return j->count ? j->count * mean(j, key) : 0;
}

static int64_t peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (int64_t)usage.ru_maxrss * 1024;
}

static void print_json(const job *j)
{
    char key[32], *record = must(strdup("{}"));
    for (int i = 0; i < j->count; i++)
        puts(j->records[i]);
    record = record_put_text(record, "model", j->a->operand);
    record = record_put_text(record, "out", j->a->out);
    record = record_put_number(record, "matrices", j->count);
    record = record_put_number(record, "zeros", sum(j, "zeros"));
    record = record_put_number(record, "size", sum(j, "size"));
    for (int i = 0; i < j->a->eval.count; i++) {
        snprintf(key, sizeof key, i ? "perplexity_before_%d" : "perplexity_before", i + 1);
        record = record_put_number(record, key, j->before[i]);
        snprintf(key, sizeof key, i ? "perplexity_after_%d" : "perplexity_after", i + 1);
        record = record_put_number(record, key, j->after[i]);
    }
    record = record_put_number(record, "seconds", now() - j->began);
    record = record_put_number(record, "efficiency", j->efficiency);
    record = record_put_number(record, "peak_bytes", (double)peak_memory());
    puts(record);
    free(record);
}

static void print_summary(const job *j, bool reported)
{
    double size = sum(j, "size");
    printf("%-13s%d, %.2f %% of their weights zero\n", "matrices", j->count,
           size > 0 ? 100 * sum(j, "zeros") / size : 0);
    printf("%-13s%.4g mean relative error of their outputs\n", "calibration",
           mean(j, "relative_loss"));
    if (j->settings.correct > 0)
        printf("%-13s%.4g mean relative distance from the dense model's\n", "",
               mean(j, "dense_relative_loss"));
    for (int i = 0; i < j->a->eval.count; i++)
        printf("%-13s%.3f before, %.3f after (%s)\n", "perplexity", j->before[i], j->after[i],
               j->a->eval.text[i]);
    printf("%-13s%.1f in all, %.1f in the blocks at %.0f %% of the rate of a large product\n",
           "seconds", now() - j->began, j->walked, 100 * j->efficiency);
    printf("%-13s%.0f MiB at most\n", "memory", (double)peak_memory() / 1048576);
    printf("%-13s%s\n", "written", j->a->out);
    if (reported)
        printf("%-13s%s\n", "report", j->a->report);
}

static bool write_report(const job *j)
{
    report_perplexity perplexity[ARGS_LIST];
    const args *a = j->a;
    char asked[400];
    for (int i = 0; i < a->eval.count; i++) {
        const char *slash = strrchr(a->eval.text[i], '/');
        perplexity[i] =
            (report_perplexity){slash ? slash + 1 : a->eval.text[i], j->before[i], j->after[i]};
    }
    snprintf(asked, sizeof asked, "--constraints \"%s\" --solver %s%s%s --correct %g",
             a->constraints, j->settings.solver, a->options ? " --options " : "",
             a->options ? a->options : "", j->settings.correct);
    report r = {.model = a->operand,
                .output = a->out,
                .command = asked,
                .records = (const char *const *)j->records,
                .matrices = j->count,
                .perplexity = perplexity,
                .perplexities = a->eval.count,
                .seconds = now() - j->began,
                .efficiency = j->efficiency};
    return report_write(&r, a->report);
}

/* What was measured is printed also when the page cannot be written. */
static bool tell(const job *j)
{
    bool reported = j->a->report && write_report(j);
    if (j->a->json)
        print_json(j);
    else
        print_summary(j, reported);
    return reported || !j->a->report;
}

static void close_job(job *j, bool done)
{
    checkpoint_close(&j->checkpoint, done);
    for (int i = 0; i < j->count; i++)
        free(j->records[i]);
    free(j->records);
    for (int i = 0; i < j->a->eval.count; i++)
        tokens_close(j->eval + i);
    tokens_close(&j->calib);
    free(j->ids);
    plan_close(&j->settings.plan);
    llama_close(j->model);
    s24_ctx_destroy(j->settings.ctx);
}

static bool work(job *j)
{
    const char *const *records;
    if (!product_rate(j->settings.ctx, &j->rate) ||
        !measure(j, j->model, "perplexity before", j->before) || !compress_blocks(j))
        return false;
    records = (const char *const *)j->records;
    if (!assemble(j->model, j->a->operand, &j->checkpoint, j->a->out, records, j->count))
        return false;
    checkpoint_close(&j->checkpoint, true);
    return measure_written(j);
}

int run_compress(const args *a)
{
    job j = {.a = a, .began = now(), .checkpoint = {.lock = -1}};
    progress_start(a->progress);
    bool done = open_job(&j);
    if (done && !j.complete)
        done = work(&j);
    progress_clear();
    if (done && j.complete)
        printf("%s is complete already\n", a->out);
    else if (done)
        done = tell(&j);
    else if (progress_interrupted())
        fail("interrupted: go on with --resume");
    close_job(&j, done);
    return done ? DONE : FAILED;
}
