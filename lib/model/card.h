/* The card of a compressed model, README.md beside it: from what, how, what came of it, under which
 * licence. Knows records and texts. */
#ifndef S24M_CARD_H
#define S24M_CARD_H
#include "compression.h"

#define CARD "README.md"

/* The card as text, to be freed; `folder` holds the model. Perplexities are told if `measured`. */
char *s24m_card_text(const s24_compression *c, const char *folder, bool measured);
/* Tell the perplexities in the card of c->out, if that is still as we made it. */
bool s24m_card_measured(const s24_compression *c);

#endif
