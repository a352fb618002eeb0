/* Sequences of public calls, one call a step, over everything that the library makes. A step that
 * failed may be taken again. */
#ifndef S24_TESTS_STORIES_H
#define S24_TESTS_STORIES_H
#include <sparse24/sparse24.h>
#include <stdbool.h>

enum { ROWS = 24, COLS = 32, TOKENS = 300, PATH_ROOM = 128 };

/* All that steps write to: a failed call must leave it as it was, to the byte. */
typedef struct stage {
    s24_ctx *ctx;
    s24_gram *gram, *copy, *dense;
    s24_cross *cross, *twin, *inputs, *derived;
    s24_problem *problem;
    s24_solver *solver;
    s24_result *result;
    s24_file *file, *second;
    s24_packed *packed, *wrapped;
    s24_product *product;
    s24_mat view;
    const char *text;
    int64_t integer;
    uint64_t bytes;
    double number, sums[COLS * COLS], norms[ROWS];
    float w[ROWS * COLS], out[TOKENS * ROWS];
    uint16_t half[ROWS * COLS];
    uint8_t mask[ROWS * COLS];
    uint64_t digest; /* of all results; written after a step, not by it */
} stage;

extern stage scene;

/* What a story is told with. */
typedef struct setting {
    const char *solver, *constraints; /* "mask": by s24_problem_set_mask() */
    const char *options;              /* of the solver; NULL: its defaults */
    const char *format;               /* of files */
    const char *layout, *grid;        /* of packings; NULL grid: weights are packed, not codes */
    bool host;                        /* loops run on a host's runner */
    char path[PATH_ROOM];             /* a file that exists */
    char second[PATH_ROOM];           /* one beside it that does not */
} setting;

extern setting told;

typedef s24_status (*step_fn)(void);

typedef struct story {
    const char *name;
    const step_fn *steps;       /* ended by NULL */
    bool solves, writes, packs; /* for each solver and constraint; format of files; packed layout */
    bool decodes;               /* from the files of codes_write() to a folder */
} story;

extern const story stories[];                 /* ended by name == NULL */
extern const char *const story_constraints[]; /* ended by NULL; what no solver honours is skipped */

extern const step_fn pack_steps[], pack_result_steps[]; /* packings.c */
extern const step_fn codes_steps[];                     /* codes.c */
void codes_write(const char *folder);                   /* what they read */

/* What steps share. */
s24_mat plain(void *data, int64_t rows, int64_t cols, int32_t dtype);
/* training.c */
s24_status train_masks(void);
void digest_bytes(const void *data, size_t size);
s24_status make_ctx(void);
s24_status set_threads(void);
s24_status constrain(void);
s24_status make_solver(void);
s24_status give_options(void);
s24_status solve(void);

/* Fill the inputs; destroy all handles. */
void scene_open(void);
void scene_close(void);

#endif
