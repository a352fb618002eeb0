/* Numbers that scores, logits, embeddings and what is added are multiplied with or held below. */
#include "config.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum { AS_IT_IS, INVERSE, INVERSE_ROOT } how;

static const struct {
    const char *json, *gguf; /* GGUF files may have one word for two of them */
    size_t at;               /* in s24m_config */
    how how;
} numbers[] = {
    {"attn_logit_softcapping", "attn_logit_softcapping", offsetof(s24m_config, soft_cap), AS_IT_IS},
    {"final_logit_softcapping", "final_logit_softcapping", offsetof(s24m_config, final_soft_cap),
     AS_IT_IS},
    {"query_pre_attn_scalar", NULL, offsetof(s24m_config, scale), INVERSE_ROOT},
    {"attention_multiplier", "attention.scale", offsetof(s24m_config, scale), AS_IT_IS},
    {"embedding_multiplier", "embedding_scale", offsetof(s24m_config, embedding_scale), AS_IT_IS},
    {"residual_multiplier", "residual_scale", offsetof(s24m_config, residual_scale), AS_IT_IS},
    {"logit_scale", "logit_scale", offsetof(s24m_config, logit_scale), AS_IT_IS},
    {"logits_scaling", "logit_scale", offsetof(s24m_config, logit_scale), INVERSE},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static const char *key_of(const s24m_reader *r, int i)
{
    if (!s24m_family_applies(r->family, numbers[i].json))
        return NULL;
    return r->model->config.gguf ? numbers[i].gguf : numbers[i].json;
}

bool s24m_is_multiplier(const s24m_reader *r, const char *key)
{
    for (int i = 0; i < NUMBERS; i++) {
        const char *own = key_of(r, i);
        if (own && !strcmp(own, key))
            return true;
    }
    return false;
}

/* 0, as null, is none. */
s24_status s24m_read_multipliers(const s24m_reader *r)
{
    s24_status status = S24_OK;
    for (int i = 0; !status && i < NUMBERS; i++) {
        const char *key = key_of(r, i);
        double read = 0, *to = (double *)(void *)((char *)&r->model->config + numbers[i].at);
        if (key)
            status = s24m_key_number(r, key, &read);
        if (read > 0)
            *to = numbers[i].how == INVERSE        ? 1 / read
                  : numbers[i].how == INVERSE_ROOT ? 1 / sqrt(read)
                                                   : read;
    }
    return status;
}
