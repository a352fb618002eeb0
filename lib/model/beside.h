/* What an output holds beside the model: codes and factors that the model has no place for,
 * descriptions, records, texts for who meets it. */
#ifndef BESIDE_H
#define BESIDE_H
#include "describe.h"
#include "solved.h"

/* Where records lie in an output. */
#define RECORDS_PLACE "records.jsonl"

/* All parts, in a folder where no loader looks for weights. */
bool s24m_beside_parts(const supply *s, const char *folder);
/* The factors of ranks as an adapter that PEFT loads over the base beside it. */
bool s24m_beside_factors(const supply *s, const char *folder);
/* The values of a matrix of such an adapter are the base's and this product: add it to `values`. */
bool s24m_beside_add_factors(const s24_file *adapter, s24_ctx *ctx, const char *tensor,
                             s24_mat *values);
/* The adapter of an output, open. */
bool s24m_beside_open_adapter(s24_ctx *ctx, const char *out, s24_file **adapter);
bool s24m_beside_records(const char *folder, const record *records, int count);
/* A small file, synced. */
bool s24m_beside_text(const char *folder, const char *name, const char *text);
/* The same; one that the source brought is kept: README.md as README.source.md. */
bool s24m_beside_add(const char *folder, const char *name, const char *text);
/* Write folder/name anew in one step if `was` is what it holds; otherwise it is somebody's own, and
 * stays. */
bool s24m_beside_replace(const char *folder, const char *name, const char *was, const char *text);

#endif
