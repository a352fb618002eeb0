/* What the files of the model share: the configuration reader, tensors by name, loops over rows. */
#ifndef S24M_TENSORS_H
#define S24M_TENSORS_H
#include "model.h"

/* `count` floats, or NULL with the text set. */
float *s24m_floats(int64_t count);

/* Fill the configuration from the metadata of model->file. */
s24_status s24m_read_config(s24m_model *model);
/* All tensors of the file are known, of types that can be read, of the shapes that the
 * configuration says, and none is missing. */
s24_status s24m_check_tensors(const s24m_model *model);
/* The file has such a tensor. */
bool s24m_has(const s24m_model *model, const char *name);
/* It is there, of a type that can be read and of this shape; cols 0: a vector of `rows`
 * elements. */
s24_status s24m_check_tensor(const s24m_model *model, const char *name, int64_t rows, int64_t cols);
/* The same of any rank. */
s24_status s24m_check_shape(const s24m_model *model, const char *name, const int64_t *shape,
                            int32_t rank);
/* The first value that is NaN or infinite; row -1: there is none. */
typedef struct s24m_fault {
    int64_t row, col;
    double value;
} s24m_fault;
s24_status s24m_find_fault(const s24m_model *model, const s24_mat *table, s24m_fault *fault);
/* S24_E_NONFINITE naming such a value as one of this tensor. */
s24_status s24m_check_finite(const s24m_model *model, const char *name, const s24_mat *table);
/* A new array with the values of a tensor of this shape, all finite. */
s24_status s24m_read(const s24m_model *model, const char *name, int64_t rows, int64_t cols,
                     float **out);
s24_status s24m_read_shape(const s24m_model *model, const char *name, const int64_t *shape,
                           int32_t rank, float **out);
/* Whatever shape it has; nothing of a scalar. */
s24_status s24m_read_any(const s24m_model *model, const char *name, float **out);
/* A matrix where it lies if its type is one that products take, else as f32 in *storage. */
s24_status s24m_table(const s24m_model *model, const char *name, int64_t rows, int64_t cols,
                      s24_mat *table, void **storage);
/* A row-major f32 view. */
s24_mat s24m_mat(const float *data, int64_t rows, int64_t cols);

/* Call rows(arg, first, last) on the context's threads for tiles of 16 rows that cover [0,
 * count). */
typedef void (*s24m_rows_fn)(void *arg, int64_t first, int64_t last);
s24_status s24m_rows(const s24m_model *model, s24m_rows_fn rows, void *arg, int64_t count);

#endif
