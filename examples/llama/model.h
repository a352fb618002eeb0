/* What the files of the model share: errors, the configuration reader, tensors by name, loops over rows. */
#ifndef MODEL_H
#define MODEL_H
#include "llama.h"

/* Remember the text and return the status. */
s24_status llama_fail(s24_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for a call of the library that failed: its own text follows. S24_OK passes through. */
s24_status llama_library(s24_status status, const char *what);
/* `count` floats, or NULL with the text set. */
float *llama_floats(int64_t count);

/* Fill the configuration from the metadata of model->file. */
s24_status llama_read_config(llama_model *model);
/* All tensors of the file are known, of types that can be read, of the shapes that the configuration says, and none is missing. */
s24_status llama_check_tensors(const llama_model *model);
/* The file has such a tensor. */
bool llama_has(const llama_model *model, const char *name);
/* It is there, of a type that can be read and of this shape; cols 0: a vector of `rows` elements. */
s24_status llama_check_tensor(const llama_model *model, const char *name, int64_t rows,
                              int64_t cols);
/* The first value that is NaN or infinite; row -1: there is none. */
typedef struct llama_fault {
    int64_t row, col;
    double value;
} llama_fault;
s24_status llama_find_fault(const llama_model *model, const s24_mat *table, llama_fault *fault);
/* S24_E_NONFINITE naming such a value as one of this tensor. */
s24_status llama_check_finite(const llama_model *model, const char *name, const s24_mat *table);
/* A new array with the values of a tensor of this shape, all finite. */
s24_status llama_read(const llama_model *model, const char *name, int64_t rows, int64_t cols,
                      float **out);
/* A matrix where it lies if its type is one that products take, else as f32 in *storage. */
s24_status llama_table(const llama_model *model, const char *name, int64_t rows, int64_t cols,
                       s24_mat *table, void **storage);
/* A row-major f32 view. */
s24_mat llama_mat(const float *data, int64_t rows, int64_t cols);

/* Call rows(arg, first, last) on the context's threads for tiles of 16 rows that cover [0, count). */
typedef void (*llama_rows_fn)(void *arg, int64_t first, int64_t last);
s24_status llama_rows(const llama_model *model, llama_rows_fn rows, void *arg, int64_t count);

/* Root mean square normalisation of one row; x may be h. */
void llama_norm_row(const float *gain, double eps, const float *h, int64_t size, float *x);

#endif
