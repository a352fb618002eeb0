/* The public handle of a model: the network, where it came from, who is in it and who watches. */
#ifndef S24M_HANDLE_H
#define S24M_HANDLE_H
#include "evaluate.h"
#include "generate.h"
#include "ranks.h"
#include <locale.h>
#include <sparse24/model.h>

struct s24_model {
    uint32_t magic;
    s24m_model *network;
    char *path;
    char (*names)[S24M_NAME]; /* of all matrices */
    struct s24m_place {
        int64_t layer;
        int32_t which;
    } * places; /* of the same */
    atomic_int busy;
    locale_t plain, hosts; /* numbers with a point, whatever the host speaks: see s24m_enter() */
    s24m_watch watch;
    s24m_ranks ranks;
    evaluation last;
    bool evaluated;
    s24m_pace pace;           /* of the last generation */
    s24m_engine *engine;      /* NULL until it is packed */
    s24_tokenizer *tokenizer; /* NULL until it is asked for */
};

/* S24_E_ARG for NULL and what is no model. */
s24_status s24m_check_model(const s24_model *model, const char *function);
/* One call at a time: S24_E_STATE if one is at work. Until it leaves, after S24_OK only, its thread
 * reads and writes numbers as C does. */
s24_status s24m_enter(s24_model *model, const char *function);
void s24m_leave(s24_model *model);
/* model->tokenizer, opened where it is not yet, or another is wanted: that of `path`. */
bool s24m_find_tokenizer(s24_model *model, const char *path);
/* Bytes a second that the context's threads read: the best of some turns over 512 MiB. */
bool s24m_read_rate(s24_ctx *ctx, double *rate);

#endif
