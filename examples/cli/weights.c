#include "weights.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct facts {
    int64_t shape[8];
    int32_t rank;
    const char *type;
    bool read; /* as floats; others: weights in a way that is not known, or in a file that is no
                * model anything: token ids, masks */
} facts;

static facts facts_of(const s24_file *file, const char *name)
{
    facts f = {.type = ""};
    s24_file_info(file, name, f.shape, &f.rank, &f.type);
    f.read = s24_file_check_read(file, name) == S24_OK;
    return f;
}

/* ---- Names ---- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(word, *list))
            return true;
    return false;
}

static bool has_one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strstr(text, *list))
            return true;
    return false;
}

/* The last part of a name without ".weight": "up_proj" of "model.layers.7.mlp.up_proj.weight"; the name itself if it has no parts. */
static void last_part(const char *name, char out[64])
{
    static const char suffix[] = ".weight";
    size_t length = strlen(name), cut = sizeof suffix - 1;
    if (length > cut && !strcmp(name + length - cut, suffix))
        length -= cut;
    const char *end = name + length, *at = end;
    while (at > name && at[-1] != '.')
        at--;
    snprintf(out, 64, "%.*s", (int)(end - at), at);
}

/* Whether the name is one of a numbered transformer block, "model.layers.7.mlp.up_proj.weight" or
 * "blk.7.ffn_up.weight". */
static bool is_in_block(const char *name)
{
    static const char *const words[] = {"blk.",   "layers.", "layer.", "blocks.",
                                        "block.", "h.",      NULL};
    for (const char *const *word = words; *word; word++)
        for (const char *at = name; (at = strstr(at, *word)); at++)
            if ((at == name || at[-1] == '.') && isdigit((unsigned char)at[strlen(*word)]))
                return true;
    return false;
}

/* GPT-2's linear layers, and what others that are not turned call theirs too. */
static bool is_conv1d_name(const char *name)
{
    static const char *const parts[] = {"c_attn", "c_fc", "c_proj", "q_attn", NULL};
    char part[64];
    last_part(name, part);
    return is_one_of(part, parts);
}

static bool is_expert_name(const char *name)
{
    static const char *const words[] = {"expert", "_exps", "moe", NULL};
    return has_one_of(name, words);
}

static bool ends_with_one_of(const char *text, const char *const *list)
{
    size_t length = strlen(text);
    for (; *list; list++)
        if (length >= strlen(*list) && !strcmp(text + length - strlen(*list), *list))
            return true;
    return false;
}

/* What may have two dimensions and is no weight of a linear layer. */
static bool is_no_weight(const char *part)
{
    static const char *const ends[] = {"bias",      "norm",       "scale",      "scales",
                                       "scale_inv", "zeros",      "zero_point", "mask",
                                       "_index",    "bias_table", NULL};
    static const char *const parts[] = {"A_log", "ssm_a",     "codes",     "outliers", "sparse",
                                        "g_idx", "lowrank_u", "lowrank_v", NULL};
    return ends_with_one_of(part, ends) || is_one_of(part, parts);
}

/* The layer that chooses experts. */
static bool is_router(const char *name, const char *part)
{
    static const char *const parts[] = {
        "gate", "wg", "router", "shared_expert_gate", "ffn_gate_inp", "ffn_gate_inp_shexp", NULL};
    return (is_one_of(part, parts) || strstr(name, ".router.")) && !strstr(name, "experts.");
}

/* What makes a number a head of the delta rule's: too small to be worth it. */
static bool is_delta_gate(const char *part)
{
    static const char *const parts[] = {"in_proj_a", "in_proj_b", "in_proj_ba",
                                        "ssm_alpha", "ssm_beta",  NULL};
    return is_one_of(part, parts);
}

/* ---- The file ---- */

static bool is_model_type(const s24_file *file, const char *const *types)
{
    static const char *const keys[] = {"config.model_type", "config.text_config.model_type"};
    for (int i = 0; i < 2; i++) {
        const char *type = s24_file_meta(file, keys[i]);
        if (type && is_one_of(type, types))
            return true;
    }
    return false;
}

/* GPT-2's c_attn has 3 outputs an input, c_fc 4: the longer side shows how they lie, whatever the configuration says; others
 * (GPTBigCode, Qwen) took the names for matrices outputs x inputs. */
static bool has_conv1d(const s24_file *file)
{
    static const char *const types[] = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer",
                                        NULL};
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        facts f = facts_of(file, name);
        if (f.rank == 2 && is_conv1d_name(name) && !strstr(name, "c_proj") &&
            f.shape[0] != f.shape[1])
            return f.shape[0] < f.shape[1];
    }
    return is_model_type(file, types);
}

survey weights_survey(const s24_file *file)
{
    static const char *const turned[] = {"llama4", "llama4_text", "gpt_oss",
                                         "aria",   "aria_text",   NULL};
    survey s = {.conv1d = has_conv1d(file), .experts_turn = is_model_type(file, turned)};
    for (int64_t i = 0; i < s24_file_count(file); i++) {
        const char *name = s24_file_name(file, i);
        bool in_block = is_in_block(name) && facts_of(file, name).rank > 1;
        s.model |= in_block;
        s.experts |= in_block && is_expert_name(name);
    }
    return s;
}

/* ---- One tensor ---- */

static bool is_empty(const facts *f)
{
    bool empty = false;
    for (int32_t i = 0; i < f->rank; i++)
        empty |= f->shape[i] == 0;
    return empty;
}

static int kind_of(const survey *s, const char *name, const facts *f, const char **why)
{
    char part[64];
    last_part(name, part);
    if (f->rank < 2 || is_empty(f) || is_no_weight(part) || !strcmp(f->type, "BOOL"))
        return WEIGHTS_NONE;
    if (s->model && !is_in_block(name) && !is_expert_name(name))
        return WEIGHTS_OUTSIDE;
    *why = f->type;
    if (!f->read)
        return s->model || *f->type == 'F' || strstr(part, "weight") ? WEIGHTS_CLOSED
                                                                     : WEIGHTS_NONE;
    *why = f->rank > 3                           ? "no matrix"
           : strstr(part, "conv")                ? "a convolution"
           : is_delta_gate(part)                 ? "gates of the delta rule"
           : s->experts && is_router(name, part) ? "a router, which chooses experts"
                                                 : NULL;
    return *why ? WEIGHTS_LEFT : WEIGHTS;
}

weights weights_of(const s24_file *file, const survey *s, const char *name)
{
    facts f = facts_of(file, name);
    weights w = {.count = f.rank == 3 ? f.shape[0] : 1};
    w.turned =
        f.rank == 3 ? s->experts_turn && is_expert_name(name) : s->conv1d && is_conv1d_name(name);
    w.kind = kind_of(s, name, &f, &w.why);
    return w;
}

s24_mat weights_matrix(const weights *w, const s24_mat *whole, int64_t index)
{
    int64_t rows = whole->rows / w->count;
    s24_mat m = rows_of(whole, index * rows, rows);
    if (!w->turned)
        return m;
    s24_mat turned = m;
    turned.rows = m.cols, turned.cols = m.rows;
    turned.row_stride = m.col_stride;
    turned.col_stride = m.row_stride;
    return turned;
}
