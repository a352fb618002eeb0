/* The finished model from the source and the blocks of a checkpoint, or from an output that is
 * written in another form: everything that was not compressed is carried over byte for byte. Knows
 * files; neither solvers nor activations. */
#ifndef ASSEMBLE_H
#define ASSEMBLE_H
#include "checkpoint.h"
#include "forms.h"
#include "model.h"
#include "origin.h"
#include "shrink.h"

typedef struct assembly {
    const s24m_model *model; /* the source */
    const origin *origin;    /* its files, which must not have changed */
    const checkpoint *c;     /* where it is put together */
    bool exporting;          /* what is compressed is in the source, not in blocks of c ... */
    const s24_file *parts;   /* ... and these are its parts; NULL: it has none */
    const s24_file *tuned;   /* tensors that were tuned since; or NULL */
    const form *form;
    const s24m_shrink *shrink; /* columns are removed; NULL: sizes stay */
    s24m_watch *watch;
    const char *out;
    int32_t store; /* as in settings */
    /* Puts more beside the model before it appears, or NULL. */
    bool (*beside)(void *arg, const char *folder);
    void *arg;
} assembly;

/* Whether everything beside the tensors can be carried over: to be asked before hours of work. */
bool s24m_assemble_check(const assembly *a);
/* Write `out`, a folder: the model in its form, records.jsonl, and what the form has beside it. It
 * appears at once, complete. */
bool s24m_assemble(const assembly *a, const record *records, int count);
/* Where the model lies in such a folder: the folder itself or the file in it. To be freed. */
char *s24m_assemble_model_path(const assembly *a, const char *folder);

#endif
