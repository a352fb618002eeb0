/* Folders of quantised models: which tensors hold the codes and scales of which matrix, by the
 * quantization_config of config.json. Knows names and shapes; packing.h decodes. */
#ifndef S24I_QUANTISED_H
#define S24I_QUANTISED_H
#include "base/json.h"
#include "packing.h"

/* What is owned by the reader of a folder. */
typedef struct s24i_quantised {
    s24i_packing *packings;
    int64_t count, room;
    s24i_text undecoded; /* the method, or what of it is not decoded; empty: nothing */
    bool decoded;
} s24i_quantised;

/*
 * Put each matrix in place of the tensors that it is stored in, under the name that it has in a
 * model of floats. A method that is not decoded leaves all as it is and is told in `undecoded`.
 * S24_E_FORMAT: a part is missing or of another shape; S24_E_MEMORY.
 */
s24_status s24i_quantised_fold(s24i_reader *reader, s24i_quantised *q);
void s24i_quantised_free(s24i_memory *memory, s24i_quantised *q);
/* Whether a key of the metadata tells of the codes; the objects whose keys do, NULL after the
 * last. */
bool s24i_quantised_key(const char *key);
const char *s24i_quantised_object(int index);

/* ---- For the methods. ---- */

enum { S24I_SCHEMES = 32 };

/* Weights of some layers: `row_block` x `col_block` of them share a scale; 0: a row, or all. */
typedef struct s24i_scheme {
    int32_t bits;
    bool is_float;
    int64_t row_block, col_block;
} s24i_scheme;

typedef struct s24i_fold {
    s24i_reader *reader;
    s24i_quantised *q;
    const char *object;    /* of the settings, "config.quantization_config" */
    unsigned char *hidden; /* by tensor: it is a part of a matrix */
    s24i_scheme schemes[S24I_SCHEMES];
    int scheme_count;
    bool plus_one; /* zeros are stored less one */
} s24i_fold;

typedef struct s24i_method {
    const char *name; /* quant_method */
    /* Whether its settings are decoded; if not, what is told is `undecoded`. */
    s24_status (*check)(s24i_fold *fold);
    /* If the tensor holds codes, fill in the packing and set its `decode`; else leave it. */
    s24_status (*take)(s24i_fold *fold, const s24i_tensor *codes, s24i_packing *packing);
} s24i_method;

extern const s24i_method s24i_method_fp8, s24i_method_compressed, s24i_method_gptq,
    s24i_method_mxfp4;

/* What is left of a key of the metadata that is a setting, or NULL. */
const char *s24i_fold_inner(const s24i_fold *fold, const char *key);
/* The text of a setting, NULL if there is none or it is null. */
const char *s24i_fold_text(const s24i_fold *fold, const char *key);
/* Whether there is such a setting, or an object of that name with some. */
bool s24i_fold_has(const s24i_fold *fold, const char *key);
/* The same as an integer from `least` to `most`; left as it is if there is none. S24_E_FORMAT. */
s24_status s24i_fold_integer(const s24i_fold *fold, const char *key, int64_t least, int64_t most,
                             int64_t *value);
/* Tell that something is not decoded. S24_OK, or S24_E_MEMORY. */
s24_status s24i_fold_undecoded(s24i_fold *fold, const char *what, const char *value);
/* Length of the name without the ending, or 0. */
size_t s24i_fold_stem(const char *name, const char *ending);
/* The tensor called name[0..stem) and `ending`, NULL if there is none. S24_E_MEMORY. */
s24_status s24i_fold_look(const s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          const s24i_tensor **tensor);
/* Copy the tensor called name[0..stem) and `ending` into `part`, which keeps `data` NULL if there
 * is none. It belongs to a matrix and is no more offered. S24_E_MEMORY. */
s24_status s24i_fold_part(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_tensor *part);
/* The same of one that must be there. S24_E_FORMAT. */
s24_status s24i_fold_need(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_tensor *part);
/* The same of what says nothing of weights: scales of inputs, outputs, keys and values. */
s24_status s24i_fold_drop(s24i_fold *fold, const char *name, size_t stem);
/* Call the matrix name[0..stem) and `ending`. S24_E_MEMORY. */
s24_status s24i_fold_name(s24i_fold *fold, const char *name, size_t stem, const char *ending,
                          s24i_packing *packing);
/* How the scales of the matrix lie, from their shape: one for all, one a row, or one a block, the
 * last of which may be cut. S24_E_FORMAT. */
s24_status s24i_fold_scales(s24i_packing *packing, int64_t row_block, int64_t col_block);
/* The group of each input, if `groups` are there: below `count`. S24_E_FORMAT. */
s24_status s24i_fold_groups(const s24i_packing *packing, int64_t count);
/* S24_E_FORMAT unless the tensor is a matrix of that type and shape. */
s24_status s24i_fold_matrix(const s24i_tensor *t, int32_t dtype, int64_t rows, int64_t cols);

#endif
