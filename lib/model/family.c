#include "family.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const s24m_family *s24m_family_at(int32_t index)
{
    static const s24m_family *const tables[] = {s24m_rms_families, s24m_layer_families,
                                                s24m_expert_families, s24m_delta_families,
                                                s24m_encoder_families};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const s24m_family *f = tables[t]; f->name; f++)
            if (!index--)
                return f;
    return NULL;
}

const char *s24m_word_of(const s24m_word *words, const char *key)
{
    for (; words && words->key; words++)
        if (!strcmp(words->key, key))
            return words->is;
    return NULL;
}

bool s24m_family_applies(const s24m_family *family, const char *key)
{
    size_t length = strlen(key);
    const char *at = family->applies;
    for (; at && (at = strstr(at, key)); at += length)
        if ((at == family->applies || at[-1] == ' ') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

/* ---- Names ---- */

/* Letters to be put in, taken out or changed: the shortest way from one word to the other. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    int row[MOST + 1], length = (int)strlen(b);
    if (length > MOST || strlen(a) > MOST)
        return MOST;
    for (int i = 0; i <= length; i++)
        row[i] = i;
    for (int k = 1; *a; a++, k++) {
        int before = row[0];
        row[0] = k;
        for (int i = 1; i <= length; i++) {
            int change = before + (*a != b[i - 1]), one = row[i - 1] + 1, other = row[i] + 1;
            before = row[i];
            row[i] = change < one ? change : one;
            row[i] = row[i] < other ? row[i] : other;
        }
    }
    return row[length];
}

static const char *name_of(const s24m_family *f, bool gguf)
{
    return gguf && f->gguf ? f->gguf : f->name;
}

/* One whose beginning agrees goes before one that is spelled alike. */
static const char *nearest(const char *name, bool gguf)
{
    const s24m_family *f;
    const char *best = "llama";
    int least = 1 << 20;
    for (int32_t i = 0; (f = s24m_family_at(i)); i++) {
        const char *other = name_of(f, gguf);
        size_t agree = 0;
        while (name[agree] && name[agree] == other[agree])
            agree++;
        int far = distance(name, other) - 2 * (int)agree;
        if (far < least) {
            least = far;
            best = other;
        }
    }
    return best;
}

/* The file says what this row is for. */
static bool fits(const s24_file *file, const char *prefix, const s24m_family *f)
{
    char key[96];
    bool all = true;
    for (int i = 0; all && i < 3 && f->when[i].key; i++) {
        snprintf(key, sizeof key, "%s.%s", prefix, f->when[i].key);
        const char *text = s24_file_meta(file, key);
        text = text ? text : s24m_word_of(f->defaults, f->when[i].key);
        all = text && !strcmp(text, f->when[i].is);
    }
    return all;
}

/* Rows of this name there are, for other values of these keys. */
static s24_status fail_variant(const char *prefix, const s24m_family *f, const char *name)
{
    char keys[160] = "";
    for (int i = 0; i < 3 && f->when[i].key; i++)
        snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%s.%s", i ? ", " : "", prefix,
                 f->when[i].key);
    return s24m_fail(S24_E_UNSUPPORTED, "a %.40s with these values of %s is not supported", name,
                     keys);
}

s24_status s24m_family_find(const s24_file *file, const char *prefix, const char *name, bool gguf,
                            const s24m_family **out)
{
    const s24m_family *f, *named = NULL;
    for (int32_t i = 0; (f = s24m_family_at(i)); i++) {
        if (strcmp(name_of(f, gguf), name) || (gguf && f->only_json))
            continue;
        named = f;
        *out = f;
        if (fits(file, prefix, f))
            return S24_OK;
    }
    return named ? fail_variant(prefix, named, name)
                 : s24m_fail(S24_E_UNSUPPORTED,
                             "architecture %.40s is not known, the nearest that is is %s: its row "
                             "of tensors and steps is missing (docs/families.md lists those that "
                             "are read); examples/python/prune_torch.py compresses any model of "
                             "transformers",
                             name, nearest(name, gguf));
}
