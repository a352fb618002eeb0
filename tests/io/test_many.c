/* lib/io/names.c and reader.c: very many tensors take no quadratic time. */
#include "folders.h"
#include "io/names.h"

enum { MANY = 30000, SCATTER = 61681 }; /* coprime: every number below MANY once, in no order */

static void name_of(int64_t i, char name[16])
{
    snprintf(name, 16, "t%05d", (int)(i * SCATTER % MANY));
}

/* Names in any order are found again, and only they. */
START_TEST(names)
{
    static char text[MANY][16];
    s24i_names set = {0};

    for (int64_t i = 0; i < MANY; i++) {
        name_of(i, text[i]);
        if (i % 1000 == 0)
            unit_check(!s24i_names_hold(&set, text[i]));
        ck_assert_int_eq(s24i_names_reserve(&memory, &set), S24_OK);
        s24i_names_add(&set, text[i]);
        if (i % 1000 == 0)
            unit_check(s24i_names_hold(&set, text[i]) && s24i_names_hold(&set, text[i / 2]));
    }
    for (int64_t i = 0; i < MANY; i++)
        unit_check(s24i_names_hold(&set, text[i]));
    ck_assert(!s24i_names_hold(&set, "t") && !s24i_names_hold(&set, "t29999x"));
    s24i_names_free(&memory, &set);
}
END_TEST

/* A file of many tensors in no order, there and back. */
START_TEST(tensors)
{
    static const char *const formats[] = {"safetensors", "gguf", "folder[shard_bytes=4000000]"};
    const char *place = _i == 2 ? target : path;
    s24i_writer *w = NULL, *copy = NULL;
    char name[16];
    float value;
    s24_mat view, mat = matrix(&value, 1, 1, S24_F32);
    int64_t shape[1] = {1};

    ck_assert_int_eq(s24i_writer_create(&memory, place, formats[_i], &w), S24_OK);
    for (int64_t i = 0; i < MANY; i++) {
        name_of(i, name);
        value = (float)i;
        unit_check(s24i_writer_put(w, name, &mat, shape, 1, NULL) == S24_OK);
    }
    ck_assert_int_eq(s24i_writer_put(w, name, &mat, NULL, 0, NULL), S24_E_ARG);
    commit(w);
    s24i_reader *file = open_folder(place);
    ck_assert_int_eq(file->count, MANY);
    ck_assert_int_eq(s24i_writer_create(&memory, in_source("copy"), "safetensors", &copy), S24_OK);
    for (int64_t i = 0; i < MANY; i++) {
        name_of(i, name);
        unit_check(s24i_reader_view(file, name, &view) == S24_OK &&
                   *(const float *)view.data == (float)i);
        unit_check(s24i_writer_put_stored(copy, s24i_reader_at(file, i)) == S24_OK);
    }
    for (int64_t i = 0; i < 1000; i++) /* what is not there is told in no time either */
        unit_check(s24i_reader_view(file, "t2000", &view) == S24_E_ARG);
    unit_check_text("nearest: t2000");
    s24i_writer_discard(copy);
    s24i_reader_close(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("many");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, set_up_folders, tear_down_folders);
    tcase_add_test(all, names);
    tcase_add_loop_test(all, tensors, 0, 3);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
