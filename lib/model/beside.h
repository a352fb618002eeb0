/* Texts of ours that lie beside a model: what asks for them knows what they say. */
#ifndef S24M_BESIDE_H
#define S24M_BESIDE_H
#include <stdbool.h>

/* Write folder/name. One that the source brought is kept: README.md as README.source.md. */
bool s24m_beside_add(const char *folder, const char *name, const char *text);
/* Write folder/name anew in one step if `was` is what it holds; otherwise it is somebody's own, and
 * stays. */
bool s24m_beside_replace(const char *folder, const char *name, const char *was, const char *text);

#endif
