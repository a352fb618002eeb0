/* The card of a compressed model, README.md beside it: from what, how, what came of it, under which
 * licence. Knows records and texts. */
#ifndef S24M_CARD_H
#define S24M_CARD_H
#include "compression.h"

#define CARD "README.md"

/* What a card tells of. */
typedef struct s24m_card {
    s24_model *handle;
    const s24m_model *model;
    const origin *origin;
    const record *records; /* of the compressed matrices */
    int count;
    const form *form;            /* in which they are written */
    const s24_compression *made; /* the run; NULL: an earlier run's output in another form */
} s24m_card;

/* The card as text, to be freed; `folder` holds the model. */
char *s24m_card_write(const s24m_card *c, const char *folder, bool measured);
/* The same of a run, to be freed; `folder` holds the model. Perplexities are told if `measured`. */
char *s24m_card_text(const s24_compression *c, const char *folder, bool measured);
/* Tell the perplexities in the card of c->out, if that is still as we made it. */
bool s24m_card_measured(const s24_compression *c);

#endif
