/* Compressed matrices and where they come from: the blocks of a run, or the model and the parts
 * that an earlier run wrote. Knows names and files; not what becomes of them. */
#ifndef SOLVED_H
#define SOLVED_H
#include "checkpoint.h"
#include "model.h"

/* Borrowed until the next one is looked for. */
typedef struct solved {
    bool matrix;   /* it is one of a block's; if not, `values` has it when it was trained; */
    int64_t layer; /* or holds several, of which this is the first, or lies transposed: */
    int32_t which;
    bool folded;
    const s24_file *values;  /* has it, as floats; NULL: it is as in the source */
    const s24_file *parts;   /* has "<tensor>.codes" and so on, or NULL */
    const char *constraints; /* as s24_problem_constraints() spells them */
} solved;

typedef struct supply {
    const s24m_model *model;
    const checkpoint *blocks; /* NULL: from the model itself and `parts` */
    const s24_file *parts;    /* or NULL */
    const s24_file *tuned;    /* has what tuning made of tensors, which comes first; or NULL */
    const record *records;
    int count;
    s24_file *block; /* of the layer at hand */
    int64_t layer;   /* none yet: -1 */
} supply;

bool s24m_supply_find(supply *s, const char *tensor, solved *found);
/* The file that has the matrix of this name; NULL: it is as in the source. */
const s24_file *s24m_supply_values(const supply *s, const char *name);
/* The file that has the parts of the matrix of this name, if it has some; NULL: none has. */
const s24_file *s24m_supply_parts_of(const supply *s, const char *name);
/* The next compressed matrix from `which` on that lies in the tensor of such a one; -1: none. */
int32_t s24m_supply_next(const supply *s, const solved *m, const char *tensor, int32_t which);
/* Call visit(arg, file, name) for every tensor of the parts, in the order of the blocks. */
typedef bool (*part_fn)(void *arg, const s24_file *file, const char *name);
bool s24m_supply_parts(const supply *s, part_fn visit, void *arg);
/* What the record of a matrix names; NULL: there is none. */
const char *s24m_supply_constraints(const supply *s, const char *tensor);
void s24m_supply_close(supply *s);
/* The records that a compressed model holds, each of one of its matrices, with room for all; none:
 * it is from elsewhere. To be closed and freed also on failure. */
bool s24m_records_of(const s24m_model *model, record **records, int *count);
/* Where parts lie in an output: below it, since loaders take every safetensors file beside a model;
 * and where earlier versions put them. */
#define PARTS_FOLDER "sparse24"
#define PARTS_OLD_PLACE "parts.safetensors"
#define PARTS_PLACE PARTS_FOLDER "/" PARTS_OLD_PLACE
/* The parts of an output folder, or of the folder that such a file lies in; *parts NULL: there are
 * none. */
bool s24m_parts_open(s24_ctx *ctx, const char *path, s24_file **parts);

#endif
