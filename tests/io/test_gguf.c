/* lib/io/gguf.c and gguf_value.c: files byte by byte, each fault told by place. */
#include "../scratch.h"
#include "bytes.h"
#include <fcntl.h>
#include <math.h>

static bytes file_bytes;

static s24i_reader *open_bytes(const bytes *b)
{
    write_bytes(b->at, b->size);
    return reopen();
}

static void refused(const bytes *b, s24_status status, const char *says)
{
    s24i_reader *file = NULL;

    write_bytes(b->at, b->size);
    ck_assert_int_eq(s24i_reader_open(&memory, path, &file), status);
    unit_check_text(says);
    unit_check_text(path);
    ck_assert_ptr_null(file);
}

/* A little of everything: what is damaged below. */
static void small_file(bytes *b, uint32_t version)
{
    put_header(b, version, 3, 5);
    put_string(b, "general.architecture", "llama");
    put_number(b, "n", 4, 30, 4);
    put_array(b, "tokens", 8, 3);
    put_text(b, "a");
    put_text(b, "");
    put_text(b, "\xc4\xa0t");
    put_array(b, "deep", 9, 2);
    put_int(b, 0, 4);
    put_int(b, 1, 8);
    put_int(b, 7, 1);
    put_int(b, 7, 4);
    put_int(b, 2, 8);
    put_int(b, 1, 1);
    put_int(b, 0, 1);
    put_number(b, "flag", 7, 1, 1);
    put_tensor(b, "norm", 1, 6, 1, 0, 0);
    put_tensor(b, "w.q", 2, 32, 2, 3, 32);
    put_tensor(b, "w.h", 2, 3, 2, 1, 96);
    pad(b, 32);
    put_noise(b, 24, 1);
    pad(b, 32);
    put_noise(b, 40, 2);
    pad(b, 32);
    put_noise(b, 12, 3);
}

START_TEST(versions)
{
    const s24i_tensor *t = NULL;
    s24_mat view;

    small_file(&file_bytes, (uint32_t)_i);
    s24i_reader *file = open_bytes(&file_bytes);
    ck_assert_int_eq(file->count, 3);
    ck_assert_str_eq(s24i_reader_at(file, 1)->name, "w.q");
    ck_assert_int_eq(s24i_reader_find(file, "w.q", &t), S24_OK);
    ck_assert(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 32 && t->size == 40);
    ck_assert_str_eq(t->element->name, "Q4_1");
    ck_assert_int_eq(s24i_reader_view(file, "w.q", &view), S24_E_DTYPE);
    unit_check_text("elements of type Q4_1");
    ck_assert_int_eq(s24i_reader_view(file, "w.h", &view), S24_OK);
    ck_assert(view.rows == 2 && view.cols == 3 && view.dtype == S24_F16);
    ck_assert_mem_eq(view.data, file_bytes.at + file_bytes.size - 12, 12);
    ck_assert_int_eq(s24i_reader_view(file, "norm", &view), S24_OK);
    ck_assert(view.rows == 1 && view.cols == 6 && view.dtype == S24_F32);
    ck_assert_str_eq(s24i_reader_meta_key(file, 2), "tokens");
    ck_assert_ptr_null(s24i_reader_meta_key(file, 5));
    ck_assert_ptr_null(meta_of(file, "m"));
    ck_assert_str_eq(meta_of(file, "n"), "30");
    ck_assert_str_eq(meta_of(file, "tokens"), "[\"a\",\"\",\"\xc4\xa0t\"]");
    ck_assert_str_eq(meta_of(file, "deep"), "[[7],[true,false]]");
    ck_assert_str_eq(meta_of(file, "flag"), "true");
    s24i_reader_close(file);
}
END_TEST

/* ---- metadata as text ---- */

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

START_TEST(every_value_type)
{
    static const struct {
        const char *text;
        uint32_t type;
        int size;
        uint64_t value;
    } values[] = {{"255", 0, 1, 255},
                  {"-1", 1, 1, 255},
                  {"-128", 1, 1, 128},
                  {"65535", 2, 2, 65535},
                  {"-32768", 3, 2, 32768},
                  {"4294967295", 4, 4, UINT32_MAX},
                  {"-2147483648", 5, 4, 1u << 31},
                  {"1e-05", 6, 4, 0x3727c5ac},
                  {"nan", 6, 4, 0x7fc00000},
                  {"false", 7, 1, 0},
                  {"18446744073709551615", 10, 8, UINT64_MAX},
                  {"-9223372036854775808", 11, 8, 1ull << 63},
                  {"-inf", 12, 8, 0xfff0000000000000}};
    enum { VALUES = sizeof values / sizeof *values };
    char key[16];

    put_header(&file_bytes, 3, 0, VALUES + 2);
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put_number(&file_bytes, key, values[i].type, values[i].value, values[i].size);
    }
    put_number(&file_bytes, "d", 12, bits_of(0.1), 8);
    put_array(&file_bytes, "f", 6, 3);
    put_int(&file_bytes, bits_of_float(0.1f), 4);
    put_int(&file_bytes, bits_of_float(INFINITY), 4);
    put_int(&file_bytes, bits_of_float(-2.5f), 4);
    s24i_reader *file = open_bytes(&file_bytes);
    for (int i = 0; i < VALUES; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ck_assert_str_eq(meta_of(file, key), values[i].text);
    }
    ck_assert_str_eq(meta_of(file, "d"), "0.1");
    ck_assert_str_eq(meta_of(file, "f"), "[0.1,null,-2.5]");
    s24i_reader_close(file);
}
END_TEST

START_TEST(texts_that_are_none)
{
    put_header(&file_bytes, 3, 0, 4);
    put_key(&file_bytes, "zero", 8);
    put_int(&file_bytes, 3, 8);
    put_raw(&file_bytes, "a\0b", 3);
    put_string(&file_bytes, "bad", "a\xff\xc3");
    put_string(&file_bytes, "empty", "");
    put_array(&file_bytes, "list", 8, 2);
    put_text(&file_bytes, "\"\\\n\xff");
    put_int(&file_bytes, 1, 8);
    put_raw(&file_bytes, "\0", 1);
    s24i_reader *file = open_bytes(&file_bytes);
    ck_assert_str_eq(meta_of(file, "zero"), "a\xef\xbf\xbd"
                                            "b");
    ck_assert_str_eq(meta_of(file, "bad"), "a\xef\xbf\xbd\xef\xbf\xbd");
    ck_assert_str_eq(meta_of(file, "empty"), "");
    ck_assert_str_eq(meta_of(file, "list"), "[\"\\\"\\\\\\n\xef\xbf\xbd\",\"\\u0000\"]");
    const char *text = meta_of(file, "zero");
    ck_assert_ptr_eq(meta_of(file, "zero"), text);
    s24i_reader_close(file);
}
END_TEST

/* ---- big-endian ---- */

static void swap_bytes(unsigned char *bytes, int count, int size)
{
    for (int i = 0; i < count; i++, bytes += size) {
        for (int j = 0; j < size / 2; j++) {
            unsigned char byte = bytes[j];
            bytes[j] = bytes[size - 1 - j];
            bytes[size - 1 - j] = byte;
        }
    }
}

/* small_file(), as a machine of that order would have written it. */
static void big_file(bytes *b, uint32_t version)
{
    put_big_endian = 1;
    small_file(b, version);
    put_big_endian = 0;
    unsigned char *data = b->at + b->size - 108;
    swap_bytes(data, 6, 4);      /* norm, F32 */
    swap_bytes(data + 32, 2, 2); /* w.q, Q4_1: two halves a block of 20 bytes */
    swap_bytes(data + 52, 2, 2);
    swap_bytes(data + 96, 6, 2); /* w.h, F16 */
}

/* All that is offered is as in the file of our order; only the stored bytes are the other's. */
START_TEST(other_byte_order)
{
    static const uint64_t begins[] = {0, 32, 96};
    const char *key;

    small_file(&file_bytes, (uint32_t)_i);
    s24i_reader *ours = open_bytes(&file_bytes);
    ck_assert_int_eq(unlink(path), 0); /* still mapped */
    big_file(&file_bytes, (uint32_t)_i);
    s24i_reader *theirs = open_bytes(&file_bytes);
    ck_assert_int_eq(theirs->count, ours->count);
    for (int i = 0; i < ours->count; i++) {
        const s24i_tensor *a = s24i_reader_at(ours, i), *b = s24i_reader_at(theirs, i);
        ck_assert_str_eq(a->name, b->name);
        ck_assert_str_eq(a->type, b->type);
        ck_assert_uint_eq(a->size, b->size);
        ck_assert_mem_eq(a->shape, b->shape, sizeof a->shape);
        ck_assert_mem_eq(a->data, b->data, a->size);
        ck_assert_mem_eq(b->stored, file_bytes.at + file_bytes.size - 108 + begins[i], b->size);
    }
    for (int i = 0; (key = s24i_reader_meta_key(ours, i)); i++) {
        ck_assert_str_eq(key, s24i_reader_meta_key(theirs, i));
        ck_assert_str_eq(meta_of(ours, key), meta_of(theirs, key));
    }
    s24i_reader_close(ours);
    s24i_reader_close(theirs);
}
END_TEST

/* Numbers of the lattice types lie in more ways than one. */
START_TEST(other_byte_order_refused)
{
    put_big_endian = 1;
    put_header(&file_bytes, 3, 1, 0);
    put_tensor(&file_bytes, "w", 1, 256, 1, 16, 0);
    put_big_endian = 0;
    pad(&file_bytes, 32);
    put_noise(&file_bytes, 66, 1);
    refused(&file_bytes, S24_E_UNSUPPORTED, "tensor 'w': how type IQ2_XXS lies in a big-endian");
}
END_TEST

/* ---- bad files ---- */

static void one_tensor(bytes *b, int rank, uint64_t cols, uint64_t rows, uint32_t type,
                       uint64_t offset, size_t data)
{
    put_header(b, 3, 1, 0);
    put_tensor(b, "w", rank, cols, rows, type, offset);
    pad(b, 32);
    put_noise(b, data, 4);
}

START_TEST(bad_headers)
{
    bytes *b = &file_bytes;

    for (uint32_t version = 0; version < 6; version++) {
        put_header(b, version, 0, 0);
        if (version != 2 && version != 3)
            refused(b, S24_E_UNSUPPORTED, "GGUF version");
    }
    put_header(b, 7u << 24, 0, 0);
    refused(b, S24_E_UNSUPPORTED, "GGUF version 7");
    put_header(b, 3, 1, 0);
    refused(b, S24_E_FORMAT, "1 tensors and 0 metadata items in 0 bytes");
    put_header(b, 3, 0, UINT64_MAX);
    refused(b, S24_E_FORMAT, "metadata items in 0 bytes");
    put_header(b, 3, UINT64_MAX / 25, UINT64_MAX / 14);
    put_noise(b, 100, 1);
    refused(b, S24_E_FORMAT, "metadata items in 100 bytes");
    file_bytes.size = 0;
    put_raw(b, "GGUF", 4);
    refused(b, S24_E_FORMAT, "byte 4: a number needs 4 bytes");
    put_raw(b, "GGUf", 4);
    b->at[3] = 'f';
    refused(b, S24_E_FORMAT, "this is a text file");
}
END_TEST

START_TEST(bad_metadata)
{
    bytes *b = &file_bytes;

    put_header(b, 3, 0, 1);
    put_number(b, "k", 13, 0, 8);
    refused(b, S24_E_FORMAT, "key 'k': byte 33: metadata type 13 is not in 0 .. 12");
    put_header(b, 3, 0, 1);
    put_number(b, "k", 7, 2, 1);
    refused(b, S24_E_FORMAT, "a bool is 2");
    put_header(b, 3, 0, 1);
    put_number(b, "", 4, 2, 4);
    refused(b, S24_E_FORMAT, "the name of a metadata key is empty");
    put_header(b, 3, 0, 1);
    put_number(b, "a\n", 4, 2, 4);
    refused(b, S24_E_FORMAT, "has control characters");
    put_header(b, 3, 0, 1);
    put_number(b, "\xff", 4, 2, 4);
    refused(b, S24_E_FORMAT, "is not UTF-8");
    put_header(b, 3, 0, 2);
    put_number(b, "k", 4, 2, 4);
    put_string(b, "k", "two");
    refused(b, S24_E_FORMAT, "key 'k' is there twice");
    put_header(b, 3, 0, 1);
    put_array(b, "k", 4, 1ull << 62);
    put_int(b, 0, 8);
    refused(b, S24_E_FORMAT, "4611686018427387904 values of 4 bytes");
    put_header(b, 3, 0, 1);
    put_array(b, "k", 8, UINT64_MAX);
    put_text(b, "one");
    refused(b, S24_E_FORMAT, "a number needs 8 bytes");
    put_header(b, 3, 0, 1);
    put_array(b, "k", 13, 0);
    refused(b, S24_E_FORMAT, "metadata type 13");
    put_header(b, 3, 0, 1);
    put_key(b, "k", 8);
    put_int(b, UINT64_MAX, 8);
    refused(b, S24_E_FORMAT, "a string needs 18446744073709551615 bytes");
    put_header(b, 3, 0, 1);
    put_array(b, "k", 9, 1);
    for (int i = 0; i < 1000; i++) {
        put_int(b, 9, 4);
        put_int(b, 1, 8);
    }
    refused(b, S24_E_FORMAT, "nested more than 4 deep");
}
END_TEST

START_TEST(bad_alignment)
{
    static const uint64_t wrong[] = {0, 3, 33, 1u << 21, UINT32_MAX};
    bytes *b = &file_bytes;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_header(b, 3, 0, 1);
        put_number(b, "general.alignment", 4, wrong[i], 4);
        refused(b, S24_E_FORMAT, "must be a power of 2");
    }
    put_header(b, 3, 0, 1);
    put_number(b, "general.alignment", 10, 32, 8);
    refused(b, S24_E_FORMAT, "is not of type u32");
    for (uint32_t alignment = 8; alignment <= 256; alignment *= 2) {
        put_header(b, 3, 2, 1);
        put_number(b, "general.alignment", 4, alignment, 4);
        put_tensor(b, "a", 1, 1, 1, 0, 0);
        put_tensor(b, "b", 1, 1, 1, 0, alignment);
        pad(b, alignment);
        put_int(b, 0x3f800000, 4);
        pad(b, alignment);
        put_int(b, 0x40000000, 4);
        s24i_reader *file = open_bytes(b);
        s24_mat view;
        ck_assert_int_eq(s24i_reader_view(file, "b", &view), S24_OK);
        ck_assert(*(float *)view.data == 2);
        s24i_reader_close(file);
    }
}
END_TEST

START_TEST(bad_tensors)
{
    bytes *b = &file_bytes;

    one_tensor(b, 2, 32, 2, 0, 0, 255);
    refused(b, S24_E_FORMAT, "tensor 'w': 256 bytes at 0 do not lie in the 255 of data");
    one_tensor(b, 2, 32, 2, 0, 8, 300);
    refused(b, S24_E_FORMAT, "offset 8 is not a multiple of 32");
    one_tensor(b, 2, 32, 2, 0, UINT64_MAX - 31, 300);
    refused(b, S24_E_FORMAT, "do not lie");
    one_tensor(b, 2, 1ull << 32, 1ull << 31, 0, 0, 300);
    refused(b, S24_E_FORMAT, "2^63 elements");
    one_tensor(b, 2, 1ull << 62, 1, 0, 0, 300);
    refused(b, S24_E_FORMAT, "2^63 bits");
    one_tensor(b, 2, 0, 1ull << 62, 0, 0, 300);
    refused(b, S24_E_FORMAT, "2^63 bits");
    one_tensor(b, 2, 1ull << 63, 1, 0, 0, 300);
    refused(b, S24_E_FORMAT, "a dimension is not in");
    one_tensor(b, 2, 48, 2, 2, 0, 300);
    refused(b, S24_E_FORMAT, "rows of 48 in blocks of 32");
    one_tensor(b, 0, 0, 0, 2, 0, 300);
    refused(b, S24_E_FORMAT, "rows of 1 in blocks of 32");
    one_tensor(b, 5, 1, 1, 0, 0, 300);
    refused(b, S24_E_FORMAT, "5 dimensions, at most 4");
    put_header(b, 3, 2, 0);
    put_tensor(b, "w", 1, 9, 1, 0, 0);
    put_tensor(b, "v", 1, 9, 1, 0, 32);
    pad(b, 32);
    put_noise(b, 100, 1);
    refused(b, S24_E_FORMAT, "tensor 'v': overlaps the tensor before it");
    put_header(b, 3, 2, 0);
    put_tensor(b, "w", 1, 8, 1, 0, 0);
    put_tensor(b, "w", 1, 8, 1, 0, 32);
    pad(b, 32);
    put_noise(b, 100, 1);
    refused(b, S24_E_FORMAT, "tensor 'w': is there twice");
}
END_TEST

/* Types that nobody knows reach to the next tensor; they are listed and copied. */
START_TEST(unknown_types)
{
    static const char *const names[] = {"type 4", "Q1_0", "type 4294967295"};
    static const uint64_t sizes[] = {64, 18, 47}; /* the gap; known; all that is left */
    s24i_writer *w = NULL;
    s24_mat view;
    char again[400];

    put_header(&file_bytes, 3, 3, 0);
    put_tensor(&file_bytes, "a", 2, 7, 3, 4, 0);
    put_tensor(&file_bytes, "b", 1, 128, 1, 41, 64);
    put_tensor(&file_bytes, "c", 1, 5, 1, UINT32_MAX, 96);
    pad(&file_bytes, 32);
    put_noise(&file_bytes, 64 + 18, 3);
    pad(&file_bytes, 32);
    put_noise(&file_bytes, 47, 4);
    s24i_reader *file = open_bytes(&file_bytes);
    ck_assert_int_eq(s24i_writer_create(&memory, path, "gguf", &w), S24_OK);
    for (int i = 0; i < 3; i++) {
        const s24i_tensor *t = s24i_reader_at(file, i);
        ck_assert_str_eq(t->type, names[i]);
        ck_assert_uint_eq(t->size, sizes[i]);
        ck_assert_int_eq(s24i_reader_view(file, t->name, &view), S24_E_DTYPE);
        unit_check_text(names[i]);
        ck_assert_int_eq(s24i_writer_put_stored(w, t), S24_OK);
    }
    s24i_reader_close(file);
    commit(w); /* after the file with the names is closed */
    ck_assert_uint_eq(read_bytes(again, sizeof again), file_bytes.size + 17); /* a whole 64 */
    ck_assert_mem_eq(again, file_bytes.at, file_bytes.size);
    put_header(&file_bytes, 3, 1, 0);
    put_tensor(&file_bytes, "a", 2, 7, 3, 99, 64); /* beyond the end */
    refused(&file_bytes, S24_E_FORMAT, "tensor 'a': 0 bytes at 64 do not lie in the 0 of data");
}
END_TEST

START_TEST(foreign_but_good)
{
    s24_mat view;
    const s24i_tensor *t;

    one_tensor(&file_bytes, 2, 512, 2, 15, 0, 2 * 2 * 292 + 999); /* Q8_K, bytes nobody owns */
    s24i_reader *file = open_bytes(&file_bytes);
    ck_assert_int_eq(s24i_reader_find(file, "w", &t), S24_OK);
    ck_assert_str_eq(t->element->name, "Q8_K");
    ck_assert_ptr_null(t->element->decode);
    ck_assert_int_eq(s24i_reader_view(file, "w", &view), S24_E_DTYPE);
    unit_check_text("tensor 'w': elements of type Q8_K are not decoded");
    unit_check_text("llama-quantize --allow-requantize");
    s24i_reader_close(file);
    put_header(&file_bytes, 3, 1, 0);
    put_tensor(&file_bytes, "e", 2, 0, 5, 0, 0); /* no data: the file may end before them */
    file = open_bytes(&file_bytes);
    ck_assert_int_eq(s24i_reader_view(file, "e", &view), S24_OK);
    ck_assert(view.rows == 5 && view.cols == 0);
    s24i_reader_close(file);
}
END_TEST

/* Look at everything a file offers. */
static void explore(s24i_reader *file)
{
    const char *key;
    float out[S24I_GGUF_LARGE_BLOCK];
    s24_mat view;

    for (int64_t i = 0; i < file->count; i++) {
        const s24i_tensor *t = s24i_reader_at(file, i);
        s24i_reader_view(file, t->name, &view);
        for (uint64_t at = 0; t->element->decode && at < t->size; at += t->element->bits / 8)
            t->element->decode(t->data + at, out);
    }
    for (int64_t i = 0; (key = s24i_reader_meta_key(file, i)); i++)
        ck_assert_ptr_nonnull(meta_of(file, key));
    s24i_reader_close(file);
}

START_TEST(truncated_anywhere)
{
    (_i ? big_file : small_file)(&file_bytes, 3);
    write_bytes(file_bytes.at, file_bytes.size);
    for (size_t n = file_bytes.size; n-- > 0;) {
        s24i_reader *file = NULL;
        ck_assert_int_eq(truncate(path, (off_t)n), 0);
        ck_assert_int_eq(s24i_reader_open(&memory, path, &file), S24_E_FORMAT);
    }
}
END_TEST

/* In place: files that are truncated and written again go to the disk each time. */
static void poke(size_t at, unsigned char value)
{
    int fd = open(path, O_WRONLY);

    unit_check(pwrite(fd, &value, 1, (off_t)at) == 1);
    close(fd);
}

START_TEST(damaged_anywhere)
{
    (_i ? big_file : small_file)(&file_bytes, 3);
    write_bytes(file_bytes.at, file_bytes.size);
    for (size_t n = 0; n < file_bytes.size; n++) {
        unsigned char was = file_bytes.at[n];
        for (int change = 0; change < 12; change++) {
            s24i_reader *file = NULL;
            poke(n, (unsigned char)(change < 8 ? was ^ 1 << change : "\0\xff\x7f\x80"[change - 8]));
            s24_status status = s24i_reader_open(&memory, path, &file);
            unit_check(status == S24_OK || status == S24_E_FORMAT || status == S24_E_UNSUPPORTED);
            if (!status)
                explore(file);
        }
        poke(n, was);
    }
}
END_TEST

START_TEST(memory_is_refused)
{
    const char *text;
    s24_status status = S24_E_MEMORY;
    int64_t k;

    (_i ? big_file : small_file)(&file_bytes, 3);
    write_bytes(file_bytes.at, file_bytes.size);
    for (k = 1; status; k++) {
        s24i_reader *file = NULL;
        unit_memory(&memory, &heap);
        heap.refuse = k;
        status = s24i_reader_open(&memory, path, &file);
        ck_assert(status == S24_OK || status == S24_E_MEMORY);
        if (!status)
            status = s24i_reader_meta(file, "tokens", &text);
        ck_assert(status == S24_OK || status == S24_E_MEMORY);
        if (!status)
            ck_assert_ptr_nonnull(meta_of(file, "tokens"));
        s24i_reader_close(file);
        unit_check_heap(&memory, &heap);
    }
    ck_assert_int_gt(k, 14);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gguf");
    TCase *good = tcase_create("good"), *bad = tcase_create("bad");

    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_checked_fixture(bad, set_up, tear_down);
    tcase_add_loop_test(good, versions, 2, 4);
    tcase_add_test(good, every_value_type);
    tcase_add_test(good, texts_that_are_none);
    tcase_add_test(good, foreign_but_good);
    tcase_add_test(good, unknown_types);
    tcase_add_loop_test(good, other_byte_order, 2, 4);
    tcase_add_test(good, other_byte_order_refused);
    suite_add_tcase(suite, good);
    tcase_add_test(bad, bad_headers);
    tcase_add_test(bad, bad_metadata);
    tcase_add_test(bad, bad_alignment);
    tcase_add_test(bad, bad_tensors);
    tcase_add_loop_test(bad, truncated_anywhere, 0, 2);
    tcase_add_loop_test(bad, damaged_anywhere, 0, 2);
    tcase_add_loop_test(bad, memory_is_refused, 0, 2);
    suite_add_tcase(suite, bad);
    return unit_run(suite);
}
