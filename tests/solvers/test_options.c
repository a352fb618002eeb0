/* Every option of every solver: its ends are accepted and solve, what lies outside is refused by
 * name and changes nothing. */
#include "grid.h"

typedef struct {
    const char *name, *range, *fallback, *help;
    int32_t type;
} option;

static option option_of(const s24_solver *solver, int32_t index)
{
    option o;
    grid_ok(
        s24_solver_option_info(solver, index, &o.name, &o.type, &o.range, &o.fallback, &o.help));
    return o;
}

/* The value as text, for comparing. */
static void read_value(const s24_solver *solver, const option *o, char out[64])
{
    const char *text;
    double number;
    int64_t integer;
    if (o->type == S24_OPT_STR) {
        grid_ok(s24_solver_get_str(solver, o->name, &text));
        snprintf(out, 64, "%s", text);
    } else if (o->type == S24_OPT_INT) {
        grid_ok(s24_solver_get_int(solver, o->name, &integer));
        snprintf(out, 64, "%lld", (long long)integer);
    } else {
        grid_ok(s24_solver_get_float(solver, o->name, &number));
        snprintf(out, 64, "%.17g", number);
    }
}

static s24_status set_value(s24_solver *solver, const option *o, const char *text)
{
    char assignment[128];
    if (o->type == S24_OPT_STR)
        return s24_solver_set_str(solver, o->name, text);
    snprintf(assignment, sizeof assignment, "%s=%s", o->name, text);
    return s24_solver_parse(solver, assignment);
}

static void check_refused(s24_solver *solver, const option *o, s24_status status)
{
    char now[64], fallback[64];
    grid_check(status == S24_E_OPTION, "%s: %s", o->name, s24_status_name(status));
    grid_check(strstr(s24_last_error(), o->name) != NULL, "'%s' does not name %s", s24_last_error(),
               o->name);
    read_value(solver, o, now);
    s24_solver_reset(solver);
    read_value(solver, o, fallback);
    ck_assert_str_eq(now, fallback);
}

/* On problems that this solver can do; a small one, for tol=0 and max_iter=10000 are among the
 * values. */
static void solve_with(s24_ctx *ctx, s24_solver *solver, const char *name)
{
    static const int some[] = {0, 4, 7, 10, 13, COLUMNS_25};
    for (int c = 0; c < 6; c++) {
        layer l = open_layer(ctx, &constraints[some[c]], 5, 16, 300);
        s24_mat ones = row_major(l.w, 5, 16, S24_F32);
        uint64_t seed = 3;
        ones.data = normals(&seed, 80);
        for (int i = 0; i < 80; i++)
            ((float *)ones.data)[i] = fabsf(((float *)ones.data)[i]);
        if (strcmp(name, "refit") == 0)
            prune(&l);
        grid_ok(s24_problem_set_importance(l.problem, &ones)); /* for wanda's score=importance */
        lend_previous(&l);                                     /* for mlprank's score=mpr */
        s24_result *result = NULL;
        s24_status status = s24_solve(solver, l.problem, &result);
        if (status == S24_OK)
            judge(&l, name, result);
        else if (status != S24_E_UNSUPPORTED)
            ck_abort_msg("%s: %s", name, s24_last_error());
        s24_result_destroy(result);
        close_layer(&l);
    }
}

static void try_words(s24_ctx *ctx, s24_solver *solver, const char *name, const option *o)
{
    char words[256], *rest = words, *choice;
    bool fallback_is_one = false;
    snprintf(words, sizeof words, "%s", o->range);
    while ((choice = strsep(&rest, "|"))) {
        fallback_is_one |= !strcmp(choice, o->fallback);
        s24_solver_reset(solver);
        grid_ok(s24_solver_set_str(solver, o->name, choice));
        solve_with(ctx, solver, name);
        s24_solver_reset(solver);
        check_refused(solver, o, s24_solver_set_int(solver, o->name, 1));
    }
    ck_assert(fallback_is_one);
    check_refused(solver, o, s24_solver_set_str(solver, o->name, "nonsense"));
    check_refused(solver, o, s24_solver_set_str(solver, o->name, ""));
    check_refused(solver, o, s24_solver_set_float(solver, o->name, 1));
}

static void try_numbers(s24_ctx *ctx, s24_solver *solver, const char *name, const option *o)
{
    double low, high, inside[3];
    char text[64];
    ck_assert_int_eq(sscanf(o->range, "%lf .. %lf", &low, &high), 2);
    inside[0] = low;
    inside[1] = high;
    inside[2] = strtod(o->fallback, NULL);
    ck_assert(low <= inside[2] && inside[2] <= high);
    for (int i = 0; i < 3; i++) {
        s24_solver_reset(solver);
        snprintf(text, sizeof text, "%.17g", inside[i]);
        grid_ok(set_value(solver, o, text));
        solve_with(ctx, solver, name);
        s24_solver_reset(solver);
    }
    if (o->type == S24_OPT_INT) {
        check_refused(solver, o, s24_solver_set_int(solver, o->name, (int64_t)low - 1));
        check_refused(solver, o, s24_solver_set_int(solver, o->name, (int64_t)high + 1));
        check_refused(solver, o, s24_solver_set_int(solver, o->name, INT64_MIN));
        check_refused(solver, o, s24_solver_set_float(solver, o->name, inside[2] + 0.5));
    } else {
        grid_ok(s24_solver_set_int(solver, o->name, (int64_t)high));
        s24_solver_reset(solver);
        check_refused(solver, o, s24_solver_set_float(solver, o->name, nextafter(low, -INFINITY)));
        check_refused(solver, o, s24_solver_set_float(solver, o->name, nextafter(high, INFINITY)));
        check_refused(solver, o, s24_solver_set_float(solver, o->name, NAN));
        check_refused(solver, o, s24_solver_set_float(solver, o->name, INFINITY));
    }
    check_refused(solver, o, s24_solver_set_str(solver, o->name, "1"));
    check_refused(solver, o, set_value(solver, o, "fast"));
}

START_TEST(options_at_their_ends)
{
    s24_ctx *ctx = open_ctx(2);
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        const char *name = s24_solver_name(k);
        s24_solver *solver = new_solver(ctx, name, false);
        for (int32_t i = 0; i < s24_solver_option_count(solver); i++) {
            option o = option_of(solver, i);
            ck_assert(*o.help && *o.range && *o.fallback);
            if (o.type == S24_OPT_STR)
                try_words(ctx, solver, name, &o);
            else
                try_numbers(ctx, solver, name, &o);
        }
        s24_solver_destroy(solver);
    }
    close_ctx(ctx);
}
END_TEST

START_TEST(unknown_options)
{
    s24_ctx *ctx = open_ctx(1);
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        s24_solver *solver = new_solver(ctx, s24_solver_name(k), false);
        ck_assert_int_eq(s24_solver_set_int(solver, "rho_", 1), S24_E_OPTION);
        ck_assert(strstr(s24_last_error(), "rho_"));
        ck_assert_int_eq(s24_solver_parse(solver, "rho_=1"), S24_E_OPTION);
        s24_solver_destroy(solver);
    }
    close_ctx(ctx);
}
END_TEST

/* The record's options, read back, give the same solve. */
START_TEST(recorded_options_repeat_the_solve)
{
    s24_ctx *ctx = open_ctx(2);
    for (int32_t k = 0; k < s24_solver_count(); k++) {
        layer l = open_layer(ctx, usual(s24_solver_name(k)), 17, 64, 300);
        if (!chooses(s24_solver_name(k)))
            prune(&l);
        s24_solver *solver = new_solver(ctx, s24_solver_name(k), false), *other;
        s24_result *result, *again;
        if (has_option(solver, "damp"))
            grid_ok(s24_solver_parse(solver, "damp_rule=mean,damp=0.0123"));
        if (has_option(solver, "max_iter"))
            grid_ok(s24_solver_parse(solver, "max_iter=3"));
        grid_ok(s24_solve(solver, l.problem, &result));
        other = new_solver(ctx, s24_solver_name(k), false);
        grid_ok(s24_solver_parse(other, word(result, "options")));
        grid_ok(s24_solve(other, l.problem, &again));
        ck_assert(!memcmp(weights_of(result), weights_of(again), 17 * 64 * sizeof(float)));
        ck_assert_str_eq(word(result, "options"), word(again, "options"));
        s24_result_destroy(again);
        s24_result_destroy(result);
        s24_solver_destroy(other);
        s24_solver_destroy(solver);
        close_layer(&l);
    }
    close_ctx(ctx);
}
END_TEST

/* What damping was used is in the record. */
START_TEST(damping_is_reported)
{
    static const char *const rules[] = {"auto", "relative", "mean"};
    s24_ctx *ctx = open_ctx(2);
    layer l = open_layer(ctx, &constraints[0], 17, 64, 300);
    for (int r = 0; r < 3; r++) {
        s24_solver *solver = new_solver(ctx, "sparsegpt", false);
        s24_result *result;
        grid_ok(s24_solver_set_str(solver, "damp_rule", rules[r]));
        grid_ok(s24_solver_set_float(solver, "damp", 0.0625));
        grid_ok(s24_solve(solver, l.problem, &result));
        ck_assert_str_eq(word(result, "damp_rule"), rules[r]);
        ck_assert((number(result, "damp_used") == 0.0625) == (r > 0));
        ck_assert(isnan(number(result, "heldout_relative_loss")) == (r > 0));
        ck_assert(number(result, "damp_used") >= 0.001 && number(result, "damp_used") <= 1);
        s24_result_destroy(result);
        s24_solver_destroy(solver);
    }
    close_layer(&l);
    close_ctx(ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = new_case(suite, "options");
    tcase_add_test(tcase, options_at_their_ends);
    tcase_add_test(tcase, unknown_options);
    tcase_add_test(tcase, recorded_options_repeat_the_solve);
    tcase_add_test(tcase, damping_is_reported);
    return run_suite(suite);
}
