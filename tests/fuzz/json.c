#include "fuzz.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

/* The strict reader of untrusted JSON. What it accepts it writes back so that it reads the same. */

static void write_value(s24i_text *text, const s24i_json *value)
{
    bool object = value->kind == S24I_JSON_OBJECT;
    int64_t count = 0;

    if (value->kind == S24I_JSON_NULL)
        s24i_text_append(text, "null");
    else if (value->kind == S24I_JSON_BOOL)
        s24i_text_append(text, value->number ? "true" : "false");
    else if (value->kind == S24I_JSON_NUMBER)
        s24i_text_append(text, "%s", value->string);
    else if (value->kind == S24I_JSON_STRING)
        s24i_text_json_string(text, value->string);
    if (value->kind < S24I_JSON_ARRAY) {
        CLAIM(!value->first && !value->count);
        return;
    }
    s24i_text_append(text, object ? "{" : "[");
    for (const s24i_json *child = value->first; child; child = child->next, count++) {
        CLAIM(object == (child->key != NULL));
        s24i_text_append(text, "%s", count ? "," : "");
        if (object) {
            CLAIM(s24i_json_get(value, child->key) == child); /* no key twice */
            s24i_text_json_string(text, child->key);
            s24i_text_append(text, ":");
        }
        write_value(text, child);
    }
    CLAIM(count == value->count);
    s24i_text_append(text, object ? "}" : "]");
}

static void check_equal(const s24i_json *a, const s24i_json *b)
{
    CLAIM(a->kind == b->kind && a->count == b->count && !a->key == !b->key);
    CLAIM(!a->key || (!strcmp(a->key, b->key) && s24i_utf8_valid(a->key)));
    CLAIM(!a->string == !b->string && (!a->string || !strcmp(a->string, b->string)));
    CLAIM(!a->string || s24i_utf8_valid(a->string));
    for (a = a->first, b = b->first; a; a = a->next, b = b->next)
        check_equal(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    int32_t depth = (int32_t)fuzz_between(&in, 0, 40);
    int64_t values = fuzz_between(&in, 0, 300);
    s24i_memory memory;
    s24i_json_doc *doc = NULL, *again = NULL;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    s24_status status = s24i_json_parse(&memory, (const char *)in.at, (size_t)(in.end - in.at),
                                        depth, values, &doc);
    CLAIM(status == S24_OK || status == S24_E_FORMAT);
    if (!status) {
        s24i_text text = {.memory = &memory};
        write_value(&text, s24i_json_root(doc));
        CLAIM(!text.failed);
        CLAIM(!s24i_json_parse(&memory, text.data, text.size, depth, values, &again));
        check_equal(s24i_json_root(doc), s24i_json_root(again));
        s24i_json_free(again);
        s24i_text_free(&text);
        s24i_json_free(doc);
    }
    CLAIM(atomic_load(&memory.current) == 0);
    return 0;
}
