#include "record.h"
#include "json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const numbers[RECORD_NUMBERS] = {"layer",
                                                    "size",
                                                    "zeros",
                                                    "tokens",
                                                    "relative_loss",
                                                    "target_relative_loss",
                                                    "dense_relative_loss",
                                                    "test_relative_loss",
                                                    "test_target_relative_loss",
                                                    "test_dense_relative_loss",
                                                    "seconds"};
static const char *const texts[RECORD_TEXTS] = {"tensor",  "matrix",      "stored", "source",
                                                "warning", "constraints", "solver"};

void s24m_record_open(record *r)
{
    *r = (record){0};
    for (int i = 0; i < RECORD_NUMBERS; i++)
        r->number[i] = NAN;
}

bool s24m_record_set(record *r, int text, const char *value)
{
    free(r->text[text]);
    return (r->text[text] = s24m_have(strdup(value)));
}

/* What is not known yet. */
static bool fill(record *r)
{
    bool done = true;
    for (int i = 0; i < RECORD_NUMBERS; i++)
        r->number[i] = isnan(r->number[i]) ? s24m_json_number(r->json, numbers[i]) : r->number[i];
    for (int i = 0; done && i < RECORD_TEXTS; i++)
        done = r->text[i] || s24m_json_text(r->json, texts[i], &r->text[i]);
    return done;
}

static void put_number(record *r, int i)
{
    if (!isnan(r->number[i]))
        r->json = s24m_json_put_number(r->json, numbers[i], r->number[i]);
}

static void put_text(record *r, int i)
{
    if (r->text[i])
        r->json = s24m_json_put_text(r->json, texts[i], r->text[i]);
}

bool s24m_record_seal(record *r, const char *solver)
{
    r->json = s24m_json_drop(s24m_have(strdup(solver)), "loss");
    r->json = s24m_json_drop(r->json, "nnz");
    put_text(r, RECORD_TENSOR);
    put_text(r, RECORD_MATRIX);
    for (int i = RECORD_LAYER; i <= RECORD_TOKENS; i++)
        put_number(r, i);
    put_text(r, RECORD_STORED);
    put_text(r, RECORD_SOURCE);
    put_text(r, RECORD_WARNING);
    for (int i = RECORD_LOSS; i <= RECORD_TEST_DENSE_LOSS; i++)
        put_number(r, i);
    return r->json && fill(r);
}

bool s24m_record_read(record *r, const char *json)
{
    s24m_record_open(r);
    r->json = s24m_have(strdup(json));
    if (r->json && fill(r))
        return true;
    s24m_record_close(r);
    return false;
}

char *s24m_record_stable(const record *r)
{
    static const char *const fields[] = {"seconds", "peak_bytes", "threads", "isa"};
    char *json = s24m_have(strdup(r->json));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json = s24m_json_drop(json, fields[i]);
    return json;
}

static int find(const char *const *names, int count, const char *name)
{
    int i = 0;
    while (i < count && strcmp(names[i], name))
        i++;
    return i;
}

const double *s24m_record_number(const record *r, const char *name)
{
    int i = find(numbers, RECORD_NUMBERS, name);
    return i < RECORD_NUMBERS ? r->number + i : NULL;
}

const char *const *s24m_record_text(const record *r, const char *name)
{
    int i = find(texts, RECORD_TEXTS, name);
    if (!strcmp(name, "json"))
        return (const char *const *)&r->json;
    return i < RECORD_TEXTS ? (const char *const *)r->text + i : NULL;
}

void s24m_record_close(record *r)
{
    for (int i = 0; i < RECORD_TEXTS; i++)
        free(r->text[i]);
    free(r->json);
    s24m_record_open(r);
}
