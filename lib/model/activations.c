#include "activations.h"
#include "fail.h"
#include "paths.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t s24m_activations_bytes(int kind, int64_t tokens, int64_t width)
{
    static const uint64_t size[] = {4, 2, 0};
    return size[kind] * (uint64_t)tokens * (uint64_t)width;
}

/* A file that never had a name or, where the file system knows none such, loses it at once: nothing
 * is left behind however the program ends. */
static int open_nameless(const char *folder)
{
    int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0)
        return file;
    char *path = s24m_path_join(folder, ".activations-XXXXXX");
    file = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (file >= 0)
        unlink(path);
    free(path);
    return file;
}

/* Not 0 to 2, which are free if the program was started so: what is printed would go into the
 * data. */
static bool open_file(activations *a, const char *folder)
{
    int made = open_nameless(folder);
    a->file = made >= 0 && made <= STDERR_FILENO ? fcntl(made, F_DUPFD_CLOEXEC, 3) : made;
    int reason = errno;
    if (made >= 0 && a->file != made)
        close(made);
    if (a->file >= 0)
        return true;
    a->file = 0;
    return s24m_wrong(S24_E_IO, "--activations disk: %s: %s", folder, strerror(reason));
}

bool s24m_activations_open(activations *a, s24_ctx *ctx, int kind, const char *folder,
                           int64_t tokens, int64_t width)
{
    *a = (activations){.ctx = ctx, .tokens = tokens, .width = width, .kind = kind};
    if (kind == KEEP_DISK)
        return open_file(a, folder);
    a->memory = malloc((size_t)s24m_activations_bytes(kind, tokens, width));
    return a->memory || s24m_wrong(S24_E_MEMORY,
                                   "no memory for the activations of %lld tokens, %lld each: "
                                   "try --activations half or disk",
                                   (long long)tokens, (long long)width);
}

static s24_mat view(void *data, int64_t rows, int64_t cols, int32_t dtype)
{
    s24_mat mat = {0};
    s24_mat_rowmajor(&mat, data, rows, cols, dtype);
    return mat;
}

static s24_mat halves(const activations *a, int64_t first, int64_t count)
{
    return view((uint16_t *)a->memory + first * a->width, count, a->width, S24_F16);
}

static float *floats(const activations *a, int64_t first)
{
    return (float *)a->memory + first * a->width;
}

/* All of it: pread() and pwrite() may stop early. */
static bool transfer(const activations *a, int64_t first, int64_t count, char *data, bool out)
{
    off_t at = (off_t)(first * a->width) * (off_t)sizeof(float);
    size_t left = (size_t)(count * a->width) * sizeof(float);
    while (left) {
        ssize_t done = out ? pwrite(a->file, data, left, at) : pread(a->file, data, left, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return s24m_wrong(S24_E_IO, "--activations disk: %s",
                              done ? strerror(errno) : "the file is too short");
        data += done;
        at += done;
        left -= (size_t)done;
    }
    return true;
}

bool s24m_activations_read(const activations *a, int64_t first, int64_t count, float *out)
{
    if (a->kind == KEEP_DISK)
        return transfer(a, first, count, (char *)out, false);
    if (a->kind == KEEP_RAM) {
        memcpy(out, floats(a, first), (size_t)(count * a->width) * sizeof(float));
        return true;
    }
    s24_mat from = halves(a, first, count), to = view(out, count, a->width, S24_F32);
    return s24m_good(s24_mat_copy(a->ctx, &from, &to), "--activations half");
}

static bool fits_half(const activations *a, const float *in, int64_t count)
{
    for (int64_t i = 0; i < count * a->width; i++)
        if (!(in[i] < 65520 && in[i] > -65520))
            return s24m_wrong(
                S24_E_NUMERIC,
                "--activations half: an activation of %g does not fit 16 bits: use ram "
                "or disk",
                (double)in[i]);
    return true;
}

bool s24m_activations_write(activations *a, int64_t first, int64_t count, const float *in)
{
    if (a->kind == KEEP_DISK)
        return transfer(a, first, count, (char *)(uintptr_t)in, true);
    if (a->kind == KEEP_RAM) {
        memcpy(floats(a, first), in, (size_t)(count * a->width) * sizeof(float));
        return true;
    }
    s24_mat from = view((void *)(uintptr_t)in, count, a->width, S24_F32);
    s24_mat to = halves(a, first, count);
    return fits_half(a, in, count) &&
           s24m_good(s24_mat_copy(a->ctx, &from, &to), "--activations half");
}

void s24m_activations_reuse(activations *a, int64_t width)
{
    a->width = width;
}

void s24m_activations_close(activations *a)
{
    free(a->memory);
    if (a->file)
        close(a->file);
    *a = (activations){0};
}
