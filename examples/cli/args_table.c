#include "args_table.h"
#include <stdio.h>
#include <string.h>

#define IN_TRAIN (IN_COMPRESS | IN_TUNE)
#define IN_MODEL (IN_EVAL | IN_TRAIN | IN_GENERATE)
#define IN_ROWS (IN_EVAL | IN_TRAIN | IN_TOKENIZE)
#define IN_FILES (IN_PACK | IN_UNPACK)
#define FIELD(name) offsetof(args, name)

const option args_options[] = {
    {"weights", "FILE[:TENSOR]", TEXT, FIELD(weights), IN_BOTH, IN_BOTH,
     "weights of the layer, (outputs, inputs)"},
    {"calib", "FILE[:TENSOR]", TEXT, FIELD(calib), IN_BOTH, IN_BOTH,
     "calibration activations, (rows, inputs)"},
    {"calib", "FILE[:TENSOR]|self:ROWS", LIST, FIELD(calibs), IN_TRAIN, IN_TRAIN,
     "calibration: a text, .jsonl, or token ids (.npy, safetensors), see docs/text.md; self:128 "
     "or self:128*0.25: rows that the model writes itself, of this weight; both may be given"},
    {"no-self", NULL, FLAG, FIELD(no_self), IN_TRAIN, 0,
     "calibrate with the given rows alone; otherwise rows of the model's own join them"},
    {"permute", "inner|none", TEXT, FIELD(permute), IN_COMPRESS, 0,
     "inner, the default: for N:M, move channels inside each block so that less is lost; the model "
     "stays the same"},
    {"refine", "none|block|model", TEXT, FIELD(refine), IN_COMPRESS, 0,
     "block: train the kept weights and norms of each block together, once it is solved; model: "
     "then those of all blocks"},
    {"refine-rate", "R", TEXT, FIELD(refine_rate), IN_COMPRESS, 0,
     "step of that training, relative to the size of each matrix' weights; default 0.002"},
    {"refine-epochs", "N", COUNT, FIELD(refine_epochs), IN_COMPRESS, 0,
     "passes of that training over the rows; 0, the default, by their number"},
    {"dense", "MODEL", TEXT, FIELD(dense), IN_TUNE, IN_TUNE,
     "the model that the compressed one was made from, towards which it is trained"},
    {"tune-rate", "R", TEXT, FIELD(tune_rate), IN_TRAIN, 0,
     "step of the training of the whole model, as --refine-rate; default 0.004"},
    {"tune-epochs", "N", COUNT, FIELD(tune_epochs), IN_TRAIN, 0,
     "passes of that training over the rows; 0, the default, by their number"},
    {"chat-start", "ID,...", TEXT, FIELD(chat_start), IN_TRAIN, 0,
     "token ids that half of the model's own rows begin with: a conversation's start"},
    {"open-start", "ID,...", TEXT, FIELD(open_start), IN_TRAIN, 0,
     "token ids that the other half begin with; default: as the model's metadata say"},
    {"eval", "FILE[:TENSOR]", LIST, FIELD(eval), IN_TRAIN, 0,
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
     "method (see: sparse24 options); default: alps, for grids quantease, for ranks hassle, "
     "for whole columns osscar"},
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
    {"tokens", "FILE[:TENSOR]", TEXT, FIELD(tokens), IN_GENERATE, 0,
     "rows of token ids that rows begin with"},
    {"start", "ID,...", TEXT, FIELD(start), IN_GENERATE, 0,
     "token ids that every row begins with, instead of a text"},
    {"rows", "N", COUNT, FIELD(rows), IN_GENERATE, 0,
     "how many rows; with --tokens the first N of them; default 1, with --tokens all"},
    {"length", "L", COUNT, FIELD(length), IN_GENERATE, 0,
     "tokens of a row, its beginning included; default 128 more than that"},
    {"temperature", "T", TEXT, FIELD(temperature), IN_GENERATE, 0,
     "1, the default, draws as the model says, less is likelier; 0 takes the likeliest"},
    {"top-k", "K", TEXT, FIELD(top_k), IN_GENERATE, 0, "draw from the K likeliest tokens only"},
    {"top-p", "P", TEXT, FIELD(top_p), IN_GENERATE, 0,
     "draw from the likeliest tokens of this probability together only"},
    {"stop", "ID,...", TEXT, FIELD(stop), IN_GENERATE, 0, "token ids that end a row"},
    {"seed", "N", COUNT, FIELD(seed), IN_GENERATE | IN_TRAIN, 0,
     "of the random numbers; default 0"},
    {"rows", "N", COUNT, FIELD(rows), IN_TOKENIZE, 0,
     "write the first N rows; 0, the default, all"},
    {"rows", "N", COUNT, FIELD(rows), IN_TRAIN, 0,
     "take the first N rows of --calib; 0, the default, all"},
    {"eval-rows", "N", COUNT, FIELD(eval_rows), IN_TRAIN, 0,
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
    {"tokenizer", "PATH", TEXT, FIELD(tokenizer), IN_ROWS | IN_GENERATE, 0,
     "another tokenizer than the model's own: tokenizer.json, .model, GGUF or folder"},
    {"text", "FILE", TEXT, FIELD(text), IN_TOKENIZE, IN_TOKENIZE, "the text, or .jsonl"},
    {"threads", "N", COUNT, FIELD(threads), IN_BOTH | IN_MODEL | IN_FILES | IN_EXPORT, 0,
     "threads; 0, the default, uses every core this process may use"},
    {"memory-limit", "BYTES", BYTES, FIELD(memory_limit),
     IN_BOTH | IN_TRAIN | IN_GENERATE | IN_FILES, 0,
     "hard cap on the library's memory, e.g. 512Mi or 2G"},
    {"all", NULL, FLAG, FIELD(all), IN_INFO, 0, "print long metadata whole"},
    {"out", "FILE", TEXT, FIELD(out), IN_GENERATE, 0,
     "write the rows to this safetensors file, as the tensor \"tokens\""},
    {"speed", NULL, FLAG, FIELD(speed), IN_INFO, 0,
     "measure for some seconds what the model would weigh packed, and how fast it would be"},
    {"out", "FILE", TEXT, FIELD(out), IN_BOTH, 0, "write the result to this safetensors file"},
    {"out", "FILE", TEXT, FIELD(out), IN_FILES, IN_FILES,
     "write the result to this safetensors file"},
    {"out", "FILE", TEXT, FIELD(out), IN_TOKENIZE, IN_TOKENIZE,
     "write the ids to this safetensors file, as \"tokens\""},
    {"layout", "LAYOUT", TEXT, FIELD(layout), IN_PACK, IN_PACK,
     "where the bytes lie, e.g. ri16x32 (see: sparse24 info)"},
    {"out", "FOLDER", TEXT, FIELD(out), IN_COMPRESS, IN_COMPRESS,
     "where the compressed model will be; FOLDER.part holds what is unfinished"},
    {"out", "FOLDER", TEXT, FIELD(out), IN_EXPORT | IN_TUNE, IN_EXPORT | IN_TUNE,
     "where the model will be"},
    {"activations", "ram|half|disk", TEXT, FIELD(activations), IN_TRAIN, 0,
     "keep activations in memory (the default), as 16-bit floats, or in a file"},
    {"plan", NULL, FLAG, FIELD(plan), IN_COMPRESS, 0,
     "do nothing but say what will be done, how long it takes and how much memory and disk"},
    {"recipe", "FILE", TEXT, FIELD(recipe), IN_COMPRESS, 0,
     "take options from the lines of a text file; those of the command line win"},
    {"resume", NULL, FLAG, FIELD(resume), IN_TRAIN, 0, "go on with a run that was stopped"},
    {"report", "FILE.html", TEXT, FIELD(report), IN_COMPRESS, 0,
     "write a page with charts of errors, time and perplexity"},
    {"store", "f32|f16|bf16", STORE, FIELD(store), IN_BOTH, 0,
     "type of the written weights; reported errors are those of the stored values"},
    {"store", "TYPE", TEXT, FIELD(store), IN_COMPRESS | IN_EXPORT, 0,
     "type of the written matrices: f32, f16, bf16, or their codes in GGUF: q4_0, q4_1, q8_0"},
    {"format", "FORMAT", TEXT, FIELD(format), IN_COMPRESS | IN_EXPORT, 0,
     "what is written: gguf, dense, pack-quantized, gptq, gptq-v2, sparse-24-bitmask, s24, "
     "adapter"},
    {"json", NULL, FLAG, FIELD(json), IN_BOTH | IN_EVAL | IN_COMPRESS, 0,
     "one JSON object a line instead of text"},
    {"progress", NULL, FLAG, FIELD(progress), IN_BOTH | IN_MODEL | IN_EXPORT, 0,
     "show progress even if stderr is no terminal"},
    {"markdown", NULL, FLAG, FIELD(markdown), IN_OPTIONS, 0, "print docs/options.md, all solvers"},
    {"verbose", NULL, FLAG, FIELD(verbose), IN_VERSION, 0, "say how the library was built too"},
    {"help", NULL, FLAG, FIELD(help), IN_ALL, 0, "print this help"},
};
const int args_count = sizeof args_options / sizeof *args_options;
_Static_assert(sizeof args_options / sizeof *args_options <= ARGS_MOST, "args.c marks each row");

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
