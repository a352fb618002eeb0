/* Texts for calibration and evaluation from files, and what kind of file each is. Knows no
 * tokenizer. */
#ifndef S24M_TEXT_H
#define S24M_TEXT_H
#include "tokenizer/buffer.h"

typedef enum text_kind {
    TEXT_PLAIN,
    TEXT_LINES,  /* an object a line */
    TEXT_NUMPY,  /* no text: ids in a .npy */
    TEXT_TENSORS /* no text: ids in a file of tensors */
} text_kind;

/* By the first bytes of a file, and its name; S24_E_FORMAT names what cannot be read. */
bool s24m_text_kind(const char *path, text_kind *kind);
/* Add the text of a file of the first two kinds; of objects the member `field`, with an empty line
 * between. */
bool s24m_text_read(buffer *b, const char *path, text_kind kind, const char *field);

#endif
