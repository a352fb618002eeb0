/* A model whose weights are packed: what --packed says, and what became of it. */
#ifndef ENGINE_H
#define ENGINE_H
#include "args.h"
#include <sparse24/model.h>

/* Pack as --packed says, `otherwise` if it is not given; "none": nothing is done. */
bool engine_pack(s24_model *model, const args *a, const char *otherwise);
/* "180 ri16x32-int4, 30 ri16-int8", to be freed: matrices of each layout, and the head's. */
char *engine_layouts(const s24_model *model);

#endif
