/* Rows of tokens that the model writes itself, many at a time. */
#ifndef S24M_GENERATE_H
#define S24M_GENERATE_H
#include "engine.h"
#include "model.h"
#include "ranks.h"
#include "sample.h"
#include "tokens.h"
#include "watch.h"

enum { S24M_STOPS = 16, S24M_TOGETHER = 64 };

/* How long it took: prompts, and tokens behind the first that is written. */
typedef struct s24m_pace {
    double prompt_seconds, decode_seconds;
    int64_t prompt_tokens, decode_tokens;
} s24m_pace;

typedef struct s24m_generating {
    s24m_watch *watch;
    const char *title; /* goes with the progress */
    s24m_sampling sampling;
    uint64_t first_row; /* the number of the first row, for the generator */
    int32_t stops[S24M_STOPS], stop_count;
    uint64_t memory;   /* that all of it may take, s24m_generate_bytes() at least; 0: no limit */
    s24m_ranks *ranks; /* of a job, which share its own rows (own_rows.h); or NULL */
    const s24m_engine *engine; /* whose weights are used instead of the file's; or NULL */
    s24m_pace *pace;           /* is added to; or NULL */
} s24m_generating;

/* ids (prompts->rows, length): each row begins as its prompt does and goes on; behind a stop token
 * its places are -1. Blocks of weights stay in memory as far as `memory` allows; the others are
 * read again for each token. Of rows that are taken together (at most S24M_TOGETHER, fewer under a
 * limit) the bits are the same for any number of threads. */
bool s24m_generate(s24m_model *model, const tokens *prompts, const s24m_generating *how,
                   int64_t length, int32_t *ids);
/* Not those with layers that keep more of the past than keys and values. */
bool s24m_can_generate(const s24m_model *model);
/* The same, or the reason. */
bool s24m_generate_check(const s24m_model *model);
/* The least that it can do with. */
uint64_t s24m_generate_bytes(const s24m_model *model, int64_t rows, int64_t given, int64_t length);
/* The same beside an engine. */
uint64_t s24m_generate_bytes_beside(const s24m_model *model, int64_t given, int64_t length);
/* What it takes without a limit. */
uint64_t s24m_generate_most(const s24m_model *model, int64_t rows, int64_t given, int64_t length);
/* Operations that it takes. */
double s24m_generate_flops(const s24m_model *model, int64_t rows, int64_t length);

#endif
