#include "describe.h"
#include "fail.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same(const stored *a, const stored *b)
{
    return a->bits == b->bits && a->symmetric == b->symmetric && a->group == b->group &&
           a->table == b->table;
}

/* The first matrix of another grid than those before it, from `at` on; count: none is left. */
static int next_grid(const stored *m, int count, int at)
{
    for (; at < count; at++) {
        int before = 0;
        while (before < at && !(m[before].solved && same(m + before, m + at)))
            before++;
        if (m[at].solved && before == at)
            break;
    }
    return at;
}

static bool has_rest(const stored *m, int count)
{
    for (int i = 0; i < count; i++)
        if (!m[i].solved)
            return true;
    return false;
}

static bool has_tables(const stored *m, int count)
{
    for (int i = 0; i < count; i++)
        if (m[i].table)
            return true;
    return false;
}

/* A list of the names of modules: those as they were, or those of a grid. */
static void put_names(FILE *out, const stored *m, int count, const stored *grid)
{
    const char *comma = "";
    for (int i = 0; i < count; i++)
        if (grid ? m[i].solved && same(m + i, grid) : !m[i].solved) {
            fprintf(out, "%s\"%s\"", comma, m[i].module);
            comma = ",";
        }
}

/* The name of a module in a regular expression inside JSON. */
static void put_escaped(FILE *out, const char *module)
{
    for (; *module; module++)
        fprintf(out, *module == '.' ? "\\\\%c" : "%c", *module);
}

/* ---- compressed-tensors ---- */

/* Matrices of a grid as regular expressions inside JSON, whatever stands before the first dot. */
static void put_patterns(FILE *out, const described *of, const stored *grid)
{
    const char *comma = "";
    for (const stored *m = of->matrices; m < of->matrices + of->count; m++) {
        const char *dot = strchr(m->module, '.');
        if (!m->solved || !same(m, grid))
            continue;
        fprintf(out, "%s\"re:(.*\\\\.)?", comma);
        put_escaped(out, dot ? dot + 1 : m->module);
        fputs("$\"", out);
        comma = ",";
    }
}

static void put_group(FILE *out, const described *of, const stored *grid, bool only)
{
    char group[32] = "null";
    if (grid->group)
        snprintf(group, sizeof group, "%lld", (long long)grid->group);
    fputs("{\"targets\":[", out);
    if (only)
        fputs("\"Linear\"", out);
    else if (of->encoder)
        put_patterns(out, of, grid);
    else
        put_names(out, of->matrices, of->count, grid);
    fprintf(out,
            "],\"weights\":{\"num_bits\":%d,\"type\":\"int\",\"symmetric\":%s,\"strategy\":\"%s\","
            "\"group_size\":%s,\"dynamic\":false,\"observer\":\"minmax\",\"actorder\":null,"
            "\"block_structure\":null},\"input_activations\":null,\"output_activations\":null,"
            "\"format\":\"%s\"}",
            (int)grid->bits, grid->symmetric ? "true" : "false", grid->group ? "group" : "channel",
            group, grid->table ? "int-quantized" : "pack-quantized");
}

/* The head is told of unless it is one of the matrices. */
static void put_ignored(FILE *out, const described *of)
{
    const stored *m = of->matrices;
    bool rest = has_rest(m, of->count), head = !has_tables(m, of->count);
    fprintf(out, "\"ignore\":[%s%s", head ? "\"lm_head\"" : "", head && rest ? "," : "");
    put_names(out, m, of->count, NULL);
    if (of->encoder)
        fprintf(out, "%s\"re:.*pooler.*\"", head || rest ? "," : "");
    fputs("]", out);
}

static void put_pack_quantized(FILE *out, const described *of)
{
    const stored *m = of->matrices;
    int count = of->count;
    int first = next_grid(m, count, 0), groups = 0;
    bool only = first < count && next_grid(m, count, first + 1) == count;
    fprintf(out,
            "{\"quant_method\":\"compressed-tensors\",\"format\":\"%s\","
            "\"quantization_status\":\"compressed\",\"global_compression_ratio\":null,"
            "\"kv_cache_scheme\":null,",
            has_tables(m, count) ? "mixed-precision" : "pack-quantized");
    put_ignored(out, of);
    fputs(",\"config_groups\":{", out);
    for (int at = first; at < count; at = next_grid(m, count, at + 1)) {
        fprintf(out, "%s\"group_%d\":", groups ? "," : "", groups);
        put_group(out, of, m + at, only);
        groups++;
    }
    fputs("}}", out);
}

static void put_bitmask(FILE *out, const described *of)
{
    fputs("{\"quant_method\":\"compressed-tensors\",\"format\":\"dense\","
          "\"quantization_status\":\"compressed\",\"config_groups\":{},\"kv_cache_scheme\":null,"
          "\"ignore\":[],\"sparsity_config\":{\"format\":\"sparse-24-bitmask\","
          "\"sparsity_structure\":\"2:4\",\"targets\":[\"Linear\"],",
          out);
    put_ignored(out, of);
    fputs("}}", out);
}

/* ---- GPTQ ---- */

/* Exactly this module, as a regular expression inside JSON. */
static void put_left(FILE *out, const char *module)
{
    fputs("\"-:^", out);
    put_escaped(out, module);
    fputs("$\":{}", out);
}

/* Modules that stay as they were: one list for GPTQModel and servers, by what is left, one for
 * transformers, by what is not. */
static void put_exceptions(FILE *out, const stored *m, int count)
{
    const char *comma = "";
    fputs(",\"dynamic\":{", out);
    for (int i = 0; i < count; i++)
        if (!m[i].solved) {
            fputs(comma, out);
            put_left(out, m[i].module);
            comma = ",";
        }
    fputs("},\"modules_in_block_to_quantize\":[[", out);
    put_names(out, m, count, m + next_grid(m, count, 0));
    fputs("]]", out);
}

static void put_gptq(FILE *out, const form *f, const stored *m, int count)
{
    const stored *grid = m + next_grid(m, count, 0);
    fprintf(out,
            "{\"quant_method\":\"gptq\",\"bits\":%d,\"group_size\":%lld,\"desc_act\":false,"
            "\"sym\":%s,\"lm_head\":false,\"checkpoint_format\":\"%s\",\"pack_dtype\":\"int32\"",
            (int)grid->bits, grid->group ? (long long)grid->group : -1LL,
            grid->symmetric ? "true" : "false", strcmp(f->layout, "gptq-v1") ? "gptq_v2" : "gptq");
    if (has_rest(m, count))
        put_exceptions(out, m, count);
    fputs("}", out);
}

/* ---- Any ---- */

static bool is_gptq(const form *f)
{
    return f->layout && !strncmp(f->layout, "gptq", 4);
}

/* The text of a stream, which has it when it is closed. */
static char *finish(FILE *out, char **text)
{
    bool good = !ferror(out);
    if (!fclose(out) && good)
        return *text;
    free(*text);
    return s24m_have(NULL);
}

char *s24m_describe(const form *f, const described *of)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    if (is_gptq(f))
        put_gptq(out, f, of->matrices, of->count);
    else if (f->bits)
        put_pack_quantized(out, of);
    else
        put_bitmask(out, of);
    return finish(out, &text);
}

const char *s24m_description_file(const form *f)
{
    return is_gptq(f) ? "quantize_config.json" : NULL;
}

/* ---- PEFT ---- */

static void put_ranks(FILE *out, const char *key, const factors *each, int count)
{
    const char *comma = "";
    fprintf(out, "\"%s\":{", key);
    for (int i = 0; i < count; i++)
        if (each[i].rank != each->rank) {
            fprintf(out, "%s\"%s\":%lld", comma, each[i].module, (long long)each[i].rank);
            comma = ",";
        }
    fputs("},", out);
}

char *s24m_describe_adapter(const factors *each, int count, bool turned)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return s24m_have(NULL);
    fprintf(out,
            "{\"peft_type\":\"LORA\",\"task_type\":\"CAUSAL_LM\",\"inference_mode\":true,"
            "\"base_model_name_or_path\":null,\"r\":%lld,\"lora_alpha\":%lld,\"lora_dropout\":0.0,"
            "\"bias\":\"none\",\"fan_in_fan_out\":%s,\"use_rslora\":false,",
            (long long)each->rank, (long long)each->rank, turned ? "true" : "false");
    put_ranks(out, "rank_pattern", each, count);
    put_ranks(out, "alpha_pattern", each, count);
    fputs("\"target_modules\":[", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s\"%s\"", i ? "," : "", each[i].module);
    fputs("]}\n", out);
    return finish(out, &text);
}
