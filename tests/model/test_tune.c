/* Tests lib/model/{student,divergence,tune,tune_state,job_tune,tune_call}.c: models that come
 * closer to the dense one, what must not change, threads, resuming, rates that diverge, errors. */
#include "trainee.h"
#include "training.h"
#include "tune_state.h"

enum { ROWS = 40, LENGTH = 16, LAYERS = 2 };

static int32_t ids[ROWS * LENGTH];

static void set_up(void)
{
    open_folder("/tmp/sparse24-tune-XXXXXX", ids, ROWS * LENGTH);
}

/* ---- Runs ---- */

typedef struct listener {
    const char *stop_at; /* a phase or a line, at its `stop_call`th call */
    int calls, stop_call, epochs, stays, misfits;
    bool stop;
    double before, after;
} listener;

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    listener *l = user;
    ck_assert(step >= 0 && step <= total);
    (void)objective, (void)residual;
    l->calls += l->stop_at && strstr(phase, l->stop_at) != NULL;
    return l->stop_at && l->calls == l->stop_call;
}

static void on_line(void *user, int32_t level, const char *line)
{
    listener *l = user;
    (void)level;
    l->epochs += strstr(line, "tuning: epoch") != NULL;
    l->stays += strstr(line, "stays as it was") != NULL;
    l->misfits += strstr(line, "the range of its type") != NULL;
}

static s24_compression *begin(const char *options, int64_t rows, listener *l)
{
    s24_mat view;
    s24_compression *c = NULL;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "constraints=2:4,solver=wanda,own=0,tune_epochs=3,refine_epochs=1,"
                                "tune_rate=0.01"));
    ok(s24_compression_parse(c, options));
    ok(s24_mat_rowmajor(&view, ids, rows, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &view, "calib"));
    ok(s24_compression_set_log(c, on_line, l));
    ok(s24_compression_set_progress(c, on_progress, l));
    return c;
}

static void numbers(s24_compression *c, listener *l)
{
    ok(s24_compression_number(c, "divergence_before", 0, &l->before));
    ok(s24_compression_number(c, "divergence_after", 0, &l->after));
}

static listener compress(const char *options, const char *out)
{
    listener l = {.calls = 0};
    s24_compression *c = begin(options, ROWS, &l);
    ok(s24_compression_run(c, in_folder(out)));
    numbers(c, &l);
    s24_compression_destroy(c);
    return l;
}

static char *model_in(const char *out)
{
    char name[64];
    snprintf(name, sizeof name, "%s/tiny.safetensors", out);
    return in_folder(name);
}

/* Of what lies at `from`; *l says how it is watched. */
static s24_status tune(const char *options, const char *from, const char *out, listener *l)
{
    s24_model *compressed = NULL;
    s24_compression *c = begin(options, ROWS, l);
    ok(s24_model_open(ctx, from, &compressed));
    s24_status status = s24_compression_tune(c, compressed, in_folder(out));
    numbers(c, l);
    s24_compression_destroy(c);
    s24_model_destroy(compressed);
    return status;
}

/* ---- What lies in files ---- */

static s24_file *open_file(const char *out)
{
    s24_file *file = NULL;
    ok(s24_file_open(ctx, model_in(out), &file));
    return file;
}

/* Tensors of such names that differ; zeros of `a` are zeros of `b` if `zeros`. */
static int differences(const char *a, const char *b, const char *part, bool zeros)
{
    s24_file *files[2] = {open_file(a), open_file(b)};
    int count = 0;
    for (int64_t i = 0; i < s24_file_count(files[0]); i++) {
        s24_mat x, y;
        const char *name = s24_file_name(files[0], i);
        if (!strstr(name, part))
            continue;
        ok(s24_file_get(files[0], name, &x));
        ok(s24_file_get(files[1], name, &y));
        ck_assert_int_eq(x.dtype, y.dtype);
        size_t size = (size_t)(x.rows * x.cols);
        const float *before = x.data, *after = y.data;
        count += memcmp(before, after, size * sizeof *before) != 0;
        for (size_t k = 0; zeros && k < size; k++)
            ck_assert_msg(before[k] != 0 || after[k] == 0, "%s: a zero became %g", name,
                          (double)after[k]);
    }
    s24_file_destroy(files[0]);
    s24_file_destroy(files[1]);
    return count;
}

/* ---- In a compression ---- */

/* The blocks are trained further, the last norm too; what lies outside stays. */
START_TEST(the_whole_model)
{
    open_model(tiny_models + _i);
    compress("refine=block", "blocks");
    listener l = compress("refine=model", "out");
    ck_assert_int_eq(l.epochs, 3);
    ck_assert_msg(l.after < 0.95 * l.before, "%g, %g", l.before, l.after);
    ck_assert_int_eq(differences("blocks", "out", "proj.weight", true), 14);
    ck_assert_int_eq(differences("blocks", "out", "model.norm", false), 1);
    ck_assert_int_eq(differences("blocks", "out", "embed", false), 0);
    ck_assert_int_eq(access(in_folder("out.part"), F_OK), -1);
}
END_TEST

START_TEST(equal_for_any_threads)
{
    open_model(tiny_models);
    for (int threads = 1; threads <= 3; threads++) {
        char name[16];
        ok(s24_ctx_set_int(ctx, "threads", threads));
        snprintf(name, sizeof name, "t%d", threads);
        compress("refine=model", name);
        ck_assert_int_eq(differences("t1", name, "", false), 0);
    }
}
END_TEST

/* Stopped in the first epoch, behind it, and while the model is written: the same bytes. */
START_TEST(goes_on)
{
    static const struct {
        const char *stop_at;
        int call, epochs; /* that are left */
    } places[] = {{"tuning", 17, 3}, {"tuning", 21, 2}, {"writing", 1, 0}};
    listener l = {.stop_at = places[_i].stop_at, .stop_call = places[_i].call};
    open_model(tiny_models + 1);
    compress("refine=model", "reference");
    s24_compression *c = begin("refine=model", ROWS, &l);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_CANCELLED);
    s24_compression_destroy(c);
    l = (listener){.calls = 0};
    c = begin("refine=model,resume=1,tune_rate=0.02", ROWS, &l);
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "tune rate 0.01"));
    s24_compression_destroy(c);
    l = (listener){.stop_at = "block 1 of", .stop_call = 1};
    c = begin("refine=model,resume=1", ROWS, &l);
    ok(s24_compression_run(c, in_folder("out")));
    s24_compression_destroy(c);
    ck_assert_int_eq(l.epochs, places[_i].epochs);
    ck_assert_int_eq(l.calls, 0); /* blocks are read, not walked */
    ck_assert_int_eq(differences("reference", "out", "", false), 0);
}
END_TEST

/* A rate that diverges is told, and the model stays. */
START_TEST(rates_that_diverge)
{
    open_model(tiny_models);
    compress("refine=block", "blocks");
    listener l = compress("refine=model,tune_rate=1", "out");
    ck_assert_msg(l.after <= l.before, "%g, %g", l.before, l.after);
    ck_assert_int_eq(l.stays, l.after == l.before);
    if (l.stays)
        ck_assert_int_eq(differences("blocks", "out", "", false), 0);
}
END_TEST

/* What stands on a grid is trained by its parts, as test_train_parts.c says more closely. */
START_TEST(grids_are_tuned)
{
    open_model(tiny_models);
    compress("constraints=int4 g16,solver=rtn", "plain");
    listener l = {.calls = 0};
    ok(tune("tune_rate=0.001", model_in("plain"), "out", &l));
    ck_assert_msg(l.after <= l.before && l.before > 0, "%g, %g", l.before, l.after);
    ck_assert_int_eq(differences("plain", "out", "proj.weight", false) > 0, !l.stays);
    ck_assert_int_eq(differences("plain", "out", "norm", false) > 0, !l.stays);
    ck_assert_int_eq(access(in_folder("out/sparse24/parts.safetensors"), F_OK), 0);
}
END_TEST

START_TEST(memory_is_predicted)
{
    listener l = {.calls = 0};
    uint64_t blocks, whole;
    open_model(tiny_models);
    s24_compression *c = begin("refine=block", ROWS, &l);
    ok(s24_compression_plan(c, &blocks, NULL, NULL));
    ok(s24_compression_parse(c, "refine=model,heldout=0"));
    ok(s24_compression_plan(c, &whole, NULL, NULL));
    ck_assert(whole >= blocks);
    ok(s24_compression_set_int(c, "memory_limit", 1 << 20));
    ck_assert_int_eq(s24_compression_run(c, in_folder("out")), S24_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "tuning"));
    ok(s24_compression_set_int(c, "memory_limit", (int64_t)whole + (4 << 20)));
    ok(s24_compression_run(c, in_folder("out")));
    s24_compression_destroy(c);
}
END_TEST

/* ---- Models that are given ---- */

/* Ours, whose records name what was pruned, in another type; and again: it is complete. */
START_TEST(a_compressed_model)
{
    listener l = {.calls = 0};
    double before, after;
    open_model(tiny_models);
    compress("", "plain");
    ok(tune("", model_in("plain"), "out", &l));
    ck_assert_msg(l.after < 0.95 * l.before, "%g, %g", l.before, l.after);
    ck_assert_int_eq(differences("plain", "out", "proj.weight", true), 14);
    ck_assert_int_eq(differences("plain", "out", "embed", false), 0);
    before = l.before;
    after = l.after;
    ok(tune("resume=1", model_in("plain"), "out", &l));
    ck_assert(isnan(l.before) && before > after);
    ck_assert_int_eq(tune("resume=1,tune_epochs=2", model_in("plain"), "out", &l), S24_E_STATE);
    ck_assert_int_eq(tune("", model_in("plain"), "out", &l), S24_E_IO);
    ok(tune("", model_in("out"), "further", &l)); /* what came of it is such a model too */
    ck_assert(l.before < before && l.after <= l.before);
}
END_TEST

/* A copy of the model's file with weights changed. */
static void write_changed(const char *name, const char *part, void (*change)(s24_mat *w))
{
    s24_file *from = NULL, *to = NULL;
    ok(s24_file_open(ctx, in_folder("tiny.safetensors"), &from));
    ok(s24_file_create(ctx, in_folder(name), "safetensors", &to));
    ok(s24_file_copy_meta(to, from));
    for (int64_t i = 0; i < s24_file_count(from); i++) {
        const char *tensor = s24_file_name(from, i);
        int64_t shape[8];
        int32_t rank;
        s24_mat w;
        ok(s24_file_info(from, tensor, shape, &rank, NULL));
        ok(s24_file_get(from, tensor, &w));
        float *copy = malloc((size_t)(w.rows * w.cols) * sizeof *copy);
        memcpy(copy, w.data, (size_t)(w.rows * w.cols) * sizeof *copy);
        w.data = copy;
        if (strstr(tensor, part))
            change(&w);
        ok(s24_file_put(to, tensor, &w, shape, rank, NULL));
        free(copy);
    }
    ok(s24_file_commit(to));
    s24_file_destroy(to);
    s24_file_destroy(from);
}

/* Every third weight. */
static void prune(s24_mat *w)
{
    for (int64_t i = 0; i < w->rows * w->cols; i += 3)
        ((float *)w->data)[i] = 0;
}

/* Nine levels, one of them 0. */
static void coarsen(s24_mat *w)
{
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        ((float *)w->data)[i] = (float)rint(((float *)w->data)[i] * 16) / 16;
}

static void swell(s24_mat *w)
{
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        ((float *)w->data)[i] *= i % 3 ? 1e19f : 0;
}

static void grow(s24_mat *w)
{
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        ((float *)w->data)[i] *= 230000; /* up to 57500 */
}

static void wane(s24_mat *w)
{
    for (int64_t i = 0; i < w->rows * w->cols; i++)
        ((float *)w->data)[i] /= 230000;
}

/* Weights at the end of what 16 bits hold do not follow the training beyond it: told, and as
 * solved. */
START_TEST(what_leaves_its_type)
{
    listener l = {.calls = 0};
    open_model(tiny_models);
    write_changed("grown.safetensors", "down_proj", grow);
    ck_assert_int_eq(rename(in_folder("grown.safetensors"), in_folder("tiny.safetensors")), 0);
    write_changed("grown.safetensors", "up_proj", wane);
    s24_model_destroy(model);
    ok(s24_model_open(ctx, in_folder("grown.safetensors"), &model));
    s24_compression *c =
        begin("correct=0,refine=model,store=f16,refine_rate=0.1,tune_rate=0.1", ROWS, &l);
    ok(s24_compression_run(c, in_folder("out")));
    s24_compression_destroy(c);
    ck_assert_int_ge(l.misfits, 2); /* blocks, and the whole */
    s24_model *written = NULL;
    ok(s24_model_open(ctx, in_folder("out/grown.safetensors"), &written));
    s24_model_destroy(written);
}
END_TEST

/* Nobody's: what has zeros is trained, unless it stands on a grid. */
START_TEST(a_model_from_elsewhere)
{
    listener l = {.calls = 0};
    open_model(tiny_models + _i);
    write_changed("pruned.safetensors", "mlp.", prune);
    ok(tune("", in_folder("pruned.safetensors"), "out", &l));
    ck_assert_msg(l.after < 0.95 * l.before, "%g, %g", l.before, l.after);
    s24_model *tuned = NULL;
    ok(s24_model_open(ctx, in_folder("out/pruned.safetensors"), &tuned));
    s24_model_destroy(tuned);
    write_changed("coarse.safetensors", "mlp.", coarsen);
    ck_assert_int_eq(tune("", in_folder("coarse.safetensors"), "none", &l), S24_E_STATE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "no matrix of the model is compressed"));
}
END_TEST

START_TEST(what_is_refused)
{
    listener l = {.calls = 0};
    open_model(tiny_models);
    ck_assert_int_eq(tune("", in_folder("tiny.safetensors"), "out", &l), S24_E_STATE);
    tiny_model other = tiny_models[0];
    other.layers = 3;
    tiny_write(ctx, in_folder("other.safetensors"), &other);
    ck_assert_int_eq(tune("", in_folder("other.safetensors"), "out", &l), S24_E_SHAPE);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "made from another"));
    write_changed("large.safetensors", "layers.1.mlp.", swell);
    ck_assert_int_eq(tune("", in_folder("large.safetensors"), "out", &l), S24_E_NUMERIC);
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "block 2 of the compressed model"));
    s24_compression *c = begin("", ROWS, &l);
    ck_assert_int_eq(s24_compression_tune(c, model, in_folder("out")), S24_E_ARG);
    ck_assert_int_eq(s24_compression_tune(c, NULL, in_folder("out")), S24_E_ARG);
    s24_compression_destroy(c);
    ck_assert_int_eq(s24_compression_tune(NULL, model, in_folder("out")), S24_E_ARG);
    ck_assert_int_eq(access(in_folder("out"), F_OK), -1);
}
END_TEST

/* ---- The state of a training ---- */

/* Damaged, it is refused. */
START_TEST(state_is_sealed)
{
    float values[3] = {1, 2, 3};
    double before = 0;
    bool found;
    s24m_training t = {.epoch = 2, .halvings = 1, .best = 0.25, .last = INFINITY};
    checkpoint c = {.ctx = ctx, .folder = folder, .settings = (char[]){"one\ntwo\n"}};
    done(s24m_adam_open(&t.adam, ctx, 1));
    s24m_parameter *p = s24m_adam_add(&t.adam, "w", values, 3, false);
    t.adam.rate = 0.1;
    t.adam.step = 7;
    p->mean[1] = 0.5f;
    done(s24m_tune_state_find(&c, &t, &before, &found));
    ck_assert(!found);
    done(s24m_tune_state_keep(&c, &t, 0.75));
    p->mean[1] = 0;
    t.epoch = t.adam.step = 0;
    t.adam.rate = t.best = t.last = 0;
    done(s24m_tune_state_find(&c, &t, &before, &found));
    ck_assert(found && t.epoch == 2 && t.adam.step == 7 && t.halvings == 1 && before == 0.75);
    ck_assert(t.adam.rate == 0.1 && t.best == 0.25 && isinf(t.last) && p->mean[1] == 0.5f);
    FILE *file = fopen(in_folder(TUNE_STATE_FILE), "r+");
    fseek(file, -1, SEEK_END);
    fputc(65, file);
    fclose(file);
    ck_assert(!s24m_tune_state_find(&c, &t, &before, &found));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "is damaged"));
    c.settings = (char[]){"one\nthree\n"};
    ck_assert(!s24m_tune_state_find(&c, &t, &before, &found));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "begun with \"two\", now it is \"three\""));
    s24m_adam_close(&t.adam);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tune");
    TCase *tc = tcase_create("tune");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, the_whole_model, 0, 2);
    tcase_add_test(tc, equal_for_any_threads);
    tcase_add_loop_test(tc, goes_on, 0, 3);
    tcase_add_test(tc, rates_that_diverge);
    tcase_add_test(tc, grids_are_tuned);
    tcase_add_test(tc, memory_is_predicted);
    tcase_add_test(tc, a_compressed_model);
    tcase_add_loop_test(tc, a_model_from_elsewhere, 0, 2);
    tcase_add_test(tc, what_leaves_its_type);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, state_is_sealed);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
