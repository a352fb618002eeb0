#include "paths.h"
#include "fail.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool s24m_path_is_folder(const char *path)
{
    struct stat s;
    return !stat(path, &s) && S_ISDIR(s.st_mode);
}

char *s24m_path_join(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = s24m_have(malloc(size));
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

char *s24m_path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + (slash == path) : 0;
    return s24m_have(slash ? strndup(path, length) : strdup("."));
}

const char *s24m_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool s24m_path_ends_with(const char *path, const char *ending)
{
    size_t length = strlen(path), size = strlen(ending);
    return length >= size && !strcmp(path + length - size, ending);
}

int s24m_path_split_parts(const char *path, size_t *stem)
{
    static const char form[] = "-00000-of-00000.gguf";
    size_t length = strlen(path), size = sizeof form - 1;
    int part, parts, end = 0;
    if (length <= size)
        return 0;
    *stem = length - size;
    sscanf(path + *stem, "-%5d-of-%5d.gguf%n", &part, &parts, &end);
    return end == (int)size && parts > 0 ? parts : 0;
}

bool s24m_path_make_parents(const char *path)
{
    char *folder = s24m_have(strdup(path));
    bool done = folder != NULL;
    for (char *s = done && *folder ? strchr(folder + 1, '/') : NULL; done && s;
         s = strchr(s + 1, '/')) {
        *s = 0;
        done = !mkdir(folder, 0777) || errno == EEXIST ||
               s24m_wrong(S24_E_IO, "%s: %s", folder, strerror(errno));
        *s = '/';
    }
    free(folder);
    return done;
}

bool s24m_path_sync(int file)
{
    int answer;
    do
        answer = fsync(file);
    while (answer && errno == EINTR);
    return !answer || errno == EINVAL;
}

bool s24m_path_sync_folder(const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = (file >= 0 && s24m_path_sync(file)) ||
                s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    return done;
}
