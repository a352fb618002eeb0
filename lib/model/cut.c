#include "cut.h"
#include "parts.h"
#include <stdio.h>
#include <string.h>

/* ---- Which ---- */

/* The matrix that lies in a tensor, or whose bias that is; -1: none. */
static int32_t find_matrix(const s24m_model *model, int64_t layer, const char *tensor, bool *bias)
{
    char name[S24M_NAME];
    for (int32_t which = 0; which < s24m_matrices(model, layer); which++)
        for (int i = 0; i < 2; i++) {
            *bias = i > 0;
            s24m_tensor_name(model, layer, which, *bias, name);
            if (!strcmp(name, tensor))
                return which;
        }
    return -1;
}

/* The units that a solved matrix keeps, where its block's file has them. */
static bool read_kept(const supply *s, int64_t layer, int32_t which, int64_t units, s24m_cut *cut)
{
    char name[S24M_NAME + 8], tensor[S24M_NAME];
    s24_mat kept;
    s24m_name(s->model, layer, which, tensor);
    snprintf(name, sizeof name, "%s.kept", tensor);
    if (!s24m_good(s24_file_get(s->block, name, &kept), "%s", name))
        return false;
    const int32_t *at = kept.data;
    bool good = kept.dtype == S24_I32 && kept.rows == 1;
    for (int64_t i = 0; good && i < kept.cols; i++)
        good = at[i] >= 0 && at[i] < units && (!i || at[i] > at[i - 1]);
    *cut = (s24m_cut){at, kept.cols, 1, 1};
    return good || s24m_wrong(S24_E_FORMAT, "%s: these are no rising numbers below %lld", name,
                              (long long)units);
}

static bool cut_mlp(const supply *s, const s24m_program *p, int64_t layer, int32_t role,
                    s24m_cuts *cuts)
{
    int64_t ffn = s->model->config.ffn;
    s24m_cut *side = role == S24M_DOWN ? &cuts->cols : &cuts->rows;
    if (!read_kept(s, layer, p->first[S24M_DOWN], ffn, side))
        return false;
    side->runs = role == S24M_GATE ? p->matrices[p->first[S24M_GATE]].outputs / ffn : 1;
    return true;
}

/* Queries move in units of o; keys and values in theirs, unless one serves all. */
static bool cut_attention(const supply *s, const s24m_shrink *how, const s24m_program *p,
                          int64_t layer, int32_t role, s24m_cuts *cuts)
{
    const s24m_config *c = &s->model->config;
    bool groups = *how->o == 'g', keys = role == S24M_K || role == S24M_V;
    int64_t units = groups ? c->kv_heads : c->heads;
    s24m_cut *side = role == S24M_O ? &cuts->cols : &cuts->rows;
    if (keys && how->kv_heads == c->kv_heads)
        return true;
    if (!read_kept(s, layer, p->first[S24M_O], units, side))
        return false;
    side->width = (keys ? c->kv_heads : c->heads) / units * c->head_dim;
    return true;
}

static bool is_one_of(int32_t role, int32_t first, int32_t last)
{
    return role >= first && role <= last;
}

bool s24m_cuts_of(const supply *s, const s24m_shrink *how, const char *tensor, s24m_cuts *cuts,
                  bool *cut)
{
    int64_t layer = s24m_layer_of(s->model, tensor);
    bool bias = false, done = true;
    int32_t which = layer < 0 ? -1 : find_matrix(s->model, layer, tensor, &bias);
    *cuts = (s24m_cuts){.rows = {.kept = NULL}};
    if (which >= 0) {
        const s24m_program *p = s24m_program_of(s->model, layer);
        int32_t role = p->matrices[which].role;
        if (*how->down && is_one_of(role, S24M_GATE, S24M_DOWN))
            done = cut_mlp(s, p, layer, role, cuts);
        else if (*how->o && is_one_of(role, S24M_Q, S24M_O))
            done = cut_attention(s, how, p, layer, role, cuts);
    }
    if (bias) /* one row, of as many columns as the matrix has rows */
        *cuts = (s24m_cuts){.cols = cuts->rows};
    *cut = cuts->rows.kept || cuts->cols.kept;
    return done;
}

/* ---- Cutting ---- */

/* Of `extent` stretches of `size` floats each, those that stay; their number. */
static int64_t keep(const s24m_cut *c, int64_t extent, int64_t size, const float *from, float *to)
{
    int64_t all = extent / c->runs, stretch = c->width * size, kept = 0;
    for (int64_t run = 0; run < c->runs; run++)
        for (int64_t i = 0; i < c->count; i++, kept++)
            memmove(to + kept * stretch, from + run * all * size + c->kept[i] * stretch,
                    (size_t)stretch * sizeof *to);
    return kept * c->width;
}

void s24m_cut_apply(const s24m_cuts *cuts, float *values, int64_t *rows, int64_t *cols)
{
    int64_t left = *cols;
    if (cuts->rows.kept)
        *rows = keep(&cuts->rows, *rows, *cols, values, values);
    for (int64_t r = 0; cuts->cols.kept && r < *rows; r++) /* each lies behind those before it */
        left = keep(&cuts->cols, *cols, 1, values + r * *cols, values + r * left);
    *cols = left;
}
