/* Command lines: what each option is called, where its value goes and which commands take it. Does
 * not know what any value means. */
#ifndef ARGS_H
#define ARGS_H
#include <stdbool.h>
#include <stdint.h>

enum { ARGS_LIST = 16 };

/* An option that may be given more than once. */
typedef struct args_list {
    const char *text[ARGS_LIST];
    int count;
} args_list;

enum { ARGS_MORE = 63 };

typedef struct args {
    const char *weights, *calib, *test, *mask, *importance;
    const char *constraints, *solver, *solvers, *options, *norms;
    const char *out, *store, *format, *layout, *tokens, *correct, *activations, *report;
    const char *field, *bos, *tokenizer, *text;
    const char *effort, *permute, *refine, *refine_rate, *tune_rate, *dense, *recipe;
    const char *start, *chat_start, *open_start, *temperature, *top_k, *top_p, *stop, *packed;
    args_list calibs, eval, rules, skips;
    const char *operand;         /* what stands alone: FILE[:TENSOR], SOLVER or MODEL */
    const char *prompt;          /* of generate, behind MODEL */
    const char *more[ARGS_MORE]; /* of soup: further models */
    int more_count;
    int64_t threads, memory_limit, rows, context, eval_rows, heldout, seed, length, refine_epochs,
        tune_epochs, prompt_tokens, new_tokens;
    bool no_self, resume, plan, json, progress, markdown, verbose, all, speed, help;
    struct recipe *read;           /* what --recipe names; its words are pointed to */
    const struct s24_group *group; /* of sparse24-mpi; NULL: this process is alone */
} args;

/* One bit a command, for the table of options. */
enum {
    IN_SOLVE = 1,
    IN_COMPARE = 2,
    IN_CHECK = 4,
    IN_INFO = 8,
    IN_OPTIONS = 16,
    IN_VERSION = 32,
    IN_EVAL = 64,
    IN_COMPRESS = 128,
    IN_PACK = 256,
    IN_UNPACK = 512,
    IN_TOKENIZE = 1024,
    IN_GENERATE = 2048,
    IN_EXPORT = 4096,
    IN_TUNE = 8192,
    IN_BENCH = 1 << 14,
    IN_IMPORTANCE = 1 << 15,
    IN_SOUP = 1 << 16,
    IN_COMPLETION = 1 << 29,
    IN_ALL = (1 << 30) - 1
};
enum { ARGS_COMMANDS = 30 }; /* at most */

typedef struct command {
    const char *name;
    uint32_t bit;
    const char *operand; /* "FILE", or "[FILE]" if it may be left out; NULL without one */
    const char *summary; /* one line */
    const char *details; /* more for --help; may be "" */
    const char *example; /* what follows "sparse24 " in one that works */
    int (*run)(const args *a);
} command;

/* Fill `a` from argv[0 .. argc) and the recipe that it names, over which it wins. Returns 0, or
 * WRONG_USAGE or FAILED having said why. With --help nothing else is looked at. */
int args_parse(const command *c, int argc, char **argv, args *a);
void args_close(args *a);
/* The help of one command, made from the same table, on stdout. */
void args_usage(const command *c);

#endif
