#include "outcome.h"
#include "message.h"
#include "progress.h"
#include "record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool method_open(method *m, s24_ctx *ctx, const char *label, const char *name, const char *options)
{
    m->label = must(strdup(label));
    return (s24_solver_create(ctx, name, &m->solver) == S24_OK &&
            s24_solver_parse(m->solver, options) == S24_OK) ||
           fail_library("%s", label);
}

void method_close(method *m)
{
    s24_solver_destroy(m->solver);
    free(m->label);
}

s24_status outcome_solve(outcome *o, const layer *l, const method *m)
{
    progress_watch(m->solver, m->label);
    s24_status status = s24_solve(m->solver, l->problem, &o->result);
    progress_watch(NULL, NULL);
    progress_clear();
    return status;
}

bool outcome_warn(const outcome *o, const char *label)
{
    const char *text;
    if (s24_result_str(o->result, "warning", &text) != S24_OK)
        return false;
    warn("%s: %s", label, text);
    return true;
}

/* A 16-bit copy of the weights. */
static bool convert(outcome *o, const layer *l, int32_t dtype)
{
    s24_mat wide = o->weights;
    o->type = dtype == S24_F16 ? "F16" : "BF16";
    o->converted = must(malloc((size_t)(wide.rows * wide.cols) * 2 + 1));
    return (s24_mat_rowmajor(&o->weights, o->converted, wide.rows, wide.cols, dtype) == S24_OK &&
            s24_mat_copy(l->ctx, &wide, &o->weights) == S24_OK) ||
           fail_library("--store");
}

/* The numbers that describe the run; those that a result does not have stay NaN. */
static void read_numbers(outcome *o)
{
    o->loss = o->relative_loss = o->test_relative_loss = o->damp = o->seconds = NAN;
    s24_result_float(o->result, "loss", &o->loss);
    s24_result_float(o->result, "relative_loss", &o->relative_loss);
    s24_result_float(o->result, "damp_used", &o->damp);
    s24_result_float(o->result, "seconds", &o->seconds);
    s24_result_int(o->result, "zeros", &o->zeros);
}

bool outcome_measure(outcome *o, const layer *l, const char *store)
{
    if (s24_result_matrix(o->result, "weights", &o->weights) != S24_OK)
        return fail_library("weights of the result");
    read_numbers(o);
    bool narrow = store && strcmp(store, "f32");
    if (narrow && !convert(o, l, strcmp(store, "f16") ? S24_BF16 : S24_F16))
        return false;
    if (narrow && s24_problem_loss(l->problem, &o->weights, &o->loss, &o->relative_loss) != S24_OK)
        return fail_library("loss of the stored weights");
    return !l->test_problem ||
           s24_problem_loss(l->test_problem, &o->weights, NULL, &o->test_relative_loss) == S24_OK ||
           fail_library("--test");
}

/* The library's record; if the stored weights are not the solver's, with their numbers. */
static char *stored_record(const outcome *o)
{
    const char *text = "{}";
    s24_result_str(o->result, "record", &text);
    char *record = must(strdup(text));
    if (o->type) {
        record = record_put_number(record, "loss", o->loss);
        record = record_put_number(record, "relative_loss", o->relative_loss);
        record = record_put_text(record, "stored", o->type);
    }
    return record;
}

char *outcome_json(const outcome *o, const char *out)
{
    char *record = stored_record(o);
    if (!isnan(o->test_relative_loss))
        record = record_put_number(record, "test_relative_loss", o->test_relative_loss);
    return out ? record_put_text(record, "out", out) : record;
}

void outcome_close(outcome *o)
{
    s24_result_destroy(o->result);
    free(o->converted);
}

static bool put_record(const outcome *o, s24_file *file)
{
    char *record = record_drop_volatile(stored_record(o));
    bool done = s24_file_set_meta(file, "sparse24.record", record) == S24_OK;
    free(record);
    return done;
}

static bool put_matrices(const outcome *o, s24_file *file)
{
    const char *name;
    int32_t kind;
    for (int32_t i = 0; (name = s24_result_name(o->result, i, &kind)); i++) {
        s24_mat mat;
        if (kind != S24_RESULT_MATRIX)
            continue;
        if (s24_result_matrix(o->result, name, &mat) != S24_OK)
            return false;
        if (!strcmp(name, "weights"))
            mat = o->weights;
        int64_t shape[] = {mat.rows, mat.cols};
        if (s24_file_put(file, name, &mat, shape, 2, NULL) != S24_OK)
            return false;
    }
    return true;
}

bool outcome_write(const outcome *o, s24_file *file, const char *path)
{
    return (put_record(o, file) && put_matrices(o, file) && s24_file_commit(file) == S24_OK) ||
           fail_library("--out %s", path);
}
