/* A directory of its own for each test that writes files, and what such tests do all the time.
 * Tests leave nothing in it. */
#ifndef S24_TESTS_SCRATCH_H
#define S24_TESTS_SCRATCH_H
#include "unit.h"
#include "io/writer.h"
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static char directory[64], path[128];
static s24i_memory memory;
static unit_heap heap;

static inline void set_up(void)
{
    strcpy(directory, "/tmp/sparse24-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a.safetensors", directory);
    unit_memory(&memory, &heap);
}

/* Names in the directory, "." and ".." not counted. */
static inline int files_here(void)
{
    DIR *d = opendir(directory);
    int count = -2;

    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

static inline void tear_down(void)
{
    unlink(path);
    ck_assert_int_eq(files_here(), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    unit_check_heap(&memory, &heap);
}

static inline void write_bytes(const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");

    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

static inline size_t read_bytes(char *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    size_t size = fread(bytes, 1, room, f);

    fclose(f);
    return size;
}

static inline s24_mat matrix(const void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    return (s24_mat){.data = (void *)(uintptr_t)data,
                     .rows = rows,
                     .cols = cols,
                     .row_stride = cols,
                     .col_stride = 1,
                     .dtype = dtype,
                     .device = S24_CPU};
}

static inline s24i_writer *create(void)
{
    s24i_writer *w = NULL;

    ck_assert_int_eq(s24i_safetensors_create(&memory, path, &w), S24_OK);
    return w;
}

static inline void commit(s24i_writer *w)
{
    ck_assert_msg(s24i_writer_commit(w) == S24_OK, "%s", s24i_error_text());
    s24i_writer_discard(w);
}

static inline s24i_reader *reopen(void)
{
    s24i_reader *file = NULL;

    ck_assert_msg(s24i_reader_open(&memory, path, &file) == S24_OK, "%s", s24i_error_text());
    return file;
}

static inline const char *meta_of(s24i_reader *reader, const char *key)
{
    const char *value;

    ck_assert(!s24i_reader_meta(reader, key, &value));
    return value;
}

#endif
