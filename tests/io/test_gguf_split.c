/* lib/io/gguf_split.c: a model in several files, opened by any of them. */
#include "folders.h"
#include "bytes.h"

static bytes part;

/* Part `no` of `count` with the tensors of those names, one number each, that say `told` tensors in
 * all. */
static void write_part(const char *name, int no, int count, const char *letters, int told)
{
    put_header(&part, 3, strlen(letters), no ? 3 : 5);
    if (!no) {
        put_string(&part, "general.architecture", "llama");
        put_number(&part, "llama.block_count", 4, 7, 4);
    }
    put_number(&part, "split.no", 2, (uint64_t)no, 2);
    put_number(&part, "split.count", 2, (uint64_t)count, 2);
    put_number(&part, "split.tensors.count", 5, (uint64_t)told, 4);
    for (size_t i = 0; letters[i]; i++)
        put_tensor(&part, (char[]){letters[i], 0}, 1, 3, 1, 0, 32 * i);
    pad(&part, 32);
    for (size_t i = 0; letters[i]; i++) {
        float data[3] = {(float)letters[i], (float)letters[i], (float)letters[i]};
        put_raw(&part, data, sizeof data);
        pad(&part, 32);
    }
    FILE *f = fopen(in_source(name), "wb");
    ck_assert_uint_eq(fwrite(part.at, 1, part.size, f), part.size);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_three(void)
{
    write_part("m-00001-of-00003.gguf", 0, 3, "ca", 4);
    write_part("m-00002-of-00003.gguf", 1, 3, "d", 4);
    write_part("m-00003-of-00003.gguf", 2, 3, "b", 4);
}

static void check_whole(const char *name)
{
    s24i_reader *file = open_folder(name);

    ck_assert_int_eq(file->count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(s24i_reader_at(file, i)->name[0], "cadb"[i]);
        check_tensor(file, (char[]){"abcd"[i], 0});
    }
    ck_assert_str_eq(meta_of(file, "llama.block_count"), "7");
    ck_assert_str_eq(s24i_reader_meta_key(file, 1), "llama.block_count");
    ck_assert_ptr_null(s24i_reader_meta_key(file, 2)); /* nothing of the split */
    ck_assert_ptr_null(meta_of(file, "split.count"));
    ck_assert_int_eq(s24i_reader_check_sources(file), S24_OK);
    s24i_reader_close(file);
}

START_TEST(any_part_stands_for_all)
{
    write_three();
    check_whole(in_source("m-00001-of-00003.gguf"));
    check_whole(in_source("m-00002-of-00003.gguf"));
    check_whole(in_source("m-00003-of-00003.gguf"));
    check_whole(source); /* the folder */
}
END_TEST

/* What is written from it is one file, which is no part. */
START_TEST(written_as_one)
{
    s24i_writer *w = NULL;

    write_three();
    s24i_reader *file = open_folder(source);
    ck_assert_int_eq(s24i_writer_create(&memory, path, "gguf", &w), S24_OK);
    ck_assert_int_eq(s24i_writer_check_copy(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, i)), S24_OK);
    s24i_reader_close(file);
    commit(w);
    check_whole(path);
}
END_TEST

static void part_refused(s24_status status, const char *says)
{
    s24i_reader *file = NULL;

    ck_assert_int_eq(s24i_reader_open(&memory, in_source("m-00001-of-00003.gguf"), &file), status);
    unit_check_text(says);
    ck_assert_ptr_null(file);
}

START_TEST(parts_that_do_not_fit)
{
    write_three();
    unlink(in_source("m-00002-of-00003.gguf"));
    part_refused(S24_E_IO, "part 2 of 3 of a split model: ");
    part_refused(S24_E_IO, "source/m-00002-of-00003.gguf: open: No such file");
    write_part("m-00002-of-00003.gguf", 2, 3, "d", 4);
    part_refused(S24_E_FORMAT, "source/m-00002-of-00003.gguf is not part 2 of 3 of this model");
    write_part("m-00002-of-00003.gguf", 1, 2, "d", 4);
    part_refused(S24_E_FORMAT, "split.no is 1 and split.count 2, not 1 and 3");
    write_part("m-00002-of-00003.gguf", 1, 3, "d", 5);
    part_refused(S24_E_FORMAT, "key 'split.tensors.count' has another value in the first part");
    write_part("m-00002-of-00003.gguf", 1, 3, "de", 4);
    part_refused(S24_E_FORMAT, "split.tensors.count is 4, but the 3 parts have 5");
    write_part("m-00002-of-00003.gguf", 1, 3, "a", 4);
    part_refused(S24_E_FORMAT, "tensor 'a': is there twice");
    write_text(in_source("m-00002-of-00003.gguf"), "<!DOCTYPE html>");
    part_refused(S24_E_FORMAT, "m-00002-of-00003.gguf: this is an HTML or XML page");
    write_part("m-00001-of-00003.gguf", 1, 3, "ca", 4);
    part_refused(S24_E_FORMAT, "m-00001-of-00003.gguf is part 2 of 3 of a split model, so its name "
                               "must end in -00002-of-00003.gguf");
    write_part("m-00001-of-00003.gguf", 3, 3, "ca", 4);
    part_refused(S24_E_FORMAT, "split.no is 3 with split.count 3");
}
END_TEST

/* A model that was merged says so by a count of 0, one that was not cut by 1. */
START_TEST(no_parts)
{
    for (int count = 0; count < 2; count++) {
        write_part("any.gguf", 0, count, "ab", 2);
        s24i_reader *file = open_folder(in_source("any.gguf"));
        ck_assert_int_eq(file->count, 2);
        ck_assert_str_eq(meta_of(file, "split.count"), count ? "1" : "0");
        s24i_reader_close(file);
    }
}
END_TEST

START_TEST(memory_is_refused)
{
    s24_status status = S24_E_MEMORY;
    int64_t k;

    write_three();
    for (k = 1; status; k++) {
        s24i_reader *file = NULL;
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = s24i_reader_open(&memory, source, &file);
        ck_assert_msg(status == S24_OK || status == S24_E_MEMORY, "%lld: %s", (long long)k,
                      s24i_error_text());
        s24i_reader_close(file);
        unit_check_heap(&memory, &heap);
    }
    ck_assert_int_gt(k, 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf_split");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, set_up_folders, tear_down_folders);
    tcase_add_test(all, any_part_stands_for_all);
    tcase_add_test(all, written_as_one);
    tcase_add_test(all, parts_that_do_not_fit);
    tcase_add_test(all, no_parts);
    tcase_add_test(all, memory_is_refused);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
