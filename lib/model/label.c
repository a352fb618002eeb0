#include "label.h"
#include "fail.h"
#include "paths.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- What most weights are ---- */

/* The numbers of llama.cpp; of types in several mixtures the middle one. */
static const struct {
    const char *type, *number;
} file_types[] = {{"F32", "0"},   {"F16", "1"},   {"Q4_0", "2"},  {"Q4_1", "3"},  {"Q8_0", "7"},
                  {"Q5_0", "8"},  {"Q5_1", "9"},  {"Q2_K", "10"}, {"Q3_K", "12"}, {"Q4_K", "15"},
                  {"Q5_K", "17"}, {"Q6_K", "18"}, {"BF16", "32"}};

enum { TYPES = 32 };

typedef struct census {
    char type[TYPES][16]; /* copies: the files that name them come and go */
    int64_t elements[TYPES];
} census;

static void count(census *c, const char *type, int64_t elements)
{
    int i = 0;
    while (i < TYPES - 1 && *c->type[i] && strcmp(c->type[i], type))
        i++;
    snprintf(c->type[i], sizeof c->type[i], "%s", type);
    c->elements[i] += elements;
}

static void take_most(const census *c, char name[16])
{
    int most = 0;
    for (int i = 1; i < TYPES; i++)
        most = c->elements[i] > c->elements[most] ? i : most;
    memcpy(name, c->type[most], sizeof c->type[most]);
}

bool s24m_label_types(label *l, const s24_file *source, label_types_fn types, void *from)
{
    census before = {0}, after = {0};
    for (int64_t i = 0; i < s24_file_count(source); i++) {
        const char *name = s24_file_name(source, i), *was, *is;
        int64_t shape[8], elements = 1;
        int32_t rank = 0;
        if (!types(from, name, &was, &is))
            return false;
        s24_file_info(source, name, shape, &rank, NULL);
        for (int32_t k = 0; k < rank; k++)
            elements *= shape[k];
        count(&before, was, rank > 1 ? elements : 0); /* vectors are F32 in any file */
        count(&after, is, rank > 1 ? elements : 0);
    }
    take_most(&before, l->before);
    take_most(&after, l->after);
    return true;
}

static bool is_changed(const label *l)
{
    return *l->after && strcmp(l->before, l->after);
}

const char *s24m_label_file_type(const label *l)
{
    for (size_t i = 0; is_changed(l) && i < sizeof file_types / sizeof *file_types; i++)
        if (!strcmp(l->after, file_types[i].type))
            return file_types[i].number;
    return NULL;
}

/* ---- Names ---- */

/* "Q4_1", "Q4_K_M", "IQ4_XS", "f16", "BF16", "fp16". */
static bool is_type(const char *word, size_t length)
{
    static const char *const plain[] = {"f32", "f16",   "bf16",  "fp16",  "fp32",
                                        "f64", "mxfp4", "nvfp4", "tq1_0", "tq2_0"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strlen(plain[i]) == length && !strncasecmp(word, plain[i], length))
            return true;
    size_t at = toupper((unsigned char)*word) == 'I';
    return length > at + 1 && toupper((unsigned char)word[at]) == 'Q' &&
           isdigit((unsigned char)word[at + 1]);
}

/* The word of the name, between dashes and dots, that is a type; NULL: there is none. */
static const char *find_type(const char *name, size_t *length)
{
    for (const char *word = name; *word; word += *length + (word[*length] != 0)) {
        *length = strcspn(word, "-.");
        if (is_type(word, *length))
            return word;
    }
    return NULL;
}

char *s24m_label_name(const label *l, const char *name)
{
    size_t stem, length = 0, size = strlen(name) + sizeof l->after + 1;
    char *made = s24m_have(malloc(size)), *plain = s24m_have(strdup(name));
    if (!made || !plain) {
        free(made);
        free(plain);
        return NULL;
    }
    if (s24m_path_split_parts(name, &stem))
        strcpy(plain + stem, ".gguf");
    const char *type = is_changed(l) ? find_type(plain, &length) : NULL;
    size_t before = type ? (size_t)(type - plain) : strlen(plain);
    snprintf(made, size, "%.*s%s%s", (int)before, plain, type ? l->after : "",
             plain + before + length * (type != NULL));
    for (char *s = made + before; type && islower((unsigned char)*type) && *s && *s != '.'; s++)
        *s = (char)tolower((unsigned char)*s);
    free(plain);
    return made;
}

const char *s24m_label_dtype(int32_t store)
{
    return store == S24_F32 ? "float32" : store == S24_F16 ? "float16" : "bfloat16";
}
