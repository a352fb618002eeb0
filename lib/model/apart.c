#include "apart.h"
#include "terms.h"
#include <string.h>

/* What these are told of the other rows of a matrix decides nothing: tests/model/test_apart.c. Any
 * other solver is taken to need all of them. */
static bool knows_rows(const char *solver)
{
    static const char *const names[] = {"magnitude", "wanda", "sparsegpt", "prox24",
                                        "alps",      "rtn",   "gptq",      "quantease"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], solver))
            return true;
    return false;
}

static bool is_word(const s24_solver *solver, const char *option, const char *value)
{
    const char *is;
    return s24_solver_get_str(solver, option, &is) == S24_OK && !strcmp(is, value);
}

static bool is_above_zero(const s24_solver *solver, const char *option)
{
    double number;
    int64_t count;
    return (s24_solver_get_float(solver, option, &number) == S24_OK && number > 0) ||
           (s24_solver_get_int(solver, option, &count) == S24_OK && count > 0);
}

/* Damping by two halves is chosen for a sample of the rows; published schedules go by how much of
 * the whole support changes; outliers are a share of the whole matrix. */
static bool spans_rows(const char *name, const s24_solver *solver)
{
    bool published = !strcmp(name, "alps") || !strcmp(name, "prox24");
    return (published && is_word(solver, "preset", "paper")) ||
           is_word(solver, "damp_rule", "auto") || is_word(solver, "schedule", "published") ||
           is_word(solver, "method", "gradient") || is_above_zero(solver, "outliers") ||
           is_above_zero(solver, "block_sweeps");
}

/* Of 2:4t four outputs stand together; other rows in eights, which kernels take at once. */
static int64_t unit_of(const char *constraints)
{
    enum { ABREAST = 8 };
    terms t = s24m_terms(constraints);
    const char *pattern = strchr(constraints, ':');
    bool transposed = pattern && pattern[1 + strspn(pattern + 1, "0123456789")] == 't';
    if (t.unit || t.rank || (t.sparsity && !strstr(constraints, "row ")))
        return 0;
    return transposed ? t.of : ABREAST;
}

bool s24m_rows_apart(const settings *s, const matrix *m, int64_t *unit)
{
    s24_problem *problem = NULL;
    s24_solver *solver = NULL;
    s24_status status = s24_problem_create(s->ctx, &m->w, &problem);
    status = status ? status : s24_problem_parse(problem, m->constraints);
    bool done = s24m_good(status, "%s", m->tensor) && s24m_matrix_solver(&solver, s, problem);
    if (done) {
        const char *name = s->solver ? s->solver : s24_problem_solver(problem);
        bool apart = knows_rows(name) && !spans_rows(name, solver);
        *unit = apart ? unit_of(s24_problem_constraints(problem)) : 0;
    }
    s24_solver_destroy(solver);
    s24_problem_destroy(problem);
    return done;
}
