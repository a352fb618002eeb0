#ifndef SPARSE24_SOLVER_H
#define SPARSE24_SOLVER_H
#include "types.h"
#ifdef __cplusplus
extern "C" {
#endif

/**
 * Names known to this build, index 0 .. count - 1. Their order is not part of the interface. NULL
 * past the end.
 */
S24_API int32_t s24_solver_count(void);
S24_API const char *s24_solver_name(int32_t index);
/**
 * Static facts about a solver: "title", "constraints", "paper", "cost". NULL: the name or key is
 * unknown.
 */
S24_API const char *s24_solver_fact(const char *name, const char *key);

/** Create the named solver with default options. S24_E_UNSUPPORTED: this build does not have it. */
S24_API s24_status s24_solver_create(s24_ctx *ctx, const char *name, s24_solver **out);
S24_API void s24_solver_destroy(s24_solver *solver);

/**
 * Set an option. The value persists until it is changed or reset. The setter must match the
 * option's type; integers also fit float options. S24_E_OPTION: the name is unknown, the type is
 * wrong, or the value is NaN or out of range; then nothing has changed. docs/options.md lists all
 * options.
 * - "preset" picks a row of tuned values: "fast", "default", "best", and "paper" for the published
 *   method unchanged.
 * - "max_iter", "tol", "time_limit" (seconds) and "damp" mean the same everywhere. A solver that
 *   has no use for one of these rejects it.
 * - Names that start with "x_" are experimental.
 */
S24_API s24_status s24_solver_set_int(s24_solver *solver, const char *option, int64_t value);
S24_API s24_status s24_solver_set_float(s24_solver *solver, const char *option, double value);
S24_API s24_status s24_solver_set_str(s24_solver *solver, const char *option, const char *value);
/**
 * Set options from a text, "rho=0.1,max_iter=200", for command lines and configuration files. After
 * an error no option has changed.
 */
S24_API s24_status s24_solver_parse(s24_solver *solver, const char *assignments);
/** Read the value in force. A string lives until the option changes or the solver is destroyed. */
S24_API s24_status s24_solver_get_int(const s24_solver *solver, const char *option, int64_t *value);
S24_API s24_status s24_solver_get_float(const s24_solver *solver, const char *option,
                                        double *value);
S24_API s24_status s24_solver_get_str(const s24_solver *solver, const char *option,
                                      const char **value);
/**
 * *set = 1 if a setter or s24_solver_parse() gave this option since creation or the last reset,
 * else 0. What a preset chose was not given.
 */
S24_API s24_status s24_solver_is_set(const s24_solver *solver, const char *option, int32_t *set);
/** Back to the defaults. */
S24_API s24_status s24_solver_reset(s24_solver *solver);

enum { S24_OPT_INT = 1, S24_OPT_FLOAT = 2, S24_OPT_STR = 3 };
/**
 * Number of options, and everything about an option as text, in static storage. Each output pointer
 * may be NULL.
 */
S24_API int32_t s24_solver_option_count(const s24_solver *solver);
S24_API s24_status s24_solver_option_info(const s24_solver *solver, int32_t index,
                                          const char **name, int32_t *type, const char **range,
                                          const char **default_value, const char **help);

/**
 * Watch and possibly stop a solve; NULL removes the function. It must not call back into the same
 * solver, except s24_solver_cancel(). While a solve runs, the options and progress of its solver
 * cannot be set (S24_E_STATE).
 */
S24_API s24_status s24_solver_set_progress(s24_solver *solver, s24_progress_fn fn, void *user);
/**
 * Ask a running solve to stop at its next check. May be called from any thread and is
 * async-signal-safe. The request ends with that solve. If no solve runs, nothing happens.
 */
S24_API void s24_solver_cancel(s24_solver *solver);
/**
 * An upper bound, and a close one, on the bytes that s24_solve() will allocate for this problem
 * with the present options and threads.
 */
S24_API s24_status s24_solver_memory(const s24_solver *solver, const s24_problem *problem,
                                     uint64_t *bytes);

/**
 * Solve. With equal inputs, options, BLAS build and instruction set the result has equal bits for
 * every number of threads, ours or BLAS's. A solver runs one solve at a time (else S24_E_STATE) and
 * may be used again.
 *
 * If iterations or time run out, or the solve is cancelled after a feasible point exists, the
 * answer is S24_OK; s24_result_str(r, "stop") tells the reason. S24_E_CANCELLED, with *out NULL,
 * means that nothing feasible existed yet.
 * - S24_E_UNSUPPORTED: this solver cannot honour the constraints.
 * - S24_E_STATE: the problem has no constraint, or calibration rows are missing.
 * - S24_E_NONFINITE names the place in w of a NaN, an infinity, or a number that single precision
 *   cannot hold.
 * - S24_E_NUMERIC: all inputs were 0, or no factorisation or loss could be computed.
 * - S24_E_MEMORY, before any work: "memory_limit" forbids what s24_solver_memory() predicts, and
 *   the solver cannot take the rows in smaller blocks (docs/memory.md).
 */
S24_API s24_status s24_solve(s24_solver *solver, const s24_problem *problem, s24_result **out);

/**
 * A single call for the common case: compress `w` in place with the named solver. `constraints` is
 * a text as for s24_problem_parse(), `options` as for s24_solver_parse() (NULL = defaults), and `x`
 * holds the calibration rows (NULL = none). relative_loss is that of the weights as rounded to w's
 * type, a ratio of squares; it may be NULL. On failure w is as it was.
 */
S24_API s24_status s24_compress(s24_ctx *ctx, const char *solver, const char *options,
                                const char *constraints, const s24_mat *x, const s24_mat *w,
                                double *relative_loss);

#ifdef __cplusplus
}
#endif
#endif
