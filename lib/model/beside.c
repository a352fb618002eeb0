#include "beside.h"
#include "fail.h"
#include "paths.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    bool done = file && fputs(text, file) >= 0 && !fflush(file) && s24m_path_sync(fileno(file));
    int reason = errno;
    if (file)
        done = !fclose(file) && done;
    return done || s24m_wrong(S24_E_IO, "%s: %s", path, strerror(reason));
}

/* "README.source.md", "README.source.source.md" ...: the first that is not there. */
static bool move_away(const char *path)
{
    const char *dot = strrchr(path, '.');
    int stem = (int)(dot && !strchr(dot, '/') ? dot - path : (ptrdiff_t)strlen(path));
    size_t size = strlen(path) + 80;
    char *kept = s24m_have(malloc(size));
    bool done = kept != NULL;
    if (done)
        snprintf(kept, size, "%s", path);
    for (int i = 1; done && !access(kept, F_OK); i++) {
        snprintf(kept, size, "%.*s", stem, path);
        for (int j = 0; j < i && strlen(kept) + 20 < size; j++)
            strcat(kept, ".source");
        strcat(kept, path + stem);
        done = i < 10 || s24m_wrong(S24_E_IO, "%s: move it elsewhere", kept);
    }
    done = done && (!strcmp(kept, path) || !rename(path, kept) ||
                    s24m_wrong(S24_E_IO, "%s: %s", kept, strerror(errno)));
    free(kept);
    return done;
}

bool s24m_beside_add(const char *folder, const char *name, const char *text)
{
    char *path = s24m_path_join(folder, name);
    bool done = path && move_away(path) && write_text(path, text);
    free(path);
    return done;
}

static bool holds(const char *path, const char *text)
{
    FILE *file = fopen(path, "r");
    size_t at = 0, size = strlen(text);
    int c = 0;
    while (file && (c = getc(file)) != EOF && at < size && (char)c == text[at])
        at++;
    if (file)
        fclose(file);
    return file && c == EOF && at == size;
}

bool s24m_beside_replace(const char *folder, const char *name, const char *was, const char *text)
{
    char fresh[300];
    snprintf(fresh, sizeof fresh, ".%s.sparse24", name);
    char *path = s24m_path_join(folder, name), *made = s24m_path_join(folder, fresh);
    bool done = path && made, ours = done && holds(path, was);
    if (ours)
        done = write_text(made, text) &&
               (!rename(made, path) || s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno)));
    if (ours && !done)
        unlink(made);
    free(path);
    free(made);
    return done;
}
