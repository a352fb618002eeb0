/* lib/ops/sets/prox.c by its kernels: minima, and what holds for every group. */
#include "test_prox.h"
#include <stdlib.h>

int64_t group_count(int64_t usual)
{
    const char *nightly = getenv("SPARSE24_NIGHTLY");
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return usual / 20;
#endif
    return nightly && nightly[0] == '1' ? 10 * usual : usual;
}

int main(void)
{
    Suite *suite = suite_create("prox");
    suite_add_tcase(suite, minimum_tests());
    suite_add_tcase(suite, property_tests());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
