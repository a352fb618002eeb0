#include "args.h"
#include "message.h"
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, LIST, COUNT, BYTES, STORE };

typedef struct option {
    const char *name, *value; /* value: what --help calls it */
    enum kind kind;
    size_t offset; /* of the field in args */
    uint32_t commands, required;
    const char *help;
} option;

#define IN_BOTH (IN_SOLVE | IN_COMPARE)
#define IN_MODEL (IN_EVAL | IN_COMPRESS)
#define IN_FILES (IN_PACK | IN_UNPACK)
#define FIELD(name) offsetof(args, name)

static const option options[] = {
    {"weights", "FILE[:TENSOR]", TEXT, FIELD(weights), IN_BOTH, IN_BOTH,
     "weights of the layer, (outputs, inputs)"},
    {"calib", "FILE[:TENSOR]", TEXT, FIELD(calib), IN_BOTH, IN_BOTH,
     "calibration activations, (rows, inputs)"},
    {"calib", "FILE[:TENSOR]", TEXT, FIELD(calib), IN_COMPRESS, IN_COMPRESS,
     "calibration token ids, (rows, tokens of a row), or one list with --context"},
    {"eval", "FILE[:TENSOR]", LIST, FIELD(eval), IN_COMPRESS, 0,
     "token ids to measure the perplexity on, before and after; may be given again"},
    {"test", "FILE[:TENSOR]", TEXT, FIELD(test), IN_BOTH, 0,
     "held-out activations: their error is reported as well"},
    {"constraints", "TEXT", TEXT, FIELD(constraints), IN_BOTH | IN_CHECK | IN_COMPRESS,
     IN_CHECK | IN_COMPRESS,
     "what to obey, see below: \"2:4\", \"row 70%\", \"int4 g128\", \"2:4+int4\""},
    {"mask", "FILE[:TENSOR]", TEXT, FIELD(mask), IN_BOTH | IN_PACK, 0,
     "keep exactly this support (BOOL or U8, shape of the weights)"},
    {"importance", "FILE[:TENSOR]", TEXT, FIELD(importance), IN_BOTH, 0,
     "importance of each weight, for solvers that rank by a given score"},
    {"solver", "NAME", TEXT, FIELD(solver), IN_SOLVE | IN_COMPRESS, 0,
     "method (see: sparse24 options); default: alps, for grids quantease, for ranks hassle"},
    {"options", "K=V,...", TEXT, FIELD(options), IN_SOLVE | IN_COMPRESS, 0,
     "options of the solver"},
    {"rule", "PATTERN=TEXT", LIST, FIELD(rules), IN_COMPRESS, 0,
     "other constraints for matrices of such names, \"*.down_proj=50%\"; the last rule counts"},
    {"skip", "PATTERN", LIST, FIELD(skips), IN_COMPRESS, 0, "leave matrices of such names alone"},
    {"correct", "B", TEXT, FIELD(correct), IN_COMPRESS, 0,
     "share of the dense model's outputs in what is aimed at, 0 .. 1; default 0.5"},
    {"solvers", "A,B[K=V,...],...", TEXT, FIELD(solvers), IN_COMPARE, 0,
     "methods, options in brackets (default: all that can honour the constraints)"},
    {"tokens", "FILE[:TENSOR]", TEXT, FIELD(tokens), IN_EVAL, IN_EVAL,
     "token ids, (rows, tokens of a row), or one list with --context"},
    {"rows", "N", COUNT, FIELD(rows), IN_EVAL, 0,
     "take the first N rows of --tokens; 0, the default, all"},
    {"rows", "N", COUNT, FIELD(rows), IN_COMPRESS, 0,
     "take the first N rows of --calib; 0, the default, all"},
    {"eval-rows", "N", COUNT, FIELD(eval_rows), IN_COMPRESS, 0,
     "take the first N rows of each --eval; 0, the default, all"},
    {"heldout", "N", COUNT, FIELD(heldout), IN_COMPRESS, 0,
     "report errors on the first N rows of --eval too, if as long as --calib's; default 4"},
    {"context", "L", COUNT, FIELD(context), IN_MODEL, 0,
     "join all ids and cut them into rows of L; 0, the default, leaves the tensor's rows"},
    {"threads", "N", COUNT, FIELD(threads), IN_BOTH | IN_MODEL | IN_FILES, 0,
     "threads; 0, the default, uses every core this process may use"},
    {"memory-limit", "BYTES", BYTES, FIELD(memory_limit), IN_BOTH | IN_COMPRESS | IN_FILES, 0,
     "hard cap on the library's memory, e.g. 512Mi or 2G"},
    {"all", NULL, FLAG, FIELD(all), IN_INFO, 0, "print long metadata whole"},
    {"out", "FILE", TEXT, FIELD(out), IN_BOTH, 0, "write the result to this safetensors file"},
    {"out", "FILE", TEXT, FIELD(out), IN_FILES, IN_FILES,
     "write the result to this safetensors file"},
    {"layout", "LAYOUT", TEXT, FIELD(layout), IN_PACK, IN_PACK,
     "where the bytes lie, e.g. ri16x32 (see: sparse24 info)"},
    {"out", "FOLDER", TEXT, FIELD(out), IN_COMPRESS, IN_COMPRESS,
     "where the compressed model will be; FOLDER.part holds what is unfinished"},
    {"activations", "ram|half|disk", TEXT, FIELD(activations), IN_COMPRESS, 0,
     "keep activations in memory (the default), as 16-bit floats, or in a file"},
    {"resume", NULL, FLAG, FIELD(resume), IN_COMPRESS, 0, "go on with a run that was stopped"},
    {"report", "FILE.html", TEXT, FIELD(report), IN_COMPRESS, 0,
     "write a page with charts of errors, time and perplexity"},
    {"store", "f32|f16|bf16", STORE, FIELD(store), IN_BOTH | IN_COMPRESS, 0,
     "type of the written weights; reported errors are those of the stored values"},
    {"json", NULL, FLAG, FIELD(json), IN_BOTH | IN_MODEL, 0,
     "one JSON object a line instead of text"},
    {"progress", NULL, FLAG, FIELD(progress), IN_BOTH | IN_MODEL, 0,
     "show progress even if stderr is no terminal"},
    {"markdown", NULL, FLAG, FIELD(markdown), IN_OPTIONS, 0, "print docs/options.md, all solvers"},
    {"verbose", NULL, FLAG, FIELD(verbose), IN_VERSION, 0, "say how the library was built too"},
    {"help", NULL, FLAG, FIELD(help), IN_ALL, 0, "print this help"},
};
enum { OPTIONS = sizeof options / sizeof *options };

static bool parse_count(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && !*end && !errno && *value >= 0;
}

/* "4096", "4K" or "4k" (thousands), "4Ki" (1024s); a final B is allowed. */
static bool parse_bytes(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    const char *letters = "KMGT";
    const char *suffix = *end ? strchr(letters, toupper((unsigned char)*end)) : NULL;
    if (suffix) {
        double base = end[1] == 'i' ? 1024 : 1000;
        for (const char *s = letters; s <= suffix; s++)
            number *= base;
        end += end[1] == 'i' ? 2 : 1;
    }
    end += *end == 'B';
    if (end == text || *end || errno || !(number >= 1 && number < 9e18))
        return false;
    *value = (int64_t)number;
    return true;
}

static bool is_store(const char *text)
{
    return !strcmp(text, "f32") || !strcmp(text, "f16") || !strcmp(text, "bf16");
}

static bool add(args_list *l, const char *value)
{
    if (l->count == ARGS_LIST)
        return false;
    l->text[l->count++] = value;
    return true;
}

/* Put one value where the table says. */
static bool assign(const option *o, const char *value, args *a)
{
    void *field = (char *)a + o->offset;
    switch (o->kind) {
    case FLAG:
        return *(bool *)field = true;
    case COUNT:
        return parse_count(value, field);
    case BYTES:
        return parse_bytes(value, field);
    case STORE:
        if (!is_store(value))
            return false;
        /* fall through */
    case TEXT:
        *(const char **)field = value;
        return true;
    case LIST:
        return add(field, value);
    }
    return false;
}

static const option *find(uint32_t commands, const char *name, size_t length)
{
    for (const option *o = options; o < options + OPTIONS; o++)
        if (o->commands & commands && strlen(o->name) == length && !strncmp(o->name, name, length))
            return o;
    return NULL;
}

/* "-h" is the one short option. */
static const option *find_word(const command *c, const char *word, const char **equals)
{
    const char *name = word[1] == '-' ? word + 2 : strcmp(word, "-h") ? "" : "help";
    *equals = strchr(name, '=');
    return find(c->bit, name, *equals ? (size_t)(*equals - name) : strlen(name));
}

static int unknown_option(const command *c, const char *word)
{
    const char *known[OPTIONS + 1], *nearest;
    char *name = must(strdup(word + strspn(word, "-")));
    int count = 0;
    name[strcspn(name, "=")] = 0;
    for (const option *o = options; o < options + OPTIONS; o++)
        if (o->commands & c->bit)
            known[count++] = o->name;
    known[count] = NULL;
    nearest = text_nearest(name, known);
    bool elsewhere = !nearest && find(IN_ALL, name, strlen(name));
    free(name);
    return wrong_usage(c->name, "%s: unknown option %s%s%s%s", c->name, word,
                       nearest ? ", did you mean --" : "", nearest ? nearest : "",
                       elsewhere ? ", which other commands have" : "");
}

/* What a value must look like. */
static const char *wanted(const option *o)
{
    return o->kind == COUNT   ? "a whole number, 0 or more"
           : o->kind == BYTES ? "a number of bytes: 4096, 512Mi, 2G (K, M, G, T; Ki, Mi, Gi, Ti)"
           : o->kind == LIST  ? "it at most 16 times"
                              : o->value;
}

/* One option at argv[0], perhaps with its value at argv[1]. `used` receives how many words it
 * took. */
static int parse_option(const command *c, int argc, char **argv, args *a, uint64_t *seen, int *used)
{
    const char *equals;
    const option *o = find_word(c, argv[0], &equals);
    if (!o)
        return unknown_option(c, argv[0]);
    const char *value = equals ? equals + 1 : NULL;
    *used = 1;
    if (o->kind == FLAG && value)
        return wrong_usage(c->name, "%s: --%s takes no value", c->name, o->name);
    if (o->kind != FLAG && !value) {
        if (argc < 2 || !strncmp(argv[1], "--", 2))
            return wrong_usage(c->name, "%s: --%s needs a value, %s", c->name, o->name, o->value);
        value = argv[1];
        *used = 2;
    }
    uint64_t bit = UINT64_C(1) << (o - options);
    if (o->kind != FLAG && o->kind != LIST && *seen & bit)
        return wrong_usage(c->name, "%s: --%s is given twice", c->name, o->name);
    *seen |= bit;
    if (!assign(o, value, a))
        return wrong_usage(c->name, "%s: --%s %s: expected %s", c->name, o->name, value, wanted(o));
    return 0;
}

static int parse_operand(const command *c, const char *text, args *a)
{
    if (!c->operand || a->operand)
        return wrong_usage(c->name, "%s: unexpected argument %s", c->name, text);
    a->operand = text;
    return 0;
}

static int check_required(const command *c, const args *a, uint64_t seen)
{
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].required & c->bit && !(seen & UINT64_C(1) << i))
            return wrong_usage(c->name, "%s: --%s %s is required", c->name, options[i].name,
                               options[i].value);
    if (c->operand && *c->operand != '[' && !a->operand)
        return wrong_usage(c->name, "%s: %s is required", c->name, c->operand);
    if (c->bit & IN_BOTH && !a->constraints && !a->mask)
        return wrong_usage(c->name, "%s: --constraints or --mask is required", c->name);
    return 0;
}

int args_parse(const command *c, int argc, char **argv, args *a)
{
    a->heldout = 4;
    uint64_t seen = 0;
    for (int i = 0, used = 1; i < argc; i += used, used = 1) {
        int status = *argv[i] != '-' ? parse_operand(c, argv[i], a)
                                     : parse_option(c, argc - i, argv + i, a, &seen, &used);
        if (a->help)
            return 0;
        if (status)
            return status;
    }
    return check_required(c, a, seen);
}

/* The terms of --constraints. */
static void print_terms(void)
{
    puts("\nConstraints are terms, joined by +:\n"
         "  2:4                         at most 2 of each 4 consecutive inputs are kept; any N:M\n"
         "  70%                         70 percent of the matrix are zero\n"
         "  row 70%                     70 percent of each row are zero\n"
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
    for (const option *o = options; o < options + OPTIONS; o++)
        if (o->required & c->bit)
            printf(" --%s %s", o->name, o->value);
    printf(" [options]\n\n%s.\n%s\nOptions:\n", c->summary, c->details);
    for (const option *o = options; o < options + OPTIONS; o++) {
        if (!(o->commands & c->bit))
            continue;
        int width = printf("  --%s %s", o->name, o->value ? o->value : "");
        printf("%*s%s%s\n", width < 30 ? 30 - width : 1, "", o->help,
               o->required & c->bit ? " (required)" : "");
    }
    if (find(c->bit, "constraints", strlen("constraints")))
        print_terms();
    printf("\nExample:\n  sparse24 %s\n", c->example);
}
