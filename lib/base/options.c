#include "options.h"
#include "error.h"
#include "json.h"
#include "number.h"
#include <stdio.h>
#include <string.h>

enum { VALUES = 512, ITEM = 128 };

/* Changes are tried on a copy, so that a refused one leaves nothing behind. */
typedef struct draft {
    s24i_option_set set;
    _Alignas(max_align_t) char values[VALUES];
} draft;

static void begin(draft *d, const s24i_option_set *set)
{
    d->set = *set;
    d->set.values = d->values;
    memcpy(d->values, set->values, set->size);
}

static s24_status finish(const draft *d, s24i_option_set *set, s24_status status)
{
    if (status == S24_OK) {
        memcpy(set->values, d->values, set->size);
        set->explicit_mask = d->set.explicit_mask;
    }
    return status;
}

static void *field(const s24i_option_set *set, const s24i_option *row)
{
    return (char *)set->values + row->offset;
}

static uint64_t bit(const s24i_option_set *set, const s24i_option *row)
{
    return (uint64_t)1 << (row - set->table);
}

int32_t s24i_options_count(const s24i_option *table)
{
    int32_t count = 0;

    while (table[count].name)
        count++;
    return count;
}

static s24_status find(const s24i_option_set *set, const char *name, const s24i_option **row)
{
    const char *known[S24I_MAX_OPTIONS];
    int32_t count = 0;

    for (*row = set->table; (*row)->name; ++*row) {
        if (!strcmp((*row)->name, name))
            return S24_OK;
        if (count < S24I_MAX_OPTIONS)
            known[count++] = (*row)->name;
    }
    return s24i_fail_near(s24i_fail(S24_E_OPTION, "%s: unknown option '%.64s'", set->owner, name),
                          name, known, count);
}

s24_status s24i_options_is_set(const s24i_option_set *set, const char *name, bool *given)
{
    const s24i_option *row;
    s24_status status = find(set, name, &row);

    if (!status)
        *given = set->explicit_mask & bit(set, row);
    return status;
}

static const char *type_name(int32_t type)
{
    return type == S24_OPT_INT ? "an integer" : type == S24_OPT_FLOAT ? "a number" : "a word";
}

static s24_status wrong_type(const s24i_option_set *set, const s24i_option *row, const char *given)
{
    return s24i_fail(S24_E_OPTION, "%s: option %s is %s, %s, not %s", set->owner, row->name,
                     type_name(row->type), row->range, given);
}

static s24_status out_of_range(const s24i_option_set *set, const s24i_option *row,
                               const char *value)
{
    return s24i_fail(S24_E_OPTION, "%s: option %s = %.64s is not in %s", set->owner, row->name,
                     value, row->range);
}

static s24_status store_int(s24i_option_set *set, const s24i_option *row, int64_t value)
{
    char spelling[S24I_NUMBER_SIZE];

    if ((double)value < row->min || (double)value > row->max) {
        snprintf(spelling, sizeof spelling, "%lld", (long long)value);
        return out_of_range(set, row, spelling);
    }
    memcpy(field(set, row), &value, sizeof value);
    return S24_OK;
}

static s24_status store_float(s24i_option_set *set, const s24i_option *row, double value)
{
    char spelling[S24I_NUMBER_SIZE];

    if (!(value >= row->min && value <= row->max)) {
        s24i_number_write(spelling, value);
        return out_of_range(set, row, spelling);
    }
    memcpy(field(set, row), &value, sizeof value);
    return S24_OK;
}

/* The place of the word in "a|b|c", or -1. */
static int32_t choice_of(const char *choices, const char *word)
{
    size_t length = strlen(word);
    int32_t index = 0;

    for (const char *at = choices;; at++, index++) {
        size_t here = strcspn(at, "|");
        if (here == length && !memcmp(at, word, length))
            return index;
        at += here;
        if (!*at)
            return -1;
    }
}

static s24i_word *word_of(const s24i_option_set *set, const s24i_option *row)
{
    return (s24i_word *)field(set, row);
}

static s24_status assign(s24i_option_set *set, const char *assignments, bool by_user);
static s24_status store_text(s24i_option_set *set, const s24i_option *row, const char *text);

static bool is_preset(const s24i_option_set *set, const s24i_option *row)
{
    return set->presets && row == set->table && !strcmp(row->name, "preset");
}

/* Everything that the user did not set: defaults, then what the preset in force says. */
static s24_status apply_preset(s24i_option_set *set)
{
    const s24i_option *row = set->table;
    const char *wanted = word_of(set, row)->text;

    while ((++row)->name) {
        s24_status status = S24_OK;
        if (!(set->explicit_mask & bit(set, row)))
            status = store_text(set, row, row->fallback);
        if (status)
            return status;
    }
    for (const s24i_preset *preset = set->presets; preset->name; preset++) {
        if (!strcmp(preset->name, wanted))
            return assign(set, preset->assignments, false);
    }
    return s24i_fail(S24_E_INTERNAL, "%s: preset '%s' has no row", set->owner, wanted);
}

static s24_status store_word(s24i_option_set *set, const s24i_option *row, const char *word)
{
    s24i_word value = {.index = choice_of(row->range, word)};

    if (strlen(word) >= S24I_WORD || value.index < 0)
        return out_of_range(set, row, word);
    memcpy(value.text, word, strlen(word));
    *word_of(set, row) = value;
    return is_preset(set, row) ? apply_preset(set) : S24_OK;
}

static s24_status store_text(s24i_option_set *set, const s24i_option *row, const char *text)
{
    int64_t integer;
    double number;

    if (row->type == S24_OPT_STR)
        return store_word(set, row, text);
    if (row->type == S24_OPT_INT && s24i_integer_read(text, &integer))
        return store_int(set, row, integer);
    if (row->type == S24_OPT_FLOAT && s24i_number_read(text, &number))
        return store_float(set, row, number);
    return s24i_fail(S24_E_OPTION, "%s: option %s is %s, %s, not '%.64s'", set->owner, row->name,
                     type_name(row->type), row->range, text);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Copy text[0..size) without the white space around it; false if it does not fit. */
static bool trimmed(char out[ITEM], const char *text, size_t size)
{
    while (size && is_space(*text))
        text++, size--;
    while (size && is_space(text[size - 1]))
        size--;
    if (size >= ITEM)
        return false;
    memcpy(out, text, size);
    out[size] = 0;
    return true;
}

/* One "name=value" of `size` bytes. */
static s24_status assign_one(s24i_option_set *set, const char *item, size_t size, bool by_user)
{
    char name[ITEM], value[ITEM];
    const char *sign = memchr(item, '=', size);
    const s24i_option *row;

    if (!sign || !trimmed(name, item, (size_t)(sign - item)) || !*name ||
        !trimmed(value, sign + 1, size - (size_t)(sign + 1 - item)))
        return s24i_fail(S24_E_OPTION, "%s: expected name=value, found '%.*s'", set->owner,
                         size < 64 ? (int)size : 64, item);
    s24_status status = find(set, name, &row);
    if (status)
        return status;
    if (by_user)
        set->explicit_mask |= bit(set, row);
    else if (set->explicit_mask & bit(set, row))
        return S24_OK;
    return store_text(set, row, value);
}

static bool is_blank(const char *text)
{
    while (is_space(*text))
        text++;
    return !*text;
}

static s24_status assign(s24i_option_set *set, const char *assignments, bool by_user)
{
    if (!assignments || is_blank(assignments))
        return S24_OK;
    for (const char *item = assignments;; item++) {
        size_t size = strcspn(item, ",");
        s24_status status = assign_one(set, item, size, by_user);
        item += size;
        if (status || !*item)
            return status;
    }
}

void s24i_options_reset(s24i_option_set *set)
{
    set->explicit_mask = 0;
    memset(set->values, 0, set->size);
    for (const s24i_option *row = set->table; row->name; row++) {
        store_text(set, row, row->fallback);
        if (is_preset(set, row))
            break; /* which has set all others */
    }
}

s24_status s24i_options_set_int(s24i_option_set *set, const char *name, int64_t value)
{
    const s24i_option *row;
    s24_status status = find(set, name, &row);

    if (status)
        return status;
    if (row->type == S24_OPT_STR)
        return wrong_type(set, row, "an integer");
    status = row->type == S24_OPT_INT ? store_int(set, row, value)
                                      : store_float(set, row, (double)value);
    if (status == S24_OK)
        set->explicit_mask |= bit(set, row);
    return status;
}

s24_status s24i_options_set_float(s24i_option_set *set, const char *name, double value)
{
    const s24i_option *row;
    s24_status status = find(set, name, &row);

    if (status)
        return status;
    if (row->type != S24_OPT_FLOAT)
        return wrong_type(set, row, "a number");
    status = store_float(set, row, value);
    if (status == S24_OK)
        set->explicit_mask |= bit(set, row);
    return status;
}

s24_status s24i_options_set_str(s24i_option_set *set, const char *name, const char *value)
{
    const s24i_option *row;
    draft d;
    s24_status status = find(set, name, &row);

    if (status)
        return status;
    if (row->type != S24_OPT_STR)
        return wrong_type(set, row, "a word");
    begin(&d, set);
    d.set.explicit_mask |= bit(set, row);
    return finish(&d, set, store_word(&d.set, row, value));
}

s24_status s24i_options_parse(s24i_option_set *set, const char *assignments)
{
    draft d;

    begin(&d, set);
    return finish(&d, set, assign(&d.set, assignments, true));
}

/* The row of that name if it has that type. */
static s24_status look_up(const s24i_option_set *set, const char *name, int32_t type,
                          const s24i_option **row)
{
    s24_status status = find(set, name, row);

    if (status == S24_OK && (*row)->type != type)
        status = wrong_type(set, *row, type_name(type));
    return status;
}

s24_status s24i_options_get_int(const s24i_option_set *set, const char *name, int64_t *value)
{
    const s24i_option *row;
    s24_status status = look_up(set, name, S24_OPT_INT, &row);

    if (status == S24_OK)
        memcpy(value, field(set, row), sizeof *value);
    return status;
}

s24_status s24i_options_get_float(const s24i_option_set *set, const char *name, double *value)
{
    const s24i_option *row;
    s24_status status = look_up(set, name, S24_OPT_FLOAT, &row);

    if (status == S24_OK)
        memcpy(value, field(set, row), sizeof *value);
    return status;
}

s24_status s24i_options_get_str(const s24i_option_set *set, const char *name, const char **value)
{
    const s24i_option *row;
    s24_status status = look_up(set, name, S24_OPT_STR, &row);

    if (status == S24_OK)
        *value = word_of(set, row)->text;
    return status;
}

void s24i_options_text(const s24i_option_set *set, s24i_text *text)
{
    char spelling[S24I_NUMBER_SIZE];

    for (const s24i_option *row = set->table; row->name; row++) {
        int64_t integer;
        double number;
        memcpy(&integer, field(set, row), sizeof integer);
        memcpy(&number, field(set, row), sizeof number);
        s24i_number_write(spelling, number);
        s24i_text_append(text, "%s%s=", row == set->table ? "" : ",", row->name);
        if (row->type == S24_OPT_INT)
            s24i_text_append(text, "%lld", (long long)integer);
        else
            s24i_text_append(text, "%s",
                             row->type == S24_OPT_STR ? word_of(set, row)->text : spelling);
    }
}
