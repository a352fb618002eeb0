/* The commands, one source file each; exit status as the program's. */
#ifndef COMMANDS_H
#define COMMANDS_H
#include "args.h"

extern const command commands[];
extern const int command_count;

/* NULL: there is none of that name. */
const command *command_find(const char *name);
/* Say which was meant, or which there are; returns WRONG_USAGE. */
int command_unknown(const char *name);

int run_solve(const args *a);
int run_compare(const args *a);
int run_generate(const args *a);
int run_eval(const args *a);
int run_bench(const args *a);
int run_compress(const args *a);
int run_tokenize(const args *a);
int run_check(const args *a);
int run_pack(const args *a);
int run_unpack(const args *a);
int run_export(const args *a);
int run_soup(const args *a);
int run_tune(const args *a);
int run_importance(const args *a);
int run_info(const args *a);
int run_options(const args *a);
int run_completion(const args *a);
int run_version(const args *a);

#endif
