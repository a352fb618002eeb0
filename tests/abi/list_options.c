/* Every option of every solver, as the public interface tells it: the golden list options.txt. */
#include <sparse24/sparse24.h>
#include <stdio.h>

static int list_solver(s24_ctx *ctx, const char *name)
{
    static const char *const types[] = {"?", "int", "float", "str"};
    const char *option, *range, *fallback;
    s24_solver *solver;
    int32_t type;

    if (s24_solver_create(ctx, name, &solver))
        return 1;
    printf("%s: %s\n", name, s24_solver_fact(name, "constraints"));
    for (int32_t i = 0; i < s24_solver_option_count(solver); i++) {
        if (s24_solver_option_info(solver, i, &option, &type, &range, &fallback, NULL))
            return 1;
        printf("%s.%s %s [%s] = %s\n", name, option, types[type], range, fallback);
    }
    s24_solver_destroy(solver);
    return 0;
}

int main(void)
{
    s24_ctx *ctx;
    int failed = 0;

    if (s24_ctx_create(&ctx))
        return 1;
    for (int32_t i = 0; i < s24_solver_count(); i++)
        failed |= list_solver(ctx, s24_solver_name(i));
    s24_ctx_destroy(ctx);
    if (failed)
        fprintf(stderr, "%s\n", s24_last_error());
    return failed;
}
