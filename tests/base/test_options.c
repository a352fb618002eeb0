/* lib/base/options.c: options by text and number, presets, lists, errors. */
#include "../unit.h"
#include "base/json.h"
#include "base/options.h"
#include <math.h>

typedef struct values {
    s24i_word preset;
    int64_t max_iter, huge;
    double damp, tol;
    s24i_word damp_rule;
} values;

static const s24i_option table[] = {
    S24I_OPTION_STR(values, preset, "default|fast|paper", "default", "row of tuned values"),
    S24I_OPTION_INT(values, max_iter, 1, 1000, "50", "steps"),
    S24I_OPTION_INT(values, huge, 0, 9e18, "0", "bytes"),
    S24I_OPTION_FLOAT(values, damp, 0, 100, "0.01", "of the diagonal"),
    S24I_OPTION_FLOAT(values, tol, -INFINITY, INFINITY, "1e-5", "when to stop"),
    S24I_OPTION_STR(values, damp_rule, "auto|relative|mean", "auto", "what damp means"),
    {0},
};
static const s24i_preset presets[] = {
    {"default", ""},
    {"fast", "max_iter = 10, damp = 0.5"},
    {"paper", "damp=0.25,damp_rule=mean"},
    {0},
};

static values v;
static s24i_option_set set;

static void fresh(void)
{
    set = (s24i_option_set){table, presets, "solver test", &v, sizeof v, 0};
    s24i_options_reset(&set);
}

static void check(const char *preset, int64_t max_iter, double damp, const char *rule)
{
    ck_assert_str_eq(v.preset.text, preset);
    ck_assert_int_eq(v.max_iter, max_iter);
    ck_assert(v.damp == damp);
    ck_assert_str_eq(v.damp_rule.text, rule);
}

START_TEST(defaults)
{
    int64_t integer;
    double number;
    const char *word;

    check("default", 50, 0.01, "auto");
    ck_assert(v.tol == 1e-5 && v.huge == 0);
    ck_assert_uint_eq(set.explicit_mask, 0);
    ck_assert_int_eq(s24i_options_count(table), 6);
    ck_assert_str_eq(table[1].range, "1 .. 1000");
    ck_assert_int_eq(s24i_options_get_int(&set, "max_iter", &integer), S24_OK);
    ck_assert_int_eq(integer, 50);
    ck_assert_int_eq(s24i_options_get_float(&set, "damp", &number), S24_OK);
    ck_assert(number == 0.01);
    ck_assert_int_eq(s24i_options_get_str(&set, "damp_rule", &word), S24_OK);
    ck_assert_str_eq(word, "auto");
}
END_TEST

START_TEST(setting)
{
    ck_assert_int_eq(s24i_options_set_int(&set, "max_iter", 7), S24_OK);
    ck_assert_int_eq(s24i_options_set_int(&set, "damp", 2), S24_OK); /* integers fit */
    ck_assert_int_eq(s24i_options_set_str(&set, "damp_rule", "mean"), S24_OK);
    check("default", 7, 2, "mean");
    ck_assert_int_eq(s24i_options_set_float(&set, "damp", 100), S24_OK);
    ck_assert_int_eq(s24i_options_set_float(&set, "tol", -INFINITY), S24_OK);
    ck_assert_int_eq(s24i_options_set_int(&set, "huge", INT64_C(9000000000000000000)), S24_OK);
    ck_assert_int_eq(v.huge, INT64_C(9000000000000000000));
    ck_assert(v.damp == 100 && v.tol == -INFINITY);
    s24i_options_reset(&set);
    check("default", 50, 0.01, "auto");
    ck_assert_uint_eq(set.explicit_mask, 0);
}
END_TEST

static s24_status parse(const char *text)
{
    return s24i_options_parse(&set, text);
}

static const struct {
    const char *text, *says;
} refused[] = {
    {"dmap=1", "solver test: unknown option 'dmap'; nearest: damp"},
    {"zzzzzzzz=1", "solver test: unknown option 'zzzzzzzz'; there are: "},
    {"Damp=1", "unknown option 'Damp'; nearest: damp"},
    {"max_iter=0", "solver test: option max_iter = 0 is not in 1 .. 1000"},
    {"max_iter=1001", "not in 1 .. 1000"},
    {"max_iter=-5", "option max_iter = -5 is not in"},
    {"max_iter=1.5", "option max_iter is an integer, 1 .. 1000, not '1.5'"},
    {"max_iter=1e2", "is an integer"},
    {"max_iter=", "is an integer"},
    {"max_iter=99999999999999999999", "is an integer"},
    {"max_iter=abc", "not 'abc'"},
    {"damp=-0.001", "option damp = -0.001 is not in 0 .. 100"},
    {"damp=100.5", "not in 0 .. 100"},
    {"damp=nan", "option damp = nan is not in 0 .. 100"},
    {"damp=inf", "option damp = inf is not in 0 .. 100"},
    {"tol=nan", "option tol = nan"},
    {"damp=0x1", "option damp is a number, 0 .. 100, not '0x1'"},
    {"damp=0,5", "expected name=value, found '5'"},
    {"damp=", "is a number"},
    {"damp_rule=autos", "option damp_rule = autos is not in auto|relative|mean"},
    {"damp_rule=aut", "not in auto|relative|mean"},
    {"damp_rule=auto|relative", "not in auto|relative|mean"},
    {"damp_rule=", "not in auto|relative|mean"},
    {"damp_rule=averylongwordthatdoesnotfitanywhere", "not in auto|relative|mean"},
    {"preset=slow", "option preset = slow is not in default|fast|paper"},
    {"damp", "expected name=value, found 'damp'"},
    {"=1", "expected name=value"},
    {"damp=1,,tol=1", "expected name=value, found ''"},
    {"damp=1,", "expected name=value"},
    {",", "expected name=value"},
    {"damp=1,tol=2,preset=paper,max_iter=9999", "max_iter = 9999"},
    {"damp=1=2", "not '1=2'"},
};

START_TEST(refusals_change_nothing)
{
    values before = v;

    ck_assert_int_eq(parse(refused[_i].text), S24_E_OPTION);
    unit_check_text(refused[_i].says);
    ck_assert_mem_eq(&v, &before, sizeof v);
    ck_assert_uint_eq(set.explicit_mask, 0);
}
END_TEST

START_TEST(wrong_types)
{
    values before = v;
    int64_t integer = 3;
    double number = 3;
    const char *word = "w";

    ck_assert_int_eq(s24i_options_set_float(&set, "max_iter", 5), S24_E_OPTION);
    unit_check_text("option max_iter is an integer, 1 .. 1000, not a number");
    ck_assert_int_eq(s24i_options_set_str(&set, "max_iter", "5"), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_str(&set, "damp", "5"), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_int(&set, "preset", 5), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_float(&set, "preset", 5), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_int(&set, "damp", 101), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_float(&set, "damp", NAN), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_set_int(&set, "nothing", 5), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_get_int(&set, "damp", &integer), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_get_float(&set, "max_iter", &number), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_get_str(&set, "max_iter", &word), S24_E_OPTION);
    ck_assert_int_eq(s24i_options_get_str(&set, "nothing", &word), S24_E_OPTION);
    ck_assert(integer == 3 && number == 3 && !strcmp(word, "w"));
    ck_assert_mem_eq(&v, &before, sizeof v);
    ck_assert_uint_eq(set.explicit_mask, 0);
}
END_TEST

START_TEST(parsing)
{
    ck_assert_int_eq(parse(NULL), S24_OK);
    ck_assert_int_eq(parse(""), S24_OK);
    ck_assert_int_eq(parse(" \t\n"), S24_OK);
    ck_assert_uint_eq(set.explicit_mask, 0);
    ck_assert_int_eq(parse("\tmax_iter = 7 ,\n damp_rule= relative , tol=-inf,damp=1e-1 "), S24_OK);
    check("default", 7, 0.1, "relative");
    ck_assert(v.tol == -INFINITY);
    ck_assert_int_eq(parse("damp=1,damp=2"), S24_OK); /* the last one counts */
    ck_assert(v.damp == 2);
    ck_assert_int_eq(parse("max_iter=+12"), S24_OK);
    ck_assert_int_eq(v.max_iter, 12);
}
END_TEST

START_TEST(presets_yield_to_what_was_set)
{
    ck_assert_int_eq(s24i_options_set_str(&set, "preset", "fast"), S24_OK);
    check("fast", 10, 0.5, "auto");
    ck_assert_int_eq(s24i_options_set_str(&set, "preset", "paper"), S24_OK);
    check("paper", 50, 0.25, "mean"); /* nothing of "fast" is left */
    ck_assert_int_eq(s24i_options_set_float(&set, "damp", 3), S24_OK);
    ck_assert_int_eq(s24i_options_set_str(&set, "preset", "fast"), S24_OK);
    check("fast", 10, 3, "auto");

    fresh();
    ck_assert_int_eq(parse("damp=3,preset=fast"), S24_OK);
    check("fast", 10, 3, "auto");
    fresh();
    ck_assert_int_eq(parse("preset=fast,damp=3"), S24_OK);
    check("fast", 10, 3, "auto");
    ck_assert_int_eq(s24i_options_set_str(&set, "preset", "slow"), S24_E_OPTION);
    check("fast", 10, 3, "auto");
    fresh();
    ck_assert_int_eq(parse("damp=0.01"), S24_OK); /* also when it equals the default */
    ck_assert_int_eq(parse("preset=paper"), S24_OK);
    check("paper", 50, 0.01, "mean");
    s24i_options_reset(&set);
    check("default", 50, 0.01, "auto");
}
END_TEST

START_TEST(text_reads_back)
{
    s24i_memory memory;
    unit_heap heap;
    values before;

    unit_memory(&memory, &heap);
    s24i_text text = {.memory = &memory};
    s24i_options_text(&set, &text);
    ck_assert_str_eq(text.data,
                     "preset=default,max_iter=50,huge=0,damp=0.01,tol=1e-05,damp_rule=auto");
    s24i_text_free(&text);
    ck_assert_int_eq(
        parse("preset=paper,damp=0.3333333333333333148,tol=-inf,huge=9000000000000000000"), S24_OK);
    before = v;
    s24i_options_text(&set, &text);
    fresh();
    ck_assert_int_eq(parse(text.data), S24_OK);
    ck_assert_mem_eq(&v, &before, sizeof v);
    s24i_text_free(&text);
    unit_check_heap(&memory, &heap);
}
END_TEST

/* A context has no presets; a solver may have no options at all. */
START_TEST(other_tables)
{
    static const s24i_option none[] = {{0}};
    static const s24i_option too_long[] = {
        S24I_OPTION_STR(values, preset, "a|abcdefghijklmnopqrstuvwx", "a",
                        "no room for the second"),
        {0},
    };
    static const s24i_option plain[] = {
        S24I_OPTION_STR(values, preset, "a|b", "b", "just a word here"),
        S24I_OPTION_INT(values, max_iter, 0, 10, "3", "number"),
        {0},
    };

    set = (s24i_option_set){plain, NULL, "context", &v, sizeof v, 0};
    s24i_options_reset(&set);
    ck_assert_str_eq(v.preset.text, "b");
    ck_assert_int_eq(v.max_iter, 3);
    ck_assert_int_eq(parse("max_iter=5"), S24_OK);
    ck_assert_int_eq(parse("preset=a"), S24_OK);
    ck_assert_int_eq(v.max_iter, 5);
    set = (s24i_option_set){too_long, NULL, "context", &v, sizeof v, 0};
    s24i_options_reset(&set);
    ck_assert_int_eq(parse("preset=abcdefghijklmnopqrstuvwx"), S24_E_OPTION);
    ck_assert_str_eq(v.preset.text, "a");
    set = (s24i_option_set){none, NULL, "solver x", &v, 0, 0};
    s24i_options_reset(&set);
    ck_assert_int_eq(s24i_options_count(none), 0);
    ck_assert_int_eq(parse("damp=1"), S24_E_OPTION);
    unit_check_text("solver x: unknown option 'damp'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *all = tcase_create("options");

    tcase_add_checked_fixture(all, fresh, NULL);
    tcase_add_test(all, defaults);
    tcase_add_test(all, setting);
    tcase_add_loop_test(all, refusals_change_nothing, 0, sizeof refused / sizeof *refused);
    tcase_add_test(all, wrong_types);
    tcase_add_test(all, parsing);
    tcase_add_test(all, presets_yield_to_what_was_set);
    tcase_add_test(all, text_reads_back);
    tcase_add_test(all, other_tables);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
