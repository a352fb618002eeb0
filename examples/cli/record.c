#include "record.h"
#include "message.h"
#include <stdlib.h>
#include <sparse24/record.h>

char *record_put_number(char *record, const char *key, double value)
{
    size_t size = s24_record_set_float(record, key, value, NULL, 0);
    char *edited = must(size ? malloc(size) : NULL);
    s24_record_set_float(record, key, value, edited, size);
    free(record);
    return edited;
}

char *record_put_text(char *record, const char *key, const char *value)
{
    size_t size = s24_record_set_str(record, key, value, NULL, 0);
    char *edited = must(size ? malloc(size) : NULL);
    s24_record_set_str(record, key, value, edited, size);
    free(record);
    return edited;
}

char *record_drop_volatile(char *record)
{
    static const char *const fields[] = {"seconds", "peak_bytes", "threads", "isa"};

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        record = record_put_text(record, fields[i], NULL);
    return record;
}

char *record_text(const char *record, const char *key)
{
    size_t size = s24_record_str(record, key, NULL, 0);
    char *text = size ? must(malloc(size)) : NULL;
    if (text)
        s24_record_str(record, key, text, size);
    return text;
}
