#include "disk.h"
#include "fail.h"
#include "paths.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* The nearest folder above that is there: those between are made later. */
static bool look(const char *path, struct statvfs *disk)
{
    char *folder = s24m_have(strdup(*path ? path : "."));
    bool found = folder && !statvfs(folder, disk);
    while (folder && !found && errno == ENOENT && strcmp(folder, ".") && strcmp(folder, "/")) {
        char *slash = strrchr(folder, '/');
        strcpy(slash && slash > folder ? slash : folder, slash == folder ? "/" : slash ? "" : ".");
        found = !statvfs(folder, disk);
    }
    free(folder);
    return found;
}

uint64_t s24m_disk_free(const char *path)
{
    struct statvfs disk;
    return look(path, &disk) && disk.f_blocks ? (uint64_t)disk.f_bavail * disk.f_frsize
                                              : UINT64_MAX;
}

uint64_t s24m_disk_used(const char *folder)
{
    uint64_t sum = 0;
    struct dirent *entry;
    struct stat s;
    DIR *open = opendir(folder);
    while (open && (entry = readdir(open))) {
        char *path = *entry->d_name == '.' ? NULL : s24m_path_join(folder, entry->d_name);
        sum += path && !lstat(path, &s) && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
        free(path);
    }
    if (open)
        closedir(open);
    return sum;
}

bool s24m_disk_check(const char *path, uint64_t wanted)
{
    uint64_t left = s24m_disk_free(path);
    return left >= wanted ||
           s24m_wrong(
               S24_E_IO,
               "--out %s: %.0f MiB are needed on its disk, and %.0f are free: choose another "
               "disk, or make room",
               path, (double)wanted / 1048576 + 1, (double)left / 1048576);
}
