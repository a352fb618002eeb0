#include "checkpoint.h"
#include "block_file.h"
#include "fail.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK "sparse24.lock"
#define BLOCK "block-"

char *s24m_checkpoint_path(const checkpoint *c, const char *name)
{
    return s24m_path_join(c->folder, name);
}

static char *block_path(const checkpoint *c, int block)
{
    char name[40];
    snprintf(name, sizeof name, BLOCK "%05d.safetensors", block);
    return s24m_checkpoint_path(c, name);
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
    char *path = s24m_checkpoint_path(c, LOCK);
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    bool done = file >= 0 && lock(file), busy = !done && file >= 0 && errno == EWOULDBLOCK;
    if (!done && path)
        s24m_fail(busy ? S24_E_STATE : S24_E_IO, "%s: %s", file < 0 ? path : c->folder,
                  busy ? "another process is working there" : strerror(errno));
    if (done)
        c->lock = file;
    else if (file >= 0)
        close(file);
    free(path);
    return done;
}

/* A folder of ours: it may be removed with all that is in it. */
static bool has_lock(const checkpoint *c)
{
    char *path = s24m_checkpoint_path(c, LOCK);
    bool has = path && exists(path);
    free(path);
    errno = EEXIST;
    return has;
}

static bool open_block(const checkpoint *c, int block, s24_file **file)
{
    char *path = block_path(c, block);
    bool done = path && s24m_block_file_open(c->ctx, path, c->folder, c->settings, file);
    free(path);
    return done;
}

/* What is in the folder: blocks, or what a killed writer left, which goes. */
static bool look_into(const checkpoint *c, bool *blocks)
{
    struct dirent *entry;
    DIR *folder = opendir(c->folder);
    if (!folder)
        return s24m_wrong(S24_E_IO, "%s: %s", c->folder, strerror(errno));
    *blocks = false;
    while ((entry = readdir(folder))) {
        const char *name = entry->d_name;
        *blocks |= !strncmp(name, BLOCK, sizeof BLOCK - 1) || !strcmp(name, TUNE_STATE_FILE);
        if (strncmp(name, ".sparse24-", 10) && strncmp(name, ".activations-", 13))
            continue;
        char *path = s24m_checkpoint_path(c, name);
        if (path)
            s24m_checkpoint_remove(path);
        free(path);
    }
    closedir(folder);
    return true;
}

static bool begin(checkpoint *c, bool resume)
{
    if (!s24m_path_make_parents(c->folder))
        return false;
    if (mkdir(c->folder, 0777) && !(errno == EEXIST && has_lock(c)))
        return s24m_wrong(S24_E_IO, "%s: %s", c->folder, strerror(errno));
    if (!take_lock(c) || !look_into(c, &c->begun))
        return false;
    return resume || !c->begun ||
           s24m_wrong(S24_E_STATE, "%s holds an unfinished run: go on with --resume, or remove it",
                      c->folder);
}

char *s24m_checkpoint_folder(const char *out)
{
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    char *folder = s24m_have(malloc(length + 8));
    if (folder)
        snprintf(folder, length + 8, "%.*s.part", (int)length, out);
    return folder;
}

bool s24m_checkpoint_open(checkpoint *c, s24_ctx *ctx, const char *out, bool resume)
{
    *c = (checkpoint){.ctx = ctx, .lock = -1};
    return (c->folder = s24m_checkpoint_folder(out)) && begin(c, resume);
}

bool s24m_checkpoint_visit(checkpoint *c, s24_ctx *ctx, const char *out)
{
    *c = (checkpoint){.ctx = ctx, .lock = -1};
    return (c->folder = s24m_checkpoint_folder(out));
}

/* All of them, so that nothing is found out after hours. */
bool s24m_checkpoint_settings(checkpoint *c, const char *asked)
{
    struct dirent **names;
    if (!(c->settings = s24m_have(strdup(asked))))
        return false;
    int count = scandir(c->folder, &names, NULL, alphasort);
    if (count < 0)
        return s24m_wrong(S24_E_IO, "%s: %s", c->folder, strerror(errno));
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

bool s24m_checkpoint_save(const checkpoint *c, int block, const matrix *matrices, int count,
                          const trained *vectors)
{
    char *path = block_path(c, block);
    bool done = path && s24m_block_file_write(c->ctx, path, c->settings, matrices, count, vectors);
    free(path);
    return done;
}

bool s24m_checkpoint_load(const checkpoint *c, int block, matrix *matrices, int count,
                          trained *vectors, bool *found)
{
    char *path = block_path(c, block);
    s24_file *file = NULL;
    *found = path && exists(path);
    free(path);
    if (!*found)
        return path;
    bool done =
        open_block(c, block, &file) && s24m_block_file_read(c->ctx, file, matrices, count, vectors);
    s24_file_destroy(file);
    return done;
}

bool s24m_checkpoint_has_all(const checkpoint *c, int blocks)
{
    bool all = true;
    for (int i = 0; all && i < blocks; i++) {
        char *path = block_path(c, i);
        all = path && exists(path);
        free(path);
    }
    return all;
}

s24_file *s24m_checkpoint_file(const checkpoint *c, int block)
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

bool s24m_checkpoint_remove(const char *path)
{
    return !nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) || errno == ENOENT;
}

void s24m_checkpoint_close(checkpoint *c, s24m_watch *w, bool remove)
{
    bool blocks = true;
    if (!c->folder)
        return;
    if (c->lock >= 0 && (remove || (look_into(c, &blocks) && !blocks)) &&
        !s24m_checkpoint_remove(c->folder))
        s24m_watch_log(w, 1, "%s is not needed any more, but cannot be removed: %s", c->folder,
                       strerror(errno));
    if (c->lock >= 0)
        close(c->lock);
    free(c->folder);
    free(c->settings);
    *c = (checkpoint){.lock = -1};
}
