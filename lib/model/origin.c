#include "origin.h"
#include "hash.h"
#include "fail.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Which ---- */

/* Weights, and what is carried over beside them. */
static bool is_of_model(const char *name)
{
    static const char *const endings[] = {".safetensors", ".gguf", ".json", ".jinja",   ".md",
                                          ".model",       ".py",   ".txt",  ".tiktoken"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (s24m_path_ends_with(name, endings[i]))
            return *name != '.';
    return !strncmp(name, "LICENSE", 7) || !strncmp(name, "NOTICE", 6);
}

/* Takes the path, which may be NULL for want of memory. */
static bool add(origin *o, char *path)
{
    origin_file f = {.path = path}, *more = NULL;
    if (path && stat(path, &f.state))
        s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
    else if (path)
        more = s24m_have(realloc(o->files, ((size_t)o->count + 1) * sizeof *o->files));
    if (!more) {
        free(path);
        return false;
    }
    o->files = more;
    o->files[o->count++] = f;
    return true;
}

static int is_listed(const struct dirent *entry)
{
    return is_of_model(entry->d_name);
}

static bool add_folder(origin *o, const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, is_listed, alphasort);
    if (count < 0)
        return s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
    bool done = true;
    for (int i = 0; i < count; i++) {
        struct stat s;
        char *file = s24m_path_join(path, names[i]->d_name);
        if (done && (!file || stat(file, &s) || S_ISREG(s.st_mode))) /* a dangling link is named */
            done = add(o, file);
        else
            free(file);
        free(names[i]);
    }
    free(names);
    return done;
}

/* The part of a split file that has this number, 1 first. */
static bool add_parts(origin *o, const char *path, size_t stem, int parts)
{
    bool done = true;
    for (int i = 1; done && i <= parts; i++) {
        size_t size = stem + 32;
        char *part = s24m_have(malloc(size));
        if (part)
            snprintf(part, size, "%.*s-%05d-of-%05d.gguf", (int)stem, path, i, parts);
        done = add(o, part);
    }
    return done;
}

bool s24m_origin_open(origin *o, const char *path)
{
    size_t stem;
    int parts = s24m_path_split_parts(path, &stem);
    *o = (origin){.folder = s24m_path_is_folder(path)};
    if (o->folder)
        return add_folder(o, path);
    return parts ? add_parts(o, path, stem, parts) : add(o, s24m_have(strdup(path)));
}

/* ---- What is in them ---- */

static bool hash_open(int file, origin_file *f, s24m_watch *w)
{
    enum { CHUNK = 1 << 20 };
    char *chunk = s24m_have(malloc(CHUNK));
    size_t used = 0;
    ssize_t got = 1;
    bool going = chunk;
    f->hash = HASH_BEGIN;
    while (got && (going = going && s24m_watch_go_on(w))) {
        got = read(file, chunk + used, CHUNK - used);
        if (got < 0 && errno != EINTR)
            break;
        used += got > 0 ? (size_t)got : 0;
        if (used == CHUNK || !got) {
            f->hash = hash(f->hash, chunk, used);
            used = 0;
        }
    }
    free(chunk);
    return going && (!got || s24m_wrong(S24_E_IO, "%s: %s", f->path, strerror(errno)));
}

static bool hash_file(origin_file *f, s24m_watch *w)
{
    int file = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return s24m_wrong(S24_E_IO, "%s: %s", f->path, strerror(errno));
    bool done = hash_open(file, f, w);
    close(file);
    return done;
}

bool s24m_origin_hash(origin *o, s24m_watch *w)
{
    bool done = true;
    for (int i = 0; done && i < o->count; i++) {
        done = s24m_watch_show(w, "reading", "model", (double)i / o->count) &&
               hash_file(o->files + i, w);
    }
    return done;
}

void s24m_origin_describe(const origin *o, FILE *out)
{
    for (const origin_file *f = o->files; f < o->files + o->count; f++)
        fprintf(out, "file %s, %lld bytes, %016" PRIx64 "\n", s24m_path_name(f->path),
                (long long)f->state.st_size, f->hash);
}

/* ---- Are they still the same ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool s24m_origin_check(const origin *o)
{
    struct stat s;
    for (const origin_file *f = o->files; f < o->files + o->count; f++)
        if (stat(f->path, &s))
            return s24m_wrong(S24_E_IO, "%s: was there when the run began: %s", f->path,
                              strerror(errno));
        else if (!is_same(&s, &f->state))
            return s24m_wrong(
                S24_E_STATE,
                "%s: was changed since the run began: what was made of it is not written", f->path);
    return true;
}

void s24m_origin_close(origin *o)
{
    for (int i = 0; i < o->count; i++)
        free(o->files[i].path);
    free(o->files);
    *o = (origin){0};
}
