/* All constraints that the tests of solvers pose, the mask of the largest magnitudes under each,
 * and whether a support obeys. Public interface alone. */
#ifndef S24_TESTS_CONSTRAINTS_H
#define S24_TESTS_CONSTRAINTS_H
#include "../both.h"
#include <sparse24/sparse24.h>

typedef struct {
    const char *text; /* for s24_problem_parse() */
    int64_t n, m;
    double sparsity;
    bool row, mask;
    int64_t bits; /* 0: any value */
    int64_t rank; /* 0: none; `alone`: and nothing else */
    bool alone;
    bool both;       /* n:m down the columns too */
    double gone;     /* share of whole columns, or of `heads` equal runs of them */
    int64_t heads;   /* 0: columns */
    bool dictionary; /* `alone` too */
    int64_t blocks;  /* n:m is that of a core between blocks of this size */
    double dense;    /* share of columns that stay whole beside n:m */
} constraint;

static const constraint constraints[] = {
    {"2:4", .n = 2, .m = 4},
    {"1:4", .n = 1, .m = 4},
    {"4:8", .n = 4, .m = 8},
    {"3:7", .n = 3, .m = 7},
    {"50%", .sparsity = 0.5},
    {"row 70%", .sparsity = 0.7, .row = true},
    {"0%", .sparsity = 0},
    {"", .mask = true},
    {"2:4", .n = 2, .m = 4, .mask = true},
    {"row 40%", .sparsity = 0.4, .row = true, .mask = true},
    {"int4", .bits = 4},
    {"int3 sym g24", .bits = 3},
    {"int2 real g32", .bits = 2},
    {"2:4+int4 g16", .n = 2, .m = 4, .bits = 4},
    {"3:7+int3", .n = 3, .m = 7, .bits = 3},
    {"row 50%+int4", .sparsity = 0.5, .row = true, .bits = 4},
    {"int8 g5", .mask = true, .bits = 8},
    {"2:4+rank 3", .n = 2, .m = 4, .rank = 3},
    {"50%+rank 2", .sparsity = 0.5, .rank = 2},
    {"3:7+rank 1", .n = 3, .m = 7, .rank = 1},
    {"rank 5", .mask = true, .rank = 5},
    {"rank 4", .rank = 4, .alone = true},
    {"2:4+int4+rank 3", .n = 2, .m = 4, .bits = 4, .rank = 3},
    {"int3 sym g24+rank 2", .bits = 3, .rank = 2},
    {"row 50%+int4+rank 2", .sparsity = 0.5, .row = true, .bits = 4, .rank = 2},
    {"2:4t", .n = 2, .m = 4, .both = true},
    {"3:8t", .n = 3, .m = 8, .both = true},
    {"2:4t", .n = 2, .m = 4, .both = true, .mask = true},
    {"2:4t+int4 g16", .n = 2, .m = 4, .both = true, .bits = 4},
    {"columns 25%", .gone = 0.25},
    {"heads 50% of 4", .gone = 0.5, .heads = 4},
    {"3:7t+rank 2", .n = 3, .m = 7, .both = true, .rank = 2},
    {"2:4 dense 12%", .n = 2, .m = 4, .dense = 0.12},
    {"3:7 dense 20%", .n = 3, .m = 7, .dense = 0.2},
    {"2:4t dense 30%", .n = 2, .m = 4, .both = true, .dense = 0.3},
    {"dictionary 20%", .dictionary = true, .alone = true},
    {"dictionary 12:3", .dictionary = true, .alone = true},
    {"dictionary 8:4+2:4", .dictionary = true, .alone = true},
    {"2:4 blocks 4", .n = 2, .m = 4, .blocks = 4},
};
enum { CONSTRAINTS = sizeof constraints / sizeof *constraints };

static const int64_t shapes[][3] = {/* rows, columns, calibration rows */
                                    {1, 4, 10},     {3, 8, 300},    {5, 64, 300},   {9, 84, 150},
                                    {17, 128, 400}, {64, 192, 500}, {130, 260, 400}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

enum { COLUMNS_25 = 29, DICTIONARY_20 = 35, BLOCKS_4 = 38 }; /* the first of a kind */

/* One that the solver honours. */
static inline const constraint *usual(const char *solver)
{
    const char *first = s24_solver_fact(solver, "constraints");

    return &constraints[!strncmp(first, "grid", 4)          ? 10
                        : !strncmp(first, "rank", 4)        ? 17
                        : !strncmp(first, "columns", 7)     ? COLUMNS_25
                        : !strncmp(first, "dictionary", 10) ? DICTIONARY_20
                        : !strncmp(first, "n:m blocks", 10) ? BLOCKS_4
                                                            : 0];
}

/* How many columns stay whole: the others are groups of m. */
static inline int64_t dense_of(const constraint *limit, int64_t cols)
{
    double groups = (1 - limit->dense) * (double)cols / (double)limit->m;

    return limit->dense > 0 ? cols - (int64_t)nearbyint(groups) * limit->m : 0;
}

static inline bool fits(const constraint *limit, int64_t cols)
{
    int64_t dense = limit->m ? dense_of(limit, cols) : 0;

    if (limit->dictionary)
        return cols >= 8; /* the least dictionary has more bytes than 1 x 4 weights */
    if (limit->dense > 0)
        return dense >= 1 && dense <= cols - limit->m;
    return !limit->m || cols % limit->m == 0;
}

static inline int64_t zeros_of(double sparsity, int64_t size)
{
    int64_t zeros = (int64_t)nearbyint(sparsity * (double)size);

    return zeros < size ? zeros : size - 1;
}

/* 1 on the `keep` largest |w| of `count`, ties to the lower index. Slow. */
static inline void keep_largest(const float *w, int64_t count, int64_t keep, uint8_t *mask)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t before = 0;
        for (int64_t j = 0; j < count; j++)
            before += fabsf(w[j]) > fabsf(w[i]) || (fabsf(w[j]) == fabsf(w[i]) && j < i);
        mask[i] = before < keep;
    }
}

static int compare_magnitudes(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);

    return x > y ? -1 : x < y;
}

/* Whole columns of the largest sums of squares; of equal ones the lower goes. Slow. */
static inline void columns_mask(const constraint *limit, const float *w, int64_t rows, int64_t cols,
                                uint8_t *mask)
{
    int64_t count = limit->heads ? limit->heads : cols, width = cols / count;
    int64_t keep = count - zeros_of(limit->gone, count);
    int mark = naive_count;
    double *sum = GRAB(double, count);

    for (int64_t i = 0; i < rows * cols; i++)
        sum[i % cols / width] += (double)w[i] * w[i];
    for (int64_t i = 0; i < rows * cols; i++) {
        int64_t before = 0;
        for (int64_t u = 0; u < count; u++)
            before += sum[u] > sum[i % cols / width] ||
                      (sum[u] == sum[i % cols / width] && u > i % cols / width);
        mask[i] = before < keep;
    }
    drop_to(mark);
}

/* Whole columns of the largest sums of squares, and the mask of the largest magnitudes of the
 * others as if they lay side by side. Slow. */
static inline void magnitude_mask(const constraint *limit, const float *w, int64_t rows,
                                  int64_t cols, uint8_t *mask);
static inline void dense_mask(const constraint *limit, const float *w, int64_t rows, int64_t cols,
                              uint8_t *mask)
{
    int64_t dense = dense_of(limit, cols), others = cols - dense, next = 0;
    int mark = naive_count;
    double *sum = GRAB(double, cols);
    int64_t *place = GRAB(int64_t, others);
    float *rest = GRAB(float, rows *others);
    uint8_t *kept = GRAB(uint8_t, rows * others);
    constraint alone = *limit;

    alone.dense = 0;
    for (int64_t i = 0; i < rows * cols; i++)
        sum[i % cols] += (double)w[i] * w[i];
    for (int64_t j = 0; j < cols; j++) {
        int64_t before = 0;
        for (int64_t k = 0; k < cols; k++)
            before += sum[k] > sum[j] || (sum[k] == sum[j] && k < j);
        if (before >= dense)
            place[next++] = j;
    }
    memset(mask, 1, (size_t)(rows * cols));
    for (int64_t i = 0; i < rows * others; i++)
        rest[i] = w[i / others * cols + place[i % others]];
    magnitude_mask(&alone, rest, rows, others, kept);
    for (int64_t i = 0; i < rows * others; i++)
        mask[i / others * cols + place[i % others]] = kept[i];
    drop_to(mark);
}

/* The mask of the largest magnitudes under a constraint. */
static inline void magnitude_mask(const constraint *limit, const float *w, int64_t rows,
                                  int64_t cols, uint8_t *mask)
{
    int64_t size = rows * cols, part = limit->n ? limit->m : limit->row ? cols : size;

    if (limit->gone > 0) {
        columns_mask(limit, w, rows, cols, mask);
        return;
    }
    if (limit->dense > 0) {
        dense_mask(limit, w, rows, cols, mask);
        return;
    }
    if (limit->both) {
        both_mask(w, rows, cols, (int)limit->n, (int)limit->m, mask);
        return;
    }
    if (part == size && size > 1000) { /* the same by a threshold */
        int mark = naive_count;
        int64_t keep = size - zeros_of(limit->sparsity, size), ties = keep;
        float *sorted = GRAB(float, size);
        memcpy(sorted, w, (size_t)size * sizeof *w);
        qsort(sorted, (size_t)size, sizeof *sorted, compare_magnitudes);
        float least = fabsf(sorted[keep - 1]);
        for (int64_t i = 0; i < size; i++)
            ties -= fabsf(w[i]) > least;
        for (int64_t i = 0; i < size; i++)
            mask[i] = fabsf(w[i]) > least || (fabsf(w[i]) == least && ties-- > 0);
        drop_to(mark);
        return;
    }
    for (int64_t i = 0; i < size; i += part)
        keep_largest(w + i, part, limit->n ? limit->n : part - zeros_of(limit->sparsity, part),
                     mask + i);
}

static inline bool obeys_columns(const constraint *limit, const uint8_t *support, int64_t rows,
                                 int64_t cols, bool exact)
{
    int64_t count = limit->heads ? limit->heads : cols, width = cols / count, held = 0;
    int64_t keep = count - zeros_of(limit->gone, count);

    for (int64_t u = 0; u < count; u++) {
        bool any = false;
        for (int64_t i = 0; i < rows && !any; i++)
            for (int64_t j = 0; j < width; j++)
                any |= support[i * cols + u * width + j] != 0;
        held += any;
    }
    return exact ? held == keep : held <= keep;
}

static inline bool obeys(const constraint *limit, const uint8_t *support, int64_t rows,
                         int64_t cols, bool exact);

/* The columns of the result at hand that stay whole, rising. */
static const int32_t *stays;

/* Do the others obey as if they lay side by side? */
static inline bool obeys_dense(const constraint *limit, const uint8_t *support, int64_t rows,
                               int64_t cols, bool exact)
{
    int64_t dense = dense_of(limit, cols), others = cols - dense, next = 0;
    int mark = naive_count;
    uint8_t *rest = GRAB(uint8_t, rows * others);
    constraint alone = *limit;

    alone.dense = 0;
    for (int64_t i = 0; i < rows * cols; i++) {
        bool whole = false;
        for (int64_t d = 0; d < dense; d++)
            whole |= stays[d] == i % cols;
        if (!whole)
            rest[next++] = support[i];
    }
    bool good = next == rows * others && obeys(&alone, rest, rows, others, exact);
    drop_to(mark);
    return good;
}

/* Does the support (non-zero bytes) obey, and if `exact` keep no weight less than it could? */
static inline bool obeys(const constraint *limit, const uint8_t *support, int64_t rows,
                         int64_t cols, bool exact)
{
    int64_t size = rows * cols, part = limit->n ? limit->m : limit->row ? cols : size;
    int64_t most = limit->n ? limit->n : part - zeros_of(limit->sparsity, part);

    if (limit->gone > 0)
        return obeys_columns(limit, support, rows, cols, exact);
    if (limit->dense > 0)
        return obeys_dense(limit, support, rows, cols, exact);
    for (int64_t i = 0; i < size; i += part) {
        int64_t kept = 0;
        for (int64_t j = i; j < i + part; j++)
            kept += support[j] != 0;
        if (kept > most || (exact && kept < most))
            return false;
    }
    for (int64_t i = 0; limit->both && i < size;
         i += i % cols == cols - 1 ? (limit->m - 1) * cols + 1 : 1) {
        int64_t kept = 0;
        for (int64_t t = 0; t < limit->m; t++)
            kept += support[i + t * cols] != 0;
        if (kept > most || (exact && kept < most))
            return false;
    }
    return true;
}

#endif
