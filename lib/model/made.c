#include "made.h"
#include <stdlib.h>
#include <string.h>

const s24_mat *s24m_made_part(const made_parts *made, const char *part)
{
    const struct {
        const char *name;
        const s24_mat *mat;
    } all[] = {{"codes", &made->codes},   {"scales", &made->scales}, {"zeros", &made->zeros},
               {"sparse", &made->sparse}, {"lowrank_u", &made->u},   {"lowrank_v", &made->v}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, part) && all[i].mat->data)
            return all[i].mat;
    return NULL;
}

void s24m_made_close(made_parts *made)
{
    free(made->codes.data);
    free(made->scales.data);
    free(made->zeros.data);
    free(made->sparse.data);
    free(made->u.data);
    free(made->v.data);
    *made = (made_parts){0};
}
