/* Rows of token ids from any file: what calibrations and evaluations take. */
#include "handle.h"
#include "ids.h"
#include "image.h"
#include "option_text.h"
#include "paths.h"
#include "text.h"
#include "tokenizer/handle.h"
#include "tokens.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAGIC = 0x6b34326d, USUAL_CONTEXT = 512 };

struct s24_tokens {
    uint32_t magic;
    tokens rows;
    char *name;
};

/* ---- The model's tokenizer ---- */

/* Embeddings have some rows more than there are pieces, to be multiples of something. */
static bool belongs(const s24_model *model, const s24_tokenizer *h)
{
    int64_t rows = model->network->config.vocab, pieces = 0, most = 0;
    const vocabulary *v = &h->t.words;
    for (size_t id = 0; id < v->count; id++) {
        pieces += v->pieces[id].kind != PIECE_MISSING;
        if (v->pieces[id].kind && !v->pieces[id].hidden)
            most = (int64_t)id + 1;
    }
    if (most > rows)
        return s24m_wrong(S24_E_SHAPE,
                          "the tokenizer's ids go up to %" PRId64
                          ", but the model's are 0 .. %" PRId64 ": they do not belong together",
                          most - 1, rows - 1);
    return pieces >= rows - rows / 10 ||
           s24m_wrong(S24_E_SHAPE,
                      "the tokenizer has %" PRId64 " pieces, but the model's vocabulary %" PRId64
                      ": they do not belong together",
                      pieces, rows);
}

bool s24m_find_tokenizer(s24_model *model, const char *path)
{
    s24_tokenizer *made = NULL;
    if (model->tokenizer && !path)
        return true;
    if (!s24m_done(s24_tokenizer_open(model->network->ctx, path ? path : model->path, &made)))
        return false;
    if (!belongs(model, made)) {
        s24_tokenizer_destroy(made);
        return false;
    }
    s24_tokenizer_destroy(model->tokenizer);
    model->tokenizer = made;
    return true;
}

s24_status s24_model_tokenizer(s24_model *model, const char *path, s24_tokenizer **out)
{
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    bool done = s24m_find_tokenizer(model, path);
    if (done && out)
        *out = model->tokenizer;
    s24m_leave(model);
    return s24m_status(done);
}

/* ---- What is asked ---- */

typedef struct wanted {
    int64_t rows, context;
    char field[64];
    s24m_bos bos;
} wanted;

static bool take_count(const char *name, const char *value, int64_t *count)
{
    char *end;
    long long read = strtoll(value, &end, 10);
    *count = read;
    return (end != value && !*end && read >= 0) ||
           s24m_wrong(S24_E_OPTION, "%s=%.40s: expected a number, 0 or more", name, value);
}

static bool take_option(void *arg, const char *name, const char *value)
{
    wanted *w = arg;
    if (!strcmp(name, "rows"))
        return take_count(name, value, &w->rows);
    if (!strcmp(name, "context"))
        return take_count(name, value, &w->context);
    if (!strcmp(name, "bos"))
        return s24m_read_bos(value, &w->bos);
    if (strcmp(name, "field"))
        return s24m_wrong(S24_E_OPTION, "no option %.20s; there are: rows, context, field, bos",
                          name);
    if (!*value || strlen(value) >= sizeof w->field)
        return s24m_wrong(S24_E_OPTION, "field: expected a name of at most %zu bytes",
                          sizeof w->field - 1);
    strcpy(w->field, value);
    return true;
}

/* ---- Cutting ---- */

static bool too_few(const s24_tokens *t, int64_t ids, int64_t row)
{
    return s24m_wrong(S24_E_SHAPE,
                      "%s: holds %" PRId64 " ids, no row of %" PRId64
                      ": take more text, or shorter rows (--context)",
                      t->name, ids, row);
}

/* Rows of `context` ids: `prefix`, then what comes next of the list. */
static bool cut(s24_tokens *t, const wanted *w, int64_t pieces, const id_list *prefix,
                const int32_t *ids, int64_t count)
{
    int64_t context = w->context, first = (int64_t)prefix->count, step = context - first;
    int64_t found = step > 0 ? count / step : 0;
    if (!found)
        return too_few(t, count, context);
    if (w->rows > found)
        return s24m_wrong(S24_E_SHAPE, "--rows %" PRId64 ": %s has %" PRId64, w->rows, t->name,
                          found);
    int64_t rows = w->rows ? w->rows : found;
    int32_t *all = s24m_have(malloc((size_t)(rows * context) * sizeof *all));
    s24_mat view;
    if (!all)
        return false;
    for (int64_t r = 0; r < rows; r++) {
        if (first)
            memcpy(all + r * context, prefix->ids, (size_t)first * sizeof *all);
        memcpy(all + r * context + first, ids + r * step, (size_t)step * sizeof *all);
    }
    bool done = s24m_good(s24_mat_rowmajor(&view, all, rows, context, S24_I32), "%s", t->name) &&
                s24m_tokens_take(&t->rows, &view, t->name, pieces);
    free(all);
    return done;
}

/* ---- From texts ---- */

static bool from_text(s24_tokens *t, s24_model *model, const char *path, text_kind kind, wanted *w)
{
    buffer text = {0};
    const s24m_config *c = &model->network->config;
    id_list prefix;
    how plain = {.bos = S24M_BOS_NO};
    w->context = w->context ? w->context : c->context < USUAL_CONTEXT ? c->context : USUAL_CONTEXT;
    bool done = s24m_text_read(&text, path, kind, w->field) && s24m_find_tokenizer(model, NULL) &&
                s24m_around(&model->tokenizer->t, w->bos, &prefix) &&
                s24m_tokenize(model->tokenizer, text.data, text.size, &plain);
    s24m_buffer_free(&text);
    const id_list *ids = done ? &model->tokenizer->t.ids : NULL;
    return done && cut(t, w, c->vocab, &prefix, ids->ids, (int64_t)ids->count);
}

/* ---- From ids ---- */

/* In rows as they lie: all, or the first. */
static bool take_rows(s24_tokens *t, const id_source *s, const wanted *w, int64_t pieces)
{
    s24_mat view = s->ids;
    if (s->is_list)
        return s24m_wrong(S24_E_SHAPE,
                          "%s: is one list of ids, --context tells how long its rows are", t->name);
    if (view.rows < 1 || view.cols < 1)
        return too_few(t, 0, view.cols);
    if (w->rows > view.rows)
        return s24m_wrong(S24_E_SHAPE, "--rows %" PRId64 ": %s has %" PRId64, w->rows, t->name,
                          view.rows);
    view.rows = w->rows ? w->rows : view.rows;
    return s24m_tokens_take(&t->rows, &view, t->name, pieces);
}

/* Joined and cut anew, with a token before each row if that is wanted. */
static bool take_anew(s24_tokens *t, s24_model *model, const id_source *s, wanted *w)
{
    id_list prefix = {0};
    tokens all = {0};
    int64_t pieces = model->network->config.vocab, count = s->ids.rows * s->ids.cols;
    w->context = w->context ? w->context : s->ids.cols;
    if (w->bos == S24M_BOS_YES &&
        (!s24m_find_tokenizer(model, NULL) || !s24m_around(&model->tokenizer->t, w->bos, &prefix)))
        return false;
    if (count < w->context)
        return too_few(t, count, w->context);
    bool done = s24m_tokens_take(&all, &s->ids, t->name, pieces) &&
                cut(t, w, pieces, &prefix, all.ids, count);
    s24m_tokens_close(&all);
    return done;
}

static bool from_ids(s24_tokens *t, s24_model *model, const id_source *s, wanted *w)
{
    if (!s24m_is_integer(s->ids.dtype))
        return s24m_wrong(S24_E_DTYPE, "%s: expected integers of 16, 32 or 64 bits, of rank 1 or 2",
                          t->name);
    return w->context || (w->bos == S24M_BOS_YES && !s->is_list)
               ? take_anew(t, model, s, w)
               : take_rows(t, s, w, model->network->config.vocab);
}

/* ---- Any file ---- */

/* FILE:TENSOR; a path that exists is no split. */
static bool split(const char *path, char **file, const char **tensor)
{
    const char *colon = access(path, F_OK) ? strrchr(path, ':') : NULL;
    *file = s24m_have(colon ? strndup(path, (size_t)(colon - path)) : strdup(path));
    *tensor = colon ? colon + 1 : NULL;
    return *file;
}

static bool read_file(s24_tokens *t, s24_model *model, const char *path, const char *tensor,
                      wanted *w)
{
    text_kind kind = TEXT_TENSORS;
    id_source s = {0};
    if (model->network->config.image.size)
        return s24m_pixels_read(&t->rows, model->network, path, tensor, w->rows, &t->name);
    if (!tensor && !s24m_path_is_folder(path) && !s24m_text_kind(path, &kind))
        return false;
    if (kind == TEXT_PLAIN || kind == TEXT_LINES) {
        t->name = s24m_have(strdup(path));
        return t->name && from_text(t, model, path, kind, w);
    }
    bool done = kind == TEXT_NUMPY ? s24m_numpy_open(&s, path)
                                   : s24m_id_tensor_open(&s, model->network->ctx, path, tensor);
    t->name = s.name;
    s.name = NULL;
    done = done && from_ids(t, model, &s, w);
    s24m_id_source_close(&s);
    return done;
}

static bool open_tokens(s24_tokens *t, s24_model *model, const char *path, const char *options)
{
    wanted w = {.field = "text"};
    char *file;
    const char *tensor;
    if (!s24m_option_text(options, take_option, &w) || !split(path, &file, &tensor))
        return false;
    bool done = read_file(t, model, file, tensor, &w);
    free(file);
    return done;
}

s24_status s24_tokens_open(s24_model *model, const char *path, const char *options,
                           s24_tokens **out)
{
    if (out)
        *out = NULL;
    s24_status status = s24m_enter(model, __func__);
    if (status)
        return status;
    s24_tokens *t = NULL;
    bool done =
        (path && out) || s24m_wrong(S24_E_ARG, "%s: %s is NULL", __func__, path ? "out" : "path");
    done = done && (t = s24m_have(calloc(1, sizeof *t))) && open_tokens(t, model, path, options);
    status = s24m_status(done);
    if (t)
        t->magic = MAGIC;
    if (done)
        *out = t;
    else
        s24_tokens_destroy(t);
    s24m_leave(model);
    return status;
}

void s24_tokens_destroy(s24_tokens *t)
{
    if (!t || t->magic != MAGIC)
        return;
    t->magic = 0;
    s24m_tokens_close(&t->rows);
    free(t->name);
    free(t);
}

s24_status s24_tokens_get(const s24_tokens *t, s24_mat *ids, const char **name)
{
    if (!t || t->magic != MAGIC)
        return s24m_fail(S24_E_ARG, "%s: tokens is %s", __func__,
                         t ? "no living handle of tokens" : "NULL");
    if (name)
        *name = t->name;
    if (ids && t->rows.pixels)
        return s24_mat_rowmajor(ids, t->rows.ids, t->rows.rows, t->rows.pixels, S24_F32);
    return ids ? s24_mat_rowmajor(ids, t->rows.ids, t->rows.rows, t->rows.length, S24_I32) : S24_OK;
}
