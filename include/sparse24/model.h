#ifndef SPARSE24_MODEL_H
#define SPARSE24_MODEL_H
#include "types.h"

/*
 * The soname is libsparse24-model.so.0.BREAK: BREAK grows when an old program could fail, MINOR
 * when something is added.
 */
#define S24_MODEL_API_BREAK 0
#define S24_MODEL_API_MINOR 1
#ifdef __cplusplus
extern "C" {
#endif

/**
 * libsparse24-model: whole language models. Experimental until interface version 1: names and
 * signatures here may still change. sparse24.h does not bring this header.
 *
 * Every function returns S24_OK or a status whose text s24_last_error() gives. Nothing prints,
 * exits or handles signals. Handles use the allocator of the C library. Numbers in texts have a
 * point whatever the host's locale: callbacks run while their thread has the locale "C".
 */
typedef struct s24_model s24_model; /**< a language model in its files */

/**
 * Open a GGUF file, a safetensors file or a Hugging Face folder of one of the architectures in
 * docs/model.md. Its configuration and the names, types and shapes of all tensors are checked; no
 * weights are read. S24_E_UNSUPPORTED names what the file says and this library does not do,
 * S24_E_FORMAT and S24_E_SHAPE what is wrong in it. On failure *out is NULL. The files must stay as
 * they are while the model is open. Handles may be destroyed in any order, but work needs the
 * context.
 */
S24_API s24_status s24_model_open(s24_ctx *ctx, const char *path, s24_model **out);
/** NULL is allowed. Not while another call is at work on the model. */
S24_API void s24_model_destroy(s24_model *model);

/**
 * Facts, any thread, at any time: "layers", "hidden", "ffn", "heads", "kv_heads", "head_dim",
 * "vocab", "context" (the longest row of tokens; INT64_MAX: the file does not say), "window"
 * (tokens that windowed layers see; INT64_MAX: all), "matrices" (of all blocks), "tensors",
 * "parameters" (elements of all tensors), "bytes" (as they are stored), "packed_bytes" (of
 * s24_model_pack(), 0 before) and "token_bytes" (of the weights that a token is multiplied with, as
 * they are in memory; of experts the share that a token takes). S24_E_ARG for any other key.
 */
S24_API s24_status s24_model_int(const s24_model *model, const char *key, int64_t *value);
/** The same for text that lives as long as the model: "architecture", "format" ("gguf" or
 *  "safetensors") and "path" as it was opened. */
S24_API s24_status s24_model_str(const s24_model *model, const char *key, const char **value);
/**
 * The matrices of linear layers in the order of the forward pass, index 0 .. "matrices" - 1: name
 * of the tensor, which of its block it is ("q_proj"), number of the block, (rows, cols) = (outputs,
 * inputs). Texts live as long as the model; each pointer may be NULL. S24_E_ARG past the end.
 */
S24_API s24_status s24_model_matrix(const s24_model *model, int64_t index, const char **name,
                                    const char **kind, int64_t *layer, int64_t *rows,
                                    int64_t *cols);

/**
 * Mean of -log p over all tokens but the first of each row, given those before it in the row. Its
 * exponential is the perplexity. `tokens` (rows, length) holds ids of 16, 32 or 64 bits, length at
 * least 2 and at most "context"; `name` stands for it in errors (NULL: "tokens"). `options` is
 * text, NULL for the defaults: "memory_limit=BYTES" (0, the default: none) bounds what it takes
 * beside the model's files, by fewer rows at a time; S24_E_MEMORY if one chunk does not fit. The
 * result has equal bits for every limit and number of threads. S24_E_NUMERIC: it is not finite.
 *
 * One call at a time works on a model: S24_E_STATE while another thread is in one. The callback of
 * a call may only cancel.
 */
S24_API s24_status s24_model_evaluate(s24_model *model, const s24_mat *tokens, const char *name,
                                      const char *options, double *nll);
/**
 * Of the last evaluation that succeeded: "nll", "perplexity", "seconds", "flops" (operations that
 * were needed). Of the last generation that succeeded: "prompt_seconds" and "prompt_tokens" up to
 * the first token that it wrote, "decode_seconds" and "decode_tokens" of those behind it; weights
 * that are read meanwhile count. Measured now: "rate", operations a second of a large product, and
 * "read_rate", bytes a second that the context's threads read from 512 MiB (S24_E_MEMORY: not to be
 * had). S24_E_ARG for any other key, S24_E_STATE before any.
 */
S24_API s24_status s24_model_float(s24_model *model, const char *key, double *value);

/**
 * Pack the weights of all linear layers and of the output head into layouts with fast products
 * (docs/products.md), and keep them. From then on evaluations and generations use them: they differ
 * from those of the files' weights as far as S24_FAST of packed.h allows, and by what `weights`
 * rounds. Compressions of the model go on reading its files. A matrix of which each four columns
 * have at most two weights that are not 0 becomes 2:4, any other dense. Another call packs anew.
 *
 * `options` is text, NULL for the defaults:
 * - "weights=stored" (the default): floats keep their type; codes of Q4_0, Q8_0, pack-quantized and
 *   of packed files stay what they are; values that other codes decode to become f16. "f32", "bf16"
 *   and "f16" round to that type; "int8" and "int4" round to the nearest levels, symmetric, with a
 *   scale for each 64 columns, where no data tell which weights matter.
 * - "head=stored": the same for the output head, and for the embedding if they are one table.
 * - "tokens=128": how many tokens products take at a time. More are done in slices; more scratch.
 *
 * Matrices that a packed file holds in a layout with a fast product are used where they lie. The
 * progress' phase is "pack". On failure the model is as before.
 * - S24_E_UNSUPPORTED: the model is an encoder.
 * - S24_E_OPTION, S24_E_NONFINITE, S24_E_FORMAT, S24_E_MEMORY: the text names option or tensor.
 */
S24_API s24_status s24_model_pack(s24_model *model, const char *options);
/**
 * What became of the matrix `index` of s24_model_matrix(), or with index = "matrices" of the output
 * head: layout, kernel and instruction set of its product, bytes. Static storage; each pointer may
 * be NULL. S24_E_STATE: the model is not packed. S24_E_ARG past the end.
 */
S24_API s24_status s24_model_packed(const s24_model *model, int64_t index, const char **layout,
                                    const char **kernel, const char **isa, int64_t *bytes);

/**
 * Rows that the model writes itself. `prompts` (rows, given) holds ids of 16, 32 or 64 bits, given
 * at least 1; `ids` (rows, length), S24_I32 of any layout, receives each prompt and what follows
 * it, length above given and at most "context". Behind a stop token a row holds -1. `name` stands
 * for the prompts in errors. Keys and values are cached; the logits are those of a forward pass
 * over a row of `length` tokens.
 *
 * `options` is text, "temperature=0.8,top_k=40"; NULL for the defaults:
 * - "temperature" (1; 0 always takes the likeliest token), "top_k" (0: all) and "top_p" (1: all):
 *   tokens are drawn from the top_k likeliest, and of them from the likeliest whose probabilities
 *   sum to top_p.
 * - "seed" (0) and "first_row" (0): row i is drawn with the numbers of Philox4x32-10 at (seed,
 *   first_row + i, position).
 * - "stop": the ids that end a row, "stop=2" or "stop=[0,2]"; none by default.
 * - "memory_limit" in bytes (0: none): fewer rows are taken together (at most 64), and blocks that
 *   do not fit are read again for each token. S24_E_MEMORY if one row does not fit.
 *
 * Equal calls give equal ids for any number of threads. S24_E_NUMERIC names the row and position
 * whose logits are not finite. The progress is that of s24_model_set_progress(), its phase
 * "generate".
 */
S24_API s24_status s24_model_generate(s24_model *model, const s24_mat *prompts, const char *name,
                                      const char *options, const s24_mat *ids);

/**
 * Write norms of the gradients of all matrices of the blocks to a safetensors file, as scores of
 * weights: with g_s the gradient of the mean of -log p over the tokens of row s of n,
 * - "<matrix>.l1" = sum |g_s| and "<matrix>.l2" = sqrt(sum g_s^2): what GBLM ranks by (Das, Ma, Shen
 *   2023, arXiv 2311.04902; there the gradients are multiplied by 100 first);
 * - "<matrix>.fisher" = sum g_s^2 / n: the diagonal of the empirical Fisher information.
 *
 * F32, (outputs, inputs), in the rows' and columns' order of the model's own tensors. `tokens`,
 * `name`: as for s24_model_evaluate(). The metadata "sparse24.importance" has rows, tokens of a row
 * and nll. `options` is text, NULL for the defaults: "norms=[l1,l2,fisher]" (all of them),
 * "activations=ram|half|disk" (where the inputs of all blocks are kept; disk: beside `path`),
 * "memory_limit=BYTES" (0: none; S24_E_MEMORY tells what is needed). One block of the model is in
 * memory, with its gradients and sums. *nll (NULL is allowed) becomes the mean of -log p.
 *
 * A file of that name is replaced, when all is done. Equal calls give equal bytes for any number of
 * threads. S24_E_UNSUPPORTED: a step of the model's blocks has no backward pass. S24_E_NUMERIC: a
 * loss or gradient is not finite; the text names row or matrix.
 */
S24_API s24_status s24_model_importance(s24_model *model, const s24_mat *tokens, const char *name,
                                        const char *options, const char *path, double *nll);

/**
 * Watch and possibly stop evaluations, generations and importance; NULL removes. Called on the
 * caller's thread: `phase` is "eval", "pack", "generate" or "importance: ...", step of total the
 * share that is done; objective and residual are
 * NaN. Other than 0 stops with S24_E_CANCELLED.
 */
S24_API s24_status s24_model_set_progress(s24_model *model, s24_progress_fn fn, void *user);
/** Ask the evaluation at work, or the next one, to stop. Any thread; async-signal-safe. */
S24_API void s24_model_cancel(s24_model *model);

/**
 * Write a model that s24_compression_run() has made in another form, without solving anything
 * again. `out` is a new or empty folder, which appears when all is done. `options` is text:
 * "format=gptq", "store=q4_0", as the options of a compression with these names; one of them must
 * be there. Codes, scales and factors are those of the parts in the model's folder. Of a model from
 * elsewhere the matrices that obey 2:4 are taken: for "s24", "sparse-24-bitmask" and "dense".
 * - S24_E_UNSUPPORTED: the form cannot hold a matrix; the text has the nearest constraints that it
 *   holds.
 * - S24_E_STATE: the parts are missing.
 * - S24_E_DTYPE: scales are not of 16 bits.
 */
S24_API s24_status s24_model_export(s24_model *model, const char *options, const char *out);
/**
 * Write the average of 2 to 64 models that were trained from one and share a mask. Paths are as of
 * s24_model_open(); `out` gets the format, the metadata and the types of the first. Averages are
 * taken in double. A tensor of which a tenth or more is 0 has a mask, which has to be the same in
 * all models. What is no float is copied, and must be equal.
 * - S24_E_STATE names the first place where masks differ.
 * - S24_E_SHAPE, S24_E_ARG: a tensor lacks, or has another shape or type.
 * - S24_E_DTYPE: codes of a quantised model differ; they have no average.
 */
S24_API s24_status s24_model_soup(s24_ctx *ctx, const char *const *paths, int32_t count,
                                  const char *out);

/* ---- Several processes at work on one model ---- */

/**
 * How the processes of a job, its *ranks*, talk to each other. The host fills the table with MPI,
 * torch.distributed or anything else; the library itself opens no connection. It makes sums of what
 * `exchange` brings, always in the order of the ranks: so they have equal bits whatever the host's
 * network does.
 *
 * Every rank makes the same calls with the same sizes, in the same order, from one thread. Each
 * returns when this rank's part is done: 0, or anything else if it failed. Then the library calls
 * `abort`, and the call of the library returns S24_E_BACKEND. Data are bytes: all ranks must run on
 * machines of one kind.
 * - rank is 0 .. size - 1, size at least 1.
 * - exchange: `send` and `receive` hold size pieces of `bytes` each. Piece i of `send` goes to rank
 *   i, where it is piece `rank` of `receive` (MPI_Alltoall).
 * - gather: `send` holds `bytes`, `receive` those of all ranks in their order (MPI_Allgather).
 * - broadcast: the `bytes` at `data` of rank `root` replace those of all others (MPI_Bcast).
 * - abort: end all ranks at once, as MPI_Abort; `text` says why. It may return. NULL: there is no
 *   such way.
 */
typedef struct s24_group {
    void *user; /* what the functions are called with */
    int32_t rank, size;
    int32_t (*exchange)(void *user, const void *send, void *receive, size_t bytes);
    int32_t (*gather)(void *user, const void *send, void *receive, size_t bytes);
    int32_t (*broadcast)(void *user, void *data, size_t bytes, int32_t root);
    void (*abort)(void *user, const char *text);
} s24_group;

/**
 * Let s24_model_evaluate() and s24_compression_run() of this model be the work of a group; NULL: of
 * this process alone again, as it is at first. The table is copied; `user` must outlive the work.
 * Each rank opens the same model and makes the same calls with the same arguments. Rows of tokens,
 * and rows of matrices, are divided among the ranks; rank 0 writes, into a folder that all ranks
 * see. Each rank gets the same results, or the same error, which names the rank and the place where
 * it arose. Equal bits for one number of ranks, whatever their threads; a group of one gives the
 * bits that there are without one. docs/distributed.md.
 * - S24_E_ARG: the rank is not one of the group, or a function is missing.
 * - S24_E_MEMORY.
 *
 * The two calls may then also return:
 * - S24_E_STATE: ranks do not agree in the model, the tokens or an option; the text names the first
 *   that differs.
 * - S24_E_SHAPE: there are more ranks than calibration rows.
 * - S24_E_IO: a rank does not see the output folder of rank 0.
 * - S24_E_BACKEND: a function of the table failed.
 * - S24_E_UNSUPPORTED: "refine" is not none. s24_compression_tune() and s24_compression_estimate()
 *   of a group of more than one refuse as well.
 *
 * s24_compression_number() has "ranks" and "received_bytes": what this rank was sent in the last
 * run.
 */
S24_API s24_status s24_model_set_group(s24_model *model, const s24_group *group);

/* ---- Text and tokens ---- */

typedef struct s24_tokenizer s24_tokenizer; /**< text to ids and back */

/**
 * Open the tokenizer of a GGUF file, a tokenizer.json, a tokenizer.model of SentencePiece, or of a
 * folder or safetensors file that has one of these, or vocab.json and merges.txt, beside it.
 * docs/text.md lists what is understood; ids equal those of the package `tokenizers`.
 * S24_E_UNSUPPORTED names what a file says and this library does not do, S24_E_FORMAT what is wrong
 * in it. On failure *out is NULL. The files are read whole; the context is not kept.
 */
S24_API s24_status s24_tokenizer_open(s24_ctx *ctx, const char *path, s24_tokenizer **out);
/** NULL is allowed. Not while another call is at work on the tokenizer. */
S24_API void s24_tokenizer_destroy(s24_tokenizer *tokenizer);

/**
 * Facts, any thread, at any time: "vocab" (ids are 0 .. vocab - 1); "bos", "eos", "eot", "unk" and
 * "pad", ids of special tokens, -1: the file names none; "prefix" and "suffix", the number of ids
 * that the file wants around a text. S24_E_ARG for any other key.
 */
S24_API s24_status s24_tokenizer_int(const s24_tokenizer *tokenizer, const char *key,
                                     int64_t *value);
/**
 * The piece of an id as the vocabulary spells it, NUL-terminated and of *size bytes; it lives as
 * long as the tokenizer. Either pointer may be NULL. S24_E_ARG: no piece has this id.
 */
S24_API s24_status s24_tokenizer_piece(const s24_tokenizer *tokenizer, int32_t id,
                                       const char **text, size_t *size);
/** The id of a piece as the vocabulary spells it, "<|im_end|>"; -1: it has none. */
S24_API s24_status s24_tokenizer_find(const s24_tokenizer *tokenizer, const char *piece,
                                      int64_t *id);
/**
 * The ids of text[0 .. size), borrowed until the next call of this function for the tokenizer. The
 * text is UTF-8; bytes that are not stand for themselves and come back from s24_tokenizer_decode().
 * `options` is text, NULL for the defaults:
 * - "bos=auto" (the default) puts around the text what the file wants, "bos=yes" a token for its
 *   begin in any case, "bos=no" nothing;
 * - "special=1" takes special tokens in the text, "<|im_start|>", as such; else they are text.
 *
 * Time grows as n log n with the text's size. S24_E_UNSUPPORTED: a word of 2 GiB, or one that the
 * tokenizer's pattern takes too long for. One call at a time works on a tokenizer (S24_E_STATE).
 */
S24_API s24_status s24_tokenizer_encode(s24_tokenizer *tokenizer, const void *text, size_t size,
                                        const char *options, const int32_t **ids, int64_t *count);
/**
 * The text of ids, NUL-terminated and of *size bytes (NULL is allowed), borrowed until the next
 * call of this function for the tokenizer. It need not be UTF-8: a character may be cut between
 * ids. Options: "special=1" shows special tokens, which are left out by default; "first=0": the ids
 * go on from others, so that the blank which some tokenizers put before a text stays. S24_E_ARG
 * names an id that no piece has.
 */
S24_API s24_status s24_tokenizer_decode(s24_tokenizer *tokenizer, const int32_t *ids, int64_t count,
                                        const char *options, const char **text, size_t *size);

/**
 * The tokenizer of a model, borrowed: that of its own files, or of `path` if this is not NULL. It is
 * opened when first asked for and lives as long as the model, or until another path is given.
 * S24_E_SHAPE: vocabulary and embedding do not belong together, since there are more pieces than
 * rows, or so few that a tenth of the rows has none.
 */
S24_API s24_status s24_model_tokenizer(s24_model *model, const char *path, s24_tokenizer **out);

typedef struct s24_tokens s24_tokens; /**< rows of token ids, from a file */

/**
 * Read what a calibration or an evaluation takes. The file's content decides what it is
 * (docs/text.md):
 * - a text; or with a name that ends in .jsonl, one object a line, whose texts are joined by an
 *   empty line. It goes through the model's tokenizer as one string;
 * - a .npy of integers of 16, 32 or 64 bits, of one or two dimensions;
 * - an integer tensor of rank 1 or 2 of a safetensors file, FILE or FILE:TENSOR.
 *
 * `options` is text, NULL for the defaults:
 * - "context=L": all ids are joined and cut into rows of L, what is left at the end is dropped. By
 *   default texts have rows of 512, or of the model's context if that is shorter, and ids those of
 *   their file;
 * - "rows=N": the first N rows; 0, the default, all;
 * - "field=NAME" of the objects; by default "text";
 * - "bos=auto|yes|no": each row begins with the token for the begin of a text, and has L - 1 others.
 *   auto, the default: rows of a text if the model's files say so, rows of ids never.
 *
 * S24_E_FORMAT, S24_E_DTYPE: the file is none of these, and the text says what it is. S24_E_SHAPE:
 * too few ids. S24_E_ARG: an id is not in the model's vocabulary. On failure *out is NULL.
 */
S24_API s24_status s24_tokens_open(s24_model *model, const char *path, const char *options,
                                   s24_tokens **out);
/** NULL is allowed. */
S24_API void s24_tokens_destroy(s24_tokens *tokens);
/** The ids, (rows, context) of S24_I32, and a name for errors, "FILE" or "FILE:TENSOR"; both are
 *  borrowed, and each pointer may be NULL. */
S24_API s24_status s24_tokens_get(const s24_tokens *tokens, s24_mat *ids, const char **name);

/* ---- Compression of a whole model ---- */

typedef struct s24_compression s24_compression; /**< what to do with a model, and what came of it */

/**
 * What `sparse24 compress` does, as calls. A compression belongs to one model, which must outlive
 * it; one call at a time works on a model and all that belongs to it (else S24_E_STATE). Errors
 * name options as the program's command line does.
 */
S24_API s24_status s24_compression_create(s24_model *model, s24_compression **out);
/** NULL is allowed. Not while a call is at work. */
S24_API void s24_compression_destroy(s24_compression *c);

/**
 * Options, as those of solvers: "effort" ("fast", "default" or "best":
 * sets "own", "refine" and the presets of solvers together, docs/compress.md; what is set after it
 * wins), "constraints" (text as for s24_problem_parse(); must be set),
 * "solver" (default "": of each matrix the best that honours its constraints), "options" (of the
 * solver, as for s24_solver_parse()), "correct" (share of the dense model's outputs in what is
 * aimed at, 0 .. 1, default 0.5), "store" ("f32", "f16", "bf16"; default "": as the source;
 * "q4_0", "q4_1", "q8_0": codes as types of a GGUF file), "format" ("gguf", "dense",
 * "pack-quantized", "pack-quantized-all", "gptq", "gptq-v2", "sparse-24-bitmask", "s24", "adapter"; default "": as the
 * source, with codes and factors beside it; docs/outputs.md), "activations" ("ram", "half",
 * "disk"), "heldout" (rows of the first evaluation whose errors are measured too, default 4),
 * "memory_limit" (bytes for all, 0 = none), "recipe" (what was asked, as lines: written beside the
 * model as recipe.txt), "resume" (1: go on with what an earlier run left; default 0), "own" (rows that the model writes for its own calibration: "auto", the default, 16
 * times the square root of those that are given, with the weight 0.25; "128", "128*0.5", "0"),
 * "own_length" (of these rows if no others are given), "chat_start" and "open_start" (ids that the
 * one and the other half begin with, "1,2,3"), "seed", "importance" ("FILE" or
 * "FILE:NORM": scores of weights, for a solver that ranks by them; docs/compress.md), "refine" ("none", or "block": train the kept
 * weights, norms and biases of each block once it is solved; "model": and then those of all blocks,
 * as s24_compression_tune() does; S24_E_UNSUPPORTED: a step of the model's blocks has no backward
 * pass), "refine_rate" (of its steps, relative to the root mean square of each parameter, default
 * 0.002), "refine_epochs" (0: by the number of rows), "tune_rate" (default 0.004) and "tune_epochs"
 * of the whole model.
 */
S24_API s24_status s24_compression_set_int(s24_compression *c, const char *option, int64_t value);
S24_API s24_status s24_compression_set_float(s24_compression *c, const char *option, double value);
S24_API s24_status s24_compression_set_str(s24_compression *c, const char *option,
                                           const char *value);
/**
 * Set from text, "constraints=2:4,correct=0.5"; a value with commas stands in brackets,
 * "options=[rho=0.1,swaps=0]".
 */
S24_API s24_status s24_compression_parse(s24_compression *c, const char *assignments);
/** The value in force, as text that lives until the next call for this compression. */
S24_API s24_status s24_compression_get(s24_compression *c, const char *option, const char **value);
/** Everything about an option as text, static storage; each may be NULL. S24_E_ARG past the end. */
S24_API s24_status s24_compression_option_info(int32_t index, const char **name, const char **range,
                                               const char **default_value, const char **help);

/**
 * Other constraints for matrices of such names, "*.down_proj=50%"; the last rule that matches
 * counts. Patterns as a shell's.
 */
S24_API s24_status s24_compression_add_rule(s24_compression *c, const char *rule);
/** Leave matrices of such names alone. */
S24_API s24_status s24_compression_add_skip(s24_compression *c, const char *pattern);
/**
 * Token ids, one row a sequence, integers of 16, 32 or 64 bits; copied. `name` stands in errors. May
 * be left out if "own" names a number of rows.
 */
S24_API s24_status s24_compression_set_calibration(s24_compression *c, const s24_mat *ids,
                                                   const char *name);
/** Text whose perplexity is measured before and after; at most 16 times. */
S24_API s24_status s24_compression_add_evaluation(s24_compression *c, const s24_mat *ids,
                                                  const char *name);

/**
 * Watch and possibly stop a run: `phase` is "block 3 of 30: inputs of o", `step` goes up to
 * `total`; the blocks are one count together.
 */
S24_API s24_status s24_compression_set_progress(s24_compression *c, s24_progress_fn fn, void *user);
/** Receive lines for people: level 1 warnings, 2 a line a finished block. */
S24_API s24_status s24_compression_set_log(s24_compression *c, s24_log_fn fn, void *user);

/**
 * Check all that can be checked before any work and predict: bytes of memory at most, operations,
 * bytes that are written. Each may be NULL.
 */
S24_API s24_status s24_compression_plan(s24_compression *c, uint64_t *memory, double *flops,
                                        uint64_t *written);
/**
 * The same for a run into `out` (NULL: nowhere yet), and how long that would take: a few rows of
 * each shape of matrix are solved, on sums of the first calibration rows. Takes some seconds, or
 * minutes for large models. Progress is that of a run; warnings that can be told now go to the log.
 * Afterwards s24_compression_number() knows "memory", "flops", "written", "disk" (bytes at most
 * while it works), "disk_free" (NaN: not known), "expected_seconds", of which
 * "expected_pass_seconds", "expected_solve_seconds", "expected_refine_seconds", "expected_own_seconds" (rows that the model
 * writes; these two by their operations) and "expected_eval_seconds"; and each matrix its names, constraints,
 * solver, stored type, warning, size and "seconds" expected.
 * - S24_E_MEMORY, S24_E_IO: memory_limit or the disk of `out` is too small.
 * - S24_E_NUMERIC: all inputs were 0.
 */
S24_API s24_status s24_compression_estimate(s24_compression *c, const char *out);
/**
 * Do it. `out`, a new or empty folder, appears when all is done; OUT.part holds what is unfinished.
 * S24_E_CANCELLED and every other error leave a folder that a run with resume = 1 goes on with; the
 * result has the same bytes.
 */
S24_API s24_status s24_compression_run(s24_compression *c, const char *out);
/**
 * Train a compressed model as a whole towards the dense one, that of `c`: the mean over all tokens
 * of KL(softmax(dense) || softmax(compressed)) over kept weights, norms and biases (Hinton, Vinyals,
 * Dean 2015), by Adam (Kingma, Ba 2015). `compressed` may be anyone's: what its records name as
 * pruned is trained, of a model from elsewhere the matrices of floats of which a tenth is 0. Zeros
 * stay 0, tensors keep their types; matrices on a grid or with factors, the embedding and the head
 * stay as they are. `out` is a new or empty folder, which appears when all is done.
 *
 * The rows are those of s24_compression_set_calibration(), rows that the dense model writes (option
 * "own"), and continuations of the given rows; one in sixteen of the given rows is kept back, and
 * judges: the model never becomes worse on them. Options: "tune_rate", "tune_epochs", "own",
 * "own_length", "chat_start", "open_start", "seed", "activations" (of what the dense model gives),
 * "memory_limit", "resume" (go on behind the last epoch, to the same bytes). Evaluations are
 * measured before and after. The numbers "divergence_before" and "divergence_after" are of the rows
 * kept back. The whole model is in memory, with 21 bytes for each weight.
 * - S24_E_UNSUPPORTED: a step of its blocks has no backward pass, or its matrices are packed.
 * - S24_E_SHAPE: it was made from another model.
 * - S24_E_MEMORY: the limit is less than it takes.
 * - S24_E_NUMERIC: a gradient is no number; the text names block and matrix.
 */
S24_API s24_status s24_compression_tune(s24_compression *c, s24_model *compressed, const char *out);
/** Ask the run at work, or the next, to stop. Any thread; async-signal-safe. */
S24_API void s24_compression_cancel(s24_compression *c);

/**
 * What came of the last run: "matrices", "zeros", "size", "relative_loss", "dense_relative_loss"
 * (means over the matrices), "perplexity_before", "perplexity_after" (of the evaluation `index`,
 * else index is 0), of an encoder "hidden_error" in their place (sum of squares of how far the last
 * hidden states moved, over that of the dense ones), "seconds", "block_seconds" and "efficiency" (NaN if an earlier run did the
 * blocks), "complete" (1: it did). S24_E_ARG for another name or index.
 */
S24_API s24_status s24_compression_number(const s24_compression *c, const char *name, int32_t index,
                                          double *value);
/**
 * Of the matrix `index`, 0 .. "matrices" - 1: "layer", "size", "zeros", "relative_loss",
 * "target_relative_loss", "dense_relative_loss", the same with "test_" before it, "seconds"; NaN:
 * there is none.
 */
S24_API s24_status s24_compression_matrix_float(const s24_compression *c, int32_t index,
                                                const char *name, double *value);
/**
 * "tensor", "matrix", "constraints", "solver", "stored", "source" (the type that the weights were
 * decoded from, if they were no floats), "warning", or "json", all of it in one line; NULL: there
 * is none. Borrowed until the next run.
 */
S24_API s24_status s24_compression_matrix_str(const s24_compression *c, int32_t index,
                                              const char *name, const char **value);
/**
 * What training met in the last run: of a block that was refined, 0 .. layers - 1, or of the whole
 * model that was tuned, `block` = layers. `epoch` 0 is the state before it. *training is the mean
 * loss over the rows of the epoch while they were trained on (NaN before), *kept_back that of the
 * rows kept back, after it: of blocks the squared error over that of 0, of the whole the divergence.
 * Each pointer may be NULL. S24_E_ARG: there is none, or no more. What an earlier run has trained has
 * none.
 */
S24_API s24_status s24_compression_epoch(const s24_compression *c, int32_t block, int32_t epoch,
                                         double *training, double *kept_back);
/** The files that the model is read from; NULL past the end. */
S24_API const char *s24_compression_source(const s24_compression *c, int32_t index);

#ifdef __cplusplus
}
#endif
#endif
