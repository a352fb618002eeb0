/* lib/api: the public functions, one file an object. */
#include "api_test.h"

int main(void)
{
    Suite *suite = suite_create("api");

    api_context_tests(suite);
    api_handles_tests(suite);
    api_sums_tests(suite);
    api_derive_tests(suite);
    api_problem_tests(suite);
    api_meant_tests(suite);
    api_solve_tests(suite);
    api_run_tests(suite);
    api_files_tests(suite);
    api_operators_tests(suite);
    api_training_tests(suite);
    api_record_tests(suite);
    return unit_run(suite);
}
