/* lib/api/{solve,solver,result}.c: memory that was predicted, results and their records. */
#include "api_bench.h"
#include "base/json.h"
#include <stdio.h>

/* _i: solver, constraint, target or not. The prediction bounds what the allocator saw, closely. */
START_TEST(solve_and_its_memory)
{
    const char *name = s24_solver_name(_i / 10);
    static bench b;
    uint64_t bytes;
    s24_result *result;

    if (!name)
        return;
    set_up(&b, name, _i % 4 + 1);
    set_constraint(&b, _i / 2 % 5);
    if (!strcmp(name, "refit"))
        obey(&b, _i / 2 % 5);
    if (_i & 1)
        ok(s24_problem_set_target(b.problem, b.cross, .5));
    s24_status status = s24_solver_memory(b.solver, b.problem, &bytes);
    if (status) {
        fails(status, S24_E_UNSUPPORTED, "solver ");
        fails(status, S24_E_UNSUPPORTED, "; these can: ");
        fails(s24_solve(b.solver, b.problem, &result), S24_E_UNSUPPORTED, "s24_solve: solver ");
    } else {
        int64_t before = b.count.bytes;
        b.count.peak = before;
        ok(s24_solve(b.solver, b.problem, &result));
        double used = (double)(b.count.peak - before);
        ck_assert_double_le(used, (double)bytes);
        ck_assert_double_ge(1.25 * used, (double)bytes);
        ck_assert_double_le(number(result, "peak_bytes"), (double)bytes);
        check_result(&b, result, _i & 1);
        s24_result_destroy(result);
    }
    tear_down(&b);
}
END_TEST

START_TEST(memory_limit_refuses_before_work)
{
    static bench b;
    uint64_t bytes, current;
    s24_result *result = NULL;

    set_up(&b, "sparsegpt", 2);
    ok(s24_solver_memory(b.solver, b.problem, &bytes));
    ok(s24_ctx_memory(b.ctx, &current, NULL));
    ok(s24_ctx_set_int(b.ctx, "memory_limit", (int64_t)(current + bytes)));
    ok(s24_solve(b.solver, b.problem, &result));
    s24_result_destroy(result);
    result = NULL;
    ok(s24_ctx_memory(b.ctx, &current, NULL));
    ok(s24_ctx_set_int(b.ctx, "memory_limit", (int64_t)(current + bytes / 2)));
    int64_t calls = b.count.calls;
    fails(s24_solve(b.solver, b.problem, &result), S24_E_MEMORY, "of memory_limit");
    ck_assert_int_eq(b.count.calls, calls);
    ck_assert_ptr_null(result);
    const char *enough = strstr(s24_last_error(), ": a limit of ");
    ck_assert(enough && strstr(enough, " is enough"));
    ok(s24_ctx_set_int(b.ctx, "memory_limit", strtoll(enough + 13, NULL, 10)));
    ok(s24_solve(b.solver, b.problem, &result));
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

/* _i: what is wrong. */
START_TEST(solve_refuses)
{
    static bench b;
    s24_result *result = NULL;
    s24_gram *empty = NULL;

    set_up(&b, _i == 8 ? "wanda" : "sparsegpt", 2);
    switch (_i) {
    case 0:
        ok(s24_problem_parse(b.problem, ""));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_STATE, "no constraint");
        break;
    case 1:
        ok(s24_problem_parse(b.problem, "2:4+50%"));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_UNSUPPORTED, "a sparsity at once");
        break;
    case 2:
        ok(s24_problem_set_mask(b.problem, &b.mask));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_UNSUPPORTED,
              "solver sparsegpt honours one support at a time, and the problem has an n:m "
              "pattern and a fixed mask; these can: refit");
        break;
    case 3:
        ok(s24_gram_create(b.ctx, COLS, S24_F32, &empty));
        ok(s24_problem_set_gram(b.problem, empty));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_STATE, "gram has no rows yet");
        break;
    case 4:
        ok(s24_problem_set_target(b.problem, b.cross, .5));
        ok(s24_gram_create(b.ctx, COLS, S24_F32, &empty));
        ok(s24_gram_add(empty, &b.x.mat, NULL));
        ok(s24_gram_merge(b.gram, empty));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_STATE, "both must see the same rows");
        break;
    case 5:
        api_set(&b.w.mat, 7, 9, NAN);
        fails(s24_solve(b.solver, b.problem, &result), S24_E_NONFINITE,
              "s24_solve: w: row 7, column 9 is");
        break;
    case 6:
        ok(s24_problem_set_importance(b.problem, &b.importance.mat));
        api_set(&b.importance.mat, 3, 4, -1);
        fails(s24_solve(b.solver, b.problem, &result), S24_E_ARG,
              "importance: row 3, column 4 is -1");
        break;
    case 7:
        ok(s24_problem_set_gram(b.problem, NULL));
        ok(s24_problem_set_target(b.problem, b.cross, .5));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_STATE, "the target hangs on a gram");
        break;
    case 8:
        ok(s24_problem_parse(b.problem, ""));
        ok(s24_problem_set_mask(b.problem, &b.mask));
        fails(s24_solve(b.solver, b.problem, &result), S24_E_UNSUPPORTED,
              "solver wanda cannot honour a fixed mask");
        break;
    default:
        fails(s24_solve(b.solver, b.problem, NULL), S24_E_ARG, "out is NULL");
        fails(s24_solver_memory(b.solver, b.problem, NULL), S24_E_ARG, "bytes is NULL");
    }
    ck_assert_ptr_null(result);
    s24_gram_destroy(empty);
    tear_down(&b);
}
END_TEST

static bool is_refused(bench *b, const char *solver)
{
    s24_solver *s;
    uint64_t bytes;

    ok(s24_solver_create(b->ctx, solver, &s));
    s24_status status = s24_solver_memory(s, b->problem, &bytes);
    s24_solver_destroy(s);
    return status == S24_E_UNSUPPORTED;
}

/* Is `name` one of "a, b, c"? */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (; list; list = strchr(list, ' ')) {
        list += *list == ' ';
        if (!strncmp(list, name, length) && (!list[length] || list[length] == ','))
            return true;
    }
    return false;
}

/* What a refusal offers is what takes the whole problem, neither more nor less. */
START_TEST(refusals_name_who_can)
{
    static const struct {
        const char *constraints, *list;
        bool mask;
    } rows[] = {
        {"int4", "rtn, gptq, quantease", false},
        {"int4 g32", "rtn, gptq, quantease", false},
        {"2:4+int4", "sparsegpt, quantease", false},
        {"50%+int4", "sparsegpt, quantease", false},
        {"rank 4", "hassle", false},
        {"2:4+int4+rank 4", "hassle", false},
        {"2:4", NULL, false},
        {"row 50%", NULL, false},
        {"", NULL, true},
        {"int4", "sparsegpt, rtn, gptq, quantease", true},
        {"2:4", "refit", true},
        {"2:4+int4", "none of this build", true},
    };
    static bench b;
    static char list[512];

    set_up(&b, "magnitude", 1);
    ok(s24_problem_parse(b.problem, rows[_i].constraints));
    if (rows[_i].mask)
        ok(s24_problem_set_mask(b.problem, &b.mask));
    *list = 0;
    for (int32_t i = 0; i < s24_solver_count(); i++)
        if (is_refused(&b, s24_solver_name(i))) {
            const char *found = strstr(s24_last_error(), "; these can: ");
            ck_assert_msg(found, "%s: %s", rows[_i].constraints, s24_last_error());
            ck_assert(!*list || !strcmp(list, found + 13));
            snprintf(list, sizeof list, "%s", found + 13);
        }
    ck_assert(*list);
    if (rows[_i].list)
        ck_assert_str_eq(list, rows[_i].list);
    for (int32_t i = 0; i < s24_solver_count(); i++)
        ck_assert_msg(is_listed(list, s24_solver_name(i)) != is_refused(&b, s24_solver_name(i)),
                      "%s: %s", rows[_i].constraints, s24_solver_name(i));
    tear_down(&b);
}
END_TEST

/* ---- Results ---- */

static void check_record(const s24_result *result)
{
    static const char *const keys[] = {"solver",
                                       "options",
                                       "constraints",
                                       "loss",
                                       "relative_loss",
                                       "target_relative_loss",
                                       "heldout_relative_loss",
                                       "damp_rule",
                                       "damp_used",
                                       "rows",
                                       "cols",
                                       "calibration_rows",
                                       "nnz",
                                       "zeros",
                                       "iterations",
                                       "swaps",
                                       "residual",
                                       "stop",
                                       "flops",
                                       "blas",
                                       "seconds",
                                       "peak_bytes",
                                       "threads",
                                       "warning",
                                       "isa"};
    s24i_memory memory;
    s24i_json_doc *doc;
    const char *record = word(result, "record");
    int i = 0;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    ok(s24i_json_parse(&memory, record, strlen(record), 2, 100, &doc));
    for (const s24i_json *v = s24i_json_root(doc)->first; v; v = v->next, i++) {
        ck_assert_str_eq(v->key, keys[i]);
        if (v->kind == S24I_JSON_NUMBER)
            ck_assert_double_eq(v->number, number(result, v->key));
        else if (v->kind == S24I_JSON_STRING)
            ck_assert_str_eq(v->string, word(result, v->key));
    }
    ck_assert_int_eq(i, 25);
    s24i_json_free(doc);
}

START_TEST(results_are_enumerated)
{
    static bench b;
    s24_result *result;
    const char *name, *text;
    int32_t kind;
    int64_t integer;
    double real;
    s24_mat view;
    int count = 0;

    set_up(&b, "magnitude", 1);
    ok(s24_solve(b.solver, b.problem, &result));
    for (; (name = s24_result_name(result, count, &kind)); count++) {
        ck_assert_int_eq(s24_result_matrix(result, name, &view),
                         kind == S24_RESULT_MATRIX ? S24_OK : S24_E_ARG);
        ck_assert_int_eq(s24_result_int(result, name, &integer),
                         kind == S24_RESULT_INT ? S24_OK : S24_E_ARG);
        ck_assert_int_eq(s24_result_str(result, name, &text),
                         kind == S24_RESULT_STR ? S24_OK : S24_E_ARG);
        ck_assert_int_eq(s24_result_float(result, name, &real),
                         kind == S24_RESULT_FLOAT || kind == S24_RESULT_INT ? S24_OK : S24_E_ARG);
    }
    ck_assert_int_eq(count, 25);
    ck_assert_ptr_null(s24_result_name(result, -1, NULL));
    fails(s24_result_matrix(result, "scales", &view), S24_E_UNSUPPORTED,
          "this result has no \"scales\"");
    fails(s24_result_float(result, "target_relative_loss", &real), S24_E_UNSUPPORTED,
          "target_relative_loss");
    fails(s24_result_str(result, "damp_rule", &text), S24_E_UNSUPPORTED, "damp_rule");
    fails(s24_result_int(result, "nmz", &integer), S24_E_UNSUPPORTED, "nearest: nnz");
    fails(s24_result_int(result, "loss", &integer), S24_E_ARG,
          "\"loss\" is a float, not an integer");
    fails(s24_result_int(result, NULL, &integer), S24_E_ARG, "name is NULL");
    fails(s24_result_int(result, "nnz", NULL), S24_E_ARG, "value is NULL");
    ck_assert_str_eq(word(result, "stop"), "done");
    ck_assert(isnan(number(result, "residual")) && isnan(number(result, "damp_used")));
    check_record(result);
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

START_TEST(record_of_a_target)
{
    static bench b;
    s24_result *result;

    set_up(&b, "sparsegpt", 2);
    ok(s24_solver_parse(b.solver, "damp_rule=relative, damp=0.25"));
    ok(s24_problem_set_target(b.problem, b.cross, .5));
    ok(s24_solve(b.solver, b.problem, &result));
    check_record(result);
    ck_assert_str_eq(word(result, "damp_rule"), "relative");
    ck_assert_double_eq(number(result, "damp_used"), .25);
    ck_assert_ptr_nonnull(strstr(word(result, "options"), "damp_rule=relative,damp=0.25"));
    ck_assert_double_eq(number(result, "threads"), 2);
    s24_result_destroy(result);
    tear_down(&b);
}
END_TEST

/* ---- Options ---- */

START_TEST(solver_options)
{
    static bench b;
    const char *text, *name, *range, *fallback, *help;
    int32_t type;
    double real;
    int64_t integer = 5;

    set_up(&b, "sparsegpt", 1);
    fails(s24_solver_create(b.ctx, "sparsegtp", &b.solver), S24_E_UNSUPPORTED,
          "nearest: sparsegpt");
    fails(s24_solver_create(b.ctx, "ALPS", &b.solver), S24_E_UNSUPPORTED, "; nearest: alps");
    fails(s24_solver_create(b.ctx, "simulated", &b.solver), S24_E_UNSUPPORTED,
          "this build has no solver \"simulated\"; there are: magnitude, ");
    fails(s24_solver_create(b.ctx, NULL, &b.solver), S24_E_ARG, "name is NULL");
    ok(s24_solver_set_int(b.solver, "damp", 1));
    ok(s24_solver_get_float(b.solver, "damp", &real));
    ck_assert_double_eq(real, 1);
    fails(s24_solver_set_float(b.solver, "damp", NAN), S24_E_OPTION, "damp = nan");
    fails(s24_solver_set_float(b.solver, "dmap", 1), S24_E_OPTION, "nearest: damp");
    fails(s24_solver_get_int(b.solver, "damp", &integer), S24_E_OPTION, "damp is a number");
    fails(s24_solver_set_str(b.solver, "damp", NULL), S24_E_ARG, "value is NULL");
    fails(s24_solver_parse(b.solver, "damp=2,tol=x"), S24_E_OPTION, "tol");
    ok(s24_solver_get_float(b.solver, "damp", &real));
    ck_assert_double_eq(real, 1);
    ok(s24_solver_parse(b.solver, "preset=paper"));
    ok(s24_solver_get_str(b.solver, "refit", &text));
    ck_assert_str_eq(text, "none");
    ok(s24_solver_get_float(b.solver, "damp", &real));
    ck_assert_double_eq(real, 1);
    ok(s24_solver_reset(b.solver));
    for (int i = 0; i < s24_solver_option_count(b.solver); i++) {
        ok(s24_solver_option_info(b.solver, i, &name, &type, &range, &fallback, &help));
        ok(s24_solver_option_info(b.solver, i, NULL, NULL, NULL, NULL, NULL));
        ck_assert(*name && *range && *fallback && *help);
    }
    fails(s24_solver_option_info(b.solver, 99, &name, NULL, NULL, NULL, NULL), S24_E_ARG,
          "index is 99");
    ck_assert_ptr_null(s24_solver_fact("alpz", "title"));
    ck_assert_ptr_null(s24_solver_fact("wanda", "colour"));
    ck_assert_ptr_null(s24_solver_fact(NULL, NULL));
    ck_assert_ptr_null(s24_solver_name(-1));
    ck_assert_ptr_null(s24_solver_name(s24_solver_count()));
    ck_assert_ptr_nonnull(s24_solver_fact("wanda", "paper"));
    tear_down(&b);
}
END_TEST

/* What is listed as the default is what a new solver has. _i: solver. */
static bool is_set(const s24_solver *solver, const char *option)
{
    int32_t set = 7;

    ok(s24_solver_is_set(solver, option, &set));
    ck_assert(set == 0 || set == 1);
    return set;
}

START_TEST(options_that_were_given)
{
    static bench b;
    int32_t set = 7;

    set_up(&b, "sparsegpt", 1);
    unit_check(!is_set(b.solver, "damp") && !is_set(b.solver, "preset"));
    ok(s24_solver_parse(b.solver, "preset=paper, refit=none"));
    unit_check(is_set(b.solver, "preset") && is_set(b.solver, "refit"));
    unit_check(!is_set(b.solver, "damp_rule") && !is_set(b.solver, "damp"));
    ok(s24_solver_set_float(b.solver, "damp", 0.01)); /* though it is the default */
    fails(s24_solver_set_str(b.solver, "damp_rule", "best"), S24_E_OPTION, "damp_rule = best");
    unit_check(is_set(b.solver, "damp") && !is_set(b.solver, "damp_rule"));
    fails(s24_solver_is_set(b.solver, "dmap", &set), S24_E_OPTION, "nearest: damp");
    fails(s24_solver_is_set(b.solver, NULL, &set), S24_E_ARG, "option is NULL");
    fails(s24_solver_is_set(b.solver, "damp", NULL), S24_E_ARG, "s24_solver_is_set: set is NULL");
    ck_assert_int_eq(set, 7);
    ok(s24_solver_reset(b.solver));
    unit_check(!is_set(b.solver, "damp") && !is_set(b.solver, "preset"));
    tear_down(&b);
}
END_TEST

/* damp_rule=transfer is a relative damping, by what is asked for. */
START_TEST(damping_that_transfers)
{
    static const struct {
        const char *solver, *constraints;
        double damp;
    } cases[] = {{"sparsegpt", "2:4", 0.1},
                 {"alps", "50%", 0.1},
                 {"gptq", "int4", 0.2},
                 {"sparsegpt", "2:4+int4", 0.2},
                 {"hassle", "2:4+rank 2", 0.2}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static bench b;
        s24_result *result[2];
        s24_mat weights[2];
        const char *rule;
        double damp;
        set_up(&b, cases[i].solver, 1);
        ok(s24_problem_parse(b.problem, cases[i].constraints));
        for (int k = 0; k < 2; k++) {
            ok(s24_solver_set_str(b.solver, "damp_rule", k ? "relative" : "transfer"));
            ok(s24_solver_set_float(b.solver, "damp", k ? cases[i].damp : 7));
            ok(s24_solve(b.solver, b.problem, &result[k]));
            ok(s24_result_matrix(result[k], "weights", &weights[k]));
        }
        ok(s24_result_str(result[0], "damp_rule", &rule));
        ck_assert_str_eq(rule, "transfer");
        ok(s24_result_float(result[0], "damp_used", &damp));
        ck_assert_double_eq(damp, cases[i].damp);
        ck_assert_mem_eq(weights[0].data, weights[1].data, ROWS * COLS * sizeof(float));
        s24_result_destroy(result[1]);
        s24_result_destroy(result[0]);
        tear_down(&b);
    }
}
END_TEST

START_TEST(defaults)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    const char *name, *fallback, *text;
    s24_solver *solver;
    int32_t type;
    int64_t integer;
    double real;

    ok(s24_solver_create(ctx, s24_solver_name(_i), &solver));
    for (int i = 0; i < s24_solver_option_count(solver); i++) {
        ok(s24_solver_option_info(solver, i, &name, &type, NULL, &fallback, NULL));
        if (type == S24_OPT_INT) {
            ok(s24_solver_get_int(solver, name, &integer));
            ck_assert_int_eq(integer, strtoll(fallback, NULL, 10));
        } else if (type == S24_OPT_FLOAT) {
            ok(s24_solver_get_float(solver, name, &real));
            ck_assert_double_eq(real, strtod(fallback, NULL));
        } else {
            ok(s24_solver_get_str(solver, name, &text));
            ck_assert_str_eq(text, fallback);
        }
    }
    s24_solver_destroy(solver);
    api_done(ctx, &heap);
}
END_TEST

void api_solve_tests(Suite *suite)
{
    TCase *all = tcase_create("solve");

    tcase_add_loop_test(all, solve_and_its_memory, 0, 10 * s24_solver_count());
    tcase_add_test(all, memory_limit_refuses_before_work);
    tcase_add_loop_test(all, solve_refuses, 0, 10);
    tcase_add_loop_test(all, refusals_name_who_can, 0, 12);
    tcase_add_test(all, results_are_enumerated);
    tcase_add_test(all, record_of_a_target);
    tcase_add_test(all, solver_options);
    tcase_add_test(all, options_that_were_given);
    tcase_add_test(all, damping_that_transfers);
    tcase_add_loop_test(all, defaults, 0, s24_solver_count());
    suite_add_tcase(suite, all);
}
