/* What a host sees of its own process: resident bytes, threads, mappings. Linux. */
#ifndef S24_TESTS_PROCESS_H
#define S24_TESTS_PROCESS_H
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct process {
    long resident; /* KiB */
    int threads, mappings;
} process;

static inline int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int count = -2; /* "." and ".." */

    while (d && readdir(d))
        count++;
    if (d)
        closedir(d);
    return count;
}

static inline int lines(const char *path)
{
    FILE *stream = fopen(path, "r");
    int count = 0, c;

    while (stream && (c = getc(stream)) != EOF)
        count += c == '\n';
    if (stream)
        fclose(stream);
    return count;
}

static inline process process_now(void)
{
    process p = {0};
    long total;
    FILE *stream = fopen("/proc/self/statm", "r");

    if (!stream || fscanf(stream, "%ld %ld", &total, &p.resident) != 2)
        exit(2);
    fclose(stream);
    p.resident *= sysconf(_SC_PAGESIZE) / 1024;
    p.threads = entries("/proc/self/task");
    p.mappings = lines("/proc/self/maps");
    return p;
}

static int failures;

static inline void expect(int good, const char *what)
{
    printf("%s - %s\n", good ? "ok" : "not ok", what);
    failures += !good;
}

#endif
