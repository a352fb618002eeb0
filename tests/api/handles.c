/* lib/api/object.c: handles of every kind, dead, of another kind and NULL, and lifetimes. */
#include "api_test.h"

#define refuses(call, argument)                                            \
    do {                                                                   \
        fails(call, S24_E_ARG, argument);                                  \
        ck_assert(!strncmp(s24_last_error(), #call, strcspn(#call, "("))); \
    } while (0)

static void misuse_sums(void *h, const s24_mat *m)
{
    int64_t i;
    uint64_t u;
    double d;
    const char *s;
    void *out;

    refuses(s24_ctx_set_int(h, "threads", 1), "ctx ");
    refuses(s24_ctx_set_str(h, "isa", "ref"), "ctx ");
    refuses(s24_ctx_get_int(h, "threads", &i), "ctx ");
    refuses(s24_ctx_get_str(h, "isa", &s), "ctx ");
    refuses(s24_ctx_set_parallel(h, NULL, NULL, 0), "ctx ");
    refuses(s24_ctx_parallel(h, NULL, NULL, 0), "ctx ");
    refuses(s24_ctx_set_log(h, NULL, NULL), "ctx ");
    refuses(s24_ctx_memory(h, &u, &u), "ctx ");
    refuses(s24_mat_copy(h, m, m), "ctx ");
    refuses(s24_mat_multiply(h, m, m, m), "ctx ");
    refuses(s24_gram_create(h, 4, S24_F32, (s24_gram **)&out), "ctx ");
    refuses(s24_gram_add(h, m, NULL), "gram ");
    refuses(s24_gram_merge(h, h), "dst ");
    refuses(s24_gram_export(h, 1, m, &d), "gram ");
    refuses(s24_gram_import(h, 1, m, 1), "gram ");
    refuses(s24_gram_info(h, &i, &d), "gram ");
    refuses(s24_gram_norms(h, NULL, &d), "gram ");
    refuses(s24_gram_add_targets(h, m, NULL, NULL, NULL, 0), "gram ");
    refuses(s24_cross_create(h, 4, (s24_cross **)&out), "gram ");
    refuses(s24_cross_derive(h, h, m, (s24_cross **)&out), "inputs ");
    refuses(s24_cross_merge(h, h), "dst ");
    refuses(s24_cross_export(h, 1, m, &d, &d), "cross ");
    refuses(s24_cross_import(h, 1, m, &d, 1), "cross ");
}

static void misuse_problems(void *h, const s24_mat *m, s24_problem *problem)
{
    double d;
    void *out;

    refuses(s24_problem_create(h, m, (s24_problem **)&out), "ctx ");
    refuses(s24_problem_set_gram(h, NULL), "problem ");
    refuses(s24_problem_set_target(h, NULL, 0), "problem ");
    refuses(s24_problem_set_pattern(h, 2, 4), "problem ");
    refuses(s24_problem_set_sparsity(h, .5, "row"), "problem ");
    refuses(s24_problem_set_importance(h, NULL), "problem ");
    refuses(s24_problem_set_previous(h, NULL, NULL, NULL), "problem ");
    refuses(s24_problem_set_mask(h, NULL), "problem ");
    refuses(s24_problem_parse(h, "2:4"), "problem ");
    ck_assert_ptr_null(s24_problem_constraints(h));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "s24_problem_constraints: problem "));
    ck_assert_ptr_null(s24_problem_solver(h));
    ck_assert_ptr_nonnull(strstr(s24_last_error(), "s24_problem_solver: problem "));
    refuses(s24_problem_loss(h, m, &d, &d), "problem ");
    refuses(s24_problem_target_loss(h, m, &d, &d), "problem ");
    refuses(s24_problem_check(h, m), "problem ");
    refuses(s24_problem_check_result(h, NULL), "problem ");
    refuses(s24_problem_check_result(problem, h), "result ");
}

static void misuse_solvers(void *h, const s24_mat *m, s24_problem *problem, s24_solver *solver)
{
    int64_t i;
    int32_t k;
    uint64_t u;
    double d;
    const char *s;
    void *out;

    refuses(s24_solver_create(h, "wanda", (s24_solver **)&out), "ctx ");
    refuses(s24_solver_set_int(h, "a", 1), "solver ");
    refuses(s24_solver_set_float(h, "a", 1), "solver ");
    refuses(s24_solver_set_str(h, "a", ""), "solver ");
    refuses(s24_solver_parse(h, ""), "solver ");
    refuses(s24_solver_get_int(h, "a", &i), "solver ");
    refuses(s24_solver_get_float(h, "a", &d), "solver ");
    refuses(s24_solver_get_str(h, "a", &s), "solver ");
    refuses(s24_solver_is_set(h, "a", &k), "solver ");
    refuses(s24_solver_reset(h), "solver ");
    refuses(s24_solver_option_info(h, 0, &s, &k, &s, &s, &s), "solver ");
    refuses(s24_solver_set_progress(h, NULL, NULL), "solver ");
    refuses(s24_solver_memory(h, problem, &u), "solver ");
    refuses(s24_solver_memory(solver, h, &u), "problem ");
    refuses(s24_solve(h, problem, (s24_result **)&out), "solver ");
    refuses(s24_solve(solver, h, (s24_result **)&out), "problem ");
    refuses(s24_compress(h, "wanda", NULL, "2:4", NULL, m, &d), "ctx ");
}

static void misuse_results(void *h, const s24_mat *m)
{
    int64_t i;
    int32_t k;
    double d;
    size_t size;
    const char *s;
    const void *part;
    s24_mat view;
    void *out;

    refuses(s24_result_matrix(h, "mask", &view), "result ");
    refuses(s24_result_int(h, "nnz", &i), "result ");
    refuses(s24_result_float(h, "loss", &d), "result ");
    refuses(s24_result_str(h, "stop", &s), "result ");
    refuses(s24_file_open(h, "x", (s24_file **)&out), "ctx ");
    refuses(s24_file_create(h, "x", "safetensors", (s24_file **)&out), "ctx ");
    refuses(s24_file_info(h, "x", &i, &k, &s), "file ");
    refuses(s24_file_get(h, "x", &view), "file ");
    refuses(s24_file_read(h, "x", m), "file ");
    refuses(s24_file_put(h, "x", m, NULL, 0, NULL), "file ");
    refuses(s24_file_set_meta(h, "x", "y"), "file ");
    refuses(s24_file_check_copy(h, h), "file ");
    refuses(s24_file_check_source(h), "file ");
    refuses(s24_file_bytes(h, "x", &part, &size), "file ");
    refuses(s24_file_commit(h), "file ");
}

static void misuse_packed(void *h, const s24_mat *m, s24_ctx *ctx)
{
    int64_t i;
    int32_t k;
    size_t size;
    const char *s;
    const void *part = NULL;
    s24_mat view;
    void *out;

    refuses(s24_pack(h, m, NULL, "nibble", (s24_packed **)&out), "ctx ");
    refuses(s24_pack_result(h, NULL, "nibble", (s24_packed **)&out), "ctx ");
    refuses(s24_pack_result(ctx, h, "nibble", (s24_packed **)&out), "result ");
    refuses(s24_packed_wrap(h, "nibble", 4, 4, S24_F32, &part, &size, 1, (s24_packed **)&out),
            "ctx ");
    refuses(s24_packed_part(h, 0, &s, &part, &size), "packed ");
    refuses(s24_packed_matrix(h, "meta", &view), "packed ");
    refuses(s24_packed_info(h, &s, &i, &i, &k), "packed ");
    refuses(s24_packed_shape(h, "meta", &i, &k), "packed ");
    refuses(s24_unpack(h, m), "packed ");
    refuses(s24_packed_multiply(h, m, m), "packed ");
    s24_packed_destroy(h);
}

static void misuse(void *h, s24_ctx *ctx, const s24_mat *m, s24_problem *problem,
                   s24_solver *solver)
{
    int32_t k;

    misuse_sums(h, m);
    misuse_problems(h, m, problem);
    misuse_solvers(h, m, problem, solver);
    misuse_results(h, m);
    misuse_packed(h, m, ctx);
    ck_assert_int_eq(s24_solver_option_count(h), 0);
    ck_assert_int_eq(s24_file_count(h), 0);
    ck_assert_ptr_null(s24_file_name(h, 0));
    ck_assert_ptr_null(s24_file_meta(h, "x"));
    ck_assert_ptr_null(s24_file_meta_key(h, 0));
    ck_assert_ptr_null(s24_result_name(h, 0, &k));
    s24_ctx_destroy(h);
    s24_gram_destroy(h);
    s24_cross_destroy(h);
    s24_problem_destroy(h);
    s24_solver_destroy(h);
    s24_solver_cancel(h);
    s24_result_destroy(h);
    s24_file_destroy(h);
}

START_TEST(wrong_handles)
{
    unit_heap heap;
    s24_ctx *ctx = api_ctx(&heap, 1);
    float w[16] = {0};
    uint64_t garbage[8] = {1, 2, 3};
    s24_mat mat = api_view(w, 4, 4, S24_F32);
    s24_problem *problem;
    s24_solver *solver;
    s24_gram *gram;

    ok(s24_problem_create(ctx, &mat, &problem));
    ok(s24_solver_create(ctx, "wanda", &solver));
    ok(s24_gram_create(ctx, 4, S24_F32, &gram));
    ok(s24_problem_set_gram(problem, gram));
    s24_gram_destroy(gram); /* the problem keeps it, so its memory is there */
    misuse(NULL, ctx, &mat, problem, solver);
    misuse(gram, ctx, &mat, problem, solver);
    misuse(garbage, ctx, &mat, problem, solver);
    fails(s24_problem_set_gram(problem, gram), S24_E_ARG,
          "gram was already destroyed, expected a living gram");
    fails(s24_problem_set_gram(problem, (s24_gram *)solver), S24_E_ARG, "gram is a solver");
    fails(s24_problem_set_gram((s24_problem *)ctx, NULL), S24_E_ARG, "problem is a context");
    fails(s24_problem_set_gram((s24_problem *)garbage, NULL), S24_E_ARG,
          "not a handle of this library");
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    api_done(ctx, &heap);
}
END_TEST

static void destroy_one(int which, void *const *handle)
{
    switch (which) {
    case 0:
        s24_ctx_destroy(handle[0]);
        break;
    case 1:
        s24_gram_destroy(handle[1]);
        break;
    case 2:
        s24_cross_destroy(handle[2]);
        break;
    case 3:
        s24_problem_destroy(handle[3]);
        break;
    case 4:
        s24_solver_destroy(handle[4]);
        break;
    default:
        s24_result_destroy(handle[5]);
    }
}

enum { KINDS = 6, ORDERS = 720 };

static void make_all(void **handle, const s24_mat *w, const s24_mat *x)
{
    ok(s24_gram_create(handle[0], 8, S24_F32, (s24_gram **)&handle[1]));
    ok(s24_cross_create(handle[1], 4, (s24_cross **)&handle[2]));
    ok(s24_gram_add_targets(handle[1], x, NULL, (s24_cross **)&handle[2],
                            &(s24_mat){x->data, x->rows, 4, 8, 1, S24_F32, S24_CPU}, 1));
    ok(s24_problem_create(handle[0], w, (s24_problem **)&handle[3]));
    ok(s24_problem_set_gram(handle[3], handle[1]));
    ok(s24_problem_set_target(handle[3], handle[2], .5));
    ok(s24_problem_set_pattern(handle[3], 2, 4));
    ok(s24_solver_create(handle[0], "sparsegpt", (s24_solver **)&handle[4]));
    ok(s24_solve(handle[4], handle[3], (s24_result **)&handle[5]));
}

START_TEST(any_order_of_destruction)
{
    api_mat w = api_filled(4, 8, S24_F32, ROW_MAJOR, 30),
            x = api_filled(20, 8, S24_F32, ROW_MAJOR, 31);

    for (int order = 0; order < ORDERS; order++) {
        unit_heap heap;
        void *handle[KINDS] = {api_ctx(&heap, 1)};
        bool gone[KINDS] = {false};
        make_all(handle, &w.mat, &x.mat);
        for (int left = KINDS, code = order; left > 0; code /= left, left--) {
            int which = 0;
            for (int skip = code % left;; which++)
                if (!gone[which] && skip-- == 0)
                    break;
            gone[which] = true;
            destroy_one(which, handle);
        }
        unit_check(heap.blocks == 0 && !heap.wrong_size);
    }
    api_free(&x);
    api_free(&w);
}
END_TEST

void api_handles_tests(Suite *suite)
{
    TCase *all = tcase_create("handles");

    tcase_add_test(all, wrong_handles);
    tcase_add_test(all, any_order_of_destruction);
    suite_add_tcase(suite, all);
}
