#include "store.h"
#include "codes.h"
#include "fail.h"
#include "parts.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

void s24m_module(const char *tensor, char module[S24M_NAME])
{
    static const char end[] = ".weight";
    size_t length = strlen(tensor), cut = sizeof end - 1;
    bool ends = length > cut && !strcmp(tensor + length - cut, end);
    snprintf(module, S24M_NAME, "%.*s", (int)(ends ? length - cut : length), tensor);
}

/* Folders name the parts of a module, others those of a tensor. */
static void packed_name(const form *f, const char *tensor, char name[S24M_NAME])
{
    if (f->holder == HOLDER_FOLDER)
        s24m_module(tensor, name);
    else
        snprintf(name, S24M_NAME, "%s", tensor);
}

bool s24m_is_whole(const s24m_matrix *m)
{
    return !m->slices && !m->transposed;
}

/* Blocks of GGUF lie in tensors of any shape, floats everywhere; adapters know transposed ones. */
bool s24m_form_check_whole(const form *f, const s24m_model *model, int64_t layer, int32_t which)
{
    const s24m_matrix *m = s24m_program_of(model, layer)->matrices + which;
    char name[S24M_NAME];
    bool held = !f->layout || f->holder == HOLDER_S24 || (f->type && !m->transposed);
    if (f->beside == BESIDE_FACTORS)
        held = !m->slices;
    s24m_name(model, layer, which, name);
    return s24m_is_whole(m) || held ||
           s24m_wrong(S24_E_UNSUPPORTED,
                      "%s: %s holds whole matrices, and this is %s: leave such ones out with "
                      "--skip, or write floats",
                      name, f->option,
                      m->slices ? "one of several in a tensor" : "stored as inputs x outputs");
}

/* transformers calls the layers of images' encoders otherwise than their files do, so that a folder
 * can only tell of all of them, as one of its formats does. */
bool s24m_form_check_names(const form *f, const s24m_model *model, bool all)
{
    bool telling = f->layout && !strcmp(f->layout, "pack-quantized");
    const char *name = model->config.architecture;
    if (!model->config.image.size || f->holder != HOLDER_FOLDER)
        return true;
    if (!telling)
        return s24m_wrong(
            S24_E_UNSUPPORTED,
            "%s: loaders have other names for the matrices of %s: take --format dense "
            "or pack-quantized",
            f->option, name);
    return all || s24m_wrong(S24_E_UNSUPPORTED,
                             "%s: loaders have other names for the matrices of %s: leave --rule "
                             "and --skip out",
                             f->option, name);
}

/* ---- Packed ---- */

/* It is a tensor of that type already. */
static bool has_blocks(const s24_file *file, const char *tensor, const char *layout)
{
    const char *type;
    return s24_file_info(file, tensor, NULL, NULL, &type) == S24_OK && !strcasecmp(type, layout);
}

static bool pack_codes(s24_ctx *ctx, const char *tensor, const solved *m, const char *layout,
                       s24_packed **packed)
{
    codes c;
    if (has_blocks(m->values, tensor, layout))
        return s24m_good(s24_file_packed(m->values, tensor, packed), "%s", tensor);
    if (!m->parts || !s24m_codes_of_file(m->parts, tensor, &c))
        return s24m_wrong(S24_E_STATE,
                          "%s: there are no codes of it: the parts that compress wrote are missing",
                          tensor);
    if (c.outliers.data || c.u.data)
        return s24m_wrong(S24_E_UNSUPPORTED, "%s: it has %s, which layout %s does not hold", tensor,
                          c.u.data ? "factors of a rank" : "outliers", layout);
    return s24m_good(
        s24_pack_codes(ctx, m->constraints, &c.codes, &c.scales, &c.zeros, layout, packed), "%s",
        tensor);
}

static bool pack_floats(s24_ctx *ctx, const char *tensor, const solved *m, const char *layout,
                        s24_packed **packed)
{
    s24_mat values;
    return s24m_good(s24_file_get(m->values, tensor, &values), "%s", tensor) &&
           s24m_good(s24_pack(ctx, &values, NULL, layout, packed), "%s", tensor);
}

static int64_t columns(const s24_packed *packed)
{
    int64_t cols = 0;
    s24_packed_info(packed, NULL, NULL, &cols, NULL);
    return cols;
}

static void tell(const terms *t, const s24_packed *packed, stored *told)
{
    s24_mat zeros;
    int64_t cols = columns(packed);
    told->bits = t->bits <= 0 ? 0 : t->bits <= 2 ? 2 : t->bits <= 4 ? 4 : 8;
    told->group = t->group < cols ? t->group : 0;
    told->symmetric = t->scheme == SCHEME_SYM && t->bits == told->bits;
    /* pack-quantized knows 4 and 8 bits, and leaves zeros out that are all in the middle. */
    const char *layout;
    s24_packed_info(packed, &layout, NULL, NULL, NULL);
    if (strcmp(layout, "pack-quantized"))
        return;
    told->bits = told->bits == 2 ? 4 : told->bits;
    told->symmetric = s24_packed_matrix(packed, "weight_zero_point", &zeros) != S24_OK;
}

static bool put_packed(s24_ctx *ctx, const form *f, s24_file *out, const char *tensor,
                       const solved *m, const char *layout, stored *told)
{
    char name[S24M_NAME];
    s24_packed *packed = NULL;
    terms t = s24m_terms(m->constraints);
    packed_name(f, tensor, name);
    bool done = (t.bits ? pack_codes : pack_floats)(ctx, tensor, m, layout, &packed) &&
                s24m_good(s24_file_put_packed(out, name, packed), "%s", tensor);
    if (done)
        tell(&t, packed, told);
    s24_packed_destroy(packed);
    return done;
}

/* ---- Floats ---- */

/* As they are; beside factors the sparse part alone, in the type that the whole has. */
static bool put_floats(const form *f, s24_file *out, const char *tensor, const solved *m)
{
    const char *type;
    char part[S24M_NAME + 16];
    s24_mat v;
    snprintf(part, sizeof part, "%s.sparse", tensor);
    if (f->beside != BESIDE_FACTORS || !m->parts || s24_file_get(m->parts, part, &v) != S24_OK)
        return s24m_good(s24_file_put_stored(out, m->values, tensor), "%s", tensor);
    return s24m_good(s24_file_info(m->values, tensor, NULL, NULL, &type), "%s", tensor) &&
           s24m_good(s24_file_put(out, tensor, &v, NULL, 2, type), "%s", tensor);
}

bool s24m_store(s24_ctx *ctx, const form *f, s24_file *out, const char *tensor, const solved *m,
                stored *told)
{
    terms t = s24m_terms(m->constraints);
    const char *layout = s24m_form_layout(f, &t);
    *told = (stored){.solved = true};
    s24m_module(tensor, told->module);
    return layout ? put_packed(ctx, f, out, tensor, m, layout, told)
                  : put_floats(f, out, tensor, m);
}

bool s24m_store_read(const form *f, const s24_file *file, const char *tensor, s24_mat *values)
{
    char name[S24M_NAME];
    s24_packed *packed = NULL;
    if (s24_file_info(file, tensor, NULL, NULL, NULL) == S24_OK)
        return s24m_good(s24_file_read(file, tensor, values), "%s", tensor);
    packed_name(f, tensor, name);
    bool done = s24m_good(s24_file_packed(file, name, &packed), "%s", tensor) &&
                s24m_good(s24_unpack(packed, values), "%s", tensor);
    s24_packed_destroy(packed);
    return done;
}
