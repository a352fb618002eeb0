/* What is asked of the rows that a model writes for its own calibration: how many, how they begin,
 * what they weigh. Their text is of all kinds that the model knows, which the user's seldom is. */
#ifndef S24M_SELF_H
#define S24M_SELF_H
#include "model.h"

enum { S24M_START = 64 };

/* Ids that a row begins with. */
typedef struct s24m_start {
    int32_t ids[S24M_START];
    int64_t count;
} s24m_start;

typedef struct s24m_self {
    int64_t rows;      /* that are written */
    int64_t continued; /* behind them: rows that go on from the user's */
    double weight;     /* of their tokens beside the user's */
    uint64_t seed;
    s24m_start chat; /* a conversation up to its first words; count 0: none is known */
    s24m_start open; /* a new text; count 0: none is known */
} s24m_self;

/* "auto", a number of rows, or "ROWS*WEIGHT". Of `given` rows of the user's, auto is 16 times the
 * square root: 128 beside 64, 256 beside 256; 128 without any. The weight is 0.25, without rows of
 * the user's 1. */
bool s24m_self_read(s24m_self *self, const char *text, int64_t given);
/* What decides the rows, as one line. To be freed. */
char *s24m_self_text(const s24m_self *self, int64_t length);
/* Rows can be begun: where the model knows no start they go on from the user's, if there are. */
bool s24m_self_check(const s24m_self *self, int64_t given);

#endif
