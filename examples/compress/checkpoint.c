#include "checkpoint.h"
#include "codes.h"
#include "hash.h"
#include "identity.h"
#include "message.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK "sparse24.lock"
#define BLOCK "block-"

char *checkpoint_path(const checkpoint *c, const char *name)
{
    return path_join(c->folder, name);
}

static char *block_path(const checkpoint *c, int block)
{
    char name[40];
    snprintf(name, sizeof name, BLOCK "%05d.safetensors", block);
    return checkpoint_path(c, name);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool lock(int file)
{
    int answer;
    do
        answer = flock(file, LOCK_EX | LOCK_NB);
    while (answer && errno == EINTR);
    return !answer;
}

/* The kernel lets the lock go with the process, however that ends. */
static bool take_lock(checkpoint *c)
{
    char *path = checkpoint_path(c, LOCK);
    bool done = true;
    c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->lock < 0)
        done = fail("%s: %s", path, strerror(errno));
    else if (!lock(c->lock))
        done = fail("%s: %s", c->folder,
                    errno == EWOULDBLOCK ? "another process is working there" : strerror(errno));
    free(path);
    return done;
}

/* A folder of ours: it may be removed with all that is in it. */
static bool has_lock(const checkpoint *c)
{
    char *path = checkpoint_path(c, LOCK);
    bool has = exists(path);
    free(path);
    errno = EEXIST;
    return has;
}

static uint64_t checksum(uint64_t sum, const char *name, const s24_mat *mat)
{
    int32_t width = (mat->dtype & 0xff) / 8; /* the low byte of a type is its width in bits */
    uint64_t h = hash_word(hash_text(HASH_BEGIN, name), (uint64_t)mat->dtype);
    h = hash_word(hash_word(h, (uint64_t)mat->rows), (uint64_t)mat->cols);
    return sum + hash(h, mat->data, (size_t)(mat->rows * mat->cols * width));
}

static uint64_t checksum_text(uint64_t sum, const char *key, const char *value)
{
    return sum + hash_text(hash_text(HASH_BEGIN, key), value);
}

/* Everything in the file but what says it. */
static bool verify(const s24_file *file, const char *path)
{
    char text[24];
    const char *key, *wanted = s24_file_meta(file, "checksum");
    uint64_t sum = 0;
    for (int64_t i = 0; (key = s24_file_meta_key(file, i)); i++)
        if (strcmp(key, "checksum") && strcmp(key, "format"))
            sum = checksum_text(sum, key, s24_file_meta(file, key));
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        s24_mat mat;
        const char *name = s24_file_name(file, i);
        if (s24_file_get(file, name, &mat) != S24_OK)
            return fail_library("%s", path);
        sum = checksum(sum, name, &mat);
    }
    snprintf(text, sizeof text, "%016" PRIx64, sum);
    return (wanted && !strcmp(text, wanted)) ||
           fail("%s is damaged: remove it, then --resume solves this block again", path);
}

static bool open_block(const checkpoint *c, int block, s24_file **file)
{
    char *path = block_path(c, block);
    bool done = s24_file_open(c->ctx, path, file) == S24_OK || fail_library("%s", path);
    const char *theirs = done ? s24_file_meta(*file, "settings") : NULL;
    if (done && !theirs)
        done = fail("%s: it is not from sparse24 compress", path);
    done = done && identity_same(c->folder, theirs, c->settings) && verify(*file, path);
    free(path);
    return done;
}

/* What is in the folder: blocks, or what a killed writer left, which goes. */
static bool look_into(const checkpoint *c, bool *blocks)
{
    struct dirent *entry;
    DIR *folder = opendir(c->folder);
    if (!folder)
        return fail("%s: %s", c->folder, strerror(errno));
    *blocks = false;
    while ((entry = readdir(folder))) {
        const char *name = entry->d_name;
        *blocks |= !strncmp(name, BLOCK, sizeof BLOCK - 1);
        if (strncmp(name, ".sparse24-", 10) && strncmp(name, ".activations-", 13))
            continue;
        char *path = checkpoint_path(c, name);
        checkpoint_remove(path);
        free(path);
    }
    closedir(folder);
    return true;
}

static bool begin(checkpoint *c, bool resume)
{
    if (!path_make_parents(c->folder))
        return false;
    if (mkdir(c->folder, 0777) && !(errno == EEXIST && has_lock(c)))
        return fail("%s: %s", c->folder, strerror(errno));
    if (!take_lock(c) || !look_into(c, &c->begun))
        return false;
    return resume || !c->begun ||
           fail("%s holds an unfinished run: go on with --resume, or remove it", c->folder);
}

bool checkpoint_open(checkpoint *c, s24_ctx *ctx, const char *out, bool resume)
{
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    *c = (checkpoint){.ctx = ctx, .lock = -1};
    c->folder = must(malloc(length + 8));
    snprintf(c->folder, length + 8, "%.*s.part", (int)length, out);
    return begin(c, resume);
}

/* All of them, so that nothing is found out after hours. */
bool checkpoint_settings(checkpoint *c, const char *asked)
{
    struct dirent **names;
    c->settings = must(strdup(asked));
    int count = scandir(c->folder, &names, NULL, alphasort);
    if (count < 0)
        return fail("%s: %s", c->folder, strerror(errno));
    bool done = true;
    for (int i = 0; i < count; i++) {
        int block;
        s24_file *file = NULL;
        if (done && sscanf(names[i]->d_name, BLOCK "%d", &block) == 1)
            done = open_block(c, block, &file);
        s24_file_destroy(file);
        free(names[i]);
    }
    free(names);
    return done;
}

/* ---- One block ---- */

/* A file that is being written, and the checksum of what is in it. */
typedef struct saving {
    s24_file *file;
    uint64_t sum;
} saving;

static bool put(saving *to, const char *name, const s24_mat *mat)
{
    to->sum = checksum(to->sum, name, mat);
    return s24_file_put(to->file, name, mat, NULL, 2, NULL) == S24_OK;
}

static bool put_text(saving *to, const char *key, const char *value)
{
    to->sum = checksum_text(to->sum, key, value);
    return s24_file_set_meta(to->file, key, value) == S24_OK;
}

static bool put_parts(saving *to, const matrix *m)
{
    char name[600];
    const char *part;
    int32_t kind;
    for (int32_t i = 0; m->result && (part = s24_result_name(m->result, i, &kind)); i++) {
        s24_mat mat;
        if (kind != S24_RESULT_MATRIX || !strcmp(part, "weights") || !strcmp(part, "mask"))
            continue;
        snprintf(name, sizeof name, "%s.%s", m->tensor, part);
        if (s24_result_matrix(m->result, part, &mat) != S24_OK || !put(to, name, &mat))
            return false;
    }
    return true;
}

static bool put_matrix(saving *to, s24_ctx *ctx, const matrix *m)
{
    char key[600];
    s24_mat narrow = {0};
    snprintf(key, sizeof key, "record.%s", m->tensor);
    bool done = matrix_narrow(m, ctx, &narrow) && put(to, m->tensor, &narrow) &&
                put_text(to, key, m->record) && put_parts(to, m);
    free(narrow.data);
    return done;
}

bool checkpoint_save(const checkpoint *c, int block, const matrix *matrices, int count)
{
    char *path = block_path(c, block), text[24];
    saving to = {0};
    bool done = s24_file_create(c->ctx, path, "safetensors", &to.file) == S24_OK &&
                put_text(&to, "settings", c->settings);
    for (int i = 0; done && i < count; i++)
        done = !matrices[i].constraints || put_matrix(&to, c->ctx, matrices + i);
    snprintf(text, sizeof text, "%016" PRIx64, to.sum);
    done = (done && s24_file_set_meta(to.file, "checksum", text) == S24_OK &&
            s24_file_commit(to.file) == S24_OK) ||
           fail_library("%s", path);
    s24_file_destroy(to.file);
    free(path);
    return done;
}

/* What a checksum cannot tell: that the file was right when it was written. */
static bool obeys(const checkpoint *c, const matrix *m)
{
    s24_problem *problem = NULL;
    s24_mat v = matrix_values(m);
    for (int64_t i = 0; i < m->w.rows * m->w.cols; i++)
        if (!isfinite(m->v[i]))
            return fail("--resume: %s: row %lld, column %lld is %g", m->tensor,
                        (long long)(i / m->w.cols), (long long)(i % m->w.cols), (double)m->v[i]);
    bool done = matrix_has_parts(m) || (s24_problem_create(c->ctx, &m->w, &problem) == S24_OK &&
                                        s24_problem_parse(problem, m->constraints) == S24_OK &&
                                        s24_problem_check(problem, &v) == S24_OK);
    s24_problem_destroy(problem);
    return done || fail_library("--resume: %s", m->tensor);
}

static bool get_matrix(const checkpoint *c, const s24_file *file, matrix *m)
{
    char key[600];
    codes parts;
    snprintf(key, sizeof key, "record.%s", m->tensor);
    const char *record = s24_file_meta(file, key);
    if (!record)
        return fail("--resume: the file of block %d has no record of %s", m->layer, m->tensor);
    m->record = must(strdup(record));
    m->v = must(malloc((size_t)(m->w.rows * m->w.cols) * sizeof(float)));
    s24_mat v = matrix_values(m);
    return (s24_file_read(file, m->tensor, &v) == S24_OK || fail_library("--resume")) &&
           (!codes_of_file(file, m->tensor, &parts) ||
            codes_decode(&parts, c->ctx, m->constraints, m->v)) &&
           obeys(c, m);
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
        done = !matrices[i].constraints || get_matrix(c, file, matrices + i);
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

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s, (void)kind, (void)where;
    return remove(path);
}

bool checkpoint_remove(const char *path)
{
    return !nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) || errno == ENOENT;
}

void checkpoint_close(checkpoint *c, bool remove)
{
    bool blocks = true;
    if (!c->folder)
        return;
    if (c->lock >= 0 && (remove || (look_into(c, &blocks) && !blocks)) &&
        !checkpoint_remove(c->folder))
        warn("%s is not needed any more, but cannot be removed: %s", c->folder, strerror(errno));
    if (c->lock >= 0)
        close(c->lock);
    free(c->folder);
    free(c->settings);
    *c = (checkpoint){.lock = -1};
}
