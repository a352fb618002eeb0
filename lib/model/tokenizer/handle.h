/* The public handle of a tokenizer, for this library. */
#ifndef S24M_TOKENIZER_HANDLE_H
#define S24M_TOKENIZER_HANDLE_H
#include "tokenizer.h"
#include <locale.h>
#include <sparse24/model.h>
#include <stdatomic.h>

struct s24_tokenizer {
    uint32_t magic;
    atomic_int busy;
    tokenizer t;
};

/* Whether the token for the begin of a text is put there: as the file says, always, never. */
typedef enum s24m_bos { S24M_BOS_AUTO, S24M_BOS_YES, S24M_BOS_NO } s24m_bos;

/* What the options of a call say. */
typedef struct how {
    s24m_bos bos;
    bool special, first;
    bool decodes; /* its options are special and first, else bos and special */
} how;

bool s24m_read_bos(const char *value, s24m_bos *bos);
/* What goes in front of a text, borrowed. */
bool s24m_around(const tokenizer *t, s24m_bos bos, id_list *prefix);
/* h->t.ids = those of the text. */
bool s24m_tokenize(s24_tokenizer *h, const char *text, size_t size, const how *w);

#endif
