/* The processes that work on one model together: which part of the rows is whose, sums in the order
 * of the ranks, and how all learn that one has failed. Knows no model. docs/distributed.md. */
#ifndef S24M_RANKS_H
#define S24M_RANKS_H
#include "fail.h"
#include <sparse24/model.h>

/* Of a model's handle, for one call at a time. All zero: this process is alone. */
typedef struct s24m_ranks {
    s24_group host;
    int32_t *answers;  /* room for one of each rank */
    bool parted;       /* one has failed and all know: nobody waits for anybody any more */
    uint64_t received; /* bytes from other ranks */
} s24m_ranks;

/* Of `count` things in a row, those of one rank: as many for each, and the first ranks one more. */
typedef struct s24m_share {
    int64_t first, count;
} s24m_share;

/* There are others. NULL: no. */
static inline bool s24m_together(const s24m_ranks *r)
{
    return r && r->host.size > 1;
}

static inline int32_t s24m_rank(const s24m_ranks *r)
{
    return s24m_together(r) ? r->host.rank : 0;
}

static inline int32_t s24m_rank_count(const s24m_ranks *r)
{
    return s24m_together(r) ? r->host.size : 1;
}

s24m_share s24m_share_of(const s24m_ranks *r, int32_t rank, int64_t count);
s24m_share s24m_share_mine(const s24m_ranks *r, int64_t count);

bool s24m_ranks_open(s24m_ranks *r, const s24_group *group);
void s24m_ranks_close(s24m_ranks *r);
/* A new call: nobody has failed. */
void s24m_ranks_begin(s24m_ranks *r);

/*
 * Whether all ranks have come here with `done`. If not, all have the error of the first that has
 * not, which its text names. A rank that failed goes on to the next such question without work:
 * each function below asks it first, and every call of the library that ranks make ends with it. So
 * no rank waits for one that has gone. For a process alone it is `done`.
 */
bool s24m_ranks_agree(s24m_ranks *r, bool done);
/* Whether `value` is that of rank 0 everywhere; `what` names it in the error. */
bool s24m_ranks_same(s24m_ranks *r, bool done, const char *what, int64_t value);
/* The same of texts: the error has the first line that differs. */
bool s24m_ranks_same_text(s24m_ranks *r, bool done, const char *text);
/* The value of rank 0. */
bool s24m_ranks_tell(s24m_ranks *r, bool done, int64_t *value);

/* values[i] becomes the sum over all ranks, added in their order. */
bool s24m_ranks_sum(s24m_ranks *r, bool done, double *values, int64_t count);
/* The same of floats, added in double: each rank adds a part of each strip. */
bool s24m_ranks_sum_floats(s24m_ranks *r, bool done, float *values, int64_t count);
/* `items` holds `count` things of `bytes` each, of which each rank has made its share. */
bool s24m_ranks_gather_shares(s24m_ranks *r, bool done, void *items, int64_t count, size_t bytes);

/* The host's functions, counted; asked about nothing first. */
bool s24m_ranks_exchange(s24m_ranks *r, const void *send, void *receive, size_t bytes);
bool s24m_ranks_gather(s24m_ranks *r, const void *send, void *receive, size_t bytes);
bool s24m_ranks_broadcast(s24m_ranks *r, void *data, size_t bytes, int32_t root);

#endif
