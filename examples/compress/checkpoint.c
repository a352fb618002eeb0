#include "checkpoint.h"
#include "message.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *checkpoint_path(const checkpoint *c, const char *name)
{
    size_t size = strlen(c->folder) + strlen(name) + 2;
    char *path = must(malloc(size));
    snprintf(path, size, "%s/%s", c->folder, name);
    return path;
}

static char *block_path(const checkpoint *c, int block)
{
    char name[40];
    snprintf(name, sizeof name, "block-%05d.safetensors", block);
    return checkpoint_path(c, name);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The kernel lets the lock go with the process, however that ends. */
static bool take_lock(checkpoint *c)
{
    char *path = checkpoint_path(c, "lock");
    bool done = true;
    c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->lock < 0)
        done = fail("%s: %s", path, strerror(errno));
    else if (flock(c->lock, LOCK_EX | LOCK_NB))
        done = fail("%s: another process is working there", c->folder);
    free(path);
    return done;
}

/* Name the first line that differs. */
static bool same_settings(const checkpoint *c, const char *theirs)
{
    const char *a = c->settings, *b = theirs;
    while (*a || *b) {
        size_t n = strcspn(a, "\n"), k = strcspn(b, "\n");
        if (n != k || strncmp(a, b, n))
            return fail("--resume: %s was begun with \"%.*s\", now it is \"%.*s\"", c->folder,
                        (int)k, b, (int)n, a);
        a += n + (a[n] == '\n');
        b += k + (b[k] == '\n');
    }
    return true;
}

static bool open_block(const checkpoint *c, int block, s24_file **file)
{
    char *path = block_path(c, block);
    bool done = s24_file_open(c->ctx, path, file) == S24_OK || fail_library("%s", path);
    const char *theirs = done ? s24_file_meta(*file, "settings") : NULL;
    if (done && !theirs)
        done = fail("%s: it is not from sparse24 compress", path);
    done = done && same_settings(c, theirs);
    free(path);
    return done;
}

static bool begin(checkpoint *c, bool resume)
{
    if (mkdir(c->folder, 0777) && errno != EEXIST)
        return fail("%s: %s", c->folder, strerror(errno));
    if (!take_lock(c))
        return false;
    char *first = block_path(c, 0);
    bool done = resume || !exists(first) ||
                fail("%s holds an unfinished run: go on with --resume, or remove it", c->folder);
    free(first);
    return done;
}

bool checkpoint_open(checkpoint *c, s24_ctx *ctx, const char *out, const char *asked, bool resume)
{
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    *c = (checkpoint){.ctx = ctx, .lock = -1, .settings = must(strdup(asked))};
    c->folder = must(malloc(length + 8));
    snprintf(c->folder, length + 8, "%.*s.part", (int)length, out);
    return begin(c, resume);
}

/* ---- One block ---- */

static bool put_parts(s24_file *file, const matrix *m)
{
    char name[600];
    const char *part;
    int32_t kind;
    for (int32_t i = 0; (part = s24_result_name(m->result, i, &kind)); i++) {
        s24_mat mat;
        if (kind != S24_RESULT_MATRIX || !strcmp(part, "weights") || !strcmp(part, "mask"))
            continue;
        snprintf(name, sizeof name, "%s.%s", m->tensor, part);
        if (s24_result_matrix(m->result, part, &mat) != S24_OK ||
            s24_file_put(file, name, &mat, NULL, 2, NULL) != S24_OK)
            return false;
    }
    return true;
}

static bool put_matrix(s24_file *file, const settings *s, const matrix *m)
{
    char key[600];
    s24_mat v = matrix_stored(m);
    snprintf(key, sizeof key, "record.%s", m->tensor);
    return s24_file_put(file, m->tensor, &v, NULL, 2, matrix_type(s)) == S24_OK &&
           s24_file_set_meta(file, key, m->record) == S24_OK && put_parts(file, m);
}

bool checkpoint_save(const checkpoint *c, int block, const settings *s, const matrix *matrices,
                     int count)
{
    char *path = block_path(c, block);
    s24_file *file = NULL;
    bool done = s24_file_create(c->ctx, path, "safetensors", &file) == S24_OK &&
                s24_file_set_meta(file, "settings", c->settings) == S24_OK;
    for (int i = 0; done && i < count; i++)
        done = !matrices[i].constraints || put_matrix(file, s, matrices + i);
    done = (done && s24_file_commit(file) == S24_OK) || fail_library("%s", path);
    s24_file_destroy(file);
    free(path);
    return done;
}

static bool get_matrix(const s24_file *file, matrix *m)
{
    char key[600];
    snprintf(key, sizeof key, "record.%s", m->tensor);
    const char *record = s24_file_meta(file, key);
    if (!record)
        return fail("--resume: the file of block %d has no record of %s", m->layer, m->tensor);
    m->record = must(strdup(record));
    m->v = must(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    s24_mat v = matrix_stored(m);
    return s24_file_read(file, m->tensor, &v) == S24_OK || fail_library("--resume");
}

bool checkpoint_load(const checkpoint *c, int block, matrix *matrices, int count, bool *found)
{
    char *path = block_path(c, block);
    s24_file *file = NULL;
    *found = exists(path);
    free(path);
    if (!*found)
        return true;
    bool done = open_block(c, block, &file);
    for (int i = 0; done && i < count; i++)
        done = !matrices[i].constraints || get_matrix(file, matrices + i);
    s24_file_destroy(file);
    return done;
}

s24_file *checkpoint_file(const checkpoint *c, int block)
{
    s24_file *file = NULL;
    if (open_block(c, block, &file))
        return file;
    s24_file_destroy(file);
    return NULL;
}

void checkpoint_close(checkpoint *c, int blocks, bool remove)
{
    for (int i = 0; remove && i < blocks; i++) {
        char *path = block_path(c, i);
        unlink(path);
        free(path);
    }
    if (remove && c->folder) {
        char *path = checkpoint_path(c, "lock");
        unlink(path);
        free(path);
        rmdir(c->folder);
    }
    if (c->lock >= 0)
        close(c->lock);
    free(c->folder);
    free(c->settings);
    *c = (checkpoint){.lock = -1};
}
