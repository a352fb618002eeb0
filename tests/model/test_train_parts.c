/* Tests lib/model/{composed,made}.c and what trains by them: gradients of codes, scales and factors
 * against differences, and models on grids and of ranks that are refined and tuned: what is written
 * is what was trained, patterns stay, threads and an interruption change no bit. */
#include "codes.h"
#include "composed.h"
#include "trainee.h"
#include "training.h"
#include <math.h>

enum { ROWS = 48, LENGTH = 16 };

static int32_t ids[ROWS * LENGTH];

static void set_up(void)
{
    open_folder("/tmp/sparse24-parts-XXXXXX", ids, ROWS * LENGTH);
}

/* ---- Gradients ---- */

enum { HIGH = 3, WIDE = 8, GROUPS = 2, RANK = 2 };

/* Sum of slope * w. */
static double loss_of(s24m_composed *c, const float *slope)
{
    double sum = 0;
    done(s24m_composed_make(c));
    for (int i = 0; i < HIGH * WIDE; i++)
        sum += (double)slope[i] * c->w[i];
    return sum;
}

/* Where w is linear in it, a difference of any size is exact but for rounding. */
static void compare(s24m_composed *c, const float *slope, s24m_parameter *p)
{
    for (int64_t i = 0; i < p->count; i++) {
        float old = p->values[i];
        p->values[i] = old + 0.25f;
        double up = loss_of(c, slope);
        p->values[i] = old - 0.25f;
        double wanted = (up - loss_of(c, slope)) / 0.5;
        p->values[i] = old;
        ck_assert_msg(fabs(p->gradient[i] - wanted) < 1e-4, "%s[%d]: %g, expected %g", p->name,
                      (int)i, (double)p->gradient[i], wanted);
    }
}

/* Zero is code 5, or the least value -1; some latents lie beyond the codes 1 to 14. */
START_TEST(gradients_of_a_grid)
{
    unsigned char code[HIGH * WIDE], zero[HIGH * GROUPS];
    float scale[HIGH * GROUPS], least[HIGH * GROUPS], value[HIGH * WIDE], slope[HIGH * WIDE];
    s24_mat values;
    s24m_adam adam;
    s24m_composed c;
    codes parts = {.codes.data = NULL};
    bool real = _i;
    for (int i = 0; i < HIGH * WIDE; i++) {
        int g = i / (WIDE / GROUPS);
        code[i] = (unsigned char)(1 + i * 5 % 14);
        zero[g] = 5;
        least[g] = -1;
        scale[g] = 0.125f * (float)(1 + g);
        slope[i] = (float)((i * 7 + 3) % 11) / 4 - 1;
        value[i] = real ? scale[g] * code[i] - 1 : scale[g] * (float)(code[i] - 5);
    }
    value[3] = 9; /* above what codes reach */
    ok(s24_mat_rowmajor(&parts.codes, code, HIGH, WIDE, S24_U8));
    ok(s24_mat_rowmajor(&parts.scales, scale, HIGH, GROUPS, S24_F32));
    if (real)
        ok(s24_mat_rowmajor(&parts.zeros, least, HIGH, GROUPS, S24_F32));
    else
        ok(s24_mat_rowmajor(&parts.zeros, zero, HIGH, GROUPS, S24_U8));
    ok(s24_mat_rowmajor(&values, value, HIGH, WIDE, S24_F32));
    done(s24m_adam_open(&adam, ctx, 4));
    done(s24m_composed_can(&parts));
    done(s24m_composed_open(&c, &adam, "w", real ? "int4 real g4" : "int4 g4", &parts, &values));
    for (int i = 0; i < HIGH * WIDE; i++)
        if (i != 3)
            ck_assert_float_eq(c.w[i], value[i]);
    memcpy(c.gradient, slope, sizeof slope);
    done(s24m_composed_spread(&c));
    for (int g = 0; g < HIGH * GROUPS; g++) {
        double sum =
            0; /* on the codes: (code - zero) less what the latent stands at, which is it */
        for (int i = g * 4; i < g * 4 + 4; i++)
            sum += i == 3 ? slope[i] * (14 - (real ? 0 : 5)) : 0;
        ck_assert_double_eq_tol(c.scales->gradient[g], sum, 1e-4);
    }
    for (int i = 0; i < HIGH * WIDE; i++)
        ck_assert_float_eq(c.latent->gradient[i], i == 3 ? 0 : slope[i]);
    for (int i = 0; i < HIGH * WIDE; i++)
        ck_assert_float_eq(c.gradient[i], 0);
    c.latent->best[0] = value[0] + 0.9f * scale[0]; /* becomes the next code */
    c.scales->best[5] = 0.3f;
    made_parts made;
    bool fits;
    done(s24m_composed_settle(&c, &made, &fits));
    ck_assert(fits && ((unsigned char *)made.codes.data)[0] == code[0] + 1);
    float again[HIGH * WIDE];
    codes stored = {.codes = made.codes, .scales = made.scales, .zeros = made.zeros};
    for (int i = 0; i < HIGH * WIDE; i++)
        again[i] = 1;
    done(s24m_codes_decode(&stored, ctx, real ? "int4 real g4" : "int4 g4", again));
    ck_assert_mem_eq(again, c.w, sizeof again);
    s24m_made_close(&made);
    c.scales->best[1] = -1;
    done(s24m_composed_settle(&c, &made, &fits));
    ck_assert(!fits); /* a scale is above 0 */
    s24m_made_close(&made);
    s24m_composed_close(&c);
    s24m_adam_close(&adam);
}
END_TEST

START_TEST(gradients_of_factors)
{
    float sparse[HIGH * WIDE], u[HIGH * RANK], v[RANK * WIDE], slope[HIGH * WIDE];
    s24m_adam adam;
    s24m_composed c;
    codes parts = {.codes.data = NULL};
    for (int i = 0; i < HIGH * WIDE; i++) {
        sparse[i] = i % 4 < 2 ? (float)(i % 5 + 1) / 8 : 0;
        slope[i] = (float)((i * 7 + 3) % 11) / 4 - 1;
        u[i % (HIGH * RANK)] = (float)(i % 6) / 4 - 1;
        v[i % (RANK * WIDE)] = (float)(i % 7) / 4 - 0.5f;
    }
    ok(s24_mat_rowmajor(&parts.sparse, sparse, HIGH, WIDE, S24_F32));
    ok(s24_mat_rowmajor(&parts.u, u, HIGH, RANK, S24_F32));
    ok(s24_mat_rowmajor(&parts.v, v, RANK, WIDE, S24_F32));
    done(s24m_adam_open(&adam, ctx, 4));
    done(s24m_composed_open(&c, &adam, "w", "2:4+rank 2", &parts, &parts.sparse));
    memcpy(c.gradient, slope, sizeof slope);
    done(s24m_composed_spread(&c));
    compare(&c, slope, c.u);
    compare(&c, slope, c.v);
    for (int i = 0; i < HIGH * WIDE; i++)
        ck_assert_float_eq(c.latent->gradient[i], sparse[i] != 0 ? slope[i] : 0);
    s24m_composed_close(&c);
    s24m_adam_close(&adam);
}
END_TEST

/* ---- Whole models ---- */

static int32_t on_progress(void *user, const char *phase, int64_t step, int64_t total,
                           double objective, double residual)
{
    int *calls = user;
    (void)step, (void)total, (void)objective, (void)residual;
    return strstr(phase, "tuning") && ++*calls == 10;
}

static const char *const constraints[] = {"int4 g16",     "int4 real g16", "int3 sym g16",
                                          "2:4+int4 g16", "2:4+rank 4",    "2:4+int4 g16+rank 4"};

static void calibrate(s24_compression *c, int64_t rows)
{
    s24_mat view;
    ok(s24_mat_rowmajor(&view, ids, rows, LENGTH, S24_I32));
    ok(s24_compression_set_calibration(c, &view, "calib"));
}

static s24_compression *begin(const char *options, int *calls)
{
    s24_compression *c;
    ok(s24_compression_create(model, &c));
    ok(s24_compression_parse(c, "own=0,correct=0,tune_epochs=4,permute=none"));
    ok(s24_compression_parse(c, options));
    calibrate(c, ROWS);
    if (calls)
        ok(s24_compression_set_progress(c, on_progress, calls));
    return c;
}

static char *model_in(const char *out)
{
    char name[64];
    snprintf(name, sizeof name, "%s/tiny.safetensors", out);
    return in_folder(name);
}

static double number(s24_compression *c, const char *name)
{
    double value = NAN;
    ok(s24_compression_number(c, name, 0, &value));
    return value;
}

/* Divergences before and after. Without training, rows that judge it are in no sum. */
static void run(const char *options, int which, const char *out, double divergence[2])
{
    s24_compression *c = begin(options, NULL);
    if (!*options)
        calibrate(c, ROWS - s24m_training_guard(ROWS, 0));
    ok(s24_compression_set_str(c, "constraints", constraints[which]));
    ok(s24_compression_run(c, in_folder(out)));
    divergence[0] = number(c, "divergence_before");
    divergence[1] = number(c, "divergence_after");
    s24_compression_destroy(c);
}

static s24_status tune(const char *options, const char *from, const char *out, double divergence[2],
                       int *calls)
{
    s24_model *compressed = NULL;
    s24_compression *c = begin(options, calls);
    ok(s24_model_open(ctx, model_in(from), &compressed));
    s24_status status = s24_compression_tune(c, compressed, in_folder(out));
    if (!status) {
        divergence[0] = number(c, "divergence_before");
        divergence[1] = number(c, "divergence_after");
    }
    s24_compression_destroy(c);
    s24_model_destroy(compressed);
    return status;
}

static s24_file *open_file(const char *path)
{
    s24_file *file = NULL;
    ok(s24_file_open(ctx, path, &file));
    return file;
}

/* Parts of `out` make the weights of its model to the bit where they are codes; those of `plain`
 * that are 0 are 0, if `pruned`. Returns how many tensors of this kind differ. */
static int check_files(const char *plain, const char *out, int which, const char *part)
{
    char parts_path[64];
    snprintf(parts_path, sizeof parts_path, "%s/sparse24/parts.safetensors", out);
    s24_file *before = open_file(model_in(plain)), *after = open_file(model_in(out));
    s24_file *parts = open_file(in_folder(parts_path));
    bool ranked = strstr(constraints[which], "rank"), pruned = strstr(constraints[which], "2:4");
    int differ = 0;
    for (int64_t i = 0; i < s24_file_count(after); i++) {
        const char *name = s24_file_name(after, i);
        s24_mat x, y;
        codes of;
        if (!strstr(name, part))
            continue;
        ok(s24_file_get(before, name, &x));
        ok(s24_file_get(after, name, &y));
        size_t size = (size_t)(y.rows * y.cols);
        differ += memcmp(x.data, y.data, size * sizeof(float)) != 0;
        bool first = strstr(name, "layers.0"); /* the next is solved for what this one gives */
        for (size_t k = 0; first && pruned && !ranked && k < size; k++)
            ck_assert(((float *)x.data)[k] != 0 || ((float *)y.data)[k] == 0);
        if (!s24m_codes_of_file(parts, name, &of))
            continue;
        float *values = malloc(size * sizeof *values);
        memcpy(values, y.data, size * sizeof *values);
        done(s24m_codes_decode(&of, ctx, constraints[which], values));
        ck_assert_mem_eq(values, y.data, size * sizeof *values);
        free(values);
    }
    s24_file_destroy(before);
    s24_file_destroy(after);
    s24_file_destroy(parts);
    return differ;
}

/* Blocks, then all of it. A second tuning reads the parts that were written, and measures them. */
START_TEST(parts_are_trained)
{
    double met[2], again[2];
    open_model(tiny_models);
    run("", _i, "plain", met);
    run("refine=block", _i, "blocks", met);
    ck_assert_int_gt(check_files("plain", "blocks", _i, "proj.weight"), 7);
    ok(tune("", "plain", "out", met, NULL));
    ck_assert_msg(met[1] < met[0], "%s: %g, %g", constraints[_i], met[0], met[1]);
    ck_assert_int_gt(check_files("plain", "out", _i, "proj.weight"), 7);
    ok(tune("tune_epochs=1", "out", "further", again, NULL));
    ck_assert_msg(fabs(again[0] / met[1] - 1) < 1e-6, "%s: %g is written, %g trained",
                  constraints[_i], again[0], met[1]);
    run("refine=model", _i, "both", met);
    ck_assert_msg(met[1] < met[0], "%s: %g, %g", constraints[_i], met[0], met[1]);
    ok(tune("tune_epochs=1", "both", "last", again, NULL));
    ck_assert_msg(fabs(again[0] / met[1] - 1) < 1e-6, "%s: %g is written, %g trained",
                  constraints[_i], again[0], met[1]);
}
END_TEST

static bool are_equal(const char *a, const char *b)
{
    char command[500];
    snprintf(command, sizeof command,
             "cmp %s %s && cmp %s/sparse24/parts.safetensors %s/sparse24/parts.safetensors",
             model_in(a), model_in(b), in_folder(a), in_folder(b));
    return !system(command);
}

START_TEST(equal_bits)
{
    double met[2];
    int calls = 0;
    open_model(tiny_models);
    run("", 5, "plain", met);
    for (int threads = 1; threads <= 2; threads++) {
        ok(s24_ctx_set_int(ctx, "threads", threads));
        ok(tune("", "plain", threads == 1 ? "t1" : "t2", met, NULL));
    }
    ck_assert(are_equal("t1", "t2"));
    ck_assert_int_eq(tune("", "plain", "stopped", met, &calls), S24_E_CANCELLED);
    ok(tune("resume=1", "plain", "stopped", met, NULL));
    ck_assert(are_equal("t1", "stopped"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train parts");
    TCase *tc = tcase_create("train parts");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, gradients_of_a_grid, 0, 2);
    tcase_add_test(tc, gradients_of_factors);
    tcase_add_loop_test(tc, parts_are_trained, 0, sizeof constraints / sizeof *constraints);
    tcase_add_test(tc, equal_bits);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
