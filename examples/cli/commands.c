/* The commands as a table: main(), help and completion are made from it. */
#include "commands.h"
#include "message.h"
#include "text.h"
#include <stdio.h>
#include <string.h>

const command commands[] = {
    {"solve", IN_SOLVE, NULL, "Compress one layer",
     "Minimises the error of the layer's outputs on the calibration rows under the constraints.\n"
     "With --out every matrix of the result is written, the record as metadata.\n",
     "solve --weights layer.safetensors:w.o --calib layer.safetensors:x.o --constraints 2:4 "
     "--out o.safetensors",
     run_solve},
    {"compare", IN_COMPARE, NULL, "Compress one layer with several solvers and print a table",
     "With --out the result with the lowest held-out error (without --test: calibration error)\n"
     "is written.\n",
     "compare --weights layer.safetensors:w.o --calib layer.safetensors:x.o --constraints 2:4",
     run_compare},
    {"compress", IN_COMPRESS, "MODEL", "Compress a language model block by block",
     "MODEL is a GGUF file or a Hugging Face folder. Each matrix is aimed at "
     "what\n"
     "the dense model produced. A run that was stopped, even killed, goes on with --resume.\n",
     "compress model.gguf --calib wiki.txt --rows 64 --constraints 2:4 --out compressed",
     run_compress},
    {"tune", IN_TUNE, "MODEL", "Train a compressed model towards the dense one",
     "MODEL is what compress made, or anyone's pruned model. Kept weights, norms and biases are "
     "trained\n"
     "so that it expects the next tokens that the dense model expects; zeros stay 0, types stay. "
     "The\n"
     "whole model is in memory. A run that was stopped goes on behind its last epoch with "
     "--resume.\n",
     "tune compressed --dense model.gguf --calib wiki.txt --rows 64 --out tuned", run_tune},
    {"importance", IN_IMPORTANCE, "MODEL", "Write norms of the gradients of a model's weights",
     "For each matrix of the blocks: how the loss of next tokens changes with its weights, over "
     "the "
     "rows\n"
     "of a text. compress takes them as scores (--importance), and so does solve.\n",
     "importance model.gguf --calib wiki.txt --rows 64 --out importance.safetensors",
     run_importance},
    {"eval", IN_EVAL, "MODEL", "Perplexity of a language model on a text",
     "MODEL is a safetensors or GGUF file, or a folder with config.json, of one of fifty\n"
     "architectures (docs/families.md). Each row is one window, with a token for the begin of a\n"
     "text if the model wants one (--bos);\n"
     "perplexity = exp(mean of -log p over the predicted tokens).\n",
     "eval model.gguf --tokens wiki.txt --context 512", run_eval},
    {"generate", IN_GENERATE, "MODEL [TEXT]", "Let a language model go on with a text",
     "Without TEXT rows go on from the ids of --start or --tokens, and are ids themselves. With "
     "--out\n"
     "they are written, as calibration for compress. Equal seeds give equal rows for any number "
     "of\n"
     "threads.\n",
     "generate model.gguf \"Once upon a time\" --temperature 0.8 --seed 1", run_generate},
    {"bench", IN_BENCH, "MODEL", "Measure how fast a language model reads and writes",
     "The weights are packed first (--packed). Tokens/s for a prompt, whose tokens are taken "
     "together,\n"
     "and for tokens one after the other; what that reads of weights a second, and the share of "
     "what\n"
     "the threads can read from memory at all.\n",
     "bench model.gguf --threads 2", run_bench},
    {"tokenize", IN_TOKENIZE, "MODEL", "Write a text as rows of token ids",
     "The ids are those that `eval` and `compress` make of the same text with the same options.\n",
     "tokenize model.gguf --text wiki.txt --context 512 --out tokens.safetensors", run_tokenize},
    {"check", IN_CHECK, "FILE[:TENSOR]|MODEL", "Check that weights obey constraints",
     "FILE is a safetensors or GGUF file, MODEL such a file or a Hugging Face folder.\n"
     "Without TENSOR: the tensor \"weights\", or every matrix in the blocks of a model, or every\n"
     "matrix of floats. A tensor of rank 3 (experts) is one matrix after the other; the layers of\n"
     "GPT-2, inputs x outputs, are transposed first. Biases, norms and what lies outside the "
     "blocks\n"
     "(embeddings, head) are no such weights; a router is named and left out.\n"
     "Exit status 1 and the first offending place if they do not, or if weights cannot be read.\n",
     "check compressed --constraints 2:4", run_check},
    {"pack", IN_PACK, "FILE[:TENSOR]",
     "Compress a matrix that obeys a pattern into a packed layout",
     "`sparse24 info` lists the layouts; LAYOUT:f16 or LAYOUT:bf16 rounds first. Without TENSOR: "
     "the\n"
     "tensor \"weights\" with the mask or the codes that `solve --out` has put beside it, else "
     "the\n"
     "only matrix.\n",
     "pack o.safetensors --layout cutlass-sm80:f16 --out o.packed.safetensors", run_pack},
    {"unpack", IN_UNPACK, "FILE", "Write the dense matrix of a packed file", "",
     "unpack o.packed.safetensors --out dense.safetensors", run_unpack},
    {"export", IN_EXPORT, "MODEL", "Write a compressed model in another form",
     "MODEL is what compress made, or any model whose matrices obey 2:4. Nothing is solved or "
     "rounded\n"
     "again: codes become those of GGUF, compressed-tensors or GPTQ. docs/outputs.md has a "
     "table.\n",
     "export compressed --format pack-quantized --out for-servers", run_export},
    {"soup", IN_SOUP, "MODEL", "Average models that share a mask",
     "`sparse24 soup A B C --out S` writes the average of models that were trained from one. Masks "
     "have\n"
     "to be the same; the first place where they differ is named. Then `compress S --solver "
     "refit`\n"
     "fits the kept weights to a calibration.\n",
     "soup tuned-1 tuned-2 tuned-3 --out soup", run_soup},
    {"info", IN_INFO, "[FILE|MODEL]",
     "Describe a safetensors or GGUF file, a Hugging Face folder, or this build", "",
     "info model.gguf", run_info},
    {"options", IN_OPTIONS, "[SOLVER]", "Describe solvers and their options", "", "options alps",
     run_options},
    {"completion", IN_COMPLETION, "bash|zsh", "Print what completes command lines in a shell",
     "For the shell at hand: eval \"$(sparse24 completion bash)\". For all to come, put the "
     "output\n"
     "where bash-completion looks, or as _sparse24 into a folder of zsh's fpath.\n",
     "completion bash >~/.local/share/bash-completion/completions/sparse24", run_completion},
    {"version", IN_VERSION, NULL, "Print versions", "", "version --verbose", run_version},
};
const int command_count = sizeof commands / sizeof *commands;

const command *command_find(const char *name)
{
    if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        name = "version";
    for (int i = 0; i < command_count; i++)
        if (!strcmp(commands[i].name, name))
            return commands + i;
    return NULL;
}

/* What other programs call it. */
static const char *of_others(const char *name)
{
    static const char *const words[][2] = {
        {"prune", "compress"},  {"quantize", "compress"}, {"quantise", "compress"},
        {"run", "compress"},    {"perplexity", "eval"},   {"evaluate", "eval"},
        {"show", "info"},       {"inspect", "info"},      {"verify", "check"},
        {"validate", "check"},  {"solvers", "options"},   {"list", "info"},
        {"benchmark", "bench"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(name, words[i][0]))
            return words[i][1];
    return NULL;
}

int command_unknown(const char *name)
{
    const char *names[ARGS_COMMANDS + 1] = {NULL};
    char all[200] = "";
    for (int i = 0; i < command_count; i++) {
        names[i] = commands[i].name;
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *meant = of_others(name);
    meant = meant ? meant : text_nearest(name, names);
    return wrong_usage(NULL, "unknown command %s, %s %s", name,
                       meant ? "did you mean" : "the commands are", meant ? meant : all);
}
