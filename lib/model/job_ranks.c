/* What a run of several ranks has to make sure of: that they can do it, do the same, and see one
 * folder. */
#include "compression.h"
#include "hash.h"
#include "paths.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool s24m_job_check_alone(const s24_compression *c, const char *what)
{
    int32_t ranks = s24m_rank_count(&c->handle->ranks);
    return ranks == 1 ||
           s24m_wrong(S24_E_UNSUPPORTED, "%s: %d ranks cannot share this: do it with one", what,
                      (int)ranks);
}

bool s24m_job_check_ranks(const s24_compression *c)
{
    int32_t ranks = s24m_rank_count(&c->handle->ranks);
    int64_t rows = c->sequences.count[0];
    if (ranks > rows)
        return s24m_wrong(S24_E_SHAPE,
                          "%d ranks, but %lld calibration rows: start at most %lld ranks, or give "
                          "more rows",
                          (int)ranks, (long long)rows, (long long)rows);
    const char *solver = c->settings.solver;
    return (!solver || strcmp(solver, "mlprank") || s24m_job_check_alone(c, "--solver mlprank")) &&
           (!c->settings.refine || s24m_job_check_alone(c, "--refine"));
}

/* ---- All do the same ---- */

static char *fingerprint(const s24_compression *c, const char *asked)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    fprintf(out, "%sheldout %lld\nresume %lld\nmemory-limit %lld\n", asked, (long long)c->heldout,
            (long long)c->resume, (long long)c->memory_limit);
    for (const evaluated *e = c->evaluations; e < c->evaluations + c->evaluated; e++) {
        int64_t width = e->tokens.pixels ? e->tokens.pixels : e->tokens.length;
        fprintf(out, "--eval %s, %lld x %lld %016" PRIx64 "\n", e->name, (long long)e->tokens.rows,
                (long long)e->tokens.length,
                hash(HASH_BEGIN, e->tokens.ids,
                     (size_t)(e->tokens.rows * width) * sizeof *e->tokens.ids));
    }
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return text;
    free(text);
    return s24m_have(NULL);
}

bool s24m_job_same(s24_compression *c, const char *asked)
{
    s24m_ranks *r = &c->handle->ranks;
    char *text = s24m_together(r) ? fingerprint(c, asked) : NULL;
    bool done = s24m_ranks_same_text(r, !s24m_together(r) || text, text);
    free(text);
    return done;
}

/* ---- One folder ---- */

#define SIGN ".sparse24-ranks" /* what a killed rank leaves goes with other files of this prefix */

/* The file systems of clusters tell of new names late. */
static bool wait_for(const char *path, double seconds)
{
    const struct timespec moment = {.tv_nsec = 20000000};
    double began = s24_seconds();
    bool found;
    while (!(found = !access(path, F_OK)) && s24_seconds() - began < seconds)
        nanosleep(&moment, NULL);
    return found;
}

static bool put_sign(const char *path, int64_t number)
{
    FILE *file = fopen(path, "w");
    bool done = file && fprintf(file, "%" PRId64 "\n", number) > 0;
    done = file && !fclose(file) && done;
    return done || s24m_wrong(S24_E_IO, "%s: %s", path, strerror(errno));
}

static bool see_sign(const s24_compression *c, const char *path, int64_t number)
{
    int64_t found = 0;
    FILE *file = wait_for(path, 5) ? fopen(path, "r") : NULL;
    bool same = file && fscanf(file, "%" SCNd64, &found) == 1 && found == number;
    if (file)
        fclose(file);
    return same || s24m_wrong(S24_E_IO,
                              "--out %s: this rank does not see the folder %s of rank 0: give one "
                              "on a file system that all ranks share, by the same name",
                              c->out, c->checkpoint.folder);
}

/* Rank 0 leaves a sign, the others look for it. */
bool s24m_job_share_folder(s24_compression *c, bool done)
{
    s24m_ranks *r = &c->handle->ranks;
    int64_t number = (int64_t)time(NULL) * 100000 + getpid() % 100000;
    char *path = done ? s24m_checkpoint_path(&c->checkpoint, SIGN) : NULL;
    if (!s24m_together(r)) {
        free(path);
        return done;
    }
    done = path && (s24m_rank(r) || put_sign(path, number));
    done = s24m_ranks_tell(r, done, &number);
    done = s24m_ranks_agree(r, done && (!s24m_rank(r) || see_sign(c, path, number)));
    if (path && !s24m_rank(r))
        unlink(path);
    free(path);
    return done;
}

/* What rank 0 has written. */
bool s24m_job_see_output(s24_compression *c, bool done)
{
    s24m_ranks *r = &c->handle->ranks;
    done = s24m_ranks_agree(r, done);
    return done && (!s24m_rank(r) || wait_for(c->out, 60) ||
                    s24m_wrong(S24_E_IO, "%s: was written, but this rank does not see it", c->out));
}
