#include "message.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char report_head[REPORT_HEAD] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<title>sparse24 report</title><style>\n"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#212529;background:#fff}\nh1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}\n"
    ".title{font-weight:600;font-size:14px}.grid{stroke:#dee2e6}"
    ".same{stroke:#868e96;stroke-dasharray:4 4}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:.15rem .7rem;text-align:right;border-bottom:1px solid #dee2e6}\n"
    "td:first-child,th:first-child{text-align:left}code{background:#f1f3f5;padding:.1rem .3rem}\n"
    "</style></head><body>\n";

/* On disk; true where the file system has nothing to do for that. */
static bool sync_file(int file)
{
    int answer;
    do
        answer = fsync(file);
    while (answer && errno == EINTR);
    return !answer || errno == EINVAL;
}

/* Whether what is there may be replaced: nothing, an empty file or a page of ours. */
static bool is_ours(const char *path)
{
    char begin[sizeof report_head];
    struct stat info;
    if (stat(path, &info))
        return errno == ENOENT || fail("--report %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return fail("--report %s: not a regular file", path);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(begin, 1, sizeof report_head - 1, file) : 0;
    if (file)
        fclose(file);
    return !info.st_size ||
           (length == sizeof report_head - 1 && !memcmp(begin, report_head, length)) ||
           fail("--report %s: is there and not a report of sparse24: give another name, or remove "
                "it",
                path);
}

/* A new file beside the page, to become it in one step; one that a killed run left goes. */
static FILE *open_beside(const char *path, char **name)
{
    size_t size = strlen(path) + 8;
    *name = must(malloc(size));
    snprintf(*name, size, "%s.part", path);
    if (!is_ours(path) || !is_ours(*name))
        return NULL;
    unlink(*name);
    int file = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    if (!out)
        fail("--report %s: %s", path, strerror(errno));
    return out;
}

bool report_check(const char *path)
{
    char *name;
    FILE *out = open_beside(path, &name);
    bool done =
        out && ((!fclose(out) && !unlink(name)) || fail("--report %s: %s", path, strerror(errno)));
    free(name);
    return done;
}

bool report_write(const report *r, const char *path)
{
    char *name;
    FILE *out = open_beside(path, &name);
    if (out) {
        report_put(out, r);
        bool good = !ferror(out) && !fflush(out) && sync_file(fileno(out));
        good = !fclose(out) && good && !rename(name, path);
        if (!good) {
            fail("--report %s: %s", path, strerror(errno));
            unlink(name);
            out = NULL;
        }
    }
    free(name);
    return out != NULL;
}
