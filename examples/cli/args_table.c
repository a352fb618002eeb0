#include "args_table.h"
#include <stdio.h>
#include <string.h>

#define IN_MODEL (IN_EVAL | IN_COMPRESS)
#define IN_ROWS (IN_MODEL | IN_TOKENIZE)
#define IN_FILES (IN_PACK | IN_UNPACK)
#define FIELD(name) offsetof(args, name)

const option args_options[] = {
    {"weights", "FILE[:TENSOR]", TEXT, FIELD(weights), IN_BOTH, IN_BOTH,
     "weights of the layer, (outputs, inputs)"},
    {"calib", "FILE[:TENSOR]", TEXT, FIELD(calib), IN_BOTH, IN_BOTH,
     "calibration activations, (rows, inputs)"},
    {"calib", "FILE[:TENSOR]", TEXT, FIELD(calib), IN_COMPRESS, IN_COMPRESS,
     "calibration: a text, .jsonl, or token ids (.npy, safetensors); see docs/text.md"},
    {"eval", "FILE[:TENSOR]", LIST, FIELD(eval), IN_COMPRESS, 0,
     "text or token ids to measure the perplexity on, before and after; may be given again"},
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
     "a text, .jsonl, or token ids (.npy, safetensors); see docs/text.md"},
    {"rows", "N", COUNT, FIELD(rows), IN_EVAL, 0,
     "take the first N rows of --tokens; 0, the default, all"},
    {"rows", "N", COUNT, FIELD(rows), IN_TOKENIZE, 0,
     "write the first N rows; 0, the default, all"},
    {"rows", "N", COUNT, FIELD(rows), IN_COMPRESS, 0,
     "take the first N rows of --calib; 0, the default, all"},
    {"eval-rows", "N", COUNT, FIELD(eval_rows), IN_COMPRESS, 0,
     "take the first N rows of each --eval; 0, the default, all"},
    {"heldout", "N", COUNT, FIELD(heldout), IN_COMPRESS, 0,
     "report errors on the first N rows of --eval too, if as long as --calib's; default 4"},
    {"context", "L", COUNT, FIELD(context), IN_ROWS, 0,
     "join all ids and cut them into rows of L; by default 512 for texts, else the file's rows"},
    {"field", "NAME", TEXT, FIELD(field), IN_ROWS, 0,
     "the text of each object of a .jsonl; default: text"},
    {"bos", "auto|yes|no", TEXT, FIELD(bos), IN_ROWS, 0,
     "begin each row with the token for the begin of a text; auto, the default: texts, if the "
     "model's "
     "files say so"},
    {"tokenizer", "PATH", TEXT, FIELD(tokenizer), IN_ROWS, 0,
     "another tokenizer than the model's own: tokenizer.json, .model, GGUF or folder"},
    {"text", "FILE", TEXT, FIELD(text), IN_TOKENIZE, IN_TOKENIZE, "the text, or .jsonl"},
    {"threads", "N", COUNT, FIELD(threads), IN_BOTH | IN_MODEL | IN_FILES, 0,
     "threads; 0, the default, uses every core this process may use"},
    {"memory-limit", "BYTES", BYTES, FIELD(memory_limit), IN_BOTH | IN_COMPRESS | IN_FILES, 0,
     "hard cap on the library's memory, e.g. 512Mi or 2G"},
    {"all", NULL, FLAG, FIELD(all), IN_INFO, 0, "print long metadata whole"},
    {"out", "FILE", TEXT, FIELD(out), IN_BOTH, 0, "write the result to this safetensors file"},
    {"out", "FILE", TEXT, FIELD(out), IN_FILES, IN_FILES,
     "write the result to this safetensors file"},
    {"out", "FILE", TEXT, FIELD(out), IN_TOKENIZE, IN_TOKENIZE,
     "write the ids to this safetensors file, as \"tokens\""},
    {"layout", "LAYOUT", TEXT, FIELD(layout), IN_PACK, IN_PACK,
     "where the bytes lie, e.g. ri16x32 (see: sparse24 info)"},
    {"out", "FOLDER", TEXT, FIELD(out), IN_COMPRESS, IN_COMPRESS,
     "where the compressed model will be; FOLDER.part holds what is unfinished"},
    {"activations", "ram|half|disk", TEXT, FIELD(activations), IN_COMPRESS, 0,
     "keep activations in memory (the default), as 16-bit floats, or in a file"},
    {"plan", NULL, FLAG, FIELD(plan), IN_COMPRESS, 0,
     "do nothing but say what will be done, how long it takes and how much memory and disk"},
    {"recipe", "FILE", TEXT, FIELD(recipe), IN_COMPRESS, 0,
     "take options from the lines of a text file; those of the command line win"},
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
const int args_count = sizeof args_options / sizeof *args_options;

const option *args_find(uint32_t commands, const char *name, size_t length)
{
    for (const option *o = args_options; o < args_options + args_count; o++)
        if (o->commands & commands && strlen(o->name) == length && !strncmp(o->name, name, length))
            return o;
    return NULL;
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
