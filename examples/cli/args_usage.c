/* The help of one command, from the table of options. */
#include "args_table.h"
#include <stdio.h>
#include <string.h>

/* The terms of --constraints. */
static void print_terms(void)
{
    puts("\nConstraints are terms, joined by +:\n"
         "  2:4                         at most 2 of each 4 consecutive inputs are kept; any N:M\n"
         "    2:4t                        and of each 4 consecutive outputs: the transpose obeys "
         "too\n"
         "    2:4 dense 12%               12 percent of the inputs stay dense, 2:4 on the others\n"
         "    2:4 blocks 64               2:4 between two matrices of 64 x 64 blocks on the "
         "diagonal\n"
         "  dictionary 20%              sparse coefficients times a dictionary, 20 percent of the "
         "bytes\n"
         "                              saved; dictionary 20%+2:4, dictionary 294:147\n"
         "  70%                         70 percent of the matrix are zero\n"
         "  row 70%                     70 percent of each row are zero\n"
         "  columns 25%                 25 percent of the inputs are removed whole; columns 96 "
         "kept\n"
         "    heads 6 kept of 9           the same of equal runs of inputs; also groups\n"
         "  int4                        values on a grid of 2 to 8 bits (int2 .. int8), a scale a "
         "row;\n"
         "    int4 g128                   a scale for each 128 consecutive inputs\n"
         "    int4 sym, int4 real         the zero in the middle, or any number\n"
         "  rank 64                     beside them a product of two factors of rank 64\n"
         "Examples: \"2:4+int4 g128\", \"row 50%+rank 32\". Not every solver can do every term.");
}

void args_usage(const command *c)
{
    printf("Usage: sparse24 %s", c->name);
    if (c->operand)
        printf(" %s", c->operand);
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->required & c->bit)
            printf(" --%s %s", o->name, o->value);
    printf(" [options]\n\n%s.\n%s\nOptions:\n", c->summary, c->details);
    for (const option *o = args_options; o < args_options + args_count; o++) {
        if (!(o->commands & c->bit))
            continue;
        int width = printf("  --%s %s", o->name, o->value ? o->value : "");
        printf("%*s%s%s\n", width < 30 ? 30 - width : 1, "", o->help,
               o->required & c->bit ? " (required)" : "");
    }
    if (args_find(c->bit, "constraints", strlen("constraints")))
        print_terms();
    printf("\nExample:\n  sparse24 %s\n", c->example);
}
