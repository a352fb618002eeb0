/* lib/io/gguf_write.c: bytes as the description has them, metadata carried over. */
#include "../scratch.h"
#include "bytes.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static bytes expected;
static unsigned char got[BYTES_ROOM];

static s24i_writer *create_gguf(void)
{
    s24i_writer *w = NULL;

    ck_assert_int_eq(s24i_writer_create(&memory, path, "gguf", &w), S24_OK);
    return w;
}

static void check_file(const bytes *b)
{
    ck_assert_uint_eq(read_bytes((char *)got, sizeof got), b->size);
    ck_assert_mem_eq(got, b->at, b->size);
}

/* Metadata of many types; the file's data follow. */
static void put_many(bytes *b, uint64_t tensors, uint32_t alignment)
{
    put_header(b, 3, tensors, 6);
    put_string(b, "general.architecture", "llama");
    put_number(b, "general.alignment", 4, alignment, 4);
    put_number(b, "rate", 6, 0x3f000000, 4);
    put_array(b, "tokens", 8, 3);
    put_text(b, "a");
    put_text(b, "\xff\xfe"); /* bytes that are no text survive too */
    put_text(b, "");
    put_array(b, "deep", 9, 1);
    put_int(b, 7, 4);
    put_int(b, 2, 8);
    put_int(b, 1, 2);
    put_number(b, "flag", 7, 0, 1);
}

START_TEST(exact_bytes)
{
    float f[6] = {1, 2, 3, 4, 5, 6};
    uint16_t h[3] = {0x3c00, 0x4000, 0x4200};
    int64_t shape[3] = {1, 2, 3};
    s24_mat a = matrix(f, 2, 3, S24_F32), b = matrix(h, 1, 3, S24_F16);
    s24i_writer *w = create_gguf();

    ck_assert_int_eq(s24i_writer_set_meta(w, "general.name", "x"), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "a", &a, shape, 3, NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, "b", &b, shape + 2, 1, NULL), S24_OK);
    commit(w);
    put_header(&expected, 3, 2, 1);
    put_string(&expected, "general.name", "x");
    put_tensor(&expected, "a", 3, 3, 2, 0, 0);
    put_tensor(&expected, "b", 1, 3, 1, 1, 32);
    pad(&expected, 32);
    put_raw(&expected, f, sizeof f);
    pad(&expected, 32);
    put_raw(&expected, h, sizeof h);
    pad(&expected, 32);
    check_file(&expected);
}
END_TEST

/* Copied metadata and stored tensors give the file again. */
START_TEST(carried_over)
{
    uint32_t alignment = (uint32_t)_i;
    s24i_reader *file;
    s24i_writer *w;

    put_many(&expected, 3, alignment);
    put_tensor(&expected, "norm", 1, 3, 1, 0, 0);
    put_tensor(&expected, "k", 2, 256, 2, 14, alignment); /* Q6_K: copied, not read */
    uint64_t after = (alignment + 420 + alignment - 1) / alignment * alignment;
    put_tensor(&expected, "q", 4, 32, 1, 3, after);
    pad(&expected, alignment);
    put_noise(&expected, 12, 1);
    pad(&expected, alignment);
    put_noise(&expected, 420, 2);
    pad(&expected, alignment);
    put_noise(&expected, 20, 3);
    pad(&expected, alignment);
    write_bytes(expected.at, expected.size);
    file = reopen();
    w = create_gguf();
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK); /* replaces */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, i)), S24_OK);
    ck_assert_int_eq(s24i_writer_put_stored(w, s24i_reader_at(file, 0)), S24_E_ARG);
    commit(w);
    s24i_reader_close(file);
    check_file(&expected);
}
END_TEST

START_TEST(typed_metadata_stays_typed)
{
    s24i_reader *file;
    s24i_writer *w = create_gguf();

    put_many(&expected, 0, 64);
    write_bytes(expected.at, expected.size);
    file = reopen();
    ck_assert_int_eq(s24i_writer_copy_meta(w, file), S24_OK);
    s24i_reader_close(file);
    ck_assert_int_eq(s24i_writer_set_meta(w, "rate", "0.25"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "flag", "true"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "general.alignment", "128"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "general.architecture", "other"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "rate", "fast"), S24_E_ARG);
    unit_check_text("key 'rate' is 'fast', which its type cannot hold");
    ck_assert_int_eq(s24i_writer_set_meta(w, "flag", "yes"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "tokens", "[]"), S24_E_ARG);
    unit_check_text("is an array");
    ck_assert_int_eq(s24i_writer_set_meta(w, "gone", "soon"), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "gone", NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "gone", NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_set_meta(w, "general.alignment", "-1"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "general.alignment", "4294967296"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "general.alignment", "48"), S24_E_ARG);
    unit_check_text("must be a power of 2");
    commit(w);
    file = reopen();
    ck_assert_str_eq(meta_of(file, "rate"), "0.25");
    ck_assert_str_eq(meta_of(file, "flag"), "true");
    ck_assert_str_eq(meta_of(file, "general.alignment"), "128");
    ck_assert_str_eq(s24i_reader_meta_key(file, 0), "general.architecture");
    ck_assert_str_eq(meta_of(file, "general.architecture"), "other");
    ck_assert_ptr_null(meta_of(file, "gone"));
    s24i_reader_close(file);
}
END_TEST

START_TEST(block_types)
{
    static float x[5 * 96], y[32];
    static const char *const names[] = {"Q4_0", "Q4_1", "Q8_0"};
    static const float step[] = {1 / 7.0f, 1 / 15.0f, 1 / 127.0f};
    s24i_writer *w = create_gguf();
    const s24i_tensor *t = NULL;
    s24_mat mat = matrix(x, 3, 64, S24_F32);

    for (int i = 0; i < 5 * 96; i++)
        x[i] = (float)((i * 7919) % 1001) / 500 - 1;
    mat.row_stride = 96; /* not contiguous */
    for (int n = 0; n < 3; n++)
        ck_assert_int_eq(s24i_writer_put(w, names[n], &mat, NULL, 0, names[n]), S24_OK);
    mat.cols = 48;
    ck_assert_int_eq(s24i_writer_put(w, "odd", &mat, NULL, 0, "Q8_0"), S24_E_SHAPE);
    unit_check_text("rows of 48 are not whole blocks of 32");
    ck_assert_int_eq(s24i_writer_put(w, "fold", &mat, (int64_t[]){2, 72}, 2, "Q8_0"), S24_E_SHAPE);
    mat.cols = 64;
    ck_assert_int_eq(s24i_writer_put(w, "no", &mat, NULL, 0, "Q5_0"), S24_E_DTYPE);
    ck_assert_int_eq(s24i_writer_put(w, "no", &mat, NULL, 0, "Q4_K"), S24_E_DTYPE);
    ck_assert_int_eq(s24i_writer_put(w, "no", &mat, NULL, 0, "BOOL"), S24_E_DTYPE);
    unit_check_text("format gguf has no type BOOL");
    x[2 * 96 + 40] = (float)(0.0 / 0.0);
    ck_assert_int_eq(s24i_writer_put(w, "nan", &mat, NULL, 0, "Q4_0"), S24_E_NONFINITE);
    unit_check_text("tensor 'nan': row 2, column 40");
    x[2 * 96 + 40] = 0.5f;
    ck_assert_int_eq(s24i_writer_put(w, "nan", &mat, NULL, 0, "F32"), S24_OK); /* added nothing */
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 4);
    for (int n = 0; n < 3; n++) {
        ck_assert_int_eq(s24i_reader_find(file, names[n], &t), S24_OK);
        ck_assert(t->rank == 2 && t->shape[0] == 3 && t->shape[1] == 64);
        for (int b = 0; b < 4; b++) { /* the first two rows: their values did not change */
            t->element->decode(t->data + b * t->element->bits / 8, y);
            for (int j = 0; j < 32; j++) {
                float error = y[j] - x[b / 2 * 96 + b % 2 * 32 + j];
                unit_check(error * error < 1.1f * step[n] * step[n]);
            }
        }
    }
    s24i_reader_close(file);
}
END_TEST

START_TEST(refusals)
{
    static const char longest[] = "123456789012345678901234567890123456789012345678901234567890123";
    static float data[4];
    char longer[80];
    s24_mat mat = matrix(data, 2, 2, S24_F32);
    int64_t shape[5] = {1, 1, 1, 2, 2};
    s24i_writer *w = create_gguf(), *plain = NULL;

    snprintf(longer, sizeof longer, "%s4", longest);
    ck_assert_int_eq(s24i_writer_put(w, longest, &mat, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(s24i_writer_put(w, longer, &mat, NULL, 0, NULL), S24_E_ARG);
    unit_check_text("longer than the format allows");
    ck_assert_int_eq(s24i_writer_put(w, "deep", &mat, shape, 5, NULL), S24_E_SHAPE);
    unit_check_text("rank 5 is not in 0 .. 4");
    ck_assert_int_eq(s24i_writer_set_meta(w, "", "x"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "a\n", "x"), S24_E_ARG);
    ck_assert_int_eq(s24i_writer_set_meta(w, "a", "\xff"), S24_E_ARG);
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(s24i_writer_create(&memory, path, "safetensors", &plain), S24_OK);
    ck_assert_int_eq(s24i_writer_copy_meta(plain, file), S24_E_UNSUPPORTED);
    unit_check_text("metadata of format gguf cannot be carried over to safetensors");
    ck_assert_int_eq(s24i_writer_put_stored(plain, s24i_reader_at(file, 0)), S24_OK);
    s24i_tensor other = *s24i_reader_at(file, 0);
    other.name = "q";
    other.element = s24i_element_by_name("Q4_0");
    other.type = other.element->name;
    ck_assert_int_eq(s24i_writer_put_stored(plain, &other), S24_E_DTYPE);
    unit_check_text("format safetensors has no type Q4_0");
    s24i_writer_discard(plain);
    s24i_reader_close(file);
}
END_TEST

START_TEST(commit_fails_and_is_tried_again)
{
    s24_mat mat = matrix("abcd", 1, 4, S24_I8);
    s24i_writer *w = create_gguf();

    ck_assert_int_eq(s24i_writer_put(w, "x", &mat, NULL, 0, NULL), S24_OK);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_IO);
    ck_assert_int_eq(files_here(), 1);
    ck_assert_int_eq(rmdir(path), 0);
    commit(w);
    s24i_reader_close(reopen());
}
END_TEST

/* A disk that takes no byte beyond `size`. */
static void limit_files(rlim_t size)
{
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, RLIM_INFINITY}), 0);
}

START_TEST(disk_is_full)
{
    static const float data[5000];
    s24_mat mat = matrix(data, 1, 5000, S24_F32);
    s24i_writer *w = create_gguf();

    write_bytes("old", 3);
    ck_assert_int_eq(s24i_writer_put(w, "x", &mat, NULL, 0, NULL), S24_OK);
    limit_files(30000);
    ck_assert_int_eq(s24i_writer_put(w, "y", &mat, NULL, 0, NULL), S24_E_IO);
    unit_check_text("write: File too large");
    limit_files(20000);
    ck_assert_int_eq(s24i_writer_commit(w), S24_E_IO);
    unit_check_text("a.safetensors: write: File too large");
    ck_assert_int_eq(files_here(), 1);
    ck_assert_uint_eq(read_bytes((char *)got, sizeof got), 3);
    limit_files(RLIM_INFINITY);
    commit(w);
    s24i_reader *file = reopen();
    ck_assert_int_eq(file->count, 1);
    s24i_reader_close(file);
}
END_TEST

static s24_status whole_story(s24i_reader *from)
{
    static const float data[64];
    s24_mat mat = matrix(data, 2, 32, S24_F32);
    s24i_writer *w = NULL;
    s24_status status = s24i_writer_create(&memory, path, "gguf", &w);

    if (!status)
        status = s24i_writer_copy_meta(w, from);
    if (!status)
        status = s24i_writer_set_meta(w, "general.architecture", "other");
    if (!status)
        status = s24i_writer_set_meta(w, "new", "key");
    if (!status)
        status = s24i_writer_put(w, "q", &mat, NULL, 0, "Q4_1");
    if (!status)
        status = s24i_writer_put(w, "f", &mat, NULL, 0, NULL);
    if (!status)
        status = s24i_writer_commit(w);
    s24i_writer_discard(w);
    return status;
}

START_TEST(memory_is_refused)
{
    static s24i_memory own;
    static unit_heap own_heap;
    s24i_reader *from;
    s24_status status = S24_E_MEMORY;

    put_many(&expected, 0, 32);
    write_bytes(expected.at, expected.size);
    unit_memory(&own, &own_heap);
    ck_assert_int_eq(s24i_reader_open(&own, path, &from), S24_OK);
    for (int64_t k = 1; status; k++) {
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = whole_story(from);
        ck_assert(status == S24_OK || status == S24_E_MEMORY);
        ck_assert_int_eq(files_here(), 1);
        unit_check_heap(&memory, &heap);
    }
    s24i_reader_close(from);
    unit_check_heap(&own, &own_heap);
    unit_memory(&memory, &heap);
    s24i_reader_close(reopen());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf_write");
    TCase *all = tcase_create("gguf_write");

    tcase_add_checked_fixture(all, set_up, tear_down);
    tcase_add_test(all, exact_bytes);
    tcase_add_loop_test(all, carried_over, 32, 33);
    tcase_add_loop_test(all, carried_over, 256, 257);
    tcase_add_test(all, typed_metadata_stays_typed);
    tcase_add_test(all, block_types);
    tcase_add_test(all, refusals);
    tcase_add_test(all, commit_fails_and_is_tried_again);
    tcase_add_test(all, disk_is_full);
    tcase_add_test(all, memory_is_refused);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
