#include "family.h"
#include "stages.h"
#include <stddef.h>
#include <string.h>

/* Defaults as in the configuration classes of transformers 5. */
static const s24m_family families[] = {
    {.name = "llama",
     .stages = s24m_stages_llama,
     .attention_bias = true,
     .mlp_bias = true,
     .sizes = {32, 4096, 11008, 32, 0, 0, 2048}},
    {.name = "mistral",
     .stages = s24m_stages_llama,
     .windows = S24M_ALL_WINDOWS,
     .sizes = {32, 4096, 14336, 32, 8, 0, 131072},
     .window = 4096},
    {.name = "qwen2",
     .stages = s24m_stages_llama,
     .qkv_bias = true,
     .windows = S24M_SOME_WINDOWS,
     .sizes = {32, 4096, 22016, 32, 32, 0, 32768},
     .window = 4096,
     .window_from = 28},
    {.name = "qwen3",
     .stages = s24m_stages_llama,
     .head_norms = true,
     .attention_bias = true,
     .windows = S24M_SOME_WINDOWS,
     .sizes = {32, 4096, 22016, 32, 32, 128, 32768},
     .window = 4096,
     .window_from = 28},
};

const s24m_family *s24m_family_find(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i].name, name))
            return &families[i];
    return NULL;
}
