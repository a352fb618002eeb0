#include "json.h"
#include <math.h>
#include <stdlib.h>
#include <sparse24/record.h>

char *s24m_json_put_number(char *object, const char *key, double value)
{
    size_t size = object ? s24_record_set_float(object, key, value, NULL, 0) : 0;
    char *edited = size ? s24m_have(malloc(size)) : NULL;
    if (edited)
        s24_record_set_float(object, key, value, edited, size);
    free(object);
    return edited;
}

char *s24m_json_put_text(char *object, const char *key, const char *value)
{
    size_t size = object ? s24_record_set_str(object, key, value, NULL, 0) : 0;
    char *edited = size ? s24m_have(malloc(size)) : NULL;
    if (edited)
        s24_record_set_str(object, key, value, edited, size);
    free(object);
    return edited;
}

char *s24m_json_drop(char *object, const char *key)
{
    return s24m_json_put_text(object, key, NULL);
}

double s24m_json_number(const char *object, const char *key)
{
    double number = NAN;
    s24_record_float(object, key, &number);
    return number;
}

bool s24m_json_text(const char *object, const char *key, char **member)
{
    size_t size = s24_record_str(object, key, NULL, 0);
    *member = size ? s24m_have(malloc(size)) : NULL;
    if (*member)
        s24_record_str(object, key, *member, size);
    return *member || !size;
}
