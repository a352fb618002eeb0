#include "fuzz.h"
#include <sys/mman.h>
#include <unistd.h>
#include <stdio.h>

/* A file from anywhere, of any format that is told by its bytes. What opens is walked, every byte
 * of it read. */

static unsigned sum_bytes(const s24_mat *view)
{
    const unsigned char *bytes = view->data;
    unsigned sum = 0;

    for (int64_t i = 0; i < view->rows * view->cols * (view->dtype & 255) / 8; i++)
        sum += bytes[i];
    return sum;
}

static void read_tensor(const s24_file *file, const char *name, unsigned *sum)
{
    int64_t shape[8], count = 1;
    int32_t rank = -1;
    const char *type = NULL;
    s24_mat view;

    CLAIM(s24_file_info(file, name, shape, &rank, &type) == S24_OK);
    CLAIM(rank >= 0 && rank <= 8 && type);
    for (int32_t i = 0; i < rank; i++) {
        CLAIM(shape[i] >= 0);
        count *= shape[i];
    }
    s24_status status = s24_file_get(file, name, &view);
    CLAIM(status == S24_OK || status == S24_E_DTYPE || status == S24_E_MEMORY);
    if (!status) {
        CLAIM(view.rows * view.cols == count && view.rows >= 0 && view.cols >= 0);
        *sum += sum_bytes(&view);
    }
    const void *data;
    size_t size;
    CLAIM(!s24_file_bytes(file, name, &data, &size));
    for (size_t i = 0; i < size; i++)
        *sum += ((const unsigned char *)data)[i];
    if (count <= 0 || count > 10000)
        return;
    int64_t cols = rank ? shape[rank - 1] : 1;
    CLAIM(!s24_mat_rowmajor(&view, malloc((size_t)count * 8), count / cols, cols, S24_F64));
    status = s24_file_read(file, name, &view);
    CLAIM(status == S24_OK || status == S24_E_DTYPE || status == S24_E_MEMORY);
    free(view.data);
}

static void walk(const s24_file *file)
{
    static volatile unsigned seen;
    const char *name, *key;
    unsigned sum = 0;
    int64_t count = 0;

    for (; (name = s24_file_name(file, count)); count++)
        read_tensor(file, name, &sum);
    CLAIM(count == s24_file_count(file));
    for (int64_t i = 0; (key = s24_file_meta_key(file, i)); i++) {
        const char *value = s24_file_meta(file, key);
        CLAIM(value);
        sum += (unsigned)strlen(value);
    }
    CLAIM(s24_file_info(file, "no such tensor, surely", NULL, NULL, NULL) == S24_E_ARG);
    seen += sum; /* so that the reads are not removed */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    s24_ctx *ctx = fuzz_open();
    s24_file *file = NULL;

    if (fd < 0)
        fd = memfd_create("input", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CLAIM(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
    s24_status status = s24_file_open(ctx, path, &file);
    fuzz_check_status(status);
    CLAIM(!status == (file != NULL));
    if (file)
        walk(file);
    s24_file_destroy(file);
    fuzz_close(ctx);
    return 0;
}
