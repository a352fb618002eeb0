/* lib/api/constraints_meant.c, and the solver that a problem gets by default. */
#include "api_test.h"
#include <stdio.h>

typedef struct bench {
    unit_heap heap;
    s24_ctx *ctx;
    api_mat w;
    s24_problem *problem;
} bench;

static void set_up(bench *b)
{
    b->ctx = api_ctx(&b->heap, 2);
    b->w = api_filled(9, 40, S24_F32, PADDED, 40);
    ok(s24_problem_create(b->ctx, &b->w.mat, &b->problem));
}

static void tear_down(bench *b)
{
    s24_problem_destroy(b->problem);
    api_free(&b->w);
    api_done(b->ctx, &b->heap);
}

/* As other tools and people write it, and what is answered; "": nothing is. */
static const struct {
    const char *text, *meant;
} meant_table[] = {
    {"2/4", "2:4"},
    {"2;4", "2:4"},
    {"2of4", "2:4"},
    {"2 OF 4", "2:4"},
    {"4:2", "2:4"},
    {"50", "50%"},
    {".5", "50%"},
    {"33.3", "33.3%"},
    {"50 percent", "50%"},
    {"sparsity=0.5", "50%"},
    {"50% sparse", "50%"},
    {"rows 50", "row 50%"},
    {"4bit", "int4"},
    {"4-bit", "int4"},
    {"W4A16", "int4"},
    {"int4-g128", "int4 g128"},
    {"int4_g128", "int4 g128"},
    {"int4+g128", "int4 g128"},
    {"int4 group_size=64", "int4 g64"},
    {"int4 symmetric, group size 64", "int4 sym g64"},
    {"2:4,int4", "2:4+int4"},
    {"2:4 int4", "2:4+int4"},
    {"2:4 & 4-bit (sym)", "2:4+int4 sym"},
    {"rank=64", "rank 64"},
    {"lowrank 8+2:4", "2:4+rank 8"},
    {"colums 30", "columns 30 kept"},
    {"hads 3 of 8", "heads 3 kept of 8"},
    {"head 3/8 + 4bit", "heads 3 kept of 8+int4"},
    /* Nobody knows: */
    {"w4a8", ""},
    {"nf4", ""},
    {"sparse", ""},
    {"dense", ""},
    {"2/", ""},
    {"2/4/8", ""},
    {"50 60", ""},
    {"4bit int3", ""},
    {"3/7", ""}, /* 40 columns are no multiple of 7 */
    {"int44", ""},
    {"2:4+2/4", ""},
    {"11111111111111111111111111111111111111111111111111", ""},
    {"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz 4", ""},
};

START_TEST(constraints_that_were_meant)
{
    const char *meant = meant_table[_i].meant;
    char answer[200];
    bench b;

    set_up(&b);
    snprintf(answer, sizeof answer, "\" (did you mean \"%s\"?): ", meant);
    ck_assert_int_lt(s24_problem_parse(b.problem, meant_table[_i].text), 0);
    if (*meant) {
        ck_assert_msg(strstr(s24_last_error(), answer), "%s", s24_last_error());
        ok(s24_problem_parse(b.problem, meant));
        ck_assert_str_eq(s24_problem_constraints(b.problem), meant);
    } else {
        ck_assert_msg(!strstr(s24_last_error(), "did you mean"), "%s", s24_last_error());
    }
    tear_down(&b);
}
END_TEST

static const struct {
    const char *constraints, *solver;
} default_table[] = {
    {"", "alps"},
    {"2:4", "alps"},
    {"row 50%", "alps"},
    {"int4", "quantease"},
    {"2:4+int4", "quantease"},
    {"rank 2", "hassle"},
    {"2:4+rank 2", "hassle"},
    {"columns 30 kept", "osscar"},
    {"heads 3 kept of 8", "osscar"},
    {"1:1t", "alps"},
    {"1:1t+int4", "sparsegpt"},
    {"2:4+50%", "alps"}, /* nobody does both: alps says so */
};

START_TEST(the_solver_by_default)
{
    bench b;

    set_up(&b);
    ok(s24_problem_parse(b.problem, default_table[_i].constraints));
    ck_assert_str_eq(s24_problem_solver(b.problem), default_table[_i].solver);
    tear_down(&b);
    ck_assert_ptr_null(s24_problem_solver(NULL));
}
END_TEST

void api_meant_tests(Suite *suite)
{
    TCase *all = tcase_create("meant");

    tcase_add_loop_test(all, constraints_that_were_meant, 0,
                        sizeof meant_table / sizeof *meant_table);
    tcase_add_loop_test(all, the_solver_by_default, 0,
                        sizeof default_table / sizeof *default_table);
    suite_add_tcase(suite, all);
}
