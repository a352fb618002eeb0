/* Sequences of public calls, one call a step: see stories.h. */
#include "stories.h"
#include "faults.h"
#include <string.h>

stage scene;
setting told;

const char *const story_constraints[] = {"2:4",           "50%",
                                         "row 70%",       "mask",
                                         "2:4 + mask",    "int4",
                                         "int4 g16",      "2:4 + int4",
                                         "mask + int4",   "2:4 + rank 2",
                                         "rank 3",        "2:4 + int4 + rank 2",
                                         "2:4t",          "columns 25%",
                                         "2:4 dense 25%", "dictionary 20%",
                                         "2:4 blocks 4",  NULL};

static float x[TOKENS * COLS], t[TOKENS * ROWS], importance[ROWS * COLS];

s24_mat plain(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat = {0};
    s24_mat_rowmajor(&mat, data, rows, cols, dtype);
    return mat;
}

void digest_bytes(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        scene.digest = (scene.digest ^ bytes[i]) * 1099511628211u;
}

void scene_open(void)
{
    uint64_t seed = 1;
    memset(&scene, 0, sizeof scene);
    for (int i = 0; i < TOKENS * COLS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(seed >> 32) / 2147483648.0f + (i % COLS ? 0.5f * x[i - 1] : 0);
    }
    for (int i = 0; i < TOKENS * ROWS; i++)
        t[i] = x[i / ROWS * COLS + i % COLS] * (float)(i % 7 - 3);
    for (int i = 0; i < ROWS * COLS; i++) {
        scene.mask[i] = i % 4 == 0 || i % 4 == 3;
        scene.half[i] = (uint16_t)(0x3f00 + i * 7 % 251 + (i % 3 ? 0 : 0x8000));
        scene.w[i] = (float)(i * 37 % 101 - 50) / 50;
        importance[i] = (float)(i * 31 % 103);
    }
    /* Solvers that take the support of w find one that obeys. */
    const char *taken = told.solver ? s24_solver_fact(told.solver, "constraints") : "";
    for (int i = 0; i < ROWS * COLS && !strncmp(taken, "mask", 4); i++)
        scene.w[i] = scene.mask[i] && (i / 4 + i / COLS) % 2 ? scene.w[i] : 0;
}

void scene_close(void)
{
    s24_product_destroy(scene.product);
    s24_packed_destroy(scene.wrapped);
    s24_packed_destroy(scene.packed);
    s24_file_destroy(scene.second);
    s24_file_destroy(scene.file);
    s24_result_destroy(scene.result);
    s24_solver_destroy(scene.solver);
    s24_problem_destroy(scene.problem);
    s24_cross_destroy(scene.derived);
    s24_cross_destroy(scene.inputs);
    s24_gram_destroy(scene.dense);
    s24_cross_destroy(scene.twin);
    s24_cross_destroy(scene.cross);
    s24_gram_destroy(scene.copy);
    s24_gram_destroy(scene.gram);
    s24_ctx_destroy(scene.ctx);
}

/* ---- A context ---- */

s24_status make_ctx(void)
{
    return s24_ctx_create_with(fault_alloc, fault_free, NULL, &scene.ctx);
}

static int32_t run_loop(void *user, s24_task_fn task, void *arg, int64_t count, int32_t workers)
{
    if (fault_here(FAULT_RUNNER))
        return FAULT_ANSWER;
    for (int64_t i = count - 1; i >= 0; i--)
        task(arg, i, (int32_t)(i % workers));
    return 0;
}

s24_status set_threads(void)
{
    return told.host ? s24_ctx_set_parallel(scene.ctx, run_loop, NULL, 3)
                     : s24_ctx_set_int(scene.ctx, "threads", 3);
}

static s24_status set_isa(void)
{
    return s24_ctx_set_str(scene.ctx, "isa", "auto");
}

static s24_status get_isa(void)
{
    return s24_ctx_get_str(scene.ctx, "isa", &scene.text);
}

static s24_status get_threads(void)
{
    return s24_ctx_get_int(scene.ctx, "threads", &scene.integer);
}

static void drop_line(void *user, int32_t level, const char *line)
{
}

static s24_status set_log(void)
{
    s24_status status = s24_ctx_set_int(scene.ctx, "log_level", 3);
    return status ? status : s24_ctx_set_log(scene.ctx, drop_line, NULL);
}

static void one_task(void *arg, int64_t index, int32_t worker)
{
    scene.out[index] = (float)index;
}

static s24_status run_tasks(void)
{
    return s24_ctx_parallel(scene.ctx, one_task, NULL, 50);
}

/* ---- A layer ---- */

static s24_status make_gram(void)
{
    return s24_gram_create(scene.ctx, COLS, S24_F32, &scene.gram);
}

static s24_status make_copy(void)
{
    return s24_gram_create(scene.ctx, COLS, S24_F64, &scene.copy);
}

static s24_status export_half(void)
{
    s24_mat h = plain(scene.sums, COLS, COLS, S24_F64);
    return s24_gram_export(scene.gram, 1, &h, &scene.number);
}

static s24_status import_half(void)
{
    s24_mat h = plain(scene.sums, COLS, COLS, S24_F64);
    return s24_gram_import(scene.copy, 2, &h, scene.number);
}

static s24_status merge(void)
{
    return s24_gram_merge(scene.copy, scene.gram);
}

static s24_status make_cross(void)
{
    return s24_cross_create(scene.gram, ROWS, &scene.cross);
}

static s24_status add_targets(void)
{
    s24_mat rows = plain(x, TOKENS, COLS, S24_F32), wanted = plain(t, TOKENS, ROWS, S24_F32);
    return s24_gram_add_targets(scene.gram, &rows, NULL, &scene.cross, &wanted, 1);
}

static s24_status make_twin(void)
{
    return s24_cross_create(scene.copy, ROWS, &scene.twin);
}

static s24_status export_cross(void)
{
    s24_mat c = plain(scene.sums, ROWS, COLS, S24_F64);
    return s24_cross_export(scene.cross, 2, &c, scene.norms, &scene.number);
}

static s24_status import_cross(void)
{
    s24_mat c = plain(scene.sums, ROWS, COLS, S24_F64);
    return s24_cross_import(scene.twin, 1, &c, scene.norms, scene.number);
}

static s24_status merge_cross(void)
{
    return s24_cross_merge(scene.twin, scene.cross);
}

static s24_status make_dense(void)
{
    return s24_gram_create(scene.ctx, COLS, S24_F32, &scene.dense);
}

/* Of inputs that several matrices share; the crosses of their outputs follow from it. */
static s24_status make_shared(void)
{
    return s24_cross_create(scene.dense, COLS, &scene.inputs);
}

static s24_status add_shared(void)
{
    s24_mat rows = plain(x, TOKENS, COLS, S24_F32);
    return s24_gram_add_targets(scene.dense, &rows, NULL, &scene.inputs, &rows, 1);
}

static s24_status derive(void)
{
    s24_mat w = plain(scene.w, ROWS, COLS, S24_F32);
    return s24_cross_derive(scene.inputs, scene.dense, &w, &scene.derived);
}

static s24_status count_rows(void)
{
    s24_status status = s24_gram_norms(scene.copy, NULL, scene.sums);
    return status ? status : s24_gram_info(scene.copy, &scene.integer, &scene.number);
}

static s24_status make_problem(void)
{
    s24_mat w = plain(scene.w, ROWS, COLS, S24_F32);
    return s24_problem_create(scene.ctx, &w, &scene.problem);
}

static s24_status give_gram(void)
{
    return s24_problem_set_gram(scene.problem, scene.gram);
}

static s24_status give_target(void)
{
    return s24_problem_set_target(scene.problem, scene.cross, 0.5);
}

static s24_status rank_weights(void)
{
    s24_mat mat = plain(importance, ROWS, COLS, S24_F32);
    s24_mat turned = plain(scene.w, COLS, ROWS, S24_F32);
    s24_status status = s24_problem_set_previous(scene.problem, &turned, NULL, NULL);
    return status ? status : s24_problem_set_importance(scene.problem, &mat);
}

static s24_status want_pattern(void)
{
    return s24_problem_set_pattern(scene.problem, 2, 4);
}

static s24_status want_sparsity(void)
{
    return s24_problem_set_sparsity(scene.problem, 0.5, "row");
}

static s24_status want_grid(void)
{
    return s24_problem_set_grid(scene.problem, 4, 16, "sym");
}

static s24_status want_rank(void)
{
    return s24_problem_set_rank(scene.problem, 2);
}

static s24_status check_zeros(void)
{
    s24_mat zeros = plain(scene.out, ROWS, COLS, S24_F32);
    return s24_problem_check(scene.problem, &zeros);
}

/* The mask is no text. */
s24_status constrain(void)
{
    char text[64];

    strcpy(text, told.constraints);
    char *word = strstr(text, "mask");
    if (word)
        *(word > text ? word - 3 : word) = 0;
    s24_status status = s24_problem_parse(scene.problem, word == text && word[4] ? text + 7 : text);
    s24_mat mask = plain(scene.mask, ROWS, COLS, S24_U8);
    return status || !word ? status : s24_problem_set_mask(scene.problem, &mask);
}

static s24_status measure(void)
{
    s24_mat w = plain(scene.w, ROWS, COLS, S24_F32);
    return s24_problem_loss(scene.problem, &w, &scene.number, NULL);
}

static s24_status measure_target(void)
{
    s24_mat w = plain(scene.w, ROWS, COLS, S24_F32);
    return s24_problem_target_loss(scene.problem, &w, &scene.number, NULL);
}

/* ---- A solve ---- */

s24_status make_solver(void)
{
    return s24_solver_create(scene.ctx, told.solver, &scene.solver);
}

s24_status give_options(void)
{
    return s24_solver_parse(scene.solver, told.options);
}

static s24_status make_alps(void)
{
    return s24_solver_create(scene.ctx, "alps", &scene.solver);
}

static s24_status set_options(void)
{
    s24_status status = s24_solver_set_int(scene.solver, "max_iter", 3);
    if (!status)
        status = s24_solver_set_float(scene.solver, "damp", 0.02);
    return status ? status : s24_solver_set_str(scene.solver, "damp_rule", "mean");
}

static s24_status get_options(void)
{
    s24_status status = s24_solver_get_int(scene.solver, "max_iter", &scene.integer);
    if (!status)
        status = s24_solver_get_float(scene.solver, "damp", &scene.number);
    return status ? status : s24_solver_get_str(scene.solver, "damp_rule", &scene.text);
}

static s24_status read_option(void)
{
    return s24_solver_option_info(scene.solver, 0, &scene.text, NULL, NULL, NULL, NULL);
}

static s24_status reset_options(void)
{
    return s24_solver_reset(scene.solver);
}

static int32_t look(void *user, const char *phase, int64_t step, int64_t total, double objective,
                    double residual)
{
    return fault_here(FAULT_PROGRESS);
}

static s24_status watch(void)
{
    return s24_solver_set_progress(scene.solver, look, NULL);
}

static s24_status predict(void)
{
    return s24_solver_memory(scene.solver, scene.problem, &scene.bytes);
}

s24_status solve(void)
{
    s24_status status = s24_solve(scene.solver, scene.problem, &scene.result);
    for (int32_t i = 0, kind; !status && s24_result_name(scene.result, i, &kind); i++) {
        s24_mat part;
        if (kind != S24_RESULT_MATRIX ||
            s24_result_matrix(scene.result, s24_result_name(scene.result, i, NULL), &part))
            continue;
        digest_bytes(part.data, (size_t)(part.rows * part.cols * (part.dtype & 255) / 8));
    }
    return status;
}

static s24_status check(void)
{
    return s24_problem_check_result(scene.problem, scene.result);
}

static s24_status read_result(void)
{
    s24_status status = s24_result_float(scene.result, "loss", &scene.number);
    if (!status)
        status = s24_result_int(scene.result, "nnz", &scene.integer);
    return status ? status : s24_result_str(scene.result, "record", &scene.text);
}

/* ---- One call for all ---- */

static s24_status compress(void)
{
    s24_mat rows = plain(x, TOKENS, COLS, S24_F32), w = plain(scene.half, ROWS, COLS, S24_BF16);
    s24_status status =
        s24_compress(scene.ctx, told.solver, NULL, told.constraints, &rows, &w, &scene.number);

    if (!status)
        digest_bytes(scene.half, sizeof scene.half);
    return status;
}

/* ---- Matrices ---- */

static s24_status copy(void)
{
    s24_mat from = plain(scene.w, ROWS, COLS, S24_F32), to = plain(scene.half, ROWS, COLS, S24_F16);
    return s24_mat_copy(scene.ctx, &from, &to);
}

static s24_status multiply(void)
{
    s24_mat rows = plain(x, TOKENS, COLS, S24_F32), w = plain(scene.w, ROWS, COLS, S24_F32),
            y = plain(scene.out, TOKENS, ROWS, S24_F32);
    s24_status status = s24_mat_multiply(scene.ctx, &rows, &w, &y);

    if (!status)
        digest_bytes(scene.out, sizeof scene.out);
    return status;
}

/* Column-major, so that rows are gathered first. */
static s24_mat tilted(float *data)
{
    s24_mat mat = plain(data, ROWS, COLS, S24_F32);

    mat.row_stride = 1;
    mat.col_stride = ROWS;
    return mat;
}

static s24_status prox24(void)
{
    s24_mat z = tilted(scene.w), w = tilted(scene.out);
    return s24_prox24(scene.ctx, &z, 0.4, &w);
}

static s24_status prox_in_place(void)
{
    s24_mat w = tilted(scene.out);
    return s24_prox_nm(scene.ctx, &w, 2, 8, 0.1, &w);
}

static s24_status prox_firm(void)
{
    s24_mat w = tilted(scene.out);
    return s24_prox_firm(scene.ctx, &w, 3, 8, 0.5, &w);
}

static s24_status project(void)
{
    s24_mat w = tilted(scene.out), mask = plain(scene.mask, ROWS, COLS, S24_U8);
    s24_status status = s24_project_nm(scene.ctx, &w, 2, 4, &mask);

    if (!status)
        digest_bytes(scene.mask, sizeof scene.mask);
    return status;
}

static s24_status permute(void)
{
    int64_t order[COLS];
    s24_mat score = plain(scene.mask, ROWS, COLS, S24_F32);
    float squares[ROWS * COLS];

    for (int i = 0; i < ROWS * COLS; i++)
        squares[i] = scene.w[i] * scene.w[i];
    score.data = squares;
    s24_status status = s24_permutation(scene.ctx, &score, 2, 4, 0, order, NULL);
    if (!status)
        digest_bytes(order, sizeof order);
    return status;
}

/* ---- Files ---- */

static s24_status make_file(void)
{
    return s24_file_create(scene.ctx, told.path, told.format, &scene.file);
}

static s24_status put_odd(void)
{
    static const int64_t shape[3] = {1, 3, 1};
    s24_mat odd = plain(scene.mask, 1, 3, S24_I8);
    return s24_file_put(scene.file, "odd", &odd, shape, 3, NULL);
}

static s24_status put_misaligned(void)
{
    s24_mat w = tilted(scene.w);
    return s24_file_put(scene.file, "w", &w, NULL, 0, NULL);
}

static s24_status put_converted(void)
{
    s24_mat w = plain(scene.w, ROWS, COLS, S24_F32);
    return s24_file_put(scene.file, "half", &w, NULL, 0, "BF16");
}

static s24_status note(void)
{
    return s24_file_set_meta(scene.file, "made by", "a test");
}

static s24_status commit(void)
{
    return s24_file_commit(scene.file);
}

static s24_status shut(void)
{
    s24_file_destroy(scene.file);
    scene.file = NULL;
    return S24_OK;
}

static s24_status open_file(void)
{
    return s24_file_open(scene.ctx, told.path, &scene.file);
}

static s24_status view_misaligned(void)
{
    s24_status status = s24_file_get(scene.file, "w", &scene.view);

    if (!status)
        digest_bytes(scene.view.data, sizeof scene.w);
    return status;
}

static s24_status read_half(void)
{
    s24_mat to = tilted(scene.out);
    return s24_file_read(scene.file, "half", &to);
}

static s24_status read_info(void)
{
    int64_t shape[8];
    return s24_file_info(scene.file, "odd", shape, NULL, &scene.text);
}

/* Its text may be made only now. */
static s24_status read_meta(void)
{
    return s24_file_meta(scene.file, "made by") ? S24_OK : S24_E_MEMORY;
}

static s24_status make_second(void)
{
    return s24_file_create(scene.ctx, told.second, told.format, &scene.second);
}

static s24_status carry_over(void)
{
    return s24_file_copy_meta(scene.second, scene.file);
}

static s24_status put_stored(void)
{
    return s24_file_put_stored(scene.second, scene.file, "half");
}

static s24_status commit_second(void)
{
    return s24_file_commit(scene.second);
}

static const step_fn settings_steps[] = {
    make_ctx,  set_threads, set_log,     set_isa,     get_isa,       get_threads, run_tasks,
    make_alps, set_options, get_options, read_option, reset_options, NULL};
static const step_fn layer_steps[] = {
    make_ctx,     set_threads,   make_gram,   make_cross,  add_targets,    make_copy,
    make_twin,    export_half,   import_half, merge,       count_rows,     export_cross,
    import_cross, merge_cross,   make_dense,  make_shared, add_shared,     derive,
    make_problem, give_gram,     give_target, measure,     measure_target, rank_weights,
    want_pattern, want_sparsity, want_grid,   check_zeros, want_rank,      NULL};
static const step_fn solve_steps[] = {
    make_ctx,  set_threads, make_gram, make_cross,  add_targets,  make_problem,
    give_gram, give_target, constrain, make_solver, give_options, watch,
    predict,   solve,       check,     read_result, NULL};
static const step_fn blind_steps[] = {make_ctx,    set_threads,  make_problem, constrain,
                                      make_solver, give_options, watch,        predict,
                                      solve,       check,        NULL};
static const step_fn compress_steps[] = {make_ctx, set_threads, compress, NULL};
static const step_fn matrix_steps[] = {make_ctx, set_threads,   copy,      multiply,
                                       prox24,   prox_in_place, prox_firm, project,
                                       permute,  train_masks,   NULL};
static const step_fn file_steps[] = {
    make_ctx,   make_file,  put_odd,         put_misaligned, put_converted, note,      commit,
    shut,       open_file,  view_misaligned, read_half,      read_info,     read_meta, make_second,
    carry_over, put_stored, commit_second,   shut,           NULL};
const story stories[] = {{"settings", settings_steps},
                         {"layer", layer_steps},
                         {"matrices", matrix_steps},
                         {"files", file_steps, .writes = true},
                         {"solve", solve_steps, .solves = true},
                         {"without a gram", blind_steps, .solves = true},
                         {"compress", compress_steps, .solves = true},
                         {"pack", pack_steps, .packs = true},
                         {"pack a result", pack_result_steps, .packs = true},
                         {"codes", codes_steps, .decodes = true},
                         {NULL}};
