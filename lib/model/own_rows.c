#include "own_rows.h"
#include "hash.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTINUED = 32, KINDS = 3 }; /* tokens of a user's row that are gone on from, at most */

/* ---- Rows of a kind ---- */

/* Rows [first, first + count) begin with `start`, or as the user's rows do in turn. */
typedef struct kind {
    const s24m_start *start; /* NULL: as the user's */
    int64_t first, count;
} kind;

static void kinds_of(const s24m_self *self, kind kinds[KINDS])
{
    const s24m_start *chat = self->chat.count ? &self->chat : NULL;
    const s24m_start *open = self->open.count ? &self->open : NULL;
    kinds[0] = (kind){chat, 0, self->rows / 2};
    kinds[1] = (kind){open, self->rows / 2, self->rows - self->rows / 2};
    kinds[2] = (kind){NULL, self->rows, self->continued};
}

static int64_t given_of(const kind *k, int64_t length)
{
    int64_t continued = length / 4 < CONTINUED ? length / 4 : CONTINUED;
    int64_t wanted = k->start ? k->start->count : continued > 0 ? continued : 1;
    return wanted < length ? wanted : length - 1;
}

static bool write_kind(const kind *k, s24m_model *model, const s24m_generating *how, int64_t given,
                       int64_t length, int32_t *ids)
{
    tokens prompts = {.rows = k->count, .length = given_of(k, length)};
    s24m_generating mine = *how;
    prompts.ids = s24m_have(malloc((size_t)(k->count * prompts.length) * sizeof *ids));
    for (int64_t r = 0; prompts.ids && r < k->count; r++)
        memcpy(prompts.ids + r * prompts.length,
               k->start ? k->start->ids : ids + (k->first + r) % given * length,
               (size_t)prompts.length * sizeof *ids);
    mine.first_row += (uint64_t)k->first;
    bool done = prompts.ids &&
                s24m_generate(model, &prompts, &mine, length, ids + (given + k->first) * length);
    free(prompts.ids);
    return done;
}

/* Each rank writes its share. */
static bool share_kind(const kind *k, s24m_model *model, const s24m_generating *how, int64_t given,
                       int64_t length, int32_t *ids)
{
    s24m_share share = s24m_share_mine(how->ranks, k->count);
    kind mine = {k->start, k->first + share.first, share.count};
    bool done = !share.count || write_kind(&mine, model, how, given, length, ids);
    return s24m_ranks_gather_shares(how->ranks, done, ids + (given + k->first) * length, k->count,
                                    (size_t)length * sizeof *ids);
}

bool s24m_own_rows_write(const s24m_self *self, s24m_model *model, const s24m_generating *how,
                         int64_t given, int64_t length, int32_t *ids)
{
    kind kinds[KINDS];
    bool done = true;
    kinds_of(self, kinds);
    for (int i = 0; i < 2; i++) /* without text of the user's one start serves both */
        if (!kinds[i].start && !given)
            kinds[i].start = kinds[1 - i].start;
    double all = (double)(self->rows + self->continued);
    for (int i = 0; done && i < KINDS; i++) {
        const kind *k = kinds + i;
        s24m_watch_span(how->watch, (double)k->first / all, (double)(k->first + k->count) / all);
        done = !k->count || share_kind(k, model, how, given, length, ids);
    }
    s24m_watch_span(how->watch, 0, 0);
    return done;
}

uint64_t s24m_own_rows_bytes(const s24m_self *self, const s24m_model *model, int64_t length,
                             bool least)
{
    kind kinds[KINDS];
    uint64_t most = 0;
    kinds_of(self, kinds);
    for (int i = 0; i < KINDS; i++) {
        int64_t start = given_of(kinds + i, length);
        uint64_t bytes = least ? s24m_generate_bytes(model, kinds[i].count, start, length)
                               : s24m_generate_most(model, kinds[i].count, start, length);
        most = kinds[i].count && bytes > most ? bytes : most;
    }
    return most;
}

/* ---- Kept beside the blocks ---- */

#define ROWS "self.safetensors"
#define CONTINUED_ROWS "continued.safetensors"
#define TENSOR "tokens"

static s24_mat view_of(int32_t *ids, int64_t rows, int64_t length)
{
    s24_mat view = {0};
    s24_mat_rowmajor(&view, ids, rows, length, S24_I32);
    return view;
}

/* The settings, and a hash of the ids. */
static char *seal(const checkpoint *c, const int32_t *ids, int64_t count)
{
    char *text = NULL;
    if (asprintf(&text, "%s%016" PRIx64, c->settings,
                 hash(HASH_BEGIN, ids, (size_t)count * sizeof *ids)) < 0)
        return s24m_have(NULL);
    return text;
}

static bool keep_rows(const checkpoint *c, const char *path, int32_t *ids, int64_t rows,
                      int64_t length)
{
    s24_file *file = NULL;
    s24_mat view = view_of(ids, rows, length);
    char *sealed = seal(c, ids, rows * length);
    bool done = sealed &&
                s24m_good(s24_file_create(c->ctx, path, "safetensors", &file), "%s", path) &&
                s24m_good(s24_file_set_meta(file, "sealed", sealed), "%s", path) &&
                s24m_good(s24_file_put(file, TENSOR, &view, NULL, 2, NULL), "%s", path) &&
                s24m_good(s24_file_commit(file), "%s", path);
    s24_file_destroy(file);
    free(sealed);
    return done;
}

/* *found: the file is there and holds the rows of this job. One that does not is written anew. */
static bool find_rows(const checkpoint *c, const char *path, int32_t *ids, int64_t rows,
                      int64_t length, bool *found)
{
    s24_file *file = NULL;
    s24_mat lies, view = view_of(ids, rows, length);
    *found = false;
    if (access(path, F_OK) || s24_file_open(c->ctx, path, &file) != S24_OK)
        return true;
    const char *theirs = s24_file_meta(file, "sealed");
    bool same = theirs && s24_file_get(file, TENSOR, &lies) == S24_OK && lies.dtype == S24_I32 &&
                lies.rows == rows && lies.cols == length &&
                s24_mat_copy(c->ctx, &lies, &view) == S24_OK;
    char *ours = same ? seal(c, ids, rows * length) : NULL;
    *found = same && ours && !strcmp(ours, theirs);
    s24_file_destroy(file);
    free(ours);
    return !same || ours;
}

static void tell(const s24m_self *self, const s24m_generating *how, const int32_t *ids,
                 int64_t length)
{
    double sum = 0;
    int64_t rows = self->rows + self->continued;
    for (int64_t r = 0; r < rows; r++)
        sum += s24m_repetition(ids + r * length, length) / (double)rows;
    if (sum > 0.5)
        s24m_watch_log(how->watch, 1,
                       "the model's own text repeats itself (%.0f %% of its runs of four tokens "
                       "stand in the row already): it calibrates little; give text of your own, "
                       "or --no-self",
                       100 * sum);
    else
        s24m_watch_log(how->watch, 2, "%lld rows of the model's own text, %.1f %% repeated",
                       (long long)rows, 100 * sum);
}

bool s24m_own_rows_make(const s24m_self *self, s24m_model *model, const s24m_generating *how,
                        const checkpoint *c, int64_t given, int64_t length, int32_t *ids)
{
    int64_t rows = self->rows + self->continued;
    char *path = s24m_checkpoint_path(c, self->rows ? ROWS : CONTINUED_ROWS);
    int32_t *own = ids + given * length;
    bool found = false;
    bool done = path && find_rows(c, path, own, rows, length, &found);
    done = s24m_ranks_same(how->ranks, done, "own rows that lie in the folder", found) &&
           (found || s24m_own_rows_write(self, model, how, given, length, ids)) &&
           (found || s24m_rank(how->ranks) || keep_rows(c, path, own, rows, length));
    if (done)
        tell(self, how, own, length);
    free(path);
    return done;
}
